//! Calls from INVITE to BYE, as each party sees them.

use crate::lab::script::answer;
use crate::lab::{Lab, Leg, Ua, ms, s, site};
use portreeve::relay::{Counters, Leg as MediaLeg};

fn parties(lab: &Lab) -> (Ua, Ua) {
    (lab.phone("101", "10.17.0.21:5060"), lab.far("200"))
}

#[test]
fn an_invite_is_answered_with_100_in_the_same_step() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    lab.call(&phone, "200", 4000);
    let trying = lab.expect(phone.at, "100");
    assert_eq!(trying.tag("To"), None, "100 has no tag of ours");
    lab.expect(pbx.at, "INVITE");
    lab.nothing_left();
    lab.end();
}

#[test]
fn a_call_goes_out_and_the_caller_hangs_up() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let (mut a, b) = lab.establish(&phone, &pbx);
    assert_eq!(lab.engine.active_calls(), 1);
    lab.advance(s(60));
    lab.hang_up(&mut a, &b);
    assert_eq!(lab.ends(), [("answered", 200, "caller")]);
    lab.end();
}

#[test]
fn a_call_goes_out_and_the_callee_hangs_up() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let (a, mut b) = lab.establish(&phone, &pbx);
    lab.hang_up(&mut b, &a);
    assert_eq!(lab.ends(), [("answered", 200, "callee")]);
    lab.end();
}

#[test]
fn a_call_comes_in_to_the_sealed_contact() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let sealed = lab.register(&phone, 600);
    let invite = pbx.request_to(&mut lab, "INVITE", &sealed).sdp(pbx.sdp(6000));
    lab.send(pbx.at, invite.clone());
    let mut a = Leg::calling(&pbx, &invite);
    lab.expect(pbx.at, "100");
    let got = lab.expect(phone.at, "INVITE");
    assert_eq!(got.uri(), "sip:101@10.17.0.21:5060", "the phone is called as it registered");
    let mut b = Leg::called(&phone, &got, "in");
    lab.send(phone.at, phone.answer(&got, 180, "in"));
    lab.expect(pbx.at, "180");
    lab.send(phone.at, phone.answer(&got, 200, "in").sdp(phone.sdp(4000)));
    let ok = lab.expect(pbx.at, "200");
    assert_eq!(ok.media_address(), site::GATE_OUTSIDE);
    a.learn(&ok);
    let ack = a.ack(&mut lab);
    lab.send(pbx.at, ack);
    lab.expect(phone.at, "ACK");
    lab.hang_up(&mut b, &a);
    assert_eq!(lab.ends(), [("answered", 200, "callee")]);
    lab.end();
}

#[test]
fn a_busy_answer_is_acked_here_and_told_the_caller() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let a = lab.call(&phone, "200", 4000);
    lab.expect(phone.at, "100");
    let invite = lab.expect(pbx.at, "INVITE");
    lab.send(pbx.at, answer(&invite, 486, "b"));
    let ack = lab.expect(pbx.at, "ACK");
    assert_eq!(ack.branch(), invite.branch(), "the ACK belongs to the INVITE's transaction");
    let busy = lab.expect(phone.at, "486");
    lab.send(phone.at, a.ack_refusal(&busy));
    lab.nothing_left();
    assert_eq!(lab.ends(), [("busy", 486, "")]);
    assert_eq!(lab.relay.open.len(), 0, "its ports are back");
    lab.end();
}

#[test]
fn a_503_of_the_upstream_goes_on_as_500() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let a = lab.call(&phone, "200", 4000);
    lab.expect(phone.at, "100");
    let invite = lab.expect(pbx.at, "INVITE");
    lab.send(pbx.at, answer(&invite, 503, "b").with("Retry-After", "5"));
    lab.expect(pbx.at, "ACK");
    let failed = lab.expect(phone.at, "500");
    assert!(!failed.has("Retry-After"));
    lab.send(phone.at, a.ack_refusal(&failed));
    lab.end();
}

#[test]
fn a_silent_upstream_means_408_after_64_t1() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let a = lab.call(&phone, "200", 4000);
    lab.expect(phone.at, "100");
    lab.advance(s(31));
    assert_eq!(lab.take(pbx.at).len(), 6, "sent at 0, 0.5, 1.5, 3.5, 7.5 and 15.5 s");
    lab.advance(s(2));
    let late = lab.expect(phone.at, "408");
    lab.send(phone.at, a.ack_refusal(&late));
    lab.clear();
    assert_eq!(lab.ends(), [("timeout", 408, "")]);
    assert_eq!(lab.stats().timeouts[0], 1);
    lab.end();
}

#[test]
fn a_phone_that_never_answers_is_cancelled_by_timer_c() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let a = lab.call(&phone, "200", 4000);
    lab.expect(phone.at, "100");
    let invite = lab.expect(pbx.at, "INVITE");
    lab.send(pbx.at, pbx.answer(&invite, 180, "b"));
    lab.expect(phone.at, "180");
    lab.advance(s(120));
    lab.send(pbx.at, pbx.answer(&invite, 180, "b"));
    lab.expect(phone.at, "180");
    lab.advance(s(170));
    lab.nothing_left();
    lab.advance(ms(15_200));
    let cancel = lab.expect(pbx.at, "CANCEL");
    lab.send(pbx.at, answer(&cancel, 200, "b"));
    lab.send(pbx.at, answer(&invite, 487, "b"));
    lab.expect(pbx.at, "ACK");
    let over = lab.next(phone.at).expect("a final answer");
    assert!(matches!(over.status(), 408 | 487), "{over}");
    lab.send(phone.at, a.ack_refusal(&over));
    lab.end();
}

