//! Session descriptions that may not cross where somebody already holds the answer for good: who
//! offered is told 488, who answered gets the ACK it needs, and the session stays as it was.

use crate::lab::script::{Text, answer};
use crate::lab::{Lab, Leg, Msg, Ua, Version, ms, s, sdp, site};

fn parties(lab: &Lab) -> (Ua, Ua) {
    (lab.phone("101", "10.17.0.21:5060"), lab.far("200"))
}

/// A description that is refused on both sides.
fn refused() -> String {
    sdp("127.0.0.1", 6000)
}

/// What the relay was told of its only stream.
fn streams(lab: &Lab) -> String {
    format!("{:?}", lab.relay.open.values().map(|s| s.legs).collect::<Vec<_>>())
}

/// A re-INVITE from `from` with `offer`, as it arrives at `to`.
#[track_caller]
fn reinvite(lab: &mut Lab, from: &mut Leg, to: &Leg, offer: Option<String>) -> Msg {
    let mut invite = from.request(lab, "INVITE");
    if let Some(offer) = offer {
        invite = invite.sdp(offer);
    }
    lab.send(from.ua.at, invite);
    lab.expect(from.ua.at, "100");
    lab.expect(to.ua.at, "INVITE")
}

/// 488 for who asked, acknowledged.
#[track_caller]
fn told_488(lab: &mut Lab, from: &Leg) {
    let no = lab.expect(from.ua.at, "488");
    assert!(no.body.is_empty(), "{no}");
    lab.send(from.ua.at, from.ack_refusal(&no));
}

/// The ACK of a 2xx as the answerer must get it: that INVITE's number, the dialog's tags.
#[track_caller]
fn acknowledged(lab: &mut Lab, at: &Leg, invite: &Msg) -> Msg {
    let ack = lab.expect(at.ua.at, "ACK");
    assert_eq!(ack.cseq(), (invite.cseq().0, "ACK"), "{ack}");
    assert_eq!(ack.call_id(), invite.call_id());
    assert_eq!(ack.tag("From"), invite.tag("From"));
    assert_ne!(ack.branch(), invite.branch(), "an ACK to a 2xx is a transaction of its own");
    let target = at.ua.contact();
    assert_eq!(format!("<{}>", ack.uri()), target);
    ack
}

#[test]
fn whichever_side_asked_the_answerer_gets_its_ack_and_the_session_stays() {
    for version in Version::ALL {
        for caller_asks in [true, false] {
            let mut lab = Lab::of(version, site::EDGE, |_| {});
            let (phone, pbx) = parties(&lab);
            let (mut a, mut b) = lab.establish(&phone, &pbx);
            let before = streams(&lab);
            let (from, to) = if caller_asks { (&mut a, &b) } else { (&mut b, &a) };
            let offer = from.ua.sdp(4400);
            let invite = reinvite(&mut lab, from, to, Some(offer));
            let ok = to.ua.answer(&invite, 200, "").sdp(refused());
            lab.send(to.ua.at, ok.clone());
            let ack = acknowledged(&mut lab, to, &invite);
            told_488(&mut lab, from);
            lab.nothing_left();
            // §13.2.2.4: "an ACK each time the 2xx arrives".
            for _ in 0..3 {
                lab.advance(ms(500));
                lab.send(to.ua.at, ok.clone());
                let again = acknowledged(&mut lab, to, &invite);
                assert_eq!(again.bytes, ack.bytes, "the same ACK");
                lab.nothing_left();
            }
            assert_eq!(streams(&lab), before, "the media are what they were");
            assert_eq!(lab.engine.active_calls(), 1);
            // And the next one may succeed.
            let offer = from.ua.sdp(4400);
            let invite = reinvite(&mut lab, from, to, Some(offer));
            lab.send(to.ua.at, to.ua.answer(&invite, 200, "").sdp(to.ua.sdp(6600)));
            lab.expect(from.ua.at, "200");
            let ack = from.ack(&mut lab);
            lab.send(from.ua.at, ack);
            lab.expect(to.ua.at, "ACK");
            assert_ne!(streams(&lab), before);
            lab.hang_up(&mut a, &b);
            lab.end();
        }
    }
}

