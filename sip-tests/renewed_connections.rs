//! Connections to an upstream that end, or by which nobody answers: another is opened, and a
//! registration that may have gone with one is soon made anew.

use crate::lab::script::answer;
use crate::lab::{Lab, Msg, Party, Ua, ms, s, site};
use portreeve::config::SurviveAuth;
use portreeve::engine::{Health, Input};
use portreeve::ground::{ConnId, Flow, Transport};
use std::time::Duration;

/// In front of a PBX by TCP that is asked so often; a way to it by its connection of that number.
fn lab(probe: Option<Duration>, survive: SurviveAuth) -> (Lab, Ua, Party) {
    let mut lab = Lab::edge_with(|c| {
        c.upstreams[0].targets = vec![site::target("sip:203.0.113.10:5060;transport=tcp")];
        c.upstreams[0].probe = probe;
        c.survive.auth = survive;
    });
    let mut there = lab.pbx();
    (there.flow.transport, there.flow.listener) =
        (Transport::Tcp, portreeve::ground::ListenerId(4));
    let phone = lab.phone("101", "10.17.0.21:5060");
    lab.advance(s(2));
    for asked in lab.take(there) {
        lab.send(there, answer(&asked, 200, "o"));
    }
    lab.clear();
    (lab, phone, there)
}

fn ends(lab: &mut Lab, there: Party, conn: u64) {
    lab.input(Input::ConnectionBroken(Flow { conn: Some(ConnId(conn)), ..there.flow }));
}

/// After how many tenths of a second it is asked, within so many.
fn asked_after(lab: &mut Lab, there: Party, tenths: u32) -> Option<(u32, Msg)> {
    (0..=tenths).find_map(|n| {
        let got = lab.take(there).pop();
        lab.advance(ms(if got.is_some() { 0 } else { 100 }));
        got.map(|got| (n, got))
    })
}

#[test]
fn a_connection_that_ends_is_opened_again_at_once_and_ever_later_where_none_lasts() {
    for probe in [None, Some(s(30))] {
        let (mut lab, _, there) = lab(probe, SurviveAuth::Off);
        for (n, wait) in [(0, 0), (1, 10), (2, 20), (3, 40), (4, 80), (5, 160), (6, 320), (7, 320)]
        {
            ends(&mut lab, there, 900 + n);
            let before = (lab.now.mono, lab.upstream("pbx").health);
            assert_ne!(before.1, Health::Up, "nobody knows");
            loop {
                let (_, got) = asked_after(&mut lab, there, 400).expect("it is opened");
                assert_eq!(got.method(), "OPTIONS");
                lab.send(there, answer(&got, 200, "o"));
                let after = lab.now.mono.since(before.0);
                // Those of the file come between.
                if after >= ms(wait * 100) || probe.is_none() {
                    assert!(
                        (wait * 100..=wait * 100 + 200).contains(&(after.as_millis() as u64)),
                        "{n}: {after:?}"
                    );
                    break;
                }
            }
            assert_eq!(lab.upstream("pbx").health, Health::Up);
        }
        // One that has lasted.
        for _ in 0..70 {
            lab.advance(s(1));
            for got in lab.take(there) {
                lab.send(there, answer(&got, 200, "o"));
            }
        }
        ends(&mut lab, there, 990);
        let (after, got) = asked_after(&mut lab, there, 100).expect("it is opened");
        assert!(after <= 1, "{after}");
        lab.send(there, answer(&got, 200, "o"));
        lab.clear();
        lab.end();
    }
}

#[test]
fn while_nobody_takes_a_connection_the_upstream_is_not_up() {
    let (mut lab, _, there) = lab(Some(s(30)), SurviveAuth::Off);
    assert_eq!(lab.upstream("pbx").health, Health::Up);
    ends(&mut lab, there, 900);
    for _ in 0..3 {
        let (_, asked) = asked_after(&mut lab, there, 100).expect("it is opened");
        lab.input(Input::TransportFailed(asked.flow));
        lab.advance(ms(10));
        assert_eq!(lab.upstream("pbx").health, Health::Down, "{}", lab.situation());
    }
    let (_, asked) = asked_after(&mut lab, there, 100).expect("it is opened");
    lab.send(there, answer(&asked, 200, "o"));
    assert_eq!(lab.upstream("pbx").health, Health::Up);
    lab.clear();
    lab.end();
}

