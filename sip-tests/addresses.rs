//! Where answers and requests go: rport, advertised addresses, one address for both sides, several
//! upstreams, streams.

use crate::lab::script::answer;
use crate::lab::{Lab, Leg, Msg, Ua, s, site};
use portreeve::config::Config;
use portreeve::engine::Input;
use portreeve::engine::digest::Users;
use portreeve::ground::ListenerId;

fn lab(text: &str) -> Lab {
    let mut lab = Lab::with(site::parse(text), Users::None);
    lab.secrets.clear();
    lab
}

#[test]
fn answers_go_to_the_source_port_only_when_asked_or_forced() {
    let mut lab = Lab::edge();
    let pbx = lab.pbx();
    let stray = "SIP/2.0/UDP 203.0.113.10:5062;branch=z9hG4bKa";
    for (via, port) in [
        (stray.to_owned(), 5062),
        ("SIP/2.0/UDP 203.0.113.10:5062;branch=z9hG4bKr;rport".to_owned(), 5060),
        ("SIP/2.0/UDP 203.0.113.10;branch=z9hG4bKb".to_owned(), 5060),
        ("SIP/2.0/UDP pbx.example.com:5066;branch=z9hG4bKc;maddr=192.0.2.1".to_owned(), 5066),
    ] {
        let ua = lab.far("200");
        let options = ua.request_to(&mut lab, "OPTIONS", "sip:203.0.113.1").set("Via", &via);
        lab.send(pbx, options);
        let at = lab.outside(&format!("203.0.113.10:{port}"));
        let ok = lab.expect(at, "200");
        assert!(!via.ends_with("rport") || ok.header("Via").contains("rport=5060"), "{ok}");
        assert_eq!(
            ok.header("Via").contains("received="),
            via.contains("rport") || via.contains("pbx")
        );
    }
    // Inside, the source port is used even when not asked for.
    let phone = lab.inside("10.17.0.21:40000");
    let ua = Ua::new(phone, "101");
    let options = ua
        .request_to(&mut lab, "OPTIONS", "sip:10.17.0.1")
        .set("Via", "SIP/2.0/UDP 10.17.0.21:5060;branch=z9hG4bKd");
    lab.send(phone, options);
    lab.expect(phone, "200");
    lab.end();
}

#[test]
fn outside_is_told_the_advertised_address() {
    let mut lab = Lab::edge_with(|c| site::advertise(&mut c.interfaces[1], "192.0.2.77"));
    let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
    lab.call(&phone, "200", 4000);
    lab.expect(phone.at, "100");
    let got = lab.expect(pbx.at, "INVITE");
    assert_eq!(got.media_address(), "192.0.2.77");
    for name in ["Via", "Contact", "Record-Route"] {
        assert!(got.header(name).contains("192.0.2.77:5060"), "{name}: {got}");
    }
    assert!(!got.to_string().contains("203.0.113.1:"), "{got}");
    let (_, stream) = lab.relay.only();
    assert_eq!(stream.legs[1].bind.to_string(), "203.0.113.1", "sockets stay where they are");
    lab.end();
}

/// Both sides on one address and one network, as on a Docker host with one card.
const SHARED: &str = r#"
[[interface]]
name = "in"
side = "inside"
address = "10.17.0.1"
listen = ["udp:5060"]
keepalive = "0s"
[[interface]]
name = "out"
side = "outside"
address = "10.17.0.1"
listen = ["udp:5080"]
keepalive = "0s"
[[upstream]]
name = "pbx"
address = "10.17.0.10:5060"
[media]
ports = "20000-20999"
[policy]
default = "allow"
"#;

