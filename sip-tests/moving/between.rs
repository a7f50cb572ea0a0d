//! Two phones whose call ran through a PBX that is a proxy, after the outside address has changed:
//! what one says the other hears, and whoever has the address that we left hears nothing of it.

use super::*;
use crate::forking::{proxied, returned};
use crate::lab::Leg;
use crate::lab::script::sdp_with;
use crate::media_loops::{Spiral, spiral};

/// What goes to our own socket there comes in at it.
fn by_ourselves(lab: &mut Lab, ip: &str) {
    let ours = lab.outside(&format!("{ip}:5060"));
    while let Some(got) = lab.next(ours) {
        lab.send(ours, got.bytes.clone());
    }
}

/// Whoever has an address that we left has heard nothing.
#[track_caller]
fn nobody_heard_at(lab: &mut Lab, ip: &str) {
    let there = lab.outside(&format!("{ip}:5060"));
    let heard = lab.take(there);
    assert!(heard.is_empty(), "at {ip}: {heard:?}");
    let to = |p: portreeve::relay::Party| p.rtp.or(p.rtcp).map(|at| at.ip().to_string());
    let legs = lab.relay.open.values().flat_map(|s| s.legs);
    assert!(legs.into_iter().all(|l| to(l.party).as_deref() != Some(ip)), "{:?}", lab.relay.open);
}

/// The call of a PBX that writes no Record-Route: passes name each other.
fn unrecorded(lab: &mut Lab) -> (Leg, Leg) {
    let (alice, bob) = (lab.phone("101", "10.17.0.21:5060"), lab.phone("102", "10.17.0.22:5060"));
    lab.register(&alice, 600);
    let sealed = lab.register(&bob, 600);
    let pbx = lab.pbx();
    let mut a = lab.call(&alice, "102", 4000);
    lab.expect(alice.at, "100");
    let out = lab.expect(pbx, "INVITE");
    lab.send(pbx, proxied(&out, &sealed, "z9hG4bKpbx1").without("Record-Route"));
    lab.expect(pbx, "100");
    let rung = lab.expect(bob.at, "INVITE");
    let b = Leg::called(&bob, &rung, "bob");
    lab.send(bob.at, bob.answer(&rung, 200, "bob").sdp(bob.sdp(4100)));
    let ok = lab.expect(pbx, "200");
    lab.send(pbx, returned(&ok));
    a.learn(&lab.expect(alice.at, "200"));
    let ack = a.ack(lab);
    lab.send(alice.at, ack);
    by_ourselves(lab, OLD);
    lab.expect(bob.at, "ACK");
    (a, b)
}

/// A call of two phones by the PBX, which does not answer any more where it stands between.
fn joined(lab: &mut Lab, recorded: bool) -> (Leg, Leg) {
    if !recorded {
        return unrecorded(lab);
    }
    let Spiral { alice, bob, .. } = spiral(lab, |t| t).expect("it is joined");
    falls_silent(lab, &alice.ua);
    (alice, bob)
}

fn falls_silent(lab: &mut Lab, phone: &Ua) {
    let asked = phone.request(lab, "OPTIONS", "200");
    lab.send(phone.at, asked);
    lab.advance(s(3));
    assert!(lab.upstream("pbx").alone.is_some(), "{}", lab.situation());
    lab.clear();
}

/// One says something, describes its media anew, and hangs up; the other hears all of it.
#[track_caller]
fn goes_on(lab: &mut Lab, from: &mut Leg, to: &Leg) {
    let info = from.request(lab, "INFO");
    lab.send(from.ua.at, info);
    by_ourselves(lab, NEW);
    let got = lab.expect(to.ua.at, "INFO");
    lab.send(to.ua.at, answer(&got, 200, ""));
    by_ourselves(lab, NEW);
    lab.expect(from.ua.at, "200");
    for direction in ["a=sendonly\r\n", ""] {
        let hold = from.request(lab, "INVITE");
        let offer = sdp_with(&from.ua.ip().to_string(), 4000, direction);
        lab.send(from.ua.at, hold.sdp(offer));
        lab.expect(from.ua.at, "100");
        by_ourselves(lab, NEW);
        let got = lab.expect(to.ua.at, "INVITE");
        assert!(got.body.contains(direction), "{got}");
        lab.send(to.ua.at, to.ua.answer(&got, 200, "").sdp(to.ua.sdp(4100)));
        by_ourselves(lab, NEW);
        lab.expect(from.ua.at, "200");
        let ack = from.ack(lab);
        lab.send(from.ua.at, ack);
        by_ourselves(lab, NEW);
        lab.expect(to.ua.at, "ACK");
    }
    meet_at(lab, NEW);
    let bye = from.request(lab, "BYE");
    lab.send(from.ua.at, bye);
    by_ourselves(lab, NEW);
    let got = lab.expect(to.ua.at, "BYE");
    lab.send(to.ua.at, answer(&got, 200, ""));
    by_ourselves(lab, NEW);
    lab.expect(from.ua.at, "200");
    assert_eq!(lab.engine.active_calls(), 0);
}

