//! A new configuration while calls are up (contract: calls under way keep the verdict they have).

use crate::lab::digest::again;
use crate::lab::{Lab, Leg, Msg, Ua, s, site};
use portreeve::config::{Config, DefaultPolicy, Learn, Upstream};
use portreeve::engine::Health;
use portreeve::engine::digest::Users;
use portreeve::relay::{Command, Expect, Leg as Party};
use std::collections::BTreeSet;

#[test]
fn calls_under_way_keep_the_verdict_they_have() {
    let mut lab = Lab::edge();
    let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
    let (mut a, b) = lab.establish(&phone, &pbx);
    lab.reload(|c| c.policy.default = DefaultPolicy::Deny);
    let invite = a.request(&mut lab, "INVITE").sdp(phone.sdp(4000));
    lab.send(phone.at, invite);
    lab.expect(phone.at, "100");
    let got = lab.expect(pbx.at, "INVITE");
    lab.send(pbx.at, pbx.answer(&got, 200, "").sdp(pbx.sdp(6000)));
    lab.expect(phone.at, "200");
    let ack = a.ack(&mut lab);
    lab.send(phone.at, ack);
    lab.expect(pbx.at, "ACK");
    lab.call(&phone, "200", 4000);
    assert_eq!(lab.take(phone.at).last().map(Msg::status), Some(403), "a new one is judged anew");
    lab.hang_up(&mut a, &b);
    lab.end();
}

#[test]
fn bindings_and_ringing_calls_live_through_a_reload() {
    let mut lab = Lab::edge();
    let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
    let sealed = lab.register(&phone, 600);
    let mut a = lab.call(&phone, "200", 4000);
    lab.expect(phone.at, "100");
    let got = lab.expect(pbx.at, "INVITE");
    lab.reload(|c| c.limits.calls = 1);
    lab.send(pbx.at, pbx.answer(&got, 200, "b").sdp(pbx.sdp(6000)));
    let ok = lab.expect(phone.at, "200");
    a.learn(&ok);
    let ack = a.ack(&mut lab);
    lab.send(phone.at, ack);
    lab.expect(pbx.at, "ACK");
    let message = pbx.request_to(&mut lab, "MESSAGE", &sealed).typed("text/plain", "x");
    lab.send(pbx.at, message);
    lab.expect(phone.at, "MESSAGE");
    lab.call(&phone, "200", 4000);
    lab.expect(phone.at, "503");
    lab.advance(s(40));
    lab.clear();
    lab.end();
}

#[test]
fn every_rule_name_has_its_counter_from_the_start() {
    let mut lab = Lab::edge();
    assert!(lab.stats().decisions.contains_key("default:allow"));
    let more =
        format!("{}\n[[rule]]\nname = \"late\"\nside = \"inside\"\nallow = {{}}\n", site::EDGE);
    lab.reload(|c| *c = site::parse(&more));
    assert_eq!(lab.stats().decisions["late"], [0, 0]);
    lab.end();
}

fn up(lab: &mut Lab) -> (Leg, Leg) {
    let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
    lab.establish(&phone, &pbx)
}

/// Another upstream of the same interface.
fn trunk(c: &Config) -> Upstream {
    Upstream {
        name: "trunk".to_owned(),
        targets: vec![site::target("203.0.113.20:5060")],
        domain: "trunk.example.net".to_owned(),
        sources: vec!["203.0.113.20/32".parse().unwrap()],
        ..c.upstreams[0].clone()
    }
}

