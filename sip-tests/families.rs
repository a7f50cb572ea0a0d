//! Two IP versions: phones of either at one interface, in front of a PBX of the other. Each side
//! sees names, addresses and media of its own version alone.

use crate::lab::{Lab, Leg, Msg, Ua, sdp, site};
use portreeve::engine::digest::Users;

const GATE6: &str = "2001:db8:17::1";
const OUTSIDE6: &str = "2001:db8:cafe::1";
const PBX6: &str = "[2001:db8:cafe::10]:5060";

/// Both versions inside; outside what is named.
fn edge(outside: &str, pbx: &str) -> Lab {
    let text = site::EDGE
        .replace("\"10.17.0.1\"", &format!("[\"10.17.0.1\", \"{GATE6}\"]"))
        .replace("[\"10.17.0.0/16\"]", "[\"10.17.0.0/16\", \"2001:db8:17::/64\"]")
        .replace("\"203.0.113.1\"", outside)
        .replace("203.0.113.10:5060", pbx);
    let mut lab = Lab::with(site::parse(&text), Users::None);
    lab.secrets = vec!["10.17.", "2001:db8:17:"];
    lab.pbx = pbx.to_owned();
    lab
}

fn by4() -> Lab {
    edge("\"203.0.113.1\"", site::PBX)
}

fn by6() -> Lab {
    edge(&format!("\"{OUTSIDE6}\""), PBX6)
}

fn phone6(lab: &Lab, user: &str, host: u16) -> Ua {
    lab.phone(user, &format!("[2001:db8:17::{host}]:5060"))
}

/// Whatever names our own or a party's address names it in this version.
#[track_caller]
fn speaks(msg: &Msg, six: bool) {
    let ours = if six { "[2001:db8:" } else { "203.0.113.1:" };
    for name in ["Via", "Contact", "Record-Route"] {
        for value in msg.all(name) {
            let found = value.contains('[');
            assert!(found == six || value.contains("example.com"), "{name}: {value} in\n{msg}");
            assert!(!six || value.contains(ours) || value.contains("example.com"), "{value}");
        }
    }
    if !msg.body.is_empty() {
        let [own, other] = if six { ["IN IP6 ", "IN IP4 "] } else { ["IN IP4 ", "IN IP6 "] };
        assert!(msg.body.contains(own) && !msg.body.contains(other), "{msg}");
    }
}

/// A call between an agent here and one there, and its end.
fn talk(lab: &mut Lab, near: &Ua, far: &Ua, to: &str) {
    let invite = near.request_to(lab, "INVITE", to).sdp(rtcp(near, 4000));
    lab.send(near.at, invite.clone());
    let mut caller = Leg::calling(near, &invite);
    lab.expect(near.at, "100");
    let got = lab.expect(far.at, "INVITE");
    speaks(&got, far.ip().is_ipv6());
    assert!(!got.body.contains(&near.ip().to_string()), "{got}");
    let callee = Leg::called(far, &got, "up");
    lab.send(far.at, far.answer(&got, 200, "up").sdp(rtcp(far, 6000)));
    let ok = lab.expect(near.at, "200");
    speaks(&ok, near.ip().is_ipv6());
    assert!(!ok.body.contains(&far.ip().to_string()), "{ok}");
    caller.learn(&ok);
    let ack = caller.ack(lab);
    lab.send(near.at, ack);
    speaks(&lab.expect(far.at, "ACK"), far.ip().is_ipv6());
    let legs = lab.relay.only().1.legs;
    for (leg, (ua, port)) in legs.iter().zip([(near, 4000), (far, 6000)]) {
        assert_eq!(leg.party.rtp, Some((ua.ip(), port).into()));
        assert_eq!(leg.party.rtcp, Some((ua.ip(), port + 1).into()));
        assert_eq!(leg.bind.is_ipv4(), ua.ip().is_ipv4(), "of the party's version");
    }
    let mut callee = callee;
    let bye = callee.request(lab, "BYE");
    lab.send(far.at, bye);
    let got = lab.expect(near.at, "BYE");
    speaks(&got, near.ip().is_ipv6());
    lab.send(near.at, near.answer(&got, 200, "up"));
    lab.expect(far.at, "200");
    lab.end();
}

/// Audio, with the address of RTCP written out and a candidate.
fn rtcp(ua: &Ua, port: u16) -> String {
    let (ip, rtcp) = (ua.ip(), port + 1);
    let version = if ip.is_ipv4() { "IP4" } else { "IP6" };
    let candidate = format!("a=candidate:1 1 UDP 1 {ip} {port} typ host\r\n");
    ua.sdp(port) + &format!("a=rtcp:{rtcp} IN {version} {ip}\r\n{candidate}")
}

#[test]
fn an_ipv6_phone_calls_by_an_ipv4_pbx() {
    let mut lab = by4();
    let (phone, pbx) = (phone6(&lab, "101", 21), lab.far("200"));
    talk(&mut lab, &phone, &pbx, "sip:200@pbx.example.com");
}

#[test]
fn an_ipv4_phone_calls_by_an_ipv6_pbx() {
    let mut lab = by6();
    let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
    talk(&mut lab, &phone, &pbx, "sip:200@pbx.example.com");
}

