//! An outside interface whose address changes: what begins then is told the new one, what is under
//! way is told of, and nobody moves us to where we are not to be.

use crate::lab::script::answer;
use crate::lab::{Lab, Msg, Ua, s, site};
use portreeve::audit::{Finding, Record};
use portreeve::config::{Config, Environment, Own, show};
use portreeve::engine::digest::Users;
use portreeve::engine::{Health, Input, Level};

mod between;
mod media;
mod ringing;
mod staying;
mod told;
mod unheard;

const OLD: &str = "203.0.113.77";
const NEW: &str = "198.51.100.7";

/// In front of a PBX, by a device whose address changes; it has none yet.
fn away(more: &str) -> Lab {
    let text = site::EDGE.replace("address = \"203.0.113.1\"", "device = \"wan0\"");
    let text = text.replace("auth = \"off\"", "auth = \"network\"");
    let text = text.replacen("probe =", "interface = \"wan\"\nprobe =", 1);
    let text = text.replace("[media]", &format!("{more}\n[media]"));
    Lab::with(site::parse(&text), Users::None)
}

/// The same, where it stands.
fn standing() -> Lab {
    let mut lab = away("");
    stand(&mut lab, OLD);
    lab.clear();
    lab
}

fn see(lab: &mut Lab, interface: usize, v4: &str, v6: &str) {
    let own = [v4, v6].into_iter().filter_map(|text| Some(Own::new(text.parse().ok()?)));
    lab.input(Input::Addresses { interface, own: own.collect() });
}

fn stand(lab: &mut Lab, v4: &str) {
    see(lab, 1, v4, "");
}

fn move_to(lab: &mut Lab, v4: &str) {
    lab.advance(s(10));
    stand(lab, v4);
    lab.clear();
}

fn at(lab: &Lab) -> Vec<String> {
    let all = lab.stats().interfaces;
    all[0].addresses.iter().map(ToString::to_string).collect()
}

fn findings(lab: &Lab) -> Vec<(Finding, String)> {
    let one = |r: &Record| match r {
        Record::Finding { finding, evidence, .. } => Some((*finding, evidence.clone())),
        _ => None,
    };
    lab.records.iter().filter_map(one).collect()
}

fn systems(lab: &Lab) -> Vec<String> {
    let one = |r: &Record| match r {
        Record::System { event: "address", detail } => Some(detail.clone()),
        _ => None,
    };
    lab.records.iter().filter_map(one).collect()
}

/// Everything in it that says where we are says this, and nothing says the other.
#[track_caller]
fn tells(msg: &Msg, now: &str, not: &str) {
    let text = msg.to_string();
    assert!(msg.header("Via").contains(now) || !msg.is_request(), "{msg}");
    assert!(msg.contact().contains(now), "{msg}");
    assert!(!text.contains(not), "{msg}");
}

fn parties(lab: &Lab) -> (Ua, Ua) {
    (lab.phone("101", "10.17.0.21:5060"), lab.far("200"))
}

#[test]
fn what_begins_after_the_address_changed_is_told_the_new_one() {
    let mut lab = standing();
    let (phone, pbx) = parties(&lab);
    lab.register(&phone, 600);
    move_to(&mut lab, NEW);
    // A call to outside.
    lab.call(&phone, "200", 4000);
    let invite = lab.expect(pbx.at, "INVITE");
    tells(&invite, NEW, OLD);
    assert!(!invite.has("Record-Route"), "{invite}");
    assert_eq!(invite.media_address(), NEW);
    lab.clear();
    // A call from outside, to the new address.
    let contact = lab.register(&phone, 600);
    assert!(contact.contains(NEW), "{contact}");
    let call = pbx.request_to(&mut lab, "INVITE", &contact).sdp(pbx.sdp(6000));
    lab.send(pbx.at, call);
    let rung = lab.expect(phone.at, "INVITE");
    lab.send(phone.at, phone.answer(&rung, 200, "t").sdp(phone.sdp(4000)));
    lab.expect(pbx.at, "100");
    let ok = lab.expect(pbx.at, "200");
    tells(&ok, NEW, OLD);
    assert_eq!(ok.media_address(), NEW);
    // A registration.
    let register = phone.request_to(&mut lab, "REGISTER", "sip:pbx.example.com");
    lab.send(phone.at, register.set("To", format!("<{}>", phone.aor())));
    let register = lab.take(pbx.at).pop().expect("a REGISTER");
    tells(&register, NEW, OLD);
    assert_eq!(lab.stats().address_changes, 1);
}

