//! Timers of RFC 3261 table 4 and RFC 6026, and the one table that holds every armed timer.
use crate::ground::Mono;
use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

/// A transaction timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Timer {
    /// INVITE request retransmission, T1 doubling, unreliable only.
    A,
    /// INVITE transaction time-out, 64·T1.
    B,
    /// Proxy INVITE time-out, over 3 min, restarted by 101–199 (kept by the core).
    C,
    /// Wait for response retransmissions, 32 s or 0.
    D,
    /// Non-INVITE request retransmission.
    E,
    /// Non-INVITE transaction time-out, 64·T1.
    F,
    /// INVITE response retransmission.
    G,
    /// Wait for ACK, 64·T1.
    H,
    /// Wait for ACK retransmissions, T4 or 0.
    I,
    /// Wait for non-INVITE request retransmissions, 64·T1 or 0.
    J,
    /// Wait for response retransmissions, T4 or 0.
    K,
    /// Accepted server INVITE: wait for 2xx retransmissions from the core, 64·T1 (RFC 6026).
    L,
    /// Accepted client INVITE: wait for more 2xx, 64·T1 (RFC 6026).
    M,
}

/// Armed timers of many owners, soonest first.
#[derive(Debug)]
pub struct TimerTable<K> {
    due: BTreeSet<(Mono, u64, K)>,
    armed: HashMap<K, (Mono, u64)>,
    counter: u64,
}

impl<K> Default for TimerTable<K> {
    fn default() -> Self {
        Self { due: BTreeSet::new(), armed: HashMap::new(), counter: 0 }
    }
}

impl<K: Copy + Eq + Hash + Ord> TimerTable<K> {
    /// Arms (or moves) a timer.
    pub fn set(&mut self, key: K, at: Mono) {
        self.stop(key);
        self.counter += 1;
        self.due.insert((at, self.counter, key));
        self.armed.insert(key, (at, self.counter));
    }
    /// Disarms.
    pub fn stop(&mut self, key: K) {
        if let Some((at, n)) = self.armed.remove(&key) {
            self.due.remove(&(at, n, key));
        }
    }
    /// The soonest deadline.
    #[must_use]
    pub fn next(&self) -> Option<Mono> {
        self.due.first().map(|(at, _, _)| *at)
    }
    /// Takes one timer that is due.
    pub fn expired(&mut self, now: Mono) -> Option<K> {
        let (at, _, key) = *self.due.first()?;
        (at <= now).then(|| {
            self.stop(key);
            key
        })
    }
    /// How many are armed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.armed.len()
    }
    /// True when none is armed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.armed.is_empty()
    }
}
