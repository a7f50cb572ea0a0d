//! A next hop that names a transport which is not spoken where it would be reached: that is an
//! error, said to who asked, and never another transport.

use crate::lab::script::answer;
use crate::lab::{Lab, Leg, Msg, Ua, s, site};
use portreeve::config::{Listen, Strangers};
use portreeve::engine::digest::Users;
use portreeve::ground::Transport;

/// What nobody speaks here, as a Contact or a Record-Route of `host` would say it.
fn unspoken(host: &str) -> [String; 4] {
    [
        format!("<sip:200@{host};transport=sctp>"),
        format!("<sip:200@{host}:443;transport=WSS>"),
        format!("<sip:200@{host};transport=x-odd>"),
        format!("<sips:200@{host}>"),
    ]
}

const PBX: &str = "203.0.113.10";

fn counted(lab: &Lab) -> u64 {
    let reason = portreeve::wire::sip::RejectReason::Transport as usize;
    lab.stats().rejected.iter().map(|side| side[reason]).sum()
}

fn is_told(lab: &Lab) -> bool {
    lab.notices.iter().any(|(_, t)| t.contains("interface \"wan\"") && t.contains("transport"))
}

/// A call out that the PBX answers with this Contact and Record-Route; what the phone gets.
fn answered(lab: &mut Lab, contact: &str, route: Option<&str>) -> (Leg, Leg, Msg) {
    let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
    let mut a = lab.call(&phone, "200", 4000);
    lab.expect(phone.at, "100");
    let got = lab.expect(pbx.at, "INVITE");
    let b = Leg::called(&pbx, &got, "t");
    let mut ok = pbx.answer(&got, 200, "t").set("Contact", contact);
    if let Some(route) = route {
        ok.rows.insert(0, ("Record-Route".to_owned(), route.to_owned()));
    }
    lab.send(pbx.at, ok.sdp(pbx.sdp(6000)));
    let told = lab.next(phone.at).expect("a final answer");
    if told.status() == 200 {
        a.learn(&told);
    }
    (a, b, told)
}

#[test]
fn an_answer_that_names_one_is_refused_and_its_sender_let_go() {
    let good = format!("<sip:200@{PBX}>");
    for bad in unspoken(PBX).into_iter().chain(unspoken("sbc.example.net")) {
        for in_route in [false, true] {
            let mut lab = Lab::edge();
            let route = bad.replace("sip:200@", "sip:").replace('>', ";lr>");
            let (contact, route) = if in_route { (&good, Some(&*route)) } else { (&bad, None) };
            let (a, _, told) = answered(&mut lab, contact, route);
            assert_eq!(told.status(), 502, "{bad}\n{told}");
            lab.send(a.ua.at, a.ack_refusal(&told));
            let pbx = lab.pbx();
            lab.expect(pbx, "ACK");
            let bye = lab.expect(pbx, "BYE");
            lab.send(pbx, answer(&bye, 200, ""));
            lab.nothing_left();
            assert!(counted(&lab) > 0 && is_told(&lab), "{bad} {:?}", lab.notices);
            assert_eq!(lab.engine.active_calls(), 0);
            lab.end();
        }
    }
}

#[test]
fn a_route_that_is_spoken_is_taken_whatever_the_contact_behind_it_says() {
    for bad in unspoken(PBX).iter().chain(&unspoken("10.99.0.7")) {
        let mut lab = Lab::edge();
        let route = format!("<sip:{PBX}:5070;lr>");
        let (mut a, b, told) = answered(&mut lab, bad, Some(&route));
        assert_eq!(told.status(), 200, "{bad}");
        let ack = a.ack(&mut lab);
        lab.send(a.ua.at, ack);
        let there = lab.outside("203.0.113.10:5070");
        lab.expect(there, "ACK");
        let bye = a.request(&mut lab, "BYE");
        lab.send(a.ua.at, bye);
        let bye = lab.expect(there, "BYE");
        lab.send(b.ua.at, answer(&bye, 200, ""));
        lab.expect(a.ua.at, "200");
        lab.end();
    }
}

