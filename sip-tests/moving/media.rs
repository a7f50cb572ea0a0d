//! Media and an address that changes: no sound goes to whoever has the address that we left, none
//! comes from one call into another by it, and calls that never left are not told of.

use super::staying::{has, own};
use super::*;
use crate::lab::Leg;
use crate::lab::script::sdp;
use crate::media_loops::spiral;
use portreeve::ground::Side;
use portreeve::relay::LegConfig;

/// A call from outside to a phone, with media there; the invitation, if it is not refused.
fn calls_in(lab: &mut Lab, pbx: &Ua, sealed: &str, body: &str) -> Result<Leg, u16> {
    let invite = pbx.request_to(lab, "INVITE", sealed).sdp(body);
    let leg = Leg::calling(pbx, &invite);
    lab.send(pbx.at, invite);
    match lab.take(pbx.at).pop().map(|m| m.status()) {
        Some(100) | None => Ok(leg),
        Some(status) => Err(status),
    }
}

fn answers(lab: &mut Lab, phone: &Ua, pbx: &Ua, leg: &mut Leg) {
    let rung = lab.take(phone.at).pop().expect("an INVITE");
    lab.send(phone.at, phone.answer(&rung, 200, "t").sdp(phone.sdp(4000)));
    leg.learn(&lab.expect(pbx.at, "200"));
    let ack = leg.ack(lab);
    lab.send(pbx.at, ack);
    lab.expect(phone.at, "ACK");
}

/// The PBX answers OPTIONS for so many seconds.
fn serves(lab: &mut Lab, pbx: &Ua, seconds: u64) {
    for _ in 0..seconds {
        for asked in lab.take(pbx.at) {
            lab.send(pbx.at, answer(&asked, 200, "o"));
        }
        lab.advance(s(1));
    }
    lab.clear();
}

fn changed(lab: &Lab) -> usize {
    findings(lab).iter().filter(|(finding, _)| *finding == Finding::AddressChanged).count()
}

fn outside(lab: &Lab) -> Vec<LegConfig> {
    let legs = lab.relay.open.values().flat_map(|s| s.legs);
    legs.filter(|l| l.side == Side::Outside).collect()
}

/// The machine has both for a while, as with IPv6.
fn moves_beside(lab: &mut Lab) {
    lab.advance(s(10));
    has(lab, &[own(OLD, true, &[]), own(NEW, false, &[])]);
    assert_eq!(at(lab), [NEW]);
}

#[test]
fn media_that_name_our_next_or_our_left_address_join_no_calls() {
    let mut lab = standing();
    let (phone, pbx) = parties(&lab);
    let other = lab.phone("102", "10.17.0.22:5060");
    let sealed = [lab.register(&phone, 600), lab.register(&other, 600)];
    // It will be ours, and is anybody's so far; answered before the change, and after it.
    let mut first = calls_in(&mut lab, &pbx, &sealed[0], &sdp(NEW, 20_444)).expect("it rings");
    answers(&mut lab, &phone, &pbx, &mut first);
    let mut second = calls_in(&mut lab, &pbx, &sealed[1], &sdp(NEW, 20_446)).expect("it rings");
    assert!(outside(&lab).iter().all(|l| l.party.rtp.is_some()));
    lab.take(pbx.at);
    moves_beside(&mut lab);
    assert!(outside(&lab).iter().all(|l| l.party == portreeve::relay::Party::UNKNOWN));
    lab.take(pbx.at);
    answers(&mut lab, &other, &pbx, &mut second);
    let legs = outside(&lab);
    assert!(legs.iter().all(|l| l.party.rtp.is_none() && l.party.rtcp.is_none()), "{legs:?}");
    // What we left is ours as long as calls go on at it.
    let sealed = [lab.register(&phone, 600), lab.register(&other, 600)];
    let port = legs[0].port;
    assert_eq!(legs[0].bind.to_string(), OLD);
    for port in [port, port + 1, 20_998] {
        let called = calls_in(&mut lab, &pbx, &sealed[1], &sdp(OLD, port));
        assert_eq!(called.err(), Some(488), "{port}");
        lab.clear();
        let invite = other.request(&mut lab, "INVITE", "200").sdp(sdp(OLD, port));
        lab.send(other.at, invite);
        assert_eq!(lab.take(other.at).pop().map(|m| m.status()), Some(488), "{port}");
        lab.clear();
    }
    // Who has it now speaks by other ports; and by any, when we hold none.
    let mut third = calls_in(&mut lab, &pbx, &sealed[1], &sdp(OLD, 40_000)).expect("it rings");
    answers(&mut lab, &other, &pbx, &mut third);
    for (leg, phone) in [(&mut first, &phone), (&mut second, &other), (&mut third, &other)] {
        let bye = leg.request(&mut lab, "BYE");
        lab.send(pbx.at, bye);
        let got = lab.expect(phone.at, "BYE");
        lab.send(phone.at, answer(&got, 200, ""));
        lab.expect(pbx.at, "200");
    }
    let mut last = calls_in(&mut lab, &pbx, &sealed[0], &sdp(OLD, port)).expect("it rings");
    answers(&mut lab, &phone, &pbx, &mut last);
    lab.clear();
}

