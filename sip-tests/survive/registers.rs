//! REGISTER while the site is alone, and when it is not any more.

use super::{answers, converse, count, phones, pull, register, surviving};
use crate::lab::digest;
use crate::lab::script::answer;
use crate::lab::{Lab, Msg, s, site};
use portreeve::engine::digest::Users;
use portreeve::engine::stats::AloneResult;

#[test]
fn a_phone_that_the_pbx_knew_registers_for_a_minute_and_no_other_does() {
    let mut lab = surviving("");
    let (a, b) = phones(&mut lab);
    pull(&mut lab, &a);
    let ok = register(&mut lab, &a, |t| t).expect("an answer");
    assert_eq!(ok.status(), 200, "{ok}");
    assert!(ok.contact().contains("101@10.17.0.21"), "{ok}");
    assert!(ok.header("Contact").ends_with("expires=60"), "{ok}");
    // Another address, another host in Contact, another user: none of them inherits.
    let moved = lab.phone("101", "10.17.0.99:5060");
    let renamed = "<sip:101@10.17.0.99:5060>";
    let stranger = lab.phone("103", "10.17.0.21:5060");
    let told = [
        register(&mut lab, &moved, |t| t),
        register(&mut lab, &a, |t| t.set("Contact", renamed)),
        register(&mut lab, &stranger, |t| t),
        register(&mut lab, &moved, |t| t.set("Contact", "<sip:101@10.17.0.21:5060>")),
    ];
    for no in told.map(|m| m.expect("an answer")) {
        assert_eq!(no.status(), 503, "{no}");
        assert!(no.start.contains("PBX Cannot Be Reached"), "{no}");
        let after: u32 = no.header("Retry-After").parse().unwrap();
        assert!((30..90).contains(&after));
    }
    assert_eq!(count(&lab, AloneResult::UnknownPhone), 4);
    // The bindings of those that are registered are what they were.
    converse(&mut lab, &b, &a);
    // A phone that comes each minute stays; one that does not come ends.
    for _ in 0..20 {
        lab.advance(s(50));
        // One each ten seconds is tried at the PBX first.
        let told = register(&mut lab, &a, |t| t);
        lab.advance(s(1));
        let ok = told.or_else(|| lab.take(a.at).pop()).expect("an answer");
        assert_eq!(ok.status(), 200);
        lab.take_all();
    }
    assert_eq!(lab.kept_bindings().len(), 1, "102 had 600 s from the PBX");
    lab.take_all();
    lab.end();
}

#[test]
fn what_was_confirmed_is_known_after_a_restart_in_the_dark() {
    let mut lab = surviving("");
    let (a, b) = phones(&mut lab);
    lab.advance(s(700));
    assert!(lab.kept_bindings().is_empty(), "no binding is left");
    lab.restart();
    pull(&mut lab, &a);
    assert_eq!(register(&mut lab, &a, |t| t).map(|m| m.status()), None, "tried first");
    lab.advance(s(1));
    assert_eq!(lab.take(a.at).pop().map(|m| m.status()), Some(200));
    assert_eq!(register(&mut lab, &b, |t| t).map(|m| m.status()), Some(200));
    lab.take_all();
    converse(&mut lab, &a, &b);
    lab.restart();
    lab.take_all();
    // Whom the PBX refuses when it is back is known no more.
    let asked = lab.phone("102", "10.17.0.22:5060");
    register(&mut lab, &asked, |t| t);
    let pbx = lab.pbx();
    let got: Vec<Msg> = lab.take(pbx);
    let got = got.iter().find(|m| m.method() == "REGISTER").expect("it serves until it is doubted");
    lab.send(pbx, answer(got, 403, "no"));
    lab.take_all();
    pull(&mut lab, &a);
    assert_eq!(register(&mut lab, &b, |t| t).map(|m| m.status()), Some(503));
    lab.take_all();
    lab.end();
}

#[test]
fn a_register_that_waits_is_answered_here_and_a_phone_may_say_goodbye() {
    let mut lab = surviving("");
    let (a, _) = phones(&mut lab);
    assert!(register(&mut lab, &a, |t| t).is_none());
    lab.advance(s(3));
    let ok = lab.take(a.at).pop().expect("an answer");
    assert_eq!(ok.status(), 200, "{ok}");
    let bye = register(&mut lab, &a, |t| t.set("Expires", "0"));
    assert_eq!(bye.map(|m| m.status()), Some(200));
    assert_eq!(lab.kept_bindings().len(), 1);
    lab.take_all();
    lab.end();
}

