//! The site alone: no target of an upstream answers, and phones on one table call each other.

mod attacks;
mod emergencies;
mod inheritance;
mod moving_tunnel;
mod refused;
mod refusing;
mod registers;
mod renamed;
mod serving;
mod starving;
mod within;

use crate::lab::script::{Text, answer};
use crate::lab::{Lab, Leg, Msg, Ua, s, site};
use portreeve::audit::{Record, Ruling};
use portreeve::engine::Input;
use portreeve::engine::digest::Users;
use portreeve::engine::stats::AloneResult;

/// In front of a PBX, and able to live without it.
fn surviving(more: &str) -> Lab {
    let text = site::EDGE.replace("auth = \"off\"", "auth = \"network\"");
    Lab::with(site::parse(&format!("{text}\n{more}")), Users::None)
}

/// Two phones that the PBX knows.
fn phones(lab: &mut Lab) -> (Ua, Ua) {
    let all = (lab.phone("101", "10.17.0.21:5060"), lab.phone("102", "10.17.0.22:5060"));
    lab.register(&all.0, 600);
    lab.register(&all.1, 600);
    all
}

/// What the PBX gets is lost, until the site is alone.
#[track_caller]
fn pull(lab: &mut Lab, phone: &Ua) {
    let asked = phone.request(lab, "OPTIONS", "200");
    lab.send(phone.at, asked);
    lab.advance(s(3));
    assert!(lab.upstream("pbx").alone.is_some(), "{}", lab.situation());
    lab.clear();
}

/// The PBX answers OPTIONS for so many seconds, and nothing else comes to it.
fn answers(lab: &mut Lab, seconds: u64) -> Vec<Msg> {
    let (mut others, pbx) = (Vec::new(), lab.pbx());
    for _ in 0..seconds * 4 {
        for asked in lab.take(pbx) {
            if asked.method() == "OPTIONS" {
                lab.send(pbx, answer(&asked, 200, "o"));
            } else {
                others.push(asked);
            }
        }
        lab.advance(std::time::Duration::from_millis(250));
    }
    others
}

fn count(lab: &Lab, result: AloneResult) -> u64 {
    lab.stats().alone[result as usize]
}

/// A REGISTER, and what became of it.
fn register(lab: &mut Lab, ua: &Ua, change: impl Fn(Text) -> Text) -> Option<Msg> {
    let uri = format!("sip:{}", ua.domain);
    let text = ua.request_to(lab, "REGISTER", &uri);
    let text = change(text.set("To", format!("<{}>", ua.aor())).with("Expires", "600"));
    lab.send(ua.at, text);
    lab.take(ua.at).pop()
}

/// One call between two phones from beginning to end.
#[track_caller]
fn converse(lab: &mut Lab, a: &Ua, b: &Ua) {
    let (mut one, other) = lab.establish(a, b);
    lab.hang_up(&mut one, &other);
    lab.take_all();
}

fn systems(lab: &Lab) -> Vec<&'static str> {
    let event = |r: &Record| match r {
        Record::System { event, .. } => Some(*event),
        _ => None,
    };
    lab.records.iter().filter_map(event).collect()
}

