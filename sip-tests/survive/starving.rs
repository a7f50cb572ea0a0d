//! An upstream that answers OPTIONS and nothing else: whoever stands before a PBX that is gone.

use super::{Lab, Ua, answers, converse, phones, register, surviving};
use crate::lab::script::answer;
use crate::lab::{Msg, s};
use portreeve::engine::Health;
use std::time::Duration;

/// Two phones of a PBX that is asked each 30 s, and has answered.
fn known() -> (Lab, [Ua; 2]) {
    let mut lab = surviving("");
    lab.reload(|c| c.upstreams[0].probe = Some(s(30)));
    let (a, b) = phones(&mut lab);
    answers(&mut lab, 35);
    lab.take_all();
    (lab, [a, b])
}

/// OPTIONS are answered with 200 for so long, all else as is said, or not at all.
fn front(lab: &mut Lab, tenths: u32, says: impl Fn(&Msg) -> Option<u16>) {
    let pbx = lab.pbx();
    for _ in 0..tenths {
        for asked in lab.take(pbx).into_iter().filter(|m| m.is_request() && m.method() != "ACK") {
            let options = asked.method() == "OPTIONS";
            if let Some(status) = if options { Some(200) } else { says(&asked) } {
                lab.send(pbx, answer(&asked, status, "x"));
            }
        }
        lab.advance(Duration::from_millis(100));
    }
}

fn nothing(_: &Msg) -> Option<u16> {
    None
}

fn is_alone(lab: &Lab) -> bool {
    lab.upstream("pbx").alone.is_some()
}

/// Both phones register, one after the other, in vain.
fn starve(lab: &mut Lab, all: &[Ua; 2], says: impl Fn(&Msg) -> Option<u16>) {
    for ua in all {
        assert!(register(lab, ua, |t| t).is_none());
        front(lab, 5, &says);
    }
    front(lab, 90, &says);
}

#[test]
fn requests_of_two_users_in_vain_leave_the_site_alone_though_options_are_answered() {
    let (mut lab, [a, b]) = known();
    lab.call(&a, "102", 4000);
    front(&mut lab, 10, nothing);
    assert!(register(&mut lab, &b, |t| t).is_none());
    front(&mut lab, 75, nothing);
    assert!(!is_alone(&lab), "it may be slow: {}", lab.situation());
    front(&mut lab, 20, nothing);
    assert!(is_alone(&lab), "{}", lab.situation());
    let got = lab.take(b.at);
    assert!(got.iter().any(|m| m.is_request() && m.method() == "INVITE"), "{got:?}");
    let ok = got.iter().find(|m| m.status() == 200).expect("registered here");
    assert!(ok.header("Contact").contains("expires=60"), "{ok}");
    // That it answers OPTIONS all the while changes nothing.
    front(&mut lab, 500, nothing);
    let seen = lab.upstream("pbx");
    assert!(seen.alone.is_some(), "{}", lab.situation());
    assert_eq!(
        (seen.health, seen.why.as_str()),
        (Health::Down, "it answers OPTIONS, and nothing else")
    );
    lab.clear();
    converse(&mut lab, &a, &b);
    lab.clear();
    lab.advance(s(200));
    lab.clear();
}

#[test]
fn registers_of_two_users_that_are_refused_or_time_out_do_the_same() {
    for status in [500, 502, 503, 504, 408] {
        let (mut lab, all) = known();
        starve(&mut lab, &all, |m| (m.method() == "REGISTER").then_some(status));
        assert!(is_alone(&lab), "{status}: {}", lab.situation());
        lab.clear();
        converse(&mut lab, &all[0], &all[1]);
        front(&mut lab, 300, |_| Some(status));
        assert!(is_alone(&lab), "{status}: {}", lab.situation());
        lab.clear();
        lab.advance(s(40));
        lab.clear();
    }
}

