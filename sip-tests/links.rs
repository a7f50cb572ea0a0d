//! Phones by unique-local and by link-local addresses: they register, call and are called, and
//! nothing of their addresses is read outside. Which link an address is of, nobody else is told.

use crate::lab::{Lab, Leg, Ua, sdp, site};
use portreeve::engine::digest::Users;

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