#[test]
fn phones_of_the_site_call_each_other_and_outside_numbers_say_why_not() {
    let mut lab = surviving("");
    let (a, b) = phones(&mut lab);
    pull(&mut lab, &a);
    converse(&mut lab, &a, &b);
    // By our own address, too, and as a number.
    for uri in ["sip:102@10.17.0.1", "tel:102", "sip:102@10.17.0.1:5060;user=phone"] {
        let invite = a.request_to(&mut lab, "INVITE", uri).sdp(a.sdp(4000));
        lab.send(a.at, invite.clone());
        let rung = lab.expect(b.at, "INVITE");
        assert!(rung.media_address().starts_with("10.17.0.1"), "through the relay: {rung}");
        lab.send(b.at, b.answer(&rung, 486, "busy"));
        lab.expect(b.at, "ACK");
        assert_eq!(lab.take(a.at).last().map(Msg::status), Some(486), "{uri}");
        lab.send(a.at, Leg::calling(&a, &invite).ack_refusal(&answered(&rung)));
        lab.take_all();
    }
    let call = lab.call(&a, "0301234567", 4000);
    let told = lab.take(a.at).pop().expect("an answer");
    assert_eq!(told.status(), 503);
    assert!(told.start.contains("Outside Cannot Be Reached"), "{}", told.start);
    assert_eq!(told.header("Retry-After"), "30");
    lab.send(a.at, call.ack_refusal(&told));
    assert_eq!((count(&lab, AloneResult::Call), count(&lab, AloneResult::Refused)), (4, 2));
    assert_eq!(systems(&lab), ["alone"]);
    lab.take_all();
    lab.end();
}

fn ended(record: &Record) -> Option<portreeve::audit::Outcome> {
    match record {
        Record::CallEnd(end) => Some(end.outcome),
        _ => None,
    }
}

fn answered(rung: &Msg) -> Msg {
    let text = answer(rung, 486, "busy");
    Msg::read(rung.flow, &bytes::Bytes::from(text))
}

#[test]
fn a_call_that_waits_for_the_dead_outside_rings_on_the_next_desk() {
    let mut lab = surviving("");
    let (a, b) = phones(&mut lab);
    let mut call = lab.call(&a, "102", 4000);
    lab.expect(a.at, "100");
    lab.advance(std::time::Duration::from_millis(1_900));
    assert!(lab.take(b.at).is_empty());
    lab.advance(std::time::Duration::from_millis(200));
    let rung = lab.expect(b.at, "INVITE");
    lab.send(b.at, b.answer(&rung, 200, "t").sdp(b.sdp(6000)));
    let ok = lab.expect(a.at, "200");
    call.learn(&ok);
    let ack = call.ack(&mut lab);
    lab.send(a.at, ack);
    lab.expect(b.at, "ACK");
    // It left the PBX: that is no call that failed.
    let ends: Vec<_> = lab.records.iter().filter_map(ended).collect();
    assert_eq!(ends, [portreeve::audit::Outcome::Rerouted]);
    let other = Leg::called(&b, &rung, "t");
    // What was sent out is not sent again.
    let pbx = lab.pbx();
    lab.take(pbx);
    lab.advance(s(20));
    assert!(lab.take(pbx).iter().all(|m| m.method() == "OPTIONS"));
    lab.hang_up(&mut call, &other);
    lab.take_all();
    lab.end();
}

#[test]
fn who_answers_after_all_what_was_taken_back_is_sent_away() {
    let mut lab = surviving("");
    let (a, b) = phones(&mut lab);
    let call = lab.call(&a, "102", 4000);
    let late = lab.expect(lab.pbx(), "INVITE");
    lab.advance(s(3));
    let rung = lab.expect(b.at, "INVITE");
    lab.take_all();
    let pbx = lab.far("102");
    lab.send(pbx.at, pbx.answer(&late, 180, "late"));
    assert_eq!(lab.take(pbx.at).pop().map(|m| m.method().to_owned()).as_deref(), Some("CANCEL"));
    lab.send(pbx.at, pbx.answer(&late, 200, "late").sdp(pbx.sdp(6000)));
    let sent: Vec<String> = lab.take(pbx.at).iter().map(|m| m.method().to_owned()).collect();
    assert!(sent.contains(&"ACK".to_owned()) && sent.contains(&"BYE".to_owned()), "{sent:?}");
    assert!(lab.take(a.at).is_empty(), "the caller hears nothing of it");
    lab.send(b.at, b.answer(&rung, 486, "busy"));
    lab.expect(b.at, "ACK");
    let busy = lab.expect(a.at, "486");
    lab.send(a.at, call.ack_refusal(&busy));
    lab.take_all();
    lab.end();
}