#[test]
fn who_challenges_before_a_registrar_that_is_gone_keeps_it_not_alive() {
    let (mut lab, all) = known();
    let asks = |m: &Msg| match m.method() {
        "REGISTER" if !m.has("Authorization") => Some(401),
        "INVITE" => Some(100),
        _ => None,
    };
    let proof = |t: crate::lab::script::Text| t.with("Authorization", "Digest username=\"x\"");
    for _ in 0..2 {
        for ua in &all {
            register(&mut lab, ua, |t| t);
            front(&mut lab, 3, asks);
            register(&mut lab, ua, proof);
            lab.call(ua, "0301234567", 4000);
            front(&mut lab, 20, asks);
        }
    }
    front(&mut lab, 60, asks);
    assert!(is_alone(&lab), "{}", lab.situation());
    lab.clear();
    lab.advance(s(300));
    lab.clear();
}

#[test]
fn no_user_and_no_number_alone_comes_to_that() {
    let (mut lab, [a, b]) = known();
    // One user, whatever he sends.
    for _ in 0..5 {
        register(&mut lab, &a, |t| t);
        lab.call(&a, "102", 4000);
        lab.call(&a, "0301234567", 4000);
        front(&mut lab, 100, nothing);
        assert!(!is_alone(&lab), "{}", lab.situation());
    }
    front(&mut lab, 400, nothing);
    lab.take_all();
    // He is served again.
    register(&mut lab, &a, |t| t);
    front(&mut lab, 3, |_| Some(200));
    // Numbers that nobody answers, whoever calls them.
    for number in ["999666", "999777", "0301234567"] {
        lab.call(&a, number, 4000);
        lab.call(&b, number, 4000);
        front(&mut lab, 100, nothing);
        assert!(!is_alone(&lab), "{number}: {}", lab.situation());
    }
    front(&mut lab, 400, nothing);
    lab.clear();
    lab.advance(s(80));
    lab.clear();
}

#[test]
fn anything_that_is_served_meanwhile_says_that_it_serves() {
    let (mut lab, [a, b]) = known();
    let message = |m: &Msg| (m.method() == "MESSAGE").then_some(200);
    for round in 0..6 {
        let silent = if round % 2 == 0 { &a } else { &b };
        register(&mut lab, silent, |t| t);
        front(&mut lab, 60, message);
        let text = a.request(&mut lab, "MESSAGE", "200").typed("text/plain", "x");
        lab.send(a.at, text);
        front(&mut lab, 60, message);
        assert!(!is_alone(&lab), "{}", lab.situation());
    }
    front(&mut lab, 400, message);
    lab.clear();
    lab.advance(s(80));
    lab.clear();
}

#[test]
fn it_is_back_when_a_register_is_served_that_is_tried_there() {
    let (mut lab, all) = known();
    starve(&mut lab, &all, nothing);
    assert!(is_alone(&lab), "{}", lab.situation());
    lab.clear();
    // In vain, and each is granted here.
    for round in 0..4 {
        let ua = &all[round % 2];
        let told = register(&mut lab, ua, |t| t);
        front(&mut lab, 120, nothing);
        let told = told.or_else(|| lab.take(ua.at).pop());
        assert_eq!(told.map(|m| m.status()), Some(200));
        assert!(is_alone(&lab), "{}", lab.situation());
    }
    let serves = |_: &Msg| Some(200);
    let mut waited = 0;
    while is_alone(&lab) {
        register(&mut lab, &all[waited % 2], |t| t);
        front(&mut lab, 50, serves);
        waited += 1;
        assert!(waited < 12, "{}", lab.situation());
    }
    front(&mut lab, 600, serves);
    assert!(!is_alone(&lab), "{}", lab.situation());
    assert_eq!(lab.upstream("pbx").health, Health::Up);
    lab.clear();
    lab.advance(s(40));
    lab.clear();
}

#[test]
fn a_site_of_one_user_needs_several_of_his_requests() {
    let mut lab = surviving("");
    lab.reload(|c| c.upstreams[0].probe = Some(s(30)));
    let a = lab.phone("101", "10.17.0.21:5060");
    lab.register(&a, 600);
    answers(&mut lab, 35);
    lab.take_all();
    for n in 1..=3 {
        assert!(!is_alone(&lab), "{n}");
        register(&mut lab, &a, |t| t);
        front(&mut lab, 90, nothing);
    }
    assert!(is_alone(&lab), "{}", lab.situation());
    lab.clear();
    lab.advance(s(40));
    lab.clear();
}
