//! Phones by unique-local and by link-local addresses: they register, call and are called, and
//! nothing of their addresses is read outside. Which link an address is of, nobody else is told.

use crate::lab::{Lab, Leg, Msg, Party, Ua, s, sdp, site};
use crate::shared_pauses::tries;
use portreeve::config::Strangers;
use portreeve::engine::digest::Users;
use portreeve::ground::{ListenerId, Transport};

/// Phones of these networks, at one of our own addresses there.
fn edge(own: &str, networks: &str) -> Lab {
    let text = site::EDGE.replace("\"10.17.0.1\"", own).replace("[\"10.17.0.0/16\"]", networks);
    let mut lab = Lab::with(site::parse(&text), Users::None);
    lab.secrets = vec!["fe80", "fd00", "eth0", "%"];
    lab
}

fn talk(lab: &mut Lab, near: &Ua, far: &Ua, to: &str, media: [&str; 2]) {
    let invite = near.request_to(lab, "INVITE", to).sdp(sdp(media[0], 4000));
    lab.send(near.at, invite.clone());
    let mut caller = Leg::calling(near, &invite);
    lab.expect(near.at, "100");
    let got = lab.expect(far.at, "INVITE");
    let callee = Leg::called(far, &got, "up");
    lab.send(far.at, far.answer(&got, 200, "up").sdp(sdp(media[1], 6000)));
    let ok = lab.expect(near.at, "200");
    caller.learn(&ok);
    let ack = caller.ack(lab);
    lab.send(near.at, ack);
    lab.expect(far.at, "ACK");
    let legs = lab.relay.only().1.legs;
    for (leg, (ua, port)) in legs.iter().zip([(near, 4000), (far, 6000)]) {
        assert_eq!(leg.party.rtp, Some((ua.ip(), port).into()));
    }
    lab.hang_up(&mut caller, &callee);
    lab.end();
}

#[test]
fn a_phone_by_a_unique_local_address_calls_and_is_called() {
    let mut lab = edge("\"fd00:17::1\"", "[\"fd00:17::/64\"]");
    let (phone, pbx) = (lab.phone("101", "[fd00:17::21]:5060"), lab.far("200"));
    let sealed = lab.register(&phone, 600);
    talk(&mut lab, &phone, &pbx, "sip:200@pbx.example.com", ["fd00:17::21", site::PBX_IP]);
    talk(&mut lab, &pbx, &phone, &sealed, [site::PBX_IP, "fd00:17::21"]);
}

#[test]
fn a_phone_by_a_link_local_address_calls_and_is_called() {
    let own = "[\"10.17.0.1\", \"fe80::1%eth0\"]";
    for zone in ["", "%eth0", "%3"] {
        let mut lab = edge(own, "[\"10.17.0.0/16\", \"fe80::/64\"]");
        let (phone, pbx) = (lab.phone("101", "[fe80::21]:5060"), lab.far("200"));
        let media = format!("fe80::21{zone}");
        let register = phone
            .request_to(&mut lab, "REGISTER", "sip:pbx.example.com")
            .set("To", "<sip:101@pbx.example.com>")
            .set("Contact", format!("<sip:101@[{media}]:5060>"))
            .set("Via", format!("SIP/2.0/UDP [{media}]:5060;rport;branch=z9hG4bKzone"))
            .with("Expires", "600");
        lab.send(phone.at, register);
        let got = lab.expect(pbx.at, "REGISTER");
        let sealed = got.contact().to_owned();
        let ok = pbx.answer(&got, 200, "r").with("Contact", format!("<{sealed}>;expires=600"));
        lab.send(pbx.at, ok);
        lab.expect(phone.at, "200");
        talk(&mut lab, &phone, &pbx, "sip:200@pbx.example.com", [&media, site::PBX_IP]);
        talk(&mut lab, &pbx, &phone, &sealed, [site::PBX_IP, &media]);
    }
}

