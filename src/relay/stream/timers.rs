//! What a stream waits for, and when the first of it is due. It knows no packet; times are
//! arguments.

use crate::ground::Mono;
use std::time::Duration;

/// Deadlines are whole multiples of this: a thread with thousands of streams wakes ten times a
/// second for all of them, not once for each.
const GRAIN: Duration = Duration::from_millis(100);

/// Why a stream wakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// Nothing may have been accepted for the limit of supervision.
    Idle,
    /// A window of measurement is over.
    Window,
    /// Strangers have gathered long enough to be told of.
    Strangers,
    /// A leg that must not fall silent is looked at (RFC 6263).
    KeepAlive,
}

impl Timer {
    const COUNT: usize = 4;
}

/// At most one deadline each.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Timers {
    at: [Option<Mono>; Timer::COUNT],
    /// The first of them.
    first: Option<Mono>,
}

impl Timers {
    /// Due at `at`, never before; `None`: not any more.
    pub(super) fn set(&mut self, timer: Timer, at: Option<Mono>) {
        self.at[timer as usize] = at.map(round_up);
        self.first = self.at.iter().flatten().min().copied();
    }

    /// When something is due next.
    #[inline]
    pub(super) fn first(&self) -> Option<Mono> {
        self.first
    }

    /// Whether this one is due: then it is over.
    pub(super) fn take(&mut self, timer: Timer, now: Mono) -> bool {
        let due = self.at[timer as usize].is_some_and(|at| at <= now);
        if due {
            self.set(timer, None);
        }
        due
    }
}

fn round_up(at: Mono) -> Mono {
    let over = at.0.as_nanos() % GRAIN.as_nanos();
    let over = Duration::from_nanos(u64::try_from(over).unwrap_or(0));
    if over.is_zero() { at } else { at + (GRAIN - over) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Mono {
        Mono(Duration::from_millis(ms))
    }

    #[test]
    fn the_first_is_told_and_each_is_taken_once() {
        let mut t = Timers::default();
        assert_eq!(t.first(), None);
        t.set(Timer::Idle, Some(at(60_000)));
        t.set(Timer::Window, Some(at(10_000)));
        assert_eq!(t.first(), Some(at(10_000)));
        assert!(!t.take(Timer::Window, at(9999)));
        assert!(t.take(Timer::Window, at(10_000)) && !t.take(Timer::Window, at(10_000)));
        assert_eq!(t.first(), Some(at(60_000)));
        t.set(Timer::Idle, None);
        assert_eq!(t.first(), None);
    }

    #[test]
    fn deadlines_meet_and_none_is_early() {
        let mut t = Timers::default();
        for (asked, due) in [(0, 0), (1, 100), (99, 100), (100, 100), (101, 200)] {
            t.set(Timer::KeepAlive, Some(at(asked)));
            assert_eq!(t.first(), Some(at(due)));
        }
        t.set(Timer::KeepAlive, Some(Mono(Duration::MAX)));
        assert_eq!(t.first(), Some(Mono(Duration::MAX)));
    }
}