#[test]
fn who_calls_from_outside_and_names_one_is_told_before_anybody_rings() {
    for bad in unspoken(PBX) {
        for method in ["INVITE", "SUBSCRIBE"] {
            let mut lab = Lab::edge();
            let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
            let sealed = lab.register(&phone, 600);
            let text = pbx.request_to(&mut lab, method, &sealed).set("Contact", &bad);
            let text = if method == "INVITE" { text.sdp(pbx.sdp(6000)) } else { text };
            lab.send(pbx.at, text.with("Event", "dialog"));
            let told = lab.take(pbx.at).pop().expect("an answer");
            assert_eq!(told.status(), 400, "{bad}\n{told}");
            assert!(told.start.contains("Contact"), "{told}");
            lab.nothing_left();
            assert!(counted(&lab) > 0 && is_told(&lab), "{:?}", lab.notices);
            lab.clear();
            lab.end();
        }
    }
}

#[test]
fn within_a_dialog_a_new_contact_that_names_one_is_not_taken() {
    for bad in unspoken(PBX) {
        for method in ["INVITE", "UPDATE"] {
            let mut lab = Lab::edge();
            let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
            let (mut a, mut b) = lab.establish(&phone, &pbx);
            let moved = b.request(&mut lab, method).set("Contact", &bad);
            lab.send(pbx.at, moved);
            let told = lab.take(pbx.at).pop().expect("an answer");
            assert_eq!(told.status(), 400, "{told}");
            if method == "INVITE" {
                lab.send(pbx.at, b.ack_refusal(&told));
            }
            // Asked, it answers with one: the way stays.
            let again = a.request(&mut lab, method);
            lab.send(phone.at, again);
            let got = lab.expect(pbx.at, method);
            lab.send(pbx.at, pbx.answer(&got, 200, "").set("Contact", &bad));
            assert_eq!(lab.take(phone.at).last().map(Msg::status), Some(200));
            if method == "INVITE" {
                let ack = a.ack(&mut lab);
                lab.send(phone.at, ack);
                lab.expect(pbx.at, "ACK");
            }
            lab.hang_up(&mut a, &b);
            lab.end();
        }
    }
}

#[test]
fn a_phone_is_where_it_was_last_seen_whatever_its_contact_says() {
    // A `sips:` Contact asks for TLS (RFC 5630).
    for bad in unspoken("10.17.0.21").iter().filter(|c| !c.contains("sips:")) {
        let mut lab = Lab::edge();
        let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
        let sealed = crate::flows::register(&mut lab, &phone, bad, 1);
        let invite = pbx.request_to(&mut lab, "INVITE", &sealed).sdp(pbx.sdp(6000));
        lab.send(pbx.at, invite.clone());
        lab.expect(pbx.at, "100");
        let mut a = Leg::calling(&pbx, &invite);
        let got = lab.expect(phone.at, "INVITE");
        lab.send(
            phone.at,
            phone.answer(&got, 200, "p").set("Contact", bad.as_str()).sdp(phone.sdp(4000)),
        );
        let ok = lab.expect(pbx.at, "200");
        a.learn(&ok);
        let ack = a.ack(&mut lab);
        lab.send(pbx.at, ack);
        lab.expect(phone.at, "ACK");
        let bye = a.request(&mut lab, "BYE");
        lab.send(pbx.at, bye);
        let bye = lab.expect(phone.at, "BYE");
        lab.send(phone.at, answer(&bye, 200, ""));
        lab.expect(pbx.at, "200");
        lab.end();
    }
}