#[test]
fn a_call_keeps_its_upstream_when_the_file_lists_it_elsewhere_or_no_more() {
    let mut lab = Lab::edge();
    let (mut a, mut b) = up(&mut lab);
    lab.reload(|c| {
        let new = trunk(c);
        c.upstreams.insert(0, new);
    });
    let call = lab.engine.calls(lab.now).0[0].view.call;
    let named = |lab: &Lab| lab.engine.call(call, lab.now).unwrap().callees[0].upstream.clone();
    assert_eq!(named(&lab).as_deref(), Some("pbx"));
    let info = b.request(&mut lab, "INFO").typed("application/dtmf-relay", "Signal=5\r\n");
    lab.send(b.ua.at, info);
    let got = lab.expect(a.ua.at, "INFO");
    lab.send(a.ua.at, a.ua.answer(&got, 200, ""));
    lab.expect(b.ua.at, "200");
    lab.reload(|c| {
        c.upstreams.remove(1);
    });
    assert_eq!(named(&lab).as_deref(), Some("pbx"), "the call still goes there");
    lab.hang_up(&mut b, &a);
    assert_eq!(lab.ends(), [("answered", 200, "callee")]);
    let phone: Ua = a.ua.clone();
    a = lab.call(&phone, "200", 4000);
    lab.expect(phone.at, "100");
    let new = lab.outside("203.0.113.20:5060");
    let invite = lab.expect(new, "INVITE");
    lab.send(new, Ua::new(new, "200").answer(&invite, 486, "t"));
    let busy = lab.expect(phone.at, "486");
    lab.expect(new, "ACK");
    lab.send(phone.at, a.ack_refusal(&busy));
    lab.end();
}

#[test]
fn silence_is_judged_by_what_held_at_the_answer() {
    let mut lab = Lab::edge();
    lab.relay.silent = true;
    up(&mut lab);
    let limit = |lab: &Lab| lab.relay.open.values().map(|s| s.idle).max().flatten();
    assert_eq!(limit(&lab), Some(s(60)));
    lab.reload(|c| c.media.idle = Some(s(20)));
    assert_eq!(limit(&lab), Some(s(60)));
    lab.advance(s(61));
    assert_eq!(lab.ends(), [("answered", 200, "media_timeout")]);
    lab.clear();
    up(&mut lab);
    lab.advance(s(21));
    assert_eq!(lab.ends().len(), 2, "a new call ends after 20 s");
    lab.clear();
    lab.advance(s(64));
    lab.clear();
    lab.end();
}

#[test]
fn media_sources_are_learned_as_the_interface_says_now() {
    let mut lab = Lab::edge();
    let (mut a, b) = up(&mut lab);
    let expect = |lab: &Lab| lab.relay.only().1.party(Party::Caller).expect;
    assert_eq!(expect(&lab), Expect::SameIp("10.17.0.21".parse().unwrap()));
    lab.reload(|c| c.interfaces[0].learn = Learn::Strict);
    assert_eq!(expect(&lab), Expect::SameIp("10.17.0.21".parse().unwrap()), "it stays");
    lab.hang_up(&mut a, &b);
    let (mut a, b) = up(&mut lab);
    assert_eq!(expect(&lab), Expect::Exact);
    lab.hang_up(&mut a, &b);
    lab.reload(|c| c.interfaces[1].dscp_media = 0);
    let (mut a, b) = up(&mut lab);
    let opened = lab.relay.log.iter().rev().find_map(|c| match c {
        Command::Open { legs, .. } => Some(legs.map(|l| l.dscp)),
        _ => None,
    });
    assert_eq!(opened, Some([46, 0]));
    lab.hang_up(&mut a, &b);
    lab.end();
}

#[test]
fn keep_alives_begin_end_and_are_not_put_off() {
    let mut lab = Lab::edge();
    let pbx = lab.pbx().addr();
    let count =
        |lab: &mut Lab| std::mem::take(&mut lab.pings).iter().filter(|p| **p == pbx).count();
    lab.reload(|c| c.interfaces[1].keepalive = Some(s(25)));
    lab.advance(s(24));
    lab.reload(|c| c.limits.calls = 7);
    lab.advance(s(2));
    assert_eq!(count(&mut lab), 1, "another reload does not begin anew");
    lab.reload(|c| c.interfaces[1].keepalive = None);
    lab.advance(s(60));
    assert_eq!(count(&mut lab), 0);
    lab.end();
}

