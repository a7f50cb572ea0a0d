//! CANCEL (RFC 3261 §9, §16.10).

use crate::lab::script::answer;
use crate::lab::{Lab, Leg, Ua, s};

fn ringing(lab: &mut Lab) -> (Ua, Ua, Leg, crate::lab::Msg) {
    let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
    let a = lab.call(&phone, "200", 4000);
    lab.expect(phone.at, "100");
    let invite = lab.expect(pbx.at, "INVITE");
    lab.send(pbx.at, pbx.answer(&invite, 180, "b"));
    lab.expect(phone.at, "180");
    (phone, pbx, a, invite)
}

#[test]
fn a_cancel_is_answered_and_goes_down_the_branch() {
    let mut lab = Lab::edge();
    let (phone, pbx, a, invite) = ringing(&mut lab);
    lab.send(phone.at, a.cancel());
    lab.expect(phone.at, "200");
    let cancel = lab.expect(pbx.at, "CANCEL");
    assert_eq!(cancel.branch(), invite.branch());
    assert_eq!(cancel.uri(), invite.uri());
    assert_eq!(cancel.header("To"), invite.header("To"), "no tag, as the INVITE had");
    assert_eq!(cancel.cseq(), (invite.cseq().0, "CANCEL"));
    lab.send(pbx.at, answer(&cancel, 200, "b"));
    lab.send(pbx.at, answer(&invite, 487, "b"));
    lab.expect(pbx.at, "ACK");
    let over = lab.expect(phone.at, "487");
    lab.send(phone.at, a.ack_refusal(&over));
    lab.nothing_left();
    assert_eq!(lab.ends(), [("cancelled", 487, "")]);
    lab.end();
}

#[test]
fn a_cancel_waits_for_the_first_provisional_answer() {
    let mut lab = Lab::edge();
    let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
    let a = lab.call(&phone, "200", 4000);
    lab.expect(phone.at, "100");
    let invite = lab.expect(pbx.at, "INVITE");
    lab.send(phone.at, a.cancel());
    lab.expect(phone.at, "200");
    lab.nothing_left();
    lab.send(pbx.at, answer(&invite, 100, ""));
    let cancel = lab.expect(pbx.at, "CANCEL");
    lab.send(pbx.at, answer(&cancel, 200, "b"));
    lab.send(pbx.at, answer(&invite, 487, "b"));
    lab.expect(pbx.at, "ACK");
    let over = lab.expect(phone.at, "487");
    lab.send(phone.at, a.ack_refusal(&over));
    lab.end();
}

#[test]
fn a_cancelled_branch_that_never_answers_is_over_after_64_t1() {
    let mut lab = Lab::edge();
    let (phone, pbx, a, _) = ringing(&mut lab);
    lab.send(phone.at, a.cancel());
    lab.expect(phone.at, "200");
    let cancel = lab.expect(pbx.at, "CANCEL");
    lab.send(pbx.at, answer(&cancel, 200, "b"));
    lab.advance(s(33));
    let over = lab.expect(phone.at, "487");
    lab.send(phone.at, a.ack_refusal(&over));
    lab.clear();
    assert_eq!(lab.ends(), [("cancelled", 487, "")]);
    lab.end();
}

#[test]
fn a_2xx_that_crosses_the_cancel_wins() {
    let mut lab = Lab::edge();
    let (phone, pbx, mut a, invite) = ringing(&mut lab);
    let b = Leg::called(&pbx, &invite, "b");
    lab.send(phone.at, a.cancel());
    lab.expect(phone.at, "200");
    let cancel = lab.expect(pbx.at, "CANCEL");
    lab.send(pbx.at, pbx.answer(&invite, 200, "b").sdp(pbx.sdp(6000)));
    lab.send(pbx.at, answer(&cancel, 200, "b"));
    let ok = lab.expect(phone.at, "200");
    assert_eq!(ok.cseq().1, "INVITE");
    a.learn(&ok);
    let ack = a.ack(&mut lab);
    lab.send(phone.at, ack);
    lab.expect(pbx.at, "ACK");
    lab.hang_up(&mut a, &b);
    assert_eq!(lab.ends(), [("answered", 200, "caller")]);
    lab.end();
}

#[test]
fn a_cancel_for_nothing_is_481() {
    let mut lab = Lab::edge();
    let phone = lab.phone("101", "10.17.0.21:5060");
    let cancel = phone.request(&mut lab, "CANCEL", "200");
    lab.send(phone.at, cancel);
    lab.expect(phone.at, "481");
    lab.nothing_left();
    lab.end();
}

#[test]
fn a_cancel_after_the_final_answer_changes_nothing() {
    let mut lab = Lab::edge();
    let (phone, pbx, mut a, invite) = ringing(&mut lab);
    let b = Leg::called(&pbx, &invite, "b");
    lab.send(pbx.at, pbx.answer(&invite, 200, "b").sdp(pbx.sdp(6000)));
    let ok = lab.expect(phone.at, "200");
    a.learn(&ok);
    lab.send(phone.at, a.cancel());
    assert_eq!(lab.expect(phone.at, "200").cseq().1, "CANCEL");
    lab.nothing_left();
    let ack = a.ack(&mut lab);
    lab.send(phone.at, ack);
    lab.expect(pbx.at, "ACK");
    lab.hang_up(&mut a, &b);
    lab.end();
}

#[test]
fn a_stranger_cannot_cancel() {
    let mut lab = Lab::edge();
    let (phone, pbx, a, invite) = ringing(&mut lab);
    let stranger = lab.inside("10.17.0.66:5060");
    lab.send(stranger, a.cancel());
    lab.expect(stranger, "481");
    lab.nothing_left();
    lab.send(pbx.at, answer(&invite, 486, "b"));
    lab.expect(pbx.at, "ACK");
    let busy = lab.expect(phone.at, "486");
    lab.send(phone.at, a.ack_refusal(&busy));
    lab.end();
}

#[test]
fn a_repeated_cancel_is_answered_again_and_sent_once() {
    let mut lab = Lab::edge();
    let (phone, pbx, a, invite) = ringing(&mut lab);
    lab.send(phone.at, a.cancel());
    lab.send(phone.at, a.cancel());
    lab.expect(phone.at, "200");
    lab.expect(phone.at, "200");
    let cancel = lab.expect(pbx.at, "CANCEL");
    lab.nothing_left();
    lab.send(pbx.at, answer(&cancel, 200, "b"));
    lab.send(pbx.at, answer(&invite, 487, "b"));
    lab.expect(pbx.at, "ACK");
    let over = lab.expect(phone.at, "487");
    lab.send(phone.at, a.ack_refusal(&over));
    lab.end();
}
