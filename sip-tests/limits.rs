//! Caps at n and n+1, and what hostile input costs (contract "Limits").

use crate::lab::script::answer;
use crate::lab::{Lab, Msg, Ua, ms, s, site};
use portreeve::engine::Input;
use portreeve::engine::digest::Users;
use portreeve::engine::stats::ShareCount;
use portreeve::policy::quota::Resource;

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
fn registrations_that_end_together_end_a_few_at_a_time() {
    let mut lab = Lab::edge();
    for n in 0..130 {
        let user = format!("{}", 1000 + n);
        let phone = lab.phone(&user, &format!("10.17.1.{n}:5060"));
        lab.register(&phone, 600);
    }
    lab.advance(s(600));
    assert_eq!(lab.stats().now.registrations, 66);
    lab.advance(ms(5));
    assert_eq!(lab.stats().now.registrations, 2);
    lab.advance(ms(5));
    assert_eq!(lab.stats().now.registrations, 0);
    lab.end();
}

/// A MESSAGE from a phone, to a PBX that does not answer.
fn message(lab: &mut Lab, phone: &Ua) {
    let message = phone.request(lab, "MESSAGE", "200").typed("text/plain", "x");
    lab.send(phone.at, message);
}

#[test]
fn a_source_that_fills_the_table_gives_way_to_itself_and_to_all_others() {
    let mut lab = Lab::edge_with(|c| {
        (c.limits.transactions, c.limits.transactions_per_source) = (10, 4);
        c.limits.transactions_per_user = 4;
    });
    let (phone, pbx) = parties(&lab);
    let known = lab.phone("102", "10.17.0.22:5060");
    let sealed = lab.register(&known, 600);
    lab.advance(s(40));
    for n in 0..9 {
        message(&mut lab, &phone);
        assert_eq!(
            lab.expect(pbx.at, "MESSAGE").method(),
            "MESSAGE",
            "{n}: soft while there is room"
        );
    }
    message(&mut lab, &phone);
    assert!(
        lab.expect(phone.at, "503").has("Retry-After"),
        "the oldest, which waits for its answer"
    );
    lab.expect(pbx.at, "MESSAGE");
    let other = lab.phone("103", "10.17.0.23:5060");
    message(&mut lab, &other);
    lab.expect(pbx.at, "MESSAGE");
    lab.expect(phone.at, "503");
    message(&mut lab, &known);
    lab.expect(pbx.at, "MESSAGE");
    let shares = &lab.stats().shares[0][0];
    assert_eq!((shares.displaced, shares.refused), (2, 0));
    // An upstream has no share; what it brings for one phone has a user's.
    for n in 0..6 {
        let message = pbx.request_to(&mut lab, "MESSAGE", &sealed).typed("text/plain", "x");
        lab.send(pbx.at, message);
        assert_eq!(lab.next(known.at).is_some(), n < 4, "{n}");
    }
    lab.expect(pbx.at, "480");
    lab.advance(s(40));
    lab.clear();
    lab.end();
}

#[test]
fn what_is_proved_never_gives_way_and_calls_end_however_full_the_table_is() {
    let mut lab = Lab::edge_with(|c| {
        (c.limits.transactions, c.limits.transactions_per_user) = (10, 5);
    });
    let (phone, pbx) = parties(&lab);
    lab.register(&phone, 600);
    let other = lab.phone("102", "10.17.0.22:5060");
    lab.register(&other, 600);
    let (mut a, b) = lab.establish(&other, &pbx);
    lab.advance(s(40));
    for _ in 0..5 {
        message(&mut lab, &phone);
        lab.expect(pbx.at, "MESSAGE");
    }
    message(&mut lab, &phone);
    lab.expect(phone.at, "480");
    for _ in 0..4 {
        message(&mut lab, &other);
        lab.expect(pbx.at, "MESSAGE");
    }
    let third = lab.phone("103", "10.17.0.23:5060");
    message(&mut lab, &third);
    lab.expect(third.at, "503");
    assert_eq!(lab.security().iter().filter(|c| **c == "no_room").count(), 2);
    lab.nothing_left();
    lab.hang_up(&mut a, &b);
    lab.advance(s(40));
    lab.clear();
    lab.end();
}

