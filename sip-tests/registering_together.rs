//! REGISTERs that wait for their upstream hold the places that they would take: however many pass
//! together, no more are bound than there are places; and a place is free as soon as its REGISTER
//! is over, whatever ended it.

use crate::lab::script::{Text, answer};
use crate::lab::{Lab, Msg, Ua, s, site};
use portreeve::config::Config;
use portreeve::engine::Input;
use portreeve::engine::digest::Users;
use portreeve::policy::quota::Resource;

const PLACES: usize = 4;

fn few(c: &mut Config) {
    (c.limits.bindings, c.limits.share_percent) = (PLACES, 50);
}

fn used(lab: &Lab) -> u64 {
    lab.stats().now.places[Resource::Bindings as usize].used
}

fn register(lab: &mut Lab, ua: &Ua) -> Text {
    let uri = format!("sip:{}", ua.domain);
    ua.request_to(lab, "REGISTER", &uri).set("To", format!("<{}>", ua.aor()))
}

/// Asks to be registered; the REGISTER as the PBX has it. `None`: it went no further.
fn asks(lab: &mut Lab, ua: &Ua) -> Option<Msg> {
    let (register, pbx) = (register(lab, ua), lab.pbx());
    lab.take(pbx);
    lab.send(ua.at, register);
    lab.next(pbx)
}

/// What was answered at last.
fn told(lab: &mut Lab, ua: &Ua) -> u16 {
    lab.take(ua.at).last().map_or(0, Msg::status)
}

fn grant(lab: &mut Lab, asked: &Msg) {
    let ok = answer(asked, 200, "r").with("Contact", format!("<{}>;expires=600", asked.contact()));
    let pbx = lab.pbx();
    lab.send(pbx, ok);
}

/// The n-th phone, at an address of its own.
fn phone(lab: &Lab, n: usize) -> Ua {
    lab.phone(&(200 + n).to_string(), &format!("10.17.2.{n}:5060"))
}

/// All places are free: so many are bound, the next is not.
#[track_caller]
fn all_are_free(lab: &mut Lab) {
    assert_eq!(used(lab), 0);
    let phones: Vec<Ua> = (0..=PLACES).map(|n| phone(lab, n)).collect();
    for (n, ua) in phones.iter().enumerate() {
        let asked = asks(lab, ua);
        asked.iter().for_each(|asked| grant(lab, asked));
        assert_eq!(told(lab, ua), if n < PLACES { 200 } else { 503 }, "{n}");
    }
}

#[test]
fn no_more_are_bound_than_there_are_places_when_all_come_at_once() {
    let mut lab = Lab::edge_with(few);
    let phones: Vec<Ua> = (0..2 * PLACES).map(|n| phone(&lab, n)).collect();
    let asked: Vec<Msg> = phones.iter().filter_map(|ua| asks(&mut lab, ua)).collect();
    assert_eq!(asked.len(), 2 * PLACES, "who waits gives way to who comes");
    assert_eq!(used(&lab), PLACES as u64);
    asked.iter().for_each(|asked| grant(&mut lab, asked));
    let answers: Vec<u16> = phones.iter().map(|ua| told(&mut lab, ua)).collect();
    let granted = answers.iter().filter(|status| **status == 200).count();
    assert_eq!(granted, PLACES, "{answers:?}");
    assert!(answers.iter().all(|status| matches!(status, 200 | 503)), "{answers:?}");
    assert_eq!(lab.stats().now.registrations, PLACES as u64);
    assert_eq!(lab.stats().registrations[3], PLACES as u64, "each is counted as limited");
    lab.clear();
}

#[test]
fn whoever_is_granted_and_finds_no_place_is_told_when_to_come_again() {
    let mut lab = Lab::edge_with(few);
    let early = phone(&lab, 9);
    let first = asks(&mut lab, &early).expect("it goes on");
    for n in 0..PLACES {
        let ua = phone(&lab, n);
        let asked = asks(&mut lab, &ua).expect("it goes on");
        grant(&mut lab, &asked);
        assert_eq!(told(&mut lab, &ua), 200, "{n}");
    }
    grant(&mut lab, &first);
    let no = lab.expect(early.at, "503");
    assert_eq!(no.header("Retry-After"), "60");
    assert!(!no.has("Contact") && !no.has("Expires"), "{no}");
    assert_eq!((lab.stats().now.registrations, used(&lab)), (PLACES as u64, PLACES as u64));
    // Who is there is refreshed.
    let ua = phone(&lab, 1);
    let again = asks(&mut lab, &ua).expect("it goes on");
    grant(&mut lab, &again);
    assert_eq!(told(&mut lab, &ua), 200);
    // Nobody who asks is let through while all is proved.
    assert!(asks(&mut lab, &early).is_none());
    assert_eq!(told(&mut lab, &early), 503);
    lab.clear();
}

