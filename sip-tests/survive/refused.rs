//! An upstream by a stream whose connections are refused: nothing is surer to be not there.

use super::{Lab, Ua, phones, register, surviving};
use crate::lab::script::answer;
use crate::lab::{Msg, Party, s, site};
use portreeve::engine::Input;
use portreeve::ground::Transport;
use std::time::Duration;

/// A PBX by TCP that begins anew: its phones are known, nobody listens.
fn restarting() -> (Lab, [Ua; 2], Party) {
    let mut lab = surviving("");
    let (a, b) = phones(&mut lab);
    lab.reload(|c| {
        c.upstreams[0].targets = vec![site::target("sip:203.0.113.10:5060;transport=tcp")];
    });
    lab.clear();
    let mut there = lab.pbx();
    there.flow.transport = Transport::Tcp;
    (lab, [a, b], there)
}

/// Every connection is refused, for so long: what was to go there.
fn refuse(lab: &mut Lab, there: Party, tenths: u32) -> Vec<Msg> {
    let mut all = Vec::new();
    for _ in 0..tenths {
        for got in lab.take(there) {
            lab.input(Input::TransportFailed(got.flow));
            all.push(got);
        }
        lab.advance(Duration::from_millis(100));
    }
    all
}

#[test]
fn calls_and_registers_wait_until_the_site_is_alone_and_are_served_here() {
    let (mut lab, [a, b], there) = restarting();
    lab.call(&a, "102", 4000);
    lab.expect(a.at, "100");
    assert!(register(&mut lab, &a, |t| t).is_none(), "not yet");
    refuse(&mut lab, there, 18);
    assert!(lab.take(a.at).is_empty() && lab.take(b.at).is_empty());
    refuse(&mut lab, there, 5);
    assert!(lab.upstream("pbx").alone.is_some(), "{}", lab.situation());
    let rung = lab.expect(b.at, "INVITE");
    let told = lab.expect(a.at, "200");
    assert_eq!(told.header("CSeq"), "1 REGISTER");
    assert!(told.header("Contact").ends_with("expires=60"), "{told}");
    lab.send(b.at, b.answer(&rung, 486, "t"));
    lab.take_all();
    // Alone, it is so at once, and the PBX is asked every second.
    assert_eq!(register(&mut lab, &b, |t| t).map(|m| m.status()), Some(200));
    let asked = refuse(&mut lab, there, 50);
    assert!((3..=8).contains(&asked.len()) && asked.iter().all(|m| m.method() == "OPTIONS"));
    lab.take_all();
    lab.advance(s(40));
    lab.take_all();
    lab.end();
}

#[test]
fn a_pbx_that_is_back_within_two_seconds_gets_what_waited() {
    let (mut lab, [a, b], there) = restarting();
    lab.call(&a, "102", 4000);
    refuse(&mut lab, there, 12);
    lab.take_all();
    lab.advance(Duration::from_millis(600));
    let got = lab.take(there);
    let invites: Vec<&Msg> = got.iter().filter(|m| m.method() == "INVITE").collect();
    assert_eq!(invites.len(), 1, "it is sent again");
    for asked in &got {
        let status = if asked.method() == "INVITE" { 486 } else { 200 };
        lab.send(Party { flow: asked.flow }, answer(asked, status, "t"));
    }
    assert_eq!(lab.take(a.at).pop().map(|m| m.status()), Some(486));
    lab.advance(s(3));
    assert!(lab.upstream("pbx").alone.is_none() && lab.take(b.at).is_empty());
    lab.take_all();
    lab.advance(s(40));
    lab.take_all();
    lab.end();
}

#[test]
fn refused_probes_alone_leave_the_site_alone() {
    let (mut lab, [a, _], there) = restarting();
    lab.reload(|c| c.upstreams[0].probe = Some(s(30)));
    refuse(&mut lab, there, 35);
    assert!(lab.upstream("pbx").alone.is_some(), "{}", lab.situation());
    lab.take_all();
    // A phone that the PBX never knew is told what to do.
    let stranger = lab.phone("103", "10.17.0.23:5060");
    let told = register(&mut lab, &stranger, |t| t).expect("an answer");
    assert_eq!(told.status(), 503);
    assert!(!told.header("Retry-After").is_empty());
    assert_eq!(register(&mut lab, &a, |t| t).map(|m| m.status()), Some(200));
    lab.take_all();
    lab.end();
}

#[test]
fn where_no_site_survives_alone_a_refused_phone_is_told_when_to_come_again() {
    let (mut lab, [a, _], there) = restarting();
    lab.reload(|c| c.survive.auth = portreeve::config::SurviveAuth::Off);
    assert!(register(&mut lab, &a, |t| t).is_none());
    refuse(&mut lab, there, 1);
    let told = lab.expect(a.at, "503");
    assert_eq!(told.header("Retry-After"), "10");
    assert!(told.start.contains("Cannot Be Reached"), "{}", told.start);
    lab.take_all();
    lab.end();
}
