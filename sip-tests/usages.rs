//! Usages of one dialog end apart (RFC 5057): a REFER's or SUBSCRIBE's subscription lives on after
//! BYE until its last NOTIFY or its expiry (RFC 3515 §2.4.4, RFC 6665 §4.4.1).

use crate::lab::{Lab, Leg, Ua, s};

fn parties(lab: &Lab) -> (Ua, Ua) {
    (lab.phone("101", "10.17.0.21:5060"), lab.far("200"))
}

/// A request within the dialog, answered with this status by the other side.
#[track_caller]
fn ask(lab: &mut Lab, from: &mut Leg, to: &Leg, text: (&str, &[(&str, &str)]), status: u16) {
    let (method, rows) = text;
    let mut request = from.request(lab, method);
    for (name, value) in rows {
        request = request.with(name, *value);
    }
    lab.send(from.ua.at, request);
    let got = lab.expect(to.ua.at, method);
    let mut reply = to.ua.answer(&got, status, "");
    if let Some((_, expires)) = rows.iter().find(|(name, _)| *name == "Expires") {
        reply = reply.with("Expires", *expires);
    }
    lab.send(to.ua.at, reply);
    lab.expect(from.ua.at, &status.to_string());
}

const REFER: (&str, &[(&str, &str)]) = ("REFER", &[("Refer-To", "<sip:300@pbx.example.com>")]);

/// NOTIFY of a usage in this state, answered 200.
#[track_caller]
fn notify(lab: &mut Lab, from: &mut Leg, to: &Leg, event: &str, state: &str) {
    let rows = [("Event", event), ("Subscription-State", state)];
    ask(lab, from, to, ("NOTIFY", &rows), 200);
}

/// A NOTIFY that belongs to nothing any more.
#[track_caller]
fn stray(lab: &mut Lab, from: &mut Leg, event: &str) {
    let request = from
        .request(lab, "NOTIFY")
        .with("Event", event)
        .with("Subscription-State", "active;expires=60");
    lab.send(from.ua.at, request);
    lab.expect(from.ua.at, "481");
    lab.nothing_left();
}

#[test]
fn a_transfer_is_notified_after_bye_until_it_is_over() {
    for callee_hangs_up in [false, true] {
        let mut lab = Lab::edge();
        let (phone, pbx) = parties(&lab);
        let (mut a, mut b) = lab.establish(&phone, &pbx);
        ask(&mut lab, &mut a, &b, REFER, 202);
        notify(&mut lab, &mut b, &a, "refer", "active;expires=60");
        if callee_hangs_up {
            lab.hang_up(&mut b, &a)
        } else {
            lab.hang_up(&mut a, &b)
        }
        assert_eq!(lab.engine.active_calls(), 0, "the call is over");
        assert_eq!(
            (lab.ends().len(), lab.relay.open.len()),
            (1, 0),
            "its record and its ports too"
        );
        notify(&mut lab, &mut b, &a, "refer", "active;expires=50");
        notify(&mut lab, &mut b, &a, "refer", "terminated;reason=noresource");
        assert_eq!(lab.stats().now.dialogs, 0);
        stray(&mut lab, &mut b, "refer");
        assert_eq!(lab.ends().len(), 1, "one end");
        lab.end();
    }
}

#[test]
fn the_first_notify_may_come_after_bye() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let (mut a, mut b) = lab.establish(&phone, &pbx);
    ask(&mut lab, &mut a, &b, REFER, 202);
    lab.hang_up(&mut a, &b);
    notify(&mut lab, &mut b, &a, "refer", "terminated;reason=noresource");
    assert_eq!(lab.stats().now.dialogs, 0);
    lab.end();
}