#[test]
fn requests_within_a_call_fill_no_table_but_their_own() {
    let mut lab = Lab::edge_with(|c| {
        (c.limits.transactions, c.limits.transactions_per_user) = (10, 4);
    });
    let (phone, pbx) = parties(&lab);
    lab.register(&phone, 600);
    let (mut a, b) = lab.establish(&phone, &pbx);
    lab.advance(s(40));
    let mut told = Vec::new();
    for _ in 0..50 {
        let info = a.request(&mut lab, "INFO").typed("text/plain", "x");
        lab.send(phone.at, info);
        if lab.next(pbx.at).is_none() {
            told.push(lab.expect(phone.at, "503"));
        }
    }
    assert_eq!(told.len(), 45, "half of the table, and no more");
    assert!(told.iter().all(|no| no.has("Retry-After")));
    let other = lab.phone("102", "10.17.0.22:5060");
    lab.register(&other, 600);
    let (mut c, d) = lab.establish(&other, &pbx);
    lab.hang_up(&mut c, &d);
    let (mut c, d) = lab.establish(&phone, &pbx);
    lab.hang_up(&mut c, &d);
    lab.hang_up(&mut a, &b);
    lab.advance(s(40));
    lab.clear();
    lab.end();
}

#[test]
fn a_call_that_rings_gives_way_to_the_next_of_its_source_and_the_table_is_named() {
    let mut lab = Lab::edge_with(|c| c.limits.calls = 2);
    let (phone, pbx) = parties(&lab);
    for n in 0..3 {
        lab.call(&phone, "200", 4000 + 2 * n);
        lab.expect(phone.at, "100");
        lab.expect(pbx.at, "INVITE");
    }
    lab.expect(phone.at, "503");
    let count = |which: Resource| lab.stats().shares[which as usize][0];
    assert_eq!(count(Resource::Calls), ShareCount { refused: 0, displaced: 1 });
    assert_eq!(count(Resource::Dialogs), ShareCount::default());
    assert_eq!(lab.ends(), [("no_capacity", 503, "")]);
    assert_eq!(lab.security(), ["no_room"]);
    lab.clear();
}

#[test]
fn nobodys_call_ends_for_one_that_is_refused() {
    let mut lab = Lab::edge_with(|c| {
        (c.limits.calls, c.limits.transactions, c.limits.transactions_per_user) = (2, 10, 100);
        c.media.idle = None;
    });
    let (phone, pbx) = parties(&lab);
    let _one = lab.establish(&phone, &pbx);
    let _two = lab.establish(&phone, &pbx);
    let known = lab.phone("102", "10.17.0.22:5060");
    lab.register(&known, 600);
    lab.advance(s(40));
    for _ in 0..10 {
        message(&mut lab, &known);
        lab.expect(pbx.at, "MESSAGE");
    }
    // A source that holds both calls, twice its share: each would give way to somebody else.
    let other = lab.phone("103", "10.17.0.23:5060");
    lab.call(&other, "200", 4000);
    lab.expect(other.at, "503");
    lab.nothing_left();
    assert_eq!(lab.engine.active_calls(), 2);
    lab.advance(s(80));
    lab.clear();
    lab.call(&other, "200", 4000);
    lab.expect(other.at, "100");
    assert_eq!(lab.engine.active_calls(), 2, "one of them for the newcomer's");
    lab.clear();
}

