//! A wrong password costs whoever sends it: the other phones of his address, and the user whose
//! name he writes, are heard all the same.

use crate::lab::digest::counted;
use crate::lab::script::Text;
use crate::lab::{Lab, Ua, s, site};

/// Somebody in the site's network.
fn inside(lab: &Lab, user: &str, at: &str) -> Ua {
    let mut ua = lab.phone(user, at);
    site::GATE_INSIDE.clone_into(&mut ua.domain);
    ua
}

/// Asks to register with this password: the REGISTER that bears it.
fn proof(lab: &mut Lab, ua: &Ua, password: &str) -> Text {
    let register = lab.local_register(ua, 600);
    proves(lab, ua, register, password)
}

/// The same of this REGISTER.
fn proves(lab: &mut Lab, ua: &Ua, register: Text, password: &str) -> Text {
    lab.send(ua.at, register.clone());
    let asked = lab.expect(ua.at, "401");
    let n = lab.fresh();
    let rows = asked.all("WWW-Authenticate");
    let challenge = rows.last().expect("a challenge");
    let value = counted(&register, challenge, &ua.user, password, &format!("{n:08x}"));
    let next = register.set("CSeq", format!("{} REGISTER", n + 10));
    next.set("Via", ua.via(&format!("z9hG4bKs{n}"))).set("Authorization", value)
}

/// One try; what it was told, 0: nothing.
pub(crate) fn tries(lab: &mut Lab, ua: &Ua, password: &str) -> u16 {
    let text = proof(lab, ua, password);
    lab.send(ua.at, text);
    lab.take(ua.at).last().map_or(0, crate::lab::Msg::status)
}

/// The same by this Contact.
pub(crate) fn tries_at(lab: &mut Lab, ua: &Ua, contact: &str, password: &str) -> u16 {
    let register = lab.local_register(ua, 600).set("Contact", contact);
    let text = proves(lab, ua, register, password);
    lab.send(ua.at, text);
    lab.take(ua.at).last().map_or(0, crate::lab::Msg::status)
}

/// Tries as a phone does: the same again for 32 s (RFC 3261 §17.1.2.2), while `meanwhile` happens
/// each second. Seconds until it was registered.
fn insists(lab: &mut Lab, ua: &Ua, meanwhile: impl Fn(&mut Lab)) -> Option<u64> {
    let text = proof(lab, ua, site::PASSWORD);
    for second in 0..32 {
        meanwhile(lab);
        if [0, 1, 3, 7, 11, 15, 19, 23, 27, 31].contains(&second) {
            lab.send(ua.at, text.clone());
            if lab.take(ua.at).last().map(crate::lab::Msg::status) == Some(200) {
                return Some(second);
            }
        }
        lab.advance(s(1));
    }
    None
}

#[test]
fn phones_of_a_natted_office_register_though_some_of_them_have_old_passwords() {
    for bad in [1_u16, 5] {
        let mut lab = Lab::site();
        let others: Vec<Ua> = (0..bad)
            .map(|n| inside(&lab, &format!("15{n}"), &format!("10.17.0.66:{}", 30_000 + n)))
            .collect();
        let hammer = |lab: &mut Lab| {
            for ua in &others {
                tries(lab, ua, "old");
            }
        };
        for _ in 0..60 {
            hammer(&mut lab);
            lab.advance(s(1));
        }
        for n in 0..60_u16 {
            let ua = inside(&lab, &(200 + n).to_string(), &format!("10.17.0.66:{}", 5000 + n));
            let after = insists(&mut lab, &ua, hammer);
            assert_eq!(after, Some(0), "{bad} with an old one: phone {n}");
        }
    }
}

#[test]
fn who_tries_one_password_with_many_names_is_soon_not_heard_and_never_for_less() {
    let mut lab = Lab::site();
    let mut compared = 0;
    for second in 0..3_600_u32 {
        let user = (1_000 + second).to_string();
        let thief = inside(&lab, &user, "10.17.0.66:5060");
        compared += u32::from(tries(&mut lab, &thief, "wrong") == 403);
        lab.advance(s(1));
    }
    assert!((17..=140).contains(&compared), "{compared}: a few more than of one name");
    // An account of one's own buys no more.
    let mut more = 0;
    for n in 0..200_u32 {
        let own = inside(&lab, "101", "10.17.0.66:5061");
        tries(&mut lab, &own, site::PASSWORD);
        let thief = inside(&lab, &(5_000 + n).to_string(), "10.17.0.66:5060");
        more += u32::from(tries(&mut lab, &thief, "wrong") == 403);
    }
    assert!(more <= 1, "{more}");
}