#[test]
fn a_bye_may_overtake_the_answer_to_the_refer() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let (mut a, mut b) = lab.establish(&phone, &pbx);
    let refer = a.request(&mut lab, "REFER").with("Refer-To", "<sip:300@pbx.example.com>");
    lab.send(phone.at, refer);
    let got = lab.expect(pbx.at, "REFER");
    lab.hang_up(&mut b, &a);
    lab.send(pbx.at, pbx.answer(&got, 202, ""));
    lab.expect(phone.at, "202");
    notify(&mut lab, &mut b, &a, "refer", "terminated;reason=noresource");
    assert_eq!(lab.stats().now.dialogs, 0);
    lab.end();
}

#[test]
fn a_phone_that_was_asked_to_transfer_notifies_outwards() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let (mut a, mut b) = lab.establish(&phone, &pbx);
    ask(&mut lab, &mut b, &a, REFER, 202);
    lab.hang_up(&mut b, &a);
    notify(&mut lab, &mut a, &b, "refer", "active;expires=60");
    notify(&mut lab, &mut a, &b, "refer", "terminated;reason=noresource");
    assert_eq!(lab.stats().now.dialogs, 0);
    lab.end();
}

#[test]
fn a_subscription_made_within_a_call_outlives_it() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let (mut a, mut b) = lab.establish(&phone, &pbx);
    let subscribe = |expires| ("SUBSCRIBE", [("Event", "conference"), ("Expires", expires)]);
    let (method, rows) = subscribe("600");
    ask(&mut lab, &mut a, &b, (method, &rows), 200);
    notify(&mut lab, &mut b, &a, "conference", "active;expires=600");
    lab.hang_up(&mut a, &b);
    lab.advance(s(500));
    ask(&mut lab, &mut a, &b, (method, &rows), 200);
    notify(&mut lab, &mut b, &a, "conference", "active;expires=600");
    lab.advance(s(500));
    let (method, rows) = subscribe("0");
    ask(&mut lab, &mut a, &b, (method, &rows), 200);
    notify(&mut lab, &mut b, &a, "conference", "terminated;reason=timeout");
    assert_eq!(lab.stats().now.dialogs, 0);
    stray(&mut lab, &mut b, "conference");
    lab.end();
}

#[test]
fn each_usage_ends_by_itself() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let (mut a, mut b) = lab.establish(&phone, &pbx);
    ask(&mut lab, &mut a, &b, REFER, 202);
    let first = format!("refer;id={}", a.cseq);
    ask(&mut lab, &mut a, &b, REFER, 202);
    let second = format!("refer;id={}", a.cseq);
    lab.hang_up(&mut a, &b);
    notify(&mut lab, &mut b, &a, &first, "terminated;reason=noresource");
    assert_eq!(lab.stats().now.dialogs, 1, "the other transfer is not over");
    notify(&mut lab, &mut b, &a, &second, "active;expires=60");
    notify(&mut lab, &mut b, &a, &second, "terminated;reason=noresource");
    assert_eq!(lab.stats().now.dialogs, 0);
    lab.end();
}

#[test]
fn a_call_lives_on_when_its_subscriptions_end() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let (mut a, mut b) = lab.establish(&phone, &pbx);
    ask(&mut lab, &mut a, &b, REFER, 202);
    notify(&mut lab, &mut b, &a, "refer", "terminated;reason=noresource");
    lab.advance(s(4000));
    assert_eq!(lab.engine.active_calls(), 1);
    ask(&mut lab, &mut a, &b, ("INFO", &[]), 200);
    lab.hang_up(&mut a, &b);
    assert_eq!(lab.stats().now.dialogs, 0, "nothing is kept of it");
    lab.end();
}

#[test]
fn a_call_outlives_the_subscriptions_made_within_it() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let (mut a, b) = lab.establish(&phone, &pbx);
    let rows = [("Event", "conference"), ("Expires", "60")];
    ask(&mut lab, &mut a, &b, ("SUBSCRIBE", &rows), 200);
    lab.advance(s(4000));
    assert_eq!((lab.engine.active_calls(), lab.stats().now.dialogs), (1, 1));
    lab.hang_up(&mut a, &b);
    assert_eq!(lab.ends().len(), 1);
    assert_eq!(lab.stats().now.dialogs, 0, "what expired is not kept");
    lab.end();
}

