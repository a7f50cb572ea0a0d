//! Which calls stay readable after their end, and what they say.

use super::*;
use crate::audit::{Standing, StreamMedia};
use crate::ground::{CallDirection, Mono, Side, Transport};

fn at(seconds: u64) -> Now {
    let since = Duration::from_secs(seconds);
    Now { mono: Mono(since), wall: Wall(Duration::from_secs(1_000_000) + since) }
}

fn attempt(call: u64) -> Record {
    Record::CallAttempt {
        call: CallNo(call),
        call_id: "c".into(),
        side: Side::Inside,
        source: "10.0.0.2:5060".parse().unwrap(),
        from: "101".into(),
        to: "200".into(),
        rule: "phones".into(),
        verdict: Ruling::Allow,
        target: "pbx".into(),
        tls_subject: String::new(),
        sender: Standing::Phone,
        emergency: false,
    }
}

fn end(call: u64, outcome: Outcome) -> CallEnd {
    let answered = outcome == Outcome::Answered;
    let party = |ip: &str| PartyView {
        side: Side::Inside,
        transport: Transport::Udp,
        address: ip.parse().unwrap(),
        upstream: None,
        call_id: "c".into(),
    };
    CallEnd {
        call: CallNo(call),
        call_id: "c".into(),
        from: "101".into(),
        to: "200".into(),
        outcome,
        status: if answered { 200 } else { 486 },
        ended_by: answered.then_some(EndedBy::Callee),
        ring_ms: Some(300),
        setup_ms: answered.then_some(2_000),
        duration_ms: answered.then_some(46_000),
        media: Vec::new(),
        findings: Vec::new(),
        segments: Vec::new(),
        direction: CallDirection::Outbound,
        parties: vec![party("10.0.0.2:5060"), party("192.0.2.1:5060")],
    }
}

#[test]
fn a_call_that_is_over_says_who_spoke_how_it_ended_and_by_which_rule_it_passed() {
    let mut recent = Recent::default();
    assert_eq!(recent.hear(at(1), &attempt(7), 10), None);
    let mut over = end(7, Outcome::Answered);
    let quality = LegQuality { mos: Some(4.2), expected: 1_000, lost: 5, ..LegQuality::default() };
    let heard = LegMedia { rtp_packets: 995, quality: Some(quality), ..LegMedia::default() };
    let stream = StreamMedia { media: "audio".into(), caller: heard, callee: LegMedia::default() };
    over.media.push(stream);
    assert_eq!(audio(&over).unwrap(), "MOS 4.2 / unknown, loss 0.5 % / unknown");
    let row = recent.hear(at(49), &Record::CallEnd(over), 10).unwrap();
    let d = &row.detail;
    assert_eq!((row.rule.as_str(), row.target.as_str(), row.ended), ("phones", "pbx", 1_000_049));
    assert_eq!((d.row.view.state, d.row.view.since), (CallState::Ended, 1_000_001));
    assert_eq!((d.row.age_ms, d.row.duration_ms, d.setup_ms), (48_000, Some(46_000), Some(2_000)));
    assert_eq!((d.callees.len(), row.ended_by), (1, Some(EndedBy::Callee)));
    let leg = &d.streams.first().unwrap().caller;
    assert_eq!((leg.packets, leg.total.as_ref().unwrap().mos), (Some(995), Some(4.2)));
    let json = serde_json::to_value(&row).unwrap();
    assert_eq!(
        (&json["call"], &json["state"], &json["outcome"]),
        (&7.into(), &"ended".into(), &"answered".into())
    );
}

#[test]
fn the_oldest_gives_way_and_who_reaches_nobody_takes_half_of_the_places_at_most() {
    let mut recent = Recent::default();
    let mut gone = Vec::new();
    let mut hear = |call, outcome| {
        assert!(recent.hear(at(call), &Record::CallEnd(end(call, outcome)), 4).is_some());
        while let Some(no) = recent.too_many(4) {
            gone.push(no.0);
        }
    };
    (1..=4).for_each(|n| hear(n, Outcome::Answered));
    (5..=20).for_each(|n| hear(n, Outcome::Busy));
    hear(21, Outcome::Answered);
    assert_eq!(recent.kept.iter().map(|k| k.call.0).collect::<Vec<_>>(), [4, 19, 20, 21]);
    assert_eq!(gone.len(), 17);
    assert_eq!(recent.octets, recent.kept.iter().map(|k| k.octets).sum::<usize>());
}

#[test]
fn words_without_end_have_no_place_and_nothing_is_kept_where_none_is_wanted() {
    let mut recent = Recent::default();
    for call in 0..100 {
        let long = CallEnd { call_id: "x".repeat(1 << 20), ..end(call, Outcome::Answered) };
        recent.hear(at(call), &Record::CallEnd(long), 1_000);
        while recent.too_many(1_000).is_some() {}
    }
    assert!(recent.octets <= OCTETS && recent.kept.len() < 10, "{}", recent.octets);
    let mut none = Recent::default();
    assert_eq!(none.hear(at(1), &attempt(7), 0), None);
    assert_eq!(none.hear(at(1), &Record::CallEnd(end(7, Outcome::Busy)), 0), None);
    assert!(none.begun.is_empty() && none.kept.is_empty());
}