#[test]
fn a_call_that_has_lost_its_way_back_is_told_of_and_others_are_not() {
    let mut lab = standing();
    let (a, pbx) = parties(&lab);
    let b = lab.phone("102", "10.17.0.22:5060");
    lab.register(&a, 600);
    lab.register(&b, 600);
    let (mut outward, far) = lab.establish(&a, &pbx);
    // Two phones, while the outside is silent.
    stand(&mut lab, "");
    lab.advance(s(5));
    assert!(lab.upstream("pbx").alone.is_some(), "{}", lab.situation());
    lab.clear();
    let (mut local, other) = lab.establish(&a, &b);
    let told = findings(&lab);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].0, Finding::AddressChanged);
    assert!(told[0].1.contains(OLD) && told[0].1.contains("there is none"), "{}", told[0].1);
    move_to(&mut lab, NEW);
    assert_eq!(findings(&lab).len(), 1, "once a call");
    assert_eq!(lab.stats().now.calls[1], 2, "both go on");
    // The caller hangs up, and the PBX hears it, by the new address and under the old names.
    let bye = outward.request(&mut lab, "BYE");
    lab.send(a.at, bye);
    let bye = lab.take(pbx.at).into_iter().find(|m| m.method() == "BYE").expect("a BYE");
    assert!(bye.header("Via").contains(NEW), "{bye}");
    assert_eq!(bye.call_id(), far.call_id);
    lab.send(pbx.at, answer(&bye, 200, ""));
    lab.take_all();
    lab.hang_up(&mut local, &other);
    lab.take_all();
    lab.end();
}

#[test]
fn names_that_were_told_before_open_at_the_new_address() {
    let mut lab = standing();
    let (phone, pbx) = parties(&lab);
    let (mut near, mut far) = lab.establish(&phone, &pbx);
    move_to(&mut lab, NEW);
    // The PBX sends where it was told to; it reached us by the connection, or behind a NAT.
    let bye = far.request(&mut lab, "INFO");
    assert!(bye.start.contains(OLD), "it is sent to the old Contact");
    // Whoever put us into a route himself names what he knew.
    let bye = bye.with("Route", format!("<sip:{OLD}:5060;lr>"));
    lab.send(pbx.at, bye);
    let got = lab.expect(phone.at, "INFO");
    assert!(!got.has("Route"), "{got}");
    lab.send(phone.at, answer(&got, 200, ""));
    lab.expect(pbx.at, "200");
    // The call is described anew: its media move along.
    let offer = near.request(&mut lab, "INVITE").sdp(phone.sdp(4000));
    lab.send(phone.at, offer.clone());
    let offered = lab.expect(pbx.at, "INVITE");
    tells(&offered, NEW, OLD);
    assert_eq!(offered.media_address(), NEW);
    lab.expect(phone.at, "100");
    lab.send(pbx.at, pbx.answer(&offered, 200, "").sdp(pbx.sdp(6000)));
    let ok = lab.expect(phone.at, "200");
    near.learn(&ok);
    let ack = near.ack(&mut lab);
    lab.send(phone.at, ack);
    lab.expect(pbx.at, "ACK");
    // A stranger at the address that we have left is no part of us.
    let bye = far.request(&mut lab, "BYE");
    lab.send(pbx.at, bye);
    let got = lab.expect(phone.at, "BYE");
    lab.send(phone.at, answer(&got, 200, ""));
    lab.expect(pbx.at, "200");
    lab.end();
}