#[test]
fn outside_and_where_the_interface_does_not_list_it_link_local_is_nobodys_address() {
    let mut lab = edge("[\"10.17.0.1\", \"2001:db8:17::1\"]", "[\"2001:db8:17::/64\"]");
    let (phone, pbx) = (lab.phone("101", "[2001:db8:17::21]:5060"), lab.far("200"));
    lab.secrets = vec!["2001:db8:17:"];
    let invite = phone.request(&mut lab, "INVITE", "200").sdp(phone.sdp(4000));
    lab.send(phone.at, invite);
    lab.take(phone.at);
    let got = lab.expect(pbx.at, "INVITE");
    lab.send(pbx.at, pbx.answer(&got, 200, "t").sdp(sdp("fe80::9", 6000)));
    lab.expect(phone.at, "488");
    lab.clear();
    // Behind a NAT, as it seems: its own idea of its address is replaced by where it sends from.
    let mut lab = edge("[\"10.17.0.1\", \"2001:db8:17::1\"]", "[\"2001:db8:17::/64\"]");
    lab.secrets = vec!["2001:db8:17:", "fe80"];
    let invite = phone.request(&mut lab, "INVITE", "200").sdp(sdp("fe80::9", 4000));
    lab.send(phone.at, invite);
    lab.expect(phone.at, "100");
    lab.expect(phone.at, "488");
    lab.clear();
}

/// A second link inside, where hosts have the same link-local addresses as on the first one.
const GUESTS: &str = r#"
[[interface]]
name = "guests"
side = "inside"
address = "fe80::2%eth1"
listen = ["udp:5060"]
networks = ["fe80::/64", "fd00:17::/64"]
keepalive = "0s"
"#;

/// Phones by link-local addresses on two links, and the guests' socket.
fn two_links(text: &str, users: Users) -> (Lab, ListenerId) {
    let text = text
        .replace("\"10.17.0.1\"", "[\"10.17.0.1\", \"fe80::1%eth0\"]")
        .replace("[\"10.17.0.0/16\"]", "[\"10.17.0.0/16\", \"fe80::/64\", \"fd00:17::/64\"]")
        .replace("default = \"allow\"", "default = \"site\"")
        .replace("\"203.0.113.1\"", "[\"203.0.113.1\", \"2001:db8:cafe::1\"]");
    let lab = Lab::with(site::parse(&(text + GUESTS)), users);
    let guests = socket(&lab, "[fe80::2]:5060");
    (lab, guests)
}

fn socket(lab: &Lab, bind: &str) -> ListenerId {
    let bind = bind.parse().expect("an address");
    let all = lab.config.listeners();
    let found = all.iter().find(|l| l.bind == bind && l.transport == Transport::Udp);
    found.expect("a socket").id
}

/// Who has a phone's address at another socket.
fn twin(lab: &Lab, phone: &Ua, at: ListenerId) -> Ua {
    Ua { at: lab.at(at, &phone.at.addr().to_string()), ..phone.clone() }
}

/// What came to an address by the socket of a party.
fn heard(lab: &mut Lab, at: Party) -> Vec<Msg> {
    let all = lab.take(at).into_iter();
    all.filter(|m| m.flow.listener == at.flow.listener).collect()
}

fn shared() -> Users {
    Users::Shared { password: site::PASSWORD.to_owned() }
}

#[test]
fn who_has_a_phones_link_local_address_on_another_link_is_not_that_phone() {
    let (mut lab, guests) = two_links(site::SITE, shared());
    let (a, b) =
        (lab.local_phone("101", "[fe80::21]:5060"), lab.local_phone("102", "10.17.0.22:5060"));
    for again in [false, true] {
        if again {
            lab.restart();
        }
        let twin = twin(&lab, &a, guests);
        for method in ["MESSAGE", "INVITE", "OPTIONS", "SUBSCRIBE"] {
            let mut text = twin.request(&mut lab, method, "102");
            text = match method {
                "INVITE" => text.sdp(twin.sdp(4000)),
                "MESSAGE" => text.typed("text/plain", "x"),
                _ => text.with("Event", "presence"),
            };
            lab.send(twin.at, text);
            let told: Vec<u16> = heard(&mut lab, twin.at).iter().map(Msg::status).collect();
            assert!(matches!(told[..], [403 | 407] | [100, 403 | 407]), "{method}: {told:?}");
            assert!(lab.take(b.at).is_empty(), "{method} reaches nobody");
        }
        // The phone itself is who it is.
        let text = a.request(&mut lab, "MESSAGE", "102").typed("text/plain", "hello");
        lab.send(a.at, text);
        let got = lab.expect(b.at, "MESSAGE");
        lab.send(b.at, b.answer(&got, 200, "m"));
        lab.expect(a.at, "200");
    }
    lab.clear();
}

