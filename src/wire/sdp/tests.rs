mod agreement;
mod bodies;
mod hiding;

use super::*;
use bodies::{BARESIP, BFCP, IPV6, LINPHONE, SAMSUNG, T38, TWO_AUDIO, WEBRTC};

fn us() -> IpAddr {
    "203.0.113.7".parse().unwrap()
}

fn read(body: &str) -> Sdp {
    Sdp::parse(body.as_bytes()).unwrap()
}

/// The body with every section at 30000, 30002 …
fn ours(body: &str) -> String {
    let sdp = read(body);
    let places: Vec<Place> =
        (0..sdp.media().len()).map(|i| Place::Anchor { port: 30_000 + 2 * i as u16 }).collect();
    String::from_utf8(sdp.rewrite(us(), &places)).unwrap()
}

fn targets(body: &str) -> Vec<[Option<String>; 2]> {
    let shown = |t: Option<SocketAddr>| t.map(|t| t.to_string());
    read(body).media().iter().map(|m| [shown(m.rtp_target()), shown(m.rtcp_target())]).collect()
}

fn pair(rtp: &str, rtcp: &str) -> [Option<String>; 2] {
    [Some(rtp.to_owned()), Some(rtcp.to_owned())]
}

const NOWHERE: [Option<String>; 2] = [None, None];

#[test]
fn a_phones_offer_is_read() {
    let sdp = read(SAMSUNG);
    let m = &sdp.media()[0];
    assert_eq!(targets(SAMSUNG), [pair("10.17.0.21:30042", "10.17.0.21:30043")]);
    assert_eq!((m.kind.as_str(), m.direction), ("audio", Direction::SendRecv));
    assert_eq!(m.rtpmap[3], (101, "telephone-event/8000".to_owned()));
    assert_eq!(m.formats, ["8", "0", "18", "101"]);
    assert!(m.is_rtp() && !m.ice && !m.is_held() && !sdp.is_held() && !sdp.offers_mux());
}

#[test]
fn only_addresses_and_ports_change() {
    let want = SAMSUNG
        .replace("10.17.0.21", "203.0.113.7")
        .replace("audio 30042", "audio 30000")
        .replace("rtcp:30043", "rtcp:30001 IN IP4 203.0.113.7");
    assert_eq!(ours(SAMSUNG), want);
}

#[test]
fn a_section_speaks_before_the_session() {
    assert_eq!(
        targets(LINPHONE),
        [
            pair("203.0.113.99:7078", "203.0.113.99:7079"),
            pair("192.168.1.34:9078", "192.168.1.34:9079")
        ]
    );
    assert_eq!(
        targets(TWO_AUDIO),
        [
            pair("192.0.2.71:49170", "192.0.2.71:49171"),
            pair("192.0.2.72:49174", "192.0.2.72:49175")
        ]
    );
    let sdp = read(TWO_AUDIO);
    let directions: Vec<_> = sdp.media().iter().map(|m| m.direction).collect();
    assert_eq!(directions, [Direction::RecvOnly, Direction::SendOnly]);
    assert!(!sdp.is_held() && sdp.media()[1].is_held());
    assert!(ours(TWO_AUDIO).contains("\r\nm=audio 30002 RTP/SAVP 8\r\nc=IN IP4 203.0.113.7\r\n"));
}

#[test]
fn ice_and_multiplexing_are_read_and_not_passed_on() {
    let linphone = read(LINPHONE);
    assert!(linphone.media().iter().all(|m| m.ice));
    assert_eq!(linphone.media()[0].candidates.len(), 3);
    let sdp = read(WEBRTC);
    assert!(sdp.offers_mux() && sdp.media()[0].ice && sdp.media()[0].is_rtp());
    assert_eq!(sdp.media()[0].candidates, ["198.51.100.9:51472".parse().unwrap()]);
    let out = ours(WEBRTC);
    for gone in ["candidate", "ice-", "rtcp-mux", "BUNDLE", "bundle-only", "198.51", ".local"] {
        assert!(!out.contains(gone), "{gone}: {out}");
    }
    for kept in ["a=fingerprint:sha-256 C4:5B", "a=setup:actpass", "a=mid:0", "a=rtcp-rsize"] {
        assert!(out.contains(kept), "{kept}: {out}");
    }
    assert!(ours(LINPHONE).contains("\r\na=rtcp-fb:* trr-int 5000\r\n"));
}

