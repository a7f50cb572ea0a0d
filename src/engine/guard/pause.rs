//! Exponential back-off after wrong passwords: 1 s, 2 s, 4 s … to a given most. A guess within
//! the pause is not compared, so it tells nothing and prolongs nothing.

use crate::ground::Mono;
use std::time::Duration;

/// The pause after the first wrong password.
const FIRST: Duration = Duration::from_secs(1);
/// Without another wrong password for this long all is as before the first.
const QUIET: Duration = Duration::from_secs(3_600);

/// Wrong passwords in a row.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pause {
    failures: u32,
    last: Option<Mono>,
    until: Option<Mono>,
}

impl Pause {
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// True while nothing is compared.
    pub(super) fn holds(&self, now: Mono) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// The last wrong password was so long ago that it counts no longer.
    pub(super) fn is_forgotten(&self, now: Mono) -> bool {
        self.last.is_some_and(|last| now.since(last) >= QUIET)
    }

    /// Another wrong password: the pause that begins.
    pub(super) fn fail(&mut self, now: Mono, most: Duration) -> Duration {
        if self.is_forgotten(now) {
            self.failures = 0;
        }
        let doublings = self.failures.min(16);
        self.failures = self.failures.saturating_add(1);
        let pause = FIRST.saturating_mul(1 << doublings).min(most);
        self.last = Some(now);
        self.until = Some(now + pause);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_to_its_most_and_begins_anew_after_an_hour_of_quiet() {
        let at = |seconds| Mono(Duration::from_secs(seconds));
        let mut p = Pause::default();
        assert!(!p.holds(at(0)));
        let most = Duration::from_secs(32);
        let pauses: Vec<u64> = (0..8).map(|n| p.fail(at(n), most).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 32, 32]);
        assert!(p.holds(at(38)) && !p.holds(at(39)));
        assert_eq!(p.fail(at(3_606), most).as_secs(), 32);
        assert_eq!(p.fail(at(7_206), most).as_secs(), 1);
        for n in 0..100 {
            assert!(p.fail(at(8_000 + n), Duration::from_secs(900)).as_secs() <= 900);
        }
    }
}