/// A call out, a call in and a hang-up each way, with these addresses.
fn both_ways(lab: &mut Lab, phone: &Ua, pbx: &Ua) {
    let (mut a, b) = lab.establish(phone, pbx);
    let (_, stream) = lab.relay.only();
    let want = [(phone.ip(), 4000), (pbx.ip(), 6000)];
    for (leg, (ip, port)) in stream.legs.iter().zip(want) {
        assert_eq!(leg.party.rtp, Some((ip, port).into()), "{stream:?}");
    }
    lab.hang_up(&mut a, &b);
    let register = phone
        .request_to(lab, "REGISTER", &format!("sip:{}", pbx.domain))
        .set("To", format!("<sip:{}@{}>", phone.user, pbx.domain))
        .with("Expires", "600");
    lab.send(phone.at, register);
    let got = lab.expect(pbx.at, "REGISTER");
    let sealed = got.contact().to_owned();
    lab.send(pbx.at, answer(&got, 200, "r").with("Contact", format!("<{sealed}>;expires=600")));
    lab.expect(phone.at, "200");
    let invite = pbx.request_to(lab, "INVITE", &sealed).sdp(pbx.sdp(6000));
    lab.send(pbx.at, invite.clone());
    let mut a = Leg::calling(pbx, &invite);
    lab.expect(pbx.at, "100");
    let got = lab.expect(phone.at, "INVITE");
    let b = Leg::called(phone, &got, "in");
    lab.send(phone.at, phone.answer(&got, 200, "in").sdp(phone.sdp(4000)));
    let ok = lab.expect(pbx.at, "200");
    a.learn(&ok);
    let ack = a.ack(lab);
    lab.send(pbx.at, ack);
    lab.expect(phone.at, "ACK");
    lab.hang_up(&mut a, &b);
    assert_eq!(lab.ends().len(), 2);
}

#[test]
fn one_address_serves_both_sides_by_different_ports() {
    let mut lab = lab(SHARED);
    let mut phone = Ua::new(lab.at(ListenerId(0), "10.17.0.21:5060"), "101");
    let mut pbx = Ua::new(lab.at(ListenerId(1), "10.17.0.10:5060"), "200");
    for ua in [&mut phone, &mut pbx] {
        "10.17.0.10".clone_into(&mut ua.domain);
    }
    both_ways(&mut lab, &phone, &pbx);
    lab.end();
}

#[test]
fn everything_may_live_on_loopback() {
    let text = SHARED
        .replace("10.17.0.10:5060", "127.0.0.1:5090")
        .replace("10.17.0.1", "127.0.0.1")
        .replace("keepalive = \"0s\"", "keepalive = \"0s\"\nallow_loopback = true");
    let mut lab = lab(&text);
    let mut phone = Ua::new(lab.at(ListenerId(0), "127.0.0.1:15060"), "101");
    let mut pbx = Ua::new(lab.at(ListenerId(1), "127.0.0.1:5090"), "200");
    for ua in [&mut phone, &mut pbx] {
        "127.0.0.1".clone_into(&mut ua.domain);
    }
    // Phones on loopback dial the gateway itself.
    let mut a = {
        let invite =
            phone.request_to(&mut lab, "INVITE", "sip:200@127.0.0.1:5060").sdp(phone.sdp(4000));
        lab.send(phone.at, invite.clone());
        Leg::calling(&phone, &invite)
    };
    lab.expect(phone.at, "100");
    let got = lab.expect(pbx.at, "INVITE");
    let b = Leg::called(&pbx, &got, "b");
    lab.send(pbx.at, pbx.answer(&got, 200, "b").sdp(pbx.sdp(6000)));
    let ok = lab.expect(phone.at, "200");
    a.learn(&ok);
    let ack = a.ack(&mut lab);
    lab.send(phone.at, ack);
    lab.expect(pbx.at, "ACK");
    lab.hang_up(&mut a, &b);
    assert_eq!(lab.ends(), [("answered", 200, "caller")]);
    lab.end();
}

fn two_upstreams(c: &mut Config) {
    let mut trunk = c.upstreams[0].clone();
    "trunk".clone_into(&mut trunk.name);
    "trunk.example.net".clone_into(&mut trunk.domain);
    trunk.targets = vec![site::target("203.0.113.20:5060")];
    trunk.sources = vec!["203.0.113.20/32".parse().expect("a network")];
    trunk.numbers = vec!["+".to_owned()];
    c.upstreams.push(trunk);
}