#[test]
fn two_events_of_one_subscription_dialog_end_apart() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let text =
        phone.request(&mut lab, "SUBSCRIBE", "200").with("Event", "dialog").with("Expires", "600");
    lab.send(phone.at, text.clone());
    let got = lab.expect(pbx.at, "SUBSCRIBE");
    let (mut a, mut b) = (Leg::calling(&phone, &text), Leg::called(&pbx, &got, "n"));
    lab.send(pbx.at, pbx.answer(&got, 200, "n").with("Expires", "600"));
    a.learn(&lab.expect(phone.at, "200"));
    notify(&mut lab, &mut b, &a, "dialog", "active;expires=600");
    let rows = [("Event", "presence"), ("Expires", "600")];
    ask(&mut lab, &mut a, &b, ("SUBSCRIBE", &rows), 200);
    notify(&mut lab, &mut b, &a, "presence", "active;expires=600");
    notify(&mut lab, &mut b, &a, "dialog", "terminated;reason=timeout");
    assert_eq!(lab.stats().now.dialogs, 1);
    notify(&mut lab, &mut b, &a, "presence", "terminated;reason=timeout");
    assert_eq!(lab.stats().now.dialogs, 0);
    lab.end();
}

#[test]
fn what_is_refused_or_declined_makes_no_usage() {
    for (rows, status) in [
        (&[("Refer-To", "<sip:300@pbx.example.com>")][..], 603),
        (&[("Refer-To", "<sip:300@pbx.example.com>"), ("Refer-Sub", "false")][..], 200),
    ] {
        let mut lab = Lab::edge();
        let (phone, pbx) = parties(&lab);
        let (mut a, mut b) = lab.establish(&phone, &pbx);
        let mut request = a.request(&mut lab, "REFER");
        for (name, value) in rows {
            request = request.with(name, *value);
        }
        lab.send(phone.at, request);
        let got = lab.expect(pbx.at, "REFER");
        let mut reply = pbx.answer(&got, status, "");
        // RFC 4488 §3: the answer says whether there is a subscription.
        if rows.len() > 1 {
            reply = reply.with("Refer-Sub", "false");
        }
        lab.send(pbx.at, reply);
        lab.expect(phone.at, &status.to_string());
        lab.hang_up(&mut a, &b);
        assert_eq!(lab.stats().now.dialogs, 0);
        stray(&mut lab, &mut b, "refer");
        lab.end();
    }
}

#[test]
fn a_notify_that_is_answered_481_ends_its_usage() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let (mut a, mut b) = lab.establish(&phone, &pbx);
    ask(&mut lab, &mut a, &b, REFER, 202);
    lab.hang_up(&mut a, &b);
    let rows = [("Event", "refer"), ("Subscription-State", "active;expires=60")];
    ask(&mut lab, &mut b, &a, ("NOTIFY", &rows), 481);
    assert_eq!(lab.stats().now.dialogs, 0);
    stray(&mut lab, &mut b, "refer");
    lab.end();
}

#[test]
fn a_usage_nobody_speaks_of_is_forgotten_in_bounded_time() {
    // No NOTIFY at all; one without an expiry; one with an absurd one.
    for (state, life) in
        [(None, 200), (Some("active"), 3_700), (Some("active;expires=99999999"), 86_600)]
    {
        let mut lab = Lab::edge();
        let (phone, pbx) = parties(&lab);
        let (mut a, mut b) = lab.establish(&phone, &pbx);
        ask(&mut lab, &mut a, &b, REFER, 202);
        lab.hang_up(&mut a, &b);
        if let Some(state) = state {
            notify(&mut lab, &mut b, &a, "refer", state);
        }
        assert_eq!(lab.stats().now.dialogs, 1, "{state:?}");
        lab.advance(s(life));
        assert_eq!(lab.stats().now.dialogs, 0, "{state:?}");
        stray(&mut lab, &mut b, "refer");
        lab.end();
    }
}

