//! A phone comes again by another port or connection, and its REGISTER has a new Call-ID: what its
//! dialogs bring follows it all the same, and follows nobody else.

use crate::flows::{called, gone, is_reached};
use crate::lab::script::{Leg, answer};
use crate::lab::{Lab, Party, Ua, s, site};
use portreeve::engine::digest::Users;
use portreeve::ground::{Side, Transport};

const DESK: &str = ";+sip.instance=\"<urn:uuid:0001>\";reg-id=1";
const OTHER: &str = ";+sip.instance=\"<urn:uuid:0002>\";reg-id=1";

/// In front of a PBX, with TLS inside.
fn edge() -> Lab {
    let text = site::EDGE.replace(
        "listen = [\"udp:5060\", \"tcp:5060\"]",
        "listen = [\"udp:5060\", \"tcp:5060\", \"tls:5061\"]\ntls = \"self-signed\"",
    );
    let text = text.replace(
        "listen = [\"udp:5060\", \"udp:5070\", \"tcp:5060\"]",
        "listen = [\"udp:5060\", \"udp:5070\", \"tcp:5060\", \"tls:5061\"]\ntls = \"self-signed\"",
    );
    Lab::with(site::parse(&text), Users::None)
}

/// A user's phone there.
fn phone(lab: &mut Lab, user: &str, transport: Transport, at: &str) -> Ua {
    let mut party: Party = lab.by_stream(Side::Inside, transport, at);
    if transport.is_reliable() {
        party.flow.conn = Some(lab.fresh_conn());
    }
    Ua::new(party, user)
}

/// The Contact that it writes.
fn contact(ua: &Ua) -> String {
    let transport = ua.at.flow.transport.to_string().to_lowercase();
    format!("<sip:{}@{};transport={transport}>", ua.user, ua.at.flow.peer)
}

/// Registers by this Contact and Call-ID; the PBX grants the first Contact alone.
#[track_caller]
fn register(lab: &mut Lab, ua: &Ua, contact: &str, call_id: &str) -> String {
    let sealed = granted(lab, ua, contact, call_id);
    lab.expect(ua.at, "200");
    sealed
}

/// The same, before the phone has read its answer.
#[track_caller]
fn granted(lab: &mut Lab, ua: &Ua, contact: &str, call_id: &str) -> String {
    let register = ua
        .request_to(lab, "REGISTER", &format!("sip:{}", ua.domain))
        .set("To", format!("<{}>", ua.aor()))
        .set("Call-ID", call_id)
        .set("Contact", contact)
        .with("Expires", "600");
    lab.send(ua.at, register);
    let pbx = lab.pbx();
    let got = lab.expect(pbx, "REGISTER");
    let sealed = got.contact().to_owned();
    lab.send(pbx, answer(&got, 200, "reg").with("Contact", format!("<{sealed}>;expires=600")));
    sealed
}

/// A phone in a call: it, the PBX's leg, and its own.
fn in_call(lab: &mut Lab, transport: Transport, instance: &str) -> (Ua, Leg, Leg) {
    let ua = phone(lab, "101", transport, "10.17.0.21:50001");
    let own = contact(&ua);
    let sealed = register(lab, &ua, &format!("{own}{instance}"), "first");
    let (near, far) = called(lab, &sealed, &ua, &own);
    (ua, near, far)
}

/// The PBX hangs up, and the phone there hears it.
#[track_caller]
fn is_hung_up(lab: &mut Lab, far: &mut Leg, at: Party) {
    let bye = far.request(lab, "BYE");
    lab.send(far.ua.at, bye);
    let got = lab.expect(at, "BYE");
    lab.send(at, answer(&got, 200, ""));
    lab.expect(far.ua.at, "200");
    lab.advance(s(40));
    lab.clear();
    lab.end();
}

#[test]
fn a_phone_that_comes_again_by_another_call_id_is_followed() {
    use Transport::{Tcp, Tls, Udp};
    // By its instance, by a Contact that it removes, or as the one that is left of its user there.
    for (instance, removes, ends) in [
        (DESK, false, true),
        (DESK, false, false),
        (DESK, true, true),
        ("", true, true),
        ("", true, false),
        ("", false, true),
    ] {
        for transport in [Udp, Tcp, Tls] {
            if transport == Udp && ends && !removes && instance.is_empty() {
                continue;
            }
            let mut lab = edge();
            let (ua, _, mut far) = in_call(&mut lab, transport, instance);
            if ends && transport.is_reliable() {
                gone(&mut lab, ua.at);
            }
            let back = phone(&mut lab, "101", transport, "10.17.0.21:50002");
            let mut offered = format!("{}{instance}", contact(&back));
            if removes {
                offered.push_str(&format!(", {};expires=0", contact(&ua)));
            }
            register(&mut lab, &back, &offered, "second");
            is_reached(&mut lab, &mut far, back.at);
            is_hung_up(&mut lab, &mut far, back.at);
        }
    }
}

