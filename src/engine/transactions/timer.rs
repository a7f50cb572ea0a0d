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
    /// Whether it is armed.
    pub fn is_armed(&self, key: K) -> bool {
        self.armed.contains_key(&key)
    }
    /// All that are armed, in no order.
    pub fn keys(&self) -> impl Iterator<Item = K> {
        self.armed.keys().copied()
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::time::Duration;

    fn at(ms: u16) -> Mono {
        Mono(Duration::from_millis(u64::from(ms)))
    }

    #[test]
    fn equal_deadlines_fire_in_the_order_they_were_set() {
        let mut table = TimerTable::default();
        table.set(2, at(10));
        table.set(1, at(10));
        assert_eq!(table.expired(at(9)), None);
        assert_eq!(table.expired(at(10)), Some(2));
        assert_eq!(table.expired(at(10)), Some(1));
        assert!(table.is_empty());
    }

    #[test]
    fn setting_again_moves_a_timer() {
        let mut table = TimerTable::default();
        table.set('a', at(10));
        table.set('a', at(30));
        assert_eq!((table.len(), table.next()), (1, Some(at(30))));
        table.stop('a');
        table.stop('a');
        assert_eq!((table.len(), table.next()), (0, None));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Set(u8, u16),
        Stop(u8),
        Pass(u16),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (0u8..8, 0u16..500).prop_map(|(key, wait)| Step::Set(key, wait)),
            (0u8..8).prop_map(Step::Stop),
            (0u16..200).prop_map(Step::Pass),
        ];
        prop::collection::vec(step, 0..100)
    }

    proptest! {
        #[test]
        fn it_behaves_like_a_plain_map(steps in steps()) {
            let (mut table, mut model) = (TimerTable::default(), BTreeMap::new());
            let mut now = Mono::default();
            for step in steps {
                match step {
                    Step::Set(key, wait) => {
                        table.set(key, now + at(wait).0);
                        model.insert(key, now + at(wait).0);
                    }
                    Step::Stop(key) => {
                        table.stop(key);
                        model.remove(&key);
                    }
                    Step::Pass(time) => now = now + at(time).0,
                }
                let mut last = None;
                while let Some(key) = table.expired(now) {
                    let due = model.remove(&key).expect("armed");
                    prop_assert!(due <= now, "early");
                    prop_assert!(last <= Some(due), "out of order");
                    last = Some(due);
                }
                prop_assert_eq!(table.len(), model.len());
                prop_assert_eq!(table.next(), model.values().min().copied());
                prop_assert!(table.next().is_none_or(|next| next > now), "late");
            }
        }
    }
}