#[test]
fn the_first_answer_gets_ack_and_bye_and_its_repetitions_the_ack_again() {
    for version in Version::ALL {
        for outwards in [true, false] {
            let mut lab = Lab::of(version, site::EDGE, |_| {});
            let (phone, pbx) = parties(&lab);
            let sealed = lab.register(&phone, 600);
            let (caller, callee) = if outwards { (&phone, &pbx) } else { (&pbx, &phone) };
            let to = if outwards { "sip:200@pbx.example.com".to_owned() } else { sealed };
            let text = caller.request_to(&mut lab, "INVITE", &to).sdp(caller.sdp(4000));
            lab.send(caller.at, text.clone());
            let a = Leg::calling(caller, &text);
            lab.expect(caller.at, "100");
            let invite = lab.expect(callee.at, "INVITE");
            let b = Leg::called(callee, &invite, "b");
            let ok = callee.answer(&invite, 200, "b").sdp(refused());
            lab.send(callee.at, ok.clone());
            let ack = acknowledged(&mut lab, &b, &invite);
            let bye = lab.expect(callee.at, "BYE");
            assert_eq!(bye.cseq(), (invite.cseq().0 + 1, "BYE"));
            assert_eq!((bye.tag("To"), ack.tag("To")), (Some("b"), Some("b")));
            told_488(&mut lab, &a);
            lab.send(callee.at, answer(&bye, 200, ""));
            lab.nothing_left();
            // The ACK was lost: the 2xx comes again, whatever became of the caller.
            for _ in 0..3 {
                lab.advance(ms(400));
                lab.send(callee.at, ok.clone());
                let again = acknowledged(&mut lab, &b, &invite);
                assert_eq!(again.bytes, ack.bytes);
                lab.nothing_left();
            }
            assert_eq!((lab.engine.active_calls(), lab.relay.open.len()), (0, 0));
            assert_eq!(lab.ends(), [("rejected", 488, "")]);
            lab.end();
        }
    }
}

#[test]
fn over_a_stream_the_pass_is_gone_and_the_ack_is_not() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let pbx = lab.far("200");
        let phone = Ua::new(lab.inside_tcp("10.17.0.21:40000"), "101");
        let a = lab.call(&phone, "200", 4000);
        lab.expect(phone.at, "100");
        let invite = lab.expect(pbx.at, "INVITE");
        let b = Leg::called(&pbx, &invite, "b");
        let ok = pbx.answer(&invite, 200, "b").sdp(refused());
        lab.send(pbx.at, ok.clone());
        acknowledged(&mut lab, &b, &invite);
        let bye = lab.expect(pbx.at, "BYE");
        told_488(&mut lab, &a);
        lab.advance(s(4));
        lab.take(pbx.at);
        lab.send(pbx.at, ok);
        acknowledged(&mut lab, &b, &invite);
        lab.send(pbx.at, answer(&bye, 200, ""));
        lab.nothing_left();
        lab.end();
    }
}

/// Every stream of an answer is refused, each in its place (RFC 3264 §6).
#[track_caller]
fn refuses_all(msg: &Msg, streams: usize) {
    assert_eq!(msg.header("Content-Type"), "application/sdp");
    assert_eq!(msg.media_ports(), vec![0; streams], "{msg}");
}

#[test]
fn a_late_offer_that_may_not_cross_is_answered_by_a_refusal_in_the_ack_and_bye() {
    for version in Version::ALL {
        // §13.2.2.4: "If the offer in the 2xx response is not acceptable … the UAC core MUST generate a
        // valid answer in the ACK and then send a BYE immediately."
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (phone, pbx) = parties(&lab);
        let a = lab.call(&phone, "200", 0);
        lab.expect(phone.at, "100");
        let invite = lab.expect(pbx.at, "INVITE");
        let b = Leg::called(&pbx, &invite, "b");
        let offer = format!("{}m=video 6100 RTP/AVP 96\r\n", refused());
        lab.send(pbx.at, pbx.answer(&invite, 200, "b").sdp(offer));
        refuses_all(&acknowledged(&mut lab, &b, &invite), 2);
        let bye = lab.expect(pbx.at, "BYE");
        lab.send(pbx.at, answer(&bye, 200, ""));
        told_488(&mut lab, &a);
        lab.nothing_left();
        lab.end();
    }
}

