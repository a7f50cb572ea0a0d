use super::*;
use crate::ground::{CallDirection, CallNo, Mono, Now, Wall};
use proptest::prelude::*;
use std::time::Duration;

fn now() -> Now {
    Now {
        mono: Mono(Duration::from_millis(1500)),
        wall: Wall(Duration::from_millis(1_767_571_200_250)),
    }
}

fn record(detail: &str) -> Record {
    Record::System { event: "start", detail: detail.to_owned() }
}

fn log(n: usize) -> Vec<String> {
    let mut chain = Chain::default();
    (0..n).map(|i| chain.append(now(), "branch", &record(&format!("no {i}")))).collect()
}

fn check(lines: &[String], tip: Option<&str>) -> Result<Summary, Broken> {
    verify(lines.iter().map(String::as_str), tip, &Heads::default())
}

#[test]
fn a_line_has_a_fixed_order_and_hides_nothing() {
    let mut chain = Chain::default();
    let line = chain.append(now(), "branch", &record("a\u{202e}b\n\u{1b}[2J"));
    let want = "{\"v\":1,\"seq\":1,\"ts\":\"2026-01-05T00:00:00.250Z\",\"mono_ms\":1500,\
        \"site\":\"branch\",\"kind\":\"system\",\"event\":\"start\",\
        \"detail\":\"a\\u202eb\\n\\u001b[2J\",\"prev\":\"";
    assert!(line.starts_with(want), "{line}");
    assert!(line.ends_with(&format!("{GENESIS}\"}}")));
}

#[test]
fn edits_removals_and_moves_show() {
    let lines = log(9);
    let sound = check(&lines, None).unwrap();
    assert_eq!(sound.records, 9);
    assert!(check(&lines[..8], None).is_ok());
    assert!(check(&lines[..8], Some(&sound.tip)).is_err());
    let mut edited = lines.clone();
    edited[4] = edited[4].replace("no 4", "no 5");
    assert_eq!(check(&edited, None).unwrap_err().line, 6);
    let mut removed = lines.clone();
    removed.remove(3);
    assert_eq!(check(&removed, None).unwrap_err().line, 4);
    let begun = check(&lines[2..], Some(&sound.tip.to_uppercase())).unwrap();
    assert_eq!((begun.records, begun.before), (7, 2), "what is missing in front is counted");
    let mut twice = lines.clone();
    twice.insert(4, lines[3].clone());
    assert_eq!(check(&twice, None).unwrap_err().line, 5);
    let mut padded = lines.clone();
    padded[4].push('\r');
    assert_eq!(check(&padded, None).unwrap_err().line, 6, "an octet that no reader shows");
    let mut moved = lines.clone();
    moved.swap(2, 3);
    assert!(check(&moved, None).is_err());
    let mut torn = lines;
    let end = torn[8].len() - 4;
    torn[8].truncate(end);
    assert_eq!(check(&torn, None).unwrap_err().line, 9);
}

fn attempt(n: u16, sender: Standing, verdict: Ruling) -> Record {
    Record::CallAttempt {
        call: CallNo(u64::from(n)),
        call_id: "c".into(),
        side: crate::ground::Side::Outside,
        source: std::net::SocketAddr::from(([198, 51, (n >> 8) as u8, n as u8], 5060)),
        from: "101".into(),
        to: format!("+1900{n}"),
        rule: "default:deny".into(),
        verdict,
        target: String::new(),
        tls_subject: String::new(),
        sender,
        emergency: false,
    }
}

fn refused(n: u16, sender: Standing) -> Record {
    attempt(n, sender, Ruling::Deny)
}

/// Another record of the same source.
fn from(record: Record, port: u16, call: u64, to_emergency: bool) -> Record {
    let Record::CallAttempt {
        source, call_id, side, from, to, rule, verdict, target, sender, ..
    } = record
    else {
        panic!("{record:?}");
    };
    let source = std::net::SocketAddr::new(source.ip(), port);
    let (call, emergency) = (CallNo(call), to_emergency);
    Record::CallAttempt {
        call,
        call_id,
        side,
        source,
        from,
        to,
        rule,
        verdict,
        target,
        tls_subject: String::new(),
        sender,
        emergency,
    }
}

