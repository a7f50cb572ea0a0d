//! Who is not registered and dials an emergency number again is put through: his older attempt
//! gives way. Nobody who shares his address ends what he has reached.

use crate::lab::script::{Leg, answer};
use crate::lab::{Lab, Msg, Ua, s};
use portreeve::config::DefaultPolicy;

fn strict() -> Lab {
    Lab::edge_with(|c| c.policy.default = DefaultPolicy::Site)
}

fn nobody(lab: &Lab, port: u16) -> Ua {
    lab.phone("199", &format!("10.17.0.29:{port}"))
}

/// Dials; its leg, and the INVITE that the PBX gets, which rings.
fn dials(lab: &mut Lab, ua: &Ua) -> (Leg, Msg) {
    let pbx = lab.far("112");
    // A person needs longer than a machine.
    lab.advance(s(5));
    lab.take(ua.at);
    lab.take(pbx.at);
    let leg = lab.call(ua, "112", 4000);
    let told = lab.take(ua.at);
    assert_eq!(told.last().map(Msg::status), Some(100), "{told:?}");
    let all: Vec<Msg> = lab.take(pbx.at);
    let got = all.into_iter().rfind(|m| m.is_request() && m.method() == "INVITE");
    let got = got.expect("an INVITE");
    let tag = format!("t{}", lab.fresh());
    lab.send(pbx.at, pbx.answer(&got, 180, &tag));
    lab.expect(ua.at, "180");
    (leg, got)
}

/// The PBX answers, and the caller acknowledges.
fn answered(lab: &mut Lab, leg: &mut Leg, got: &Msg) -> Leg {
    let pbx = lab.far("112");
    lab.send(pbx.at, pbx.answer(got, 200, "up").sdp(pbx.sdp(6000)));
    let ok = lab.take(leg.ua.at).pop().expect("an answer");
    assert_eq!(ok.status(), 200);
    leg.learn(&ok);
    let ack = leg.ack(lab);
    lab.send(leg.ua.at, ack);
    lab.expect(pbx.at, "ACK");
    Leg::called(&pbx, got, "up")
}

#[test]
fn a_redialled_emergency_call_takes_the_place_of_one_that_was_cancelled_or_rings() {
    for cancelled in [false, true] {
        let mut lab = strict();
        let phone = nobody(&lab, 5060);
        let pbx = lab.pbx();
        for n in 0..5 {
            let (old, _) = dials(&mut lab, &phone);
            if cancelled {
                lab.send(phone.at, old.cancel());
                lab.expect(phone.at, "200");
                lab.expect(pbx, "CANCEL");
            }
            // The PBX hangs: it answers neither. A person needs longer than a machine.
            lab.advance(s(5));
            lab.take(phone.at);
            lab.take(pbx);
            lab.call(&phone, "112", 4000);
            let told: Vec<u16> = lab.take(phone.at).iter().map(Msg::status).collect();
            assert!(told.contains(&100), "{n}: {told:?}");
            assert_eq!(told.contains(&503), !cancelled, "{n}: {told:?}");
            let sent = lab.take(pbx);
            assert!(sent.iter().any(|m| m.method() == "INVITE"), "{n}: it leaves");
            assert_eq!(sent.iter().any(|m| m.method() == "CANCEL"), !cancelled, "{n}");
            assert!(cancelled || lab.stats().now.dialogs == 1, "{n}: the older one is gone");
            lab.advance(s(180));
            lab.clear();
        }
        assert_eq!(lab.security().contains(&"no_room"), !cancelled, "it is audited");
        lab.clear();
    }
}

#[test]
fn nobody_at_the_same_address_ends_an_answered_emergency_call_and_one_more_is_let_in() {
    let mut lab = strict();
    let (phone, other) = (nobody(&lab, 5060), nobody(&lab, 6666));
    let (mut leg, got) = dials(&mut lab, &phone);
    let mut far = answered(&mut lab, &mut leg, &got);
    for n in 0..10 {
        dials(&mut lab, &other);
        assert_eq!(lab.stats().now.dialogs, 2, "{n}");
    }
    // The second is answered, too: now a third has no place.
    let (mut second, got) = dials(&mut lab, &other);
    answered(&mut lab, &mut second, &got);
    lab.clear();
    lab.call(&other, "112", 4000);
    lab.expect(other.at, "503");
    // And the first talks on.
    lab.hang_up(&mut far, &leg);
    lab.clear();
}

