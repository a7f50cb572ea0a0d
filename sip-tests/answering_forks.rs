//! Answers that may not cross while others may: forks, early media, and answers that come when the
//! caller has been told already.

use crate::lab::script::answer;
use crate::lab::{Lab, Leg, Msg, Ua, ms, sdp, site};
use portreeve::engine::Input;
use portreeve::relay::Leg as Side;

fn refused() -> String {
    sdp("127.0.0.1", 6000)
}

/// Two phones of one user; the PBX calls the user, both ring.
struct Forked {
    lab: Lab,
    desk: Ua,
    soft: Ua,
    pbx: Ua,
    a: Leg,
    at_desk: Msg,
    at_soft: Msg,
}

fn forked() -> Forked {
    let mut lab = Lab::edge();
    let desk = lab.phone("101", "10.17.0.21:5060");
    let soft = lab.phone("101", "10.17.0.22:5060");
    lab.register(&desk, 600);
    lab.register(&soft, 600);
    let pbx = lab.far("200");
    let invite = pbx.request_to(&mut lab, "INVITE", "sip:101@203.0.113.1:5060").sdp(pbx.sdp(6000));
    lab.send(pbx.at, invite.clone());
    lab.expect(pbx.at, "100");
    let a = Leg::calling(&pbx, &invite);
    let at_desk = lab.expect(desk.at, "INVITE");
    let at_soft = lab.expect(soft.at, "INVITE");
    lab.send(desk.at, desk.answer(&at_desk, 180, "d"));
    lab.expect(pbx.at, "180");
    lab.send(soft.at, soft.answer(&at_soft, 180, "s"));
    lab.expect(pbx.at, "180");
    Forked { lab, desk, soft, pbx, a, at_desk, at_soft }
}

/// The answerer is let go: ACK and BYE, which it answers.
#[track_caller]
fn let_go(lab: &mut Lab, ua: &Ua, tag: &str) {
    let ack = lab.expect(ua.at, "ACK");
    assert_eq!(ack.tag("To"), Some(tag), "{ack}");
    let bye = lab.expect(ua.at, "BYE");
    assert_eq!(bye.tag("To"), Some(tag), "{bye}");
    assert_eq!(bye.cseq().0, ack.cseq().0 + 1);
    lab.send(ua.at, answer(&bye, 200, ""));
}

#[test]
fn a_bad_answer_of_one_phone_leaves_the_other_ringing() {
    let mut f = forked();
    let bad = f.desk.answer(&f.at_desk, 200, "d").sdp(refused());
    f.lab.send(f.desk.at, bad);
    let_go(&mut f.lab, &f.desk, "d");
    f.lab.nothing_left();
    assert_eq!(f.lab.engine.active_calls(), 1, "it rings on");
    let mut b = Leg::called(&f.soft, &f.at_soft, "s");
    f.lab.send(f.soft.at, f.soft.answer(&f.at_soft, 200, "s").sdp(f.soft.sdp(4002)));
    let ok = f.lab.expect(f.pbx.at, "200");
    assert_eq!(ok.media_address(), site::GATE_OUTSIDE);
    f.a.learn(&ok);
    let ack = f.a.ack(&mut f.lab);
    f.lab.send(f.pbx.at, ack);
    f.lab.expect(f.soft.at, "ACK");
    f.lab.nothing_left();
    f.lab.hang_up(&mut b, &f.a);
    f.lab.end();
}

#[test]
fn bad_answers_of_every_phone_are_488() {
    let mut f = forked();
    f.lab.send(f.desk.at, f.desk.answer(&f.at_desk, 200, "d").sdp(refused()));
    let_go(&mut f.lab, &f.desk, "d");
    f.lab.nothing_left();
    f.lab.send(f.soft.at, f.soft.answer(&f.at_soft, 200, "s").sdp(refused()));
    let_go(&mut f.lab, &f.soft, "s");
    let no = f.lab.expect(f.pbx.at, "488");
    f.lab.send(f.pbx.at, f.a.ack_refusal(&no));
    f.lab.nothing_left();
    assert_eq!(f.lab.ends(), [("rejected", 488, "")]);
    f.lab.end();
}

