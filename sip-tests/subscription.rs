//! SUBSCRIBE, NOTIFY, REFER and other requests that are no calls (RFC 6665, RFC 3515).

use crate::lab::message::param;
use crate::lab::script::answer;
use crate::lab::{Lab, Leg, Ua, s};

fn parties(lab: &Lab) -> (Ua, Ua) {
    (lab.phone("101", "10.17.0.21:5060"), lab.far("200"))
}

/// SUBSCRIBE from the phone as the PBX got it; both sides' legs.
fn subscribe(lab: &mut Lab, phone: &Ua, pbx: &Ua) -> (Leg, Leg, crate::lab::Msg) {
    let text =
        phone.request(lab, "SUBSCRIBE", "200").with("Event", "dialog").with("Expires", "600");
    lab.send(phone.at, text.clone());
    let got = lab.expect(pbx.at, "SUBSCRIBE");
    (Leg::calling(phone, &text), Leg::called(pbx, &got, "n"), got)
}

#[test]
fn a_subscription_is_made_notified_refreshed_and_ended() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let (mut a, mut b, got) = subscribe(&mut lab, &phone, &pbx);
    lab.send(pbx.at, pbx.answer(&got, 200, "n").with("Expires", "600"));
    let ok = lab.expect(phone.at, "200");
    a.learn(&ok);
    for state in ["active;expires=600", "active;expires=500", "terminated;reason=timeout"] {
        let notify =
            b.request(&mut lab, "NOTIFY").with("Event", "dialog").with("Subscription-State", state);
        lab.send(pbx.at, notify);
        let got = lab.expect(phone.at, "NOTIFY");
        assert_eq!(got.header("Subscription-State"), state);
        assert_eq!(got.call_id(), a.call_id);
        lab.send(phone.at, answer(&got, 200, ""));
        lab.expect(pbx.at, "200");
        if state.starts_with("active") {
            let again =
                a.request(&mut lab, "SUBSCRIBE").with("Event", "dialog").with("Expires", "600");
            lab.send(phone.at, again);
            let got = lab.expect(pbx.at, "SUBSCRIBE");
            lab.send(pbx.at, answer(&got, 200, "").with("Expires", "600"));
            lab.expect(phone.at, "200");
        }
    }
    assert_eq!(lab.stats().now.dialogs, 0, "the last NOTIFY ended it");
    lab.end();
}

#[test]
fn a_notify_that_overtakes_the_2xx_makes_the_dialog() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let (a, mut b, got) = subscribe(&mut lab, &phone, &pbx);
    let notify =
        b.request(&mut lab, "NOTIFY").with("Event", "dialog").with("Subscription-State", "active");
    lab.send(pbx.at, notify);
    let early = lab.expect(phone.at, "NOTIFY");
    assert_eq!(early.tag("To"), param(&a.local, "tag"));
    lab.send(phone.at, answer(&early, 200, ""));
    lab.expect(pbx.at, "200");
    lab.send(pbx.at, pbx.answer(&got, 200, "n").with("Expires", "600"));
    lab.expect(phone.at, "200");
    lab.end();
}

#[test]
fn a_subscription_that_nobody_refreshes_is_forgotten() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let (_, _, got) = subscribe(&mut lab, &phone, &pbx);
    lab.send(pbx.at, pbx.answer(&got, 200, "n").with("Expires", "600"));
    lab.expect(phone.at, "200");
    assert_eq!(lab.stats().now.dialogs, 1);
    lab.advance(s(700));
    assert_eq!(lab.stats().now.dialogs, 0);
    lab.end();
}

#[test]
fn a_refused_subscription_leaves_nothing() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let (_, _, got) = subscribe(&mut lab, &phone, &pbx);
    lab.send(pbx.at, answer(&got, 489, "n"));
    lab.expect(phone.at, "489");
    assert_eq!(lab.stats().now.dialogs, 0);
    assert_eq!(lab.engine.active_calls(), 0);
    lab.end();
}