#[test]
fn the_upstream_is_chosen_by_domain_then_by_number() {
    let mut lab = Lab::edge_with(two_upstreams);
    let phone = lab.phone("101", "10.17.0.21:5060");
    for (uri, at) in [
        ("sip:200@pbx.example.com", "203.0.113.10:5060"),
        ("sip:200@trunk.example.net", "203.0.113.20:5060"),
        ("sip:+4930123@10.17.0.1", "203.0.113.20:5060"),
        ("sip:200@10.17.0.1", "203.0.113.10:5060"),
        ("tel:+4930123", "203.0.113.20:5060"),
    ] {
        let message = phone.request_to(&mut lab, "MESSAGE", uri).typed("text/plain", "x");
        lab.send(phone.at, message);
        let at = lab.outside(at);
        let got = lab.expect(at, "MESSAGE");
        lab.send(at, answer(&got, 200, "m"));
        lab.expect(phone.at, "200");
    }
    lab.end();
}

#[test]
fn an_upstream_on_tcp_gets_no_retransmission() {
    let mut lab = Lab::edge_with(|c| {
        c.upstreams[0].targets = vec![site::target("sip:203.0.113.10;transport=tcp")];
    });
    let phone = lab.phone("101", "10.17.0.21:5060");
    lab.call(&phone, "200", 4000);
    lab.expect(phone.at, "100");
    let mut far = lab.pbx();
    far.flow.transport = portreeve::ground::Transport::Tcp;
    far.flow.listener = ListenerId(4);
    let got = lab.expect(far, "INVITE");
    assert!(got.header("Via").starts_with("SIP/2.0/TCP "), "{got}");
    assert!(got.header("Contact").contains("transport=tcp"), "{got}");
    lab.advance(s(10));
    lab.nothing_left();
    lab.end();
}

#[test]
fn a_transport_that_fails_is_told_at_once() {
    let mut lab = Lab::edge();
    let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
    let a = lab.call(&phone, "200", 4000);
    lab.expect(phone.at, "100");
    lab.expect(pbx.at, "INVITE");
    lab.input(Input::TransportFailed(pbx.at.flow));
    let no = lab.next(phone.at).expect("a final answer");
    assert!((500..600).contains(&no.status()), "{no}");
    lab.send(phone.at, a.ack_refusal(&no));
    lab.nothing_left();
    assert_eq!(lab.engine.active_calls(), 0);
    lab.end();
}

#[test]
fn options_for_us_are_answered_and_others_go_on() {
    let mut lab = Lab::edge();
    let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
    for (ua, uri) in [(&phone, "sip:10.17.0.1"), (&pbx, "sip:203.0.113.1:5060")] {
        let options = ua.request_to(&mut lab, "OPTIONS", uri);
        lab.send(ua.at, options);
        let ok = lab.expect(ua.at, "200");
        assert!(ok.header("Allow").contains("INVITE"), "{ok}");
    }
    let options = phone.request(&mut lab, "OPTIONS", "200");
    lab.send(phone.at, options);
    let got = lab.expect(pbx.at, "OPTIONS");
    lab.send(pbx.at, pbx.answer(&got, 200, "o").sdp(pbx.sdp(6000)));
    lab.expect(phone.at, "200");
    assert_eq!(lab.relay.open.len(), 0, "abilities are no session");
    lab.end();
}

#[test]
fn keepalives_go_to_upstreams_and_natted_phones_only() {
    let mut lab = Lab::edge_with(|c| {
        c.interfaces[0].keepalive = Some(s(25));
        c.interfaces[1].keepalive = Some(s(25));
    });
    let (near, mut far) =
        (lab.phone("101", "10.17.0.21:5060"), lab.phone("102", "10.17.0.22:40000"));
    lab.register(&near, 600);
    let seen = far.at;
    far.at.flow.peer = "192.168.178.5:5060".parse().expect("an address");
    let register = far
        .request_to(&mut lab, "REGISTER", "sip:pbx.example.com")
        .set("To", "<sip:102@pbx.example.com>")
        .with("Expires", "600");
    lab.send(seen, register);
    let pbx = lab.pbx();
    let got = lab.expect(pbx, "REGISTER");
    let sealed = got.contact().to_owned();
    lab.send(pbx, answer(&got, 200, "r").with("Contact", format!("<{sealed}>;expires=600")));
    lab.expect(seen, "200");
    lab.pings.clear();
    lab.advance(s(50));
    let count = |at: &str| lab.pings.iter().filter(|p| p.to_string() == at).count();
    assert_eq!(count("10.17.0.22:40000"), 2);
    assert_eq!(count("203.0.113.10:5060"), 2);
    assert_eq!(count("10.17.0.21:5060"), 0);
    lab.nothing_left();
}

