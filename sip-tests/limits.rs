//! Caps at n and n+1, and what hostile input costs (contract "Limits").

use crate::lab::script::answer;
use crate::lab::{Lab, Msg, Ua, ms, s, site};
use portreeve::engine::Input;
use portreeve::engine::digest::Users;

fn parties(lab: &Lab) -> (Ua, Ua) {
    (lab.phone("101", "10.17.0.21:5060"), lab.far("200"))
}

fn statuses(msgs: &[Msg]) -> Vec<u16> {
    msgs.iter().map(Msg::status).collect()
}

#[test]
fn an_empty_pool_answers_503() {
    // Eight ports a side: two streams with a pair on each side… and the third finds none.
    let mut lab = Lab::edge_with(|c| c.media.ports = (20000, 20003));
    let (phone, pbx) = parties(&lab);
    let (mut a, b) = lab.establish(&phone, &pbx);
    let (mut c, d) = lab.establish(&phone, &pbx);
    let full = lab.call(&phone, "200", 4000);
    let answers = lab.take(phone.at);
    assert_eq!(answers.last().map(Msg::status), Some(503));
    let last = answers.last().expect("an answer");
    assert!(last.has("Retry-After"), "{last}");
    lab.send(phone.at, full.ack_refusal(last));
    lab.nothing_left();
    assert_eq!(lab.stats().ports_exhausted, 1);
    assert_eq!(lab.ends(), [("no_capacity", 503, "")]);
    // An end gives the ports back at once: no packet came.
    lab.hang_up(&mut a, &b);
    let (mut e, f) = lab.establish(&phone, &pbx);
    lab.hang_up(&mut c, &d);
    lab.hang_up(&mut e, &f);
    lab.end();
}

#[test]
fn the_last_call_is_let_in_and_the_next_is_503() {
    let mut lab = Lab::edge_with(|c| c.limits.calls = 2);
    let (phone, pbx) = parties(&lab);
    let _one = lab.establish(&phone, &pbx);
    let (mut c, d) = lab.establish(&phone, &pbx);
    lab.call(&phone, "200", 4000);
    let no = lab.expect(phone.at, "503");
    assert!(no.has("Retry-After"));
    lab.nothing_left();
    assert_eq!(lab.ends(), [("no_capacity", 503, "")]);
    lab.hang_up(&mut c, &d);
    lab.establish(&phone, &pbx);
    lab.end();
}

#[test]
fn a_users_own_cap_is_486() {
    let mut lab = Lab::edge_with(|c| c.limits.calls_per_user = 1);
    let (phone, pbx) = parties(&lab);
    lab.register(&phone, 600);
    lab.establish(&phone, &pbx);
    lab.call(&phone, "200", 4000);
    lab.expect(phone.at, "486");
    let other = lab.phone("102", "10.17.0.22:5060");
    lab.register(&other, 600);
    lab.establish(&other, &pbx);
    lab.end();
}

#[test]
fn caps_never_stop_a_dialog() {
    let mut lab = Lab::edge_with(|c| {
        c.limits.calls = 1;
        c.limits.dialogs = 1;
    });
    let (phone, pbx) = parties(&lab);
    let (mut a, b) = lab.establish(&phone, &pbx);
    let invite = a.request(&mut lab, "INVITE").sdp(phone.sdp(4000));
    lab.send(phone.at, invite);
    lab.expect(phone.at, "100");
    let got = lab.expect(pbx.at, "INVITE");
    lab.send(pbx.at, pbx.answer(&got, 200, "").sdp(pbx.sdp(6000)));
    lab.expect(phone.at, "200");
    let ack = a.ack(&mut lab);
    lab.send(phone.at, ack);
    lab.expect(pbx.at, "ACK");
    lab.hang_up(&mut a, &b);
    lab.end();
}