#[test]
fn a_refusal_with_a_closed_body_counts_among_the_forks() {
    let mut f = forked();
    let no = answer(&f.at_desk, 486, "d").typed("text/html", "x").with("Content-Encoding", "gzip");
    f.lab.send(f.desk.at, no);
    f.lab.expect(f.desk.at, "ACK");
    f.lab.nothing_left();
    f.lab.send(f.soft.at, answer(&f.at_soft, 480, "s"));
    f.lab.expect(f.soft.at, "ACK");
    let no = f.lab.expect(f.pbx.at, "486");
    assert!(no.body.is_empty(), "{no}");
    f.lab.send(f.pbx.at, f.a.ack_refusal(&no));
    f.lab.end();
}

#[test]
fn a_bad_answer_that_comes_second_is_let_go_without_a_word_to_the_caller() {
    let mut f = forked();
    let mut b = Leg::called(&f.soft, &f.at_soft, "s");
    f.lab.send(f.soft.at, f.soft.answer(&f.at_soft, 200, "s").sdp(f.soft.sdp(4002)));
    let ok = f.lab.expect(f.pbx.at, "200");
    f.a.learn(&ok);
    let ack = f.a.ack(&mut f.lab);
    f.lab.send(f.pbx.at, ack);
    f.lab.expect(f.soft.at, "ACK");
    // It crosses the CANCEL.
    let cancel = f.lab.expect(f.desk.at, "CANCEL");
    f.lab.send(f.desk.at, f.desk.answer(&f.at_desk, 200, "d").sdp(refused()));
    f.lab.send(f.desk.at, answer(&cancel, 200, "d"));
    let_go(&mut f.lab, &f.desk, "d");
    f.lab.nothing_left();
    assert_eq!(f.lab.engine.active_calls(), 1);
    f.lab.hang_up(&mut b, &f.a);
    f.lab.end();
}

/// A call from the phone to the PBX that has its 100.
fn calling(port: u16) -> (Lab, Ua, Ua, Leg, Msg) {
    let mut lab = Lab::edge();
    let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
    let a = lab.call(&phone, "200", port);
    lab.expect(phone.at, "100");
    let invite = lab.expect(pbx.at, "INVITE");
    (lab, phone, pbx, a, invite)
}

#[test]
fn early_media_that_may_not_cross_are_not_shown_and_the_call_rings_on() {
    let (mut lab, phone, pbx, mut a, invite) = calling(4000);
    let b = Leg::called(&pbx, &invite, "b");
    lab.send(pbx.at, pbx.answer(&invite, 183, "b").sdp(refused()));
    let early = lab.expect(phone.at, "183");
    assert!(early.body.is_empty() && !early.has("Content-Type"), "{early}");
    assert_eq!(lab.relay.only().1.party(Side::Callee).rtp, None);
    lab.send(pbx.at, pbx.answer(&invite, 200, "b").sdp(pbx.sdp(6000)));
    let ok = lab.expect(phone.at, "200");
    assert_eq!(ok.media_address(), site::GATE_INSIDE);
    a.learn(&ok);
    let ack = a.ack(&mut lab);
    lab.send(phone.at, ack);
    lab.expect(pbx.at, "ACK");
    lab.hang_up(&mut a, &b);
    lab.end();
}

#[test]
fn a_refused_offer_in_an_unreliable_answer_is_not_shown_either() {
    let (mut lab, phone, pbx, mut a, invite) = calling(0);
    let b = Leg::called(&pbx, &invite, "b");
    lab.send(pbx.at, pbx.answer(&invite, 183, "b").sdp(refused()));
    assert!(lab.expect(phone.at, "183").body.is_empty());
    lab.send(pbx.at, pbx.answer(&invite, 200, "b").sdp(pbx.sdp(6000)));
    let ok = lab.expect(phone.at, "200");
    a.learn(&ok);
    let ack = a.ack(&mut lab).sdp(phone.sdp(4000));
    lab.send(phone.at, ack);
    assert_eq!(lab.expect(pbx.at, "ACK").media_address(), site::GATE_OUTSIDE);
    lab.hang_up(&mut a, &b);
    lab.end();
}

