//! The way to a phone changes under a call: it reconnects, a NAT gives it another port or address,
//! it registers anew. Dialogs follow its registration, on a dead stream its Contact, and
//! nobody else is followed.

use crate::lab::digest::again;
use crate::lab::script::{Leg, Text, answer};
use crate::lab::{Lab, Party, Ua, s, site};
use portreeve::engine::Input;
use portreeve::ground::Flow;

/// A phone that writes an address of its own behind a NAT, whatever the NAT makes of it.
pub(crate) fn natted(lab: &Lab, at: &str) -> Ua {
    Ua::new(lab.inside(at), "101")
}

pub(crate) const PRIVATE: &str = "<sip:101@192.168.1.7:5060>";

/// Registers with this Contact; the same Call-ID each time, as RFC 3261 §10.2 asks.
#[track_caller]
pub(crate) fn register(lab: &mut Lab, ua: &Ua, contact: &str, cseq: u32) -> String {
    let register = ua
        .request_to(lab, "REGISTER", &format!("sip:{}", ua.domain))
        .set("To", format!("<{}>", ua.aor()))
        .set("Call-ID", format!("reg-{}", ua.user))
        .set("CSeq", format!("{cseq} REGISTER"))
        .set("Contact", contact)
        .with("Expires", "600");
    lab.send(ua.at, register);
    let pbx = lab.pbx();
    let got = lab.expect(pbx, "REGISTER");
    let sealed = got.contact().to_owned();
    let ok = answer(&got, 200, "reg").with("Contact", format!("<{sealed}>;expires=600"));
    lab.send(pbx, ok);
    lab.expect(ua.at, "200");
    sealed
}

/// The leg goes on from another place, with the Contact it always had.
fn moved(leg: &Leg, to: &Ua, contact: &str, request: impl FnOnce(&mut Leg) -> Text) -> (Leg, Text) {
    let mut leg = leg.clone();
    leg.ua = to.clone();
    let text = request(&mut leg).set("Contact", contact);
    (leg, text)
}

/// INFO from the PBX reaches the phone there, and its answer comes back.
#[track_caller]
pub(crate) fn is_reached(lab: &mut Lab, pbx: &mut Leg, at: Party) {
    let info = pbx.request(lab, "INFO");
    lab.send(pbx.ua.at, info);
    let got = lab.expect(at, "INFO");
    lab.send(at, answer(&got, 200, ""));
    lab.expect(pbx.ua.at, "200");
}

/// A call to the phone from the PBX, answered. Both legs; the phone's first.
#[track_caller]
pub(crate) fn called(lab: &mut Lab, sealed: &str, ua: &Ua, contact: &str) -> (Leg, Leg) {
    let pbx = lab.far("200");
    let invite = pbx.request_to(lab, "INVITE", sealed).sdp(pbx.sdp(6000));
    lab.send(pbx.at, invite.clone());
    lab.expect(pbx.at, "100");
    let mut far = Leg::calling(&pbx, &invite);
    let rung = lab.expect(ua.at, "INVITE");
    let near = Leg::called(ua, &rung, "ph");
    let ok = ua.answer(&rung, 200, "ph").set("Contact", contact).sdp(ua.sdp(4000));
    lab.send(ua.at, ok);
    let ok = lab.expect(pbx.at, "200");
    far.learn(&ok);
    let ack = far.ack(lab);
    lab.send(pbx.at, ack);
    lab.expect(ua.at, "ACK");
    (near, far)
}

pub(crate) fn gone(lab: &mut Lab, party: Party) {
    lab.input(Input::ConnectionClosed(party.flow.conn.expect("a connection")));
}

#[test]
fn a_call_follows_a_phone_whose_nat_gives_it_another_port_or_address() {
    for new in ["10.17.0.21:50002", "10.17.0.99:5060"] {
        let mut lab = Lab::edge();
        let phone = natted(&lab, "10.17.0.21:50001");
        let sealed = register(&mut lab, &phone, PRIVATE, 1);
        let (near, mut far) = called(&mut lab, &sealed, &phone, PRIVATE);
        is_reached(&mut lab, &mut far, phone.at);
        let there = natted(&lab, new);
        assert_eq!(register(&mut lab, &there, PRIVATE, 2), sealed);
        is_reached(&mut lab, &mut far, there.at);
        let (mut near, info) = moved(&near, &there, PRIVATE, |l| l.request(&mut lab, "INFO"));
        lab.send(there.at, info);
        let got = lab.expect(far.ua.at, "INFO");
        lab.send(far.ua.at, answer(&got, 200, ""));
        lab.expect(there.at, "200");
        let bye = near.request(&mut lab, "BYE");
        lab.send(there.at, bye);
        let got = lab.expect(far.ua.at, "BYE");
        lab.send(far.ua.at, answer(&got, 200, ""));
        lab.expect(there.at, "200");
        lab.end();
    }
}

