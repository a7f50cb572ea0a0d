//! Record-Route within dialogs (RFC 3261 §16.6 step 4): requests and answers carry ours both ways,
//! for phones that build an ACK's route from the answer before it. The route set never changes.

use crate::lab::message::uri_of;
use crate::lab::script::{Text, answer};
use crate::lab::{Lab, Leg, Msg, Ua, Version, s, site};

fn parties(lab: &Lab) -> (Ua, Ua) {
    (lab.phone("101", "10.17.0.21:5060"), lab.far("200"))
}

/// One Record-Route of ours on top, at this address, loose; what stands below it.
#[track_caller]
fn ours_on_top(msg: &Msg, gate: &str) -> Vec<String> {
    let mut rows = msg.list("Record-Route");
    assert!(!rows.is_empty(), "no Record-Route in\n{msg}");
    let first = rows.remove(0);
    let uri = uri_of(&first);
    assert!(uri.contains(&format!("@{gate}:5060")) && uri.ends_with(";lr"), "{msg}");
    rows
}

/// What a party adds to a request so that it is a sensible one.
fn dressed(text: Text, ua: &Ua, method: &str) -> Text {
    match method {
        "INVITE" => text.sdp(ua.sdp(if ua.at.addr().ip().to_string() == "10.17.0.21" {
            4000
        } else {
            6000
        })),
        "REFER" => text.with("Refer-To", "<sip:300@pbx.example.com>"),
        "SUBSCRIBE" => text.with("Event", "dialog").with("Expires", "600"),
        "NOTIFY" => text.with("Event", "talk").with("Subscription-State", "active"),
        _ => text,
    }
}

/// One request within the dialog and its 200: as the far party got the one, the near the other.
#[track_caller]
fn exchange(lab: &mut Lab, from: &mut Leg, to: &Leg, method: &str) -> (Msg, Msg) {
    let request = from.request(lab, method);
    let request = dressed(request, &from.ua, method);
    lab.send(from.ua.at, request);
    if method == "INVITE" {
        lab.expect(from.ua.at, "100");
    }
    let got = lab.expect(to.ua.at, method);
    let mut ok = to.ua.answer(&got, 200, "");
    if method == "INVITE" {
        let port = if to.ua.at.addr().port() == 5060 && to.ua.user == "101" { 4000 } else { 6000 };
        ok = ok.sdp(to.ua.sdp(port));
    }
    lab.send(to.ua.at, ok);
    let ok = lab.expect(from.ua.at, "200");
    (got, ok)
}

#[test]
fn requests_within_a_dialog_and_their_answers_name_our_route_both_ways() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (phone, pbx) = parties(&lab);
        let (mut a, mut b) = lab.establish(&phone, &pbx);
        let methods =
            ["INFO", "UPDATE", "REFER", "NOTIFY", "SUBSCRIBE", "MESSAGE", "OPTIONS", "INVITE"];
        for method in methods {
            let (got, ok) = exchange(&mut lab, &mut a, &b, method);
            assert_eq!(ours_on_top(&got, site::GATE_OUTSIDE), [] as [String; 0], "{got}");
            assert_eq!(ours_on_top(&ok, site::GATE_INSIDE), [] as [String; 0], "{ok}");
            if method == "INVITE" {
                let ack = a.ack(&mut lab);
                lab.send(phone.at, ack);
                let ack = lab.expect(pbx.at, "ACK");
                assert!(!ack.has("Record-Route"), "an ACK makes no route\n{ack}");
            }
            let (got, ok) = exchange(&mut lab, &mut b, &a, method);
            assert_eq!(ours_on_top(&got, site::GATE_INSIDE), [] as [String; 0], "{got}");
            assert_eq!(ours_on_top(&ok, site::GATE_OUTSIDE), [] as [String; 0], "{ok}");
            if method == "INVITE" {
                let ack = b.ack(&mut lab);
                lab.send(pbx.at, ack);
                lab.expect(phone.at, "ACK");
            }
        }
        lab.hang_up(&mut a, &b);
        lab.end();
    }
}

