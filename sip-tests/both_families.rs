//! One call and both IP versions: phones of either ring at once, a target of the other version is
//! asked next, media are of another version than their signalling, a party moves between them.

use crate::lab::{Lab, Leg, Msg, Ua, s, sdp, site};
use portreeve::engine::digest::Users;

const GATE6: &str = "2001:db8:17::1";
const FAR6: &str = "[2001:db8:cafe::10]:5060";

fn both(text: &str) -> String {
    text.replace("\"10.17.0.1\"", &format!("[\"10.17.0.1\", \"{GATE6}\"]"))
        .replace("[\"10.17.0.0/16\"]", "[\"10.17.0.0/16\", \"2001:db8:17::/64\"]")
        .replace("\"203.0.113.1\"", "[\"203.0.113.1\", \"2001:db8:cafe::1\"]")
}

/// In front of a PBX of both versions, the IPv6 one first.
fn edge() -> Lab {
    let targets = format!("targets = [\"{FAR6}\", \"203.0.113.10:5060\"]");
    let text = both(site::EDGE).replace("address = \"203.0.113.10:5060\"", &targets);
    let mut lab = Lab::with(site::parse(&text), Users::None);
    lab.secrets = vec!["10.17.", "2001:db8:17:"];
    lab
}

#[track_caller]
fn offers(msg: &Msg, version: &str) {
    let other = if version == "IP6" { "IN IP4" } else { "IN IP6" };
    assert!(msg.body.contains(&format!("c=IN {version} ")), "{msg}");
    assert!(!msg.body.contains(other), "{msg}");
    let via = msg.all("Via")[0];
    assert_eq!(via.contains('['), version == "IP6", "{via}");
}

/// The ports that are told in a body.
fn port(msg: &Msg) -> u16 {
    let line = msg.body.lines().find(|l| l.starts_with("m=audio")).expect("audio");
    line.split(' ').nth(1).and_then(|p| p.parse().ok()).expect("a port")
}

/// The only stream left goes between these, by sockets of their versions.
#[track_caller]
fn joined(lab: &Lab, ends: [(&str, u16); 2]) {
    let legs = lab.relay.only().1.legs;
    for (leg, (ip, port)) in legs.iter().zip(ends) {
        let at = (ip.parse::<std::net::IpAddr>().expect("an address"), port).into();
        assert_eq!(leg.party.rtp, Some(at));
        assert_eq!(leg.bind.is_ipv4(), leg.party.rtp.is_some_and(|a| a.is_ipv4()));
    }
}

fn phones() -> (Lab, Ua, [Ua; 2]) {
    let text = both(site::SITE).replace("password_file", "digest = false\npassword_file");
    let mut lab = Lab::with(site::parse(&text), Users::None);
    let mut all =
        [("101", "10.17.0.21:5060"), ("102", "10.17.0.22:5060")].map(|p| lab.phone(p.0, p.1));
    let mut six = lab.phone("102", "[2001:db8:17::22]:5060");
    for phone in all.iter_mut().chain([&mut six]) {
        phone.domain = "10.17.0.1".to_owned();
        let register = lab.local_register(phone, 600);
        lab.send(phone.at, register);
        lab.expect(phone.at, "200");
    }
    let [caller, four] = all;
    (lab, caller, [four, six])
}