#[test]
fn so_does_a_call_that_the_phone_made_and_our_own_bye() {
    let mut lab = Lab::edge();
    let phone = natted(&lab, "10.17.0.21:50001");
    register(&mut lab, &phone, PRIVATE, 1);
    let pbx = lab.far("200");
    let (_, mut far) = lab.establish(&phone, &pbx);
    let there = natted(&lab, "10.17.0.77:50009");
    register(&mut lab, &there, PRIVATE, 2);
    is_reached(&mut lab, &mut far, there.at);
    lab.input(Input::HangUpAll);
    let bye = lab.expect(there.at, "BYE");
    lab.send(there.at, answer(&bye, 200, ""));
    let bye = lab.expect(pbx.at, "BYE");
    lab.send(pbx.at, answer(&bye, 200, ""));
    lab.end();
}

#[test]
fn a_phone_that_writes_a_new_contact_when_it_moves_is_followed_by_its_registration() {
    let mut lab = Lab::edge();
    let phone = natted(&lab, "10.17.0.21:50001");
    let sealed = register(&mut lab, &phone, "<sip:101@10.17.0.21:50001>", 1);
    let (_, mut far) = called(&mut lab, &sealed, &phone, "<sip:101@10.17.0.21:50001>");
    let there = natted(&lab, "10.17.0.21:50777");
    register(&mut lab, &there, "<sip:101@10.17.0.21:50777>", 2);
    is_reached(&mut lab, &mut far, there.at);
    lab.end();
}

#[test]
fn an_address_that_nobody_registered_by_has_no_part_in_the_call() {
    let mut lab = Lab::edge();
    let phone = natted(&lab, "10.17.0.21:50001");
    let sealed = register(&mut lab, &phone, PRIVATE, 1);
    let (near, mut far) = called(&mut lab, &sealed, &phone, PRIVATE);
    let thief = natted(&lab, "10.17.0.66:50001");
    let (_, bye) = moved(&near, &thief, PRIVATE, |l| l.request(&mut lab, "BYE"));
    lab.send(thief.at, bye);
    lab.expect(thief.at, "403");
    // Asked for, and not granted.
    let register = thief
        .request_to(&mut lab, "REGISTER", &format!("sip:{}", thief.domain))
        .set("To", format!("<{}>", thief.aor()))
        .set("Contact", PRIVATE);
    lab.send(thief.at, register);
    let got = lab.expect(far.ua.at, "REGISTER");
    lab.send(far.ua.at, answer(&got, 403, "no"));
    lab.expect(thief.at, "403");
    is_reached(&mut lab, &mut far, phone.at);
    // Another user who registers there is not this one.
    let other = Ua::new(lab.inside("10.17.0.66:50001"), "102");
    register_as(&mut lab, &other);
    let (_, bye) = moved(&near, &thief, PRIVATE, |l| l.request(&mut lab, "BYE"));
    lab.send(thief.at, bye);
    lab.expect(thief.at, "403");
    is_reached(&mut lab, &mut far, phone.at);
    lab.end();
}

fn register_as(lab: &mut Lab, ua: &Ua) {
    register(lab, ua, "<sip:102@192.168.1.7:5060>", 1);
}

/// Registers at our own registrar, with digest.
#[track_caller]
fn register_here(lab: &mut Lab, ua: &Ua, contact: &str, cseq: u32) {
    lab.advance(s(1));
    let register = lab.local_register(ua, 600).set("Contact", contact);
    let register = register.set("Call-ID", format!("reg-{}", ua.user));
    let register = register.set("CSeq", format!("{cseq} REGISTER"));
    lab.send(ua.at, register.clone());
    let challenged = lab.expect(ua.at, "401");
    let proved = again(lab, &register, &challenged, ua, site::PASSWORD);
    lab.send(ua.at, proved);
    lab.expect(ua.at, "200");
}

