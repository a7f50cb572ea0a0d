//! A call as its trace tells it, with messages as they are on the wire.

use super::*;
use crate::relay::{Event, Leg};
use std::time::Duration;

const PHONE: &str = "10.17.0.21:5060";
const PBX: &str = "198.51.100.2:5060";

fn at(ms: u64) -> Now {
    let since = Duration::from_millis(ms);
    Now { mono: crate::ground::Mono(since), wall: crate::ground::Wall(since) }
}

fn tracer() -> Tracer {
    let text = include_str!("../../../configs/minimal.toml");
    let config = Config::parse("t", text, &crate::config::Environment::default()).unwrap();
    let mut tracer = Tracer::default();
    tracer.follow(&config);
    assert!(tracer.sockets.len() >= 2);
    tracer
}

fn flow(tracer: &Tracer, side: Side, peer: &str) -> Flow {
    let mut of: Vec<_> = tracer.sockets.iter().filter(|(_, s)| s.side == side).collect();
    of.sort_by_key(|(id, _)| **id);
    let listener = *of.first().unwrap().0;
    let (transport, peer) = (Transport::Udp, peer.parse().unwrap());
    Flow { listener, transport, peer, conn: None, upstream: None }
}

fn message(start: &str, call_id: &str, host: &str, more: &str) -> Bytes {
    let cseq = if start.starts_with("SIP") { "INVITE" } else { start.split(' ').next().unwrap() };
    let body = format!(
        "v=0\r\no=- 1 1 IN IP4 {host}\r\nc=IN IP4 {host}\r\nm=audio 4000 RTP/AVP 0\r\n\
                        a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:geheim\r\n"
    );
    let length = body.len();
    Bytes::from(format!(
        "{start}\r\nVia: SIP/2.0/UDP {host}:5060;branch=z9hG4bKa\r\nMax-Forwards: 70\r\n\
         From: <sip:101@{host}>;tag=a\r\nTo: <sip:200@{host}>\r\nCall-ID: {call_id}\r\n\
         CSeq: 1 {cseq}\r\nContact: <sip:101:geheim@{host}:5060>\r\n{more}\
         Content-Type: application/sdp\r\nContent-Length: {length}\r\n\r\n{body}"
    ))
}

fn leg(call: u64, side: Side, call_id: &str) -> Belongs {
    Belongs::Leg { call: CallNo(call), side, call_id: call_id.to_owned() }
}

fn invite(tracer: &mut Tracer) {
    let (inside, outside) = (flow(tracer, Side::Inside, PHONE), flow(tracer, Side::Outside, PBX));
    let secret =
        "Proxy-Authorization: Digest username=\"101\", nonce=\"geheim\", response=\"geheim\"\r\n";
    let bytes = message("INVITE sip:200@10.17.0.1 SIP/2.0", "in", "10.17.0.21", secret);
    tracer.heard(at(0), &Input::Message { flow: inside, bytes });
    tracer.sent(&inside, &message("SIP/2.0 100 Trying", "in", "10.17.0.21", ""));
    tracer.belongs(at(0), leg(7, Side::Inside, "in"));
    tracer.belongs(at(0), leg(7, Side::Outside, "out"));
    let onward = message("INVITE sip:200@pbx.example.com SIP/2.0", "out", "203.0.113.7", "");
    tracer.sent(&outside, &onward);
    tracer.settle(at(0), 100);
}

#[test]
fn a_message_is_shown_with_what_was_changed_in_it_and_no_secret() {
    let mut t = tracer();
    invite(&mut t);
    let view = t.view(CallNo(7)).unwrap();
    let [came, trying, onward] = view.messages.as_slice() else { panic!("{view:?}") };
    assert!(came.heard && !came.made && came.side == Side::Inside);
    assert_eq!(
        (came.peer.to_string().as_str(), came.method.as_str(), came.cseq),
        (PHONE, "INVITE", 1)
    );
    assert!(trying.made && !trying.heard && trying.start == "100 Trying");
    assert_eq!((onward.side, onward.made, onward.again), (Side::Outside, false, false));
    let change = |what: &str| {
        let of = onward.changes.iter().find(|c| c.what == what);
        of.map(|c| (c.before.as_str(), c.after.as_str()))
    };
    assert_eq!(change("Call-ID"), Some(("in", "out")));
    let (was, is) = ("<sip:101:…@10.17.0.21:5060>", "<sip:101:…@203.0.113.7:5060>");
    assert_eq!(change("Contact"), Some((was, is)));
    assert_eq!(change("Proxy-Authorization"), Some(("there", "")));
    let of = onward.changes.iter().filter(|c| c.what == "SDP");
    let lines: Vec<_> = of.map(|c| c.after.as_str()).collect();
    assert_eq!(lines, ["o=- 1 1 IN IP4 203.0.113.7", "c=IN IP4 203.0.113.7"]);
    assert_eq!(came.sdp.len(), 3);
    let text = serde_json::to_string(&view).unwrap();
    assert!(!text.contains("geheim"), "{text}");
    assert!(!format!("{:?}", t.traces).contains("geheim"), "nor is one kept");
}

