//! How fast handshakes may begin: so many at once, and so many a second. It reads no clock.

use crate::policy::quota::Source;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// Sources whose pace is remembered; beyond them the pace of all is all there is.
const SOURCES: usize = 16_384;

/// So many at once, and so many a second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) burst: u32,
    pub(super) second: u32,
}

impl Pace {
    pub(super) fn step(self) -> Duration {
        Duration::from_secs(1) / self.second
    }

    /// When one more may begin; `used`: until when what has begun is paid for.
    pub(super) fn from(self, used: Instant) -> Option<Instant> {
        used.checked_sub(self.step() * (self.burst - 1))
    }

    pub(super) fn allows(self, used: Instant, now: Instant) -> bool {
        self.from(used).is_none_or(|from| from <= now)
    }
}

/// By source: until when what it has begun is paid for.
#[derive(Debug, Default)]
pub(super) struct Payments(HashMap<Source, Instant>);

impl Payments {
    pub(super) fn until(&self, source: Source, now: Instant) -> Instant {
        self.0.get(&source).copied().unwrap_or(now)
    }

    pub(super) fn pay(&mut self, source: Source, step: Duration, now: Instant) {
        if self.0.len() >= SOURCES {
            self.0.retain(|_, used| *used > now);
        }
        let has_room = self.0.len() < SOURCES || self.0.contains_key(&source);
        if has_room && !step.is_zero() {
            let used = self.0.entry(source).or_insert(now);
            *used = (*used).max(now) + step;
        }
    }
}