#[test]
fn what_rings_outside_is_taken_back_and_its_caller_may_dial_again() {
    let mut lab = standing();
    let (phone, pbx) = parties(&lab);
    let call = lab.call(&phone, "200", 4000);
    let rung = lab.expect(pbx.at, "INVITE");
    lab.expect(phone.at, "100");
    lab.send(pbx.at, pbx.answer(&rung, 180, "r"));
    lab.expect(phone.at, "180");
    lab.advance(s(10));
    stand(&mut lab, NEW);
    let cancel = lab.take(pbx.at).into_iter().find(|m| m.method() == "CANCEL").expect("a CANCEL");
    assert_eq!(cancel.header("Via"), rung.header("Via"), "as the INVITE (RFC 3261 §9.1)");
    assert!(cancel.header("Reason").contains("503"), "{cancel}");
    let told = lab.take(phone.at).pop().expect("an answer");
    assert_eq!(told.status(), 503, "{told}");
    lab.send(phone.at, call.ack_refusal(&told));
    lab.clear();
    lab.end();
}

#[test]
fn a_start_without_an_address_is_no_error_and_waits() {
    let mut lab = away("");
    assert_eq!(at(&lab), [""; 0]);
    let (phone, pbx) = parties(&lab);
    // Nothing reaches the outside, and it is said at once.
    lab.call(&phone, "200", 4000);
    let told = lab.take(phone.at).pop().expect("an answer");
    assert_eq!((told.status(), told.header("Retry-After")), (503, "10"), "{told}");
    assert!(lab.take(pbx.at).is_empty());
    lab.clear();
    stand(&mut lab, OLD);
    lab.clear();
    let _ = lab.establish(&phone, &pbx);
    assert_eq!(lab.stats().address_changes, 0, "the first one is no change");
    assert_eq!(systems(&lab), ["interface wan stands at 203.0.113.77 (device wan0)"]);
}

#[test]
fn a_start_without_an_address_leaves_the_site_alone_after_seconds() {
    let mut lab = away("");
    assert_eq!(lab.upstream("pbx").health, Health::Down, "{:?}", lab.upstream("pbx"));
    assert!(lab.upstream("pbx").why.contains("interface wan has no address"));
    let phone = lab.phone("101", "10.17.0.21:5060");
    let told = |lab: &mut Lab| {
        let register = phone.request_to(lab, "REGISTER", "sip:pbx.example.com");
        let register = register.set("To", format!("<{}>", phone.aor())).with("Expires", "600");
        lab.send(phone.at, register);
        lab.take(phone.at).pop().map(|m| (m.status(), m.header("Retry-After").to_owned()))
    };
    assert_eq!(told(&mut lab), Some((503, "10".to_owned())), "it comes again soon");
    lab.advance(s(3));
    assert!(lab.upstream("pbx").alone.is_some(), "{}", lab.situation());
    // Nobody has confirmed it, and it hears that in words.
    assert_eq!(told(&mut lab).map(|told| told.0), Some(503));
    stand(&mut lab, OLD);
    let pbx = lab.pbx();
    for _ in 0..10 {
        for asked in lab.take(pbx) {
            lab.send(pbx, answer(&asked, 200, "o"));
        }
        lab.advance(s(1));
    }
    assert!(lab.upstream("pbx").alone.is_none(), "{}", lab.situation());
    lab.clear();
    lab.end();
}

