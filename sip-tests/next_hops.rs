//! Where we send within a dialog, and whom we believe there: a Contact or a Record-Route of the
//! other party is judged by its address, a request comes from the dialog's own party, an answer
//! from where its request went.

use crate::forking::proxied;
use crate::lab::script::{Text, answer};
use crate::lab::{Lab, Leg, Party, Ua, Version, site};
use portreeve::config::Strangers;
use portreeve::engine::digest::Users;
use portreeve::ground::{Flow, ListenerId};

fn parties(lab: &Lab) -> (Ua, Ua) {
    (lab.phone("101", "10.17.0.21:5060"), lab.far("200"))
}

/// Addresses that nobody outside may lead us to.
const TABOO: [&str; 12] = [
    "127.0.0.1:5060",
    "127.0.0.1:22",
    "[::1]:5060",
    "[::ffff:10.17.0.66]:5060",
    "10.17.0.66:5060",
    "10.17.0.1:5060",
    "10.17.0.1:9999",
    "203.0.113.1:5060",
    "203.0.113.1:9999",
    "224.0.1.75:5060",
    "169.254.169.254:80",
    "0.0.0.0:5060",
];

/// A call out that the PBX answers with these rows; both sides.
fn answered(lab: &mut Lab, contact: &str, routes: &[&str]) -> (Leg, Leg) {
    let (phone, pbx) = parties(lab);
    let mut a = lab.call(&phone, "200", 4000);
    lab.expect(phone.at, "100");
    let got = lab.expect(pbx.at, "INVITE");
    let n = lab.fresh();
    let tag = format!("t{n}");
    let b = Leg::called(&pbx, &got, &tag);
    let mut ok = pbx.answer(&got, 200, &tag).set("Contact", contact);
    for route in routes {
        ok.rows.insert(0, ("Record-Route".to_owned(), (*route).to_owned()));
    }
    lab.send(pbx.at, ok.sdp(pbx.sdp(6000)));
    a.learn(&lab.expect(phone.at, "200"));
    (a, b)
}

/// Everything that leaves goes to the PBX.
#[track_caller]
fn goes_to_the_pbx(lab: &mut Lab, a: &mut Leg, what: &str) {
    let ack = a.ack(lab);
    lab.send(a.ua.at, ack);
    let info = a.request(lab, "INFO");
    lab.send(a.ua.at, info);
    let pbx = lab.pbx();
    let got = lab.take(pbx);
    let methods: Vec<&str> = got.iter().map(|m| m.method()).collect();
    assert_eq!(methods, ["ACK", "INFO"], "{what}\n{}", lab.situation());
    lab.nothing_left();
    lab.send(pbx, answer(&got[1], 200, ""));
    lab.expect(a.ua.at, "200");
    // And so does what we say by ourselves.
    lab.input(portreeve::engine::Input::HangUpAll);
    let told: Vec<_> = lab.addressees();
    assert_eq!(told, [a.ua.at.addr(), pbx.addr()], "{what}");
    lab.clear();
}

#[test]
fn a_contact_leads_to_no_address_that_is_not_the_outsides() {
    for version in Version::ALL {
        for at in TABOO {
            for transport in ["", ";transport=tcp"] {
                let mut lab = Lab::of(version, site::EDGE, |_| {});
                lab.secrets.clear();
                let contact = format!("<sip:200@{at}{transport}>");
                let (mut a, _) = answered(&mut lab, &contact, &[]);
                goes_to_the_pbx(&mut lab, &mut a, &contact);
            }
        }
    }
}

#[test]
fn a_record_route_leads_to_none_either() {
    for version in Version::ALL {
        for at in TABOO {
            for lr in [";lr", ""] {
                let mut lab = Lab::of(version, site::EDGE, |_| {});
                lab.secrets.clear();
                let route = format!("<sip:{at}{lr}>");
                let (mut a, _) = answered(&mut lab, "<sip:200@203.0.113.10>", &[&route]);
                goes_to_the_pbx(&mut lab, &mut a, &route);
            }
        }
    }
}

#[test]
fn other_addresses_of_the_outside_are_where_they_say() {
    for version in Version::ALL {
        for (contact, routes, at) in [
            ("<sip:200@203.0.113.20:5070>", vec![], "203.0.113.20:5070"),
            ("<sip:200@203.0.113.20:80>", vec![], "203.0.113.20:80"),
            ("<sip:200@203.0.113.20>", vec!["<sip:203.0.113.11;lr>"], "203.0.113.11:5060"),
            ("<sip:200@192.168.7.7>", vec![], "192.168.7.7:5060"),
        ] {
            if version == Version::Six && at.starts_with("192.168") {
                continue; // The gateway has no address to reach it from.
            }
            let mut lab = Lab::of(version, site::EDGE, |_| {});
            let (a, _) = answered(&mut lab, contact, &routes);
            let ack = a.ack(&mut lab);
            lab.send(a.ua.at, ack);
            let there = lab.outside(at);
            lab.expect(there, "ACK");
            lab.clear();
            lab.end();
        }
    }
}