#[test]
fn one_source_that_is_never_answered_keeps_nobody_out() {
    let mut lab = Lab::edge_with(few);
    for n in 0..20 {
        let ua = lab.phone(&(500 + n).to_string(), &format!("10.17.0.66:{}", 6000 + n));
        asks(&mut lab, &ua).expect("it waits");
        assert!(used(&lab) <= PLACES as u64);
    }
    for n in 0..PLACES {
        let ua = phone(&lab, n);
        let asked = asks(&mut lab, &ua).expect("it goes on");
        grant(&mut lab, &asked);
        assert_eq!(told(&mut lab, &ua), 200, "{n}");
    }
    let displaced = lab.stats().shares[Resource::Bindings as usize][0].displaced;
    assert_eq!(displaced, 20, "each that waited is counted");
    lab.advance(s(33));
    lab.clear();
}

#[test]
fn a_final_answer_frees_the_place() {
    for status in [401, 403, 423, 500, 503, 600] {
        let mut lab = Lab::edge_with(few);
        for n in 0..PLACES {
            let ua = phone(&lab, n);
            let asked = asks(&mut lab, &ua).expect("it goes on");
            assert_eq!(used(&lab), 1, "it is held");
            let pbx = lab.pbx();
            lab.send(pbx, answer(&asked, status, "r"));
            assert!(told(&mut lab, &ua) >= 400, "{status}");
            assert_eq!(used(&lab), 0, "{status}");
        }
        all_are_free(&mut lab);
        lab.clear();
    }
}

#[test]
fn so_does_no_answer_and_an_answer_that_cannot_be_read() {
    let mut lab = Lab::edge_with(few);
    let silent = phone(&lab, 0);
    asks(&mut lab, &silent).expect("it goes on");
    lab.advance(s(33));
    assert_eq!(told(&mut lab, &silent), 408);
    assert_eq!(used(&lab), 0, "nobody answered");
    let unreachable = phone(&lab, 1);
    let asked = asks(&mut lab, &unreachable).expect("it goes on");
    lab.input(Input::TransportFailed(asked.flow));
    assert!(told(&mut lab, &unreachable) >= 500);
    assert_eq!(used(&lab), 0, "nobody is there");
    let torn = phone(&lab, 2);
    let asked = asks(&mut lab, &torn).expect("it goes on");
    let pbx = lab.pbx();
    let broken = answer(&asked, 200, "r").with("X-Odd", "a\u{1}b");
    lab.send(pbx, broken);
    assert_eq!(told(&mut lab, &torn), 502);
    assert_eq!(used(&lab), 0, "it cannot be read");
    lab.clear();
    all_are_free(&mut lab);
    lab.clear();
}

#[test]
fn so_does_a_transaction_that_gives_way() {
    let mut lab = Lab::edge_with(|c| {
        few(c);
        (c.limits.transactions, c.limits.transactions_per_source) = (10, 2);
    });
    let one = phone(&lab, 0);
    asks(&mut lab, &one).expect("it goes on");
    for n in 1..12 {
        let ua = phone(&lab, n);
        let options = ua.request(&mut lab, "OPTIONS", "900");
        lab.send(ua.at, options);
    }
    assert_eq!(told(&mut lab, &one), 503, "its transaction gave way");
    assert_eq!(used(&lab), 0);
    lab.advance(s(66));
    lab.clear();
    all_are_free(&mut lab);
    lab.clear();
}

