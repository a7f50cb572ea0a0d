//! Somebody sets the wall clock while the gateway runs: it began without a battery and learns the
//! year, or an operator errs. What was granted lasts as long as was said.

use crate::lab::{Lab, Ua, s, site};
use portreeve::ground::Wall;
use std::time::Duration;

/// Both ways, by seconds and by years.
const JUMPS: [i64; 4] = [-86_400 * 3_650, -120, 7_200, 86_400 * 3_650];

fn jump(lab: &mut Lab, by: i64) {
    let (wall, size) = (lab.now.wall.0, Duration::from_secs(by.unsigned_abs()));
    lab.now.wall = Wall(if by < 0 { wall.saturating_sub(size) } else { wall + size });
}

/// The PBX calls a phone by the name that it was registered with.
fn is_reached(lab: &mut Lab, phone: &Ua, sealed: &str) -> bool {
    let far = lab.far("200");
    let call = format!("call {}", lab.fresh());
    let invite = far.request_to(lab, "INVITE", sealed).with("Subject", &call).sdp(far.sdp(6000));
    lab.send(far.at, invite);
    let rings = lab.take(phone.at).iter().any(|m| m.all("Subject").contains(&call.as_str()));
    lab.clear();
    rings
}

#[test]
fn a_registration_lasts_as_long_as_was_granted_however_the_clock_is_set() {
    for by in JUMPS {
        let mut lab = Lab::edge();
        let phone = lab.phone("101", "10.17.0.21:5060");
        let sealed = lab.register(&phone, 600);
        lab.advance(s(60));
        jump(&mut lab, by);
        lab.advance(s(500));
        assert!(is_reached(&mut lab, &phone, &sealed), "{by}: it is registered still");
        assert_eq!(lab.stats().now.registrations, 1, "{by}");
        lab.advance(s(60));
        assert_eq!(lab.stats().now.registrations, 0, "{by}: it is over");
        assert!(!is_reached(&mut lab, &phone, &sealed), "{by}");
        lab.end();
    }
}

#[test]
fn a_registration_is_kept_by_the_clock_of_its_time_and_for_a_day_at_most() {
    // The clock was wrong until then: what is kept from now on is right.
    let mut lab = Lab::edge();
    let phone = lab.phone("101", "10.17.0.21:5060");
    jump(&mut lab, 86_400 * 3_650);
    let sealed = lab.register(&phone, 600);
    lab.restart();
    assert!(is_reached(&mut lab, &phone, &sealed));
    // Set back between two runs.
    jump(&mut lab, -86_400 * 3_650);
    lab.restart();
    lab.records.clear();
    lab.advance(s(86_400));
    assert_eq!(lab.stats().now.registrations, 0, "it does not last ten years");
    lab.end();
}

#[test]
fn a_phone_is_proved_by_the_challenge_that_it_got_before_the_clock_was_set() {
    for by in JUMPS {
        let mut lab = Lab::site();
        let phone =
            Ua { domain: site::GATE_INSIDE.to_owned(), ..lab.phone("101", "10.17.0.21:5060") };
        let register = lab.local_register(&phone, 600);
        lab.send(phone.at, register.clone());
        let challenged = lab.expect(phone.at, "401");
        jump(&mut lab, by);
        let again =
            crate::lab::digest::again(&mut lab, &register, &challenged, &phone, site::PASSWORD);
        lab.send(phone.at, again);
        lab.expect(phone.at, "200");
        assert!(lab.security().is_empty(), "{by}: {:?}", lab.security());
        lab.end();
    }
}