/// A reliable 183 that the caller could not acknowledge with a right answer: the branch is cancelled.
#[test]
fn a_reliable_answer_that_may_not_cross_is_cancelled_and_the_caller_told_488() {
    for port in [4000, 0] {
        let (mut lab, phone, pbx, a, invite) = calling(port);
        let early = pbx.answer(&invite, 183, "b").with("Require", "100rel").with("RSeq", "7");
        let early = early.sdp(refused());
        lab.send(pbx.at, early.clone());
        let cancel = lab.expect(pbx.at, "CANCEL");
        assert_eq!(cancel.branch(), invite.branch());
        let no = lab.expect(phone.at, "488");
        lab.send(phone.at, a.ack_refusal(&no));
        // Repeated before it heard of the CANCEL: nothing new.
        lab.send(pbx.at, early);
        lab.send(pbx.at, answer(&cancel, 200, "b"));
        lab.send(pbx.at, answer(&invite, 487, "b"));
        lab.expect(pbx.at, "ACK");
        lab.nothing_left();
        assert_eq!(lab.ends(), [("rejected", 488, "")]);
        lab.end();
    }
}

#[test]
fn a_reliable_answer_of_one_phone_that_may_not_cross_leaves_the_other_ringing() {
    let mut f = forked();
    let early = f.desk.answer(&f.at_desk, 183, "d").with("Require", "100rel").with("RSeq", "7");
    f.lab.send(f.desk.at, early.sdp(refused()));
    let cancel = f.lab.expect(f.desk.at, "CANCEL");
    f.lab.send(f.desk.at, answer(&cancel, 200, "d"));
    f.lab.send(f.desk.at, answer(&f.at_desk, 487, "d"));
    f.lab.expect(f.desk.at, "ACK");
    f.lab.nothing_left();
    let mut b = Leg::called(&f.soft, &f.at_soft, "s");
    f.lab.send(f.soft.at, f.soft.answer(&f.at_soft, 200, "s").sdp(f.soft.sdp(4002)));
    let ok = f.lab.expect(f.pbx.at, "200");
    f.a.learn(&ok);
    let ack = f.a.ack(&mut f.lab);
    f.lab.send(f.pbx.at, ack);
    f.lab.expect(f.soft.at, "ACK");
    f.lab.hang_up(&mut b, &f.a);
    f.lab.end();
}

#[test]
fn an_answer_that_crosses_that_cancel_is_acknowledged_and_let_go() {
    let (mut lab, phone, pbx, a, invite) = calling(4000);
    let early = pbx.answer(&invite, 183, "b").with("Require", "100rel").with("RSeq", "7");
    lab.send(pbx.at, early.sdp(refused()));
    let cancel = lab.expect(pbx.at, "CANCEL");
    let no = lab.expect(phone.at, "488");
    lab.send(phone.at, a.ack_refusal(&no));
    let ok = pbx.answer(&invite, 200, "b").sdp(pbx.sdp(6000));
    lab.send(pbx.at, ok.clone());
    lab.send(pbx.at, answer(&cancel, 481, "b"));
    let_go(&mut lab, &pbx, "b");
    for _ in 0..10 {
        lab.advance(ms(3_100));
        lab.send(pbx.at, ok.clone());
        lab.expect(pbx.at, "ACK");
        lab.nothing_left();
    }
    assert_eq!((lab.engine.active_calls(), lab.relay.open.len()), (0, 0));
    lab.end();
}

