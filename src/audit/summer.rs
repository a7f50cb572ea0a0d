//! Floods become sums, so that nobody can fill the volume: of each class and source so many
//! records a minute are written one by one, of each source and upstream so many octets. What is not
//! written is counted in one record a class, source and minute. Its tables are bounded; time is an
//! argument.

mod purse;

use super::{BindingEvent, CallEnd, Outcome, Record, Ruling, SecurityClass, Standing};
use crate::ground::{CallNo, Mono};
use crate::policy::quota::Source;
use purse::{Kind, Payer, Purse, Purses, SPARE};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// How long equal events are summed.
const WINDOW: Duration = Duration::from_secs(60);
/// Sums kept at once; beyond it everything counts for "somebody".
const TABLE: usize = 4_096;
/// Refusals of one class and source that are written one by one in a window.
const EACH: u64 = 30;
/// Records of one pool that are written one by one in a window.
const ALL: u64 = 600;
/// Calls of which is known whether their attempt was written.
const CALLS: usize = 16_384;

type Key = (SecurityClass, Option<Source>);

#[derive(Debug)]
struct Sum {
    since: Mono,
    source: Option<SocketAddr>,
    /// Written one by one.
    written: u64,
    count: u64,
    detail: String,
}

/// Records that are counted together, so that a flood of one kind leaves room for the others.
#[derive(Clone, Copy, Debug)]
enum Pool {
    /// Refusals of strangers.
    Strangers,
    /// Refusals of phones and upstreams.
    Known,
    /// The first of each kind of security event.
    Events,
    /// The first emergency call of each source.
    Emergencies,
    /// Sums.
    Sums,
}

/// What was written of a call.
#[derive(Clone, Copy, Debug)]
struct Told {
    source: SocketAddr,
    /// Whose share it counts against, and which.
    payer: Payer,
    kind: Kind,
    written: bool,
}

/// The table.
#[derive(Debug, Default)]
pub struct Summer {
    sums: BTreeMap<Key, Sum>,
    minute: Mono,
    /// Written one by one in this minute, by pool.
    pools: [u64; 5],
    purses: Purses,
    spare: Option<Purse>,
    calls: BTreeMap<CallNo, Told>,
}

impl Summer {
    /// Takes a record: what is to be written now. The first events of their kind pass at once; the
    /// rest of the minute is one record at its end.
    pub fn take(&mut self, now: Mono, record: Record) -> Option<Record> {
        if now.since(self.minute) >= WINDOW {
            self.minute = now;
            self.pools = [0; 5];
        }
        let written = match &record {
            Record::Security { class, source, count, detail } => {
                self.event(now, *class, *source, *count, detail)
            }
            Record::CallAttempt { verdict: Ruling::Allow, .. } => self.call(now, &record),
            Record::CallAttempt { source, from, to, rule, sender, .. } => {
                let detail = format!("the last from {from} to {to}, by rule {rule}");
                self.refused(now, (SecurityClass::DeniedCalls, *source), *sender, detail)
            }
            Record::CallEnd(CallEnd { call, .. }) | Record::Finding { call, .. } => {
                self.of_call(now, *call, &record)
            }
            Record::Verdict { method, source, to, rule, sender, .. } => {
                let detail = format!("the last {method} to {to}, by rule {rule}");
                self.refused(now, (SecurityClass::DeniedRequests, *source), *sender, detail)
            }
            Record::Registration { user, source, result: BindingEvent::Refused, .. } => {
                let class = SecurityClass::RefusedRegistrations;
                let detail = format!("the last of {user}");
                self.refused(now, (class, *source), Standing::Stranger, detail)
            }
            Record::Registration { user, source, result, .. } => {
                self.shared(now, *source, &record, || format!("the last {user} {result}"))
            }
            Record::Reference { verdict: Ruling::Allow, source, from, to, .. } => {
                let detail = || format!("the last {from} referred to {to}");
                self.shared(now, *source, &record, detail)
            }
            Record::Reference { source, by, to, rule, .. } => {
                let detail = format!("the last {by} to {to}, by rule {rule}");
                self.refused(now, (SecurityClass::DeniedCalls, *source), Standing::Phone, detail)
            }
            Record::QualityReport { call, source, .. } => {
                let detail = || format!("the last a quality report of call {call}");
                self.shared(now, *source, &record, detail)
            }
            Record::Tunnel { tunnel, event, peer: Some(peer), .. } => {
                self.shared(now, *peer, &record, || format!("the last tunnel {tunnel} {event}"))
            }
            // Of whom there is no address; and one a tunnel and minute.
            Record::Tunnel { peer: None, .. }
            | Record::PeerHead { .. }
            | Record::Admin { .. }
            | Record::System { .. } => true,
        };
        written.then_some(record)
    }