/// Counts by class and source in these sums.
fn counted(sums: &[Record], which: SecurityClass) -> u64 {
    let one = |r: &Record| {
        let Record::Security { count, class, .. } = r else { return 0 };
        if *class == which { *count } else { 0 }
    };
    sums.iter().map(one).sum()
}

fn at(ms: u64) -> Mono {
    Mono(Duration::from_millis(ms))
}

#[test]
fn refusals_are_written_up_to_a_bound_and_then_summed() {
    let mut summer = Summer::default();
    let stranger = |n| refused(n, Standing::Stranger);
    let known = |n| refused(n, Standing::Phone);
    let one = (0..1000).filter(|_| summer.take(at(1), stranger(7)).is_some()).count();
    assert_eq!(one, 30, "of one source");
    let forged = (0..50_000).filter(|n| summer.take(at(3), stranger(*n)).is_some()).count();
    assert_eq!(one + forged, 600, "of all sources, forged ones too");
    let phone = (0..1000).filter(|_| summer.take(at(4), known(7)).is_some()).count();
    assert_eq!(phone, 0, "a phone at an address that flooded has had its thirty");
    let phone = (0..1000).filter(|_| summer.take(at(4), known(60_000)).is_some()).count();
    assert_eq!(phone, 30, "strangers take no line from another phone");
    let sums = summer.due(at(60_003), false);
    assert!(sums.len() <= 610, "{}", sums.len());
    assert_eq!(counted(&sums, SecurityClass::DeniedCalls), 53_000 - 630, "and none is lost");
    assert!(summer.take(at(60_004), stranger(7)).is_some(), "a new minute");
    let line = Chain::default().append(now(), "s", &stranger(7));
    assert!(!line.contains("tranger") && !line.contains("emergency"), "{line}");
}

#[test]
fn of_one_source_only_so_many_octets_are_written() {
    let mut summer = Summer::default();
    let phone = || attempt(9, Standing::Phone, Ruling::Allow);
    let mut chain = Chain::default();
    let (mut octets, mut written) = (0, 0);
    for n in 0..60_000_u64 {
        let call = from(phone(), (n % 60_000) as u16, n, false);
        for record in [call, end(n)] {
            if let Some(record) = summer.take(at(n), record) {
                octets += chain.append(now(), "s", &record).len() as u64;
                written += 1;
            }
        }
    }
    assert!((20 << 20..48 << 20).contains(&octets), "{octets} octets in {written} records");
    assert!(written % 2 == 0, "{written}: an attempt and its end, or neither");
    let other = from(attempt(10, Standing::Phone, Ruling::Allow), 5060, 99_999, false);
    assert!(summer.take(at(60_000), other).is_some(), "another source has its own");
    let sums = summer.due(at(120_001), false);
    assert_eq!(counted(&sums, SecurityClass::AuditShare), 120_000 - written);
}

/// Records of a call by way of an upstream.
fn by_way(of: usize, host: u16, call: u64) -> Record {
    from(attempt(host, Standing::Upstream(UpstreamNo(of)), Ruling::Allow), 5060, call, false)
}

fn answered(call: u64) -> Record {
    let Record::CallEnd(end) = end(call) else { panic!("an end") };
    Record::CallEnd(CallEnd { outcome: Outcome::Answered, duration_ms: Some(1_000), ..end })
}

