//! What is repeated, by whom, and what is absorbed (RFC 3261 §17, RFC 6026).

use crate::lab::script::answer;
use crate::lab::{Lab, Leg, Ua, ms, s};

fn parties(lab: &Lab) -> (Ua, Ua) {
    (lab.phone("101", "10.17.0.21:5060"), lab.far("200"))
}

#[test]
fn a_repeated_invite_gets_the_last_provisional_answer_and_goes_no_further() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let a = lab.call(&phone, "200", 4000);
    lab.expect(phone.at, "100");
    let invite = lab.expect(pbx.at, "INVITE");
    lab.send(phone.at, a.invite.clone());
    lab.expect(phone.at, "100");
    lab.nothing_left();
    lab.send(pbx.at, pbx.answer(&invite, 180, "b"));
    lab.expect(phone.at, "180");
    lab.send(phone.at, a.invite.clone());
    lab.expect(phone.at, "180");
    lab.nothing_left();
    assert_eq!(lab.stats().retransmissions[0][0], 2);
    lab.end();
}

#[test]
fn an_unanswered_invite_is_repeated_by_timer_a_until_the_first_answer() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    lab.call(&phone, "200", 4000);
    lab.expect(phone.at, "100");
    let first = lab.expect(pbx.at, "INVITE");
    for wait in [500, 1000, 2000] {
        lab.advance(ms(wait - 1));
        lab.nothing_left();
        lab.advance(ms(1));
        let again = lab.expect(pbx.at, "INVITE");
        assert_eq!(again.bytes, first.bytes, "byte for byte");
    }
    lab.send(pbx.at, answer(&first, 100, ""));
    lab.advance(s(30));
    lab.nothing_left();
    lab.end();
}

#[test]
fn a_refusal_is_repeated_until_its_ack_and_then_absorbed() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    lab.register(&phone, 600);
    let a = lab.call(&phone, "200", 4000);
    lab.expect(phone.at, "100");
    let invite = lab.expect(pbx.at, "INVITE");
    lab.send(pbx.at, answer(&invite, 486, "b"));
    lab.expect(pbx.at, "ACK");
    let busy = lab.expect(phone.at, "486");
    for wait in [500, 1000, 2000, 4000, 4000] {
        lab.advance(ms(wait));
        assert_eq!(lab.expect(phone.at, "486").bytes, busy.bytes);
    }
    lab.send(phone.at, a.invite.clone());
    lab.expect(phone.at, "486");
    lab.send(phone.at, a.ack_refusal(&busy));
    lab.send(phone.at, a.ack_refusal(&busy));
    lab.send(phone.at, a.invite.clone());
    lab.advance(s(30));
    lab.nothing_left();
    lab.end();
}

#[test]
fn a_repeated_refusal_is_acked_each_time_and_told_once() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let a = lab.call(&phone, "200", 4000);
    lab.expect(phone.at, "100");
    let invite = lab.expect(pbx.at, "INVITE");
    for _ in 0..3 {
        lab.send(pbx.at, answer(&invite, 486, "b"));
        lab.expect(pbx.at, "ACK");
    }
    let busy = lab.expect(phone.at, "486");
    lab.send(phone.at, a.ack_refusal(&busy));
    lab.nothing_left();
    lab.end();
}

#[test]
fn a_2xx_retransmission_passes_and_an_ack_follows() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let mut a = lab.call(&phone, "200", 4000);
    lab.expect(phone.at, "100");
    let invite = lab.expect(pbx.at, "INVITE");
    let b = Leg::called(&pbx, &invite, "b");
    let ok = pbx.answer(&invite, 200, "b").sdp(pbx.sdp(6000));
    let mut seen = Vec::new();
    for _ in 0..3 {
        lab.send(pbx.at, ok.clone());
        let got = lab.expect(phone.at, "200");
        a.learn(&got);
        seen.push(got.bytes);
        let ack = a.ack(&mut lab);
        lab.send(phone.at, ack);
        lab.expect(pbx.at, "ACK");
        lab.nothing_left();
    }
    assert!(seen.windows(2).all(|w| w[0] == w[1]), "each is the same message");
    assert_eq!(lab.relay.open.len(), 1, "one stream");
    lab.hang_up(&mut a, &b);
    lab.end();
}

#[test]
fn a_repeated_invite_after_the_2xx_is_absorbed() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let (mut a, b) = lab.establish(&phone, &pbx);
    let invite = a.invite.clone();
    lab.send(phone.at, invite);
    lab.nothing_left();
    lab.hang_up(&mut a, &b);
    lab.end();
}

