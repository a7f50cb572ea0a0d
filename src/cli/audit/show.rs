//! The log for people: a record is a line, and nothing in it moves a cursor. Figures of media are
//! told in short; `verify` alone says whether a line is as it was written.

use crate::cli::exit;
use crate::cli::table::shown;
use crate::config::duration;
use crate::driver::audit_log::files_of;
use crate::driver::clock::Clock;
use crate::ground::Wall;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;

/// Octets of a line that is read; longer ones are none of ours.
const LONGEST: u64 = 4 << 20;
/// What every record has, and is shown before it or not at all.
const FRAME: [&str; 7] = ["v", "seq", "ts", "mono_ms", "site", "kind", "prev"];

/// Which records are wanted.
#[derive(Debug, Default)]
struct Wanted {
    call: Option<u64>,
    /// Time of the oldest, as records write it.
    since: Option<String>,
    kinds: Vec<String>,
}

impl Wanted {
    fn has(&self, record: &Map<String, Value>) -> bool {
        let text = |key: &str| record.get(key).and_then(Value::as_str).unwrap_or_default();
        let call = record.get("call").and_then(Value::as_u64);
        (self.call.is_none() || self.call == call)
            && self.since.as_deref().is_none_or(|since| text("ts") >= since)
            && (self.kinds.is_empty() || self.kinds.iter().any(|k| k == text("kind")))
    }
}

/// What was read.
#[derive(Debug, Default)]
struct Read {
    shown: u64,
    left_out: u64,
    broken: u64,
    kinds: BTreeSet<String>,
}

pub(super) fn show(path: &Path, call: Option<u64>, since: Option<&str>, kinds: Vec<String>) -> u8 {
    let since = match since.map(|age| (age, duration(age))) {
        None => None,
        Some((_, Some(age))) => {
            let now = Clock::start().now().wall;
            Some(crate::audit::timestamp(Wall(now.0.saturating_sub(age))))
        }
        Some((age, None)) => {
            eprintln!("--since {age}: write a number with its unit, as 30m, 2h or 1d");
            return exit::USAGE;
        }
    };
    let wanted = Wanted { call, since, kinds };
    let mut read = Read::default();
    let files = match files_of(path) {
        Ok(files) => files,
        Err(what) => {
            eprintln!("{what}");
            return exit::NO;
        }
    };
    for file in files {
        match lines(&file, &wanted, &mut read) {
            Ok(true) => {}
            // Nobody reads any more.
            Ok(false) => return 0,
            Err(e) => {
                eprintln!("{}: {e}", file.display());
                return exit::NO;
            }
        }
    }
    if read.shown == 0 {
        let all: Vec<String> = read.kinds.iter().map(|k| shown(k)).collect();
        eprintln!(
            "none of {} records fits; kinds that are there: {}",
            read.left_out,
            all.join(", ")
        );
    }
    if read.broken > 0 {
        eprintln!("{} lines are no records: `portreeve audit verify` says where", read.broken);
    }
    if read.shown == 0 || read.broken > 0 { exit::NO } else { 0 }
}

/// The wanted records of a file; false: who should read them has gone.
fn lines(path: &Path, wanted: &Wanted, read: &mut Read) -> io::Result<bool> {
    let mut file = BufReader::new(File::open(path)?);
    let mut line = Vec::new();
    let mut out = io::stdout().lock();
    loop {
        line.clear();
        let n = file.by_ref().take(LONGEST).read_until(b'\n', &mut line)?;
        if n == 0 {
            return Ok(true);
        }
        let Ok(Value::Object(record)) = serde_json::from_slice(&line) else {
            read.broken += 1;
            continue;
        };
        if !wanted.has(&record) {
            read.left_out += 1;
            let kind = record.get("kind").and_then(Value::as_str).unwrap_or_default();
            // What is there by error must not fill the memory.
            if read.kinds.len() < 64 {
                read.kinds.insert(kind.to_owned());
            }
            continue;
        }
        read.shown += 1;
        if writeln!(out, "{}", told(&record)).is_err() {
            return Ok(false);
        }
    }
}

/// A record as a line: when, what, and each thing that it says by its name.
fn told(record: &Map<String, Value>) -> String {
    let text = |key: &str| shown(record.get(key).and_then(Value::as_str).unwrap_or_default());
    let ts = text("ts");
    let time = ts.get(..19).map_or_else(|| ts.clone(), |t| t.replacen('T', " ", 1));
    let mut out = format!("{time}  {:<16}", text("kind"));
    for (key, value) in record {
        if FRAME.contains(&key.as_str()) {
            continue;
        }
        let value = match key.as_str() {
            "media" => media(value),
            _ => plain(value),
        };
        if !value.is_empty() {
            let _ = write!(out, "  {} {value}", shown(key));
        }
    }
    out.trim_end().to_owned()
}

