//! Dialogs that are up when the site is alone: who ends one has ended it, and nothing else does.

use super::{answers, count, phones, pull, surviving};
use crate::lab::script::{answer, sdp_with};
use crate::lab::{Lab, Leg, Msg, Ua, s};
use crate::media_loops::{Spiral, spiral};
use portreeve::engine::stats::AloneResult;
use std::time::Duration;

/// A call of a phone to the outside, whose PBX is gone.
fn cut_off() -> (Lab, Ua, Leg) {
    let mut lab = surviving("");
    let (a, _) = phones(&mut lab);
    let far = lab.far("0301234567");
    let (out, _) = lab.establish(&a, &far);
    pull(&mut lab, &a);
    (lab, a, out)
}

/// What the phone is told at once.
#[track_caller]
fn told(lab: &mut Lab, ua: &Ua) -> Msg {
    let told = lab.take(ua.at).pop().expect("an answer at once");
    assert!(lab.take(lab.pbx()).iter().all(|m| m.method() == "OPTIONS"), "nothing goes there");
    told
}

#[test]
fn what_changes_a_call_of_the_dead_outside_is_refused_for_now() {
    let (mut lab, a, mut out) = cut_off();
    let open = lab.relay.open.len();
    for method in ["INVITE", "UPDATE", "INFO", "REFER", "NOTIFY", "SUBSCRIBE", "MESSAGE", "OPTIONS"]
    {
        let mut asked = out.request(&mut lab, method);
        if matches!(method, "INVITE" | "UPDATE") {
            asked = asked.sdp(sdp_with("10.17.0.21", 4000, "a=sendonly\r\n"));
        }
        if method == "REFER" {
            asked = asked.with("Refer-To", "<sip:102@pbx.example.com>");
        }
        if matches!(method, "NOTIFY" | "SUBSCRIBE") {
            asked = asked.with("Event", "talk").with("Subscription-State", "active");
        }
        lab.send(a.at, asked.clone());
        let told = told(&mut lab, &a);
        assert_eq!(told.status(), 503, "{method}");
        assert_eq!(told.header("Retry-After"), "30");
        if method == "INVITE" {
            lab.send(a.at, out.ack_refusal(&told));
        }
    }
    assert_eq!(count(&lab, AloneResult::Refused), 8 + 1);
    // It goes on, and ends as ever where the PBX is back.
    assert_eq!(lab.relay.open.len(), open);
    answers(&mut lab, 12);
    assert!(lab.upstream("pbx").alone.is_none());
    let info = out.request(&mut lab, "INFO");
    lab.send(a.at, info);
    let got = lab.expect(lab.pbx(), "INFO");
    lab.send(lab.pbx(), answer(&got, 200, ""));
    lab.expect(a.at, "200");
    let bye = out.request(&mut lab, "BYE");
    lab.send(a.at, bye);
    let got = lab.expect(lab.pbx(), "BYE");
    lab.send(lab.pbx(), answer(&got, 200, ""));
    lab.expect(a.at, "200");
    lab.take_all();
    lab.end();
}

#[test]
fn who_hangs_up_has_and_the_dead_outside_is_told_for_as_long_as_anybody_waits() {
    let (mut lab, a, mut out) = cut_off();
    let bye = out.request(&mut lab, "BYE");
    lab.send(a.at, bye.clone());
    assert_eq!(lab.take(a.at).pop().map(|m| m.status()), Some(200));
    assert_eq!(lab.engine.active_calls(), 0);
    assert!(lab.relay.open.is_empty(), "its ports are free");
    let ends = lab.records.iter().filter(|r| matches!(r, portreeve::audit::Record::CallEnd(_)));
    assert_eq!(ends.count(), 1);
    // Said again, it is answered again.
    lab.send(a.at, bye);
    assert_eq!(lab.take(a.at).pop().map(|m| m.status()), Some(200));
    let mut heard = Vec::new();
    for _ in 0..40 {
        let all = lab.take(lab.pbx());
        heard.push(all.iter().filter(|m| m.method() == "BYE").count());
        lab.advance(s(1));
    }
    assert!(heard.iter().sum::<usize>() >= 8, "{heard:?}");
    assert!(heard[26..32].iter().sum::<usize>() >= 1, "until the end: {heard:?}");
    assert_eq!(heard[34..].iter().sum::<usize>(), 0, "{heard:?}");
    assert!(lab.take(a.at).is_empty());
    lab.end();
}

