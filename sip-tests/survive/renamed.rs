//! Phones that call themselves otherwise when they come again in the dark: by another spelling, by
//! another connection, by a name of this start.

use super::{phones, pull, register, surviving};
use crate::lab::script::answer;
use crate::lab::{Lab, Ua, Version, s, site};
use portreeve::engine::Input;
use portreeve::ground::Transport;

/// Registers under a Contact of its own, which the PBX grants.
#[track_caller]
fn confirmed(lab: &mut Lab, ua: &Ua, contact: &str) {
    assert!(register(lab, ua, |t| t.set("Contact", contact)).is_none());
    let asked = lab.expect(lab.pbx(), "REGISTER");
    let sealed = asked.contact().to_owned();
    lab.send(
        lab.pbx(),
        answer(&asked, 200, "r").with("Contact", format!("<{sealed}>;expires=600")),
    );
    lab.expect(ua.at, "200");
}

fn told(lab: &mut Lab, ua: &Ua, contact: &str) -> Option<u16> {
    register(lab, ua, |t| t.set("Contact", contact)).map(|m| m.status())
}

/// Who rings when 102 calls 101.
fn rings(lab: &mut Lab, b: &Ua, at: &[Ua]) -> Vec<bool> {
    let call = lab.call(b, "101", 4000);
    let mut rung = Vec::new();
    for ua in at {
        let got = lab.take(ua.at).into_iter().find(|m| m.method() == "INVITE");
        rung.push(got.is_some());
        if let Some(got) = got {
            lab.send(ua.at, ua.answer(&got, 486, "busy"));
        }
    }
    lab.take(b.at);
    lab.send(b.at, call.cancel());
    lab.advance(s(33));
    lab.clear();
    rung
}

#[test]
fn a_phone_by_a_stream_keeps_its_place_with_another_port_in_its_contact() {
    let mut lab = surviving("");
    let (watch, b) = phones(&mut lab);
    let mut a = lab.phone("104", "10.17.0.24:5060");
    a.at = lab.inside_tcp("10.17.0.24:40000");
    confirmed(&mut lab, &a, "<sip:104@10.17.0.24:40000;transport=tcp>");
    // Another user is at that address, too.
    let mut other = lab.phone("105", "10.17.0.24:5060");
    other.at = lab.inside_tcp("10.17.0.24:41000");
    confirmed(&mut lab, &other, "<sip:105@10.17.0.24:41000;transport=tcp>");
    pull(&mut lab, &watch);
    lab.input(Input::ConnectionClosed(a.at.flow.conn.expect("a stream")));
    a.at = lab.inside_tcp("10.17.0.24:40001");
    assert_eq!(told(&mut lab, &a, "<sip:104@10.17.0.24:40001;transport=tcp>"), Some(200));
    assert_eq!(lab.kept_bindings().iter().filter(|b| b.aor.user == "104").count(), 1);
    lab.call(&b, "104", 4000);
    lab.expect(a.at, "INVITE");
    lab.clear();
    // No other name of it, no other user, and by datagrams the port counts.
    assert_eq!(told(&mut lab, &a, "<sip:x@10.17.0.24:40001;transport=tcp>"), Some(503));
    let mut third = a.clone();
    third.user = "106".to_owned();
    assert_eq!(told(&mut lab, &third, "<sip:104@10.17.0.24:40001;transport=tcp>"), Some(503));
    let mut packets = a.clone();
    packets.at = lab.inside("10.17.0.24:5062");
    assert_eq!(packets.at.flow.transport, Transport::Udp);
    assert_eq!(told(&mut lab, &packets, "<sip:104@10.17.0.24:5062>"), Some(503));
    lab.clear();
    lab.advance(s(40));
    lab.clear();
}

#[test]
fn one_address_has_several_spellings() {
    let mut lab = Lab::of(Version::Six, &site::EDGE.replace("auth = \"off\"", ""), |_| {});
    let (a, _) = phones(&mut lab);
    let other = lab.phone("105", "10.17.0.21:5070");
    lab.register(&other, 600);
    let ip = a.ip().to_string();
    pull(&mut lab, &a);
    let long: Vec<String> = match a.ip() {
        std::net::IpAddr::V6(ip) => ip.segments().iter().map(|n| format!("{n:04X}")).collect(),
        std::net::IpAddr::V4(_) => panic!("{ip} is no IPv6 address"),
    };
    let spelt = format!("<sip:101@[{}]:5060>", long.join(":"));
    assert_eq!(told(&mut lab, &a, &spelt), Some(200), "{spelt}");
    assert_eq!(told(&mut lab, &a, &spelt.replace("101@", "x@")), Some(503));
    lab.clear();
}

#[test]
fn an_instance_is_the_phone_whatever_it_calls_itself() {
    let mut lab = surviving("");
    let (watch, _) = phones(&mut lab);
    let a = lab.phone("104", "10.17.0.24:5060");
    let of = |user: &str, n: u32| {
        format!("<sip:{user}@10.17.0.24:5060>;+sip.instance=\"<urn:uuid:0000-{n}>\"")
    };
    confirmed(&mut lab, &a, &of("a1", 1));
    let other = lab.phone("105", "10.17.0.24:5070");
    confirmed(&mut lab, &other, "<sip:105@10.17.0.24:5070>");
    pull(&mut lab, &watch);
    assert_eq!(told(&mut lab, &a, &of("b2", 1)), Some(200));
    assert_eq!(lab.kept_bindings().iter().filter(|b| b.aor.user == "104").count(), 1);
    assert_eq!(told(&mut lab, &a, &of("c3", 2)), Some(503), "another instance");
    let far = lab.phone("104", "10.17.0.99:5060");
    assert_eq!(told(&mut lab, &far, &of("b2", 1)), Some(503), "another address");
    lab.clear();
}

