//! Time as a value: a monotonic reading for timers and a wall reading for records.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// Monotonic time since the process (or the simulation) began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(pub Duration);

/// Wall-clock time since the Unix epoch. Only records and hours of policy read it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wall(pub Duration);

/// Both clocks, read once for each input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Drives every timer.
    pub mono: Mono,
    /// Goes into records, what is kept over a restart, and rules with hours: somebody may set it.
    pub wall: Wall,
}

impl Now {
    /// The same instant `d` later on both clocks.
    #[must_use]
    pub fn after(self, d: Duration) -> Self {
        Self { mono: self.mono + d, wall: Wall(self.wall.0 + d) }
    }
}

/// A moment that may outlive this run: kept by the wall clock, measured by the monotonic one for
/// as long as that is the same. Written down as wall-clock milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "u64", into = "u64")]
pub struct Moment {
    wall: Wall,
    /// `None`: of an earlier run.
    mono: Option<Mono>,
}

impl Moment {
    /// Wall-clock time.
    #[must_use]
    pub fn wall(self) -> Wall {
        self.wall
    }

    /// Time from then to `now`; zero when it is later (a clock was set back between two runs).
    #[must_use]
    pub fn elapsed(self, now: Now) -> Duration {
        match self.mono {
            Some(mono) => now.mono.since(mono),
            None => now.wall.0.saturating_sub(self.wall.0),
        }
    }

    /// Time from `earlier` to then; zero when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        match (self.mono, earlier.mono) {
            (Some(this), Some(before)) => this.since(before),
            (Some(_) | None, _) => self.wall.0.saturating_sub(earlier.wall.0),
        }
    }
}

impl From<Now> for Moment {
    fn from(now: Now) -> Self {
        Self { wall: now.wall, mono: Some(now.mono) }
    }
}

impl From<u64> for Moment {
    fn from(millis: u64) -> Self {
        Self { wall: Wall(Duration::from_millis(millis)), mono: None }
    }
}

impl From<Moment> for u64 {
    fn from(moment: Moment) -> Self {
        Self::try_from(moment.wall.0.as_millis()).unwrap_or(Self::MAX)
    }
}

impl Mono {
    /// Time from `earlier` to `self`; zero when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Wall {
    /// Whole seconds since the Unix epoch.
    #[must_use]
    pub fn seconds(self) -> u64 {
        self.0.as_secs()
    }
}

impl Add<Duration> for Mono {
    type Output = Self;
    fn add(self, d: Duration) -> Self {
        Self(self.0.saturating_add(d))
    }
}

impl Sub<Duration> for Mono {
    type Output = Self;
    fn sub(self, d: Duration) -> Self {
        Self(self.0.saturating_sub(d))
    }
}

impl fmt::Display for Mono {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0.as_secs(), self.0.subsec_millis())
    }
}