#[test]
fn what_waits_in_a_dialog_when_the_outside_goes_is_answered_then() {
    let mut lab = surviving("");
    let (a, b) = phones(&mut lab);
    let far = lab.far("0301234567");
    let ((mut one, _), (mut two, _)) = (lab.establish(&a, &far), lab.establish(&b, &far));
    let (hold, bye) = (one.request(&mut lab, "INVITE"), two.request(&mut lab, "BYE"));
    lab.send(a.at, hold.sdp(sdp_with("10.17.0.21", 4000, "a=sendonly\r\n")));
    lab.send(b.at, bye);
    lab.expect(a.at, "100");
    lab.advance(s(3));
    let told = lab.take(a.at).pop().expect("an answer");
    assert_eq!((told.status(), told.header("Retry-After")), (503, "30"));
    lab.send(a.at, one.ack_refusal(&told));
    assert_eq!(lab.take(b.at).pop().map(|m| m.status()), Some(200));
    assert_eq!(lab.engine.active_calls(), 1);
    // What it said before it went is no answer yet.
    lab.clear();
    answers(&mut lab, 12);
    let hold = one.request(&mut lab, "INVITE");
    lab.send(a.at, hold.sdp(sdp_with("10.17.0.21", 4000, "a=sendonly\r\n")));
    let got = lab.expect(lab.pbx(), "INVITE");
    lab.send(lab.pbx(), answer(&got, 100, ""));
    lab.take_all();
    pull(&mut lab, &b);
    lab.send(a.at, one.invite.clone());
    let told = lab.take(a.at).pop().expect("an answer");
    assert_eq!(told.status(), 503);
    lab.send(a.at, one.ack_refusal(&told));
    let sent = lab.take(lab.pbx());
    assert!(sent.iter().all(|m| m.method() != "INVITE"), "not sent again");
    let bye = one.request(&mut lab, "BYE");
    lab.send(a.at, bye);
    lab.take_all();
    lab.advance(s(40));
    lab.take_all();
    lab.end();
}

#[test]
fn who_gives_up_a_call_that_rang_outside_hears_so_at_once() {
    let mut lab = surviving("");
    let (a, b) = phones(&mut lab);
    let call = lab.call(&a, "0301234567", 4000);
    let rung = lab.expect(lab.pbx(), "INVITE");
    lab.send(lab.pbx(), lab.far("0301234567").answer(&rung, 180, "t"));
    lab.take_all();
    pull(&mut lab, &b);
    lab.send(a.at, call.cancel());
    let told: Vec<u16> = lab.take(a.at).iter().map(Msg::status).collect();
    assert_eq!(told, [200, 487]);
    assert!(lab.take(lab.pbx()).iter().any(|m| m.method() == "CANCEL"), "it is told, too");
    assert_eq!(lab.engine.active_calls(), 0);
    lab.advance(s(1));
    let told = lab.take(a.at).pop().expect("said again");
    lab.send(a.at, call.ack_refusal(&told));
    // Whoever answers it after all is sent away.
    lab.send(lab.pbx(), lab.far("0301234567").answer(&rung, 200, "t").sdp(b.sdp(6000)));
    let sent: Vec<String> = lab.take(lab.pbx()).iter().map(|m| m.method().to_owned()).collect();
    assert!(sent.contains(&"ACK".to_owned()) && sent.contains(&"BYE".to_owned()), "{sent:?}");
    lab.advance(s(40));
    lab.take_all();
    lab.end();
}

#[test]
fn who_gave_up_before_the_outside_was_known_to_be_gone_hears_so_then() {
    let mut lab = surviving("");
    let (a, b) = phones(&mut lab);
    // One that nobody has heard, and one that was taken and rings nowhere.
    let (one, two) = (lab.call(&a, "0301234567", 4000), lab.call(&b, "0301234567", 4000));
    let taken = lab.take(lab.pbx()).pop().expect("the second");
    lab.send(lab.pbx(), answer(&taken, 100, ""));
    lab.take_all();
    for call in [&one, &two] {
        lab.send(call.ua.at, call.cancel());
        assert_eq!(lab.take(call.ua.at).pop().map(|m| m.status()), Some(200));
    }
    lab.advance(s(3));
    assert!(lab.upstream("pbx").alone.is_some());
    for call in [&one, &two] {
        let told = lab.take(call.ua.at).pop().expect("an answer");
        assert_eq!(told.status(), 487);
        lab.send(call.ua.at, call.ack_refusal(&told));
    }
    assert_eq!(lab.engine.active_calls(), 0);
    lab.advance(s(40));
    lab.take_all();
    lab.end();
}