#[test]
fn what_a_request_within_the_dialog_says_is_judged_too() {
    for version in Version::ALL {
        for method in ["INVITE", "UPDATE", "NOTIFY"] {
            let mut lab = Lab::of(version, site::EDGE, |_| {});
            lab.secrets.clear();
            let (mut a, mut b) = answered(&mut lab, "<sip:200@203.0.113.10>", &[]);
            let ack = a.ack(&mut lab);
            lab.send(a.ua.at, ack);
            lab.clear();
            let mut moved = b.request(&mut lab, method).set("Contact", "<sip:200@10.17.0.66:5060>");
            if method == "NOTIFY" {
                moved = moved.with("Event", "x").with("Subscription-State", "active");
            }
            lab.send(b.ua.at, moved);
            let mut got = lab.take(a.ua.at);
            let got = got.pop().expect("it passes");
            lab.send(a.ua.at, a.ua.answer(&got, 200, ""));
            lab.clear();
            let bye = a.request(&mut lab, "BYE");
            lab.send(a.ua.at, bye);
            let pbx = lab.pbx();
            let bye = lab.expect(pbx, "BYE");
            lab.send(pbx, answer(&bye, 200, ""));
            lab.clear();
            lab.end();
        }
    }
}

#[test]
fn a_caller_from_outside_leads_us_nowhere_else() {
    for version in Version::ALL {
        for at in TABOO {
            let mut lab = Lab::of(version, site::EDGE, |_| {});
            lab.secrets.clear();
            let (phone, pbx) = parties(&lab);
            let sealed = lab.register(&phone, 600);
            let invite = pbx.request_to(&mut lab, "INVITE", &sealed).sdp(pbx.sdp(6000));
            let invite = invite
                .set("Contact", format!("<sip:200@{at}>"))
                .with("Record-Route", format!("<sip:{at};lr>"));
            lab.send(pbx.at, invite);
            lab.expect(pbx.at, "100");
            let got = lab.expect(phone.at, "INVITE");
            let mut b = Leg::called(&phone, &got, "in");
            lab.send(phone.at, phone.answer(&got, 200, "in").sdp(phone.sdp(4000)));
            lab.expect(pbx.at, "200");
            let bye = b.request(&mut lab, "BYE");
            lab.send(phone.at, bye);
            let bye = lab.expect(pbx.at, "BYE");
            lab.send(pbx.at, answer(&bye, 200, ""));
            lab.clear();
            lab.end();
        }
    }
}

/// What we sent to our own socket comes in there.
fn to_ourselves(lab: &mut Lab, method: &str) -> Option<Text> {
    let ours = lab.outside("203.0.113.1:5060");
    let got = lab.next(ours)?;
    assert_eq!(got.method(), method);
    let rows = got.rows.clone().into_iter().filter(|(n, _)| n != "Content-Length").collect();
    let text = Text { start: got.start.clone(), rows, body: got.body.clone() };
    lab.send(ours, text.clone());
    Some(text)
}

/// 101 calls 102 by way of a PBX that keeps no route: the two passes are each other's target.
fn short_spiral(lab: &mut Lab) -> (Leg, Leg) {
    let (alice, bob) = (lab.phone("101", "10.17.0.21:5060"), lab.phone("102", "10.17.0.22:5060"));
    lab.register(&alice, 600);
    let sealed = lab.register(&bob, 600);
    let pbx = lab.pbx();
    let mut a = lab.call(&alice, "102", 4000);
    lab.expect(alice.at, "100");
    let out = lab.expect(pbx, "INVITE");
    let mut again = proxied(&out, &sealed, "z9hG4bKpbx1");
    again.rows.retain(|(_, v)| v != "<sip:203.0.113.10;lr>");
    lab.send(pbx, again);
    lab.expect(pbx, "100");
    let rung = lab.expect(bob.at, "INVITE");
    let b = Leg::called(&bob, &rung, "bob");
    lab.send(bob.at, bob.answer(&rung, 200, "bob").sdp(bob.sdp(4100)));
    let ok = lab.expect(pbx, "200");
    lab.send(pbx, crate::forking::returned(&ok));
    a.learn(&lab.expect(alice.at, "200"));
    (a, b)
}