    /// There is room in a pool.
    fn room(&mut self, pool: Pool) -> bool {
        let Some(n) = self.pools.get_mut(pool as usize) else { return false };
        *n += 1;
        *n <= ALL
    }

    /// The sum an event belongs to, and whether it began with it.
    fn sum(
        &mut self,
        now: Mono,
        class: SecurityClass,
        source: Option<SocketAddr>,
    ) -> (&mut Sum, bool) {
        let mut key = (class, source.map(|s| Source::of(s.ip())));
        if !self.sums.contains_key(&key) && self.sums.len() >= TABLE {
            key = (class, None);
        }
        let new = !self.sums.contains_key(&key);
        let source = key.1.and(source);
        let fresh = || Sum { since: now, source, written: 0, count: 0, detail: String::new() };
        (self.sums.entry(key).or_insert_with(fresh), new)
    }

    /// Something hostile or odd: the first of its class and source is written.
    fn event(
        &mut self,
        now: Mono,
        class: SecurityClass,
        source: Option<SocketAddr>,
        count: u64,
        detail: &str,
    ) -> bool {
        let new = self.sum(now, class, source).1;
        if new && self.room(Pool::Events) {
            return true;
        }
        let (sum, _) = self.sum(now, class, source);
        sum.count += count;
        detail.clone_into(&mut sum.detail);
        false
    }

    /// A refusal: so many of a class and source are written, and so many in all.
    fn refused(
        &mut self,
        now: Mono,
        (class, by): (SecurityClass, SocketAddr),
        sender: Standing,
        detail: String,
    ) -> bool {
        let pool = match sender {
            Standing::Stranger => Pool::Strangers,
            Standing::Phone | Standing::Upstream(_) => Pool::Known,
        };
        if self.sum(now, class, Some(by)).0.written < EACH && self.room(pool) {
            self.sum(now, class, Some(by)).0.written += 1;
            return true;
        }
        let (sum, _) = self.sum(now, class, Some(by));
        sum.count += 1;
        sum.detail = detail;
        false
    }

    /// A call that may pass. A source's share binds when all have taken too much, an upstream's
    /// always; the first in a minute that a source makes to an emergency number is written whatever
    /// its share.
    fn call(&mut self, now: Mono, record: &Record) -> bool {
        let Record::CallAttempt { call, source, from, to, sender, emergency, .. } = record else {
            return true;
        };
        let octets = cost(record);
        let payer = Payer::of(*sender, source.ip());
        let (kind, spares) = match sender {
            Standing::Stranger if *emergency => (Kind::Unknown, false),
            Standing::Stranger | Standing::Phone => (Kind::All, true),
            Standing::Upstream(_) => (Kind::All, false),
        };
        let written = *emergency && self.is_first_emergency(now, *source)
            || self.purses.of(now, kind, payer).take(now, octets)
            || spares && self.has_spare(now, octets)
            || self.beyond(now, *source, format!("the last a call from {from} to {to}"));
        while self.calls.len() >= CALLS {
            self.calls.pop_first();
        }
        self.calls.insert(*call, Told { source: *source, payer, kind, written });
        written
    }

    fn is_first_emergency(&mut self, now: Mono, source: SocketAddr) -> bool {
        let class = SecurityClass::AuditShare;
        if self.sum(now, class, Some(source)).0.written > 0 || !self.room(Pool::Emergencies) {
            return false;
        }
        self.sum(now, class, Some(source)).0.written = 1;
        true
    }

