//! An upstream that is there and serves nobody: 503 to everything, as a PBX in maintenance says it.

use super::{Lab, Ua, answers, converse, phones, register, surviving};
use crate::lab::script::answer;
use crate::lab::{Msg, s};
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

/// Every request gets this status for so long; those that came.
fn says(lab: &mut Lab, tenths: u32, status: impl Fn(&Msg) -> (u16, &'static str)) -> Vec<Msg> {
    let (mut all, pbx) = (Vec::new(), lab.pbx());
    for _ in 0..tenths {
        for asked in lab.take(pbx).into_iter().filter(|m| m.is_request() && m.method() != "ACK") {
            let (status, after) = status(&asked);
            let mut text = answer(&asked, status, "x");
            if !after.is_empty() {
                text = text.with("Retry-After", after);
            }
            lab.send(pbx, text);
            all.push(asked);
        }
        lab.advance(Duration::from_millis(100));
    }
    all
}

#[test]
fn who_says_to_our_options_that_it_serves_nobody_leaves_the_site_alone() {
    for status in [500, 502, 503, 504] {
        let (mut lab, [a, b]) = known();
        says(&mut lab, 330, |_| (status, ""));
        assert!(lab.upstream("pbx").alone.is_some(), "{status}: {}", lab.situation());
        let why = lab.upstream("pbx").why;
        assert!(why.contains(&status.to_string()) || why.contains("nothing comes"), "{why}");
        lab.clear();
        converse(&mut lab, &a, &b);
        says(&mut lab, 110, |_| (status, ""));
        lab.clear();
        assert_eq!(register(&mut lab, &a, |t| t).map(|m| m.status()), None, "tried there once");
        says(&mut lab, 1, |_| (status, ""));
        assert_eq!(lab.take(a.at).pop().map(|m| m.status()), Some(200), "and granted here");
        assert_eq!(register(&mut lab, &b, |t| t).map(|m| m.status()), Some(200));
        // It serves again.
        answers(&mut lab, 12);
        assert!(lab.upstream("pbx").alone.is_none(), "{status}");
        lab.take_all();
        lab.advance(s(40));
        lab.take_all();
        lab.end();
    }
}

#[test]
fn who_does_not_know_options_or_us_is_there() {
    for status in [200, 403, 404, 405, 408, 480, 501, 603] {
        let (mut lab, _) = known();
        says(&mut lab, 900, |_| (status, ""));
        assert!(lab.upstream("pbx").alone.is_none(), "{status}");
        assert_eq!(lab.upstream("pbx").health, portreeve::engine::Health::Up);
        lab.take_all();
        lab.end();
    }
}

#[test]
fn who_asks_to_be_spared_is_asked_no_sooner_but_within_half_a_minute() {
    for (after, most) in [("20", 5), ("3600", 4)] {
        let (mut lab, _) = known();
        let asked = says(&mut lab, 900, |_| (503, after));
        assert!(lab.upstream("pbx").alone.is_some());
        assert!((2..=most).contains(&asked.len()), "{after}: {} in 90 s", asked.len());
        lab.take_all();
        answers(&mut lab, 50);
        assert!(lab.upstream("pbx").alone.is_none());
        lab.end();
    }
}

#[test]
fn an_upstream_that_serves_and_refuses_our_options_alone_serves_all_the_same() {
    let mut lab = surviving("");
    lab.reload(|c| c.upstreams[0].probe = Some(s(30)));
    let (a, _) = phones(&mut lab);
    let says_500 = |m: &Msg| (if m.method() == "OPTIONS" { 500 } else { 200 }, "");
    says(&mut lab, 600, says_500);
    assert!(lab.upstream("pbx").alone.is_none(), "nobody else was refused");
    for _ in 0..5 {
        assert!(register(&mut lab, &a, |t| t).is_none());
        says(&mut lab, 100, says_500);
        assert_eq!(lab.take(a.at).pop().map(|m| m.status()), Some(200));
        assert!(lab.upstream("pbx").alone.is_none());
    }
    lab.take_all();
    lab.end();
}

#[test]
fn a_start_before_a_pbx_in_maintenance_is_alone_when_a_phone_is_refused_too() {
    let mut lab = surviving("");
    lab.reload(|c| c.upstreams[0].probe = Some(s(30)));
    let (a, b) = phones(&mut lab);
    lab.restart();
    says(&mut lab, 50, |_| (503, ""));
    assert!(lab.upstream("pbx").alone.is_none(), "there are who refuse OPTIONS alone");
    lab.call(&a, "102", 4000);
    says(&mut lab, 40, |_| (503, ""));
    assert!(lab.upstream("pbx").alone.is_some());
    lab.take_all();
    converse(&mut lab, &a, &b);
    lab.take_all();
    lab.advance(s(40));
    lab.take_all();
    lab.end();
}

#[test]
fn a_call_that_is_up_goes_on_through_who_serves_no_new_ones() {
    let (mut lab, [a, _]) = known();
    let far = lab.far("0301234567");
    let (mut out, back) = lab.establish(&a, &far);
    says(&mut lab, 330, |_| (503, ""));
    assert!(lab.upstream("pbx").alone.is_some());
    lab.clear();
    lab.hang_up(&mut out, &back);
    lab.take_all();
    lab.end();
}

#[test]
fn that_a_cancel_was_answered_says_nothing_of_options() {
    let mut lab = surviving("");
    lab.reload(|c| c.upstreams[0].probe = Some(s(30)));
    let (a, _) = phones(&mut lab);
    lab.advance(s(40));
    lab.take_all();
    let call = lab.call(&a, "0301234567", 4000);
    let asked = lab.take(lab.pbx()).into_iter().find(|m| m.method() == "INVITE").expect("asked");
    lab.send(lab.pbx(), answer(&asked, 180, "t"));
    lab.send(a.at, call.cancel());
    let cancel = lab.take(lab.pbx()).into_iter().find(|m| m.method() == "CANCEL").expect("so");
    lab.send(lab.pbx(), answer(&cancel, 200, "t"));
    lab.send(lab.pbx(), answer(&asked, 487, "t"));
    lab.take_all();
    lab.advance(s(90));
    assert!(lab.upstream("pbx").alone.is_none(), "it answers no OPTIONS, and all else");
    lab.take_all();
    lab.end();
}

#[test]
fn a_phone_that_is_refused_before_that_is_known_hears_when_to_come_again() {
    let (mut lab, [a, _]) = known();
    let asks = |lab: &mut Lab, after: &'static str| {
        assert!(register(lab, &a, |t| t).is_none(), "it is asked");
        says(lab, 2, |m| if m.method() == "OPTIONS" { (200, "") } else { (503, after) });
        lab.take(a.at).pop().expect("an answer")
    };
    // Of one 503 nobody knows that all else would fail (RFC 3261 section 16.7): it is this request's.
    let told = asks(&mut lab, "7 (maintenance)");
    assert_eq!((told.status(), told.header("Retry-After")), (500, "7"));
    let told = asks(&mut lab, "99999999999;duration=3");
    assert_eq!((told.status(), told.header("Retry-After")), (500, "3600"));
    let told = asks(&mut lab, "");
    assert_eq!((told.status(), told.has("Retry-After")), (500, false));
    // It refuses our OPTIONS, too.
    let refused = (0..330).any(|_| !says(&mut lab, 1, |_| (503, "")).is_empty());
    assert!(refused && lab.upstream("pbx").alone.is_none(), "a doubt");
    // What is refused then is served here.
    assert!(register(&mut lab, &a, |t| t).is_none());
    says(&mut lab, 25, |_| (503, ""));
    assert_eq!(lab.take(a.at).pop().map(|m| m.status()), Some(200));
    lab.clear();
}