#[test]
fn the_other_pass_of_a_spiral_is_reached_at_our_own_socket() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (mut a, b) = short_spiral(&mut lab);
        let ack = a.ack(&mut lab);
        lab.send(a.ua.at, ack);
        assert!(to_ourselves(&mut lab, "ACK").is_some());
        lab.expect(b.ua.at, "ACK");
        let bye = a.request(&mut lab, "BYE");
        lab.send(a.ua.at, bye);
        assert!(to_ourselves(&mut lab, "BYE").is_some());
        let got = lab.expect(b.ua.at, "BYE");
        lab.send(b.ua.at, answer(&got, 200, ""));
        let ours = lab.outside("203.0.113.1:5060");
        let ok = lab.expect(ours, "200");
        lab.send(ours, ok.bytes.clone());
        lab.expect(a.ua.at, "200");
        assert_eq!(lab.engine.active_calls(), 0);
        lab.end();
    }
}

#[test]
fn a_program_on_our_host_that_knows_the_call_is_no_pass_of_it() {
    for version in Version::ALL {
        let mut lab =
            Lab::of(version, site::EDGE, |c| c.interfaces[1].strangers = Strangers::Answer);
        let (phone, pbx) = parties(&lab);
        // No spiral at all …
        let (mut a, b) = lab.establish(&phone, &pbx);
        let mut forged = b.clone();
        for at in ["203.0.113.1:5060", "203.0.113.1:40000"] {
            forged.ua.at = lab.outside(at);
            let bye = forged.request(&mut lab, "BYE");
            lab.send(forged.ua.at, bye);
            lab.expect(forged.ua.at, "403");
            lab.nothing_left();
        }
        lab.hang_up(&mut a, &b);
        // … and one, without what was sealed for it.
        let (a, b) = short_spiral(&mut lab);
        lab.clear();
        let mut bare = b.clone();
        bare.ua.at = lab.outside("203.0.113.1:40000");
        bare.routes.clear();
        bare.target = "sip:101@203.0.113.1:5060".to_owned();
        let bye = bare.request(&mut lab, "BYE");
        lab.send(bare.ua.at, bye);
        lab.expect(bare.ua.at, "403");
        assert!(lab.take(a.ua.at).is_empty());
        lab.input(portreeve::engine::Input::HangUpAll);
        lab.clear();
        lab.end();
    }
}

#[test]
fn our_own_token_of_another_call_is_no_way_to_ourselves() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (other, pbx) = (lab.phone("103", "10.17.0.23:5060"), lab.far("200"));
        let (mut c, d) = lab.establish(&other, &pbx);
        // The PBX names what it was shown of another call as its Contact.
        let contact = format!("<{}>", d.target);
        let (mut a, _) = answered(&mut lab, &contact, &[]);
        let ack = a.ack(&mut lab);
        lab.send(a.ua.at, ack);
        let info = a.request(&mut lab, "INFO");
        lab.send(a.ua.at, info);
        lab.expect(pbx.at, "ACK");
        let info = lab.expect(pbx.at, "INFO");
        lab.nothing_left();
        lab.send(pbx.at, answer(&info, 200, ""));
        lab.expect(a.ua.at, "200");
        lab.hang_up(&mut c, &d);
        lab.input(portreeve::engine::Input::HangUpAll);
        lab.clear();
        lab.end();
    }
}

/// Two upstreams, the second with a second source.
fn two() -> Lab {
    let second = r#"
[[upstream]]
name = "other"
address = "203.0.113.12:5060"
sources = ["203.0.113.13"]
domain = "other.example.net"
probe = "0s"
"#;
    let text = format!("{}{second}", site::EDGE);
    let text = text.replacen("domain = \"pbx", "sources = [\"203.0.113.14\"]\ndomain = \"pbx", 1);
    Lab::with(site::parse(&text), Users::None)
}

fn rejected(lab: &Lab) -> u64 {
    lab.stats().rejected.iter().flatten().sum()
}

fn at(lab: &Lab, at: &str, listener: ListenerId) -> Party {
    let flow = lab.pbx().flow;
    Party { flow: Flow { listener, peer: at.parse().expect("an address"), ..flow } }
}