#[test]
fn passes_of_one_call_meet_as_long_as_the_machine_has_the_address() {
    let mut lab = standing();
    let _call = spiral(&mut lab, |t| t).expect("it is joined");
    let met: Vec<_> = outside(&lab).iter().map(|l| l.party).collect();
    assert!(met.iter().all(|p| p.rtp.is_some_and(|at| at.ip().to_string() == OLD)), "{met:?}");
    let now = |lab: &Lab| outside(lab).iter().map(|l| l.party).collect::<Vec<_>>();
    moves_beside(&mut lab);
    assert_eq!(now(&lab), met, "it is there still");
    for gone in [NEW, ""] {
        lab.advance(s(10));
        stand(&mut lab, gone);
        assert!(now(&lab).iter().all(|p| *p == portreeve::relay::Party::UNKNOWN), "at {gone:?}");
        lab.advance(s(10));
        stand(&mut lab, OLD);
        lab.advance(s(10));
        assert_eq!((at(&lab), now(&lab)), (vec![OLD.to_owned()], met.clone()), "it is back");
    }
    lab.clear();
}

#[test]
fn ports_at_an_address_are_foretold_by_none_of_another_nor_by_those_of_before() {
    let mut lab = standing();
    let (phone, pbx) = parties(&lab);
    let mut all = Vec::new();
    for ip in [OLD, NEW, OLD, NEW] {
        move_to(&mut lab, ip);
        serves(&mut lab, &pbx, 100);
        assert_eq!(at(&lab), [ip]);
        let ports = [(); 4].map(|()| {
            let (mut near, far) = lab.establish(&phone, &pbx);
            let port = outside(&lab)[0].port;
            lab.hang_up(&mut near, &far);
            lab.clear();
            port
        });
        all.push(ports);
    }
    for (n, one) in all.iter().enumerate() {
        assert!(all[n + 1..].iter().all(|other| other != one), "{all:?}");
        assert!(all[n + 1..].iter().all(|other| other[0] != one[0]), "{all:?}");
    }
    lab.end();
}

#[test]
fn calls_that_never_left_are_not_told_of_and_others_are_counted() {
    let mut lab = standing();
    let (a, pbx) = parties(&lab);
    let b = lab.phone("102", "10.17.0.22:5060");
    lab.register(&a, 600);
    lab.register(&b, 600);
    // One that waited for the dead outside rings at the other desk; another begins there.
    let call = lab.call(&a, "102", 4000);
    lab.advance(s(3));
    assert!(lab.upstream("pbx").alone.is_some(), "{}", lab.situation());
    lab.take(pbx.at);
    lab.take(a.at);
    let rung = lab.expect(b.at, "INVITE");
    move_to(&mut lab, NEW);
    let text = systems(&lab).pop().unwrap_or_default();
    assert!(text.contains("what begins now is told the new address"), "{text}");
    assert!(!text.contains("way back"), "{text}");
    assert_eq!(changed(&lab), 0, "nothing is wrong with it");
    lab.send(b.at, b.answer(&rung, 486, "busy"));
    let told = lab.take(a.at).pop().expect("an answer");
    lab.send(a.at, call.ack_refusal(&told));
    lab.clear();
    let (mut near, far) = lab.establish(&a, &b);
    move_to(&mut lab, OLD);
    assert_eq!(changed(&lab), 0);
    lab.hang_up(&mut near, &far);
    lab.clear();
    // Those that left have lost something: two and one.
    serves(&mut lab, &pbx, 300);
    assert!(lab.upstream("pbx").alone.is_none(), "{}", lab.situation());
    lab.clear();
    let (one, two) = (lab.establish(&a, &pbx), lab.establish(&b, &pbx));
    move_to(&mut lab, NEW);
    let text = systems(&lab).pop().unwrap_or_default();
    let want = format!("; 2 calls under way at {OLD} have lost their way back");
    assert!(text.ends_with(&want), "{text}");
    assert_eq!(changed(&lab), 2);
    drop((one, two));
    lab.clear();
}

#[test]
fn a_call_whose_address_stays_on_the_machine_is_told_what_is_left_of_it() {
    let mut lab = standing();
    let (phone, pbx) = parties(&lab);
    let _call = lab.establish(&phone, &pbx);
    moves_beside(&mut lab);
    let all = findings(&lab);
    assert_eq!(all.len(), 1);
    let text = &all[0].1;
    assert!(text.contains("arrives as long as this machine has it, requests do not"), "{text}");
    lab.clear();
}

#[test]
fn silence_ends_a_call_whose_offer_of_a_new_address_failed() {
    let text = site::EDGE.replace("address = \"203.0.113.1\"", "device = \"wan0\"");
    let text = text.replacen("probe =", "interface = \"wan\"\nprobe =", 1);
    let text = text.replace("[media]", "[media]\nidle = \"10s\"");
    let mut lab = Lab::with(site::parse(&text), Users::None);
    stand(&mut lab, OLD);
    let (phone, pbx) = parties(&lab);
    let (mut near, _) = lab.establish(&phone, &pbx);
    move_to(&mut lab, NEW);
    let offer = near.request(&mut lab, "UPDATE").sdp(phone.sdp(4000));
    lab.send(phone.at, offer);
    let asked = lab.take(pbx.at).pop().expect("it is sent");
    // Nothing is heard by what was before, while the other waits for its answer.
    lab.relay.silent = true;
    lab.advance(s(11));
    lab.clear();
    lab.send(pbx.at, answer(&asked, 488, ""));
    assert_eq!((lab.engine.active_calls(), lab.take(phone.at).len()), (1, 1));
    lab.advance(s(12));
    let told = lab.take(phone.at);
    assert!(told.iter().any(|m| m.method() == "BYE"), "{}", lab.situation());
    lab.clear();
}