/// Its proxy challenges who brings no credentials; what it was asked before asks nothing else.
fn proxy(m: &Msg) -> (u16, &'static str) {
    match m.method() {
        "REGISTER" if !m.has("Authorization") => (401, ""),
        _ => (503, ""),
    }
}

#[test]
fn what_a_proxy_says_to_a_stranger_keeps_no_pbx_alive() {
    let (mut lab, [a, b]) = known();
    let stranger = lab.phone("999", "10.17.0.66:5060");
    let mut alone = 0;
    for round in 0..90 {
        register(&mut lab, &stranger, |t| t);
        // Phones of the site that are challenged say no more of it.
        if round % 9 == 0 {
            register(&mut lab, &b, |t| t);
        }
        says(&mut lab, 7, proxy);
        lab.take(stranger.at);
        alone += usize::from(lab.upstream("pbx").alone.is_some());
    }
    assert!(alone >= 40, "{alone} of 90: {}", lab.situation());
    assert!(lab.upstream("pbx").alone.is_some(), "{}", lab.situation());
    lab.clear();
    converse(&mut lab, &a, &b);
    lab.clear();
    lab.advance(s(40));
    lab.clear();
}

#[test]
fn what_is_answered_within_calls_brings_no_pbx_back() {
    let (mut lab, [a, b]) = known();
    let far = lab.far("0301234567");
    let (mut out, back) = lab.establish(&b, &far);
    let within = |m: &Msg| (if m.method() == "INFO" { 200 } else { 503 }, "");
    says(&mut lab, 330, within);
    assert!(lab.upstream("pbx").alone.is_some(), "{}", lab.situation());
    for _ in 0..30 {
        let info = out.request(&mut lab, "INFO");
        lab.send(b.at, info);
        says(&mut lab, 20, within);
        let told: Vec<u16> = lab.take(b.at).iter().map(Msg::status).collect();
        assert_eq!(told, [200], "the call goes on");
        assert!(lab.upstream("pbx").alone.is_some(), "{}", lab.situation());
    }
    lab.clear();
    lab.hang_up(&mut out, &back);
    lab.take_all();
    converse(&mut lab, &b, &a);
    lab.clear();
    lab.advance(s(40));
    lab.clear();
}