/// The legs outside send to each other there.
#[track_caller]
fn meet_at(lab: &Lab, ip: &str) {
    assert_eq!(lab.relay.open.len(), 2);
    let outside = |s: &crate::lab::relay::Stream| {
        let leg = s.legs.into_iter().find(|l| l.side == portreeve::ground::Side::Outside);
        leg.expect("one outside")
    };
    let all: Vec<_> = lab.relay.open.values().map(outside).collect();
    for (one, other) in [(all[0], all[1]), (all[1], all[0])] {
        assert_eq!(one.bind.to_string(), ip);
        assert_eq!(one.party.rtp, Some((other.bind, other.port).into()), "{all:?}");
    }
}

#[test]
fn phones_whose_call_ran_through_the_pbx_go_on_after_the_address_changed() {
    for recorded in [true, false] {
        for answerer in [false, true] {
            let mut lab = standing();
            let (mut alice, mut bob) = joined(&mut lab, recorded);
            move_to(&mut lab, NEW);
            nobody_heard_at(&mut lab, OLD);
            let (from, to) = if answerer { (&mut bob, &alice) } else { (&mut alice, &bob) };
            goes_on(&mut lab, from, to);
            nobody_heard_at(&mut lab, OLD);
            lab.clear();
            lab.advance(s(40));
            lab.clear();
            lab.end();
        }
    }
}

#[test]
fn the_pbx_is_asked_as_long_as_it_answers_though_the_other_pass_is_known() {
    let mut lab = standing();
    let Spiral { mut alice, bob, pbx, .. } = spiral(&mut lab, |t| t).expect("it is joined");
    move_to(&mut lab, NEW);
    let bye = alice.request(&mut lab, "BYE");
    lab.send(alice.ua.at, bye);
    let out = lab.expect(pbx, "BYE");
    assert!(out.uri().contains(OLD), "the Contact that it knows: {out}");
    // It leads where its own location says, or to an address of ours that opens.
    lab.send(pbx, proxied(&out, out.uri(), "z9hG4bKpbx9"));
    let got = lab.expect(bob.ua.at, "BYE");
    lab.send(bob.ua.at, answer(&got, 200, ""));
    let out = lab.expect(pbx, "200");
    lab.send(pbx, returned(&out));
    lab.expect(alice.ua.at, "200");
    nobody_heard_at(&mut lab, OLD);
    lab.clear();
    lab.end();
}

#[test]
fn who_hangs_up_while_the_outside_has_no_address_has_hung_up_for_both() {
    for answerer in [false, true] {
        let mut lab = standing();
        let (mut alice, mut bob) = joined(&mut lab, true);
        move_to(&mut lab, "");
        let (from, to) = if answerer { (&mut bob, &alice) } else { (&mut alice, &bob) };
        let info = from.request(&mut lab, "INFO");
        lab.send(from.ua.at, info);
        assert_eq!(lab.take(from.ua.at).pop().map(|m| m.status()), Some(503));
        let bye = from.request(&mut lab, "BYE");
        lab.send(from.ua.at, bye);
        assert_eq!(lab.take(from.ua.at).pop().map(|m| m.status()), Some(200));
        let got = lab.expect(to.ua.at, "BYE");
        lab.send(to.ua.at, answer(&got, 200, ""));
        assert_eq!(lab.engine.active_calls(), 0);
        lab.advance(s(40));
        lab.clear();
        lab.end();
    }
}

#[test]
fn a_contact_of_ours_whose_other_pass_is_gone_leads_to_nobody_at_an_address_that_we_left() {
    let mut lab = standing();
    let (mut alice, mut bob) = unrecorded(&mut lab);
    move_to(&mut lab, NEW);
    // The other phone has hung up, and that was not heard here.
    let bye = bob.request(&mut lab, "BYE");
    lab.send(bob.ua.at, bye);
    lab.clear();
    lab.advance(s(40));
    lab.clear();
    let info = alice.request(&mut lab, "INFO");
    lab.send(alice.ua.at, info);
    nobody_heard_at(&mut lab, OLD);
    lab.clear();
    lab.advance(s(40));
    lab.clear();
}
