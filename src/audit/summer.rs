//! Floods become one record a class, source and minute, so that nobody outside can fill the volume.
//! A bounded table; time is an argument.

use super::{BindingEvent, Record, SecurityClass};
use crate::ground::Mono;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How long equal events are summed.
const WINDOW: Duration = Duration::from_secs(60);
/// Sums kept at once; beyond it everything counts for "somebody".
const TABLE: usize = 4_096;
/// Refusals of one source that are written one by one in a window.
const EACH: u64 = 30;
/// The same of all sources.
const ALL: u64 = 600;

type Key = (SecurityClass, Option<IpAddr>);

#[derive(Debug)]
struct Sum {
    since: Mono,
    source: Option<SocketAddr>,
    /// Written one by one.
    written: u64,
    count: u64,
    detail: String,
}

/// The table.
#[derive(Debug, Default)]
pub struct Summer {
    sums: BTreeMap<Key, Sum>,
    /// Refusals written one by one since then.
    refused: (Mono, u64),
}

impl Summer {
    /// Takes a record: what is to be written now. The first security event of its kind passes at
    /// once, and the first refusals of strangers; the rest of the minute is one record at its end.
    pub fn take(&mut self, now: Mono, record: Record) -> Option<Record> {
        if let Some((class, source, detail)) = refusal(&record) {
            return self.refused(now, class, source, &detail).then_some(record);
        }
        let Record::Security { class, source, count, detail } = record else {
            return Some(record);
        };
        let (sum, new) = self.sum(now, class, source);
        if !new {
            sum.count += count;
            sum.detail = detail;
            return None;
        }
        Some(Record::Security { class, source, count, detail })
    }

    /// The sum an event belongs to, and whether it began with it.
    fn sum(
        &mut self,
        now: Mono,
        class: SecurityClass,
        source: Option<SocketAddr>,
    ) -> (&mut Sum, bool) {
        let mut key = (class, source.map(|s| s.ip()));
        if !self.sums.contains_key(&key) && self.sums.len() >= TABLE {
            key = (class, None);
        }
        let new = !self.sums.contains_key(&key);
        let fresh = || Sum { since: now, source, written: 0, count: 0, detail: String::new() };
        (self.sums.entry(key).or_insert_with(fresh), new)
    }

    /// True when this refusal is written by itself.
    fn refused(&mut self, now: Mono, class: SecurityClass, by: SocketAddr, detail: &str) -> bool {
        if now.since(self.refused.0) >= WINDOW {
            self.refused = (now, 0);
        }
        let room = self.refused.1 < ALL;
        let (sum, _) = self.sum(now, class, Some(by));
        if room && sum.written < EACH {
            sum.written += 1;
            self.refused.1 += 1;
            return true;
        }
        sum.count += 1;
        detail.clone_into(&mut sum.detail);
        false
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
                out.push(Record::Security { class: *class, source, count, detail });
            }
            false
        });
        out
    }
}

/// A stranger who was refused: class, source, and whom they wanted.
fn refusal(record: &Record) -> Option<(SecurityClass, SocketAddr, String)> {
    if let Record::CallAttempt { source, from, to, stranger: true, .. } = record {
        return Some((
            SecurityClass::DeniedCalls,
            *source,
            format!("the last from {from} to {to}"),
        ));
    }
    if let Record::Verdict { method, source, to, stranger: true, .. } = record {
        return Some((
            SecurityClass::DeniedRequests,
            *source,
            format!("the last {method} to {to}"),
        ));
    }
    if let Record::Registration { user, source, result: BindingEvent::Refused, .. } = record {
        return Some((SecurityClass::RefusedRegistrations, *source, format!("the last of {user}")));
    }
    None
}