#[test]
fn the_pbx_may_subscribe_to_a_phone() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let sealed = lab.register(&phone, 600);
    let text = pbx
        .request_to(&mut lab, "SUBSCRIBE", &sealed)
        .with("Event", "dialog")
        .with("Expires", "600");
    lab.send(pbx.at, text);
    let got = lab.expect(phone.at, "SUBSCRIBE");
    let mut b = Leg::called(&phone, &got, "p");
    lab.send(phone.at, phone.answer(&got, 200, "p").with("Expires", "600"));
    lab.expect(pbx.at, "200");
    let notify = b
        .request(&mut lab, "NOTIFY")
        .with("Event", "dialog")
        .with("Subscription-State", "active")
        .typed("application/dialog-info+xml", "<target uri=\"sip:101@10.17.0.21\"/>");
    lab.send(phone.at, notify);
    let got = lab.expect(pbx.at, "NOTIFY");
    assert!(!got.body.contains("10.17."), "{got}");
    lab.send(pbx.at, answer(&got, 200, ""));
    lab.expect(phone.at, "200");
    lab.end();
}

#[test]
fn a_notify_out_of_the_blue_is_not_let_in() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let sealed = lab.register(&phone, 600);
    let notify = pbx
        .request_to(&mut lab, "NOTIFY", &sealed)
        .set("To", "<sip:101@pbx.example.com>;tag=guessed")
        .with("Event", "dialog")
        .with("Subscription-State", "active");
    lab.send(pbx.at, notify);
    lab.expect(pbx.at, "481");
    lab.nothing_left();
    // Message waiting without a subscription has no To tag: policy decides, the phone answers.
    let notify = pbx
        .request_to(&mut lab, "NOTIFY", &sealed)
        .with("Event", "message-summary")
        .with("Subscription-State", "terminated")
        .typed("application/simple-message-summary", "Messages-Waiting: yes\r\n");
    lab.send(pbx.at, notify);
    let got = lab.expect(phone.at, "NOTIFY");
    assert!(got.body.contains("Messages-Waiting"));
    lab.send(phone.at, answer(&got, 200, "m"));
    lab.expect(pbx.at, "200");
    lab.end();
}

#[test]
fn a_blind_transfer_is_notified_in_the_call() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let (mut a, mut b) = lab.establish(&phone, &pbx);
    let refer = a.request(&mut lab, "REFER").with("Refer-To", "<sip:300@10.17.0.1>");
    lab.send(phone.at, refer);
    let got = lab.expect(pbx.at, "REFER");
    assert_eq!(got.header("Refer-To"), "<sip:300@pbx.example.com>");
    lab.send(pbx.at, pbx.answer(&got, 202, ""));
    lab.expect(phone.at, "202");
    let notify = b
        .request(&mut lab, "NOTIFY")
        .with("Event", "refer")
        .with("Subscription-State", "terminated;reason=noresource")
        .typed("message/sipfrag", "SIP/2.0 200 OK\r\n");
    lab.send(pbx.at, notify);
    let got = lab.expect(phone.at, "NOTIFY");
    assert_eq!(got.body, "SIP/2.0 200 OK\r\n");
    lab.send(phone.at, answer(&got, 200, ""));
    lab.expect(pbx.at, "200");
    assert_eq!(lab.engine.active_calls(), 1, "the call lives on");
    lab.hang_up(&mut a, &b);
    lab.end();
}

#[test]
fn publish_and_message_pass_without_a_dialog() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    for (method, kind) in [("MESSAGE", "text/plain"), ("PUBLISH", "application/pidf+xml")] {
        let text =
            phone.request(&mut lab, method, "200").with("Event", "presence").typed(kind, "<a/>");
        lab.send(phone.at, text);
        let got = lab.expect(pbx.at, method);
        lab.send(pbx.at, answer(&got, 200, "x").with("SIP-ETag", "e1"));
        assert_eq!(lab.expect(phone.at, "200").header("SIP-ETag"), "e1");
    }
    assert_eq!(lab.stats().now.dialogs, 0);
    lab.end();
}

