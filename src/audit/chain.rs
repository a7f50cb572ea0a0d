//! Record → line. Each line carries the SHA-256 of the line before, so that an edit, a removal or a
//! change of order shows. It writes no file.

use super::Record;
use crate::ground::{Now, Wall};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// What stands in `prev` of the first line.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Where a log stands: how many lines it has, and the hash of the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Sequence number of the next line.
    pub seq: u64,
    /// SHA-256 (hex) of the last line.
    pub tip: String,
}

impl Default for Chain {
    fn default() -> Self {
        Self { seq: 1, tip: GENESIS.to_owned() }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    v: u8,
    seq: u64,
    ts: String,
    mono_ms: u64,
    site: &'a str,
    #[serde(flatten)]
    record: &'a Record,
    prev: &'a str,
}

impl Chain {
    /// The next line (without newline); the chain moves on.
    pub fn append(&mut self, now: Now, site: &str, record: &Record) -> String {
        let line = Line {
            v: 1,
            seq: self.seq,
            ts: timestamp(now.wall),
            mono_ms: u64::try_from(now.mono.0.as_millis()).unwrap_or(u64::MAX),
            site,
            record,
            prev: &self.tip,
        };
        // The record types hold nothing that JSON cannot.
        let text = escaped(&serde_json::to_string(&line).unwrap_or_default());
        self.tip = hash(&text);
        self.seq += 1;
        text
    }
}

impl Chain {
    /// Number and hash of the last line; `None`: there is none yet.
    #[must_use]
    pub fn head(&self) -> Option<(u64, &str)> {
        let number = self.seq.checked_sub(1).filter(|n| *n > 0)?;
        Some((number, &self.tip))
    }
}

/// SHA-256 of a line, lower-case hex.
#[must_use]
pub fn hash(line: &str) -> String {
    Sha256::digest(line.as_bytes()).iter().fold(String::with_capacity(64), |mut out, b| {
        let _ = write!(out, "{b:02x}");
        out
    })
}

/// RFC 3339, UTC, milliseconds.
#[must_use]
pub fn timestamp(wall: Wall) -> String {
    let ms = wall.0.subsec_millis();
    let seconds = i64::try_from(wall.seconds()).unwrap_or(0);
    let stamp = jiff::Timestamp::from_second(seconds).unwrap_or_default();
    let t = jiff::tz::TimeZone::UTC.to_datetime(stamp);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{ms:03}Z",
        t.year(),
        t.month(),
        t.day(),
        t.hour(),
        t.minute(),
        t.second()
    )
}

/// Characters that change how a line is shown (C1 controls, bidi overrides) become escapes.
fn escaped(json: &str) -> String {
    let hides = |c: char| {
        matches!(c, '\u{7f}'..='\u{9f}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
    };
    if !json.chars().any(hides) {
        return json.to_owned();
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if hides(c) {
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}