#[test]
fn what_asks_again_holds_no_second_place_for_what_was_answered() {
    let mut lab = Lab::edge_with(few);
    let ua = phone(&lab, 0);
    let asked = asks(&mut lab, &ua).expect("it goes on");
    let challenge = answer(&asked, 401, "r");
    let challenge =
        challenge.with("WWW-Authenticate", "Digest realm=\"pbx.example.com\", nonce=\"n\"");
    let pbx = lab.pbx();
    lab.send(pbx, challenge);
    assert_eq!(told(&mut lab, &ua), 401);
    let asked = asks(&mut lab, &ua).expect("it goes on");
    assert_eq!(used(&lab), 1);
    grant(&mut lab, &asked);
    assert_eq!(told(&mut lab, &ua), 200);
    assert_eq!(used(&lab), 1);
    // A refresh holds none beside its own.
    let asked = asks(&mut lab, &ua).expect("it goes on");
    assert_eq!(used(&lab), 1);
    grant(&mut lab, &asked);
    lab.clear();
}

#[test]
fn fewer_places_from_now_on_bind_nobody_beyond_them() {
    let mut lab = Lab::edge_with(few);
    let phones: Vec<Ua> = (0..PLACES).map(|n| phone(&lab, n)).collect();
    let asked: Vec<Msg> = phones.iter().filter_map(|ua| asks(&mut lab, ua)).collect();
    lab.reload(|c| c.limits.bindings = 2);
    asked.iter().for_each(|asked| grant(&mut lab, asked));
    let answers: Vec<u16> = phones.iter().map(|ua| told(&mut lab, ua)).collect();
    assert_eq!(answers.iter().filter(|status| **status == 200).count(), 2, "{answers:?}");
    assert_eq!((lab.stats().now.registrations, used(&lab)), (2, 2));
    lab.clear();
}

#[test]
fn who_is_answered_in_the_upstreams_place_holds_one_place() {
    let text = site::EDGE.replace("auth = \"off\"", "auth = \"network\"");
    let mut config = site::parse(&text);
    few(&mut config);
    let mut lab = Lab::with(config, Users::None);
    let phones: Vec<Ua> = (0..PLACES).map(|n| phone(&lab, n)).collect();
    for ua in &phones {
        lab.register(ua, 600);
    }
    let gone = register(&mut lab, &phones[3]).with("Expires", "0");
    lab.send(phones[3].at, gone);
    let asked = lab.expect_at(lab.pbx(), "REGISTER");
    let pbx = lab.pbx();
    lab.send(pbx, answer(&asked, 200, "r"));
    assert_eq!(told(&mut lab, &phones[3]), 200);
    assert_eq!(used(&lab), 3);
    // Nobody answers: what waits is answered here.
    for ua in &phones {
        let again = register(&mut lab, ua);
        lab.send(ua.at, again);
    }
    lab.advance(s(4));
    assert!(lab.upstream("pbx").alone.is_some(), "{}", lab.situation());
    let answers: Vec<u16> = phones.iter().map(|ua| told(&mut lab, ua)).collect();
    assert_eq!(answers[..3], [200; 3], "{answers:?}");
    assert_eq!(used(&lab), lab.stats().now.registrations);
    lab.clear();
}

#[test]
fn ones_own_registration_that_gives_way_to_his_newest_is_counted_once() {
    let mut lab = Lab::site_with(|c| {
        few(c);
        c.registrar.digest = false;
    });
    let phone = |lab: &Lab, user: &str, port: u16| {
        let mut ua = lab.phone(user, &format!("10.17.0.21:{port}"));
        site::GATE_INSIDE.clone_into(&mut ua.domain);
        ua
    };
    for (user, port) in [("101", 5001), ("102", 5002), ("103", 5003), ("104", 5004)] {
        let ua = phone(&lab, user, port);
        let register = lab.local_register(&ua, 600);
        lab.send(ua.at, register);
        assert_eq!(told(&mut lab, &ua), 200, "{user}");
    }
    // The oldest of its source is the one that is refreshed beside a new one.
    let ua = phone(&lab, "101", 5001);
    let both = "<sip:101@10.17.0.21:5001>, <sip:101@10.17.0.21:5009>";
    let register = lab.local_register(&ua, 600).set("Contact", both);
    lab.send(ua.at, register);
    assert_eq!(told(&mut lab, &ua), 200);
    assert_eq!(lab.stats().now.registrations, PLACES as u64);
    assert_eq!(used(&lab), PLACES as u64);
    lab.clear();
}