#[test]
fn a_disabled_section_stays_disabled() {
    assert_eq!(targets(T38), [pair("192.0.2.50:16400", "192.0.2.50:16401"), NOWHERE]);
    let out = ours(T38);
    assert!(out.contains("\r\nm=image 30000 udptl t38\r\na=T38FaxVersion:0\r\n"), "{out}");
    assert!(out.ends_with("\r\nm=audio 0 RTP/AVP 8\r\n"), "{out}");
    assert!(!read(T38).media()[0].is_rtp());
}

#[test]
fn what_is_no_rtp_is_told_apart_and_its_paths_go() {
    let sdp = read(BFCP);
    let rtp: Vec<bool> = sdp.media().iter().map(Media::is_rtp).collect();
    assert_eq!(rtp, [true, false, false]);
    let places = [Place::Anchor { port: 30_000 }, Place::Refuse];
    let out = String::from_utf8(sdp.rewrite(us(), &places)).unwrap();
    assert!(out.contains("\r\nm=application 0 TCP/BFCP *\r\na=setup:passive\r\n"), "{out}");
    assert!(out.ends_with("\r\nm=message 0 TCP/MSRP *\r\na=accept-types:text/plain\r\n"), "{out}");
}

#[test]
fn addresses_change_their_family() {
    assert_eq!(targets(IPV6), [pair("[2001:db8::55]:6000", "[2001:db8::56]:6005")]);
    let want = "v=0\r\no=- 1 1 IN IP4 203.0.113.7\r\ns=-\r\nc=IN IP4 203.0.113.7\r\nt=0 0\r\n\
        m=audio 30000 RTP/AVP 0\r\na=rtcp:30001 IN IP4 203.0.113.7\r\n";
    assert_eq!(ours(IPV6), want);
    let six = "2001:db8::7".parse().unwrap();
    let out = read(SAMSUNG).rewrite(six, &[Place::Anchor { port: 30_000 }]);
    let out = String::from_utf8(out).unwrap();
    assert!(out.contains("o=SAMSUNG-SIP 4102 1 IN IP6 2001:db8::7\r\n"), "{out}");
    assert!(out.contains("\r\nc=IN IP6 2001:db8::7\r\n"), "{out}");
    let mapped = SAMSUNG.replace("c=IN IP4 10.17.0.21", "c=IN IP6 ::ffff:10.17.0.21");
    assert_eq!(targets(&mapped), targets(SAMSUNG));
}

#[test]
fn hold_in_all_dialects_is_seen_and_kept() {
    let normal = "IN IP4 10.1.1.1";
    for (c, a, held, goes) in [
        (normal, "a=sendrecv", false, true),
        (normal, "a=recvonly", false, true),
        (normal, "a=sendonly", true, true),
        (normal, "a=inactive", true, true),
        ("IN IP4 0.0.0.0", "a=sendrecv", true, false),
        ("IN IP4 0.0.0.0", "a=inactive", true, false),
    ] {
        let body = bodies::hold(c, a);
        let sdp = read(&body);
        assert_eq!(sdp.is_held(), held, "{c} {a}");
        assert_eq!(sdp.media()[0].rtp_target().is_some(), goes, "{c} {a}");
        assert_eq!(sdp.media()[0].rtcp_target().is_some(), goes, "{c} {a}");
        assert_eq!(sdp.addresses().count(), if goes { 2 } else { 0 }, "{c} {a}");
        let shown = if c == normal { "IN IP4 203.0.113.7" } else { c };
        let want = format!(
            "v=0\r\no=- 1 2 IN IP4 203.0.113.7\r\ns=-\r\nc={shown}\r\nt=0 0\r\n\
             m=audio 30000 RTP/AVP 0\r\n{a}\r\n"
        );
        assert_eq!(ours(&body), want);
    }
    let rtcp = bodies::hold("IN IP4 0.0.0.0", "a=rtcp:4001 IN IP4 0.0.0.0");
    assert!(ours(&rtcp).ends_with("\r\na=rtcp:30001 IN IP4 0.0.0.0\r\n"));
    let bare = bodies::hold("IN IP4 0.0.0.0", "a=rtcp:4001");
    assert!(ours(&bare).ends_with("\r\na=rtcp:30001\r\n"));
    assert!(!read("v=0\nm=audio 0 RTP/AVP 0").is_held(), "nothing is on hold where nothing lives");
}