#[test]
fn an_address_that_is_gone_leaves_its_own_upstreams_alone_and_comes_back() {
    let more = "[[interface]]\nname = \"lte\"\nside = \"outside\"\naddress = \"192.0.2.1\"\n\
                keepalive = \"0s\"\n[[upstream]]\nname = \"mobile\"\naddress = \"192.0.2.9:5060\"\n\
                interface = \"lte\"\nprobe = \"0s\"\nnumbers = [\"9\"]\n";
    let mut lab = away(more);
    stand(&mut lab, OLD);
    lab.clear();
    let (phone, _) = parties(&lab);
    lab.register(&phone, 600);
    lab.advance(s(10));
    // It is asked whether it is there, from where we stand now.
    lab.take_all();
    stand(&mut lab, "");
    assert_eq!(lab.upstream("pbx").health, Health::Down, "{:?}", lab.upstream("pbx"));
    assert!(lab.upstream("pbx").why.contains("interface wan has no address"));
    lab.advance(s(3));
    assert!(lab.upstream("pbx").alone.is_some() && lab.upstream("mobile").alone.is_none());
    // The phone registers here meanwhile.
    let register = phone.request_to(&mut lab, "REGISTER", "sip:pbx.example.com");
    let register = register.set("To", format!("<{}>", phone.aor())).with("Expires", "600");
    lab.send(phone.at, register);
    assert_eq!(lab.take(phone.at).pop().map(|m| m.status()), Some(200));
    lab.advance(s(60));
    assert!(
        lab.waiting() == 0,
        "nothing is sent by an interface that is nowhere: {}",
        lab.situation()
    );
    stand(&mut lab, NEW);
    assert_eq!(lab.upstream("pbx").health, Health::Unknown, "from there it was not asked yet");
    let pbx = lab.pbx();
    let mut probes = 0;
    for _ in 0..60 {
        for asked in lab.take(pbx) {
            assert_eq!(asked.method(), "OPTIONS");
            tells(&asked, NEW, OLD);
            probes += 1;
            lab.send(pbx, answer(&asked, 200, "o"));
        }
        lab.advance(s(1));
    }
    assert!(probes > 0 && lab.upstream("pbx").alone.is_none(), "{}", lab.situation());
    lab.clear();
    lab.end();
}

#[test]
fn the_same_address_again_changes_nothing() {
    let mut lab = standing();
    let (phone, pbx) = parties(&lab);
    let _calls = lab.establish(&phone, &pbx);
    for _ in 0..3 {
        move_to(&mut lab, OLD);
    }
    assert_eq!((lab.stats().address_changes, findings(&lab).len()), (0, 0));
    // A device that goes and comes with the address that it had: the call has its way again.
    stand(&mut lab, "");
    move_to(&mut lab, OLD);
    assert_eq!((at(&lab), lab.stats().address_changes), (vec![OLD.to_owned()], 2));
    lab.clear();
    lab.end();
}

#[test]
fn who_flaps_is_followed_less_and_less_often() {
    let mut lab = standing();
    for n in 0..600_u32 {
        let address = format!("198.51.100.{}", 10 + n % 2);
        stand(&mut lab, &address);
        lab.advance(s(1));
    }
    let changes = lab.stats().address_changes;
    assert!((6..25).contains(&changes), "{changes} in ten minutes");
    // The last one holds in the end.
    stand(&mut lab, NEW);
    lab.advance(s(120));
    assert_eq!(at(&lab), [NEW]);
    lab.clear();
    lab.end();
}

