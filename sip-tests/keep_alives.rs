//! Keep-alives (RFC 5626 §4.4): who pings is answered if he is known, or strangers are; nobody is
//! made to hear much because another pretends to be him; a ping is no message and nobody's guilt.

use crate::lab::{Lab, Party, s, site};
use portreeve::config::Strangers;
use portreeve::engine::Input;
use std::net::SocketAddr;

const PING: &[u8] = b"\r\n\r\n";
const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];

/// A binding request; `padded`: with a SOFTWARE attribute.
fn stun(padded: bool) -> Vec<u8> {
    let mut out = vec![0, 1, 0, if padded { 8 } else { 0 }];
    out.extend(COOKIE);
    out.extend([5; 12]);
    if padded {
        out.extend([0x80, 0x22, 0, 4]);
        out.extend(b"test");
    }
    out
}

fn say(lab: &mut Lab, from: Party, bytes: &[u8]) -> Option<Vec<u8>> {
    lab.input(Input::Message { flow: from.flow, bytes: bytes.to_vec().into() });
    assert_eq!(lab.waiting(), 0, "{}", lab.situation());
    let mut all = std::mem::take(&mut lab.packets);
    assert!(all.len() <= 1);
    let (flow, answer) = all.pop()?;
    assert_eq!(flow, from.flow, "back by the way it came");
    Some(answer.to_vec())
}

/// The address of an answer to [`stun`].
fn mapped(answer: &[u8]) -> SocketAddr {
    assert_eq!(answer[..2], [1, 1], "a success");
    assert_eq!(answer[4..8], COOKIE);
    assert_eq!(answer[8..20], [5; 12], "the same transaction");
    assert_eq!(answer[20..26], [0, 0x20, 0, 8, 0, 1], "XOR-MAPPED-ADDRESS by IPv4");
    let port = u16::from_be_bytes([answer[26] ^ 0x21, answer[27] ^ 0x12]);
    let ip: Vec<u8> = answer[28..32].iter().zip(COOKIE).map(|(a, b)| a ^ b).collect();
    SocketAddr::from(([ip[0], ip[1], ip[2], ip[3]], port))
}

#[test]
fn a_registered_phone_and_an_upstream_are_told_where_they_come_from() {
    let mut lab = Lab::edge_with(|c| c.interfaces[0].strangers = Strangers::Silent);
    let phone = lab.phone("101", "10.17.0.21:40123");
    lab.register(&phone, 600);
    for party in [phone.at, lab.pbx()] {
        for padded in [false, true] {
            let answer = say(&mut lab, party, &stun(padded)).expect("an answer");
            assert_eq!(mapped(&answer), party.addr());
            assert_eq!(answer.len(), 32);
        }
        assert_eq!(say(&mut lab, party, PING).as_deref(), Some(&b"\r\n"[..]));
        assert_eq!(say(&mut lab, party, b"\r\n"), None, "a pong has no answer");
    }
    assert_eq!(lab.stats().pings, [2, 4]);
    // Over, it is a stranger as any other.
    lab.advance(s(601));
    assert_eq!(say(&mut lab, phone.at, PING), None);
    lab.end();
}

#[test]
fn a_stranger_is_answered_where_strangers_are_and_never_much_longer_than_he_asked() {
    for (strangers, answered) in [(Strangers::Answer, true), (Strangers::Silent, false)] {
        let mut lab = Lab::edge_with(|c| {
            c.interfaces.iter_mut().for_each(|i| i.strangers = strangers);
        });
        for party in [lab.outside("198.51.100.66:5060"), lab.inside("10.17.0.66:5060")] {
            assert_eq!(say(&mut lab, party, PING).is_some(), answered);
            assert_eq!(say(&mut lab, party, &stun(true)).is_some(), answered);
            assert_eq!(say(&mut lab, party, &stun(false)), None, "32 octets for 20");
        }
        assert_eq!(lab.stats().silenced, [0, 0], "it is no request");
        assert!(lab.notices.is_empty(), "{:?}", lab.notices);
        lab.end();
    }
}

