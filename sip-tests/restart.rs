//! A call that is kept goes on after a restart: written down as values, read back with its tokens,
//! its ports and what the relay had learned.

use crate::lab::{Lab, Leg, Ua, s, site};
use portreeve::config::Learn;
use portreeve::engine::{Entry, Input, StoredCall};
use portreeve::relay::{Event, Leg as Party};
use std::net::SocketAddr;

fn parties(lab: &Lab) -> (Ua, Ua) {
    (lab.phone("101", "10.17.0.21:5060"), lab.far("200"))
}

fn kept(lab: &Lab) -> Vec<StoredCall> {
    let call = |e: &Entry| match e {
        Entry::Call(c) => Some((**c).clone()),
        Entry::Binding(_) | Entry::Confirmed(_) | Entry::Numbers(_) => None,
    };
    lab.stored.values().filter_map(call).collect()
}

fn up(lab: &mut Lab) -> (Leg, Leg) {
    lab.input(Input::KeepCalls(true));
    let (phone, pbx) = parties(lab);
    lab.establish(&phone, &pbx)
}

#[test]
fn a_kept_call_goes_on_after_a_restart_and_its_record_tells_of_all_of_it() {
    let mut lab = Lab::edge();
    let (mut a, mut b) = up(&mut lab);
    let (_, before) = lab.relay.only();
    lab.advance(s(100));
    lab.restart();
    lab.input(Input::KeepCalls(true));
    let (_, after) = lab.relay.only();
    assert_eq!(after.legs, before.legs, "the same ports and parties");
    assert!(after.idle.is_some(), "silence is supervised");
    assert_eq!(lab.engine.active_calls(), 1);
    // In-dialog requests both ways, by the Contacts and routes of before.
    for _ in 0..2 {
        let info = a.request(&mut lab, "INFO").typed("application/dtmf-relay", "Signal=5\r\n");
        lab.send(a.ua.at, info);
        let got = lab.expect(b.ua.at, "INFO");
        lab.send(b.ua.at, b.ua.answer(&got, 200, ""));
        lab.expect(a.ua.at, "200");
        std::mem::swap(&mut a, &mut b);
    }
    // The next call has a number of its own.
    let other = lab.phone("102", "10.17.0.22:5060");
    let far = lab.far("300");
    let (mut c, d) = lab.establish(&other, &far);
    lab.hang_up(&mut c, &d);
    lab.advance(s(20));
    lab.hang_up(&mut a, &b);
    let ends = lab.records.iter().filter_map(|r| match r {
        portreeve::audit::Record::CallEnd(e) => Some((e.call.0, e.duration_ms)),
        _ => None,
    });
    let ends: Vec<_> = ends.collect();
    assert_eq!(ends[0].0, 2);
    assert_eq!(ends[1], (1, Some(120_000)), "by the wall clock: {ends:?}");
    assert!(kept(&lab).is_empty(), "what is over is kept no longer");
    lab.end();
}

#[test]
fn what_the_relay_learned_comes_back_to_the_call_and_an_update_forgets_it() {
    let mut lab = Lab::edge_with(|c| c.interfaces[0].learn = Learn::SameIp);
    let (mut a, b) = up(&mut lab);
    let (stream, _) = lab.relay.only();
    let from: SocketAddr = "10.17.0.21:40404".parse().expect("an address");
    lab.relay.report(Event::Learned { stream, leg: Party::Caller, rtcp: false, from });
    lab.input(Input::Timeout);
    let pins = |lab: &Lab| {
        let calls = kept(lab);
        let media = calls[0].media.as_ref().expect("media");
        media.streams[0].as_ref().expect("audio").pins
    };
    assert_eq!(pins(&lab), [[Some(from), None], [None, None]]);
    lab.restart();
    let (_, after) = lab.relay.only();
    assert_eq!(after.party(Party::Caller).rtp, Some(from), "where it really is");
    lab.input(Input::KeepCalls(true));
    let moved = a.ua.sdp(4444);
    let invite = a.request(&mut lab, "INVITE").sdp(moved);
    lab.send(a.ua.at, invite);
    lab.expect(a.ua.at, "100");
    let got = lab.expect(b.ua.at, "INVITE");
    lab.send(b.ua.at, b.ua.answer(&got, 200, "").sdp(b.ua.sdp(6000)));
    lab.expect(a.ua.at, "200");
    let ack = a.ack(&mut lab);
    lab.send(a.ua.at, ack);
    lab.expect(b.ua.at, "ACK");
    assert_eq!(pins(&lab), [[None; 2]; 2], "the SDP says otherwise now");
    lab.hang_up(&mut a, &b);
    lab.end();
}

