//! What an outside party brings by way of an upstream has a share, too: of one call, of one called
//! phone; what rings or waits gives way. The upstream itself need not be hostile for that.

use crate::lab::script::{Leg, answer};
use crate::lab::{Lab, Msg, Ua, s};
use portreeve::policy::quota::Resource;

/// Two registered phones, and how outside reaches the first.
fn phones(lab: &mut Lab) -> ([Ua; 2], String) {
    let one = lab.phone("101", "10.17.0.21:5060");
    let other = lab.phone("102", "10.17.0.22:5060");
    let sealed = lab.register(&one, 86_400);
    lab.register(&other, 86_400);
    lab.advance(s(40));
    ([one, other], sealed)
}

fn fullest(lab: &Lab, of: Resource) -> Option<(String, usize)> {
    let view = lab.engine.shares().into_iter().find(|v| v.resource == of);
    view.and_then(|v| v.fullest)
}

/// Requests of one method from the PBX to a phone; how many reached it.
fn sends(lab: &mut Lab, method: &str, to: &str, phone: &Ua, count: usize) -> usize {
    let pbx = lab.far("900");
    let mut there = 0;
    for n in 0..count {
        let request = pbx.request_to(lab, method, to).with("Event", "dialog");
        lab.send(pbx.at, request);
        if let Some(got) = lab.next(phone.at) {
            there += 1;
            if method != "INVITE" {
                lab.send(phone.at, answer(&got, 200, &format!("p{n}")).with("Expires", "86400"));
            }
        }
        lab.take(pbx.at);
        lab.take(phone.at);
    }
    there
}

/// As [`Lab::establish`], while somebody gives way.
fn establish(lab: &mut Lab, caller: &Ua, pbx: &Ua) -> (Leg, Leg) {
    let mut a = lab.call(caller, &pbx.user, 4000);
    let sent = lab.take(pbx.at);
    let got = sent.iter().find(|m| m.method() == "INVITE").expect("an INVITE");
    lab.send(pbx.at, pbx.answer(got, 200, "beside").sdp(pbx.sdp(6000)));
    let ok = lab.take(caller.at).pop().expect("an answer");
    assert_eq!(ok.status(), 200);
    a.learn(&ok);
    let ack = a.ack(lab);
    lab.send(caller.at, ack);
    let b = Leg::called(pbx, got, "beside");
    lab.clear();
    (a, b)
}

#[test]
fn one_calls_requests_leave_room_for_those_of_others() {
    let mut lab = Lab::edge_with(|c| {
        (c.limits.transactions, c.limits.transactions_per_user) = (100, 10);
    });
    let ([one, other], _) = phones(&mut lab);
    let pbx = lab.far("200");
    let (_, mut b) = lab.establish(&one, &pbx);
    let (mut c, d) = lab.establish(&other, &pbx);
    lab.advance(s(40));
    let mut there = 0;
    for _ in 0..200 {
        let info = b.request(&mut lab, "INFO");
        lab.send(pbx.at, info);
        if let Some(got) = lab.next(one.at) {
            there += 1;
            lab.send(one.at, answer(&got, 200, ""));
            lab.expect(pbx.at, "200");
        } else {
            lab.expect(pbx.at, "503");
        }
    }
    assert_eq!(there, 50, "half of the table, and no more");
    let (who, holds) = fullest(&lab, Resource::InDialog).expect("somebody");
    assert!(who.starts_with("call ") && holds == 50, "{who}");
    for method in ["INFO", "UPDATE"] {
        let request = c.request(&mut lab, method);
        lab.send(other.at, request);
        let got = lab.expect(pbx.at, method);
        lab.send(pbx.at, answer(&got, 200, ""));
        lab.expect(other.at, "200");
    }
    let bye = b.request(&mut lab, "BYE");
    lab.send(pbx.at, bye);
    let got = lab.expect(one.at, "BYE");
    lab.send(one.at, answer(&got, 200, ""));
    lab.expect(pbx.at, "200");
    lab.hang_up(&mut c, &d);
    lab.advance(s(40));
    lab.clear();
}