/// A value; empty: it says nothing.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(b) => b.to_string(),
        Value::Number(n) => n.to_string(),
        Value::String(s) => quoted(s),
        Value::Array(all) => all.iter().map(plain).collect::<Vec<_>>().join(","),
        Value::Object(map) => {
            let inner = map.iter().map(|(k, v)| (shown(k), plain(v)));
            let inner = inner.filter(|(_, v)| !v.is_empty()).map(|(k, v)| format!("{k} {v}"));
            let inner = inner.collect::<Vec<_>>().join(" ");
            if inner.is_empty() { inner } else { format!("({inner})") }
        }
    }
}

/// Text that would run into what stands beside it stands in quotes.
fn quoted(text: &str) -> String {
    let safe = shown(text);
    if safe.is_empty() || safe.contains([' ', '"']) { format!("{safe:?}") } else { safe }
}

/// What was received of each leg, and how good it was.
fn media(value: &Value) -> String {
    let one = |stream: &Value, who: &str| {
        let leg = stream.get(who)?;
        let packets = leg.get("rtp_packets")?.as_u64()?;
        let mos = leg.pointer("/quality/mos").and_then(Value::as_f64);
        let mos = mos.map_or_else(String::new, |m| format!(" MOS {m:.1}"));
        Some(format!("{who} {packets} packets{mos}"))
    };
    let of = |stream: &Value| {
        let name = stream.get("media").and_then(Value::as_str).unwrap_or_default();
        let legs: Vec<String> =
            ["caller", "callee"].iter().filter_map(|who| one(stream, who)).collect();
        format!("({} {})", shown(name), legs.join(", "))
    };
    value.as_array().map_or_else(|| plain(value), |all| all.iter().map(of).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(value: Value) -> Map<String, Value> {
        let Value::Object(map) = value else { return Map::new() };
        map
    }

    #[test]
    fn a_record_is_a_line_that_people_can_read() {
        let r = record(json!({ "v": 1, "seq": 4, "ts": "2026-11-28T01:39:24.770Z", "mono_ms": 1,
            "site": "s", "kind": "call_attempt", "call": 1, "from": "101", "to": "102",
            "rule": "no premium", "target": null, "findings": ["no_audio", "one_way_audio"],
            "media": [{ "media": "audio", "caller": { "rtp_packets": 7, "quality":
            { "mos": 4.386 } }, "callee": { "rtp_packets": 0 } }], "prev": "00" }));
        let line = told(&r);
        assert!(line.starts_with("2026-11-28 01:39:24  call_attempt      call 1"), "{line}");
        for want in [
            "  from 101",
            "  rule \"no premium\"",
            "  findings no_audio,one_way_audio",
            "  media (audio caller 7 packets MOS 4.4, callee 0 packets)",
        ] {
            assert!(line.contains(want), "{want} in {line}");
        }
        assert!(!line.contains("target") && !line.contains("prev"), "{line}");
    }

    #[test]
    fn nothing_of_a_record_moves_the_cursor_or_makes_a_line() {
        let r =
            record(json!({ "ts": "x\u{1b}[2J", "kind": "a\nb", "k\u{202e}": "\u{1b}]0;x\u{7}" }));
        let line = told(&r);
        assert!(!line.chars().any(|c| c.is_control() || c == '\u{202e}'), "{line:?}");
    }

    #[test]
    fn records_are_chosen_by_call_kind_and_age() {
        let r = record(json!({ "ts": "2026-11-28T01:39:24.770Z", "kind": "call_end", "call": 7 }));
        let wants = |w: Wanted| w.has(&r);
        assert!(wants(Wanted::default()));
        assert!(wants(Wanted { call: Some(7), ..Wanted::default() }));
        assert!(!wants(Wanted { call: Some(8), ..Wanted::default() }));
        assert!(!wants(Wanted { kinds: vec!["system".into()], ..Wanted::default() }));
        let since = |t: &str| Wanted { since: Some(t.to_owned()), ..Wanted::default() };
        assert!(wants(since("2026-11-28T01:39:24.000Z")));
        assert!(!wants(since("2026-11-28T01:40:00.000Z")));
    }
}