#[test]
fn guesses_of_a_twin_on_another_link_bind_nobody_at_the_address() {
    for same_link in [true, false] {
        let (mut lab, guests) = two_links(site::SITE, shared());
        let at = |lab: &Lab, user: &str, port: u16| {
            let mut ua = lab.phone(user, &format!("[fe80::21]:{port}"));
            site::GATE_INSIDE.clone_into(&mut ua.domain);
            ua
        };
        for n in 0..24_u16 {
            let mut guesser = at(&lab, &format!("1{}", 50 + n), 30_000 + n);
            if !same_link {
                guesser = twin(&lab, &guesser, guests);
            }
            assert_eq!(tries(&mut lab, &guesser, "wrong"), 403, "{n}");
            lab.advance(s(33));
        }
        let phone = at(&lab, "103", 5060);
        let guesser = at(&lab, "150", 30_000);
        let guesser = if same_link { guesser } else { twin(&lab, &guesser, guests) };
        assert_eq!(tries(&mut lab, &guesser, "wrong"), 403);
        // Somebody who is nobody's twin there pays for nothing.
        let told = tries(&mut lab, &phone, site::PASSWORD);
        assert_eq!(told == 200, !same_link, "{told}");
        lab.clear();
    }
}

#[test]
fn within_a_call_a_twin_on_another_link_ends_and_changes_nothing() {
    let (mut lab, guests) = two_links(site::SITE, shared());
    let (a, b) =
        (lab.local_phone("101", "[fe80::21]:5060"), lab.local_phone("102", "10.17.0.22:5060"));
    let twin = twin(&lab, &a, guests);
    let call = lab.call(&a, "102", 4000);
    let rung = lab.expect(b.at, "INVITE");
    lab.take(a.at);
    lab.send(twin.at, call.cancel());
    assert!(lab.take(b.at).is_empty(), "it rings on");
    assert!(lab.take(a.at).iter().all(|m| m.status() != 487));
    lab.send(b.at, b.answer(&rung, 486, "busy"));
    lab.expect(b.at, "ACK");
    let busy = lab.take(a.at).pop().expect("an answer");
    lab.send(a.at, call.ack_refusal(&busy));
    let (mut leg, other) = lab.establish(&a, &b);
    for method in ["BYE", "INFO", "INVITE"] {
        let mut text = leg.request(&mut lab, method);
        if method == "INVITE" {
            text = text.sdp(twin.sdp(4444));
        }
        lab.send(twin.at, text);
        assert!(lab.take(b.at).is_empty(), "{method}");
        lab.take(a.at);
    }
    lab.hang_up(&mut leg, &other);
    lab.clear();
}

#[test]
fn in_front_of_a_pbx_a_twin_is_no_phone_that_it_registered() {
    let (mut lab, guests) = two_links(site::EDGE, Users::None);
    let a = lab.phone("101", "[fe80::21]:5060");
    lab.register(&a, 600);
    let (twin, pbx) = (twin(&lab, &a, guests), lab.pbx());
    let invite = twin.request(&mut lab, "INVITE", "0301234567").sdp(twin.sdp(4000));
    lab.send(twin.at, invite);
    assert_eq!(heard(&mut lab, twin.at).last().map(Msg::status), Some(403));
    assert!(lab.take(pbx).is_empty());
    lab.call(&a, "0301234567", 4000);
    lab.expect(pbx, "INVITE");
    lab.clear();
}

#[test]
fn outside_a_phones_link_local_address_is_a_strangers() {
    let (mut lab, _) = two_links(site::EDGE, Users::None);
    lab.reload(|c| c.interfaces[1].strangers = Strangers::Silent);
    let a = lab.phone("101", "[fe80::21]:5060");
    lab.register(&a, 600);
    let outside = socket(&lab, "[2001:db8:cafe::1]:5060");
    let neighbour = twin(&lab, &a, outside);
    let ping = neighbour.request_to(&mut lab, "OPTIONS", "sip:203.0.113.1");
    lab.send(neighbour.at, ping);
    assert!(heard(&mut lab, neighbour.at).is_empty(), "silence");
    lab.clear();
}

/// By an address that is the same everywhere a phone may come by another interface.
#[test]
fn a_phone_that_comes_by_another_interface_with_its_own_address_is_known_there() {
    let (mut lab, guests) = two_links(site::EDGE, Users::None);
    let a = lab.phone("101", "[fd00:17::21]:5060");
    lab.register(&a, 600);
    let there = twin(&lab, &a, guests);
    lab.call(&there, "0301234567", 4000);
    lab.expect(lab.pbx(), "INVITE");
    lab.clear();
}