#[test]
fn messages_and_subscriptions_between_phones_go_as_far_as_they_can() {
    let mut lab = surviving("");
    let (a, b) = phones(&mut lab);
    pull(&mut lab, &a);
    let text = a.request(&mut lab, "MESSAGE", "102").typed("text/plain", "hello");
    lab.send(a.at, text);
    let got = lab.expect(b.at, "MESSAGE");
    lab.send(b.at, answer(&got, 200, "m"));
    lab.expect(a.at, "200");
    let watch = a.request(&mut lab, "SUBSCRIBE", "102").with("Event", "dialog");
    lab.send(a.at, watch.with("Expires", "60"));
    let got = lab.expect(b.at, "SUBSCRIBE");
    lab.send(b.at, b.answer(&got, 200, "s").with("Expires", "60"));
    let ok = lab.expect(a.at, "200");
    let mut back = Leg::called(&b, &got, "s");
    let state = "<?xml version=\"1.0\"?><dialog-info version=\"1\" state=\"full\"/>";
    let notify = back
        .request(&mut lab, "NOTIFY")
        .with("Event", "dialog")
        .with("Subscription-State", "active;expires=60")
        .typed("application/dialog-info+xml", state);
    lab.send(b.at, notify);
    let got = lab.expect(a.at, "NOTIFY");
    assert_eq!(got.tag("From"), ok.tag("To"));
    lab.send(a.at, answer(&got, 200, ""));
    lab.expect(b.at, "200");
    // Its own voice mail, its own presence, and a list of the PBX's are beyond it.
    for (method, to) in [("SUBSCRIBE", "101"), ("PUBLISH", "101"), ("SUBSCRIBE", "blf-list")] {
        let asked = a.request(&mut lab, method, to).with("Event", "message-summary");
        lab.send(a.at, asked.with("Expires", "60"));
        assert_eq!(lab.take(a.at).pop().map(|m| m.status()), Some(503), "{method} {to}");
    }
    assert_eq!(count(&lab, AloneResult::Request), 2);
    lab.take_all();
    lab.end();
}

#[test]
fn what_proves_a_phone_to_the_pbx_is_shown_to_no_other_phone() {
    let mut lab = surviving("");
    let (a, b) = phones(&mut lab);
    pull(&mut lab, &a);
    let secret = "Digest username=\"101\", realm=\"pbx.example.com\", nonce=\"n\", \
                  uri=\"sip:102@pbx.example.com\", response=\"00000000000000000000000000000000\"";
    let text = a.request(&mut lab, "MESSAGE", "102").typed("text/plain", "hello");
    lab.send(a.at, text.with("Proxy-Authorization", secret).with("Authorization", secret));
    let got = lab.expect(b.at, "MESSAGE");
    assert!(!got.has("Proxy-Authorization") && !got.has("Authorization"), "{got}");
    lab.send(b.at, answer(&got, 200, "m"));
    lab.take_all();
    // Nor may one call in another's name, which nobody else looks at now.
    let lie = format!("<{}>;tag=lie", b.aor());
    let text = a.request(&mut lab, "MESSAGE", "102").set("From", lie).typed("text/plain", "x");
    lab.send(a.at, text);
    assert_eq!(lab.take(a.at).pop().map(|m| m.status()), Some(403));
    lab.take_all();
    lab.end();
}

#[test]
fn strangers_of_the_site_are_put_through_to_nobody() {
    let mut lab = surviving("[[rule]]\nname = \"all\"\nallow = {}\n");
    lab.reload(|c| c.policy.default = portreeve::config::DefaultPolicy::Site);
    lab.reload(|c| c.policy.rules.clear());
    let (a, _) = phones(&mut lab);
    pull(&mut lab, &a);
    let stranger = lab.phone("103", "10.17.0.66:5060");
    lab.call(&stranger, "102", 4000);
    assert_eq!(lab.take(stranger.at).pop().map(|m| m.status()), Some(403));
    lab.take_all();
    lab.end();
}

