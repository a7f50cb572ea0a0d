//! Where all users have one password, whoever has it can be a thousand users: what one address
//! proves counts for the address, too, and leaves half of every table to others.

use crate::lab::digest::again;
use crate::lab::{Lab, Ua, site};
use portreeve::engine::digest::{Ha1, Users};
use portreeve::policy::quota::Resource;
use std::collections::HashMap;

/// Registers as this user from there: what it was told at last.
fn registers(lab: &mut Lab, user: &str, at: &str) -> u16 {
    let mut ua: Ua = lab.phone(user, at);
    site::GATE_INSIDE.clone_into(&mut ua.domain);
    let register = lab.local_register(&ua, 600);
    lab.send(ua.at, register.clone());
    let asked = lab.expect(ua.at, "401");
    let proof = again(lab, &register, &asked, &ua, site::PASSWORD);
    lab.send(ua.at, proof);
    lab.take(ua.at).last().map_or(0, crate::lab::Msg::status)
}

#[test]
fn who_has_the_sites_password_takes_half_of_the_bindings_at_most() {
    let mut lab = Lab::site_with(|c| c.limits.bindings = 100);
    for n in 0..80 {
        let status = registers(&mut lab, &(1_000 + n).to_string(), "10.17.0.66:5060");
        assert_eq!(status, if n < 50 { 200 } else { 503 }, "{n}");
    }
    // What is there stays, and all others find room.
    lab.advance(crate::lab::s(1));
    assert_eq!(registers(&mut lab, "1000", "10.17.0.66:5060"), 200, "a refresh");
    for n in 0..45 {
        let at = format!("10.17.1.{n}:5060");
        assert_eq!(registers(&mut lab, &(200 + n).to_string(), &at), 200, "{n}");
    }
    let shares = lab.engine.shares();
    let bindings = shares.iter().find(|v| v.resource == Resource::Bindings).expect("bindings");
    assert_eq!(bindings.fullest, Some(("10.17.0.66".to_owned(), 50)));
    lab.clear();
}

#[test]
fn an_office_behind_one_address_has_its_share_and_with_passwords_of_their_own_all_of_it() {
    let mut lab = Lab::site();
    for n in 0..300 {
        let at = format!("10.17.0.66:{}", 10_000 + n);
        assert_eq!(registers(&mut lab, &(1_000 + n).to_string(), &at), 200, "{n}");
    }
    lab.clear();
    let mut lab = Lab::site_with(|c| c.limits.bindings = 100);
    let hash = |user: &str| {
        use md5::{Digest, Md5};
        let digest = Md5::digest(format!("{user}:portreeve:{}", site::PASSWORD));
        digest.iter().map(|o| format!("{o:02x}")).collect::<String>()
    };
    let users = (0..95).map(|n| (1_000 + n).to_string());
    let users = users.map(|u| (u.clone(), Ha1 { md5: Some(hash(&u)), sha256: None }));
    lab.users(Users::Table(users.collect::<HashMap<_, _>>()));
    for n in 0..95 {
        let status = registers(&mut lab, &(1_000 + n).to_string(), "10.17.0.66:5060");
        assert_eq!(status, 200, "{n}: each is somebody");
    }
    lab.clear();
}

#[test]
fn nor_does_it_take_more_of_the_transactions() {
    let mut lab = Lab::site_with(|c| {
        (c.limits.transactions, c.limits.transactions_per_user) = (100, 50);
        c.limits.bindings = 1_000;
    });
    for n in 0..80 {
        registers(&mut lab, &(1_000 + n).to_string(), "10.17.0.66:5060");
    }
    let shares = lab.engine.shares();
    let held = shares.iter().find(|v| v.resource == Resource::Transactions).expect("there");
    assert_eq!(held.used, 50);
    assert_eq!(registers(&mut lab, "104", "10.17.0.32:5060"), 200);
    let held = lab.engine.shares();
    let held = held.iter().find(|v| v.resource == Resource::Transactions).expect("there");
    assert_eq!(held.used, 51, "another has a transaction, and not only an answer");
    lab.clear();
}