#[test]
fn transactions_of_one_source_are_capped_and_upstreams_exempt() {
    let mut lab = Lab::edge_with(|c| c.limits.transactions_per_source = 2);
    let (phone, pbx) = parties(&lab);
    for _ in 0..2 {
        let message = phone.request(&mut lab, "MESSAGE", "200").typed("text/plain", "x");
        lab.send(phone.at, message);
        lab.expect(pbx.at, "MESSAGE");
    }
    let message = phone.request(&mut lab, "MESSAGE", "200").typed("text/plain", "x");
    lab.send(phone.at, message);
    lab.expect(phone.at, "503");
    lab.nothing_left();
    let other = lab.phone("102", "10.17.0.22:5060");
    let sealed = lab.register(&other, 600);
    for _ in 0..5 {
        let message = pbx.request_to(&mut lab, "MESSAGE", &sealed).typed("text/plain", "x");
        lab.send(pbx.at, message);
        lab.expect(other.at, "MESSAGE");
    }
    lab.advance(s(40));
    lab.clear();
    lab.end();
}

#[test]
fn the_last_transaction_is_let_in_and_the_next_is_503_outside_dialogs_only() {
    let mut lab = Lab::edge_with(|c| c.limits.transactions = 3);
    let (phone, pbx) = parties(&lab);
    let (mut a, b) = lab.establish(&phone, &pbx);
    lab.advance(s(35));
    for expected in [pbx.at, pbx.at, pbx.at, phone.at] {
        let message = phone.request(&mut lab, "MESSAGE", "200").typed("text/plain", "x");
        lab.send(phone.at, message);
        let first = lab.next(expected).expect("passed or refused");
        assert!(first.method() == "MESSAGE" || first.status() == 503, "{first}");
    }
    lab.hang_up(&mut a, &b);
    lab.advance(s(40));
    lab.clear();
    lab.end();
}

#[test]
fn the_last_subscription_is_let_in_and_the_next_is_503() {
    let mut lab = Lab::edge_with(|c| c.limits.dialogs = 1);
    let (phone, pbx) = parties(&lab);
    let subscribe = phone.request(&mut lab, "SUBSCRIBE", "200").with("Event", "dialog");
    lab.send(phone.at, subscribe);
    let got = lab.expect(pbx.at, "SUBSCRIBE");
    lab.send(pbx.at, pbx.answer(&got, 200, "b").with("Expires", "600"));
    lab.expect(phone.at, "200");
    let subscribe = phone.request(&mut lab, "SUBSCRIBE", "200").with("Event", "dialog");
    lab.send(phone.at, subscribe);
    assert!(lab.expect(phone.at, "503").has("Retry-After"));
    lab.nothing_left();
}

/// A REGISTER of `ua` from its port: what the registrar or the gateway says to it.
fn registered(lab: &mut Lab, user: &str, port: u16, expires: u32) -> u16 {
    let phone = lab.phone(user, &format!("10.17.0.21:{port}"));
    let register = phone
        .request_to(lab, "REGISTER", "sip:pbx.example.com")
        .set("To", format!("<sip:{user}@pbx.example.com>"))
        .with("Expires", expires.to_string());
    lab.send(phone.at, register);
    if let Some(got) = lab.next(lab.pbx()) {
        let ok = answer(&got, 200, "r");
        let contact = format!("<{}>;expires={expires}", got.contact());
        let ok = if expires > 0 { ok.with("Contact", contact) } else { ok };
        lab.send(lab.pbx(), ok);
    }
    let answers = lab.take(phone.at);
    answers.last().map(Msg::status).unwrap_or_default()
}

#[test]
fn bindings_are_capped_by_user_and_in_total_and_refreshes_always_fit() {
    for local in [false, true] {
        let change = |c: &mut portreeve::config::Config| {
            (c.limits.bindings_per_user, c.limits.bindings) = (2, 3);
            c.registrar.digest = false;
        };
        let mut lab = if local { Lab::site_with(change) } else { Lab::edge_with(change) };
        assert_eq!(registered(&mut lab, "101", 5001, 600), 200, "{local}");
        assert_eq!(registered(&mut lab, "101", 5002, 600), 200, "{local}");
        assert_eq!(registered(&mut lab, "101", 5003, 600), 480, "{local}: a third of one user");
        assert_eq!(registered(&mut lab, "101", 5002, 600), 200, "{local}: a refresh");
        assert_eq!(registered(&mut lab, "102", 5004, 600), 200, "{local}");
        assert_eq!(registered(&mut lab, "103", 5005, 600), 503, "{local}: a fourth of all");
        assert_eq!(registered(&mut lab, "102", 5004, 600), 200, "{local}: a refresh of the last");
        assert_eq!(lab.stats().now.registrations, 3, "{local}");
        assert_eq!(registered(&mut lab, "101", 5001, 0), 200, "{local}: one goes");
        assert_eq!(registered(&mut lab, "103", 5005, 600), 200, "{local}: there is room again");
        assert_eq!(lab.stats().registrations[3], 2, "{local}: counted as limited");
        lab.clear();
    }
}