#[test]
fn a_call_that_a_pbx_in_maintenance_refuses_rings_on_the_next_desk() {
    let (mut lab, [a, b]) = known();
    lab.call(&a, "102", 4000);
    assert!(register(&mut lab, &b, |t| t).is_none());
    says(&mut lab, 15, |_| (503, ""));
    let told = lab.take(a.at);
    assert!(told.iter().all(|m| m.status() < 200), "not before it is known: {told:?}");
    says(&mut lab, 15, |_| (503, ""));
    assert!(lab.upstream("pbx").alone.is_some(), "{}", lab.situation());
    let got = lab.take(b.at);
    assert!(got.iter().any(|m| m.is_request() && m.method() == "INVITE"), "{got:?}");
    let ok = got.iter().find(|m| m.status() == 200).expect("registered here");
    assert!(ok.header("Contact").contains("expires=60"), "{ok}");
    lab.clear();
    lab.advance(s(200));
    lab.clear();
}

#[test]
fn a_number_that_a_pbx_which_is_well_refuses_is_refused_at_once() {
    let (mut lab, [a, b]) = known();
    let options = |m: &Msg| (if m.method() == "OPTIONS" { 200 } else { 503 }, "");
    for user in ["102", "999777"] {
        let call = lab.call(&a, user, 4000);
        says(&mut lab, 2, options);
        let told = lab.take(a.at).pop().expect("an answer");
        assert_eq!(told.status(), 500, "{user}");
        lab.send(a.at, call.ack_refusal(&told));
        assert!(lab.take(b.at).is_empty());
        says(&mut lab, 50, options);
        assert!(lab.upstream("pbx").alone.is_none());
    }
    // Whoever gives up while that is asked hears that it is over.
    let call = lab.call(&a, "102", 4000);
    let asked = lab.take(lab.pbx()).into_iter().find(|m| m.method() == "INVITE").expect("so");
    lab.send(lab.pbx(), answer(&asked, 503, "t"));
    lab.take(a.at);
    lab.send(a.at, call.cancel());
    let told: Vec<u16> = lab.take(a.at).iter().map(Msg::status).collect();
    assert_eq!(told, [200, 487]);
    lab.clear();
    lab.advance(s(40));
    lab.clear();
}

#[test]
fn one_that_serves_several_users_is_back_whatever_it_says_to_options() {
    let (mut lab, [a, b]) = known();
    says(&mut lab, 330, |_| (503, ""));
    assert!(lab.upstream("pbx").alone.is_some());
    lab.clear();
    let all = |m: &Msg| (if m.method() == "OPTIONS" { 503 } else { 200 }, "");
    let mut waited = 0;
    while lab.upstream("pbx").alone.is_some() {
        for ua in [&a, &b] {
            register(&mut lab, ua, |t| t);
            says(&mut lab, 10, all);
        }
        waited += 2;
        assert!(waited < 60, "{}", lab.situation());
    }
    says(&mut lab, 300, all);
    assert!(lab.upstream("pbx").alone.is_none(), "and stays: {}", lab.situation());
    lab.clear();
    lab.advance(s(40));
    lab.clear();
}
