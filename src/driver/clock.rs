//! The one place that reads the clocks.

use crate::ground::{Mono, Now, Wall};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Readings further apart than this are of two instants: the thread was stopped in between.
const APART: Duration = Duration::from_micros(20);
/// How often a pair is read at most.
const TRIES: usize = 3;

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

    /// Both readings, of one instant.
    #[must_use]
    pub fn now(&self) -> Now {
        let wall = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        paired(|| Mono(self.epoch.elapsed()), || Wall(wall()))
    }

    /// The instant of a monotonic reading.
    #[must_use]
    pub fn instant(&self, at: Mono) -> Instant {
        self.epoch + at.0
    }
}

/// A wall reading between two monotonic ones that are close; of a few tries the closest. Stamps of
/// the kernel are carried from one clock to the other by such a pair, and what lies between its
/// readings would be taken for the network's delay.
fn paired(mut mono: impl FnMut() -> Mono, mut wall: impl FnMut() -> Wall) -> Now {
    let mut before = mono();
    let mut best = (Duration::MAX, Now::default());
    for _ in 0..TRIES {
        let now = Now { wall: wall(), mono: mono() };
        let apart = now.mono.since(before);
        if apart < best.0 {
            best = (apart, now);
        }
        if apart <= APART {
            break;
        }
        before = now.mono;
    }
    best.1
}

/// Whether somebody keeps the wall clock right (NTP), as the kernel was told; `None`: it does not
/// say.
#[must_use]
#[expect(unsafe_code, reason = "adjtimex has no safe form")]
pub fn is_synchronised() -> Option<bool> {
    // SAFETY: all octets 0 are a value of this plain structure, which asks to change nothing.
    let mut told: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a variable of this function.
    let state = unsafe { libc::adjtimex(&raw mut told) };
    (state >= 0).then_some(told.status & libc::STA_UNSYNC == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wall time is monotonic time here; before each reading the thread is stopped for so many
    /// microseconds. How far the pair is apart, and how many readings were made.
    fn read(stops: &[u64]) -> (Duration, usize) {
        let (time, count) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
        let reading = || {
            time.set(time.get() + stops.get(count.get()).unwrap_or(&0));
            count.set(count.get() + 1);
            Duration::from_micros(time.get())
        };
        let now = paired(|| Mono(reading()), || Wall(reading()));
        (now.mono.0.abs_diff(now.wall.0), count.get())
    }

    #[test]
    fn both_readings_are_of_one_instant_even_if_the_thread_is_stopped_between_them() {
        assert_eq!(read(&[]), (Duration::ZERO, 3));
        assert_eq!(read(&[0, 0, 18_000]), (Duration::ZERO, 5));
        assert_eq!(read(&[0, 18_000]), (Duration::ZERO, 5));
        // On a machine that is never quick enough, the closest pair.
        assert_eq!(read(&[0, 50, 50, 30, 30, 40, 40]), (Duration::from_micros(30), 7));
    }
}
