//! Calls of which nothing is heard any more, and that silence of media does not end: without media,
//! on hold, where `media.idle` is off, or whose BYE was challenged and never came again. Each has an
//! end all the same, and none before its time.

use crate::lab::script::{Text, answer};
use crate::lab::{Lab, Leg, Msg, Ua, s, sdp, site};
use portreeve::config::{Config, Environment, show};
use portreeve::engine::Input;
use portreeve::relay::quality::Figures;
use portreeve::relay::{Event, Leg as Side};
use std::time::Duration;

/// The file's own: `limits.silent_call`.
const LIMIT: Duration = s(4 * 3_600);
const MINUTE: Duration = s(60);

fn parties(lab: &Lab) -> (Ua, Ua) {
    (lab.phone("101", "10.17.0.21:5060"), lab.far("200"))
}

/// A call as both describe it (or do not); `rows` of the 2xx.
fn call(lab: &mut Lab, offer: &str, answered: &str, rows: &[(&str, &str)]) -> (Leg, Leg) {
    let (phone, pbx) = parties(lab);
    let invite = phone.request(lab, "INVITE", "200").sdp(offer);
    lab.send(phone.at, invite.clone());
    let mut near = Leg::calling(&phone, &invite);
    lab.expect(phone.at, "100");
    let got = lab.expect(pbx.at, "INVITE");
    let far = Leg::called(&pbx, &got, "t");
    let ok = pbx.answer(&got, 200, "t").sdp(answered);
    let ok = rows.iter().fold(ok, |ok, (name, value)| ok.with(name, *value));
    lab.send(pbx.at, ok);
    let ok = lab.expect(phone.at, "200");
    near.learn(&ok);
    let ack = near.ack(lab);
    lab.send(phone.at, ack);
    lab.expect(pbx.at, "ACK");
    lab.nothing_left();
    (near, far)
}

/// Both had a BYE, and the books are closed.
#[track_caller]
fn ended(lab: &mut Lab, why: &str) {
    let (phone, pbx) = parties(lab);
    for at in [phone.at, pbx.at] {
        let got = lab.take(at);
        let byes: Vec<&Msg> = got.iter().filter(|m| m.method() == "BYE").collect();
        assert!(!byes.is_empty(), "no BYE to {}:\n{}", at.addr(), lab.situation());
    }
    assert_eq!(lab.ends(), [("answered", 200, why)]);
    assert_eq!(lab.engine.active_calls(), 0);
    lab.advance(s(64));
    lab.clear();
    lab.end();
}

/// Nothing is sent, and the call is up.
#[track_caller]
fn lives(lab: &Lab) {
    lab.nothing_left();
    assert_eq!((lab.engine.active_calls(), lab.ends().len()), (1, 0));
}

fn within(lab: &mut Lab, from: &mut Leg, to: &Leg, method: &str) {
    let text = from.request(lab, method);
    lab.send(from.ua.at, text);
    let got = lab.expect(to.ua.at, method);
    lab.send(to.ua.at, answer(&got, 200, ""));
    lab.expect(from.ua.at, "200");
}

#[test]
fn a_call_without_media_whose_parties_vanish_ends() {
    let refused = sdp("203.0.113.10", 0);
    let offer = sdp("10.17.0.21", 4000);
    let none = sdp("10.17.0.21", 0);
    for (offer, answered) in [("", ""), (&offer, &refused), (&none, &refused)] {
        let mut lab = Lab::edge();
        let _legs = call(&mut lab, offer, answered, &[]);
        lab.advance(LIMIT - s(1));
        lives(&lab);
        lab.advance(s(2));
        ended(&mut lab, "timeout");
        let told = lab.notices.iter().any(|(_, t)| t.contains("limits.silent_call"));
        assert!(told, "{:?}", lab.notices);
    }
}

/// A line that a new offer opened, and whose answer is missing in the 2xx, is not kept open, and its
/// call is not taken for one whose media somebody watches.
#[test]
fn a_call_whose_new_media_nobody_answered_ends() {
    for late in [false, true] {
        let mut lab = Lab::edge();
        let (mut near, mut far) = call(&mut lab, "", "", &[]);
        let described = |text: Text, whose: &str| text.sdp(sdp(whose, 4000));
        let mut asked = near.request(&mut lab, "INVITE");
        if !late {
            asked = described(asked, "10.17.0.21");
        }
        lab.send(near.ua.at, asked);
        lab.expect(near.ua.at, "100");
        let got = lab.expect(far.ua.at, "INVITE");
        let mut ok = answer(&got, 200, "");
        if late {
            ok = described(ok, "203.0.113.10");
        }
        lab.send(far.ua.at, ok);
        lab.expect(near.ua.at, "200");
        let ack = near.ack(&mut lab);
        lab.send(near.ua.at, ack);
        lab.expect(far.ua.at, "ACK");
        // An offer that is a response's may be answered in any later ACK; one of ours is over.
        assert_eq!(lab.relay.open.len(), usize::from(late), "late {late}");
        within(&mut lab, &mut far, &near, "INFO");
        lab.advance(LIMIT + s(1));
        ended(&mut lab, "timeout");
    }
}