#[test]
fn a_call_written_read_and_written_again_is_the_same() {
    let mut lab = Lab::edge();
    let (mut a, b) = up(&mut lab);
    lab.advance(s(5));
    let before = kept(&lab);
    lab.restart();
    lab.stored.clear();
    lab.input(Input::KeepCalls(true));
    let text = |calls: &[StoredCall]| serde_json::to_string(calls).expect("text");
    assert_eq!(text(&kept(&lab)), text(&before));
    lab.hang_up(&mut a, &b);
    lab.end();
}

#[test]
fn a_call_whose_port_or_socket_is_gone_is_told_and_no_half_of_it_is_left() {
    let mut lab = Lab::edge();
    up(&mut lab);
    let (_, stream) = lab.relay.only();
    let port = SocketAddr::new(site::GATE_INSIDE.parse().expect("an address"), stream.legs[0].port);
    let entries: Vec<Entry> = lab.stored.values().cloned().collect();
    lab.stored.clear();
    lab.restart();
    lab.input(Input::ExcludePort(port));
    lab.input(Input::Restore(entries));
    assert_eq!((lab.engine.active_calls(), lab.relay.open.len()), (0, 0));
    assert!(lab.notices.iter().any(|(_, n)| n.contains("before the restart")));
    let used: usize = lab.stats().now.ports.iter().map(|p| p.used).sum();
    assert_eq!(used, 0);
}

#[test]
fn what_is_over_is_not_kept_though_nobody_keeps_calls_any_more() {
    let mut lab = Lab::edge();
    let (mut a, b) = up(&mut lab);
    lab.input(Input::KeepCalls(false));
    assert!(kept(&lab).is_empty(), "forgotten when nobody keeps it");
    lab.hang_up(&mut a, &b);
    lab.end();
    // Read back, and over before anybody says that calls are kept.
    let mut lab = Lab::edge();
    let (mut a, b) = up(&mut lab);
    lab.restart();
    lab.hang_up(&mut a, &b);
    assert!(kept(&lab).is_empty());
    lab.end();
    // What cannot go on is forgotten, too.
    let mut lab = Lab::edge();
    up(&mut lab);
    lab.config.interfaces[1].listen.remove(0);
    lab.restart();
    assert!(kept(&lab).is_empty(), "its socket is gone");
}

#[test]
fn a_registration_that_is_over_by_then_is_not_kept_for_ever() {
    let mut lab = Lab::edge();
    let phone = lab.phone("101", "10.17.0.21:5060");
    lab.register(&phone, 60);
    let stored = lab.stored.clone();
    lab.advance(s(61));
    assert!(lab.stored.is_empty());
    // It was down when the registration ended.
    lab.stored = stored;
    lab.restart();
    assert!(lab.stored.is_empty(), "{:?}", lab.stored);
    lab.end();
}

#[test]
fn an_ack_that_is_missing_since_before_a_restart_is_told_of_too() {
    let mut lab = Lab::edge();
    lab.input(Input::KeepCalls(true));
    let (phone, pbx) = parties(&lab);
    let invite = phone.request(&mut lab, "INVITE", "200").sdp(phone.sdp(4000));
    lab.send(phone.at, invite);
    let got = lab.expect(pbx.at, "INVITE");
    lab.send(pbx.at, pbx.answer(&got, 200, "b").sdp(pbx.sdp(6000)));
    lab.advance(s(10));
    let told = |lab: &Lab| {
        let is = |r: &&portreeve::audit::Record| {
            matches!(r, portreeve::audit::Record::Finding { finding, .. }
                if finding.as_str() == "ack_missing")
        };
        lab.records.iter().filter(is).count()
    };
    lab.restart();
    lab.input(Input::KeepCalls(true));
    lab.advance(s(31));
    assert_eq!((told(&lab), lab.engine.active_calls()), (0, 1));
    lab.advance(s(2));
    assert_eq!((told(&lab), lab.engine.active_calls()), (1, 1), "while it goes on");
    lab.clear();
}
