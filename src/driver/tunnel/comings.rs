//! How often a tunnel's other end comes. One gateway comes when its way has broken; two with one
//! key, of which one may have been stolen, throw each other out again and again. Who comes too
//! often waits; it decides nothing else.

use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// So many times it may come at once, and within a time.
const MOST: (usize, Duration) = (5, Duration::from_secs(10));
/// So often a connection may be replaced within a time, before it looks like two gateways.
const REPLACED: (usize, Duration) = (4, Duration::from_secs(60));

/// When it came to carry last, and when it replaced a connection that was there.
#[derive(Debug, Default)]
pub(super) struct Comings {
    came: VecDeque<Instant>,
    replaced: VecDeque<Instant>,
}

impl Comings {
    /// How long it waits that comes now: at most 10 s, whoever else waits.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        let first = self.came.front().filter(|_| self.came.len() >= MOST.0);
        first.map_or(Duration::ZERO, |first| (*first + MOST.1).saturating_duration_since(now))
    }

    /// It comes to carry.
    pub(super) fn comes(&mut self, now: Instant) {
        if self.came.len() >= MOST.0 {
            self.came.pop_front();
        }
        self.came.push_back(now);
    }

    /// It has replaced one that was there. Whether that has come about so often that it is to be
    /// told.
    pub(super) fn replaces(&mut self, now: Instant) -> bool {
        self.replaced.retain(|at| now.duration_since(*at) < REPLACED.1);
        self.replaced.push_back(now);
        let is_often = self.replaced.len() >= REPLACED.0;
        if is_often {
            self.replaced.clear();
        }
        is_often
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_again_and_again_waits_and_who_lost_his_way_does_not() {
        let (mut comings, start) = (Comings::default(), Instant::now());
        let mut waits = Vec::new();
        for n in 0..8 {
            let now = start + Duration::from_secs(n);
            waits.push(comings.wait(now).as_secs());
            comings.comes(now);
        }
        assert_eq!(waits, [0, 0, 0, 0, 0, 5, 5, 5]);
        for _ in 0..1_000 {
            assert!(
                comings.wait(start + Duration::from_secs(8)) <= MOST.1,
                "waiting takes no turn"
            );
        }
        assert_eq!(comings.wait(start + Duration::from_secs(60)), Duration::ZERO);
    }

    #[test]
    fn two_gateways_with_one_key_are_told_and_a_better_way_is_not() {
        let (mut comings, now) = (Comings::default(), Instant::now());
        let at = |seconds| now + Duration::from_secs(seconds);
        assert!(!(0..20).any(|n| comings.replaces(at(n * 30))), "a way that was better");
        let told = (0..20).filter(|n| comings.replaces(at(1_000 + n * 2))).count();
        assert_eq!(told, 5, "and not each time");
    }
}