#[test]
fn draining_lets_calls_finish_and_no_new_ones_in() {
    let mut lab = Lab::edge();
    let (phone, pbx) = parties(&lab);
    let (mut a, b) = lab.establish(&phone, &pbx);
    lab.input(Input::Drain);
    assert!(lab.stats().now.draining);
    lab.call(&phone, "200", 4000);
    lab.expect(phone.at, "503");
    lab.hang_up(&mut a, &b);
    assert_eq!(lab.engine.active_calls(), 0);
    lab.end();
}

#[test]
fn a_flood_of_strangers_leaves_nothing_behind() {
    let mut lab = Lab::edge();
    lab.reload(|c| c.policy.default = portreeve::config::DefaultPolicy::Site);
    lab.checks.forgetful = true;
    for n in 0..2000_u32 {
        let ip = std::net::Ipv4Addr::from(0xc633_6400 + n % 250);
        let stranger = Ua::new(lab.outside(&format!("{ip}:5060")), "100");
        let method = ["INVITE", "OPTIONS", "REGISTER", "MESSAGE"][n as usize % 4];
        let request = stranger.request(&mut lab, method, "900");
        let size = bytes::Bytes::from(request.clone()).len();
        lab.send(stranger.at, request);
        let answers = lab.take(stranger.at);
        assert!(answers.len() <= 1, "{method}: {:?}", statuses(&answers));
        for a in &answers {
            assert!(a.bytes.len() * 2 <= size * 3, "{method}: {} for {size}\n{a}", a.bytes.len());
            assert!(a.status() >= 300 || method == "OPTIONS", "{a}");
        }
    }
    lab.nothing_left();
    assert_eq!(lab.stats().now.transactions, [0, 0]);
    assert_eq!(lab.stats().now.dialogs, 0);
    lab.end();
}

#[test]
fn options_of_inside_strangers_are_answered_and_leave_nothing_behind() {
    let mut lab = Lab::edge_with(|c| c.limits.transactions = 3);
    lab.reload(|c| c.policy.default = portreeve::config::DefaultPolicy::Site);
    for n in 0..50 {
        let stranger = lab.phone("900", &format!("10.17.0.{}:5060", 100 + n));
        for long in [false, true] {
            let ping = stranger.request_to(&mut lab, "OPTIONS", "sip:10.17.0.1");
            let ping = if long { ping.with("User-Agent", "x".repeat(200)) } else { ping };
            let size = bytes::Bytes::from(ping.clone()).len();
            lab.send(stranger.at, ping);
            let ok = lab.expect(stranger.at, "200");
            assert!(ok.bytes.len() * 2 <= size * 3, "{ok}");
            assert!(ok.has("Allow") || !long, "{ok}");
        }
    }
    assert_eq!(lab.stats().now.transactions, [0, 0]);
    lab.end();
}

