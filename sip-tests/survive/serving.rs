//! What leaves a site alone, and what does not; what ends it.

use super::{answers, phones, pull, surviving};
use crate::lab::script::answer;
use crate::lab::{Lab, Msg, s};
use std::time::Duration;

#[test]
fn one_number_that_nobody_answers_leaves_nobody_alone() {
    let mut lab = surviving("");
    let (a, b) = phones(&mut lab);
    let call = lab.call(&a, "999666", 4000);
    // The PBX lives, and says nothing to that number.
    let lost = answers(&mut lab, 31);
    assert!(lost.iter().all(|m| m.method() == "INVITE") && lost.len() >= 5, "it is asked again");
    assert!(lab.upstream("pbx").alone.is_none());
    lab.advance(s(2));
    let told = lab.take(a.at).pop().expect("an answer");
    assert_eq!(told.status(), 408);
    lab.send(a.at, call.ack_refusal(&told));
    lab.take_all();
    // Nor does one that gets 503 or 408 everywhere.
    for status in [503, 408] {
        for _ in 0..5 {
            let call = lab.call(&b, "999777", 4000);
            let asked = lab.expect(lab.pbx(), "INVITE");
            lab.send(lab.pbx(), answer(&asked, status, "no"));
            let heard = answers(&mut lab, 1);
            assert!(heard.iter().any(|m| m.method() == "ACK"));
            let told = lab.take(b.at).pop().expect("an answer");
            lab.send(b.at, call.ack_refusal(&told));
            lab.advance(s(3));
            assert!(lab.upstream("pbx").alone.is_none(), "{status}");
        }
    }
    lab.take_all();
    lab.end();
}

#[test]
fn a_slow_pbx_is_no_dead_one() {
    let mut lab = surviving("");
    let (a, _) = phones(&mut lab);
    for _ in 0..3 {
        let text = a.request(&mut lab, "MESSAGE", "200").typed("text/plain", "x");
        lab.send(a.at, text);
        let asked = lab.take(lab.pbx());
        let asked = asked.iter().find(|m| m.method() == "MESSAGE").expect("it goes out");
        lab.advance(Duration::from_millis(1_800));
        lab.send(lab.pbx(), answer(asked, 200, "m"));
        lab.advance(s(3));
        assert!(lab.upstream("pbx").alone.is_none());
    }
    lab.take_all();
    lab.advance(s(40));
    lab.take_all();
    lab.end();
}

#[test]
fn it_is_alone_within_two_seconds_of_what_nobody_answers_and_asks_until_somebody_does() {
    let mut lab = surviving("");
    let (a, _) = phones(&mut lab);
    let text = a.request(&mut lab, "MESSAGE", "200").typed("text/plain", "x");
    lab.send(a.at, text);
    lab.advance(Duration::from_millis(600));
    let asked: Vec<Msg> = lab.take(lab.pbx());
    assert!(asked.iter().any(|m| m.method() == "OPTIONS"), "asked at the first doubt");
    lab.advance(Duration::from_millis(1_300));
    assert!(lab.upstream("pbx").alone.is_none());
    lab.advance(Duration::from_millis(200));
    assert!(lab.upstream("pbx").alone.is_some());
    assert_eq!(lab.take(a.at).pop().map(|m| m.status()), Some(503));
    // For an hour somebody is asked every few seconds, and by few messages.
    lab.take_all();
    let mut most = 0;
    for _ in 0..900 {
        lab.advance(s(4));
        let asked = lab.take(lab.pbx());
        assert!(asked.iter().all(|m| m.method() == "OPTIONS"));
        most = most.max(asked.len());
    }
    assert!((1..=4).contains(&most), "{most} in 4 s");
    // One answer is not enough.
    let asked = next_options(&mut lab);
    lab.send(lab.pbx(), answer(&asked, 200, "o"));
    lab.advance(s(4));
    assert!(lab.upstream("pbx").alone.is_some());
    lab.advance(s(3));
    assert!(lab.upstream("pbx").alone.is_some(), "it fell silent again");
    answers(&mut lab, 12);
    assert!(lab.upstream("pbx").alone.is_none());
    assert!(lab.notices.iter().any(|(_, n)| n.contains("serves again")), "{}", lab.situation());
    lab.take_all();
    lab.end();
}

/// The next probe.
fn next_options(lab: &mut Lab) -> Msg {
    for _ in 0..40 {
        lab.advance(Duration::from_millis(250));
        if let Some(asked) = lab.take(lab.pbx()).pop() {
            return asked;
        }
    }
    panic!("nobody is asked");
}

