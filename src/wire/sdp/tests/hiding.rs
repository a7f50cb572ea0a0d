//! What goes out names no address but ours, whatever came in; what names none is not touched.

use super::bodies::{self, ALL};
use super::{ours, read, us};
use crate::wire::addresses::find_addresses;
use crate::wire::sdp::{Place, Sdp};
use proptest::prelude::*;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Rewrites; checks that it reads again, twice the same, and shows no address but ours.
fn check(body: &[u8]) {
    let Ok(sdp) = Sdp::parse(body) else { return };
    let places = vec![Place::Anchor { port: 30_000 }; sdp.media().len()];
    let out = sdp.rewrite(us(), &places);
    let text = String::from_utf8_lossy(&out);
    for (range, ip) in find_addresses(&out) {
        assert!(ip == us() || ip.is_unspecified(), "{range:?} {ip} in {text}");
    }
    if out.is_empty() {
        return;
    }
    let again = Sdp::parse(&out).unwrap_or_else(|e| panic!("{e}: {text}"));
    assert_eq!(again.rewrite(us(), &places), out, "{text}");
    assert_eq!(again.media().len(), sdp.media().len());
    assert_eq!(again.is_held(), sdp.is_held());
    for (theirs, mine) in sdp.media().iter().zip(again.media()) {
        assert_eq!((&theirs.kind, &theirs.proto), (&mine.kind, &mine.proto));
        assert_eq!((&theirs.formats, theirs.direction), (&mine.formats, mine.direction));
        assert_eq!(theirs.port == 0, mine.port == 0);
        assert!(mine.candidates.is_empty() && !mine.ice && !mine.rtcp_mux);
        assert!(mine.rtp_target().is_none_or(|t| t.to_string() == "203.0.113.7:30000"));
        assert!(mine.rtcp_target().is_none_or(|t| t.to_string() == "203.0.113.7:30001"));
    }
    // Lines that hold nothing to hide come out as they came in, and in order.
    let mut shown = text.split("\r\n");
    for line in body.split(|b| *b == b'\n') {
        let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned();
        let plain = ["a=rtpmap:", "a=fmtp:", "a=ptime:", "a=fingerprint:", "b=", "z=", "y="];
        let hides = find_addresses(line.as_bytes()).next().is_some();
        if plain.iter().any(|p| line.starts_with(p)) && !hides {
            assert!(shown.any(|l| l == line), "{line} is gone from {text}");
        }
    }
}

#[test]
fn real_bodies_show_no_address_but_ours() {
    for body in ALL {
        check(body.as_bytes());
    }
    check(bodies::hold("IN IP4 0.0.0.0", "a=inactive").as_bytes());
}

#[test]
fn what_can_carry_an_address_goes() {
    let body = "v=0\r\no=10.9.9.9 1 1 IN IP4 pc.example\r\ns=call from 10.9.9.9\r\ni=10.9.9.9\r\n\
        u=http://10.9.9.9/\r\ne=a@10.9.9.9\r\np=+1 10.9.9.9\r\nt=0 0\r\nk=uri:http://10.9.9.9/k\r\n\
        a=x-nat:10.9.9.9\r\na=ice-lite\r\na=source-filter: incl IN IP4 * relay.example\r\n\
        m=audio 4000/2 RTP/AVP 0\r\nc=IN IP4 10.9.9.9/127\r\n\
        a=candidate:1 1 UDP 2 10.9.9.9 4000 typ host\r\na=remote-candidates:1 10.9.9.9 4000\r\n\
        a=end-of-candidates\r\na=altc:1 IP6 fd00::9 4000\r\na=x-host cname:fd00::9\r\n\
        a=x-home:::ffff:a09:909\r\n\
        a=rtcp-mux\r\na=ice-ufrag:x\r\na=fmtp:101 0-15\r\na=x-any:0.0.0.0\r\n\
        m=video 4002 RTP/AVP 31\r\na=rtcp:4003 IN IP4 10.9.9.9\r\n";
    let sdp = read(body);
    assert_eq!(sdp.media()[0].candidates[0].port(), 4000);
    let places = [Place::Anchor { port: 6000 }, Place::Refuse];
    let out = String::from_utf8(sdp.rewrite(us(), &places)).unwrap();
    assert_eq!(
        out,
        "v=0\r\no=- 1 1 IN IP4 203.0.113.7\r\ns=-\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0\r\n\
         c=IN IP4 203.0.113.7\r\na=fmtp:101 0-15\r\na=x-any:0.0.0.0\r\nm=video 0 RTP/AVP 31\r\n"
    );
    assert_eq!(sdp.rewrite(us(), &[]).len(), out.len() - "6000".len() + 1, "none placed: refused");
}

