//! The session table: what others see of the running gateway without asking its event loop. The
//! loop alone writes; readers take no lock, so that none of them can hold up the loop, and a loop
//! that stands still holds up none of them. It decides nothing.

mod registration;

pub use registration::RegistrationRow;

use super::{EndedCall, Refusal, Report, StateReport};
use crate::driver::audit_log::AuditCounters;
use crate::driver::clock::Clock;
use crate::driver::log_lines::lost_lines;
use crate::driver::relay_worker::Relay;
use crate::driver::state::{Health, JournalCounters};
use crate::engine::{CallRow, CallView, LIST, StoredBinding};
use crate::ground::{CallNo, Mono, Now, Wall};
use arc_swap::ArcSwap;
use registration::Registration;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// The loop turns at least this often, also when nothing happens.
pub(super) const TICK: Duration = Duration::from_secs(1);
/// A loop that has not turned for this long stands still: it is stuck, or its thread is stopped.
pub const STILL: Duration = Duration::from_secs(3);
/// Figures are published at most this often.
pub(super) const EVERY: Duration = Duration::from_millis(20);
/// Readers wait for the figures of the last turn in steps of this, so many times at most: whoever
/// was answered by the gateway finds that counted.
const STEP: Duration = Duration::from_millis(2);
const STEPS: usize = 25;
/// Rows that have their place from the start; the maps grow where limits are larger.
const PLACES: usize = 1 << 16;

/// How the event loop does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Since its last turn was over.
    pub age: Duration,
}

impl Standing {
    /// True when the loop does not turn any more: what is shown is how it was then.
    #[must_use]
    pub fn is_still(self) -> bool {
        self.age >= STILL
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the event loop has stood still for {} s", self.age.as_secs())
    }
}

/// Figures as the loop knew them at the end of a turn.
#[derive(Debug, Default)]
pub(super) struct Figures {
    /// The turn's number.
    pub(super) turn: u64,
    /// While it drains: when calls are hung up.
    pub(super) drain_until: Option<Mono>,
    /// What only the loop knows; the rest is read when asked.
    pub(super) report: Report,
}

/// What readers share with the loop.
#[derive(Debug)]
pub struct SessionTable {
    clock: Clock,
    relay: Weak<Relay>,
    audit: Option<Arc<AuditCounters>>,
    state: Arc<JournalCounters>,
    calls: papaya::HashMap<CallNo, CallView>,
    /// Calls that are over.
    ended: papaya::HashMap<CallNo, Arc<EndedCall>>,
    registrations: papaya::HashMap<String, Registration>,
    /// What was refused, by number.
    refusals: papaya::HashMap<u64, Arc<Refusal>>,
    figures: ArcSwap<Figures>,
    /// Addresses of the configuration that this machine has lost.
    lost: ArcSwap<Vec<IpAddr>>,
    /// Turns begun.
    begun: AtomicU64,
    /// When the last turn was over: nanoseconds of the monotonic clock.
    over: AtomicU64,
}

impl SessionTable {
    /// Nothing there yet. `calls` and `registrations`: how many there may be.
    pub(super) fn new(
        clock: Clock,
        relay: Weak<Relay>,
        audit: Option<Arc<AuditCounters>>,
        state: Arc<JournalCounters>,
        calls: usize,
        registrations: usize,
    ) -> Self {
        let table = Self {
            clock,
            relay,
            audit,
            state,
            calls: papaya::HashMap::with_capacity(calls.min(PLACES)),
            ended: papaya::HashMap::new(),
            registrations: papaya::HashMap::with_capacity(registrations.min(PLACES)),
            refusals: papaya::HashMap::new(),
            figures: ArcSwap::default(),
            lost: ArcSwap::default(),
            begun: AtomicU64::new(0),
            over: AtomicU64::new(0),
        };
        table.turned(clock.now().mono);
        table
    }

    // What the loop writes ------------------------------------------------------------------------