#[test]
fn a_late_offer_in_a_reinvite_that_may_not_cross_ends_the_call_on_both_sides() {
    for version in Version::ALL {
        for caller_asks in [true, false] {
            let mut lab = Lab::of(version, site::EDGE, |_| {});
            let (phone, pbx) = parties(&lab);
            let (mut a, mut b) = lab.establish(&phone, &pbx);
            let (from, to) = if caller_asks { (&mut a, &b) } else { (&mut b, &a) };
            let invite = reinvite(&mut lab, from, to, None);
            lab.send(to.ua.at, to.ua.answer(&invite, 200, "").sdp(refused()));
            refuses_all(&acknowledged(&mut lab, to, &invite), 1);
            told_488(&mut lab, from);
            for leg in [from.ua.at, to.ua.at] {
                let bye = lab.expect(leg, "BYE");
                lab.send(leg, answer(&bye, 200, ""));
            }
            lab.nothing_left();
            assert_eq!(lab.ends(), [("answered", 200, "error")]);
            lab.end();
        }
    }
}

#[test]
fn an_answer_in_an_ack_that_may_not_cross_reaches_nobody_and_ends_the_call() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (phone, pbx) = parties(&lab);
        let mut a = lab.call(&phone, "200", 0);
        lab.expect(phone.at, "100");
        let invite = lab.expect(pbx.at, "INVITE");
        let b = Leg::called(&pbx, &invite, "b");
        lab.send(pbx.at, pbx.answer(&invite, 200, "b").sdp(pbx.sdp(6000)));
        let ok = lab.expect(phone.at, "200");
        a.learn(&ok);
        let ack = a.ack(&mut lab).sdp(refused());
        lab.send(phone.at, ack);
        refuses_all(&acknowledged(&mut lab, &b, &invite), 1);
        for leg in [phone.at, pbx.at] {
            let bye = lab.expect(leg, "BYE");
            lab.send(leg, answer(&bye, 200, ""));
        }
        lab.nothing_left();
        lab.end();
    }
}

#[test]
fn a_reinvite_that_the_bye_overtakes_is_answered_and_its_2xx_acknowledged() {
    for version in Version::ALL {
        for caller_asks in [true, false] {
            let mut lab = Lab::of(version, site::EDGE, |_| {});
            let (phone, pbx) = parties(&lab);
            let (mut a, mut b) = lab.establish(&phone, &pbx);
            let (from, to) = if caller_asks { (&mut a, &mut b) } else { (&mut b, &mut a) };
            let offer = from.ua.sdp(4400);
            let invite = reinvite(&mut lab, from, to, Some(offer));
            lab.hang_up(to, from);
            let ok = to.ua.answer(&invite, 200, "").sdp(to.ua.sdp(6600));
            lab.send(to.ua.at, ok.clone());
            acknowledged(&mut lab, to, &invite);
            let no = lab.expect(from.ua.at, "481");
            lab.send(from.ua.at, from.ack_refusal(&no));
            lab.send(to.ua.at, ok);
            acknowledged(&mut lab, to, &invite);
            lab.nothing_left();
            lab.end();
        }
    }
}

/// A request with an offer within the dialog, answered by 2xx with a description that is refused.
#[track_caller]
fn answered_badly(lab: &mut Lab, from: &Ua, to: &Ua, text: Text) {
    let method = text.start.split(' ').next().unwrap_or_default().to_owned();
    lab.send(from.at, text);
    let got = lab.expect(to.at, &method);
    let ok = to.answer(&got, 200, "").sdp(refused());
    lab.send(to.at, ok.clone());
    let no = lab.expect(from.at, "488");
    assert!(no.body.is_empty(), "{no}");
    assert_eq!(no.cseq().1, method);
    lab.send(to.at, ok);
    lab.nothing_left();
}

#[test]
fn an_update_whose_answer_may_not_cross_gets_488_and_nothing_is_kept() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (phone, pbx) = parties(&lab);
        let (mut a, mut b) = lab.establish(&phone, &pbx);
        let before = streams(&lab);
        for n in 0..5 {
            for (from, to) in [(&mut a, &pbx), (&mut b, &phone)] {
                let ua = from.ua.clone();
                let update = from.request(&mut lab, "UPDATE").sdp(ua.sdp(4200 + 2 * n));
                answered_badly(&mut lab, &ua, to, update);
                assert_eq!(streams(&lab), before);
            }
        }
        lab.advance(s(40));
        assert_eq!(lab.stats().now.transactions, [0, 0], "each has ended");
        assert_eq!(lab.engine.active_calls(), 1);
        lab.hang_up(&mut a, &b);
        lab.end();
    }
}