#[test]
fn a_phone_that_builds_its_acks_route_from_that_answer_is_heard() {
    for version in Version::ALL {
        for caller_refreshes in [true, false] {
            let mut lab = Lab::of(version, site::EDGE, |_| {});
            let (phone, pbx) = parties(&lab);
            let (mut a, mut b) = lab.establish(&phone, &pbx);
            let (near, far) = if caller_refreshes { (&mut a, &b) } else { (&mut b, &a) };
            let (_, ok) = exchange(&mut lab, near, far, "INVITE");
            let mut rebuilt = near.clone();
            rebuilt.learn(&ok);
            assert_eq!(rebuilt.routes.len(), 1, "no Record-Route in\n{ok}");
            let ack = rebuilt.ack(&mut lab);
            lab.send(near.ua.at, ack);
            lab.expect(far.ua.at, "ACK");
            // Its later requests go the same way.
            let (got, _) = exchange(&mut lab, &mut rebuilt, far, "INFO");
            assert_eq!(uri_of(&format!("<{}>", got.uri())), uri_of(&far.ua.contact()));
            lab.hang_up(&mut rebuilt, &far.clone());
            lab.end();
        }
    }
}

#[test]
fn a_refusal_and_an_ack_carry_none() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (phone, pbx) = parties(&lab);
        let (mut a, b) = lab.establish(&phone, &pbx);
        let invite = a.request(&mut lab, "INVITE").sdp(phone.sdp(4000));
        lab.send(phone.at, invite);
        lab.expect(phone.at, "100");
        let got = lab.expect(pbx.at, "INVITE");
        lab.send(pbx.at, answer(&got, 488, ""));
        lab.expect(pbx.at, "ACK");
        let no = lab.expect(phone.at, "488");
        assert!(!no.has("Record-Route"), "{no}");
        lab.send(phone.at, a.ack_refusal(&no));
        lab.hang_up(&mut a, &b);
        lab.end();
    }
}

/// A call through a proxy of the PBX's at 203.0.113.10:5080 that stays in the path.
fn through_a_proxy(lab: &mut Lab, phone: &Ua, pbx: &Ua) -> (Leg, Leg) {
    let mut a = lab.call(phone, "200", 4000);
    lab.expect(phone.at, "100");
    let invite = lab.expect(pbx.at, "INVITE");
    let b = Leg::called(pbx, &invite, "b");
    let ok = pbx.answer(&invite, 200, "b").sdp(pbx.sdp(6000));
    let mut rows = vec![("Record-Route".to_owned(), "<sip:203.0.113.10:5080;lr>".to_owned())];
    rows.extend(ok.rows.clone());
    lab.send(pbx.at, Text { rows, ..ok });
    let ok = lab.expect(phone.at, "200");
    assert_eq!(ours_on_top(&ok, site::GATE_INSIDE), [] as [String; 0], "theirs is not shown");
    a.learn(&ok);
    let ack = a.ack(lab);
    lab.send(phone.at, ack);
    let proxy = lab.outside("203.0.113.10:5080");
    lab.expect(proxy, "ACK");
    (a, b)
}