    /// What is told of a call follows its attempt: written with it, or counted. Only that it was
    /// answered is told all the same, as long as its payer has something left for that: else
    /// whoever calls often enough in vain could hide the call that he means.
    fn of_call(&mut self, now: Mono, call: CallNo, record: &Record) -> bool {
        // One that was there before the start, or of which too much has happened since.
        let Some(Told { source, payer, kind, written }) = self.calls.get(&call).copied() else {
            return true;
        };
        if written {
            self.purses.of(now, kind, payer).charge(now, cost(record));
            return true;
        }
        let is_answered =
            matches!(record, Record::CallEnd(CallEnd { outcome: Outcome::Answered, .. }));
        is_answered && self.purses.of(now, Kind::Answered, payer).take(now, cost(record))
            || self.beyond(now, source, format!("the last of call {call}"))
    }

    /// What counts against the share of its source.
    fn shared(
        &mut self,
        now: Mono,
        source: SocketAddr,
        record: &Record,
        detail: impl FnOnce() -> String,
    ) -> bool {
        let payer = Payer::Source(Source::of(source.ip()));
        self.purses.of(now, Kind::All, payer).take(now, cost(record))
            || self.beyond(now, source, detail())
    }

    /// All sources together have left enough.
    fn has_spare(&mut self, now: Mono, octets: u64) -> bool {
        self.spare.get_or_insert_with(|| Purse::full(SPARE, now)).take(now, octets)
    }

    /// More than the share of its source: counted.
    fn beyond(&mut self, now: Mono, source: SocketAddr, detail: String) -> bool {
        let (sum, _) = self.sum(now, SecurityClass::AuditShare, Some(source));
        sum.count += 1;
        sum.detail = detail;
        false
    }

    /// The sums whose minute is over (`all`: every one, at the end). What is more than a pool holds
    /// is one sum a class.
    pub fn due(&mut self, now: Mono, all: bool) -> Vec<Record> {
        self.purses.tidy(now);
        let mut over = BTreeMap::new();
        self.sums.retain(|key, sum| {
            let stays = !all && now.since(sum.since) < WINDOW;
            if !stays && sum.count > 0 {
                over.insert(*key, (sum.source, sum.count, std::mem::take(&mut sum.detail)));
            }
            stays
        });
        let (mut out, mut rest) = (Vec::new(), BTreeMap::new());
        for ((class, _), (source, count, detail)) in over {
            if self.room(Pool::Sums) {
                let mut record = Record::Security { class, source, count, detail };
                record.cut();
                out.push(record);
                continue;
            }
            let (sources, n) = rest.entry(class).or_insert((0_u64, 0));
            *sources += 1;
            *n += count;
        }
        out.extend(rest.into_iter().map(|(class, (sources, count))| {
            let detail = format!("of {sources} sources");
            Record::Security { class, source: None, count, detail }
        }));
        out
    }
}

/// Octets that a record takes in the log, nearly.
fn cost(record: &Record) -> u64 {
    /// What stands in every line.
    const LINE: usize = 400;
    /// Of a stream, and of a quality report.
    const FIGURES: usize = 900;
    let octets = match record {
        Record::CallAttempt { call_id, from, to, rule, tls_subject, .. } => {
            call_id.len() + from.len() + to.len() + rule.len() + tls_subject.len()
        }
        Record::Reference { call_id, from, to, rule, .. } => {
            call_id.len() + from.len() + to.len() + rule.len()
        }
        Record::CallEnd(CallEnd { call_id, from, to, media, .. }) => {
            call_id.len() + from.len() + to.len() + media.len() * FIGURES
        }
        Record::Registration { user, .. } => user.len(),
        Record::Finding { call_id, evidence, .. } => call_id.len() + evidence.len(),
        Record::QualityReport { call_id, user, .. } => call_id.len() + user.len() + FIGURES,
        Record::Verdict { from, to, rule, tls_subject, .. } => {
            from.len() + to.len() + rule.len() + tls_subject.len()
        }
        Record::Tunnel { detail, .. }
        | Record::Security { detail, .. }
        | Record::Admin { detail, .. }
        | Record::System { detail, .. } => detail.len(),
        Record::PeerHead { hash, .. } => hash.len(),
    };
    (LINE + octets) as u64
}