#[test]
fn an_address_that_may_not_be_ours_is_refused_with_words() {
    let mut lab = standing();
    let phone = lab.phone("101", "172.20.0.9:5060");
    let _ = phone;
    let warned = |lab: &Lab| {
        let last = lab.notices.iter().rev().find(|(level, _)| *level == Level::Warn);
        last.map(|(_, text)| text.clone()).unwrap_or_default()
    };
    for (address, why) in [
        ("10.17.0.1", "the address of interface phones"),
        ("10.17.3.4", "an address of the inside"),
        (site::PBX_IP, "the address of upstream pbx"),
        ("127.0.0.1", "a loopback address"),
        ("224.0.0.5", "a multicast or broadcast address"),
        ("0.0.0.0", "a multicast or broadcast address"),
        ("169.254.3.4", "a link-local address"),
    ] {
        lab.advance(s(300));
        stand(&mut lab, address);
        assert_eq!(at(&lab), [""; 0], "{address}");
        let view = lab.stats().interfaces.remove(0);
        assert!(view.refused.contains(why), "{address}: {view:?}");
        if address == "10.17.0.1" {
            assert!(systems(&lab).last().unwrap().contains("no address any more"));
        }
        let told = lab.notices.iter().any(|(_, t)| t.contains(address) && t.contains(why));
        assert!(told, "{address}: {}", warned(&lab));
        let lines = lab.notices.len();
        lab.advance(s(120));
        let said = lab.notices[lines..].iter().filter(|(_, t)| t.contains("not to stand")).count();
        assert_eq!(said, 0, "once");
        lab.clear();
        lab.advance(s(300));
        stand(&mut lab, OLD);
        assert_eq!(at(&lab), [OLD]);
    }
    lab.clear();
    lab.end();
}

#[test]
fn two_interfaces_never_stand_at_one_address_and_one_takes_what_the_other_left() {
    let more = "[[interface]]\nname = \"lte\"\nside = \"outside\"\naddress = \"auto\"\n";
    let mut lab = away(more);
    stand(&mut lab, OLD);
    see(&mut lab, 2, OLD, "");
    let both = |lab: &Lab| -> Vec<usize> {
        lab.stats().interfaces.iter().map(|i| i.addresses.len()).collect()
    };
    assert_eq!(both(&lab), [1, 0]);
    lab.advance(s(10));
    stand(&mut lab, NEW);
    lab.advance(s(2));
    assert_eq!(both(&lab), [1, 1]);
    assert_eq!(lab.stats().interfaces[1].addresses[0].to_string(), OLD);
    lab.clear();
    lab.end();
}

#[test]
fn what_was_sent_inside_never_names_the_inside_outside_while_the_outside_is_gone() {
    // The leak sweep of the lab looks at all that leaves; this shows that there is nothing else.
    let mut lab = standing();
    let (phone, pbx) = parties(&lab);
    lab.register(&phone, 600);
    let (mut near, _) = lab.establish(&phone, &pbx);
    move_to(&mut lab, "");
    for method in ["INFO", "UPDATE", "INVITE", "BYE"] {
        let text = near.request(&mut lab, method);
        let text = if method == "INVITE" { text.sdp(phone.sdp(4000)) } else { text };
        lab.send(phone.at, text);
        // Whether the site is alone is found out first.
        lab.advance(s(5));
        let told = lab.take(phone.at).pop().expect("an answer");
        assert!(told.status() >= 200, "{method}: {told}");
    }
    lab.advance(s(40));
    let left = lab.take(pbx.at);
    assert!(left.is_empty(), "nothing leaves: {left:?}");
    lab.clear();
    lab.end();
}

#[test]
fn phones_come_back_soon_where_the_address_may_change() {
    let mut lab = standing();
    let (phone, pbx) = parties(&lab);
    let register = |lab: &mut Lab| {
        let text = phone.request_to(lab, "REGISTER", "sip:pbx.example.com");
        let text = text.set("To", format!("<{}>", phone.aor())).with("Expires", "3600");
        lab.send(phone.at, text);
        lab.take(pbx.at).pop().expect("a REGISTER")
    };
    let asked = register(&mut lab);
    let old = asked.contact().to_owned();
    let granted = format!("<{old}>;expires=3600");
    let ok = answer(&asked, 200, "r").with("Contact", granted.clone()).with("Expires", "3600");
    lab.send(pbx.at, ok);
    let ok = lab.take(phone.at).pop().expect("an answer");
    assert!(ok.header("Contact").contains("expires=300"), "{ok}");
    assert_eq!(ok.header("Expires"), "300", "{ok}");
    // The registrar lists the old Contact beside the new one: it is the phone's no more.
    move_to(&mut lab, NEW);
    let asked = register(&mut lab);
    let new = format!("<{}>;expires=1800", asked.contact());
    assert_ne!(asked.contact(), old);
    lab.send(pbx.at, answer(&asked, 200, "r").with("Contact", granted).with("Contact", new));
    let ok = lab.take(phone.at).pop().expect("an answer");
    assert_eq!(ok.list("Contact").len(), 1, "{ok}");
    assert!(!ok.to_string().contains(OLD), "{ok}");
    assert_eq!(lab.kept_bindings().len(), 1);
    lab.clear();
}