#[test]
fn a_prack_whose_answer_may_not_cross_gets_488() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (phone, pbx) = parties(&lab);
        let mut a = lab.call(&phone, "200", 4000);
        lab.expect(phone.at, "100");
        let invite = lab.expect(pbx.at, "INVITE");
        let b = Leg::called(&pbx, &invite, "b");
        let early = pbx.answer(&invite, 183, "b").with("Require", "100rel").with("RSeq", "7");
        lab.send(pbx.at, early.sdp(pbx.sdp(6000)));
        let early = lab.expect(phone.at, "183");
        a.learn(&early);
        let before = streams(&lab);
        let prack = a.request(&mut lab, "PRACK").with("RAck", "7 1 INVITE").sdp(phone.sdp(4200));
        answered_badly(&mut lab, &phone, &pbx, prack);
        assert_eq!(streams(&lab), before);
        lab.send(pbx.at, pbx.answer(&invite, 200, "b"));
        let ok = lab.expect(phone.at, "200");
        a.learn(&ok);
        let ack = a.ack(&mut lab).set("CSeq", "1 ACK");
        lab.send(phone.at, ack);
        lab.expect(pbx.at, "ACK");
        lab.hang_up(&mut a, &b);
        lab.end();
    }
}

#[test]
fn what_negotiates_nothing_changes_no_media_whatever_it_carries() {
    for version in Version::ALL {
        let mut lab = Lab::of(version, site::EDGE, |_| {});
        let (phone, pbx) = parties(&lab);
        let (mut a, mut b) = lab.establish(&phone, &pbx);
        let before = streams(&lab);
        for (from, to) in [(&mut a, &pbx), (&mut b, &phone)] {
            for method in ["INFO", "MESSAGE", "OPTIONS"] {
                let video = format!("{}m=video 4100 RTP/AVP 96\r\n", from.ua.sdp(4400));
                let text = from.request(&mut lab, method).sdp(video);
                lab.send(from.ua.at, text);
                let got = lab.expect(to.at, method);
                lab.send(to.at, answer(&got, 200, "").sdp(refused()));
                let ok = lab.expect(from.ua.at, "200");
                assert!(ok.body.starts_with("v=0"), "{ok}");
                assert_eq!(streams(&lab), before, "{method}");
            }
        }
        // None of them is an offer that waits for an answer.
        let offer = phone.sdp(4000);
        let invite = reinvite(&mut lab, &mut a, &b, Some(offer));
        lab.send(pbx.at, pbx.answer(&invite, 200, "").sdp(pbx.sdp(6000)));
        lab.expect(phone.at, "200");
        let ack = a.ack(&mut lab);
        lab.send(phone.at, ack);
        lab.expect(pbx.at, "ACK");
        lab.hang_up(&mut a, &b);
        lab.end();
    }
}

#[test]
fn a_refused_offer_takes_the_streams_it_opened_with_it() {
    for version in Version::ALL {
        for caller_asks in [true, false] {
            let mut lab = Lab::of(version, site::EDGE, |_| {});
            let (phone, pbx) = parties(&lab);
            let (mut a, mut b) = lab.establish(&phone, &pbx);
            let before = streams(&lab);
            for answers in [488, 200] {
                let (from, to) = if caller_asks { (&mut a, &b) } else { (&mut b, &a) };
                let offer = format!("{}m=video 4100 RTP/AVP 96\r\n", from.ua.sdp(4000));
                let invite = reinvite(&mut lab, from, to, Some(offer));
                assert_eq!(lab.relay.open.len(), 2);
                let text = to.ua.answer(&invite, answers, "");
                lab.send(to.ua.at, if answers == 200 { text.sdp(refused()) } else { text });
                lab.expect(to.ua.at, "ACK");
                told_488(&mut lab, from);
                assert_eq!(streams(&lab), before);
            }
            // Silence is supervised as before: the stream that was not taken up delays nothing.
            lab.relay.silent = true;
            lab.advance(s(61));
            assert_eq!(lab.ends(), [("answered", 200, "media_timeout")]);
            lab.clear();
            lab.end();
        }
    }
}