#[test]
fn a_call_of_our_own_site_follows_the_phone_and_no_other_of_the_same_user() {
    let mut lab = Lab::site();
    let alice = lab.local_phone("101", "10.17.0.21:5060");
    let mut bob = lab.phone("102", "10.17.0.22:50001");
    site::GATE_INSIDE.clone_into(&mut bob.domain);
    register_here(&mut lab, &bob, "<sip:102@192.168.1.7:5060>", 1);
    let (mut a, _) = lab.establish(&alice, &bob);
    lab.advance(s(1));
    lab.local_phone("102", "10.17.0.30:5060");
    is_reached(&mut lab, &mut a, bob.at);
    let there = Ua { at: lab.inside("10.17.0.23:50002"), ..bob };
    register_here(&mut lab, &there, "<sip:102@192.168.1.7:5060>", 3);
    is_reached(&mut lab, &mut a, there.at);
    lab.end();
}

#[test]
fn a_phone_that_reconnects_gets_what_its_call_brings() {
    let mut lab = Lab::edge();
    let phone = Ua::new(lab.inside_tcp("10.17.0.21:50001"), "101");
    let contact = "<sip:101@10.17.0.21:5060;transport=tcp>";
    let sealed = register(&mut lab, &phone, contact, 1);
    assert_eq!(lab.kept_open, [phone.at.flow.conn.expect("a connection")]);
    let (near, mut far) = called(&mut lab, &sealed, &phone, contact);
    gone(&mut lab, phone.at);
    // Not back yet: where its Contact says.
    let listens = listening(&phone, "10.17.0.21:5060");
    is_reached(&mut lab, &mut far, listens);
    let back = Ua::new(lab.inside_tcp("10.17.0.21:50002"), "101");
    register(&mut lab, &back, contact, 2);
    is_reached(&mut lab, &mut far, back.at);
    let (_, bye) = moved(&near, &back, contact, |l| l.request(&mut lab, "BYE"));
    lab.send(back.at, bye);
    let got = lab.expect(far.ua.at, "BYE");
    lab.send(far.ua.at, answer(&got, 200, ""));
    lab.expect(back.at, "200");
    lab.end();
}

/// The phone where it listens: no connection yet.
pub(crate) fn listening(ua: &Ua, at: &str) -> Party {
    let peer = at.parse().expect("an address");
    Party { flow: Flow { peer, conn: None, ..ua.at.flow } }
}

#[test]
fn on_a_dead_stream_that_nobody_registered_by_the_contact_is_the_way() {
    let mut lab = Lab::edge();
    let phone = Ua::new(lab.inside_tcp("10.17.0.21:50001"), "101");
    let pbx = lab.far("200");
    let mut invite = phone.request(&mut lab, "INVITE", "200").sdp(phone.sdp(4000));
    invite = invite.set("Contact", "<sip:101@10.17.0.21:5062;transport=tcp>");
    lab.send(phone.at, invite.clone());
    lab.expect(phone.at, "100");
    let rung = lab.expect(pbx.at, "INVITE");
    lab.send(pbx.at, pbx.answer(&rung, 200, "p").sdp(pbx.sdp(6000)));
    let mut near = Leg::calling(&phone, &invite);
    near.learn(&lab.expect(phone.at, "200"));
    let ack = near.ack(&mut lab);
    lab.send(phone.at, ack);
    lab.expect(pbx.at, "ACK");
    let mut far = Leg::called(&pbx, &rung, "p");
    gone(&mut lab, phone.at);
    is_reached(&mut lab, &mut far, listening(&phone, "10.17.0.21:5062"));
    lab.end();
}

#[test]
fn what_a_phone_has_subscribed_to_follows_it() {
    let mut lab = Lab::edge();
    let phone = natted(&lab, "10.17.0.21:50001");
    register(&mut lab, &phone, PRIVATE, 1);
    let pbx = lab.far("200");
    let subscribe = phone.request(&mut lab, "SUBSCRIBE", "200").with("Event", "dialog");
    let subscribe = subscribe.set("Contact", PRIVATE).with("Expires", "600");
    lab.send(phone.at, subscribe);
    let got = lab.expect(pbx.at, "SUBSCRIBE");
    lab.send(pbx.at, pbx.answer(&got, 200, "s").with("Expires", "600"));
    lab.expect(phone.at, "200");
    let mut far = Leg::called(&pbx, &got, "s");
    let there = natted(&lab, "10.17.0.99:50002");
    register(&mut lab, &there, PRIVATE, 2);
    let notify = far.request(&mut lab, "NOTIFY").with("Event", "dialog");
    lab.send(pbx.at, notify.with("Subscription-State", "terminated"));
    let got = lab.expect(there.at, "NOTIFY");
    lab.send(there.at, answer(&got, 200, ""));
    lab.expect(pbx.at, "200");
    lab.end();
}