#[test]
fn a_pbx_of_one_version_calls_a_phone_of_the_other() {
    let mut lab = by4();
    let (phone, pbx) = (phone6(&lab, "101", 21), lab.far("200"));
    let sealed = lab.register(&phone, 600);
    talk(&mut lab, &pbx, &phone, &sealed);
    let mut lab = by6();
    let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
    let sealed = lab.register(&phone, 600);
    talk(&mut lab, &pbx, &phone, &sealed);
}

/// A party holds the old way, and takes it back.
fn hold(lab: &mut Lab, holds: &mut Leg, other: &Leg, null: &str) {
    let six = other.ua.ip().is_ipv6();
    for (ip, held) in [(null.to_owned(), true), (holds.ua.ip().to_string(), false)] {
        let again = holds.request(lab, "INVITE").sdp(sdp(&ip, 4000));
        lab.send(holds.ua.at, again);
        lab.expect(holds.ua.at, "100");
        let got = lab.expect(other.ua.at, "INVITE");
        speaks(&got, six);
        let nowhere = if six { "c=IN IP6 ::\r\n" } else { "c=IN IP4 0.0.0.0\r\n" };
        assert_eq!(got.body.contains(nowhere), held, "{got}");
        lab.send(other.ua.at, other.ua.answer(&got, 200, "").sdp(other.ua.sdp(6000)));
        let ok = lab.expect(holds.ua.at, "200");
        speaks(&ok, holds.ua.ip().is_ipv6());
        let ack = holds.ack(lab);
        lab.send(holds.ua.at, ack);
        lab.expect(other.ua.at, "ACK");
    }
}

#[test]
fn a_hold_of_the_old_way_reaches_the_other_side_in_its_own_version() {
    for six_inside in [true, false] {
        let mut lab = if six_inside { by4() } else { by6() };
        let near =
            if six_inside { phone6(&lab, "101", 21) } else { lab.phone("101", "10.17.0.21:5060") };
        let far = lab.far("200");
        let [null, other] = if six_inside { ["::", "0.0.0.0"] } else { ["0.0.0.0", "::"] };
        let (mut a, mut b) = lab.establish(&near, &far);
        hold(&mut lab, &mut a, &b, null);
        hold(&mut lab, &mut b, &a, other);
        lab.hang_up(&mut a, &b);
        lab.end();
    }
}

#[test]
fn zones_and_dashes_tell_nothing_of_the_inside() {
    let mut lab = by4();
    lab.secrets.extend(["2001-db8", "2001%3A", "fe80", "eth0", "literal"]);
    let (phone, far) = (phone6(&lab, "101", 21), lab.far("200"));
    for form in [
        "fe80::21%eth0",
        "[fe80::21%25eth0]",
        "[2001:db8:17::23%eth0.20]",
        "2001-db8-17--23",
        "2001-db8-17-0-0-0-0-23",
        "2001-DB8-17--23.ipv6-literal.net",
        "fe80--23s4.ipv6-literal.net",
        "2001%3Adb8%3A17%3A%3A23",
    ] {
        let message = phone
            .request(&mut lab, "MESSAGE", "200")
            .set("From", format!("\"at {form}\" <sip:101@pbx.example.com>;tag=f"))
            .with("Subject", format!("at {form} now"))
            .with("X-Source", format!("<sip:x@{form};y>"))
            .typed("text/plain", format!("call x@{form}, please"));
        lab.send(phone.at, message);
        let got = lab.expect(far.at, "MESSAGE");
        assert_eq!(got.header("Subject"), "at 203.0.113.1 now", "{form}");
        assert_eq!(got.body, "call x@203.0.113.1, please", "{form}");
        lab.send(far.at, far.answer(&got, 200, "m"));
        lab.expect(phone.at, "200");
    }
    lab.end();
}

#[test]
fn an_ipv6_address_that_wraps_an_inside_one_is_no_place_for_media() {
    let cases = [
        ("64:ff9b::10.17.0.21", 488),
        ("64:ff9b:1::10.17.0.21", 488),
        ("2002:a11:15::1", 488),
        ("::10.17.0.21", 488),
        ("::ffff:0:10.17.0.21", 488),
        ("64:ff9b::127.0.0.1", 488),
        ("64:ff9b::224.0.0.1", 488),
        ("fec0::21", 488),
        ("64:ff9b::198.51.100.7", 180),
        ("2002:c633:6407::1", 180),
    ];
    for (address, status) in cases {
        let mut lab = by6();
        let phone = lab.phone("101", "10.17.0.21:5060");
        let sealed = lab.register(&phone, 600);
        let pbx = lab.far("900");
        let invite = pbx.request_to(&mut lab, "INVITE", &sealed).sdp(sdp(address, 6000));
        lab.send(pbx.at, invite);
        if let Some(rung) = lab.take(phone.at).iter().find(|m| m.is_request()) {
            lab.send(phone.at, phone.answer(rung, 180, "t"));
        }
        let told = lab.take(pbx.at).pop().map(|m| m.status());
        assert_eq!(told, Some(status), "{address}");
    }
}