#[test]
fn a_stream_that_the_interface_has_no_socket_for_is_no_datagram() {
    let text = site::EDGE.replacen("\"udp:5060\", \"tcp:5060\"]\nkeep", "\"udp:5060\"]\nkeep", 1);
    let contact = format!("<sip:200@{PBX};transport=tcp>");
    let mut lab = Lab::with(site::parse(&text), Users::None);
    let (a, _, told) = answered(&mut lab, &contact, None);
    assert_eq!(told.status(), 502, "{told}");
    lab.send(a.ua.at, a.ack_refusal(&told));
    lab.clear();
    lab.advance(s(40));
    lab.clear();
    lab.end();
    // Where there is one, that is where it goes.
    let mut lab = Lab::edge();
    let (a, _, told) = answered(&mut lab, &contact, None);
    assert_eq!(told.status(), 200);
    let ack = a.ack(&mut lab);
    lab.send(a.ua.at, ack);
    let pbx = lab.pbx();
    let got = lab.next(pbx).expect("ACK");
    assert_eq!(got.flow.transport, Transport::Tcp);
    lab.clear();
}

#[test]
fn a_name_that_stands_for_the_peer_is_reached_by_the_transport_it_names() {
    let mut lab = Lab::edge();
    let contact = "<sip:200@sbc.example.net;transport=tcp>";
    let (a, _, told) = answered(&mut lab, contact, None);
    assert_eq!(told.status(), 200);
    let ack = a.ack(&mut lab);
    lab.send(a.ua.at, ack);
    let pbx = lab.pbx();
    let got = lab.next(pbx).expect("ACK");
    assert_eq!(got.flow.transport, Transport::Tcp);
    lab.clear();
}

#[test]
fn an_upstream_by_a_transport_without_a_socket_gets_nothing_by_another() {
    let mut lab = Lab::edge();
    let phone = lab.phone("101", "10.17.0.21:5060");
    lab.reload(|c| {
        c.interfaces[1].listen = vec![Listen { transport: Transport::Udp, port: 5060 }];
        c.upstreams[0].targets = vec![site::target("sip:203.0.113.10;transport=tcp")];
    });
    for method in ["INVITE", "MESSAGE", "SUBSCRIBE", "REGISTER", "OPTIONS"] {
        let text = phone.request(&mut lab, method, "200").with("Event", "x");
        lab.send(phone.at, text);
        let told = lab.take(phone.at).pop().expect("an answer");
        assert_eq!(told.status(), 502, "{method}: {told}");
        assert!(told.start.contains("Transport"), "{told}");
        lab.nothing_left();
    }
    assert!(counted(&lab) >= 5);
    lab.advance(s(40));
    lab.clear();
    lab.end();
}

#[test]
fn a_phone_that_names_a_stream_is_not_written_to_there_by_datagrams() {
    let mut lab = Lab::edge_with(|c| {
        c.interfaces[0].force_rport = false;
        c.interfaces[1].strangers = Strangers::Answer;
    });
    let phone = Ua::new(lab.inside("10.17.0.21:40000"), "101");
    let contact = "<sip:101@10.17.0.21:5080;transport=tcp>";
    let register = phone
        .request_to(&mut lab, "REGISTER", &format!("sip:{}", phone.domain))
        .set("To", format!("<{}>", phone.aor()))
        .set("Via", "SIP/2.0/UDP 10.17.0.21:40000;branch=z9hG4bKr")
        .set("Contact", contact)
        .with("Expires", "600");
    lab.send(phone.at, register);
    let pbx = lab.far("200");
    let got = lab.expect(pbx.at, "REGISTER");
    let sealed = got.contact().to_owned();
    lab.send(pbx.at, answer(&got, 200, "r").with("Contact", format!("<{sealed}>;expires=600")));
    lab.expect(phone.at, "200");
    let text = pbx.request_to(&mut lab, "MESSAGE", &sealed).typed("text/plain", "x");
    lab.send(pbx.at, text);
    let got = lab.expect(phone.at, "MESSAGE");
    lab.send(phone.at, answer(&got, 200, "m"));
    lab.expect(pbx.at, "200");
    lab.end();
}
