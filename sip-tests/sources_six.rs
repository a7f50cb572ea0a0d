//! Who is one source where an interface has both IP versions: a /64 of IPv6, an address of IPv4, and
//! of either one address in an emergency. Within a /64 its addresses give way by turns.
//! Neither stands for the other, and nobody known pays for a neighbour.

use crate::lab::{Lab, Party, Ua, site};
use portreeve::config::Strangers;
use portreeve::engine::digest::Users;

const PBX6: &str = "[2001:db8:cafe::10]:5060";

fn lab(more: &str) -> Lab {
    let text = site::EDGE
        .replace("\"10.17.0.1\"", "[\"10.17.0.1\", \"2001:db8:17::1\"]")
        .replace("[\"10.17.0.0/16\"]", "[\"10.17.0.0/16\", \"2001:db8:17::/64\"]")
        .replace("\"203.0.113.1\"", "[\"203.0.113.1\", \"2001:db8:cafe::1\"]")
        .replace("\"allow\"", "\"site\"")
        .replace("address = \"203.0.113.10:5060\"", &format!("targets = [\"{PBX6}\"]"));
    let mut config = site::parse(&(text + more));
    config.interfaces.iter_mut().for_each(|i| i.strangers = Strangers::Answer);
    config.bans.enabled = true;
    Lab::with(config, Users::None)
}

fn scan(lab: &mut Lab, at: Party) -> usize {
    let scanner = Ua::new(at, "100");
    let text = scanner.request_to(lab, "OPTIONS", "sip:203.0.113.1");
    lab.send(at, text.with("User-Agent", "friendly-scanner"));
    lab.take(at).len()
}

#[test]
fn a_64_is_banned_as_one_and_its_ipv4_neighbour_is_somebody_else() {
    let mut lab = lab("");
    let heard: usize = (1..40)
        .map(|n| {
            let at = lab.outside(&format!("[2001:db8:bad:1::{n:x}]:5060"));
            scan(&mut lab, at)
        })
        .sum();
    assert_eq!((heard, lab.stats().now.bans), (2, 1), "as one address would have been");
    let suspects = lab.engine.suspects(lab.now.mono);
    assert_eq!(suspects[0].source, "2001:db8:bad:1::/64");
    for other in ["[2001:db8:bad:2::1]:5060", "198.51.100.66:5060"] {
        let at = lab.outside(other);
        assert_eq!(scan(&mut lab, at), 1, "{other}");
    }
    let four = lab.outside("198.51.100.66:5060");
    for _ in 0..3 {
        scan(&mut lab, four);
    }
    assert_eq!(lab.stats().now.bans, 2);
    lab.end();
}

#[test]
fn an_upstream_is_served_though_its_64_is_banned() {
    let mut lab = lab("");
    let neighbour = lab.outside("[2001:db8:cafe::66]:5060");
    for _ in 0..4 {
        scan(&mut lab, neighbour);
    }
    assert_eq!(lab.stats().now.bans, 1);
    let phone = lab.phone("101", "[2001:db8:17::21]:5060");
    lab.pbx = PBX6.to_owned();
    let sealed = lab.register(&phone, 600);
    let pbx = lab.far("200");
    let message = pbx.request_to(&mut lab, "MESSAGE", &sealed).typed("text/plain", "x");
    lab.send(pbx.at, message);
    let got = lab.expect(phone.at, "MESSAGE");
    lab.send(phone.at, phone.answer(&got, 200, "m"));
    lab.expect(pbx.at, "200");
    assert_eq!(scan(&mut lab, neighbour), 0, "its neighbour is not");
    lab.end();
}

#[test]
fn transactions_of_a_64_are_one_source_s_share() {
    let mut lab = lab("[limits]\ntransactions = 100\ntransactions_per_source = 10\n");
    lab.checks.forgetful = true;
    let pbx = {
        lab.pbx = PBX6.to_owned();
        lab.pbx()
    };
    // Unproved phones of one /64 fill the table; the oldest of theirs give way to a newcomer's.
    let mut asked = 0;
    for n in 1..300 {
        let phone = lab.phone("900", &format!("[2001:db8:17::{n:x}]:5060"));
        let register = phone.request(&mut lab, "REGISTER", "900");
        lab.send(phone.at, register.set("To", "<sip:900@pbx.example.com>"));
        asked += lab.take(pbx).len();
    }
    assert!(asked >= 90, "{asked} came through while there was room");
    let other = lab.phone("101", "10.17.0.21:5060");
    let register = other.request(&mut lab, "REGISTER", "101");
    lab.send(other.at, register.set("To", "<sip:101@pbx.example.com>"));
    assert_eq!(lab.take(pbx).len(), 1, "who is alone has a place");
    lab.clear();
}

/// A whole local network is one /64: who floods in it pays for it himself.
#[test]
fn a_phone_that_fills_the_table_takes_no_place_of_a_neighbour_in_its_64() {
    let mut lab = lab("[limits]\ntransactions = 100\ntransactions_per_source = 10\n");
    lab.checks.forgetful = true;
    lab.pbx = PBX6.to_owned();
    let pbx = lab.pbx();
    let asks = |lab: &mut Lab, at: &str| {
        let phone = lab.phone("900", at);
        let register = phone.request(lab, "REGISTER", "900");
        lab.send(phone.at, register.set("To", "<sip:900@pbx.example.com>"));
        (phone, lab.take(pbx))
    };
    let (neighbour, asked) = asks(&mut lab, "[2001:db8:17::1]:5060");
    for port in 6_000..6_300 {
        asks(&mut lab, &format!("[2001:db8:17::bad]:{port}"));
    }
    assert_eq!(lab.take(neighbour.at).len(), 0, "it waits for its answer");
    let (_, newcomer) = asks(&mut lab, "[2001:db8:17::2]:5060");
    assert_eq!(newcomer.len(), 1, "another of them has a place");
    lab.send(pbx, crate::lab::script::answer(&asked[0], 403, "no"));
    lab.expect(neighbour.at, "403");
    lab.clear();
}

/// A whole local network is one /64.
#[test]
fn who_dials_112_again_and_again_takes_no_call_for_help_of_a_neighbour() {
    let mut lab = lab("");
    lab.checks.forgetful = true;
    lab.pbx = PBX6.to_owned();
    let pbx = lab.far("112");
    let rings = |lab: &mut Lab, at: &str| {
        let phone = lab.phone("199", at);
        lab.call(&phone, "112", 4000);
        let told: Vec<u16> = lab.take(phone.at).iter().map(|m| m.status()).collect();
        let got = lab.take(pbx.at).into_iter().rfind(|m| m.is_request() && m.method() == "INVITE");
        if let Some(got) = got {
            lab.send(pbx.at, pbx.answer(&got, 180, "r"));
            lab.take(phone.at);
        }
        (phone.at, told)
    };
    let flood = |lab: &mut Lab, from: u16| {
        let all = (from..from + 8).map(|port| {
            lab.advance(std::time::Duration::from_millis(700));
            rings(lab, &format!("[2001:db8:17::66]:{port}")).1
        });
        all.filter(|told| told.contains(&503)).count()
    };
    assert!(flood(&mut lab, 7000) > 0, "he has two at a time");
    let mut victims = Vec::new();
    for n in 0x77..0x7b_u16 {
        let (at, told) = rings(&mut lab, &format!("[2001:db8:17::{n:x}]:5060"));
        assert_eq!(told, [100], "{n:x}");
        victims.push(at);
    }
    flood(&mut lab, 8000);
    for at in victims {
        assert!(lab.take(at).iter().all(|m| m.status() < 200), "it rings on");
    }
    lab.clear();
}