#[test]
fn requests_from_any_source_of_an_upstream_are_its_own() {
    let mut lab = Lab::edge_with(|c| {
        c.upstreams[0].sources.push("203.0.113.16/28".parse().expect("a network"));
    });
    let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
    let (a, mut b) = lab.establish(&phone, &pbx);
    b.ua.at = lab.outside("203.0.113.17:5060");
    let info = b.request(&mut lab, "INFO");
    lab.send(b.ua.at, info);
    let got = lab.expect(phone.at, "INFO");
    lab.send(phone.at, answer(&got, 200, ""));
    lab.expect(b.ua.at, "200");
    assert_eq!(a.cseq, 1);
    lab.end();
}

#[test]
fn a_named_contact_means_the_dialogs_peer() {
    let mut lab = Lab::edge();
    let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
    let mut a = lab.call(&phone, "200", 4000);
    lab.expect(phone.at, "100");
    let got = lab.expect(pbx.at, "INVITE");
    let named = answer(&got, 200, "b").with("Contact", "<sip:200@sbc7.pbx.example.com>");
    lab.send(pbx.at, named.sdp(pbx.sdp(6000)));
    let ok = lab.expect(phone.at, "200");
    a.learn(&ok);
    let ack = a.ack(&mut lab);
    lab.send(phone.at, ack);
    let got = lab.expect(pbx.at, "ACK");
    assert_eq!(got.uri(), "sip:200@sbc7.pbx.example.com");
    lab.end();
}

#[test]
fn a_phone_that_changes_its_port_within_a_call_is_followed() {
    let mut lab = Lab::edge();
    let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
    let (mut a, mut b) = lab.establish(&phone, &pbx);
    a.ua.at = lab.inside("10.17.0.21:41000");
    let info = a.request(&mut lab, "INFO");
    lab.send(a.ua.at, info);
    let got = lab.expect(pbx.at, "INFO");
    lab.send(pbx.at, answer(&got, 200, ""));
    lab.expect(a.ua.at, "200");
    let bye = b.request(&mut lab, "BYE");
    lab.send(pbx.at, bye);
    let got = lab.expect(a.ua.at, "BYE");
    lab.send(a.ua.at, answer(&got, 200, ""));
    lab.expect(pbx.at, "200");
    lab.end();
}

#[test]
fn a_2543_client_is_served_on_udp() {
    let mut lab = Lab::edge();
    let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
    let old = phone
        .request(&mut lab, "INVITE", "200")
        .set("Via", "SIP/2.0/UDP 10.17.0.21:5060")
        .set("From", "<sip:101@pbx.example.com>")
        .without("Max-Forwards")
        .sdp(phone.sdp(4000));
    lab.send(phone.at, old.clone());
    lab.expect(phone.at, "100");
    let got = lab.expect(pbx.at, "INVITE");
    assert_eq!(got.header("Max-Forwards"), "70");
    lab.send(phone.at, old.clone());
    lab.expect(phone.at, "100");
    lab.nothing_left();
    lab.send(pbx.at, answer(&got, 486, "b"));
    lab.expect(pbx.at, "ACK");
    let busy = lab.expect(phone.at, "486");
    lab.send(phone.at, Leg::calling(&phone, &old).ack_refusal(&busy));
    lab.advance(s(10));
    let left: Vec<u16> = lab.take(phone.at).iter().map(Msg::status).collect();
    assert!(left.is_empty(), "the ACK was matched: {left:?}");
    lab.end();
}