#[test]
fn what_is_brought_to_one_phone_leaves_room_for_all_others() {
    for method in ["OPTIONS", "MESSAGE", "INFO"] {
        let mut lab = Lab::edge_with(|c| {
            (c.limits.transactions, c.limits.transactions_per_user) = (100, 10);
        });
        let ([one, other], sealed) = phones(&mut lab);
        assert_eq!(sends(&mut lab, method, &sealed, &one, 120), 50, "{method}");
        let (who, holds) = fullest(&lab, Resource::Transactions).expect("somebody");
        assert!(who.starts_with("to ") && holds == 50, "{method}: {who}");
        let pbx = lab.far("200");
        let (mut a, b) = lab.establish(&other, &pbx);
        lab.hang_up(&mut a, &b);
        lab.register(&other, 600);
        // And nobody's own requests are kept out by what nobody is there for.
        sends(&mut lab, method, "sip:777@203.0.113.1", &one, 120);
        lab.register(&other, 600);
        lab.advance(s(40));
        lab.clear();
    }
}

#[test]
fn subscriptions_for_a_day_from_outside_give_way_to_calls() {
    let mut lab = Lab::edge_with(|c| c.limits.dialogs = 40);
    let ([one, other], sealed) = phones(&mut lab);
    sends(&mut lab, "SUBSCRIBE", &sealed, &one, 60);
    let pbx = lab.far("200");
    let (mut a, b) = establish(&mut lab, &other, &pbx);
    lab.hang_up(&mut a, &b);
    assert!(lab.stats().shares[Resource::Dialogs as usize][1].displaced > 0);
    lab.clear();
}

#[test]
fn calls_that_ring_from_outside_give_way_oldest_first_and_answered_ones_stay() {
    let mut lab = Lab::edge_with(|c| c.limits.calls = 20);
    let ([one, other], sealed) = phones(&mut lab);
    let pbx = lab.far("200");
    let (mut up, far) = lab.establish(&one, &pbx);
    assert_eq!(sends(&mut lab, "INVITE", &sealed, &one, 40), 40, "the newest are heard");
    assert!(lab.stats().now.dialogs <= 20);
    lab.clear();
    let (mut a, b) = establish(&mut lab, &other, &pbx);
    // A call of the outside that is answered stays, whatever rings after it.
    let invite = pbx.request_to(&mut lab, "INVITE", &sealed).sdp(pbx.sdp(6000));
    lab.send(pbx.at, invite.clone());
    let got = lab.take(one.at).into_iter().rfind(|m| m.method() == "INVITE").expect("it rings");
    lab.send(one.at, one.answer(&got, 200, "up").sdp(one.sdp(4000)));
    let ok = lab.take(pbx.at).pop().expect("an answer");
    assert_eq!(ok.status(), 200);
    let mut leg = Leg::calling(&pbx, &invite);
    leg.learn(&ok);
    let ack = leg.ack(&mut lab);
    lab.send(pbx.at, ack);
    sends(&mut lab, "INVITE", &sealed, &one, 40);
    let stats = lab.stats().shares[Resource::Calls as usize];
    assert!(stats[1].displaced > 0 && stats[0].displaced == 0, "{stats:?}");
    lab.clear();
    for (x, y) in [(&mut a, &b), (&mut up, &far)] {
        lab.hang_up(x, y);
    }
    let bye = leg.request(&mut lab, "BYE");
    lab.send(pbx.at, bye);
    lab.expect(one.at, "BYE");
    lab.clear();
}

#[test]
fn nobody_unproved_takes_the_place_of_a_call_that_rings_for_a_phone() {
    let mut lab = Lab::edge_with(|c| c.limits.calls = 10);
    let ([one, _], sealed) = phones(&mut lab);
    assert_eq!(sends(&mut lab, "INVITE", &sealed, &one, 10), 10);
    let stranger = lab.phone("199", "10.17.0.99:5060");
    lab.call(&stranger, "900", 4000);
    assert_eq!(lab.take(stranger.at).last().map(Msg::status), Some(503));
    lab.clear();
}