#[test]
fn phones_go_back_to_the_pbx_in_turn() {
    let mut lab = surviving("");
    let all: Vec<_> = (0..120)
        .map(|n| lab.phone(&format!("{}", 200 + n), &format!("10.17.1.{n}:5060")))
        .collect();
    for ua in &all {
        lab.register(ua, 3_600);
    }
    pull(&mut lab, &all[0]);
    for ua in &all {
        assert_eq!(register(&mut lab, ua, |t| t).map(|m| m.status()), Some(200));
    }
    answers(&mut lab, 12);
    assert!(lab.upstream("pbx").alone.is_none());
    // All of them come in one second, again and again, as their answers tell them.
    let start = lab.now.mono;
    let pbx = lab.pbx();
    let mut due: Vec<(u64, usize)> = (0..all.len()).map(|n| (0, n)).collect();
    let (mut back, mut most, mut last) = (0, 0, 0);
    for second in 0..400_u64 {
        let now: Vec<usize> = due.iter().filter(|d| d.0 <= second).map(|d| d.1).collect();
        due.retain(|d| d.0 > second);
        let mut through = 0;
        for n in now {
            let told =
                register(&mut lab, &all[n], |t| t.set("CSeq", format!("{} REGISTER", 10 + second)));
            for asked in lab.take(pbx) {
                if asked.method() == "OPTIONS" {
                    lab.send(pbx, answer(&asked, 200, "o"));
                    continue;
                }
                through += 1;
                let sealed = asked.contact().to_owned();
                let ok =
                    answer(&asked, 200, "r").with("Contact", format!("<{sealed}>;expires=3600"));
                lab.send(pbx, ok);
            }
            let told = told.or_else(|| lab.take(all[n].at).pop()).expect("an answer");
            assert_eq!(told.status(), 200);
            let granted: u64 =
                told.header("Contact").rsplit_once("expires=").unwrap().1.parse().unwrap();
            if granted < 3_600 {
                due.push((second + granted * 9 / 10, n));
            } else {
                (back, last) = (back + 1, second);
            }
        }
        most = most.max(through);
        lab.advance(s(1));
    }
    assert_eq!(back, 120, "all are back");
    assert!((10..=20).contains(&most), "{most} in one second");
    assert!(last < 60, "the last after {last} s");
    assert!(lab.now.mono.since(start) > s(300));
    converse_out(&mut lab, &all[7]);
    lab.take_all();
    lab.end();
}

/// A call by the PBX.
fn converse_out(lab: &mut Lab, ua: &crate::lab::Ua) {
    let far = lab.far("900");
    converse(lab, ua, &far);
}

#[test]
fn a_phone_that_comes_back_is_challenged_and_comes_again_at_once() {
    let mut lab = surviving("");
    let (a, b) = phones(&mut lab);
    pull(&mut lab, &a);
    for ua in [&a, &b] {
        assert_eq!(register(&mut lab, ua, |t| t).map(|m| m.status()), Some(200));
    }
    answers(&mut lab, 12);
    let pbx = lab.pbx();
    assert!(register(&mut lab, &a, |t| t.set("CSeq", "3 REGISTER")).is_none());
    let asked = lab.expect(pbx, "REGISTER");
    lab.send(
        pbx,
        answer(&asked, 401, "r").with("WWW-Authenticate", "Digest realm=\"x\", nonce=\"n\""),
    );
    lab.expect(a.at, "401");
    // The other does not wait for this one.
    assert!(register(&mut lab, &b, |t| t.set("CSeq", "3 REGISTER")).is_none());
    let asked = lab.expect(pbx, "REGISTER");
    let sealed = asked.contact().to_owned();
    lab.send(pbx, answer(&asked, 200, "r").with("Contact", format!("<{sealed}>;expires=600")));
    lab.expect(b.at, "200");
    assert!(register(&mut lab, &a, |t| t.set("CSeq", "4 REGISTER")).is_none());
    let asked = lab.expect(pbx, "REGISTER");
    let sealed = asked.contact().to_owned();
    lab.send(pbx, answer(&asked, 200, "r").with("Contact", format!("<{sealed}>;expires=600")));
    lab.take_all();
    lab.end();
}

/// It has users of its own, who have one password.
fn with_users(digest: bool) -> Lab {
    let text = site::EDGE.replace("auth = \"off\"", "auth = \"users\"\nusers = \"/unread\"");
    let users = Users::Shared { password: site::PASSWORD.to_owned() };
    let mut config = site::parse(&text);
    config.registrar.digest = digest;
    Lab::with(config, users)
}

#[test]
fn with_users_of_its_own_the_site_asks_for_a_password() {
    for digest in [true, false] {
        asks_for_a_password(with_users(digest));
    }
}

/// `registrar.digest` is of a site that is its own registrar.
#[test]
fn without_digest_in_local_mode_nobody_is_any_phone_while_the_site_is_alone() {
    let mut lab = with_users(false);
    let (a, b) = phones(&mut lab);
    pull(&mut lab, &a);
    for (user, at) in [("101", "10.17.0.66:5060"), ("999", "10.17.0.66:5060")] {
        let stranger = lab.phone(user, at);
        let told = register(&mut lab, &stranger, |t| t).expect("an answer");
        assert_eq!(told.status(), 401, "{told}");
        let gone = register(&mut lab, &stranger, |t| t.set("Expires", "0"));
        assert_eq!(gone.map(|m| m.status()), Some(401), "nor does it take one away");
        assert!(lab.take(stranger.at).is_empty());
    }
    converse(&mut lab, &b, &a);
    lab.end();
}

#[track_caller]
fn asks_for_a_password(mut lab: Lab) {
    let (a, _) = phones(&mut lab);
    pull(&mut lab, &a);
    let asked = register(&mut lab, &a, |t| t).expect("an answer");
    assert_eq!(asked.status(), 401, "{asked}");
    let new = lab.phone("105", "10.17.0.55:5060");
    let challenge = register(&mut lab, &new, |t| t).expect("an answer");
    assert_eq!(challenge.status(), 401, "{challenge}");
    for (password, want) in [(site::PASSWORD, 200), ("wrong", 403)] {
        let header =
            challenge.all("WWW-Authenticate").last().copied().unwrap_or_default().to_owned();
        let told = register(&mut lab, &new, |t| {
            let proof = digest::credentials(&t, &header, "105", password);
            t.with("Authorization", proof)
        });
        assert_eq!(told.map(|m| m.status()), Some(want));
    }
    converse(&mut lab, &a, &new);
    lab.take_all();
    lab.end();
}