#[test]
fn a_challenged_call_that_gives_way_is_counted() {
    let mut lab = Lab::edge_with(|c| c.limits.calls = 2);
    let (phone, pbx) = parties(&lab);
    for n in 0..3 {
        let leg = lab.call(&phone, "200", 4000 + 2 * n);
        let got = lab.expect(pbx.at, "INVITE");
        lab.send(
            pbx.at,
            pbx.answer(&got, 407, "b").with("Proxy-Authenticate", "Digest realm=\"r\""),
        );
        let told = lab.take(phone.at);
        let refused = told.last().expect("an answer");
        assert_eq!(refused.status(), 407);
        lab.send(phone.at, leg.ack_refusal(refused));
        lab.clear();
    }
    let count = lab.stats().shares[Resource::Parked as usize][0];
    assert_eq!(count, ShareCount { refused: 0, displaced: 1 });
}

/// A SUBSCRIBE that the PBX grants for a day.
fn subscribe(lab: &mut Lab, phone: &Ua) -> u16 {
    let pbx = lab.far("200");
    let subscribe = phone.request(lab, "SUBSCRIBE", "200").with("Event", "dialog");
    lab.send(phone.at, subscribe);
    if let Some(got) = lab.next(pbx.at) {
        let tag = format!("t{}", lab.fresh());
        lab.send(pbx.at, pbx.answer(&got, 200, &tag).with("Expires", "86400"));
    }
    lab.take(phone.at).last().map(Msg::status).unwrap_or_default()
}

#[test]
fn subscriptions_for_a_day_keep_nobody_out() {
    let mut lab = Lab::edge_with(|c| c.limits.dialogs = 20);
    let (phone, pbx) = parties(&lab);
    let nobody = lab.phone("199", "10.17.0.29:5060");
    for _ in 0..40 {
        assert_eq!(subscribe(&mut lab, &nobody), 200, "its own oldest gives way");
    }
    assert_eq!(lab.stats().now.dialogs, 18, "a tenth is reserve");
    assert_eq!(lab.stats().shares[Resource::Dialogs as usize][0].displaced, 22);
    lab.register(&phone, 600);
    let (mut a, b) = lab.establish(&phone, &pbx);
    for n in 0..20 {
        let status = subscribe(&mut lab, &phone);
        assert_eq!(status, if n < 4 { 200 } else { 480 }, "{n}: with his call, a share");
    }
    lab.hang_up(&mut a, &b);
    let other = lab.phone("102", "10.17.0.22:5060");
    let (mut a, b) = lab.establish(&other, &pbx);
    lab.hang_up(&mut a, &b);
    lab.clear();
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
        assert_eq!(registered(&mut lab, "101", 5003, 600), 200, "{local}: for his oldest");
        assert_eq!(registered(&mut lab, "101", 5002, 600), 200, "{local}: a refresh");
        assert_eq!(registered(&mut lab, "102", 5004, 600), 200, "{local}");
        // Where nothing proves a phone, the oldest of its source gives way to the newest.
        let fourth = registered(&mut lab, "103", 5005, 600);
        assert_eq!(fourth, if local { 200 } else { 503 }, "{local}: a fourth of all");
        assert_eq!(registered(&mut lab, "102", 5004, 600), 200, "{local}: a refresh of the last");
        assert_eq!(lab.stats().now.registrations, 3, "{local}");
        assert_eq!(registered(&mut lab, "101", 5002, 0), 200, "{local}: one goes");
        assert_eq!(registered(&mut lab, "103", 5005, 600), 200, "{local}: there is room again");
        let limited = u64::from(!local);
        assert_eq!(lab.stats().registrations[3], limited, "{local}: counted as limited");
        assert_eq!(lab.stats().shares[6][0].displaced, u64::from(local));
        lab.clear();
    }
}