/// A SUBSCRIBE that is not answered yet, as `notifier` got it, and a NOTIFY of it by `sender`.
fn notified_by(lab: &mut Lab, got: &crate::lab::Msg, sender: &Ua) {
    let mut leg = Leg::called(sender, got, "n");
    let notify = leg.request(lab, "NOTIFY").with("Event", "dialog");
    let notify = notify.with("Subscription-State", "active;expires=600");
    lab.send(sender.at, notify);
}

#[test]
fn of_a_phone_that_was_asked_no_other_phone_notifies() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let sealed = lab.register(&phone, 600);
    let thief = lab.phone("102", "10.17.0.22:5060");
    lab.register(&thief, 600);
    let text = pbx.request_to(&mut lab, "SUBSCRIBE", &sealed).with("Event", "dialog");
    lab.send(pbx.at, text);
    let got = lab.expect(phone.at, "SUBSCRIBE");
    for from in ["10.17.0.22:5060", "10.17.0.1:5080", "10.17.0.1:5060"] {
        let thief = Ua::new(lab.inside(from), "102");
        notified_by(&mut lab, &got, &thief);
        lab.expect(thief.at, "403");
        lab.nothing_left();
    }
    notified_by(&mut lab, &got, &phone);
    let early = lab.expect(pbx.at, "NOTIFY");
    lab.send(pbx.at, answer(&early, 200, ""));
    lab.expect(phone.at, "200");
    // The refresh goes to the phone that was asked.
    lab.send(phone.at, phone.answer(&got, 200, "n").with("Expires", "600"));
    lab.expect(pbx.at, "200");
    lab.end();
}

#[test]
fn at_our_own_registrar_only_the_phones_that_were_asked_notify() {
    let mut lab = Lab::site();
    let watcher = lab.local_phone("101", "10.17.0.21:5060");
    lab.advance(s(2));
    let desk = lab.local_phone("102", "10.17.0.22:5060");
    lab.advance(s(2));
    let soft = lab.local_phone("102", "10.17.0.23:5060");
    lab.advance(s(2));
    let thief = lab.local_phone("103", "10.17.0.24:5060");
    let text = watcher
        .request_to(&mut lab, "SUBSCRIBE", "sip:102@10.17.0.1")
        .set("From", "<sip:101@10.17.0.1>;tag=q")
        .with("Event", "dialog")
        .with("Expires", "600");
    lab.send(watcher.at, text);
    let (one, two) = (lab.expect(desk.at, "SUBSCRIBE"), lab.expect(soft.at, "SUBSCRIBE"));
    notified_by(&mut lab, &one, &thief);
    lab.expect(thief.at, "403");
    lab.nothing_left();
    for (phone, got) in [(&soft, &two), (&desk, &one)] {
        let mut leg = Leg::called(phone, got, &format!("n{}", phone.ip()));
        let notify = leg.request(&mut lab, "NOTIFY").with("Event", "dialog");
        lab.send(phone.at, notify.with("Subscription-State", "active;expires=600"));
        let early = lab.expect(watcher.at, "NOTIFY");
        lab.send(watcher.at, answer(&early, 200, ""));
        lab.expect(phone.at, "200");
    }
    lab.clear();
}

#[test]
fn of_a_refer_that_is_not_answered_only_who_was_asked_notifies() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let text =
        phone.request(&mut lab, "REFER", "200").with("Refer-To", "<sip:300@pbx.example.com>");
    lab.send(phone.at, text);
    let got = lab.expect(pbx.at, "REFER");
    let ours = Ua::new(lab.outside("203.0.113.1:40000"), "200");
    notified_by(&mut lab, &got, &ours);
    assert!(lab.take(phone.at).is_empty(), "a program of our own host was not asked");
    lab.clear();
    notified_by(&mut lab, &got, &pbx);
    lab.expect(phone.at, "NOTIFY");
    lab.clear();
}