    /// A turn begins. Said before its first effect: whoever saw that effect waits for the figures.
    pub(super) fn begin(&self) {
        // One writer.
        self.begun.store(self.begun.load(Relaxed) + 1, SeqCst);
    }

    /// A turn is over.
    pub(super) fn turned(&self, at: Mono) {
        self.over.store(u64::try_from(at.0.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    /// Number of the turn under way, for [`Figures::turn`].
    pub(super) fn turn(&self) -> u64 {
        self.begun.load(Relaxed)
    }

    pub(super) fn publish(&self, figures: Figures) {
        self.figures.store(Arc::new(figures));
    }

    pub(super) fn show_call(&self, view: CallView) {
        self.calls.pin().insert(view.call, view);
    }

    pub(super) fn hide_call(&self, call: CallNo) {
        self.calls.pin().remove(&call);
    }

    pub(super) fn keep_call(&self, ended: EndedCall) {
        self.ended.pin().insert(ended.detail.row.view.call, Arc::new(ended));
    }

    pub(super) fn forget_call(&self, call: CallNo) {
        self.ended.pin().remove(&call);
    }

    /// `agent`: what it calls itself, as far as that is known; `since`: now, or `None` for what
    /// was there before the start. What is known of it already stays.
    pub(super) fn show_registration(
        &self,
        binding: &StoredBinding,
        agent: Option<&str>,
        since: Option<Wall>,
    ) {
        let all = self.registrations.pin();
        let before = all.get(&binding.key);
        all.insert(binding.key.clone(), Registration::new(binding, (agent, since), before));
    }

    /// Somebody was refused something; `gone`: the number of the row that gives way.
    pub(super) fn tell_refusal(&self, row: Refusal, gone: Option<u64>) {
        let all = self.refusals.pin();
        all.insert(row.number, Arc::new(row));
        gone.and_then(|number| all.remove(&number));
    }

    pub(super) fn hide_registration(&self, key: &str) {
        self.registrations.pin().remove(key);
    }

    // What others read ----------------------------------------------------------------------------

    /// How the event loop does.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.standing_at(self.clock.now())
    }

    fn standing_at(&self, now: Now) -> Standing {
        let over = Mono(Duration::from_nanos(self.over.load(Relaxed)));
        Standing { age: now.mono.since(over) }
    }

    /// The time of which the rows are: now; of a loop that stands still, when it last turned.
    fn moment(&self, now: Now) -> Now {
        let standing = self.standing_at(now);
        if !standing.is_still() {
            return now;
        }
        Now { mono: now.mono - standing.age, wall: Wall(now.wall.0.saturating_sub(standing.age)) }
    }

    /// Waits until the figures hold the turn under way, at most 50 ms.
    pub async fn settled(&self) {
        let turn = self.begun.load(SeqCst);
        for _ in 0..STEPS {
            if self.figures.load().turn >= turn || self.standing().is_still() {
                return;
            }
            tokio::time::sleep(STEP).await;
        }
    }

    /// No new calls are admitted.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.figures.load().report.stats.now.draining
    }

    /// Addresses that the gateway stands at and this machine has not (any more).
    #[must_use]
    pub fn lost_addresses(&self) -> Vec<IpAddr> {
        self.lost.load().as_ref().clone()
    }

    /// Whoever watches the machine's addresses tells which of ours are gone.
    pub fn set_lost_addresses(&self, lost: Vec<IpAddr>) {
        self.lost.store(Arc::new(lost));
    }

    /// Counters and gauges: the loop's as of its last turns, the relay's and the log's as of now.
    #[must_use]
    pub fn report(&self) -> Report {
        self.report_at(self.clock.now())
    }

    fn report_at(&self, now: Now) -> Report {
        let figures = self.figures.load();
        let mut report = figures.report.clone();
        report.standing = self.standing_at(now);
        report.now = now;
        report.lost_addresses = self.lost_addresses();
        report.drain_left = figures.drain_until.map(|until| until.since(now.mono));
        if let Some(relay) = self.relay.upgrade() {
            report.relay = relay.totals();
            report.tunnels = relay.tunnels().views();
            report.relay_events_lost = relay.lost_events();
        }
        let s = &self.state;
        report.state = StateReport {
            write_failures: s.write_failures.load(Relaxed),
            lost: s.lost.load(Relaxed),
            waiting: s.waiting.load(Relaxed),
            failing: s.health(now.mono) != Health::Good,
        };
        report.log_lines_lost = lost_lines();
        if let Some(c) = &self.audit {
            report.audit = [
                c.records.load(Relaxed),
                c.write_failures.load(Relaxed),
                c.suppressed.load(Relaxed),
                u64::from(c.full.load(Relaxed)),
            ];
        }
        report
    }

    /// How long sampled media packets took since this was asked last.
    #[must_use]
    pub fn take_delays(&self) -> Vec<Duration> {
        self.relay.upgrade().map_or_else(Vec::new, |relay| relay.take_delays())
    }

    /// Calls by number, oldest first, at most [`LIST`]; how many were left off.
    #[must_use]
    pub fn calls(&self) -> (Vec<CallRow>, usize) {
        self.calls_at(self.clock.now())
    }

    fn calls_at(&self, now: Now) -> (Vec<CallRow>, usize) {
        let now = self.moment(now);
        let mut rows: Vec<CallRow> =
            self.calls.pin().values().map(|view| view.clone().row(now)).collect();
        rows.sort_unstable_by_key(|r| r.view.call);
        let left_off = rows.len().saturating_sub(LIST);
        rows.truncate(LIST);
        (rows, left_off)
    }

    /// One call; `None`: there is none of this number.
    #[must_use]
    pub fn call(&self, no: CallNo) -> Option<CallRow> {
        let now = self.moment(self.clock.now());
        self.calls.pin().get(&no).map(|view| view.clone().row(now))
    }

    /// Calls that are over, the last one first, at most `most`; how many were left off.
    #[must_use]
    pub fn ended(&self, most: usize) -> (Vec<Arc<EndedCall>>, usize) {
        let mut all: Vec<Arc<EndedCall>> = self.ended.pin().values().cloned().collect();
        all.sort_unstable_by_key(|c| std::cmp::Reverse((c.ended, c.detail.row.view.call)));
        let left_off = all.len().saturating_sub(most);
        all.truncate(most);
        (all, left_off)
    }

    /// One call that is over; `None`: there is none of this number, or no longer.
    #[must_use]
    pub fn ended_call(&self, no: CallNo) -> Option<Arc<EndedCall>> {
        self.ended.pin().get(&no).cloned()
    }

    /// What was refused last, the newest first.
    #[must_use]
    pub fn refusals(&self) -> Vec<Arc<Refusal>> {
        let mut all: Vec<Arc<Refusal>> = self.refusals.pin().values().cloned().collect();
        all.sort_unstable_by_key(|r| std::cmp::Reverse(r.number));
        all
    }

    /// Live registrations by user, at most [`LIST`]; how many were left off.
    #[must_use]
    pub fn registrations(&self) -> (Vec<RegistrationRow>, usize) {
        self.registrations_at(self.clock.now())
    }

    /// Live registrations of phones that have to come again before anybody reaches them.
    #[must_use]
    pub fn gone(&self) -> usize {
        let now = self.moment(self.clock.now()).wall;
        let is_gone = |r: &&Registration| r.lives(now) && r.is_gone();
        self.registrations.pin().values().filter(is_gone).count()
    }

    fn registrations_at(&self, now: Now) -> (Vec<RegistrationRow>, usize) {
        let still = self.standing_at(now).is_still();
        let now = self.moment(now).wall;
        let guard = self.registrations.pin();
        let mut all: Vec<(&String, &Registration)> =
            guard.iter().filter(|(_, r)| r.lives(now)).collect();
        all.sort_unstable_by_key(|(key, r)| (r.order(), *key));
        let rows = all.iter().take(LIST).map(|(_, r)| r.row(now, still)).collect();
        (rows, all.len().saturating_sub(LIST))
    }
}

#[cfg(test)]
mod tests;