#[test]
fn a_host_that_guesses_keeps_its_user_out_nowhere_else() {
    let mut lab = Lab::site();
    let thief = inside(&lab, "105", "10.17.0.34:5060");
    let guess = |lab: &mut Lab| {
        tries(lab, &thief, "wrong");
    };
    for _ in 0..120 {
        guess(&mut lab);
        lab.advance(s(1));
    }
    // A new phone of his, at an address that has proved nobody.
    for n in 0..8 {
        let owner = inside(&lab, "105", &format!("10.17.0.{}:5060", 100 + n));
        let after = insists(&mut lab, &owner, guess);
        assert!(after.is_some_and(|seconds| seconds <= 7), "{n}: {after:?}");
        lab.advance(s(20));
    }
}

#[test]
fn many_hosts_that_guess_at_one_user_get_a_guess_in_a_few_seconds_together() {
    let mut lab = Lab::site();
    let mut compared = 0;
    for n in 0..600_u32 {
        let thief = inside(&lab, "103", &format!("10.17.{}.{}:5060", 1 + n / 200, 1 + n % 200));
        compared += u32::from(tries(&mut lab, &thief, "wrong") == 403);
        lab.advance(std::time::Duration::from_millis(100));
    }
    assert!(compared <= 25, "{compared} within a minute");
}

#[test]
fn the_port_that_proved_a_user_is_heard_whatever_others_of_its_address_try() {
    for tcp in [false, true] {
        let mut lab = Lab::site();
        let mut owner = inside(&lab, "101", "10.17.0.33:5060");
        if tcp {
            owner.at = lab.inside_tcp("10.17.0.33:40000");
        }
        assert_eq!(tries(&mut lab, &owner, site::PASSWORD), 200);
        let thief = inside(&lab, "101", "10.17.0.33:6666");
        for round in 0..60 {
            tries(&mut lab, &thief, "wrong");
            if round % 10 == 9 {
                let own = tries(&mut lab, &owner, site::PASSWORD);
                assert_eq!(own, 200, "{tcp} {round}");
            }
            lab.advance(s(1));
        }
        // Its own wrong ones are slowed as they were.
        let told: Vec<u16> = (0..20).map(|_| tries(&mut lab, &owner, "wrong")).collect();
        assert_eq!(told.iter().filter(|t| **t == 403).count(), if tcp { 20 } else { 1 });
    }
}

/// A whole local network is one /64.
#[test]
fn who_guesses_on_an_ipv6_link_is_not_heard_and_his_neighbours_are() {
    let mut lab = Lab::site_with(|c| {
        let text = site::SITE
            .replace("\"10.17.0.1\"", "[\"10.17.0.1\", \"2001:db8:17::1\"]")
            .replace("[\"10.17.0.0/16\"]", "[\"10.17.0.0/16\", \"2001:db8:17::/64\"]");
        *c = site::parse(&text);
    });
    let mut heard = 0;
    for n in 0..40 {
        let thief = inside(&lab, &format!("1{n:02}"), "[2001:db8:17::bad]:5060");
        heard += usize::from(tries(&mut lab, &thief, "wrong") == 403);
    }
    assert!(heard < 20, "{heard} guesses at once: a pause binds who makes them");
    for n in 0..8 {
        let at = format!("[2001:db8:17::{n:x}]:5060");
        let phone = inside(&lab, &format!("15{n}"), &at);
        assert_eq!(tries(&mut lab, &phone, site::PASSWORD), 200, "{n}: his neighbour");
    }
    // By countless addresses he is not heard more often than so many hosts would be.
    let mut more = 0;
    for n in 0..600 {
        let thief =
            inside(&lab, &format!("2{:02}", n % 100), &format!("[2001:db8:17:0:9::{n:x}]:5060"));
        more += usize::from(tries(&mut lab, &thief, "wrong") == 403);
    }
    assert!(more < 200, "{more} of 600");
}