#[test]
fn whoever_is_beyond_his_share_of_a_full_table_gives_way_to_himself() {
    let mut lab = Lab::edge_with(|c| {
        (c.limits.transactions, c.limits.transactions_per_source) = (20, 4);
    });
    let much = lab.phone("198", "10.17.0.28:5060");
    let more = lab.phone("199", "10.17.0.29:5060");
    let asks = |lab: &mut Lab, ua: &Ua| {
        let message = ua.request(lab, "MESSAGE", "200").typed("text/plain", "x");
        lab.send(ua.at, message);
    };
    (0..10).for_each(|_| asks(&mut lab, &more));
    (0..8).for_each(|_| asks(&mut lab, &much));
    assert!(lab.take(more.at).is_empty() && lab.take(much.at).is_empty(), "there is room");
    asks(&mut lab, &much);
    assert_eq!(statuses(&lab.take(much.at)), [503], "his oldest");
    assert!(lab.take(more.at).is_empty(), "and nobody else, whoever holds most");
    // Who is within his share finds room by whoever holds most.
    let other = lab.phone("197", "10.17.0.27:5060");
    asks(&mut lab, &other);
    assert_eq!(statuses(&lab.take(more.at)), [503]);
    assert!(lab.take(other.at).is_empty() && lab.take(much.at).is_empty());
    lab.clear();
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

/// Within dialogs there is no place left: a CANCEL is answered and goes on, and takes none.
#[test]
fn a_cancel_that_finds_no_place_cancels_all_the_same() {
    let mut lab = Lab::edge_with(|c| c.limits.transactions = 4);
    let (phone, pbx) = parties(&lab);
    let (mut up, _) = lab.establish(&phone, &pbx);
    let ringing = lab.call(&phone, "201", 4100);
    lab.expect(phone.at, "100");
    let invite = lab.expect(pbx.at, "INVITE");
    lab.send(pbx.at, pbx.answer(&invite, 180, "r"));
    lab.expect(phone.at, "180");
    let within = |lab: &Lab| lab.stats().now.places[Resource::InDialog as usize];
    while within(&lab).used < within(&lab).total {
        let info = up.request(&mut lab, "INFO");
        lab.send(phone.at, info);
        let got = lab.take(phone.at);
        if got.iter().any(|m| m.status() == 503) {
            break;
        }
    }
    lab.clear();
    let used = within(&lab).used;
    for again in [false, true] {
        lab.send(phone.at, ringing.cancel());
        // What is under way within the other dialog may give way to it.
        let got = lab.take(phone.at);
        let answers: Vec<_> = got.iter().filter(|m| m.header("CSeq").ends_with("CANCEL")).collect();
        assert!(matches!(&answers[..], [one] if one.status() == 200), "{got:?}");
        let there = lab.take(pbx.at).iter().filter(|m| m.method() == "CANCEL").count();
        assert_eq!(there, usize::from(!again), "again {again}");
        assert!(within(&lab).used <= within(&lab).total.max(used), "{:?}", within(&lab));
    }
    lab.send(pbx.at, answer(&invite, 487, "r"));
    lab.expect(phone.at, "487");
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
    lab.register(&phone, 600);
    for status in ["202", "480"] {
        let to = "<sip:300@pbx.example.com>";
        let refer = phone.request(&mut lab, "REFER", "200").with("Refer-To", to);
        lab.send(phone.at, refer);
        if let Some(got) = lab.next(pbx.at) {
            lab.send(pbx.at, pbx.answer(&got, 202, "n"));
        }
        lab.expect(phone.at, status);
    }
    lab.nothing_left();
    assert_eq!(lab.stats().now.dialogs, 1);
    lab.advance(s(200));
    lab.end();
}

/// A 112 without a session description that rings for good; false: 503.
fn cry(lab: &mut Lab, from: &Ua) -> bool {
    let pbx = lab.far("112");
    let invite = from.request(lab, "INVITE", "112");
    lab.send(from.at, invite);
    let sent = lab.take(pbx.at);
    if let Some(got) = sent.iter().find(|m| m.method() == "INVITE") {
        let tag = format!("t{}", lab.fresh());
        lab.send(pbx.at, pbx.answer(got, 180, &tag));
    }
    lab.take(from.at).last().map(Msg::status) == Some(180)
}

#[test]
fn nobody_registered_has_one_emergency_call_at_a_time_and_never_the_whole_reserve() {
    let text = site::EDGE.replace("default = \"allow\"", "default = \"site\"");
    let limits = "[limits]\ncalls = 1\ndialogs = 40\ncalls_per_user = 2\n";
    let mut lab = Lab::with(site::parse(&format!("{text}\n{limits}")), Users::None);
    let known = lab.phone("102", "10.17.0.22:5060");
    lab.register(&known, 600);
    for n in 0..5 {
        for port in [5060, 5070, 5080, 5090] {
            let nobody = lab.phone("199", &format!("10.17.0.{}:{port}", 30 + n));
            assert_eq!(cry(&mut lab, &nobody), port < 5080, "{n} {port}: within a few seconds");
        }
        assert_eq!(lab.stats().now.dialogs, 2 * (n + 1), "two, for phones may share an address");
    }
    assert_eq!(lab.stats().now.dialogs, 10);
    // An eleventh source takes the place of the oldest that rings.
    let nobody = lab.phone("199", "10.17.0.50:5060");
    let invite = nobody.request(&mut lab, "INVITE", "112");
    lab.send(nobody.at, invite);
    assert_eq!(lab.stats().now.dialogs, 10, "a quarter is theirs");
    lab.clear();
    // Past a user's own cap, and past that of calls; by so many.
    for n in 0..20 {
        assert_eq!(cry(&mut lab, &known), n < 6, "{n}");
    }
    let other = lab.phone("103", "10.17.0.23:5060");
    assert!(cry(&mut lab, &other), "there is room for one more who needs it");
    lab.clear();
}

#[test]
fn an_emergency_call_of_nobody_registered_has_two_streams_at_most() {
    let text = site::EDGE.replace("default = \"allow\"", "default = \"site\"");
    let mut lab = Lab::with(site::parse(&text), Users::None);
    let (nobody, pbx) = (lab.phone("199", "10.17.0.29:5060"), lab.far("112"));
    let mut sdp = nobody.sdp(4000);
    for port in (4002..4032).step_by(2) {
        sdp.push_str(&format!("m=audio {port} RTP/AVP 0\r\n"));
    }
    let invite = nobody.request(&mut lab, "INVITE", "112").sdp(sdp);
    lab.send(nobody.at, invite);
    let got = lab.expect(pbx.at, "INVITE");
    let ports: Vec<&str> =
        got.body.lines().filter_map(|l| l.strip_prefix("m=audio ")?.split(' ').next()).collect();
    assert_eq!(ports.len(), 16, "every line keeps its place");
    assert!(ports[2..].iter().all(|p| *p == "0") && !ports[..2].contains(&"0"), "{ports:?}");
    assert_eq!(lab.stats().now.streams, 2);
    lab.clear();
}

#[test]
fn ports_have_a_reserve_that_only_emergencies_and_answered_calls_use_to_the_end() {
    // 40 pairs a side: four streams are reserve.
    let mut lab = Lab::edge_with(|c| {
        c.media.ports = (20000, 20079);
        c.limits.share_percent = 50;
        c.policy.default = portreeve::config::DefaultPolicy::Site;
    });
    let (phone, pbx) = parties(&lab);
    lab.register(&phone, 600);
    let mut calls = Vec::new();
    for n in 0..6 {
        let user = lab.phone(&format!("11{n}"), &format!("10.17.0.{}:5060", 40 + n));
        lab.register(&user, 600);
        for _ in 0..7 {
            lab.call(&user, "200", 4000);
            if lab.next(pbx.at).is_some() {
                calls.push(user.clone());
            }
            lab.take(user.at);
        }
    }
    assert_eq!(calls.len(), 38, "proved users stop at half of the reserve");
    let nobody = lab.phone("199", "10.17.0.29:5060");
    lab.call(&nobody, "112", 4000);
    assert_eq!(lab.expect(nobody.at, "100").status(), 100);
    lab.expect(pbx.at, "INVITE");
    assert_eq!(lab.stats().shares[5][0].refused, 4);
    lab.clear();
}

#[test]
fn an_emergency_call_that_was_refused_counts_in_its_sources_share() {
    let text = site::EDGE.replace("default = \"allow\"", "default = \"site\"");
    let limits = "[limits]\ntransactions = 40\ntransactions_per_source = 10\n";
    let mut lab = Lab::with(site::parse(&format!("{text}\n{limits}")), Users::None);
    let (known, pbx) = (lab.phone("102", "10.17.0.22:5060"), lab.far("200"));
    lab.register(&known, 600);
    lab.advance(s(40));
    let nobody = lab.phone("199", "10.17.0.29:5060");
    for _ in 0..100 {
        // No call comes of it, and its answer waits 32 s for an ACK.
        let invite = nobody.request(&mut lab, "INVITE", "112");
        let sdp = nobody.sdp(4000).replace("10.17.0.29", "127.0.0.1");
        lab.send(nobody.at, invite.sdp(sdp));
        lab.expect(nobody.at, "100");
        lab.expect(nobody.at, "488");
    }
    lab.establish(&known, &pbx);
    lab.register(&known, 600);
    assert!(cry(&mut lab, &known));
    let other = lab.phone("198", "10.17.0.28:5060");
    assert!(cry(&mut lab, &other));
    lab.clear();
}

#[test]
fn a_registered_user_has_a_few_emergency_calls_beside_all_his_others() {
    let mut lab = Lab::edge_with(|c| c.limits.calls_per_user = 2);
    let (phone, pbx) = parties(&lab);
    lab.register(&phone, 600);
    for _ in 0..2 {
        lab.establish(&phone, &pbx);
    }
    for n in 0..10 {
        assert_eq!(cry(&mut lab, &phone), n < 4, "{n}");
    }
    assert_eq!(lab.stats().now.dialogs, 6);
    lab.clear();
}

#[test]
fn one_invite_has_one_cancel_whatever_tags_it_bears() {
    let mut lab = Lab::edge_with(|c| c.policy.default = portreeve::config::DefaultPolicy::Site);
    let nobody = lab.phone("199", "10.17.0.29:5060");
    let via = "SIP/2.0/UDP 10.17.0.29:5060";
    let invite = nobody.request(&mut lab, "INVITE", "112").set("Via", via);
    lab.send(nobody.at, invite.clone());
    lab.clear();
    let others = lab.stats().now.transactions[1];
    let mut answers = Vec::new();
    for n in 0..50 {
        let cancel = crate::lab::Leg::calling(&nobody, &invite).cancel();
        let to = format!("{};tag=t{n}", cancel.header("To"));
        lab.send(nobody.at, cancel.set("To", to));
        let told = lab.take(nobody.at);
        answers.extend(told.iter().map(Msg::status).filter(|s| *s == 200));
    }
    assert_eq!(answers.len(), 50, "each is answered, as a repetition");
    assert_eq!(lab.stats().now.transactions[1], others + 1);
    lab.clear();
}

#[test]
fn subscriptions_are_no_calls_of_their_user() {
    let mut lab = Lab::edge_with(|c| c.limits.calls_per_user = 2);
    let (phone, pbx) = parties(&lab);
    lab.register(&phone, 600);
    // The keys of a desk phone, and one that the PBX never answers.
    for _ in 0..20 {
        assert_eq!(subscribe(&mut lab, &phone), 200);
    }
    let unanswered = phone.request(&mut lab, "SUBSCRIBE", "200").with("Event", "dialog");
    lab.send(phone.at, unanswered);
    lab.expect(pbx.at, "SUBSCRIBE");
    let (mut a, b) = lab.establish(&phone, &pbx);
    let (mut c, d) = lab.establish(&phone, &pbx);
    let third = lab.call(&phone, "200", 4000);
    let no = lab.expect(phone.at, "486");
    lab.send(phone.at, third.ack_refusal(&no));
    lab.hang_up(&mut a, &b);
    lab.hang_up(&mut c, &d);
    let (mut a, b) = lab.establish(&phone, &pbx);
    lab.hang_up(&mut a, &b);
    lab.clear();
}

#[test]
fn a_registered_phone_is_no_worse_off_in_an_emergency_than_a_stranger() {
    let mut lab = Lab::edge_with(|c| (c.limits.calls, c.limits.calls_per_user) = (4, 2));
    let pbx = lab.far("200");
    let phones = [lab.phone("101", "10.17.0.21:5060"), lab.phone("102", "10.17.0.22:5060")];
    for phone in &phones {
        lab.register(phone, 600);
        lab.establish(phone, &pbx);
        lab.establish(phone, &pbx);
    }
    for phone in &phones {
        assert!(cry(&mut lab, phone), "the table is full, and so is his share");
    }
    lab.clear();
}

#[test]
fn who_dials_an_emergency_number_again_is_not_kept_out_by_his_own_first_try() {
    let text = site::EDGE.replace("default = \"allow\"", "default = \"site\"");
    let mut lab = Lab::with(site::parse(&text), Users::None);
    let (nobody, pbx) = (lab.phone("199", "10.17.0.29:5060"), lab.far("112"));
    let ring = |lab: &mut Lab| {
        let invite = nobody.request(lab, "INVITE", "112");
        lab.send(nobody.at, invite.clone());
        let got = lab.expect(pbx.at, "INVITE");
        lab.send(pbx.at, pbx.answer(&got, 180, "t"));
        lab.expect(nobody.at, "100");
        lab.expect(nobody.at, "180");
        crate::lab::Leg::calling(&nobody, &invite)
    };
    // Given up, and the PBX does not say so.
    let first = ring(&mut lab);
    lab.send(nobody.at, first.cancel());
    lab.expect(nobody.at, "200");
    lab.expect(pbx.at, "CANCEL");
    let other = lab.phone("198", "10.17.0.29:5070");
    assert!(cry(&mut lab, &other), "it counts no more");
    // The same phone dials again without having given up: it means the first no more.
    lab.clear();
    let mut lab = Lab::with(site::parse(&text), Users::None);
    let first = ring(&mut lab);
    let at_once = nobody.request(&mut lab, "INVITE", "112");
    lab.send(nobody.at, at_once);
    lab.expect(nobody.at, "100");
    lab.expect(pbx.at, "INVITE");
    lab.advance(s(5));
    lab.take(nobody.at);
    lab.take(pbx.at);
    let again = nobody.request(&mut lab, "INVITE", "112");
    lab.send(nobody.at, again);
    lab.expect(pbx.at, "CANCEL");
    lab.expect(pbx.at, "INVITE");
    let over = lab.expect(nobody.at, "503");
    lab.send(nobody.at, first.ack_refusal(&over));
    assert!(cry(&mut lab, &other), "another port may be another phone");
    assert_eq!(lab.stats().now.dialogs, 2, "it ends nobody's call");
    lab.clear();
}

#[test]
fn what_is_left_of_an_emergency_call_is_none() {
    let text = site::EDGE.replace("default = \"allow\"", "default = \"site\"");
    let limits = "[limits]\ndialogs = 40\n";
    let mut lab = Lab::with(site::parse(&format!("{text}\n{limits}")), Users::None);
    let (nobody, pbx) = (lab.phone("199", "10.17.0.29:5060"), lab.far("112"));
    for n in 0..60 {
        let (mut a, b) = lab.establish(&nobody, &pbx);
        let subscribe = a.request(&mut lab, "SUBSCRIBE").with("Event", "dialog");
        lab.send(nobody.at, subscribe.with("Expires", "86400"));
        let got = lab.expect(pbx.at, "SUBSCRIBE");
        lab.send(pbx.at, answer(&got, 200, "").with("Expires", "86400"));
        lab.expect(nobody.at, "200");
        lab.hang_up(&mut a, &b);
        assert!(lab.stats().now.dialogs < 40, "{n}: never to the end of the reserve");
    }
    let (known, pbx) = (lab.phone("102", "10.17.0.22:5060"), lab.far("200"));
    lab.register(&known, 600);
    let (mut a, b) = lab.establish(&known, &pbx);
    lab.hang_up(&mut a, &b);
    assert!(cry(&mut lab, &known));
    lab.clear();
}

#[test]
fn octets_of_requests_have_shares_too_and_are_let_go_with_the_answer() {
    let mut lab = Lab::edge_with(|c| c.limits.transactions = 4_000);
    let (phone, pbx) = parties(&lab);
    let known = lab.phone("102", "10.17.0.22:5060");
    lab.register(&known, 600);
    let padded = |lab: &mut Lab, from: &Ua| {
        let long = "x".repeat(16_000);
        let message = from.request(lab, "MESSAGE", "200").typed("text/plain", &long);
        lab.send(from.at, message);
    };
    let used = |lab: &Lab| lab.stats().now.places[Resource::Messages as usize].used as usize;
    // 16 MiB in all: a source's own oldest give way, however few transactions there are.
    for _ in 0..600 {
        padded(&mut lab, &phone);
    }
    lab.clear();
    assert!((14 << 20..=16 << 20).contains(&used(&lab)), "{}", used(&lab));
    assert!(lab.stats().shares[Resource::Messages as usize][0].displaced > 200);
    let (mut a, b) = lab.establish(&known, &pbx);
    lab.hang_up(&mut a, &b);
    lab.advance(s(40));
    lab.clear();
    // What is answered is let go.
    let before = used(&lab);
    for _ in 0..50 {
        padded(&mut lab, &known);
        let got = lab.expect(pbx.at, "MESSAGE");
        lab.send(pbx.at, answer(&got, 200, "t"));
        lab.expect(known.at, "200");
    }
    assert!(used(&lab) - before < 50 * 3_000, "{} of 50", used(&lab) - before);
    lab.advance(s(40));
    assert_eq!(used(&lab), 0);
    lab.clear();
}

#[test]
fn what_is_longer_than_its_way_carries_is_513_to_who_asks_and_does_not_go() {
    for target in ["sip:203.0.113.10;transport=tcp", "203.0.113.10:5060"] {
        let mut lab = Lab::edge_with(|c| c.upstreams[0].targets = vec![site::target(target)]);
        let (phone, pbx) = parties(&lab);
        // What we add is not known here: some go, and those of a phone's longest do not.
        let mut seen = [0, 0];
        for octets in (60_000..65_100).step_by(250) {
            let message = phone.request(&mut lab, "MESSAGE", "200");
            lab.send(phone.at, message.typed("text/plain", "x".repeat(octets)));
            let sent = lab.take(pbx.at);
            let too_long = sent.is_empty();
            seen[usize::from(too_long)] += 1;
            if too_long {
                lab.advance(ms(2));
                assert_eq!(statuses(&lab.take(phone.at)), [513], "{octets}");
            }
            for m in sent {
                let fits = if m.flow.transport.is_reliable() { 65_535 } else { 65_507 };
                assert!(m.bytes.len() <= fits, "{}", m.bytes.len());
                lab.send(pbx.at, answer(&m, 200, "m"));
                assert_eq!(statuses(&lab.take(phone.at)), [200], "{octets}");
            }
        }
        assert!(seen[0] > 5, "{seen:?}");
        lab.end();
    }
}