#[test]
fn both_ip_versions_are_followed_each_by_itself() {
    let mut lab = away("");
    see(&mut lab, 1, OLD, "2001:db8::7");
    assert_eq!(at(&lab), [OLD, "2001:db8::7"]);
    let ids: Vec<u16> = lab.config.listeners().iter().map(|l| l.id.0).collect();
    assert_eq!(ids, [0, 1, 2, 3, 4, 5, 6]);
    lab.advance(s(10));
    see(&mut lab, 1, "", "2001:db8::8");
    assert_eq!(at(&lab), ["2001:db8::8"]);
    let ids: Vec<u16> = lab.config.listeners().iter().map(|l| l.id.0).collect();
    assert_eq!(ids, [0, 1, 2, 5, 6], "the others keep their numbers");
    lab.advance(s(10));
    see(&mut lab, 1, NEW, "fe80::1");
    assert_eq!(at(&lab), [NEW]);
    lab.clear();
    lab.end();
}

#[test]
fn a_reload_leaves_an_interface_where_it_stands() {
    let mut lab = standing();
    lab.reload(|c| {
        c.interfaces[1].addresses = c.interfaces[1].addresses.at([None; 2]);
        c.drain = s(7);
    });
    assert_eq!(at(&lab), [OLD]);
    lab.config.interfaces[1].addresses =
        lab.config.interfaces[1].addresses.at([OLD.parse().ok(), None]);
    let (phone, pbx) = parties(&lab);
    lab.call(&phone, "200", 4000);
    assert!(lab.expect(pbx.at, "INVITE").header("Via").contains(OLD));
    lab.clear();
}

fn parse(lines: &str, env: &Environment) -> Result<Config, String> {
    let text = site::EDGE.replace("address = \"203.0.113.1\"", lines);
    let read = Config::parse("t", &text, env);
    read.map_err(|all| all.iter().map(ToString::to_string).collect())
}

