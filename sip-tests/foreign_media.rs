//! Inside, nobody has sound sent into another's call: a description names its own source, or a host
//! of a listed network that is no other phone, and not the very port where another call is heard.

use crate::lab::script::answer;
use crate::lab::{Lab, Leg, Ua, Version, sdp, site};
use portreeve::config::{Config, Learn};
use portreeve::relay::Leg as Side;
use std::net::SocketAddr;

/// Emergency numbers pass by themselves; the rest as rules say.
fn strict(version: Version, change: impl FnOnce(&mut Config)) -> Lab {
    Lab::of(version, &site::EDGE.replace("\"allow\"", "\"site\""), change)
}

fn named(version: Version, at: &str) -> (SocketAddr, String) {
    let at: SocketAddr = version.at(at).parse().expect("an address");
    (at, sdp(&at.ip().to_string(), at.port()))
}

/// Calls with a description; where the newest stream's caller is heard. `None`: 488.
#[track_caller]
fn heard_at(lab: &mut Lab, from: &Ua, number: &str, body: &str) -> Option<SocketAddr> {
    let pbx = lab.far(number);
    let invite = from.request(lab, "INVITE", number).sdp(body);
    lab.send(from.at, invite.clone());
    let mut a = Leg::calling(from, &invite);
    let told = lab.take(from.at).pop().expect("an answer");
    if told.status() != 100 {
        assert_eq!(told.status(), 488, "{told}");
        lab.send(from.at, a.ack_refusal(&told));
        return None;
    }
    let got = lab.expect(pbx.at, "INVITE");
    let tag = format!("t{}", lab.fresh());
    lab.send(pbx.at, pbx.answer(&got, 200, &tag).sdp(pbx.sdp(6000)));
    a.learn(&lab.expect(from.at, "200"));
    let ack = a.ack(lab);
    lab.send(from.at, ack);
    lab.expect(pbx.at, "ACK");
    let newest = lab.relay.open.values().next_back().expect("a stream");
    newest.party(Side::Caller).rtp
}

#[test]
fn another_phone_s_address_is_nobody_s_to_name() {
    for version in Version::ALL {
        for learn in [Learn::SameIp, Learn::Strict] {
            let mut lab = strict(version, |c| c.interfaces[0].learn = learn);
            let victim = lab.phone("101", &version.at("10.17.0.21:5060"));
            let (phone, nobody) = (
                lab.phone("103", &version.at("10.17.0.23:5060")),
                lab.phone("300", &version.at("10.17.0.31:5060")),
            );
            lab.register(&victim, 600);
            lab.register(&phone, 600);
            let pbx = lab.far("200");
            let (mut a, b) = lab.establish(&victim, &pbx);
            for (from, number) in [(&phone, "200"), (&nobody, "112")] {
                for at in ["10.17.0.21:4000", "10.17.0.21:4001", "10.17.0.21:9000"] {
                    let (at, body) = named(version, at);
                    let own =
                        (learn == Learn::SameIp).then(|| SocketAddr::new(from.ip(), at.port()));
                    assert_eq!(heard_at(&mut lab, from, number, &body), own, "{learn:?} {at}");
                    lab.input(portreeve::engine::Input::HangUp(last_call(&lab)));
                    lab.clear();
                    lab.advance(crate::lab::s(40));
                    lab.clear();
                }
            }
            // Itself it names, and a host of the listed network that is no phone.
            let (own, body) = named(version, "10.17.0.23:9000");
            assert_eq!(heard_at(&mut lab, &phone, "200", &body), Some(own));
            let (other, body) = named(version, "10.17.0.99:9000");
            assert_eq!(heard_at(&mut lab, &phone, "200", &body), Some(other));
            lab.hang_up(&mut a, &b);
            lab.end();
        }
    }
}

/// The call that came last, but never the first.
fn last_call(lab: &Lab) -> portreeve::ground::CallNo {
    let calls = lab.shown.keys().skip(1).next_back();
    calls.copied().unwrap_or(portreeve::ground::CallNo(9999))
}