#[test]
fn phones_of_both_versions_ring_and_whichever_answers_is_heard() {
    for answers in [0, 1] {
        let (mut lab, caller, callees) = phones();
        let mut near = lab.call(&caller, "102", 4000);
        let rings = [0, 1].map(|i| lab.take(callees[i].at).pop().expect("it rings"));
        offers(&rings[0], "IP4");
        offers(&rings[1], "IP6");
        assert_ne!(port(&rings[0]), port(&rings[1]));
        for (callee, ring) in callees.iter().zip(&rings) {
            lab.send(
                callee.at,
                callee.answer(ring, 180, &callee.ip().to_string().replace(':', "")),
            );
        }
        lab.take(caller.at);
        let (up, ring) = (&callees[answers], &rings[answers]);
        let tag = up.ip().to_string().replace(':', "");
        lab.send(up.at, up.answer(ring, 200, &tag).sdp(up.sdp(6000)));
        let ok = lab.expect(caller.at, "200");
        offers_to_caller(&ok);
        near.learn(&ok);
        let ack = near.ack(&mut lab);
        lab.send(caller.at, ack);
        lab.expect(up.at, "ACK");
        joined(&lab, [("10.17.0.21", 4000), (&up.ip().to_string(), 6000)]);
        let other = &callees[1 - answers];
        let cancel = lab.expect(other.at, "CANCEL");
        lab.send(other.at, other.answer(&cancel, 200, "x"));
        lab.send(other.at, other.answer(&rings[1 - answers], 487, "x"));
        lab.expect(other.at, "ACK");
        let callee = Leg::called(up, ring, &tag);
        lab.hang_up(&mut near, &callee);
        lab.end();
    }
}

/// The caller speaks IPv4.
#[track_caller]
fn offers_to_caller(ok: &Msg) {
    assert!(ok.body.contains("c=IN IP4 10.17.0.1\r\n"), "{ok}");
}

#[test]
fn early_media_of_either_version_are_heard_until_one_answers() {
    let (mut lab, caller, callees) = phones();
    let mut near = lab.call(&caller, "102", 4000);
    let rings = [0, 1].map(|i| lab.take(callees[i].at).pop().expect("it rings"));
    lab.expect(caller.at, "100");
    let mut told = Vec::new();
    for (callee, ring) in callees.iter().zip(&rings) {
        let early = callee.answer(ring, 183, &format!("t{}", port(ring))).sdp(callee.sdp(6000));
        lab.send(callee.at, early);
        let got = lab.expect(caller.at, "183");
        offers_to_caller(&got);
        told.push(port(&got));
    }
    assert_ne!(told[0], told[1], "each has ports of its own");
    let (four, ring) = (&callees[0], &rings[0]);
    let tag = format!("t{}", port(ring));
    lab.send(four.at, four.answer(ring, 200, &tag).sdp(four.sdp(6000)));
    let ok = lab.expect(caller.at, "200");
    assert_eq!(port(&ok), told[0]);
    near.learn(&ok);
    let ack = near.ack(&mut lab);
    lab.send(caller.at, ack);
    joined(&lab, [("10.17.0.21", 4000), ("10.17.0.22", 6000)]);
    lab.clear();
}

#[test]
fn a_target_of_the_other_version_is_offered_media_of_its_own() {
    let mut lab = edge();
    let phone = lab.phone("101", "10.17.0.21:5060");
    let [six, four] = [FAR6, site::PBX].map(|at| Ua::new(lab.outside(at), "200"));
    let mut near = lab.call(&phone, "200", 4000);
    let first = lab.expect(six.at, "INVITE");
    offers(&first, "IP6");
    lab.expect(phone.at, "100");
    lab.advance(s(5));
    lab.take(six.at);
    let second = lab.take(four.at).pop().expect("the other is asked");
    offers(&second, "IP4");
    for name in ["Contact", "Record-Route"] {
        assert!(!second.header(name).contains('['), "{second}");
    }
    lab.send(four.at, four.answer(&second, 200, "t").sdp(four.sdp(6000)));
    let ok = lab.expect(phone.at, "200");
    near.learn(&ok);
    let ack = near.ack(&mut lab);
    lab.send(phone.at, ack);
    lab.expect(four.at, "ACK");
    joined(&lab, [("10.17.0.21", 4000), ("203.0.113.10", 6000)]);
    let far = Leg::called(&four, &second, "t");
    lab.hang_up(&mut near, &far);
    lab.end();
}