#[test]
fn a_wan_that_flaps_has_to_stay_longer_each_time() {
    let mut lab = surviving("");
    let (a, _) = phones(&mut lab);
    let mut waits = Vec::new();
    for _ in 0..4 {
        pull(&mut lab, &a);
        let mut waited = 0;
        while lab.upstream("pbx").alone.is_some() {
            answers(&mut lab, 1);
            waited += 1;
            assert!(waited < 120, "it never comes back");
        }
        waits.push(waited);
    }
    assert!(waits.windows(2).all(|w| w[0] < w[1]), "{waits:?}");
    lab.take_all();
    lab.end();
}

#[test]
fn an_upstream_that_answers_no_options_serves_all_the_same() {
    let mut lab = surviving("");
    let phone = lab.phone("101", "10.17.0.21:5060");
    lab.reload(|c| c.upstreams[0].probe = Some(s(30)));
    lab.advance(s(10));
    assert!(lab.upstream("pbx").alone.is_none(), "it may be one of those");
    lab.take_all();
    lab.register(&phone, 600);
    lab.advance(s(8));
    assert!(lab.upstream("pbx").alone.is_none(), "it is");
    lab.take_all();
    lab.advance(s(300));
    assert!(lab.upstream("pbx").alone.is_none(), "no probe counts any more");
    lab.clear();
    lab.register(&phone, 600);
    let seen = lab.upstream("pbx");
    assert_eq!(seen.health, portreeve::engine::Health::Up);
    assert_eq!(seen.why, "it does not answer OPTIONS, and serves");
    lab.advance(s(100));
    assert_eq!(lab.upstream("pbx").health, portreeve::engine::Health::Up, "silence is no news");
    lab.take_all();
    for _ in 0..3 {
        let text = phone.request(&mut lab, "MESSAGE", "200").typed("text/plain", "x");
        lab.send(phone.at, text);
    }
    lab.advance(s(3));
    assert!(lab.upstream("pbx").alone.is_some(), "several requests do");
    lab.take_all();
    lab.end();
}

#[test]
fn a_site_that_is_alone_hears_of_its_return_whatever_a_new_file_says_of_probes() {
    for probe in [None, Some(s(600))] {
        let mut lab = surviving("");
        lab.reload(|c| c.upstreams[0].probe = Some(s(30)));
        let (a, _) = phones(&mut lab);
        answers(&mut lab, 40);
        pull(&mut lab, &a);
        lab.reload(|c| c.upstreams[0].probe = probe);
        let pbx = lab.upstream("pbx");
        assert!(pbx.alone.is_some(), "{probe:?}");
        answers(&mut lab, 30);
        assert!(lab.upstream("pbx").alone.is_none(), "it answers again: {probe:?}");
        // One that the file named not, for a while.
        pull(&mut lab, &a);
        let all = lab.config.upstreams.clone();
        lab.reload(|c| c.upstreams.clear());
        lab.advance(s(60));
        lab.reload(|c| c.upstreams = all);
        answers(&mut lab, 60);
        assert!(lab.upstream("pbx").alone.is_none(), "nor then: {probe:?}");
        lab.take_all();
        lab.end();
    }
}

#[test]
fn one_user_makes_no_site_alone_from_however_many_addresses() {
    let mut lab = surviving("");
    let (a, _) = phones(&mut lab);
    let desk = lab.phone("166", "10.17.0.66:5060");
    let other = lab.phone("166", "10.17.0.67:5060");
    lab.register(&desk, 600);
    lab.register(&other, 600);
    lab.reload(|c| c.upstreams[0].probe = Some(s(30)));
    lab.advance(s(10));
    lab.take_all();
    lab.register(&a, 600);
    lab.advance(s(300));
    lab.clear();
    lab.register(&a, 600);
    assert_eq!(lab.upstream("pbx").why, "it does not answer OPTIONS, and serves");
    lab.clear();
    for _ in 0..3 {
        for ua in [&desk, &other] {
            let text = ua.request(&mut lab, "MESSAGE", "200").typed("text/plain", "x");
            lab.send(ua.at, text);
        }
    }
    lab.advance(s(4));
    assert!(lab.upstream("pbx").alone.is_none(), "{}", lab.situation());
    let text = a.request(&mut lab, "MESSAGE", "200").typed("text/plain", "x");
    lab.send(a.at, text);
    lab.advance(s(4));
    assert!(lab.upstream("pbx").alone.is_some(), "of two users they do");
    lab.clear();
    lab.advance(s(40));
    lab.clear();
}
