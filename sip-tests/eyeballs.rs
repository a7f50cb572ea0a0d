//! Targets of both IP versions behind one name: a version that leads nowhere costs little, and no
//! version is tried that the interface lacks (RFC 8305 in spirit, RFC 7984).

use crate::lab::{Lab, Party, Ua, ms, s, site};
use portreeve::engine::Input;
use portreeve::engine::digest::Users;
use portreeve::engine::names::{Question, Record, Reply};
use std::time::Duration;

const SIX: &str = "[2001:db8:cafe::10]:5070";
const FOUR: &str = "203.0.113.10:5070";

/// A host of both versions behind an interface of these addresses.
fn named(outside: &str, more: &str) -> Lab {
    let upstream = format!("address = \"sip.example.net:5070\"\n{more}");
    let text = site::EDGE
        .replace("\"203.0.113.1\"", outside)
        .replace("address = \"203.0.113.10:5060\"", &upstream)
        .replace("probe = \"0s\"\n", if more.is_empty() { "probe = \"0s\"\n" } else { "" });
    let mut lab = Lab::with(site::parse(&text), Users::None);
    while let Some(question) = lab.asked.pop_front() {
        let all = ["203.0.113.10", "2001:db8:cafe::10"];
        let records = all.map(|ip| Record::Address(ip.parse().expect("an address"))).to_vec();
        let reply = match &question {
            Question::Hosts(_) => Reply::Records(records, Duration::from_secs(86_400)),
            Question::Naptr(_) | Question::Srv(_) => Reply::Nothing(Duration::from_secs(60)),
        };
        lab.input(Input::Resolved(question, reply));
    }
    lab
}

fn both(more: &str) -> Lab {
    named("[\"203.0.113.1\", \"2001:db8:cafe::1\"]", more)
}

/// Who gets a new request at once, and who after half a second: six, four.
fn asked(lab: &mut Lab, user: &str) -> [[bool; 2]; 2] {
    let phone = lab.phone(user, "10.17.0.21:5060");
    let message = phone.request(lab, "MESSAGE", "200").typed("text/plain", "x");
    lab.send(phone.at, message);
    let at = |lab: &mut Lab| {
        [SIX, FOUR].map(|at| {
            let at = lab.outside(at);
            let all = lab.take(at);
            for msg in all.iter().filter(|m| m.method() == "MESSAGE") {
                if at.addr().is_ipv4() {
                    lab.send(at, Ua::new(at, "200").answer(msg, 200, "x"));
                }
            }
            !all.is_empty()
        })
    };
    let now = at(lab);
    lab.advance(ms(501));
    let later = at(lab);
    lab.take(phone.at);
    [now, later]
}

#[test]
fn a_version_that_leads_nowhere_costs_half_a_second_once() {
    let mut lab = both("");
    assert_eq!(asked(&mut lab, "101"), [[true, false], [true, true]]);
    for n in 0..20 {
        assert_eq!(asked(&mut lab, &format!("1{n:02}")), [[false, true], [false, false]], "{n}");
        lab.advance(s(60));
        for at in [SIX, FOUR] {
            lab.take(lab.outside(at));
        }
    }
}

#[test]
fn a_version_that_answers_is_given_its_time() {
    let mut lab = both("");
    let (phone, six, four) =
        (lab.phone("101", "10.17.0.21:5060"), lab.outside(SIX), lab.outside(FOUR));
    let send = |lab: &mut Lab| {
        let message = phone.request(lab, "MESSAGE", "200").typed("text/plain", "x");
        lab.send(phone.at, message);
        lab.expect(six, "MESSAGE")
    };
    let got = send(&mut lab);
    lab.send(six, Ua::new(six, "200").answer(&got, 200, "x"));
    lab.expect(phone.at, "200");
    // Slow, and not dead: nobody else is asked.
    let got = send(&mut lab);
    lab.advance(s(2));
    lab.take(six);
    assert!(lab.take(four).is_empty());
    lab.send(six, Ua::new(six, "200").answer(&got, 200, "x"));
    lab.expect(phone.at, "200");
    send(&mut lab);
    lab.advance(s(5));
    assert!(!lab.take(four).is_empty(), "as any target that says nothing");
    lab.clear();
}

#[test]
fn a_socket_that_reaches_nothing_leads_to_the_other_version_at_once() {
    let mut lab = both("");
    let phone = lab.phone("101", "10.17.0.21:5060");
    lab.call(&phone, "200", 4000);
    let six = lab.outside(SIX);
    lab.expect(six, "INVITE");
    lab.input(Input::TransportFailed(six.flow));
    let four = lab.outside(FOUR);
    let got = lab.expect(four, "INVITE");
    assert!(got.body.contains("IN IP4") && !got.body.contains("IN IP6"), "{got}");
    lab.clear();
}

#[test]
fn probes_say_which_version_is_there() {
    let mut lab = both("probe = \"30s\"");
    lab.advance(s(2));
    let answer = |lab: &mut Lab, at: Party| {
        for msg in lab.take(at).iter().filter(|m| m.method() == "OPTIONS") {
            lab.send(at, Ua::new(at, "x").answer(msg, 200, "x"));
        }
    };
    let (six, four) = (lab.outside(SIX), lab.outside(FOUR));
    answer(&mut lab, four);
    lab.advance(s(1));
    assert_eq!(
        asked(&mut lab, "101")[0],
        [true, true],
        "a probe is repeated; the call goes by IPv4"
    );
    lab.take(six);
    for _ in 0..40 {
        lab.advance(s(1));
        answer(&mut lab, six);
        answer(&mut lab, four);
    }
    assert_eq!(asked(&mut lab, "102")[0], [true, false], "it is there now");
    lab.clear();
}

#[test]
fn a_version_that_the_interface_lacks_is_never_tried() {
    for (outside, version) in [("\"203.0.113.1\"", 1), ("\"2001:db8:cafe::1\"", 0)] {
        let mut lab = named(outside, "");
        let targets = lab.upstream("pbx").targets;
        assert_eq!(targets.len(), 1);
        assert_eq!(usize::from(targets[0].address.is_ipv4()), version);
        let [now, later] = asked(&mut lab, "101");
        assert_eq!((now[1 - version], later[1 - version]), (false, false));
        assert!(now[version]);
        lab.clear();
    }
}