#[test]
fn who_was_asked_first_may_answer_late_by_its_own_version() {
    let mut lab = edge();
    let phone = lab.phone("101", "10.17.0.21:5060");
    let [six, four] = [FAR6, site::PBX].map(|at| Ua::new(lab.outside(at), "200"));
    let mut near = lab.call(&phone, "200", 4000);
    let first = lab.expect(six.at, "INVITE");
    lab.expect(phone.at, "100");
    lab.advance(s(5));
    lab.take(six.at);
    let second = lab.take(four.at).pop().expect("the other is asked");
    lab.send(six.at, six.answer(&first, 200, "t").sdp(six.sdp(6000)));
    let ok = lab.expect(phone.at, "200");
    near.learn(&ok);
    let ack = near.ack(&mut lab);
    lab.send(phone.at, ack);
    lab.expect(six.at, "ACK");
    joined(&lab, [("10.17.0.21", 4000), ("2001:db8:cafe::10", 6000)]);
    lab.send(four.at, four.answer(&second, 404, "x"));
    lab.expect(four.at, "ACK");
    let far = Leg::called(&six, &first, "t");
    lab.hang_up(&mut near, &far);
    lab.end();
}

#[test]
fn media_of_another_version_than_its_signalling_are_answered_in_their_own() {
    let mut lab = edge();
    let (phone, pbx) =
        (lab.phone("101", "10.17.0.21:5060"), Ua::new(lab.outside(site::PBX), "200"));
    let invite = phone.request(&mut lab, "INVITE", "200");
    // No offer: the other side makes it.
    lab.send(phone.at, invite.clone());
    let mut near = Leg::calling(&phone, &invite);
    lab.expect(phone.at, "100");
    let six = Ua::new(lab.outside(FAR6), "200");
    let got = lab.expect(six.at, "INVITE");
    lab.send(six.at, six.answer(&got, 200, "t").sdp(sdp("203.0.113.10", 6000)));
    let ok = lab.expect(phone.at, "200");
    near.learn(&ok);
    let ack = near.ack(&mut lab).sdp(phone.sdp(4000));
    lab.send(phone.at, ack);
    let ack = lab.expect(six.at, "ACK");
    assert!(ack.body.contains("c=IN IP4 203.0.113.1\r\n"), "{ack}");
    joined(&lab, [("10.17.0.21", 4000), ("203.0.113.10", 6000)]);
    let far = Leg::called(&six, &got, "t");
    lab.hang_up(&mut near, &far);
    drop(pbx);
    lab.end();
}

/// A call from a phone of both versions, which signals by IPv6, to the PBX.
fn established(lab: &mut Lab) -> (Ua, Ua, Leg, Leg) {
    let (phone, far) =
        (lab.phone("101", "[2001:db8:17::21]:5060"), Ua::new(lab.outside(FAR6), "200"));
    let invite = phone.request(lab, "INVITE", "200").sdp(phone.sdp(4000));
    lab.send(phone.at, invite.clone());
    let mut near = Leg::calling(&phone, &invite);
    lab.expect(phone.at, "100");
    let got = lab.expect(far.at, "INVITE");
    lab.send(far.at, far.answer(&got, 200, "t").sdp(far.sdp(6000)));
    let ok = lab.expect(phone.at, "200");
    near.learn(&ok);
    let ack = near.ack(lab);
    lab.send(phone.at, ack);
    lab.expect(far.at, "ACK");
    joined(lab, [("2001:db8:17::21", 4000), ("2001:db8:cafe::10", 6000)]);
    let callee = Leg::called(&far, &got, "t");
    (phone, far, near, callee)
}