#[test]
fn what_a_silent_connection_took_with_it_goes_where_the_phone_is_now() {
    for (transport, instance) in
        [(Transport::Tcp, ""), (Transport::Tls, ""), (Transport::Tcp, DESK), (Transport::Tls, DESK)]
    {
        let mut lab = edge();
        let (ua, _, mut far) = in_call(&mut lab, transport, instance);
        let bye = far.request(&mut lab, "BYE");
        lab.send(far.ua.at, bye);
        lab.expect(ua.at, "BYE");
        let back = phone(&mut lab, "101", transport, "10.17.0.21:50002");
        let offered = format!("{}{instance}", contact(&back));
        granted(&mut lab, &back, &offered, "second");
        let at_once = lab.take(back.at);
        let got = if instance.is_empty() {
            assert_eq!(at_once.len(), 1, "the other one may be there yet");
            gone(&mut lab, ua.at);
            lab.expect(back.at, "BYE")
        } else {
            at_once.into_iter().find(|m| m.method() == "BYE").expect("a BYE")
        };
        lab.send(back.at, answer(&got, 200, ""));
        lab.expect(far.ua.at, "200");
        lab.clear();
        lab.end();
    }
}

#[test]
fn by_datagrams_the_other_port_is_asked_where_the_first_says_nothing() {
    let mut lab = edge();
    let (ua, _, mut far) = in_call(&mut lab, Transport::Udp, "");
    let back = phone(&mut lab, "101", Transport::Udp, "10.17.0.21:50002");
    register(&mut lab, &back, &contact(&back), "second");
    let bye = far.request(&mut lab, "BYE");
    lab.send(far.ua.at, bye);
    lab.expect(ua.at, "BYE");
    lab.advance(s(6));
    let got = lab.expect_at(back.at, "BYE");
    lab.send(back.at, answer(&got, 200, ""));
    let ok = lab.take(far.ua.at).pop().expect("an answer");
    assert_eq!(ok.status(), 200);
    lab.clear();
    lab.advance(s(40));
    lab.clear();
    lab.end();
}

#[test]
fn another_phone_of_the_user_or_another_user_is_not_followed() {
    use Transport::{Tcp, Tls};
    for transport in [Tcp, Tls] {
        // Another host, another phone, another user; while it is there, and when it is gone.
        for (user, at, own, theirs) in [
            ("101", "10.17.0.22:50002", "", ""),
            ("101", "10.17.0.21:50002", DESK, OTHER),
            ("101", "10.17.0.21:50002", DESK, ""),
            ("102", "10.17.0.21:50002", "", ""),
            ("102", "10.17.0.21:50002", DESK, DESK),
        ] {
            let mut lab = edge();
            let (ua, _, mut far) = in_call(&mut lab, transport, own);
            let other = phone(&mut lab, user, transport, at);
            register(&mut lab, &other, &format!("{}{theirs}", contact(&other)), "other");
            is_reached(&mut lab, &mut far, ua.at);
            gone(&mut lab, ua.at);
            let bye = far.request(&mut lab, "BYE");
            lab.send(far.ua.at, bye);
            let taken = lab.take(other.at);
            assert!(taken.is_empty(), "{user} {at} {own} {theirs}: {}", taken[0]);
            lab.advance(s(40));
            lab.clear();
            lab.end();
        }
    }
}

#[test]
fn the_answer_to_a_phone_that_came_again_while_it_rang_finds_it() {
    for transport in [Transport::Tcp, Transport::Tls] {
        let mut lab = edge();
        let ua = phone(&mut lab, "101", transport, "10.17.0.21:50001");
        register(&mut lab, &ua, &contact(&ua), "first");
        let pbx = lab.far("200");
        let invite = ua.request(&mut lab, "INVITE", "200").sdp(ua.sdp(4000));
        let invite = invite.set("Contact", contact(&ua));
        lab.send(ua.at, invite.clone());
        lab.expect(ua.at, "100");
        let rung = lab.expect(pbx.at, "INVITE");
        lab.send(pbx.at, answer(&rung, 180, "p"));
        lab.expect(ua.at, "180");
        gone(&mut lab, ua.at);
        let back = phone(&mut lab, "101", transport, "10.17.0.21:50002");
        register(&mut lab, &back, &contact(&back), "second");
        lab.send(pbx.at, pbx.answer(&rung, 200, "p").sdp(pbx.sdp(6000)));
        let mut near = Leg::calling(&ua, &invite);
        near.learn(&lab.expect(back.at, "200"));
        near.ua = back.clone();
        let ack = near.ack(&mut lab);
        lab.send(back.at, ack);
        lab.expect(pbx.at, "ACK");
        let mut far = Leg::called(&pbx, &rung, "p");
        is_hung_up(&mut lab, &mut far, back.at);
    }
}

#[test]
fn who_speaks_by_another_connection_is_reached_by_it() {
    let mut lab = edge();
    let (ua, near, mut far) = in_call(&mut lab, Transport::Tls, "");
    gone(&mut lab, ua.at);
    // It did not register by it yet.
    let back = phone(&mut lab, "101", Transport::Tls, "10.17.0.21:50002");
    let mut near = Leg { ua: back.clone(), ..near };
    let info = near.request(&mut lab, "INFO");
    lab.send(back.at, info);
    let got = lab.expect(far.ua.at, "INFO");
    lab.send(far.ua.at, answer(&got, 200, ""));
    lab.expect(back.at, "200");
    is_hung_up(&mut lab, &mut far, back.at);
}
