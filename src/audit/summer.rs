//! Floods become one record a class, source and minute. A bounded table; time is an argument.

use super::Record;
use crate::ground::Mono;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How long equal events are summed.
const WINDOW: Duration = Duration::from_secs(60);
/// Sums kept at once; beyond it everything counts for "somebody".
const TABLE: usize = 4_096;

type Key = (&'static str, Option<IpAddr>);

#[derive(Debug)]
struct Sum {
    since: Mono,
    source: Option<SocketAddr>,
    count: u64,
    detail: String,
}

/// The table.
#[derive(Debug, Default)]
pub struct Summer {
    sums: HashMap<Key, Sum>,
}

impl Summer {
    /// Takes a record: what is to be written now. The first security event of its kind passes at
    /// once; the rest of the minute is one record at its end.
    pub fn take(&mut self, now: Mono, record: Record) -> Option<Record> {
        let Record::Security { class, source, count, detail } = record else {
            return Some(record);
        };
        let mut key = (class, source.map(|s| s.ip()));
        if !self.sums.contains_key(&key) && self.sums.len() >= TABLE {
            key = (class, None);
        }
        if let Some(sum) = self.sums.get_mut(&key) {
            sum.count += count;
            sum.detail = detail;
            return None;
        }
        let sum = Sum { since: now, source, count: 0, detail: String::new() };
        self.sums.insert(key, sum);
        Some(Record::Security { class, source, count, detail })
    }

    /// The sums whose minute is over (`all`: every one, at the end).
    pub fn due(&mut self, now: Mono, all: bool) -> Vec<Record> {
        let mut out = Vec::new();
        self.sums.retain(|(class, _), sum| {
            if !all && now.since(sum.since) < WINDOW {
                return true;
            }
            if sum.count > 0 {
                let detail = std::mem::take(&mut sum.detail);
                let (source, count) = (sum.source, sum.count);
                out.push(Record::Security { class, source, count, detail });
            }
            false
        });
        out
    }
}