#[test]
fn a_party_moves_its_media_to_the_other_version_within_a_call() {
    let mut lab = edge();
    let (phone, far, mut near, callee) = established(&mut lab);
    for (own, agreed) in [("10.17.0.21", true), ("2001:db8:17::21", true), ("10.17.0.21", false)] {
        let before = lab.relay.only().0;
        let again = near.request(&mut lab, "INVITE").sdp(sdp(own, 4002));
        lab.send(phone.at, again);
        let got = lab.expect(far.at, "INVITE");
        assert!(got.body.contains("c=IN IP6 2001:db8:cafe::1\r\n"), "{got}");
        lab.take(phone.at);
        if agreed {
            lab.send(far.at, far.answer(&got, 200, "t").sdp(far.sdp(6000)));
            let ok = lab.expect(phone.at, "200");
            let ours = if own.contains(':') { "IP6 2001:db8:17::1" } else { "IP4 10.17.0.1" };
            assert!(ok.body.contains(&format!("c=IN {ours}\r\n")), "{ok}");
            let ack = near.ack(&mut lab);
            lab.send(phone.at, ack);
            lab.expect(far.at, "ACK");
            joined(&lab, [(own, 4002), ("2001:db8:cafe::10", 6000)]);
            assert_ne!(lab.relay.only().0, before);
        } else {
            lab.send(far.at, far.answer(&got, 488, "t"));
            lab.expect(far.at, "ACK");
            let no = lab.expect(phone.at, "488");
            let ack = near.ack_refusal(&no);
            lab.send(phone.at, ack);
            joined(&lab, [("2001:db8:17::21", 4002), ("2001:db8:cafe::10", 6000)]);
            assert_eq!(lab.relay.only().0, before, "as it was");
        }
    }
    lab.hang_up(&mut near, &callee);
    lab.end();
}

#[test]
fn a_call_of_both_versions_outlives_a_restart() {
    let mut lab = edge();
    lab.input(portreeve::engine::Input::KeepCalls(true));
    let (phone, far, mut near, callee) = established(&mut lab);
    lab.restart();
    joined(&lab, [("2001:db8:17::21", 4000), ("2001:db8:cafe::10", 6000)]);
    lab.hang_up(&mut near, &callee);
    assert!(phone.ip().is_ipv6() && far.ip().is_ipv6());
}

#[test]
fn a_phone_that_registers_by_the_other_version_is_offered_media_of_that() {
    let mut lab = edge();
    let six = lab.phone("101", "[2001:db8:17::21]:5060");
    let (four, pbx) = (lab.phone("101", "10.17.0.21:5060"), Ua::new(lab.outside(FAR6), "200"));
    let register = |lab: &mut Lab, phone: &Ua, n: u32| {
        let text = phone
            .request_to(lab, "REGISTER", &format!("sip:{}", phone.domain))
            .set("To", format!("<{}>", phone.aor()))
            .set("Call-ID", "one-phone")
            .set("CSeq", format!("{n} REGISTER"))
            .with("Expires", "600");
        lab.send(phone.at, text);
        let got = lab.expect(pbx.at, "REGISTER");
        let sealed = got.contact().to_owned();
        let ok = pbx.answer(&got, 200, "r").set("Contact", format!("<{sealed}>;expires=600"));
        lab.send(pbx.at, ok);
        lab.expect(phone.at, "200");
        sealed
    };
    let sealed = register(&mut lab, &six, 1);
    let invite = pbx.request_to(&mut lab, "INVITE", &sealed).sdp(pbx.sdp(6000));
    lab.send(pbx.at, invite.clone());
    lab.expect(pbx.at, "100");
    let got = lab.expect(six.at, "INVITE");
    offers(&got, "IP6");
    lab.send(six.at, six.answer(&got, 200, "ph").sdp(six.sdp(4000)));
    let mut far = Leg::calling(&pbx, &invite);
    far.learn(&lab.expect(pbx.at, "200"));
    let ack = far.ack(&mut lab);
    lab.send(pbx.at, ack);
    lab.expect(six.at, "ACK");
    // It leaves the house, say.
    register(&mut lab, &four, 2);
    let again = far.request(&mut lab, "INVITE").sdp(pbx.sdp(6002));
    lab.send(pbx.at, again);
    lab.expect(pbx.at, "100");
    let got = lab.expect(four.at, "INVITE");
    assert!(got.body.contains("c=IN IP4 10.17.0.1\r\n"), "{got}");
    lab.send(four.at, four.answer(&got, 200, "").sdp(four.sdp(4002)));
    lab.expect(pbx.at, "200");
    let ack = far.ack(&mut lab);
    lab.send(pbx.at, ack);
    lab.expect(four.at, "ACK");
    joined(&lab, [("2001:db8:cafe::10", 6002), ("10.17.0.21", 4002)]);
    lab.input(portreeve::engine::Input::HangUpAll);
    lab.clear();
    lab.end();
}
