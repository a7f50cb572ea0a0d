//! Parties that write no tags (RFC 2543): a fork whose tag is empty (RFC 3261 §12.1.2). They are
//! hidden, answered and hung up like everybody else.

use crate::lab::script::{Text, answer};
use crate::lab::{Lab, Leg, Msg, Ua, site};
use portreeve::engine::Input;

fn parties(lab: &Lab) -> (Ua, Ua) {
    (lab.phone("101", "10.17.0.21:5060"), lab.far("200"))
}

/// The PBX's answer without a To tag.
fn bare(pbx: &Ua, request: &Msg, status: u16) -> Text {
    pbx.answer(request, status, "").set("To", request.header("To"))
}

/// The PBX's side of a dialog with an empty tag.
fn untagged(pbx: &Ua, invite: &Msg) -> Leg {
    let mut leg = Leg::called(pbx, invite, "");
    invite.header("To").clone_into(&mut leg.local);
    leg
}

/// A call that the PBX answers without a tag.
fn establish(lab: &mut Lab) -> (Leg, Leg) {
    let (phone, pbx) = parties(lab);
    let mut a = lab.call(&phone, "200", 4000);
    lab.expect(phone.at, "100");
    let invite = lab.expect(pbx.at, "INVITE");
    let b = untagged(&pbx, &invite);
    for status in [180, 200] {
        let mut text = bare(&pbx, &invite, status);
        if status == 200 {
            text = text.sdp(pbx.sdp(6000));
        }
        lab.send(pbx.at, text);
        let got = lab.expect(phone.at, &status.to_string());
        assert_eq!(got.tag("To"), None);
        assert!(got.contact().ends_with("@pbx.example.com"), "ours, not the PBX's\n{got}");
        assert_eq!(got.list("Record-Route").len(), 1, "{got}");
        a.learn(&got);
    }
    let ack = a.ack(lab);
    lab.send(phone.at, ack);
    let ack = lab.expect(pbx.at, "ACK");
    assert_eq!(ack.uri(), "sip:200@203.0.113.10:5060");
    assert_eq!(ack.header("To"), "<sip:200@pbx.example.com>", "no tag was made up");
    lab.nothing_left();
    (a, b)
}

#[test]
fn a_call_without_a_to_tag_is_set_up_and_hung_up_by_the_caller() {
    let mut lab = Lab::edge();
    let (mut a, b) = establish(&mut lab);
    assert_eq!(lab.engine.active_calls(), 1);
    lab.hang_up(&mut a, &b);
    assert_eq!(lab.ends(), [("answered", 200, "caller")]);
    assert_eq!(lab.stats().now.dialogs, 0);
    lab.end();
}

#[test]
fn and_by_the_callee() {
    let mut lab = Lab::edge();
    let (a, mut b) = establish(&mut lab);
    lab.hang_up(&mut b, &a);
    assert_eq!(lab.ends(), [("answered", 200, "callee")]);
    lab.end();
}

#[test]
fn requests_pass_both_ways_within_it() {
    let mut lab = Lab::edge();
    let (mut a, mut b) = establish(&mut lab);
    for _ in 0..2 {
        let info = a.request(&mut lab, "INFO");
        lab.send(a.ua.at, info);
        let got = lab.expect(b.ua.at, "INFO");
        assert_eq!((got.tag("To"), got.uri()), (None, "sip:200@203.0.113.10:5060"));
        lab.send(b.ua.at, answer(&got, 200, "").set("To", got.header("To")));
        assert_eq!(lab.expect(a.ua.at, "200").tag("To"), None);
        let info = b.request(&mut lab, "INFO");
        lab.send(b.ua.at, info);
        let got = lab.expect(a.ua.at, "INFO");
        assert_eq!((got.tag("From"), got.tag("To")), (None, Some(tag_of(&a))));
        lab.send(a.ua.at, answer(&got, 200, ""));
        lab.expect(b.ua.at, "200");
    }
    lab.hang_up(&mut a, &b);
    lab.end();
}

fn tag_of(leg: &Leg) -> &str {
    crate::lab::message::param(&leg.local, "tag").expect("a tag")
}

#[test]
fn a_hold_within_it_is_no_new_call() {
    let mut lab = Lab::edge();
    let (mut a, b) = establish(&mut lab);
    let invite = a.request(&mut lab, "INVITE").sdp(a.ua.sdp(4000));
    lab.send(a.ua.at, invite);
    lab.expect(a.ua.at, "100");
    let got = lab.expect(b.ua.at, "INVITE");
    assert_eq!(got.uri(), "sip:200@203.0.113.10:5060");
    lab.send(b.ua.at, bare(&b.ua, &got, 200).sdp(b.ua.sdp(6000)));
    lab.expect(a.ua.at, "200");
    let ack = a.ack(&mut lab);
    lab.send(a.ua.at, ack);
    lab.expect(b.ua.at, "ACK");
    assert_eq!((lab.engine.active_calls(), lab.relay.open.len()), (1, 1), "the same call");
    lab.hang_up(&mut a, &b);
    lab.end();
}