#[test]
fn the_file_says_what_is_followed_and_what_is_told_instead() {
    let mut env = Environment::default();
    env.devices.insert("wan0".to_owned(), vec!["203.0.113.1/24".parse().unwrap()]);
    env.routes = ["192.0.2.77".parse().ok(), None];
    for (lines, now, shown) in [
        ("device = \"wan0\"", "203.0.113.1", "device = \"wan0\"   # now: 203.0.113.1"),
        ("address = \"auto\"", "192.0.2.77", "address = \"auto\"   # now: 192.0.2.77"),
        ("device = \"ppp0\"", "no address yet", "device = \"ppp0\"   # now: no address yet"),
        ("device = \"wan0\"\nip_version = \"ipv4\"", "203.0.113.1", "ip_version = \"ipv4\""),
        ("address = \"auto\"", "192.0.2.77", "ip_version = \"ipv4\""),
        ("device = \"wan0\"", "203.0.113.1", "ip_version = \"both\""),
    ] {
        let config = parse(lines, &env).unwrap();
        let wan = &config.interfaces[1];
        assert_eq!(wan.addresses.listed(), now);
        assert!(show(&config).contains(shown), "{}", show(&config));
        let again = Config::parse("t", &show(&config), &env).unwrap();
        assert_eq!(again.interfaces, config.interfaces);
        let doubt = config.doubts().iter().any(|d| d.contains("interface wan has no address"));
        assert_eq!(doubt, now == "no address yet", "{:?}", config.doubts());
    }
    let told = parse("device = \"wan0\"\nadvertise = \"198.51.100.1\"", &env).unwrap();
    let first = told.interfaces[1].addresses.first().unwrap();
    assert_eq!(first.advertised().to_string(), "198.51.100.1");
    for (lines, what) in [
        ("address = \"auto\"\ndevice = \"wan0\"", "exclude each other"),
        ("address = [\"auto\", \"fd00::1\"]", "no IP address: \"auto\""),
        ("device = \"wan0\"\nadvertise = [\"198.51.100.1\", \"198.51.100.2\"]", "stands for no"),
        ("address = \"203.0.113.1\"\nip_version = \"both\"", "follows a device or"),
        ("device = \"wan0\"\nip_version = \"v4\"", "ip_version"),
        ("device = \"wan0\"\nip_version = \"ipv6\"", "which follows ipv6 alone"),
        ("address = \"auto\"\nadvertise = \"2001:db8::1\"", "stands for no"),
    ] {
        let faults = parse(lines, &env).unwrap_err();
        assert!(faults.contains(what), "{lines}: {faults}");
    }
    let inside = site::EDGE.replace("address = \"10.17.0.1\"", "address = \"auto\"");
    let faults = Config::parse("t", &inside, &env).unwrap_err();
    assert!(faults.iter().any(|f| f.to_string().contains("not outside")), "{faults:?}");
    // Where a device stands when the file is read again is no change of the file.
    let before = parse("device = \"wan0\"", &env).unwrap();
    env.devices.insert("wan0".to_owned(), vec!["203.0.113.9/24".parse().unwrap()]);
    let after = parse("device = \"wan0\"", &env).unwrap();
    assert!(after.clone().following(&before).1.is_empty());
    let other = parse("address = \"auto\"", &env).unwrap().following(&before).1;
    assert_eq!(other.restart, ["interface.wan.address"]);
    let told = parse("device = \"wan0\"\nadvertise = \"198.51.100.1\"", &env).unwrap();
    assert_eq!(told.following(&before).1.restart, ["interface.wan.advertise"]);
    let version = parse("device = \"wan0\"\nip_version = \"ipv4\"", &env).unwrap();
    assert_eq!(version.following(&before).1.restart, ["interface.wan.ip_version"]);
}

#[test]
fn a_call_for_help_waits_for_the_address() {
    for comes in [true, false] {
        let mut lab = standing();
        let (phone, pbx) = parties(&lab);
        lab.register(&phone, 600);
        lab.advance(s(10));
        stand(&mut lab, "");
        // At once, alone, and from somebody whom nobody knows.
        let stranger = lab.phone("555", "10.17.0.55:5060");
        let mut calls = vec![lab.call(&phone, "112", 4000)];
        lab.advance(s(5));
        calls.push(lab.call(&phone, "112", 4002));
        calls.push(lab.call(&stranger, "112", 4004));
        lab.advance(s(3));
        let told = lab.take(phone.at);
        assert!(told.iter().all(|m| m.status() == 100), "{told:?}\n{}", lab.situation());
        assert_eq!(lab.take(stranger.at).iter().map(Msg::status).max(), Some(100));
        // Who gives up is told so.
        lab.send(phone.at, calls[0].cancel());
        let told: Vec<u16> = lab.take(phone.at).iter().map(Msg::status).collect();
        assert_eq!(told, [200, 487]);
        lab.take_all();
        if comes {
            stand(&mut lab, NEW);
            let sent = lab.take(pbx.at);
            let invites = sent.iter().filter(|m| m.method() == "INVITE").count();
            assert_eq!(invites, 2, "{sent:?}");
        } else {
            lab.advance(s(40));
            let told = lab.take(stranger.at).pop().expect("an answer");
            assert_eq!(told.status(), 503, "{told}");
        }
        lab.clear();
    }
}