#[test]
fn the_lamp_of_a_subscription_stays_lit() {
    let mut lab = surviving("");
    let (a, _) = phones(&mut lab);
    let watch = a.request(&mut lab, "SUBSCRIBE", "102").with("Event", "dialog");
    lab.send(a.at, watch.clone().with("Expires", "600"));
    let got = lab.expect(lab.pbx(), "SUBSCRIBE");
    let far = lab.far("102");
    lab.send(lab.pbx(), far.answer(&got, 200, "s").with("Expires", "600"));
    let mut out = Leg::calling(&a, &watch);
    out.learn(&lab.expect(a.at, "200"));
    pull(&mut lab, &a);
    let refresh = out.request(&mut lab, "SUBSCRIBE").with("Event", "dialog");
    lab.send(a.at, refresh.with("Expires", "600"));
    let told = told(&mut lab, &a);
    assert_eq!((told.status(), told.header("Retry-After")), (503, "30"));
    // The PBX, when it is back, says on.
    answers(&mut lab, 12);
    let mut back = Leg::called(&far, &got, "s");
    let notify = back.request(&mut lab, "NOTIFY").with("Event", "dialog");
    lab.send(lab.pbx(), notify.with("Subscription-State", "active;expires=500"));
    lab.expect(a.at, "NOTIFY");
    lab.take_all();
    lab.advance(s(40));
    lab.take_all();
    lab.end();
}

#[test]
fn phones_whose_call_ran_through_the_pbx_hold_and_hang_up_without_it() {
    for answerer in [false, true] {
        let mut lab = surviving("");
        let Spiral { mut alice, mut bob, .. } = spiral(&mut lab, |t| t).expect("it is joined");
        let a = alice.ua.clone();
        pull(&mut lab, &a);
        let ours = lab.outside("203.0.113.1:5060");
        let (from, to) = if answerer { (&mut bob, &mut alice) } else { (&mut alice, &mut bob) };
        let hold = from.request(&mut lab, "INVITE");
        let offer = sdp_with(&from.ua.ip().to_string(), 4000, "a=sendonly\r\n");
        lab.send(from.ua.at, hold.sdp(offer));
        lab.expect(from.ua.at, "100");
        by_ourselves(&mut lab);
        let got = lab.expect(to.ua.at, "INVITE");
        assert!(got.body.contains("a=sendonly"), "{got}");
        lab.send(to.ua.at, to.ua.answer(&got, 200, "").sdp(to.ua.sdp(4100)));
        by_ourselves(&mut lab);
        lab.expect(from.ua.at, "200");
        let ack = from.ack(&mut lab);
        lab.send(from.ua.at, ack);
        by_ourselves(&mut lab);
        lab.expect(to.ua.at, "ACK");
        let bye = from.request(&mut lab, "BYE");
        lab.send(from.ua.at, bye);
        by_ourselves(&mut lab);
        let got = lab.expect(to.ua.at, "BYE");
        lab.send(to.ua.at, answer(&got, 200, ""));
        by_ourselves(&mut lab);
        lab.expect(from.ua.at, "200");
        assert_eq!(lab.engine.active_calls(), 0);
        assert!(lab.take(ours).is_empty());
        lab.clear();
        lab.end();
    }
}

/// What goes to our own outside socket comes in there.
fn by_ourselves(lab: &mut Lab) {
    let ours = lab.outside("203.0.113.1:5060");
    while let Some(got) = lab.next(ours) {
        lab.send(ours, got.bytes.clone());
    }
}

#[test]
fn two_legs_that_the_dead_pbx_joined_end_both_though_nobody_knows_that_they_are_one() {
    let mut lab = surviving("");
    let (a, b) = phones(&mut lab);
    let (far_a, far_b) = (lab.far("102"), lab.far("101"));
    let (mut one, _) = lab.establish(&a, &far_a);
    // The PBX calls the other phone in a call of its own.
    let sealed = lab.register(&b, 600);
    let invite = far_b.request_to(&mut lab, "INVITE", &sealed).sdp(far_b.sdp(7000));
    lab.send(far_b.at, invite.clone());
    lab.expect(far_b.at, "100");
    let rung = lab.expect(b.at, "INVITE");
    lab.send(b.at, b.answer(&rung, 200, "t").sdp(b.sdp(6000)));
    let mut pbx = Leg::calling(&far_b, &invite);
    pbx.learn(&lab.expect(far_b.at, "200"));
    let ack = pbx.ack(&mut lab);
    lab.send(far_b.at, ack);
    lab.expect(b.at, "ACK");
    pull(&mut lab, &a);
    let bye = one.request(&mut lab, "BYE");
    lab.send(a.at, bye);
    assert_eq!(lab.take(a.at).pop().map(|m| m.status()), Some(200));
    // Nothing comes from the PBX, and the other phone has nobody to talk to.
    lab.relay.silent = true;
    lab.advance(Duration::from_secs(70));
    let bye = lab.take(b.at).into_iter().find(|m| m.method() == "BYE").expect("it is over");
    lab.send(b.at, answer(&bye, 200, ""));
    assert_eq!(lab.engine.active_calls(), 0);
    lab.advance(s(40));
    lab.take_all();
    lab.end();
}