/// Calls until `count` have been made, a hundred at a time, of every kind of end.
fn churn(count: usize) {
    let mut lab = Lab::edge_with(|c| c.media.ports = (20000, 20999));
    let (phone, pbx) = parties(&lab);
    lab.checks.forgetful = true;
    lab.checks.every = 64;
    lab.relay.quiet = true;
    let mut open = std::collections::VecDeque::new();
    for n in 0..count {
        let mut a = lab.call(&phone, "200", 4000);
        lab.expect(phone.at, "100");
        let invite = lab.expect(pbx.at, "INVITE");
        match n % 4 {
            0 | 1 => {
                let b = crate::lab::Leg::called(&pbx, &invite, "b");
                lab.send(pbx.at, pbx.answer(&invite, 200, "b").sdp(pbx.sdp(6000)));
                let ok = lab.expect(phone.at, "200");
                a.learn(&ok);
                let ack = a.ack(&mut lab);
                lab.send(phone.at, ack);
                lab.expect(pbx.at, "ACK");
                open.push_back((a, b));
            }
            2 => {
                lab.send(pbx.at, answer(&invite, 486, "b"));
                lab.expect(pbx.at, "ACK");
                let no = lab.expect(phone.at, "486");
                lab.send(phone.at, a.ack_refusal(&no));
            }
            _ => {
                lab.send(pbx.at, pbx.answer(&invite, 180, "b"));
                lab.expect(phone.at, "180");
                lab.send(phone.at, a.cancel());
                lab.expect(phone.at, "200");
                let cancel = lab.expect(pbx.at, "CANCEL");
                lab.send(pbx.at, answer(&cancel, 200, "b"));
                lab.send(pbx.at, answer(&invite, 487, "b"));
                lab.expect(pbx.at, "ACK");
                let no = lab.expect(phone.at, "487");
                lab.send(phone.at, a.ack_refusal(&no));
            }
        }
        if open.len() > 50 {
            let (mut a, b) = open.pop_front().expect("an open call");
            lab.hang_up(&mut a, &b);
        }
        lab.advance(ms(200));
        lab.records.clear();
        lab.notices.clear();
    }
    while let Some((mut a, b)) = open.pop_front() {
        lab.hang_up(&mut a, &b);
    }
    lab.records.clear();
    lab.end();
    let ports = lab.stats().now.ports;
    assert_eq!(ports.map(|p| p.free), [1000, 1000], "every port is free again");
}

/// How many calls [`a_million_calls_leave_no_port_behind`] makes: the million in release runs.
const CALLS: &str = "PORTREEVE_CHURN_CALLS";

#[test]
fn a_million_calls_leave_no_port_behind() {
    let count = std::env::var(CALLS).ok().and_then(|n| n.parse().ok()).unwrap_or(2_000);
    churn(count);
}

#[test]
fn a_refer_outside_dialogs_counts_as_one() {
    let mut lab = Lab::edge_with(|c| c.limits.dialogs = 2);
    let (phone, pbx) = parties(&lab);
    for status in ["202", "202", "503"] {
        let to = "<sip:300@pbx.example.com>";
        let refer = phone.request(&mut lab, "REFER", "200").with("Refer-To", to);
        lab.send(phone.at, refer);
        if let Some(got) = lab.next(pbx.at) {
            lab.send(pbx.at, pbx.answer(&got, 202, "n"));
        }
        lab.expect(phone.at, status);
    }
    lab.nothing_left();
    assert_eq!(lab.stats().now.dialogs, 2);
    lab.advance(s(200));
    lab.end();
}

#[test]
fn emergency_calls_pass_every_cap_up_to_the_reserve() {
    let text = site::EDGE.replace("default = \"allow\"", "default = \"site\"");
    let limits = "[limits]\ncalls = 1\ndialogs = 20\n";
    let mut lab = Lab::with(site::parse(&format!("{text}\n{limits}")), Users::None);
    let (nobody, pbx) = (lab.phone("199", "10.17.0.29:5060"), lab.far("112"));
    for n in 0..22 {
        // No session description: no relay port bounds them.
        let invite = nobody.request(&mut lab, "INVITE", "112");
        lab.send(nobody.at, invite);
        lab.expect(nobody.at, "100");
        let got = lab.expect(pbx.at, "INVITE");
        lab.send(pbx.at, pbx.answer(&got, 180, &format!("t{n}")));
        lab.expect(nobody.at, "180");
    }
    let invite = nobody.request(&mut lab, "INVITE", "112");
    lab.send(nobody.at, invite);
    let full = lab.expect(nobody.at, "503");
    assert!(full.has("Retry-After"), "{full}");
    lab.nothing_left();
    assert_eq!(lab.stats().now.dialogs, 22);
}