fn register(lab: &mut Lab, phone: &Ua, at: Party) -> Msg {
    let request = phone.request_to(lab, "REGISTER", "sip:pbx.example.com");
    let to = format!("<{}>", phone.aor());
    lab.send(phone.at, request.set("To", to).with("Expires", "3600"));
    let got = lab.expect(at, "REGISTER");
    assert_eq!(got.header("Expires"), "3600", "the registrar decides");
    let ok = answer(&got, 200, "r").with("Expires", "3600");
    lab.send(at, ok.with("Contact", format!("<{}>;expires=3600", got.contact())));
    lab.expect(phone.at, "200")
}

#[test]
fn a_registration_that_went_by_a_connection_is_made_anew_within_minutes() {
    let (mut lab, phone, there) = lab(None, SurviveAuth::Off);
    let told = register(&mut lab, &phone, there);
    assert!(told.header("Contact").ends_with(";expires=300"), "{told}");
    assert_eq!(told.header("Expires"), "300");
    lab.reload(|c| c.upstreams[0].targets = vec![site::target("sip:203.0.113.10:5060")]);
    lab.clear();
    let pbx = lab.pbx();
    let told = register(&mut lab, &phone, pbx);
    assert!(told.header("Contact").ends_with(";expires=3600"), "{told}");
    lab.clear();
    lab.end();
}

/// OPTIONS of ours that came there.
fn asked(lab: &mut Lab, there: Party) -> Vec<Msg> {
    lab.take(there).into_iter().filter(|m| m.method() == "OPTIONS").collect()
}

#[test]
fn what_leaves_a_site_alone_by_a_stream_makes_that_suspect_and_another_is_asked_at_once() {
    let (mut lab, phone, there) = lab(Some(s(30)), SurviveAuth::Network);
    register(&mut lab, &phone, there);
    lab.clear();
    let began = lab.now.mono;
    lab.call(&phone, "0301234567", 4000);
    lab.advance(ms(1_900));
    let first = asked(&mut lab, there).pop().expect("a doubt");
    assert!(lab.suspected.is_empty() && lab.upstream("pbx").alone.is_none());
    lab.advance(ms(200));
    assert!(lab.upstream("pbx").alone.is_some(), "{}", lab.situation());
    assert_eq!(lab.suspected.iter().map(|f| f.peer).collect::<Vec<_>>(), [there.flow.peer]);
    assert_eq!(asked(&mut lab, there).len(), 1, "another is asked");
    let says = |words: &str| lab.notices.iter().any(|(_, text)| text.contains(words));
    assert!(says("goes another way") && !says("redirected"), "{}", lab.situation());
    // Nobody answers by that either: the next one is tried, and not each second.
    lab.advance(s(25));
    assert!((2..=4).contains(&lab.suspected.len()), "{:?}", lab.suspected);
    let last = asked(&mut lab, there).pop().expect("it is asked");
    // What came by the first one after all is an answer to OPTIONS as well.
    assert!(lab.now.mono.since(began) < s(30));
    lab.send(there, answer(&first, 200, "o"));
    lab.send(there, answer(&last, 200, "o"));
    for _ in 0..40 {
        lab.advance(ms(500));
        for got in asked(&mut lab, there) {
            lab.send(there, answer(&got, 200, "o"));
        }
    }
    assert!(lab.upstream("pbx").alone.is_none(), "{}", lab.situation());
    assert_eq!(lab.upstream("pbx").why, "it answers OPTIONS again");
    lab.clear();
    lab.advance(s(40));
    lab.clear();
}