#[test]
fn what_is_of_no_call_is_not_kept_and_a_retransmission_is_one() {
    let mut t = tracer();
    invite(&mut t);
    let inside = flow(&t, Side::Inside, PHONE);
    let bytes = message("INVITE sip:200@10.17.0.1 SIP/2.0", "other", "10.17.0.21", "");
    t.heard(at(10), &Input::Message { flow: inside, bytes });
    t.settle(at(10), 100);
    assert_eq!(t.view(CallNo(7)).unwrap().messages.len(), 3);
    let bytes = message("INVITE sip:200@10.17.0.1 SIP/2.0", "in", "10.17.0.21", "");
    t.heard(at(500), &Input::Message { flow: inside, bytes });
    t.settle(at(500), 100);
    let view = t.view(CallNo(7)).unwrap();
    assert!(view.messages.last().is_some_and(|h| h.again && h.at_ms == 500));
    assert_eq!(t.view(CallNo(8)), None);
}

#[test]
fn a_spiral_is_told_apart_by_what_the_engine_names() {
    let mut t = tracer();
    invite(&mut t);
    // It comes back from outside under the same Call-ID, and is another call from then on.
    let outside = flow(&t, Side::Outside, PBX);
    let bytes = message("INVITE sip:102@203.0.113.7 SIP/2.0", "out", "198.51.100.2", "");
    t.heard(at(20), &Input::Message { flow: outside, bytes });
    t.belongs(at(20), leg(8, Side::Outside, "out"));
    t.settle(at(20), 100);
    assert_eq!(t.view(CallNo(7)).unwrap().messages.len(), 3);
    assert_eq!(t.view(CallNo(8)).unwrap().messages.len(), 1);
    // Of what nobody names it is not known which of the two it is: both show it.
    let bytes = message("SIP/2.0 180 Ringing", "out", "198.51.100.2", "");
    t.heard(at(30), &Input::Message { flow: outside, bytes });
    t.settle(at(30), 100);
    let messages = |no| t.view(CallNo(no)).unwrap().messages.len();
    assert_eq!((messages(7), messages(8)), (4, 2));
}

#[test]
fn messages_beyond_the_bound_give_way_in_the_middle() {
    let mut t = tracer();
    invite(&mut t);
    let inside = flow(&t, Side::Inside, PHONE);
    for n in 0..50 {
        let bytes = message("INFO sip:200@10.17.0.1 SIP/2.0", "in", "10.17.0.21", "");
        t.heard(at(n), &Input::Message { flow: inside, bytes });
        t.settle(at(n), 10);
    }
    let view = t.view(CallNo(7)).unwrap();
    assert_eq!((view.messages.len(), view.left_off), (10, 43));
    assert!(view.messages.first().is_some_and(|h| h.method == "INVITE"));
    assert!(view.messages.last().is_some_and(|h| h.at_ms == 49));
}

#[test]
fn news_of_media_and_findings_stand_beside_the_messages() {
    let mut t = tracer();
    invite(&mut t);
    let stream = StreamId(3);
    t.belongs(at(0), Belongs::Stream { call: CallNo(7), stream });
    let news = |event| Input::Relay(event);
    t.heard(at(1_000), &news(Event::FirstPacket { stream, leg: Leg::Callee }));
    t.heard(at(1_000), &news(Event::FirstPacket { stream: StreamId(4), leg: Leg::Callee }));
    let (call, evidence) = (CallNo(7), "no RTP from the caller".to_owned());
    let finding = Finding::OneWayAudio;
    t.read(at(9_000), &Record::Finding { call, call_id: String::new(), finding, evidence });
    let notes = t.view(call).unwrap().notes;
    let told: Vec<_> = notes.iter().map(|n| (n.at_ms, n.text.as_str(), n.finding)).collect();
    let first = (1_000, "first packet from the callee", None);
    assert_eq!(told, [first, (9_000, "no RTP from the caller", Some(finding))]);
}

#[test]
fn all_traces_together_are_bounded_and_a_forgotten_call_leaves_nothing() {
    let mut t = tracer();
    invite(&mut t);
    t.belongs(at(0), Belongs::Stream { call: CallNo(7), stream: StreamId(3) });
    t.forget(CallNo(7));
    assert!(t.legs.is_empty() && t.streams.is_empty() && t.traces.is_empty());
    assert_eq!(t.octets, 0);
    for call in 1..=(OCTETS / TRACE) as u64 + 100 {
        t.belongs(at(call), leg(call, Side::Inside, &call.to_string()));
        t.settle(at(call), 100);
    }
    assert!(t.octets <= OCTETS && t.traces.len() <= OCTETS / TRACE);
    assert_eq!(t.view(CallNo(1)), None, "the oldest gave way");
    assert_eq!(t.legs.len(), t.traces.len());
}