#[test]
fn switched_off_nothing_changes() {
    let mut lab = Lab::edge();
    let (a, b) = phones(&mut lab);
    let call = lab.call(&a, "102", 4000);
    lab.advance(s(31));
    assert!(lab.upstream("pbx").alone.is_none());
    let pbx = lab.pbx();
    assert!(lab.take(pbx).iter().all(|m| m.method() == "INVITE"), "nobody is asked anything");
    lab.advance(s(2));
    let told = lab.take(a.at).pop().expect("an answer");
    assert_eq!(told.status(), 408);
    lab.send(a.at, call.ack_refusal(&told));
    assert!(lab.take(b.at).is_empty());
    assert!(lab.stored.keys().all(|k| matches!(k, portreeve::engine::Key::Binding(_))));
    lab.take_all();
    lab.end();
}

#[test]
fn it_is_switched_while_it_runs() {
    let mut lab = surviving("");
    let (a, b) = phones(&mut lab);
    pull(&mut lab, &a);
    lab.reload(|c| c.survive.auth = portreeve::config::SurviveAuth::Off);
    assert!(lab.upstream("pbx").alone.is_none());
    lab.call(&a, "102", 4000);
    lab.expect(lab.pbx(), "INVITE");
    lab.reload(|c| c.survive.auth = portreeve::config::SurviveAuth::Network);
    lab.take_all();
    lab.advance(s(40));
    lab.take_all();
    pull(&mut lab, &a);
    converse(&mut lab, &a, &b);
    lab.end();
}

#[test]
fn a_call_that_is_up_is_not_touched_and_goes_on_when_the_outside_is_back() {
    let mut lab = surviving("");
    let (a, b) = phones(&mut lab);
    let (mut out, far) = {
        let far = lab.far("200");
        lab.establish(&b, &far)
    };
    pull(&mut lab, &a);
    let (mut one, other) = lab.establish(&a, &b);
    answers(&mut lab, 12);
    assert!(lab.upstream("pbx").alone.is_none());
    lab.hang_up(&mut one, &other);
    lab.take_all();
    lab.hang_up(&mut out, &far);
    lab.take_all();
    assert_eq!(systems(&lab), ["alone", "serving"]);
    lab.input(Input::Timeout);
    lab.end();
}

#[test]
fn a_call_that_is_refused_when_it_is_looked_at_anew_is_recorded_as_refused_and_has_no_end() {
    let mut lab = surviving("");
    let (phone, _) = phones(&mut lab);
    lab.call(&phone, "200", 4000);
    lab.expect(phone.at, "100");
    // What was allowed is not when the PBX is missed.
    let rule = "[[rule]]\nname = \"none\"\nnumber = [\"200\"]\ndeny = { code = 403 }\n";
    let denied = site::parse(&format!("{}{rule}", site::EDGE));
    lab.reload(|c| c.policy.rules = denied.policy.rules);
    lab.advance(s(3));
    assert!(lab.upstream("pbx").alone.is_some(), "{}", lab.situation());
    let told: Vec<u16> = lab.take(phone.at).iter().map(Msg::status).collect();
    assert_eq!(told.first(), Some(&503), "{told:?}");
    let attempt = |r: &Record| match r {
        Record::CallAttempt { call, verdict, .. } => Some((*call, *verdict)),
        _ => None,
    };
    let all: Vec<_> = lab.records.iter().filter_map(attempt).collect();
    let verdicts: Vec<Ruling> = all.iter().map(|(_, verdict)| *verdict).collect();
    assert_eq!(verdicts, [Ruling::Allow, Ruling::Deny]);
    let end = |r: &Record| match r {
        Record::CallEnd(end) => Some(end.call),
        _ => None,
    };
    let ends: Vec<_> = lab.records.iter().filter_map(end).collect();
    assert_eq!(ends, [all[0].0], "one end, of the one that began");
    lab.take_all();
    lab.end();
}