#[test]
fn a_call_ends_when_its_bye_is_never_answered() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let (mut a, _) = lab.establish(&phone, &pbx);
    let bye = a.request(&mut lab, "BYE");
    lab.send(phone.at, bye);
    lab.expect(pbx.at, "BYE");
    lab.advance(s(33));
    lab.expect(phone.at, "408");
    lab.clear();
    assert_eq!(lab.engine.active_calls(), 0);
    assert_eq!(lab.ends(), [("answered", 200, "caller")]);
    lab.end();
}

#[test]
fn a_phone_on_tcp_is_answered_and_called_by_its_connection() {
    let mut lab = Lab::edge();
    let at = lab.inside_tcp("10.17.0.31:40001");
    let (phone, pbx) = (Ua::new(at, "103"), lab.far("200"));
    let (mut a, b) = lab.establish(&phone, &pbx);
    lab.hang_up(&mut a, &b);
    lab.end();
}

#[test]
fn a_number_nobody_has_is_not_found() {
    let mut lab = Lab::edge();
    let pbx = lab.far("200");
    let a = lab.call(&pbx, "999", 6000);
    let answers = lab.take(pbx.at);
    let last = answers.last().expect("an answer");
    assert_eq!(last.status(), 404, "{last}");
    lab.send(pbx.at, a.ack_refusal(last));
    lab.end();
}

#[test]
fn requests_within_a_dialog_pass_both_ways() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let (mut a, mut b) = lab.establish(&phone, &pbx);
    for method in ["INFO", "UPDATE", "REFER", "NOTIFY", "MESSAGE", "OPTIONS", "WIBBLE"] {
        let out = a.request(&mut lab, method);
        lab.send(phone.at, out);
        let got = lab.expect(pbx.at, method);
        assert_eq!(got.cseq().0, a.cseq, "CSeq is kept");
        lab.send(pbx.at, answer(&got, 200, ""));
        lab.expect(phone.at, "200");
        let back = b.request(&mut lab, method);
        lab.send(pbx.at, back);
        let got = lab.expect(phone.at, method);
        assert_eq!(got.cseq().0, b.cseq, "CSeq is kept");
        lab.send(phone.at, answer(&got, 200, ""));
        lab.expect(pbx.at, "200");
    }
    lab.hang_up(&mut a, &b);
    lab.end();
}

#[test]
fn a_stranger_cannot_end_a_call() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let (mut a, b) = lab.establish(&phone, &pbx);
    let mut forged = b.clone();
    forged.ua.at = lab.outside("198.51.100.66:5060");
    let bye = forged.request(&mut lab, "BYE");
    lab.send(forged.ua.at, bye);
    lab.nothing_left();
    assert_eq!(lab.security(), ["in_dialog_source"]);
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
fn a_request_for_no_dialog_is_481() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let (mut a, b) = lab.establish(&phone, &pbx);
    lab.hang_up(&mut a, &b);
    lab.advance(s(40));
    let bye = a.request(&mut lab, "BYE");
    lab.send(phone.at, bye);
    lab.expect(phone.at, "481");
    lab.end();
}

#[test]
fn an_ack_for_nothing_is_never_answered() {
    let mut lab = Lab::edge();
    let (phone, _) = parties(&lab);
    let ack = phone.request(&mut lab, "ACK", "200");
    lab.send(phone.at, ack);
    lab.nothing_left();
    lab.end();
}

#[test]
#[expect(clippy::wildcard_enum_match_arm, reason = "the rest is alike")]
fn the_end_of_a_call_tells_what_the_relay_counted() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let (mut a, b) = lab.establish(&phone, &pbx);
    let mut counters = Counters::default();
    counters.legs[MediaLeg::Caller.index()].packets = [500, 3];
    counters.legs[MediaLeg::Callee.index()].packets = [498, 2];
    lab.relay.counters = counters;
    lab.hang_up(&mut a, &b);
    let media = lab.records.iter().find_map(|r| match r {
        portreeve::audit::Record::CallEnd(end) => end.media.first().cloned(),
        _ => None,
    });
    let media = media.expect("one stream");
    assert_eq!((media.media.as_str(), media.caller.rtp_packets), ("audio", 500));
    assert_eq!((media.callee.rtp_packets, media.callee.rtcp_packets), (498, 2));
    let used = lab.stats().now.ports.iter().map(|p| p.quarantined).sum::<usize>();
    assert_eq!(used, 4, "used ports rest");
    lab.advance(s(31));
    let used = lab.stats().now.ports.iter().map(|p| p.quarantined).sum::<usize>();
    assert_eq!(used, 0, "and come back");
    lab.end();
}

#[test]
fn hanging_up_one_call_sends_bye_to_both_sides() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let (a, b) = lab.establish(&phone, &pbx);
    lab.input(portreeve::engine::Input::HangUp(portreeve::ground::CallNo(1)));
    let to_phone = lab.expect(phone.at, "BYE");
    let to_pbx = lab.expect(pbx.at, "BYE");
    assert_eq!(to_phone.tag("To"), crate::lab::message::param(&a.local, "tag"));
    assert_eq!(to_phone.tag("From"), crate::lab::message::param(&b.local, "tag"));
    assert_eq!(to_pbx.tag("To"), crate::lab::message::param(&b.local, "tag"));
    assert_eq!(to_pbx.cseq().0, 2, "one more than the caller's last");
    lab.send(phone.at, answer(&to_phone, 200, ""));
    lab.send(pbx.at, answer(&to_pbx, 200, ""));
    assert_eq!(lab.ends(), [("answered", 200, "admin")]);
    lab.end();
}
