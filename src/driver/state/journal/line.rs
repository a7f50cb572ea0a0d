//! A change as a line of JSON: `{"v":1,"kind":…,"key":…,…}` keeps an entry, `{"v":1,"forget":{…}}`
//! takes one back; the last line of a key holds. Lines of the first format (a bare binding,
//! `{"removed":…}`) are read, never written.

use super::Change;
use crate::engine::{Entry, Key, StoredBinding};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Format of what is written; a line of a later one is not read.
const VERSION: u64 = 1;

#[derive(Serialize)]
#[serde(untagged)]
enum Line<'a> {
    Store {
        v: u64,
        #[serde(flatten)]
        entry: &'a Entry,
    },
    Forget {
        v: u64,
        forget: &'a Key,
    },
}

/// The line of a change, with its end.
pub(super) fn write(key: &Key, change: &Change) -> serde_json::Result<String> {
    let v = VERSION;
    let line = match change {
        Change::Store(entry) => Line::Store { v, entry },
        Change::Forget => Line::Forget { v, forget: key },
    };
    Ok(serde_json::to_string(&line)? + "\n")
}

/// A journal as read.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) live: BTreeMap<Key, Entry>,
    pub(super) lines: usize,
    /// Lines that are none of ours, or of a later format.
    pub(super) foreign: usize,
    /// The last line has no end: a power failure, or a full volume.
    pub(super) torn: bool,
}

/// Reads a journal. What a line cannot tell costs no other line: octets, not text, for a power
/// failure may have left anything in one.
pub(super) fn read(octets: &[u8]) -> Read {
    let text = String::from_utf8_lossy(octets);
    let torn = !text.is_empty() && !text.ends_with('\n');
    let mut read = Read { torn, ..Read::default() };
    for line in text.lines().filter(|l| !l.is_empty()) {
        read.lines += 1;
        match parse(line) {
            Some((key, Change::Store(entry))) => drop(read.live.insert(key, *entry)),
            Some((key, Change::Forget)) => drop(read.live.remove(&key)),
            None => read.foreign += 1,
        }
    }
    read
}

fn parse(line: &str) -> Option<(Key, Change)> {
    let value: Value = serde_json::from_str(line).ok()?;
    let Some(version) = value.get("v") else { return parse_former(value) };
    if version.as_u64()? > VERSION {
        return None;
    }
    if let Some(key) = value.get("forget") {
        return Some((serde_json::from_value(key.clone()).ok()?, Change::Forget));
    }
    let entry: Entry = serde_json::from_value(value).ok()?;
    Some((entry.key(), Change::Store(Box::new(entry))))
}

fn parse_former(value: Value) -> Option<(Key, Change)> {
    if let Some(key) = value.get("removed") {
        return Some((Key::Binding(key.as_str()?.to_owned()), Change::Forget));
    }
    let binding: StoredBinding = serde_json::from_value(value).ok()?;
    let entry = Entry::Binding(binding);
    Some((entry.key(), Change::Store(Box::new(entry))))
}