#[test]
fn calls_by_way_of_an_upstream_are_written_up_to_its_share_with_their_ends() {
    let mut summer = Summer::default();
    let mut chain = Chain::default();
    let (mut octets, mut written) = (0, 0);
    // Sixty thousand in a minute, from 200 addresses of one upstream.
    for n in 0..60_000_u64 {
        for record in [by_way(0, (n % 200) as u16, n), end(n)] {
            if let Some(record) = summer.take(at(n), record) {
                octets += chain.append(now(), "s", &record).len() as u64;
                written += 1;
            }
        }
    }
    assert!((12 << 20..24 << 20).contains(&octets), "{octets} octets in {written} records");
    assert!(written % 2 == 0, "{written}: an attempt and its end, or neither");
    let sums = summer.due(at(120_001), false);
    assert!(sums.len() <= 200, "{}", sums.len());
    assert_eq!(counted(&sums, SecurityClass::AuditShare), 120_000 - written);
    // Everyday life, after the flood.
    for n in 100_000..100_600_u64 {
        let now = at(120_001 + (n - 100_000) * 100);
        assert!(summer.take(now, by_way(0, 1, n)).is_some() && summer.take(now, end(n)).is_some());
    }
}

#[test]
fn an_upstream_s_flood_takes_nothing_from_others_and_hides_no_answered_call() {
    let mut summer = Summer::default();
    let beyond = (0..200_000).find(|n| summer.take(at(1), by_way(0, 1, *n)).is_none());
    let beyond = beyond.expect("its share has an end");
    assert!(summer.take(at(1), end(beyond)).is_none());
    assert!(summer.take(at(1), by_way(0, 1, 300_000)).is_none());
    assert!(summer.take(at(1), answered(300_000)).is_some(), "what was answered is told");
    let answers = (0..20_000).filter(|_| summer.take(at(1), answered(300_000)).is_some()).count();
    assert!((500..4_000).contains(&answers), "{answers}: that has a bound, too");
    assert!(summer.take(at(1), by_way(1, 1, 300_001)).is_some(), "another upstream");
    let phone = |n| from(attempt(9, Standing::Phone, Ruling::Allow), 5060, n, false);
    let phones = (0..40_000).filter(|n| summer.take(at(1), phone(400_000 + n)).is_some()).count();
    assert!(phones > 30_000, "{phones}: nothing of what phones have to spare was used");
    // So it is for a phone that calls in vain until its share is used up.
    let hidden = (500_000..800_000).find(|n| summer.take(at(1), phone(*n)).is_none());
    assert!(summer.take(at(1), answered(hidden.expect("an end"))).is_some());
}

#[test]
fn the_first_emergency_call_of_a_minute_is_written_whatever_the_share() {
    let mut summer = Summer::default();
    for (host, sender) in [(9, Standing::Stranger), (10, Standing::Phone)] {
        let call = |n, emergency| from(attempt(host, sender, Ruling::Allow), 5060, n, emergency);
        let empty = (0..200_000).find(|n| summer.take(at(5), call(*n, false)).is_none());
        assert!(empty.is_some(), "the share and what all have to spare");
        assert!(summer.take(at(6), call(500_001, true)).is_some());
        assert!(summer.take(at(6), end(500_001)).is_some(), "and what becomes of it");
        let flood = (0..10_000).filter(|n| summer.take(at(7), call(600_000 + n, true)).is_some());
        let most = if sender == Standing::Stranger { 40 } else { 2 };
        assert!(flood.count() <= most, "{sender:?}");
    }
    let _ = summer.due(at(70_000), false);
    let call = from(attempt(9, Standing::Phone, Ruling::Allow), 5060, 900_000, true);
    assert!(summer.take(at(70_001), call).is_some(), "another minute");
}

#[test]
fn emergency_calls_of_strangers_are_a_dozen_each_and_then_a_sum() {
    let mut summer = Summer::default();
    let mut octets = 0;
    let mut chain = Chain::default();
    for n in 0..600_u64 {
        let call = attempt((n % 12) as u16, Standing::Stranger, Ruling::Allow);
        for record in [from(call, 5060, n, true), end(n)] {
            let written = summer.take(at(n), record);
            octets += written.map_or(0, |r| chain.append(now(), "s", &r).len());
        }
    }
    assert!((12 << 10..384 << 10).contains(&octets), "{octets}");
}