#[test]
fn at_an_address_that_is_one_users_alone_a_contact_says_nothing_more() {
    let mut lab = surviving("");
    let (mut a, b) = phones(&mut lab);
    lab.restart();
    lab.restart();
    pull(&mut lab, &b);
    register(&mut lab, &b, |t| t);
    lab.advance(s(2));
    lab.take_all();
    // A softphone draws its Contact at each start.
    for (n, port) in [(1, 42_001), (2, 42_002), (3, 42_003)] {
        a.at = lab.inside(&format!("10.17.0.21:{port}"));
        let contact = format!("<sip:101-0x{n}@10.17.0.21:{port}>");
        assert_eq!(told(&mut lab, &a, &contact), Some(200));
    }
    // Nobody else's user, host or address.
    assert_eq!(told(&mut lab, &a, "<sip:101-0x4@10.17.0.77:42003>"), Some(503));
    let other = lab.phone("103", "10.17.0.21:42009");
    assert_eq!(told(&mut lab, &other, "<sip:103@10.17.0.21:42009>"), Some(503));
    let moved = lab.phone("101", "10.17.0.99:42003");
    assert_eq!(told(&mut lab, &moved, "<sip:101-0x3@10.17.0.21:42003>"), Some(503));
    // The last one rings, and the Contact that the PBX confirmed: nobody pushes that out.
    let (old, gone) = (lab.phone("101", "10.17.0.21:5060"), lab.phone("101", "10.17.0.21:42002"));
    assert_eq!(rings(&mut lab, &b, &[old, gone, a.clone()]), [true, false, true]);
    lab.clear();
}

#[test]
fn a_link_local_address_of_another_link_is_another_place() {
    let mut lab = surviving("");
    let (watch, _) = phones(&mut lab);
    let a = lab.phone("104", "169.254.0.24:5060");
    lab.reload(|c| c.interfaces[0].networks.push("169.254.0.0/16".parse().expect("a network")));
    confirmed(&mut lab, &a, "<sip:104@169.254.0.24:5060>");
    pull(&mut lab, &watch);
    assert_eq!(told(&mut lab, &a, "<sip:104@169.254.0.24:5060>"), Some(200));
    assert_eq!(told(&mut lab, &a, "<sip:x@169.254.0.24:5070>"), Some(503));
    lab.clear();
}

#[test]
fn who_shares_a_phones_address_stands_beside_it_once_and_never_in_its_place() {
    let mut lab = surviving("");
    let (watch, b) = phones(&mut lab);
    let a = lab.phone("101", "10.17.0.21:5060");
    let instance = ";+sip.instance=\"<urn:uuid:1111>\"";
    let own = format!("<sip:101@10.17.0.21:5060>{instance}");
    confirmed(&mut lab, &a, &own);
    pull(&mut lab, &watch);
    let forger = lab.phone("101", "10.17.0.21:6000");
    let all = |n: u32| (0..n).map(|n| format!("<sip:m{n}@10.17.0.21:{}>", 7100 + n));
    let many: Vec<String> = all(8).collect();
    let both = [a.clone(), forger.clone()];
    for contact in [format!("<sip:101@10.17.0.21:6000>{instance}"), many.join(", ")] {
        // One is tried at the PBX first.
        let at_once = told(&mut lab, &forger, &contact);
        lab.advance(s(1));
        let told = at_once.or_else(|| lab.take(forger.at).pop().map(|m| m.status()));
        assert_eq!(told, Some(200));
        assert!(rings(&mut lab, &b, &both)[0], "{contact}");
        let theirs = lab.kept_bindings().iter().filter(|b| b.aor.user == "101").count();
        assert_eq!(theirs, 2, "{contact}");
        lab.clear();
    }
    lab.clear();
    lab.advance(s(40));
    lab.clear();
}

#[test]
fn a_phone_takes_back_what_another_port_of_its_address_took_while_it_was_off() {
    let mut lab = surviving("");
    let (a, b) = phones(&mut lab);
    lab.advance(s(700));
    lab.clear();
    pull(&mut lab, &b);
    register(&mut lab, &b, |t| t);
    lab.advance(s(2));
    lab.clear();
    // Its Contact and its Call-ID, far ahead of it, by another port.
    let forger = lab.phone("101", "10.17.0.21:6000");
    let contact = "<sip:101@10.17.0.21:5060>";
    let by = |lab: &mut Lab, ua: &Ua, cseq: &str| {
        let told = register(lab, ua, |t| {
            t.set("Contact", contact).set("Call-ID", "own").set("CSeq", cseq)
        });
        told.map(|m| m.status())
    };
    assert_eq!(by(&mut lab, &forger, "2000000000 REGISTER"), Some(200));
    assert_eq!(by(&mut lab, &a, "5 REGISTER"), Some(200));
    assert_eq!(by(&mut lab, &a, "4 REGISTER"), Some(500), "its own are in order");
    // It calls in its own name.
    lab.call(&a, "102", 4000);
    lab.expect(b.at, "INVITE");
    lab.clear();
    lab.advance(s(200));
    lab.clear();
}