#[test]
fn octets_that_are_no_text_are_kept() {
    let mut body = b"v=0\r\ns=caf\xe9 \xff\r\n".to_vec();
    body.extend_from_slice(b"m=audio 0 RTP/AVP 0\r\na=x-note:\xc3\x28\r\n");
    assert_eq!(Sdp::parse(&body).unwrap().rewrite(us(), &[]), body);
}

/// A line of one of the kinds that phones write, with an address somewhere.
fn line() -> impl Strategy<Value = String> {
    let address = prop_oneof![
        any::<[u8; 4]>().prop_map(|a| Ipv4Addr::from(a).to_string()),
        any::<[u16; 8]>().prop_map(|a| Ipv6Addr::from(a).to_string()),
        Just("0.0.0.0".to_owned()),
        Just("::".to_owned()),
        Just("phone.example".to_owned()),
    ];
    let shape = prop::sample::select(vec![
        "c=IN IP4 @",
        "c=IN IP6 @/127",
        "a=rtcp:4001 IN IP4 @",
        "a=rtcp:4001",
        "a=candidate:1 1 UDP 1 @ 4000 typ host raddr @ rport 1",
        "a=remote-candidates:1 @ 4000",
        "a=x-y:@",
        "a=x y@z",
        "a=cname:@",
        "a=@",
        "i=@",
        "s=a @ b",
        "t=@ 0",
        "b=@",
        "z=0 @",
        "y=@",
        "u=http://[@]:80/",
        "o=@ @ @ IN IP4 @",
        "m=audio 4000 RTP/AVP 0",
        "m=video  0 RTP/AVP 31",
        "m=@ 4000 RTP/AVP 0",
        "a=sendonly",
        "a=inactive",
        "a=rtcp-mux",
        "a=group:BUNDLE a b",
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-15",
        "",
    ]);
    let end = prop::sample::select(vec!["\r\n", "\n"]);
    (address, shape, end).prop_map(|(a, s, e)| format!("{}{e}", s.replace('@', &a)))
}

proptest! {
    #[test]
    fn no_address_of_the_input_survives(lines in prop::collection::vec(line(), 0..12)) {
        check(format!("v=0\r\n{}", lines.concat()).as_bytes());
    }

    #[test]
    fn not_even_from_a_mutated_body(
        which in 0..ALL.len(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        cut in any::<prop::sample::Index>(), cuts: bool,
    ) {
        let mut body = ALL[which].as_bytes().to_vec();
        for (at, byte) in edits {
            let at = at.index(body.len());
            body[at] = byte;
        }
        if cuts {
            body.truncate(cut.index(body.len()));
        }
        check(&body);
    }

    #[test]
    fn no_input_panics(body in prop::collection::vec(any::<u8>(), 0..600)) {
        check(&body);
        check(&[b"v=0\n".as_slice(), &body].concat());
    }

    #[test]
    fn what_names_no_address_is_untouched(
        lines in prop::collection::vec("[abieruz]=[ -9;-~]{0,30}", 0..10)
    ) {
        let fated = ["a=ice", "a=alt", "a=path", "a=rtcp", "a=group", "a=can", "a=rem", "a=end",
            "a=bund", "a=sou"];
        let plain = |l: &String| {
            let name = l.replace(' ', "").to_lowercase();
            find_addresses(l.as_bytes()).next().is_none()
                && !fated.iter().any(|f| name.starts_with(f))
        };
        let lines: Vec<String> = lines.into_iter().filter(plain).collect();
        let body: String = std::iter::once("v=0".to_owned()).chain(lines)
            .map(|l| format!("{l}\r\n")).collect();
        prop_assert_eq!(ours(&body), body);
    }
}