#[test]
fn registrations_reports_and_references_have_the_share_of_their_source() {
    let source = "198.51.100.9:5060".parse().unwrap();
    let registered = || Record::Registration {
        user: "101".into(),
        source,
        result: BindingEvent::Accepted,
        status: 200,
        expires: 60,
        registrar: "local".into(),
    };
    let reported = || Record::QualityReport {
        call: CallNo(1),
        call_id: "c".into(),
        user: "101".into(),
        source,
        side: crate::ground::Side::Inside,
        leg: crate::ground::Leg::Caller,
        report: Box::default(),
    };
    let referred = |verdict| Record::Reference {
        call: None,
        call_id: "c".into(),
        by: Asked::Refer,
        side: crate::ground::Side::Inside,
        source,
        from: "101".into(),
        to: "102".into(),
        rule: "r".into(),
        verdict,
    };
    let kinds: [&dyn Fn() -> Record; 3] = [&registered, &reported, &|| referred(Ruling::Allow)];
    for kind in kinds {
        let mut summer = Summer::default();
        let written = (0..20_000).filter(|_| summer.take(at(1), kind()).is_some()).count();
        assert!((500..4_000).contains(&written), "{written}: {:?}", kind());
        let sums = summer.due(at(60_001), false);
        assert_eq!(counted(&sums, SecurityClass::AuditShare), 20_000 - written as u64);
    }
    let mut summer = Summer::default();
    let deny = |s: &mut Summer| s.take(at(1), referred(Ruling::Deny)).is_some();
    assert_eq!((0..100).filter(|_| deny(&mut summer)).count(), 30);
    assert_eq!(counted(&summer.due(at(60_001), false), SecurityClass::DeniedCalls), 70);
}

#[test]
fn events_of_forged_sources_are_written_up_to_a_bound() {
    let mut summer = Summer::default();
    let event = |n: u32| Record::Security {
        class: SecurityClass::Malformed,
        source: Some((std::net::Ipv4Addr::from(n), 5060).into()),
        count: 1,
        detail: "x".into(),
    };
    let written = (0..10_000).filter(|n| summer.take(at(1), event(*n)).is_some()).count();
    let sums = summer.due(at(60_001), false);
    assert!(written <= 600 && sums.len() <= 601, "{written}, {}", sums.len());
    assert_eq!(counted(&sums, SecurityClass::Malformed), 10_000 - written as u64);
}

fn end(call: u64) -> Record {
    Record::CallEnd(CallEnd {
        call: CallNo(call),
        call_id: "c".into(),
        from: "101".into(),
        to: "102".into(),
        outcome: Outcome::NotFound,
        status: 404,
        ended_by: None,
        ring_ms: None,
        setup_ms: None,
        duration_ms: None,
        media: Vec::new(),
        findings: Vec::new(),
        segments: Vec::new(),
        direction: CallDirection::Internal,
        parties: Vec::new(),
    })
}

#[test]
fn a_flood_is_two_records_a_minute() {
    let mut summer = Summer::default();
    let at = |s: u64| Mono(Duration::from_secs(s));
    let event = || Record::Security {
        class: SecurityClass::Malformed,
        source: "192.0.2.1:5".parse().ok(),
        count: 1,
        detail: "x".into(),
    };
    assert!(summer.take(at(0), event()).is_some());
    for _ in 0..1000 {
        assert!(summer.take(at(1), event()).is_none());
    }
    assert!(summer.due(at(59), false).is_empty());
    match summer.due(at(60), false).as_slice() {
        [Record::Security { count: 1000, .. }] => {}
        other => panic!("{other:?}"),
    }
    assert!(summer.take(at(61), event()).is_some());
}

proptest! {
    #[test]
    fn any_changed_octet_shows(at in 0usize..2000, with in "[a-z0-9]") {
        let lines = log(6);
        let tip = check(&lines, None).unwrap().tip;
        let mut text = lines.join("\n");
        let at = at % text.len();
        if text.is_char_boundary(at + 1) && text[at..=at] != with && &text[at..=at] != "\n" {
            text.replace_range(at..=at, &with);
            prop_assert!(verify(text.lines(), Some(&tip), &Heads::default()).is_err());
        }
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,300}") {
        let _ = verify(text.lines(), None, &Heads::default());
        let _ = Heads::noted(text.lines(), None, "");
    }
}