#[test]
fn a_hold_of_the_old_way_is_written_in_the_version_of_who_reads_it() {
    let (four, six) = ("203.0.113.7", "2001:db8::7");
    let nulls = ["IP4 0.0.0.0", "IP6 ::", "IP6 0:0:0:0:0:0:0:0", "IP6 ::ffff:0.0.0.0"];
    for (null, to) in nulls.iter().flat_map(|n| [four, six].map(|to| (n, to))) {
        let text = format!(
            "v=0\no=- 1 2 IN {null}\ns=-\nc=IN {null}\nt=0 0\nm=audio 4000 RTP/AVP 0\n\
             a=rtcp:4001 IN {null}\na=sendonly\nm=video 0 RTP/AVP 31\nc=IN {null}\n\
             a=rtcp:9 IN {null}\nm=audio 4004 RTP/AVP 0\nc=IN {null}\na=rtcp:4005\n\
             m=audio 4006 RTP/AVP 0\nc=IN IP4 10.1.1.1\na=rtcp:4007 IN {null}\n"
        );
        let sdp = read(&text);
        let places = [30_000, 30_002, 30_004, 30_006].map(|port| Place::Anchor { port });
        let out = String::from_utf8(sdp.rewrite(to.parse().unwrap(), &places)).unwrap();
        let (v, no) = if to == six { ("IP6", "::") } else { ("IP4", "0.0.0.0") };
        let want = format!(
            "v=0\no=- 1 2 IN {v} {to}\ns=-\nc=IN {v} {no}\nt=0 0\nm=audio 30000 RTP/AVP 0\n\
             a=rtcp:30001 IN {v} {no}\na=sendonly\nm=video 0 RTP/AVP 31\nc=IN {v} {no}\n\
             m=audio 30004 RTP/AVP 0\nc=IN {v} {no}\na=rtcp:30005\n\
             m=audio 30006 RTP/AVP 0\nc=IN {v} {to}\na=rtcp:30007 IN {v} {no}\n"
        );
        assert_eq!(out.replace("\r\n", "\n"), want, "{null} to {to}");
        assert!(sdp.media()[0].is_held() && sdp.media()[2].is_held(), "{null}");
    }
}

#[test]
fn every_place_where_media_would_go_is_listed() {
    let goes = |body: &str| -> Vec<String> {
        let shown = |d: &Destination| {
            format!("{} {} {:?} {}:{}", d.line, d.media, d.purpose, d.host, d.port)
        };
        read(body).addresses().map(shown).collect()
    };
    assert_eq!(goes(IPV6), ["6 0 Rtp 2001:db8::55:6000", "7 0 Rtcp 2001:db8::56:6005"]);
    assert_eq!(
        goes(WEBRTC),
        ["11 0 Candidate 6f1e7d1c-aaaa.local:51472", "12 0 Candidate 198.51.100.9:51472",]
    );
    assert_eq!(goes(LINPHONE).len(), 7);
    let named = SAMSUNG.replace("c=IN IP4 10.17.0.21", "c=IN IP4 phone.example");
    assert_eq!(goes(&named), ["6 0 Rtp phone.example:30042"]);
    assert_eq!(goes("v=0\nm=audio 4000 RTP/AVP 0"), ["2 0 Rtp :4000"]);
    assert_eq!(goes(BARESIP).len(), 2);
}

#[test]
fn rtcp_has_nowhere_to_go_above_the_last_port() {
    let last = SAMSUNG.replace("30042", "65535").replace("a=rtcp:30043\r\n", "");
    assert_eq!(targets(&last), [[Some("10.17.0.21:65535".to_owned()), None]]);
    let zero = SAMSUNG.replace("rtcp:30043", "rtcp:0");
    assert_eq!(targets(&zero), [[Some("10.17.0.21:30042".to_owned()), None]]);
    let out = read(SAMSUNG).rewrite(us(), &[Place::Anchor { port: 65_535 }]);
    assert!(!String::from_utf8(out).unwrap().contains("a=rtcp"));
}