#[test]
fn a_flood_of_a_stranger_ends_and_takes_nothing_from_others() {
    let mut lab = Lab::edge_with(|c| c.interfaces[1].strangers = Strangers::Answer);
    let (flood, pbx) = (lab.outside("198.51.100.66:5060"), lab.pbx());
    let answers = (0..5_000).filter(|_| say(&mut lab, flood, PING).is_some()).count();
    assert!((1..=600).contains(&answers), "{answers}");
    for _ in 0..5_000 {
        assert!(say(&mut lab, pbx, PING).is_some(), "who is known is answered as often as he asks");
    }
    lab.end();
}

#[test]
fn nothing_of_stun_makes_anybody_guilty_and_what_is_not_understood_is_named() {
    let mut lab = Lab::edge();
    let pbx = lab.pbx();
    // CHANGE-REQUEST would have another address answer.
    let mut change = stun(false);
    change[3] = 8;
    change.extend([0, 3, 0, 4, 0, 0, 0, 6]);
    let answer = say(&mut lab, pbx, &change).expect("a failure");
    assert_eq!(answer[..2], [1, 0x11]);
    assert_eq!(answer[26..28], [4, 20]);
    // Indications and answers ask for nothing.
    for kind in [[0, 0x11], [1, 1], [1, 0x11]] {
        let mut other = stun(true);
        other[..2].copy_from_slice(&kind);
        assert_eq!(say(&mut lab, pbx, &other), None);
    }
    let guilt: u64 = lab.stats().signals.iter().sum();
    assert_eq!((guilt, lab.security()), (0, vec![]));
    lab.end();
}

#[test]
fn a_banned_source_hears_nothing() {
    let mut lab = Lab::edge_with(|c| {
        c.bans.enabled = true;
        c.interfaces[1].strangers = Strangers::Answer;
    });
    let stranger = lab.outside("198.51.100.66:5060");
    for _ in 0..40 {
        lab.input(Input::Message { flow: stranger.flow, bytes: "noise".into() });
    }
    assert_eq!(say(&mut lab, stranger, PING), None);
    lab.clear();
    let phone = lab.at(site::INSIDE_UDP, "10.17.0.21:5060");
    assert!(say(&mut lab, phone, PING).is_some(), "others are heard");
    lab.end();
}

#[test]
fn ways_to_upstreams_are_kept_open_by_streams_too() {
    for by in ["sips:203.0.113.10", "sip:203.0.113.10:5061;transport=udp"] {
        let text = crate::tls_calls::config(&format!("address = \"{by}\""), "");
        let mut lab = Lab::with(site::parse(&text), portreeve::engine::digest::Users::None);
        lab.reload(|c| c.interfaces[1].keepalive = Some(s(25)));
        lab.advance(s(80));
        let at: SocketAddr = "203.0.113.10:5061".parse().expect("an address");
        assert_eq!(lab.pings, [at; 3], "{by}");
        lab.end();
    }
}

#[test]
fn a_registrars_flow_timer_is_heeded() {
    let text = crate::tls_calls::config("address = \"sips:203.0.113.10\"", "");
    for (timer, pings) in [("20", 6), ("100", 1), ("5", 0), ("x", 0), ("99999", 0)] {
        let mut lab = Lab::with(site::parse(&text), portreeve::engine::digest::Users::None);
        let phone = lab.phone("101", "10.17.0.21:5060");
        // A phone that speaks RFC 5626 itself.
        let contact = "<sip:101@10.17.0.21;ob>;reg-id=1;+sip.instance=\"<urn:uuid:0-1>\"";
        let register = phone
            .request_to(&mut lab, "REGISTER", "sip:pbx.example.com")
            .set("To", format!("<{}>", phone.aor()))
            .set("Contact", contact)
            .with("Supported", "path, outbound")
            .with("Expires", "600");
        lab.send(phone.at, register);
        let pbx = lab.take_all().pop().expect("it goes on");
        assert!(pbx.contact().contains('@') && pbx.header("Contact").contains("reg-id=1"), "{pbx}");
        let ok = crate::lab::script::answer(&pbx, 200, "r")
            .with("Contact", format!("{};expires=600", pbx.header("Contact")))
            .with("Require", "outbound")
            .with("Flow-Timer", timer);
        lab.send(Party { flow: pbx.flow }, ok);
        let told = lab.expect(phone.at, "200");
        assert!(told.header("Contact").contains("sip:101@10.17.0.21;ob"), "{told}");
        lab.advance(s(100));
        assert_eq!(lab.pings.len(), pings, "{timer}");
        lab.end();
    }
}