#[test]
fn the_gateway_does_not_repeat_a_2xx_by_itself() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    lab.call(&phone, "200", 4000);
    lab.expect(phone.at, "100");
    let invite = lab.expect(pbx.at, "INVITE");
    lab.send(pbx.at, pbx.answer(&invite, 200, "b").sdp(pbx.sdp(6000)));
    lab.expect(phone.at, "200");
    lab.advance(s(20));
    lab.nothing_left();
    lab.end();
}

#[test]
fn a_repeated_bye_gets_the_kept_answer() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let (mut a, _) = lab.establish(&phone, &pbx);
    let bye = a.request(&mut lab, "BYE");
    lab.send(phone.at, bye.clone());
    let got = lab.expect(pbx.at, "BYE");
    lab.send(phone.at, bye.clone());
    lab.nothing_left();
    lab.send(pbx.at, answer(&got, 200, ""));
    lab.expect(phone.at, "200");
    lab.send(phone.at, bye);
    lab.expect(phone.at, "200");
    lab.nothing_left();
    lab.end();
}

#[test]
fn an_unanswered_request_is_repeated_by_timer_e() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let message = phone.request(&mut lab, "MESSAGE", "200").typed("text/plain", "hello");
    lab.send(phone.at, message);
    let first = lab.expect(pbx.at, "MESSAGE");
    for wait in [500, 1000, 2000, 4000, 4000] {
        lab.advance(ms(wait));
        assert_eq!(lab.expect(pbx.at, "MESSAGE").bytes, first.bytes);
    }
    lab.send(pbx.at, answer(&first, 200, "m"));
    lab.expect(phone.at, "200");
    lab.advance(s(20));
    lab.nothing_left();
    lab.end();
}

#[test]
fn nothing_is_repeated_over_tcp() {
    let mut lab = Lab::edge();
    let at = lab.inside_tcp("10.17.0.31:40001");
    let (phone, pbx) = (Ua::new(at, "103"), lab.far("200"));
    let a = lab.call(&phone, "200", 4000);
    lab.expect(phone.at, "100");
    let invite = lab.expect(pbx.at, "INVITE");
    lab.send(pbx.at, answer(&invite, 486, "b"));
    lab.expect(pbx.at, "ACK");
    let busy = lab.expect(phone.at, "486");
    lab.advance(s(20));
    lab.nothing_left();
    lab.send(phone.at, a.ack_refusal(&busy));
    lab.end();
}

#[test]
fn a_late_answer_without_a_transaction_is_dropped_and_counted() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let (mut a, b) = lab.establish(&phone, &pbx);
    let bye = a.request(&mut lab, "BYE");
    lab.send(phone.at, bye);
    let got = lab.expect(pbx.at, "BYE");
    lab.send(pbx.at, answer(&got, 200, ""));
    lab.expect(phone.at, "200");
    lab.advance(s(40));
    lab.send(b.ua.at, answer(&got, 200, ""));
    lab.nothing_left();
    let stray = portreeve::wire::sip::RejectReason::StrayResponse;
    let at = portreeve::wire::sip::RejectReason::ALL.iter().position(|r| *r == stray);
    assert_eq!(lab.stats().rejected[1][at.expect("a label")], 1);
    lab.end();
}

#[test]
fn whoever_copies_a_request_and_is_sooner_takes_nobodys_answer() {
    let mut lab = Lab::edge();
    let (phone, far) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
    let thief = lab.phone("166", "10.17.0.66:5060");
    let invite = phone.request(&mut lab, "INVITE", "200").sdp(phone.sdp(4000));
    lab.send(thief.at, invite.clone());
    let stolen = lab.expect(far.at, "INVITE");
    lab.expect(thief.at, "100");
    lab.send(phone.at, invite.clone());
    lab.expect(phone.at, "100");
    let got = lab.expect(far.at, "INVITE");
    assert_ne!(got.branch(), stolen.branch());
    // Each repetition is of its own.
    for party in [phone.at, thief.at] {
        lab.send(party, invite.clone());
        lab.expect(party, "100");
        lab.nothing_left();
    }
    lab.send(far.at, answer(&stolen, 486, "t"));
    lab.expect(far.at, "ACK");
    let busy = lab.expect(thief.at, "486");
    // His ACK and his CANCEL are for his own.
    let mut call = Leg::calling(&phone, &invite);
    lab.send(thief.at, call.ack_refusal(&busy));
    lab.send(thief.at, call.cancel());
    lab.expect(thief.at, "200");
    lab.nothing_left();
    lab.send(far.at, far.answer(&got, 200, "u").sdp(far.sdp(6000)));
    let ok = lab.expect(phone.at, "200");
    call.learn(&ok);
    let ack = call.ack(&mut lab);
    lab.send(phone.at, ack);
    lab.expect(far.at, "ACK");
    let other = Leg::called(&far, &got, "u");
    lab.hang_up(&mut call, &other);
    lab.end();
}