#[test]
fn an_answer_names_no_other_phone_either() {
    for version in Version::ALL {
        let mut lab = strict(version, |c| c.interfaces[0].learn = Learn::Strict);
        let (victim, phone) = (
            lab.phone("101", &version.at("10.17.0.21:5060")),
            lab.phone("103", &version.at("10.17.0.23:5060")),
        );
        lab.register(&victim, 600);
        let sealed = lab.register(&phone, 600);
        let pbx = lab.far("200");
        let (mut a, b) = lab.establish(&victim, &pbx);
        let invite = pbx.request_to(&mut lab, "INVITE", &sealed).sdp(pbx.sdp(6000));
        lab.send(pbx.at, invite.clone());
        lab.expect(pbx.at, "100");
        let got = lab.expect(phone.at, "INVITE");
        lab.send(phone.at, phone.answer(&got, 200, "x").sdp(sdp(&version.ip("10.17.0.21"), 4000)));
        lab.expect(phone.at, "ACK");
        let bye = lab.expect(phone.at, "BYE");
        lab.send(phone.at, answer(&bye, 200, ""));
        let no = lab.expect(pbx.at, "488");
        lab.send(pbx.at, Leg::calling(&pbx, &invite).ack_refusal(&no));
        lab.hang_up(&mut a, &b);
        lab.end();
    }
}

#[test]
fn where_somebody_not_registered_is_heard_nobody_else_speaks() {
    for version in Version::ALL {
        let mut lab = strict(version, |_| {});
        let (nobody, phone) = (
            lab.phone("300", &version.at("10.17.0.31:5060")),
            lab.phone("103", &version.at("10.17.0.23:5060")),
        );
        lab.register(&phone, 600);
        let pbx = lab.far("112");
        let (mut a, b) = lab.establish(&nobody, &pbx);
        for at in ["10.17.0.31:4000", "10.17.0.31:4001"] {
            let (at, body) = named(version, at);
            let own = SocketAddr::new(phone.ip(), at.port());
            assert_eq!(heard_at(&mut lab, &phone, "200", &body), Some(own));
        }
        lab.hang_up(&mut a, &b);
        // It is over: the place is nobody's.
        let (at, body) = named(version, "10.17.0.31:4000");
        assert_eq!(heard_at(&mut lab, &phone, "200", &body), Some(at));
        lab.end();
    }
}

#[test]
fn devices_of_one_user_and_media_servers_are_named_as_before() {
    for version in Version::ALL {
        let mut lab = strict(version, |_| {});
        let desk = lab.phone("101", &version.at("10.17.0.21:5060"));
        let soft = lab.phone("101", &version.at("10.17.0.22:5060"));
        lab.register(&desk, 600);
        lab.register(&soft, 600);
        let (at, body) = named(version, "10.17.0.22:9000");
        assert_eq!(heard_at(&mut lab, &desk, "200", &body), Some(at), "his other device");
        // One source, two calls by one port of a media server: one on hold, or a conference.
        let (at, body) = named(version, "10.17.0.99:9000");
        for _ in 0..2 {
            assert_eq!(heard_at(&mut lab, &desk, "200", &body), Some(at));
        }
        let other = lab.phone("102", &version.at("10.17.0.24:5060"));
        lab.register(&other, 600);
        let own = SocketAddr::new(other.ip(), 9000);
        assert_eq!(heard_at(&mut lab, &other, "200", &body), Some(own), "another's is not its own");
        let (at, body) = named(version, "10.17.0.99:9002");
        assert_eq!(heard_at(&mut lab, &other, "200", &body), Some(at));
        lab.end();
    }
}

#[test]
fn requests_within_a_dialog_reach_no_other_phone_by_a_contact() {
    for version in Version::ALL {
        let mut lab = strict(version, |_| {});
        let (victim, phone) = (
            lab.phone("101", &version.at("10.17.0.21:5060")),
            lab.phone("103", &version.at("10.17.0.23:5060")),
        );
        lab.register(&victim, 600);
        lab.register(&phone, 600);
        let pbx = lab.far("200");
        let (mut a, mut b) = lab.establish(&phone, &pbx);
        let update = a.request(&mut lab, "UPDATE").set("Contact", victim.contact());
        lab.send(phone.at, update);
        let got = lab.expect(pbx.at, "UPDATE");
        lab.send(pbx.at, pbx.answer(&got, 200, ""));
        lab.expect(phone.at, "200");
        let info = b.request(&mut lab, "INFO");
        lab.send(pbx.at, info);
        let got = lab.expect(phone.at, "INFO");
        lab.send(phone.at, answer(&got, 200, ""));
        lab.expect(pbx.at, "200");
        lab.nothing_left();
        lab.input(portreeve::engine::Input::HangUpAll);
        lab.clear();
        lab.end();
    }
}
