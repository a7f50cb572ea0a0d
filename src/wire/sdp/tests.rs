use super::*;
use proptest::prelude::*;
use std::net::Ipv4Addr;

const PHONE: &str = "v=0\r\no=SMT 1 2 IN IP4 10.17.0.21\r\ns=-\r\nc=IN IP4 10.17.0.21\r\nt=0 0\r\n\
    m=audio 20000 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
    a=rtcp:20001 IN IP4 10.17.0.21\r\na=sendrecv\r\n";

fn us() -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7))
}

#[test]
fn a_phones_offer_is_read() {
    let sdp = Sdp::parse(PHONE.as_bytes()).unwrap();
    let m = &sdp.media()[0];
    assert_eq!(m.rtp_target().unwrap().to_string(), "10.17.0.21:20000");
    assert_eq!(m.rtcp_target().unwrap().to_string(), "10.17.0.21:20001");
    assert_eq!((m.kind.as_str(), m.direction), ("audio", Direction::SendRecv));
    assert_eq!(m.rtpmap[1], (101, "telephone-event/8000".to_owned()));
}

#[test]
fn only_addresses_and_ports_change() {
    let sdp = Sdp::parse(PHONE.as_bytes()).unwrap();
    let out = sdp.rewrite(us(), &[Place::Anchor { port: 30000 }]);
    let want = PHONE
        .replace("10.17.0.21", "203.0.113.7")
        .replace("audio 20000", "audio 30000")
        .replace("rtcp:20001", "rtcp:30001");
    assert_eq!(String::from_utf8(out).unwrap(), want);
}

#[test]
fn hold_in_all_dialects_is_seen_and_kept() {
    for (line, target) in [("c=IN IP4 0.0.0.0", false), ("a=inactive", true), ("a=sendonly", true)]
    {
        let c = if line.starts_with("c=") { line } else { "c=IN IP4 10.1.1.1" };
        let a = if line.starts_with("a=") { line } else { "a=sendrecv" };
        let body =
            format!("v=0\no=- 1 1 IN IP4 10.1.1.1\ns=-\n{c}\nt=0 0\nm=audio 4000 RTP/AVP 0\n{a}");
        let sdp = Sdp::parse(body.as_bytes()).unwrap();
        assert_eq!(sdp.media()[0].rtp_target().is_some(), target, "{line}");
        let out = String::from_utf8(sdp.rewrite(us(), &[Place::Anchor { port: 6000 }])).unwrap();
        assert!(out.contains(line), "{out}");
        assert!(out.contains("m=audio 6000 "), "{out}");
    }
}

#[test]
fn what_can_carry_an_address_goes() {
    let body = "v=0\r\no=10.9.9.9 1 1 IN IP4 pc.example\r\ns=call from 10.9.9.9\r\ni=10.9.9.9\r\n\
        u=http://10.9.9.9/\r\ne=a@10.9.9.9\r\nt=0 0\r\na=x-nat:10.9.9.9\r\na=ice-lite\r\n\
        m=audio 4000/2 RTP/AVP 0\r\nc=IN IP4 10.9.9.9/127\r\na=candidate:1 1 UDP 2 10.9.9.9 4000 typ host\r\n\
        a=rtcp-mux\r\na=ice-ufrag:x\r\na=fmtp:101 0-15\r\nm=video 0 RTP/AVP 31\r\n";
    let sdp = Sdp::parse(body.as_bytes()).unwrap();
    assert_eq!(sdp.media()[0].candidates[0].port(), 4000);
    let places = [Place::Anchor { port: 6000 }, Place::Refuse];
    let out = String::from_utf8(sdp.rewrite(us(), &places)).unwrap();
    assert_eq!(
        out,
        "v=0\r\no=- 1 1 IN IP4 203.0.113.7\r\ns=-\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0\r\n\
         c=IN IP4 203.0.113.7\r\na=fmtp:101 0-15\r\nm=video 0 RTP/AVP 31\r\n"
    );
}

#[test]
fn limits_hold_at_n_and_break_at_n_plus_one() {
    let body = |media: usize, lines: usize, line: usize| {
        let mut b = String::from("v=0\r\ns=-\r\n");
        b.push_str(&format!("i={}\r\n", "x".repeat(line - 2)));
        b.push_str(&"m=audio 0 RTP/AVP 0\r\n".repeat(media));
        b.push_str(&"b=AS:1\r\n".repeat(lines - media - 3));
        b
    };
    assert!(Sdp::parse(body(16, 512, 4096).as_bytes()).is_ok());
    assert!(Sdp::parse(body(17, 512, 4096).as_bytes()).is_err());
    assert!(Sdp::parse(body(16, 513, 4096).as_bytes()).is_err());
    assert!(Sdp::parse(body(16, 512, 4097).as_bytes()).is_err());
    let big = format!("v=0\r\n{}", "b=AS:1234567890\r\n".repeat(500));
    let pad = |n: usize| format!("{big}i={}", "y".repeat(n - big.len() - 2));
    assert!(Sdp::parse(pad(12_000).as_bytes()).is_ok());
    let chunk = format!("i={}\r\n", "z".repeat(4000));
    let exact = format!("v=0\r\n{}i={}", chunk.repeat(5), "z".repeat(20_480 - 5 - 5 * 4004 - 2));
    assert_eq!(exact.len(), 20_480);
    assert!(Sdp::parse(exact.as_bytes()).is_ok());
    assert!(Sdp::parse(format!("{exact}z").as_bytes()).is_err());
}

#[test]
fn what_is_untouched_agrees_with_another_reader() {
    let out =
        Sdp::parse(PHONE.as_bytes()).unwrap().rewrite(us(), &[Place::Anchor { port: 30_000 }]);
    let theirs = sdp_types::Session::parse(&out).unwrap();
    assert_eq!(theirs.connection.unwrap().connection_address, "203.0.113.7");
    assert_eq!(theirs.medias[0].port, 30_000);
    assert_eq!(theirs.medias[0].fmt, "0 8 101");
}

proptest! {
    #[test]
    fn no_input_panics(mut body in proptest::collection::vec(any::<u8>(), 0..600), at in 0usize..400) {
        let _ = Sdp::parse(&body);
        let mut mixed = PHONE.as_bytes().to_vec();
        mixed.splice(at.min(mixed.len())..at.min(mixed.len()), body.drain(..));
        if let Ok(sdp) = Sdp::parse(&mixed) {
            let _ = sdp.rewrite(us(), &[Place::Anchor { port: 2 }]);
        }
    }

    #[test]
    fn no_address_of_the_input_survives(extra in "[a-z]{1,8}[:= ]10\\.17\\.0\\.21[ ;a-z]{0,6}", kind in "[a-z]") {
        let body = format!("{PHONE}{kind}={extra}\r\n");
        if let Ok(sdp) = Sdp::parse(body.as_bytes()) {
            let places = vec![Place::Anchor { port: 4000 }; sdp.media().len()];
            let out = sdp.rewrite(us(), &places);
            let text = String::from_utf8_lossy(&out).into_owned();
            prop_assert!(!text.contains("10.17.0.21"), "{}", text);
            prop_assert!(Sdp::parse(&out).is_ok());
        }
    }
}