#[test]
fn a_2xx_after_the_caller_was_told_otherwise_is_acknowledged_and_let_go() {
    // Ended here while it rang; the answer was under way.
    let (mut lab, phone, pbx, a, invite) = calling(4000);
    lab.send(pbx.at, pbx.answer(&invite, 180, "b"));
    lab.expect(phone.at, "180");
    lab.input(Input::HangUpAll);
    let cancel = lab.expect(pbx.at, "CANCEL");
    let no = lab.expect(phone.at, "503");
    lab.send(phone.at, a.ack_refusal(&no));
    lab.send(pbx.at, pbx.answer(&invite, 200, "b").sdp(pbx.sdp(6000)));
    lab.send(pbx.at, answer(&cancel, 481, "b"));
    let_go(&mut lab, &pbx, "b");
    lab.nothing_left();
    lab.end();

    // Timer C, the CANCEL and its wait have run out; the callee answers all the same.
    let (mut lab, phone, pbx, a, invite) = calling(4000);
    lab.send(pbx.at, pbx.answer(&invite, 180, "b"));
    lab.expect(phone.at, "180");
    let c = lab.config.timers.c;
    lab.advance(c);
    let cancel = lab.expect(pbx.at, "CANCEL");
    lab.send(pbx.at, answer(&cancel, 481, "b"));
    lab.send(pbx.at, pbx.answer(&invite, 200, "b").sdp(pbx.sdp(6000)));
    let ok = lab.expect(phone.at, "200");
    let mut a = a;
    a.learn(&ok);
    let ack = a.ack(&mut lab);
    lab.send(phone.at, ack);
    lab.expect(pbx.at, "ACK");
    let b = Leg::called(&pbx, &invite, "b");
    lab.hang_up(&mut a, &b);
    lab.end();
}

#[test]
fn a_fork_that_answers_when_the_call_is_over_is_let_go_here() {
    let (mut lab, phone, pbx, mut a, invite) = calling(4000);
    let b = Leg::called(&pbx, &invite, "one");
    lab.send(pbx.at, pbx.answer(&invite, 200, "one").sdp(pbx.sdp(6000)));
    let ok = lab.expect(phone.at, "200");
    a.learn(&ok);
    let ack = a.ack(&mut lab);
    lab.send(phone.at, ack);
    lab.expect(pbx.at, "ACK");
    lab.hang_up(&mut a, &b);
    let late = pbx.answer(&invite, 200, "two").sdp(pbx.sdp(7000));
    lab.send(pbx.at, late.clone());
    let_go(&mut lab, &pbx, "two");
    lab.send(pbx.at, late);
    lab.expect(pbx.at, "ACK");
    // The first again, for its ACK was lost: that party has been told BYE.
    lab.send(pbx.at, pbx.answer(&invite, 200, "one").sdp(pbx.sdp(6000)));
    assert_eq!(lab.expect(pbx.at, "ACK").tag("To"), Some("one"));
    lab.nothing_left();
    lab.end();
}

#[test]
fn an_answer_that_passed_passes_again_whatever_is_thought_of_it_now() {
    let (mut lab, phone, pbx, mut a, invite) = calling(4000);
    let b = Leg::called(&pbx, &invite, "b");
    let answer = pbx.answer(&invite, 200, "b").sdp(pbx.sdp(6000));
    lab.send(pbx.at, answer.clone());
    let ok = lab.expect(phone.at, "200");
    a.learn(&ok);
    let elsewhere = "198.51.100.0/24".parse().expect("a network");
    lab.reload(|c| c.interfaces[1].networks = vec![elsewhere]);
    lab.send(pbx.at, pbx.answer(&invite, 200, "b").sdp(sdp("203.0.113.11", 6000)));
    assert_eq!(lab.expect(phone.at, "200").tag("To"), Some("b"));
    let ack = a.ack(&mut lab);
    lab.send(phone.at, ack);
    lab.expect(pbx.at, "ACK");
    lab.nothing_left();
    lab.hang_up(&mut a, &b);
    lab.end();
}

#[test]
fn who_answers_with_ever_new_tags_is_let_go_as_often_as_a_call_may_fork() {
    let (mut lab, phone, pbx, a, invite) = calling(4000);
    for n in 0..100 {
        lab.send(pbx.at, pbx.answer(&invite, 200, &format!("t{n}")).sdp(refused()));
    }
    let no = lab.expect(phone.at, "488");
    lab.send(phone.at, a.ack_refusal(&no));
    let sent = lab.take(pbx.at);
    let count = |method: &str| sent.iter().filter(|m| m.method() == method).count();
    assert_eq!((count("ACK"), count("BYE"), sent.len()), (16, 16, 32));
    for bye in sent.iter().filter(|m| m.method() == "BYE") {
        lab.send(pbx.at, answer(bye, 200, ""));
    }
    lab.nothing_left();
    lab.end();
}
