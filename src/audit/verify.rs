//! Lines → verdict: is this the log that was written? Anybody can repeat it: SHA-256 of each line
//! must stand in the next.

use super::Heads;
use super::chain::{GENESIS, hash};
use serde_json::Value;

/// What a sound log holds.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Summary {
    /// Lines.
    pub records: u64,
    /// Records that were written before the first of these, and are not here.
    pub before: u64,
    /// Time stamps of the first and last.
    pub first: String,
    /// Of the last.
    pub last: String,
    /// Hash of the last line: keep it elsewhere, and truncation shows too.
    pub tip: String,
    /// Heads noted elsewhere that stand in it.
    pub heads: u64,
    /// Heads noted elsewhere of records that are not here any more.
    pub heads_before: u64,
}

/// The first line that cannot be as it was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct Broken {
    /// 1-based, over all files.
    pub line: u64,
    /// In words.
    pub what: String,
}

/// Checks lines in order. `tip`: the hash the last line must have, if one was kept elsewhere;
/// `heads`: what was noted elsewhere of lines on the way.
///
/// # Errors
/// The first broken line.
pub fn verify<'a>(
    lines: impl Iterator<Item = &'a str>,
    tip: Option<&str>,
    heads: &Heads,
) -> Result<Summary, Broken> {
    let mut summary = Summary { tip: GENESIS.to_owned(), ..Summary::default() };
    let mut next_seq = None;
    for line in lines {
        let number = summary.records + 1;
        let broken = |what: String| Broken { line: number, what };
        let value: Value = serde_json::from_str(line)
            .map_err(|_| broken("no complete record (a torn last line, or an edit)".into()))?;
        let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
        let seq = value.get("seq").and_then(Value::as_u64).unwrap_or_default();
        if number == 1 && seq <= 1 && text("prev") != GENESIS {
            return Err(broken("the first record does not begin a chain".into()));
        }
        if number > 1 && text("prev") != summary.tip {
            return Err(broken("the line before it was changed, removed or moved".into()));
        }
        if next_seq.is_some_and(|n| n != seq) {
            return Err(broken(format!("sequence number {seq} out of order")));
        }
        // Nobody writes so many.
        next_seq = Some(seq.checked_add(1).ok_or_else(|| broken(format!("number {seq}")))?);
        if number == 1 {
            summary.before = seq.saturating_sub(1);
            summary.heads_before = heads.before(seq);
            text("ts").clone_into(&mut summary.first);
        }
        text("ts").clone_into(&mut summary.last);
        summary.tip = hash(line);
        summary.heads += heads.confirm(number, seq, &summary.tip)?;
        summary.records = number;
    }
    heads.end(summary.records, next_seq.map_or(0, |next: u64| next - 1))?;
    match tip {
        Some(want) if !want.trim().eq_ignore_ascii_case(&summary.tip) => Err(Broken {
            line: summary.records,
            what: "the last line is not the one that the tip names: lines are missing at the end"
                .to_owned(),
        }),
        Some(_) | None => Ok(summary),
    }
}