#[test]
fn an_answer_comes_from_where_its_request_went() {
    let mut lab = two();
    let (phone, pbx) = parties(&lab);
    let outside = pbx.at.flow.listener;
    for (from, listener, heard) in [
        ("203.0.113.12:5060", outside, false),
        ("203.0.113.13:5060", outside, false),
        ("198.51.100.66:5060", outside, false),
        ("10.17.0.66:5060", site::INSIDE_UDP, false),
        ("203.0.113.10:5060", site::INSIDE_UDP, false),
        ("203.0.113.10:40000", outside, true),
        ("203.0.113.14:5060", outside, true),
    ] {
        for status in [180, 200, 486, 302] {
            let a = lab.call(&phone, "200", 4000);
            lab.expect(phone.at, "100");
            let got = lab.expect(pbx.at, "INVITE");
            let sender = at(&lab, from, listener);
            let before = rejected(&lab);
            let text = pbx
                .answer(&got, status, "x")
                .with("P-Asserted-Identity", "<sip:boss@pbx.example.com>");
            let text = if status == 200 { text.sdp(pbx.sdp(6000)) } else { text };
            lab.send(sender, text);
            let told = lab.take(phone.at);
            assert_eq!(told.iter().any(|m| m.status() == status), heard, "{status} from {from}");
            if !heard {
                assert!(told.is_empty() && lab.waiting() == 0, "{}", lab.situation());
                assert_eq!(rejected(&lab), before + 1, "it is counted");
            }
            lab.send(phone.at, a.cancel());
            lab.clear();
            lab.send(pbx.at, answer(&got, 487, "x"));
            lab.input(portreeve::engine::Input::HangUpAll);
            lab.clear();
            lab.advance(crate::lab::s(40));
            lab.clear();
        }
    }
    lab.end();
}

#[test]
fn a_phones_answer_is_no_other_phones() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (phone, pbx) = parties(&lab);
        let sealed = lab.register(&phone, 600);
        for method in ["INVITE", "OPTIONS", "MESSAGE", "SUBSCRIBE"] {
            let request = pbx.request_to(&mut lab, method, &sealed).with("Event", "dialog");
            let request = if method == "INVITE" { request.sdp(pbx.sdp(6000)) } else { request };
            lab.send(pbx.at, request);
            let got = loop {
                let m = lab.next(phone.at).expect("the request");
                if m.method() == method {
                    break m;
                }
            };
            lab.clear();
            for from in ["10.17.0.22:5060", "10.17.0.1:5070"] {
                let thief = Ua::new(lab.inside(from), "101");
                lab.send(thief.at, thief.answer(&got, 200, "t").sdp(thief.sdp(4000)));
                assert_eq!(lab.waiting(), 0, "{method}\n{}", lab.situation());
            }
            let again = Ua::new(lab.inside("10.17.0.21:40000"), "101");
            lab.send(again.at, answer(&got, 603, "p"));
            assert!(
                lab.take(pbx.at).iter().any(|m| m.status() == 603),
                "its own address is enough"
            );
            lab.clear();
        }
        lab.end();
    }
}

#[test]
fn no_probe_is_answered_by_another() {
    for version in Version::ALL {
        let mut lab =
            Lab::of(version, site::EDGE, |c| c.upstreams[0].probe = Some(crate::lab::s(30)));
        lab.advance(crate::lab::s(31));
        let pbx = lab.pbx();
        let probe = lab.expect(pbx, "OPTIONS");
        let stranger = lab.outside("198.51.100.66:5060");
        lab.send(stranger, answer(&probe, 200, "x"));
        assert_eq!(lab.upstream("pbx").health, portreeve::engine::Health::Unknown);
        lab.send(pbx, answer(&probe, 200, "x"));
        assert_eq!(lab.upstream("pbx").health, portreeve::engine::Health::Up);
        lab.clear();
    }
}

#[test]
fn a_phones_address_is_inside_though_no_network_is_configured() {
    for version in Version::ALL {
        let open = || {
            let mut lab = Lab::of(version, site::EDGE, |c| c.interfaces[0].networks.clear());
            lab.secrets.clear();
            let victim = lab.phone("102", "10.99.0.22:5060");
            lab.register(&victim, 600);
            lab
        };
        let mut lab = open();
        let (mut a, _) = answered(&mut lab, "<sip:200@10.99.0.22:5060>", &["<sip:10.99.0.22;lr>"]);
        goes_to_the_pbx(&mut lab, &mut a, "a phone's address");
        let mut lab = open();
        let (phone, pbx) = parties(&lab);
        let (mut a, mut b) = lab.establish(&phone, &pbx);
        let invite = b.request(&mut lab, "INVITE").sdp(crate::lab::sdp("10.99.0.22", 4000));
        lab.send(pbx.at, invite);
        lab.expect(pbx.at, "100");
        let no = lab.expect(pbx.at, "488");
        lab.send(pbx.at, b.ack_refusal(&no));
        lab.nothing_left();
        lab.hang_up(&mut a, &b);
        lab.end();
    }
}