#[test]
fn our_own_bye_ends_it() {
    let mut lab = Lab::edge();
    let (a, b) = establish(&mut lab);
    lab.input(Input::HangUpAll);
    let bye = lab.expect(a.ua.at, "BYE");
    assert_eq!((bye.tag("From"), bye.tag("To")), (None, Some(tag_of(&a))));
    lab.send(a.ua.at, answer(&bye, 200, ""));
    let bye = lab.expect(b.ua.at, "BYE");
    assert_eq!((bye.tag("To"), bye.uri()), (None, "sip:200@203.0.113.10:5060"));
    lab.send(b.ua.at, answer(&bye, 200, "").set("To", bye.header("To")));
    lab.end();
}

#[test]
fn a_ringing_without_a_tag_and_an_answer_with_one_are_one_call() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let mut a = lab.call(&phone, "200", 4000);
    lab.expect(phone.at, "100");
    let invite = lab.expect(pbx.at, "INVITE");
    lab.send(pbx.at, bare(&pbx, &invite, 180));
    let got = lab.expect(phone.at, "180");
    assert!(got.contact().ends_with("@pbx.example.com"), "{got}");
    let b = Leg::called(&pbx, &invite, "b");
    lab.send(pbx.at, pbx.answer(&invite, 200, "b").sdp(pbx.sdp(6000)));
    a.learn(&lab.expect(phone.at, "200"));
    let ack = a.ack(&mut lab);
    lab.send(phone.at, ack);
    assert_eq!(lab.expect(pbx.at, "ACK").tag("To"), Some("b"));
    lab.hang_up(&mut a, &b);
    lab.end();
}

#[test]
fn a_phone_without_tags_is_hidden_outside() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let sealed = lab.register(&phone, 600);
    let invite = pbx.request_to(&mut lab, "INVITE", &sealed).sdp(pbx.sdp(6000));
    lab.send(pbx.at, invite.clone());
    let mut a = Leg::calling(&pbx, &invite);
    lab.expect(pbx.at, "100");
    let got = lab.expect(phone.at, "INVITE");
    let mut b = untagged(&phone, &got);
    lab.send(phone.at, bare(&phone, &got, 200).sdp(phone.sdp(4000)));
    let ok = lab.expect(pbx.at, "200");
    assert!(ok.contact().contains(&format!("@{}", site::GATE_OUTSIDE)), "{ok}");
    a.learn(&ok);
    let ack = a.ack(&mut lab);
    lab.send(pbx.at, ack);
    lab.expect(phone.at, "ACK");
    lab.hang_up(&mut b, &a);
    lab.end();
}

#[test]
fn a_caller_without_a_from_tag_is_reached() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let invite = phone.request(&mut lab, "INVITE", "200").set("From", "<sip:101@pbx.example.com>");
    let invite = invite.sdp(phone.sdp(4000));
    lab.send(phone.at, invite.clone());
    let mut a = Leg::calling(&phone, &invite);
    lab.expect(phone.at, "100");
    let got = lab.expect(pbx.at, "INVITE");
    let mut b = Leg::called(&pbx, &got, "b");
    lab.send(pbx.at, pbx.answer(&got, 200, "b").sdp(pbx.sdp(6000)));
    a.learn(&lab.expect(phone.at, "200"));
    let ack = a.ack(&mut lab);
    lab.send(phone.at, ack);
    lab.expect(pbx.at, "ACK");
    let info = b.request(&mut lab, "INFO");
    lab.send(pbx.at, info);
    let got = lab.expect(phone.at, "INFO");
    assert_eq!((got.tag("From"), got.tag("To")), (Some("b"), None));
    lab.send(phone.at, answer(&got, 200, "").set("To", got.header("To")));
    lab.expect(pbx.at, "200");
    lab.hang_up(&mut b, &a);
    lab.end();
}

#[test]
fn a_stranger_gains_nothing_by_leaving_the_tag_out() {
    let mut lab = Lab::edge();
    let (mut a, b) = establish(&mut lab);
    let mut forged = a.clone();
    forged.ua.at = lab.inside("10.17.0.66:5060");
    let bye = forged.request(&mut lab, "BYE");
    lab.send(forged.ua.at, bye);
    lab.expect(forged.ua.at, "403");
    assert_eq!(lab.engine.active_calls(), 1);
    lab.hang_up(&mut a, &b);
    lab.end();
}

#[test]
fn a_subscription_without_a_to_tag_is_notified() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let text =
        phone.request(&mut lab, "SUBSCRIBE", "200").with("Event", "dialog").with("Expires", "600");
    lab.send(phone.at, text.clone());
    let got = lab.expect(pbx.at, "SUBSCRIBE");
    let mut b = untagged(&pbx, &got);
    lab.send(pbx.at, bare(&pbx, &got, 200).with("Expires", "600"));
    let ok = lab.expect(phone.at, "200");
    assert!(ok.contact().ends_with("@pbx.example.com"), "{ok}");
    for state in ["active;expires=600", "terminated;reason=timeout"] {
        let notify =
            b.request(&mut lab, "NOTIFY").with("Event", "dialog").with("Subscription-State", state);
        lab.send(pbx.at, notify);
        let got = lab.expect(phone.at, "NOTIFY");
        lab.send(phone.at, answer(&got, 200, ""));
        lab.expect(pbx.at, "200");
    }
    assert_eq!(lab.stats().now.dialogs, 0);
    lab.end();
}
