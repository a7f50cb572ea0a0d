use super::*;
use crate::ground::{Mono, Now, Wall};
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
    verify(lines.iter().map(String::as_str), tip)
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

fn refused(n: u16, stranger: bool) -> Record {
    Record::CallAttempt {
        call: crate::ground::CallNo(1),
        call_id: "c".into(),
        side: crate::ground::Side::Outside,
        source: std::net::SocketAddr::from(([198, 51, (n >> 8) as u8, n as u8], 5060)),
        from: "101".into(),
        to: format!("+1900{n}"),
        rule: "default:deny".into(),
        verdict: Ruling::Deny,
        target: String::new(),
        stranger,
    }
}

#[test]
fn refusals_of_strangers_are_written_up_to_a_bound_and_then_summed() {
    let mut summer = Summer::default();
    let at = |ms| Mono(Duration::from_millis(ms));
    let one = (0..1000).filter(|_| summer.take(at(1), refused(7, true)).is_some()).count();
    assert_eq!(one, 30, "of one source");
    let known = (0..1000).filter(|_| summer.take(at(2), refused(7, false)).is_some()).count();
    assert_eq!(known, 1000, "of a phone or an upstream every one");
    let forged = (0..50_000).filter(|n| summer.take(at(3), refused(*n, true)).is_some()).count();
    assert_eq!(one + forged, 600, "of all sources, forged ones too");
    let sums = summer.due(at(60_003), false);
    assert!(sums.len() <= 4_097, "{}", sums.len());
    let told: u64 = sums
        .iter()
        .map(|r| {
            if let Record::Security { count, class: SecurityClass::DeniedCalls, .. } = r {
                *count
            } else {
                0
            }
        })
        .sum();
    assert_eq!(told, 51_000 - 600, "and none is lost");
    assert!(summer.take(at(60_004), refused(7, true)).is_some(), "a new minute");
    let line = Chain::default().append(now(), "s", &refused(7, true));
    assert!(!line.contains("stranger"), "{line}");
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
            prop_assert!(verify(text.lines(), Some(&tip)).is_err());
        }
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,300}") {
        let _ = verify(text.lines(), None);
    }
}
