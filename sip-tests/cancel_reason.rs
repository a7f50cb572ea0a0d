//! Why a call ends (RFC 3326): Reason goes on with CANCEL, BYE and answers, and our own CANCEL of a
//! fork says that another answered, so that no phone shows a missed call.

use crate::lab::script::answer;
use crate::lab::{Lab, Leg, Msg, Ua, ms, s, site};
use portreeve::engine::digest::Users;

const ELSEWHERE: &str = "SIP;cause=200;text=\"Call completed elsewhere\"";

/// A call of the phone's that rings at the PBX.
fn ringing_outside(lab: &mut Lab) -> (Ua, Ua, Leg, Msg) {
    let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
    let a = lab.call(&phone, "200", 4000);
    lab.expect(phone.at, "100");
    let invite = lab.expect(pbx.at, "INVITE");
    lab.send(pbx.at, pbx.answer(&invite, 180, "b"));
    lab.expect(phone.at, "180");
    (phone, pbx, a, invite)
}

/// Two phones of one user, called by the PBX; both ring.
fn ringing_inside(lab: &mut Lab) -> (Ua, Leg, Vec<(Ua, Msg, &'static str)>) {
    let pbx = lab.far("200");
    let phones = [("10.17.0.21:5060", "d"), ("10.17.0.22:5060", "s")];
    for (at, _) in phones {
        let phone = lab.phone("101", at);
        lab.register(&phone, 600);
    }
    let invite = pbx.request_to(lab, "INVITE", "sip:101@203.0.113.1:5060").sdp(pbx.sdp(6000));
    lab.send(pbx.at, invite.clone());
    lab.expect(pbx.at, "100");
    let mut rung = Vec::new();
    for (at, tag) in phones {
        let phone = lab.phone("101", at);
        let got = lab.expect(phone.at, "INVITE");
        lab.send(phone.at, phone.answer(&got, 180, tag));
        lab.expect(pbx.at, "180");
        rung.push((phone, got, tag));
    }
    (pbx.clone(), Leg::calling(&pbx, &invite), rung)
}

/// A CANCEL's end: 200, 487 and its ACK.
#[track_caller]
fn gone(lab: &mut Lab, phone: &Ua, invite: &Msg, cancel: &Msg, tag: &str) {
    lab.send(phone.at, answer(cancel, 200, tag));
    lab.send(phone.at, answer(invite, 487, tag));
    lab.expect(phone.at, "ACK");
}

#[test]
fn a_callers_reasons_go_on_with_its_cancel() {
    let mut lab = Lab::edge();
    let (phone, pbx, a, invite) = ringing_outside(&mut lab);
    let cancel = a.cancel().with("Reason", "SIP;cause=487").with("Reason", "Q.850;cause=16");
    lab.send(phone.at, cancel);
    lab.expect(phone.at, "200");
    let cancel = lab.expect(pbx.at, "CANCEL");
    assert_eq!(cancel.list("Reason"), ["SIP;cause=487", "Q.850;cause=16"]);
    gone(&mut lab, &pbx, &invite, &cancel, "b");
    let over = lab.expect(phone.at, "487");
    lab.send(phone.at, a.ack_refusal(&over));
    lab.end();
}

#[test]
fn a_pbx_that_says_completed_elsewhere_is_believed_by_every_phone() {
    let mut lab = Lab::edge();
    let (pbx, a, rung) = ringing_inside(&mut lab);
    lab.send(pbx.at, a.cancel().with("Reason", ELSEWHERE));
    lab.expect(pbx.at, "200");
    for (phone, invite, tag) in &rung {
        let cancel = lab.expect(phone.at, "CANCEL");
        assert_eq!(cancel.list("Reason"), [ELSEWHERE]);
        gone(&mut lab, phone, invite, &cancel, tag);
    }
    let over = lab.expect(pbx.at, "487");
    lab.send(pbx.at, a.ack_refusal(&over));
    lab.end();
}

#[test]
fn a_cancel_that_has_to_wait_keeps_its_reason() {
    let mut lab = Lab::edge();
    let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
    let a = lab.call(&phone, "200", 4000);
    lab.expect(phone.at, "100");
    let invite = lab.expect(pbx.at, "INVITE");
    lab.send(phone.at, a.cancel().with("Reason", ELSEWHERE));
    lab.expect(phone.at, "200");
    lab.nothing_left();
    lab.send(pbx.at, answer(&invite, 100, ""));
    let cancel = lab.expect(pbx.at, "CANCEL");
    assert_eq!(cancel.list("Reason"), [ELSEWHERE]);
    gone(&mut lab, &pbx, &invite, &cancel, "b");
    let over = lab.expect(phone.at, "487");
    lab.send(phone.at, a.ack_refusal(&over));
    lab.end();
}

#[test]
fn a_cancel_without_a_reason_gets_none() {
    let mut lab = Lab::edge();
    let (phone, pbx, a, invite) = ringing_outside(&mut lab);
    lab.send(phone.at, a.cancel());
    lab.expect(phone.at, "200");
    let cancel = lab.expect(pbx.at, "CANCEL");
    assert!(!cancel.has("Reason"), "{cancel}");
    gone(&mut lab, &pbx, &invite, &cancel, "b");
    let over = lab.expect(phone.at, "487");
    lab.send(phone.at, a.ack_refusal(&over));
    lab.end();
}

#[test]
fn phones_that_did_not_answer_are_told_that_another_did() {
    let mut lab = Lab::edge();
    let (pbx, mut a, rung) = ringing_inside(&mut lab);
    let (desk, at_desk, _) = &rung[0];
    let (soft, at_soft, tag) = &rung[1];
    let mut b = Leg::called(soft, at_soft, tag);
    lab.send(soft.at, soft.answer(at_soft, 200, tag).sdp(soft.sdp(4002)));
    a.learn(&lab.expect(pbx.at, "200"));
    let cancel = lab.expect(desk.at, "CANCEL");
    assert_eq!(cancel.list("Reason"), [ELSEWHERE]);
    gone(&mut lab, desk, at_desk, &cancel, "d");
    let ack = a.ack(&mut lab);
    lab.send(pbx.at, ack);
    lab.expect(soft.at, "ACK");
    lab.hang_up(&mut b, &a);
    lab.end();
}

#[test]
fn a_phone_that_has_not_rung_yet_is_told_so_when_it_does() {
    let mut lab = Lab::edge();
    let pbx = lab.far("200");
    let (desk, soft) = (lab.phone("101", "10.17.0.21:5060"), lab.phone("101", "10.17.0.22:5060"));
    lab.register(&desk, 600);
    lab.register(&soft, 600);
    let invite = pbx.request_to(&mut lab, "INVITE", "sip:101@203.0.113.1:5060").sdp(pbx.sdp(6000));
    lab.send(pbx.at, invite.clone());
    let mut a = Leg::calling(&pbx, &invite);
    lab.expect(pbx.at, "100");
    let (at_desk, at_soft) = (lab.expect(desk.at, "INVITE"), lab.expect(soft.at, "INVITE"));
    let mut b = Leg::called(&soft, &at_soft, "s");
    lab.send(soft.at, soft.answer(&at_soft, 200, "s").sdp(soft.sdp(4002)));
    a.learn(&lab.expect(pbx.at, "200"));
    lab.nothing_left();
    lab.send(desk.at, desk.answer(&at_desk, 180, "d"));
    let cancel = lab.expect(desk.at, "CANCEL");
    assert_eq!(cancel.list("Reason"), [ELSEWHERE]);
    gone(&mut lab, &desk, &at_desk, &cancel, "d");
    let ack = a.ack(&mut lab);
    lab.send(pbx.at, ack);
    lab.expect(soft.at, "ACK");
    lab.hang_up(&mut b, &a);
    lab.end();
}

#[test]
fn a_global_refusal_is_the_reason_of_the_other_cancels() {
    let mut lab = Lab::edge();
    let (pbx, a, rung) = ringing_inside(&mut lab);
    let (desk, at_desk, _) = &rung[0];
    let (soft, at_soft, _) = &rung[1];
    lab.send(desk.at, answer(at_desk, 603, "d"));
    lab.expect(desk.at, "ACK");
    let cancel = lab.expect(soft.at, "CANCEL");
    let reasons = cancel.list("Reason");
    assert_eq!(reasons.len(), 1, "{cancel}");
    assert!(reasons[0].starts_with("SIP;cause=603"), "a missed call, and why\n{cancel}");
    gone(&mut lab, soft, at_soft, &cancel, "s");
    let no = lab.expect(pbx.at, "603");
    lab.send(pbx.at, a.ack_refusal(&no));
    lab.end();
}

#[test]
fn a_phone_that_rang_too_long_is_told_so() {
    let mut lab = Lab::edge();
    let (phone, pbx, a, invite) = ringing_outside(&mut lab);
    lab.advance(s(185) + ms(200));
    let cancel = lab.expect(pbx.at, "CANCEL");
    let reasons = cancel.list("Reason");
    assert_eq!(reasons.len(), 1, "{cancel}");
    assert!(reasons[0].starts_with("SIP;cause=408"), "{cancel}");
    gone(&mut lab, &pbx, &invite, &cancel, "b");
    let over = lab.next(phone.at).expect("a final answer");
    lab.send(phone.at, a.ack_refusal(&over));
    lab.end();
}

#[test]
fn a_reasons_text_shows_no_inside_address() {
    let mut lab = Lab::edge();
    let (phone, pbx, a, invite) = ringing_outside(&mut lab);
    let told = "SIP;cause=487;text=\"gone at 10.17.0.21\"";
    lab.send(phone.at, a.cancel().with("Reason", told));
    lab.expect(phone.at, "200");
    let cancel = lab.expect(pbx.at, "CANCEL");
    assert_eq!(cancel.list("Reason"), ["SIP;cause=487;text=\"gone at 203.0.113.1\""]);
    gone(&mut lab, &pbx, &invite, &cancel, "b");
    let over = lab.expect(phone.at, "487");
    lab.send(phone.at, a.ack_refusal(&over));
    let (mut a, b) = lab.establish(&phone, &pbx);
    let bye = a.request(&mut lab, "BYE").with("Reason", told);
    lab.send(phone.at, bye);
    let bye = lab.expect(pbx.at, "BYE");
    assert_eq!(bye.list("Reason"), ["SIP;cause=487;text=\"gone at 203.0.113.1\""]);
    lab.send(pbx.at, answer(&bye, 200, ""));
    lab.expect(phone.at, "200");
    drop(b);
    lab.end();
}

#[test]
fn byes_and_answers_carry_theirs_both_ways() {
    let mut lab = Lab::edge();
    let (phone, pbx, a, invite) = ringing_outside(&mut lab);
    lab.send(pbx.at, answer(&invite, 480, "b").with("Reason", "Q.850;cause=19;text=\"No answer\""));
    lab.expect(pbx.at, "ACK");
    let no = lab.expect(phone.at, "480");
    assert_eq!(no.list("Reason"), ["Q.850;cause=19;text=\"No answer\""]);
    lab.send(phone.at, a.ack_refusal(&no));
    for outwards in [true, false] {
        let (mut a, mut b) = lab.establish(&phone, &pbx);
        let (from, to) = if outwards { (&mut a, &b) } else { (&mut b, &a) };
        let bye = from.request(&mut lab, "BYE").with("Reason", "Q.850;cause=16");
        lab.send(from.ua.at, bye);
        let bye = lab.expect(to.ua.at, "BYE");
        assert_eq!(bye.list("Reason"), ["Q.850;cause=16"]);
        lab.send(to.ua.at, answer(&bye, 200, "").with("Reason", "SIP;cause=200"));
        assert_eq!(lab.expect(from.ua.at, "200").list("Reason"), ["SIP;cause=200"]);
    }
    lab.end();
}

#[test]
fn a_rule_that_strips_reasons_strips_a_cancels_too() {
    let rule = "[[rule]]\nname = \"terse\"\nside = \"inside\"\nallow = { strip = [\"Reason\"] }\n";
    let config = site::parse(&format!("{}\n{rule}", site::EDGE));
    let mut lab = Lab::with(config, Users::None);
    let (phone, pbx, a, invite) = ringing_outside(&mut lab);
    lab.send(phone.at, a.cancel().with("Reason", "SIP;cause=487"));
    lab.expect(phone.at, "200");
    let cancel = lab.expect(pbx.at, "CANCEL");
    assert!(!cancel.has("Reason"), "{cancel}");
    gone(&mut lab, &pbx, &invite, &cancel, "b");
    let over = lab.expect(phone.at, "487");
    lab.send(phone.at, a.ack_refusal(&over));
    lab.end();
}