#[test]
fn a_registered_phone_is_bound_by_its_own_cap_alone() {
    let mut lab = strict();
    let phone = lab.phone("101", "10.17.0.29:5060");
    lab.register(&phone, 600);
    let stranger = nobody(&lab, 6666);
    let (_, got) = dials(&mut lab, &phone);
    for _ in 0..5 {
        dials(&mut lab, &stranger);
    }
    let pbx = lab.far("112");
    lab.send(pbx.at, pbx.answer(&got, 200, "up").sdp(pbx.sdp(6000)));
    lab.expect(phone.at, "200");
    lab.advance(s(1));
    lab.clear();
}

#[test]
fn a_late_answer_to_one_that_gave_way_is_ended_for_both() {
    let mut lab = strict();
    let phone = nobody(&lab, 5060);
    let (_, first) = dials(&mut lab, &phone);
    let (_, _) = dials(&mut lab, &phone);
    let pbx = lab.far("112");
    lab.take(pbx.at);
    lab.take(phone.at);
    lab.send(pbx.at, pbx.answer(&first, 200, "late").sdp(pbx.sdp(6000)));
    let told: Vec<String> = lab.take(pbx.at).iter().map(|m| m.method().to_owned()).collect();
    assert_eq!(told, ["ACK", "BYE"]);
    lab.clear();
}

/// Subscribes within an answered emergency call, and hangs up.
fn subscribes_and_hangs_up(lab: &mut Lab, port: u16) {
    let (phone, pbx) = (nobody(lab, port), lab.pbx());
    let (mut leg, got) = dials(lab, &phone);
    let far = answered(lab, &mut leg, &got);
    let subscribe = leg.request(lab, "SUBSCRIBE").with("Event", "dialog");
    lab.send(phone.at, subscribe.with("Expires", "86400"));
    if let Some(got) = lab.next(pbx) {
        lab.send(pbx, answer(&got, 200, "").with("Expires", "86400"));
    }
    lab.clear();
    lab.hang_up(&mut leg, &far);
    lab.clear();
}

#[test]
fn what_outlives_an_emergency_call_gives_way_to_others() {
    let mut lab = Lab::edge_with(|c| {
        c.policy.default = DefaultPolicy::Site;
        c.limits.dialogs = 40;
    });
    let known = lab.phone("102", "10.17.0.22:5060");
    lab.register(&known, 90_000);
    for n in 0..60 {
        subscribes_and_hangs_up(&mut lab, 7000 + n);
        lab.advance(s(1));
    }
    assert!(lab.stats().now.dialogs <= 40);
    let pbx = lab.far("200");
    let (mut a, b) = lab.establish(&known, &pbx);
    lab.hang_up(&mut a, &b);
    let (_, _) = dials(&mut lab, &known);
    lab.clear();
}

#[test]
fn a_registered_phone_in_need_is_never_worse_off_than_a_stranger() {
    let mut lab = Lab::edge_with(|c| {
        c.policy.default = DefaultPolicy::Site;
        (c.limits.calls, c.limits.calls_per_user) = (4, 2);
    });
    let pbx = lab.far("200");
    let phones = [("101", "10.17.0.21:5060"), ("102", "10.17.0.22:5060")].map(|(user, at)| {
        let phone = lab.phone(user, at);
        lab.register(&phone, 600);
        phone
    });
    for phone in &phones {
        lab.establish(phone, &pbx);
        lab.establish(phone, &pbx);
    }
    dials(&mut lab, &phones[0]);
    dials(&mut lab, &phones[0]);
    let stranger = nobody(&lab, 5060);
    dials(&mut lab, &stranger);
    lab.clear();
}

#[test]
fn strangers_in_need_leave_a_place_to_registered_phones() {
    let mut lab = Lab::edge_with(|c| {
        c.policy.default = DefaultPolicy::Site;
        c.limits.dialogs = 40;
        c.media.ports = (20000, 20079);
    });
    let known = lab.phone("102", "10.17.0.22:5060");
    lab.register(&known, 600);
    for n in 1..=60 {
        let ua = lab.phone("199", &format!("10.17.1.{n}:5060"));
        lab.call(&ua, "112", 4000);
        lab.clear();
    }
    let (_, got) = dials(&mut lab, &known);
    assert_eq!(got.uri(), "sip:112@pbx.example.com");
    lab.clear();
}