#[test]
fn whatever_is_said_within_it_puts_the_end_off() {
    let mut lab = Lab::edge();
    let (mut near, mut far) = call(&mut lab, "", "", &[]);
    for _ in 0..3 {
        lab.advance(LIMIT - MINUTE);
        within(&mut lab, &mut near, &far, "INFO");
        lab.advance(LIMIT - MINUTE);
        within(&mut lab, &mut far, &near, "UPDATE");
    }
    lab.advance(LIMIT - s(1));
    lives(&lab);
    // Who is no party says nothing.
    let (thief, text) = (lab.phone("109", "10.17.0.29:5060"), near.request(&mut lab, "INFO"));
    lab.send(thief.at, text);
    lab.expect(thief.at, "403");
    lab.advance(s(2));
    ended(&mut lab, "timeout");
}

#[test]
fn a_call_on_hold_ends_when_nobody_is_there_and_not_while_music_plays() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let (mut near, _far) = lab.establish(&phone, &pbx);
    let held = near.request(&mut lab, "INVITE");
    lab.send(phone.at, held.sdp(phone.sdp(4000) + "a=sendonly\r\n"));
    let got = lab.expect(pbx.at, "INVITE");
    lab.expect(phone.at, "100");
    lab.send(pbx.at, pbx.answer(&got, 200, "").sdp(pbx.sdp(6000) + "a=recvonly\r\n"));
    lab.expect(phone.at, "200");
    let ack = near.ack(&mut lab);
    lab.send(phone.at, ack);
    lab.expect(pbx.at, "ACK");
    lab.relay.silent = true;
    let (stream, _) = lab.relay.only();
    for _ in 0..3 {
        lab.advance(LIMIT - MINUTE);
        let window = Figures { received: 500, ..Figures::default() };
        let figures = Box::new([window, window]);
        let event = Event::Measured { stream, leg: Side::Caller, figures };
        lab.input(Input::Relay(event));
    }
    lab.advance(LIMIT - s(1));
    lives(&lab);
    lab.advance(s(2));
    ended(&mut lab, "timeout");
}

#[test]
fn what_silence_of_media_watches_over_is_left_to_it() {
    for (idle, after, why) in [
        (Some(s(60)), s(60), "media_timeout"),
        // Longer than anything else would wait.
        (Some(LIMIT * 2), LIMIT * 2, "media_timeout"),
        (None, LIMIT, "timeout"),
    ] {
        let mut lab = Lab::edge_with(|c| c.media.idle = idle);
        let (phone, pbx) = parties(&lab);
        let _legs = lab.establish(&phone, &pbx);
        lab.relay.silent = true;
        // Supervision began with the 2xx.
        lab.advance(after - s(1));
        lives(&lab);
        lab.advance(s(2));
        ended(&mut lab, why);
    }
}

#[test]
fn a_line_that_is_disabled_later_is_media_no_more() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let (mut near, _far) = lab.establish(&phone, &pbx);
    lab.relay.silent = true;
    let none = near.request(&mut lab, "INVITE").sdp(phone.sdp(0));
    lab.send(phone.at, none);
    let got = lab.expect(pbx.at, "INVITE");
    lab.expect(phone.at, "100");
    lab.send(pbx.at, pbx.answer(&got, 200, "").sdp(pbx.sdp(0)));
    lab.expect(phone.at, "200");
    let ack = near.ack(&mut lab);
    lab.send(phone.at, ack);
    lab.expect(pbx.at, "ACK");
    lab.advance(LIMIT - s(1));
    lives(&lab);
    lab.advance(s(2));
    ended(&mut lab, "timeout");
}

#[test]
fn a_session_timer_that_both_agreed_on_says_when() {
    let mut lab = Lab::edge();
    let rows = [("Session-Expires", "1800;refresher=uac")];
    let (mut near, far) = call(&mut lab, "", "", &rows);
    for _ in 0..12 {
        lab.advance(s(900));
        let text = near.request(&mut lab, "UPDATE").with("Session-Expires", "1800");
        lab.send(near.ua.at, text);
        let got = lab.expect(far.ua.at, "UPDATE");
        let ok = answer(&got, 200, "").with("Session-Expires", "1800;refresher=uac");
        lab.send(far.ua.at, ok);
        lab.expect(near.ua.at, "200");
    }
    // Whoever watches it himself goes first (RFC 4028 §10).
    lab.advance(s(1800));
    lives(&lab);
    lab.advance(s(33));
    ended(&mut lab, "timeout");
}