#[test]
fn an_answer_within_the_dialog_changes_no_route_set() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (phone, pbx) = parties(&lab);
        let (mut a, _) = through_a_proxy(&mut lab, &phone, &pbx);
        let proxy = lab.outside("203.0.113.10:5080");
        let invite = a.request(&mut lab, "INVITE").sdp(phone.sdp(4000));
        lab.send(phone.at, invite);
        lab.expect(phone.at, "100");
        let got = lab.expect(proxy, "INVITE");
        assert_eq!(got.list("Route"), ["<sip:203.0.113.10:5080;lr>"]);
        ours_on_top(&got, site::GATE_OUTSIDE);
        // An answer that names another way: the route set stays as it was made (§12.2.1.2).
        let mut ok = pbx.answer(&got, 200, "").sdp(pbx.sdp(6000));
        ok.rows.insert(0, ("Record-Route".to_owned(), "<sip:203.0.113.99;lr>".to_owned()));
        lab.send(proxy, ok);
        let ok = lab.expect(phone.at, "200");
        assert_eq!(ours_on_top(&ok, site::GATE_INSIDE), [] as [String; 0], "{ok}");
        let ack = a.ack(&mut lab);
        lab.send(phone.at, ack);
        assert_eq!(lab.expect(proxy, "ACK").list("Route"), ["<sip:203.0.113.10:5080;lr>"]);
        let bye = a.request(&mut lab, "BYE");
        lab.send(phone.at, bye);
        let bye = lab.expect(proxy, "BYE");
        assert_eq!(bye.list("Route"), ["<sip:203.0.113.10:5080;lr>"]);
        lab.send(proxy, answer(&bye, 200, ""));
        lab.expect(phone.at, "200");
        lab.end();
    }
}

#[test]
fn the_requesters_own_proxies_come_back_below_ours() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (phone, pbx) = parties(&lab);
        let (mut a, b) = lab.establish(&phone, &pbx);
        let update = a.request(&mut lab, "UPDATE").with("Record-Route", "<sip:10.17.0.5;lr>");
        lab.send(phone.at, update);
        let got = lab.expect(pbx.at, "UPDATE");
        assert_eq!(ours_on_top(&got, site::GATE_OUTSIDE), [] as [String; 0], "hidden outside");
        lab.send(pbx.at, pbx.answer(&got, 200, ""));
        let ok = lab.expect(phone.at, "200");
        assert_eq!(ours_on_top(&ok, site::GATE_INSIDE), ["<sip:10.17.0.5;lr>"]);
        lab.hang_up(&mut a, &b);
        lab.end();
    }
}

#[test]
fn a_subscription_and_its_notifies_name_our_route() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (phone, pbx) = parties(&lab);
        let text = phone
            .request(&mut lab, "SUBSCRIBE", "200")
            .with("Event", "dialog")
            .with("Expires", "600");
        lab.send(phone.at, text.clone());
        let got = lab.expect(pbx.at, "SUBSCRIBE");
        let (mut a, mut b) = (Leg::calling(&phone, &text), Leg::called(&pbx, &got, "n"));
        lab.send(pbx.at, pbx.answer(&got, 200, "n").with("Expires", "600"));
        a.learn(&lab.expect(phone.at, "200"));
        let (got, ok) = exchange(&mut lab, &mut b, &a, "NOTIFY");
        ours_on_top(&got, site::GATE_INSIDE);
        ours_on_top(&ok, site::GATE_OUTSIDE);
        let (got, ok) = exchange(&mut lab, &mut a, &b, "SUBSCRIBE");
        ours_on_top(&got, site::GATE_OUTSIDE);
        ours_on_top(&ok, site::GATE_INSIDE);
        lab.advance(s(4000));
        assert_eq!(lab.stats().now.dialogs, 0);
        lab.end();
    }
}

#[test]
fn provisional_answers_to_a_reinvite_name_our_route_too() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (phone, pbx) = parties(&lab);
        let (mut a, mut b) = lab.establish(&phone, &pbx);
        let invite = b.request(&mut lab, "INVITE").sdp(pbx.sdp(6000));
        lab.send(pbx.at, invite);
        lab.expect(pbx.at, "100");
        let got = lab.expect(phone.at, "INVITE");
        lab.send(phone.at, phone.answer(&got, 180, ""));
        let ringing = lab.expect(pbx.at, "180");
        ours_on_top(&ringing, site::GATE_OUTSIDE);
        lab.send(phone.at, phone.answer(&got, 200, "").sdp(phone.sdp(4000)));
        let ok = lab.expect(pbx.at, "200");
        assert_eq!(ok.list("Record-Route"), ringing.list("Record-Route"));
        let ack = b.ack(&mut lab);
        lab.send(pbx.at, ack);
        lab.expect(phone.at, "ACK");
        lab.hang_up(&mut a, &b);
        lab.end();
    }
}