#[test]
fn what_is_left_of_a_call_is_no_call() {
    let mut lab = Lab::edge_with(|c| {
        c.limits.calls = 1;
        c.limits.calls_per_user = 1;
    });
    let (phone, pbx) = parties(&lab);
    lab.register(&phone, 6000);
    let (mut a, mut b) = lab.establish(&phone, &pbx);
    ask(&mut lab, &mut a, &b, REFER, 202);
    lab.hang_up(&mut a, &b);
    let (mut c, d) = lab.establish(&phone, &pbx);
    // No re-INVITE, no INFO brings it back; a second BYE belongs to nothing.
    for method in ["INVITE", "INFO", "BYE", "UPDATE"] {
        let request = a.request(&mut lab, method);
        lab.send(phone.at, request);
        lab.expect(phone.at, "481");
        lab.nothing_left();
    }
    notify(&mut lab, &mut b, &a, "refer", "terminated;reason=noresource");
    lab.hang_up(&mut c, &d);
    assert_eq!(lab.stats().now.dialogs, 0);
    lab.end();
}

#[test]
fn no_party_can_keep_usages_without_bound() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let (mut a, mut b) = lab.establish(&phone, &pbx);
    for _ in 0..100 {
        ask(&mut lab, &mut a, &b, REFER, 202);
    }
    lab.hang_up(&mut a, &b);
    assert_eq!(lab.stats().now.dialogs, 1);
    // Those that were kept are at most 16; when they have ended, so has the dialog.
    for id in (a.cseq - 99..a.cseq).rev().take(16) {
        if lab.stats().now.dialogs == 1 {
            let event = format!("refer;id={id}");
            notify(&mut lab, &mut b, &a, &event, "terminated;reason=noresource");
        }
    }
    assert_eq!(lab.stats().now.dialogs, 0);
    lab.end();
}

#[test]
fn a_notify_that_makes_the_dialog_makes_its_route() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let text =
        phone.request(&mut lab, "SUBSCRIBE", "200").with("Event", "dialog").with("Expires", "600");
    lab.send(phone.at, text.clone());
    let got = lab.expect(pbx.at, "SUBSCRIBE");
    let (mut a, mut b) = (Leg::calling(&phone, &text), Leg::called(&pbx, &got, "n"));
    // Its NOTIFY overtakes the 2xx, by way of a proxy that stays in the path (RFC 6665 §4.4.1).
    let notify = b
        .request(&mut lab, "NOTIFY")
        .with("Record-Route", "<sip:203.0.113.10:5080;lr>")
        .with("Event", "dialog")
        .with("Subscription-State", "active;expires=600");
    lab.send(pbx.at, notify);
    let early = lab.expect(phone.at, "NOTIFY");
    assert_eq!(early.list("Record-Route").len(), 1, "ours alone\n{early}");
    lab.send(phone.at, phone.answer(&early, 200, ""));
    lab.expect(pbx.at, "200");
    a.remote = early.header("From").to_owned();
    a.target = early.contact().to_owned();
    a.routes = early.list("Record-Route");
    let again = a.request(&mut lab, "SUBSCRIBE").with("Event", "dialog").with("Expires", "600");
    lab.send(phone.at, again);
    let proxy = lab.outside("203.0.113.10:5080");
    let again = lab.expect(proxy, "SUBSCRIBE");
    assert_eq!(again.list("Route"), ["<sip:203.0.113.10:5080;lr>"]);
    lab.send(proxy, pbx.answer(&again, 200, "").with("Expires", "600"));
    lab.expect(phone.at, "200");
    lab.clear();
    lab.end();
}