#[test]
fn a_session_timer_is_as_long_as_the_last_answer_says() {
    for (value, after) in [
        // None any more, one that nobody keeps, one that lasts longer than the limit.
        ("", LIMIT),
        ("soon", LIMIT),
        ("4294967295", s(86_400 + 32)),
        ("28800", s(28_800 + 32)),
        ("1", s(90 + 32)),
    ] {
        let mut lab = Lab::edge();
        let (mut near, far) = call(&mut lab, "", "", &[("Session-Expires", "600")]);
        let text = near.request(&mut lab, "UPDATE");
        lab.send(near.ua.at, text);
        let got = lab.expect(far.ua.at, "UPDATE");
        let ok = answer(&got, 200, "");
        let ok = if value.is_empty() { ok } else { ok.with("x", value) };
        lab.send(far.ua.at, ok);
        lab.expect(near.ua.at, "200");
        lab.advance(after - s(1));
        lives(&lab);
        lab.advance(s(2));
        ended(&mut lab, "timeout");
    }
}

#[test]
fn media_that_flow_outlast_a_session_timer() {
    let mut lab = Lab::edge_with(|c| c.media.idle = None);
    let (offer, answered) = (sdp("10.17.0.21", 4000), sdp("203.0.113.10", 6000));
    let _legs = call(&mut lab, &offer, &answered, &[("Session-Expires", "600")]);
    let (stream, _) = lab.relay.only();
    for _ in 0..10 {
        lab.advance(s(500));
        let window = Figures { received: 500, ..Figures::default() };
        let figures = Box::new([window, window]);
        lab.input(Input::Relay(Event::Measured { stream, leg: Side::Callee, figures }));
    }
    lives(&lab);
    lab.advance(s(633));
    ended(&mut lab, "timeout");
}

/// A BYE that its far side challenges; the phone hears it.
fn challenged(lab: &mut Lab, from: &mut Leg, to: &Leg, status: u16) {
    let bye = from.request(lab, "BYE");
    lab.send(from.ua.at, bye);
    let got = lab.expect(to.ua.at, "BYE");
    let name = if status == 401 { "WWW-Authenticate" } else { "Proxy-Authenticate" };
    let no = answer(&got, status, "").with(name, "Digest realm=\"pbx\", nonce=\"1\"");
    lab.send(to.ua.at, no);
    lab.expect(from.ua.at, &status.to_string());
}

#[test]
fn a_bye_that_was_challenged_and_never_comes_again_has_ended_the_call() {
    for status in [401, 407] {
        for outwards in [true, false] {
            let mut lab = Lab::edge();
            // Media would end it, too; here they flow on.
            let (offer, answered) = (sdp("10.17.0.21", 4000), sdp("203.0.113.10", 6000));
            let (mut near, mut far) = call(&mut lab, &offer, &answered, &[]);
            let (from, to) = if outwards { (&mut near, &far) } else { (&mut far, &near) };
            challenged(&mut lab, from, to, status);
            lab.advance(s(31));
            lives(&lab);
            lab.advance(s(2));
            ended(&mut lab, if outwards { "caller" } else { "callee" });
        }
    }
}

#[test]
fn a_bye_that_comes_again_with_credentials_ends_it_as_any() {
    let mut lab = Lab::edge();
    let (mut near, far) = call(&mut lab, "", "", &[]);
    for _ in 0..3 {
        challenged(&mut lab, &mut near, &far, 407);
        lab.advance(s(20));
    }
    lab.hang_up(&mut near, &far);
    assert_eq!(lab.ends(), [("answered", 200, "caller")]);
    lab.advance(s(64));
    lab.nothing_left();
    lab.end();
}

#[test]
fn a_call_that_is_read_back_after_a_restart_ends_too() {
    let mut lab = Lab::edge();
    lab.input(Input::KeepCalls(true));
    let _legs = call(&mut lab, "", "", &[]);
    lab.advance(LIMIT - MINUTE);
    lab.restart();
    // What was said before nobody knows: it is waited for anew.
    lab.advance(LIMIT - s(1));
    lives(&lab);
    lab.advance(s(2));
    ended(&mut lab, "timeout");
    assert!(lab.stored.is_empty());
}

#[test]
fn the_limit_is_the_files() {
    let text = |line: &str| site::EDGE.replace("[media]", &format!("[limits]\n{line}\n[media]"));
    let parse = |line: &str| Config::parse("t", &text(line), &Environment::default());
    let config = parse("silent_call = \"30m\"").expect("a sound file");
    assert_eq!(config.limits.silent_call, s(1_800));
    assert!(show(&config).contains("silent_call = \"1800s\""), "{}", show(&config));
    for wrong in ["0s", "59s", "8d", "25h", "soon"] {
        let faults = parse(&format!("silent_call = \"{wrong}\"")).expect_err(wrong);
        assert!(faults.iter().any(|f| f.to_string().contains("silent_call")), "{wrong}");
    }
    let (_, changes) = config.clone().following(&site::edge());
    assert_eq!(changes.new_calls, ["limits.silent_call"]);
    // One that is up is looked at by the limit that is in force then.
    let mut lab = Lab::edge();
    let _legs = call(&mut lab, "", "", &[]);
    lab.reload(|c| c.limits.silent_call = LIMIT * 2);
    lab.advance(LIMIT * 2 - s(1));
    lives(&lab);
    lab.advance(s(2));
    ended(&mut lab, "timeout");
}