#[test]
fn probes_begin_end_and_are_not_put_off() {
    let mut lab = Lab::edge();
    let (pbx, far) = (lab.pbx(), lab.far("200"));
    let answered = |lab: &mut Lab| {
        let all = lab.take(pbx);
        for probe in &all {
            lab.send(pbx, far.answer(probe, 200, "p"));
        }
        // A probe that waits for its answer is sent again.
        all.iter().map(Msg::call_id).collect::<BTreeSet<_>>().len()
    };
    lab.reload(|c| c.upstreams[0].probe = Some(s(30)));
    lab.advance(s(2));
    assert_eq!(answered(&mut lab), 1, "the first comes soon");
    for n in 0..5 {
        lab.reload(|c| c.limits.calls = 50 + n);
        lab.advance(s(5));
    }
    assert_eq!(answered(&mut lab), 0, "reloads ask for no probe");
    lab.advance(s(5));
    assert_eq!(answered(&mut lab), 1, "nor do they put it off");
    lab.reload(|c| c.upstreams[0].probe = None);
    lab.advance(s(60));
    assert_eq!(answered(&mut lab), 0);
    assert_eq!(lab.upstream("pbx").health, Health::Unknown, "who is not asked is not known");
    // Under way while its upstream goes: the answer counts for nobody.
    lab.reload(|c| c.upstreams[0].probe = Some(s(30)));
    lab.advance(s(1));
    lab.reload(|c| {
        let new = trunk(c);
        c.upstreams[0] = new;
    });
    let counts = |lab: &Lab| lab.stats().upstreams.iter().map(|u| u.probes).collect::<Vec<_>>();
    let before = counts(&lab);
    assert_eq!(answered(&mut lab), 1);
    assert_eq!(counts(&lab), before);
    lab.advance(s(64));
    lab.clear();
    lab.end();
}

#[test]
fn who_may_register_and_for_how_long_follows_the_file() {
    let mut lab = Lab::site();
    let phone = lab.local_phone("101", "10.17.0.21:5060");
    lab.reload(|c| {
        c.registrar.min_expires = s(300);
        c.registrar.digest = false;
    });
    let register = |lab: &mut Lab, expires: &str| {
        let text = phone.request_to(lab, "REGISTER", "sip:10.17.0.1");
        let text = text.set("To", format!("<{}>", phone.aor())).with("Expires", expires);
        lab.send(phone.at, text);
    };
    register(&mut lab, "299");
    let told = lab.expect(phone.at, "423");
    assert_eq!(told.header("Min-Expires"), "300");
    register(&mut lab, "300");
    lab.expect(phone.at, "200");
    lab.reload(|c| c.registrar.digest = true);
    lab.users(Users::Shared { password: "another-one".to_owned() });
    for (password, want) in [(site::PASSWORD, "403"), ("another-one", "200")] {
        let register = lab.local_register(&phone, 600);
        lab.send(phone.at, register.clone());
        let challenged = lab.expect(phone.at, "401");
        let again = again(&mut lab, &register, &challenged, &phone, password);
        lab.send(phone.at, again);
        lab.expect(phone.at, want);
        lab.advance(s(1));
    }
    lab.end();
}

#[test]
fn headers_are_stripped_as_the_rules_say_now() {
    let mut lab = Lab::edge();
    let pbx = lab.pbx();
    let sealed = {
        let phone = lab.phone("101", "10.17.0.21:5060");
        lab.register(&phone, 600)
    };
    let phone = lab.phone("101", "10.17.0.21:5060");
    let send = |lab: &mut Lab| {
        let far = lab.far("200");
        let message = far.request_to(lab, "MESSAGE", &sealed).with("X-Desk", "7");
        lab.send(pbx, message.typed("text/plain", "x"));
        let got = lab.expect(phone.at, "MESSAGE");
        lab.send(phone.at, phone.answer(&got, 200, "m"));
        lab.expect(pbx, "200");
        got.all("X-Desk").join(",")
    };
    assert_eq!(send(&mut lab), "7");
    let rule = "[[rule]]\nname = \"plain\"\nside = \"outside\"\nallow = { strip = [\"X-*\"] }\n";
    let text = format!("{}\n{rule}", site::EDGE);
    lab.reload(|c| *c = site::parse(&text));
    assert_eq!(send(&mut lab), "");
    lab.reload(|c| *c = site::edge());
    assert_eq!(send(&mut lab), "7");
    lab.end();
}