#[test]
fn what_two_readers_would_read_differently_is_refused() {
    let with = |old: &str, new: &str| {
        assert!(SAMSUNG.contains(old), "{old}");
        Sdp::parse(SAMSUNG.replacen(old, new, 1).as_bytes()).map_err(|e| e.to_string())
    };
    for (old, new) in [
        ("v=0", "v=1"),
        ("v=0\r\n", ""),
        ("t=0 0", "v=0"),
        ("t=0 0", "o=x 1 1 IN IP4 10.0.0.9"),
        ("t=0 0", "c=IN IP4 10.0.0.9"),
        ("t=0 0", "t =0 0"),
        ("t=0 0", "hello"),
        ("t=0 0", "T=0 0"),
        ("t=0 0", "i=a\rb"),
        ("t=0 0", "i=a\0b"),
        ("audio 30042", "audio"),
        ("audio 30042", "audio 65536"),
        ("audio 30042", "audio -1"),
        ("audio 30042", "audio +30042"),
        ("audio 30042", "audio 30042/x"),
        ("audio 30042", "\u{e9} 30042"),
        ("8 0 18 101", "8 10.17.0.21"),
        ("c=IN IP4 10.17.0.21", "c=IN IP4"),
        ("c=IN IP4 10.17.0.21", "c=ATM NSAP 47.0091"),
        ("rtcp:30043", "rtcp:70000"),
        ("rtcp:30043", "rtcp:30043 IN IP4 phone.example"),
        ("rtcp:30043", "rtcp:30043\r\na=rtcp:30045"),
    ] {
        assert!(with(old, new).is_err(), "{old:?} as {new:?}");
    }
    assert!(with("t=0 0", "c=IN IP4 10.17.0.21").is_ok(), "the same said twice is clear");
    assert_eq!(with("t=0 0", "hello").unwrap_err(), "SDP line 5: not of the form x=value");
    assert!(Sdp::parse(b"").is_err() && Sdp::parse(b"\r\n\r\n").is_err());
}

#[test]
fn keys_in_clear_go_from_the_session_and_from_its_sections() {
    let body = |key: &str| {
        format!(
            "v=0\r\no=- 1 1 IN IP4 203.0.113.7\r\ns=-\r\nc=IN IP4 203.0.113.7\r\nt=0 0\r\n{key}\
             m=audio 0 RTP/AVP 0\r\ni=x\r\n{key}a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:k=\r\n"
        )
    };
    for key in ["k=clear:secret\r\n", "k=prompt\r\n", "k=\r\n", "k=base64:a2V5\nk=uri:x\r\n"] {
        assert_eq!(ours(&body(key)), body(""), "{key}");
        let text = without_keys(body(key).as_bytes());
        assert_eq!(String::from_utf8(text).unwrap(), body(""), "{key}");
    }
    assert_eq!(without_keys(b" k = clear:x\rs=k=1\nk=clear:y"), b"s=k=1\n");
}

#[test]
fn odd_but_clear_bodies_become_regular() {
    let odd = "v=0\no=John Doe 1 2 IN IP4 10.0.0.5\n\ns=-\nc=IN  IP4\t10.0.0.5/127/3\n\
        m=audio\t 4000/2  RTP/AVP   0 8 \n\
        a=rtcp-mux \na= candidate:x\na=RTCP-MUX\na=ICE-lite\r\n\r\n";
    assert_eq!(
        ours(odd),
        "v=0\r\no=John_Doe 1 2 IN IP4 203.0.113.7\r\ns=-\r\nc=IN IP4 203.0.113.7\r\n\
         m=audio 30000 RTP/AVP 0 8\r\n"
    );
    for (origin, want) in [
        ("o=", "o=- 0 0 "),
        ("o=x", "o=x 0 0 "),
        ("o=x 1", "o=x 1 0 "),
        ("o=x 1 2 IN IP4 pc.example", "o=x 1 2 "),
        ("o=10.0.0.5 1 2 IN IP4 h", "o=- 1 2 "),
        ("o=x 10.0.0.5 a;b IN IP4 h", "o=x 0 0 "),
    ] {
        let out = ours(&format!("v=0\r\n{origin}\r\n"));
        assert_eq!(out, format!("v=0\r\n{want}IN IP4 203.0.113.7\r\n"));
    }
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
    let chunk = format!("i={}\r\n", "z".repeat(4000));
    let exact = format!("v=0\r\n{}i={}", chunk.repeat(5), "z".repeat(20_480 - 5 - 5 * 4004 - 2));
    assert_eq!(exact.len(), 20_480);
    assert!(Sdp::parse(exact.as_bytes()).is_ok());
    assert!(Sdp::parse(format!("{exact}z").as_bytes()).is_err());
}
