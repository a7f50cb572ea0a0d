//! The one place that reads the clocks.

use crate::ground::{Mono, Now, Wall};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Both clocks; monotonic time counts from the clock's making.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    epoch: Instant,
}

#[expect(clippy::disallowed_methods, reason = "this is where time is read")]
impl Clock {
    /// Starts counting.
    #[must_use]
    pub fn start() -> Self {
        Self { epoch: Instant::now() }
    }

    /// Both readings.
    #[must_use]
    pub fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Now { mono: Mono(self.epoch.elapsed()), wall: Wall(wall) }
    }

    /// The instant of a monotonic reading.
    #[must_use]
    pub fn instant(&self, at: Mono) -> Instant {
        self.epoch + at.0
    }
}
