//! What is remembered of one user whose password was guessed at or proved: how long guesses are
//! not heard, from the site's networks and from elsewhere apart, and where he proved himself. Who
//! did so at an address is bound there by what failed there alone: no stranger locks him out.

use super::PROOF;
use super::pause::Pause;
use super::table::Guilt;
use crate::ground::Mono;
use crate::policy::quota::Source;
use std::time::Duration;

/// Addresses of one user that are remembered.
const PLACES: usize = 8;
/// The longest pause at an address that proved the user.
const AT_HOME: Duration = Duration::from_secs(8);

/// One user.
#[derive(Debug, Default)]
pub(super) struct Target {
    /// From elsewhere, from the networks of phones.
    pauses: [Pause; 2],
    places: Vec<Home>,
}

/// An address that proved the user.
#[derive(Clone, Copy, Debug)]
struct Home {
    source: Source,
    at: Mono,
    pause: Pause,
}

impl Guilt for Target {
    fn guilt(&self) -> u8 {
        match () {
            () if !self.places.is_empty() => 2,
            () if self.pauses.iter().any(|p| p.failures() > 0) => 1,
            () => 0,
        }
    }
}

impl Target {
    /// The pause at an address that proved him; `None`: it did not, lately.
    pub(super) fn home(&self, now: Mono, source: Source) -> Option<&Pause> {
        let mut all = self.places.iter();
        all.find(|h| h.source == source && now.since(h.at) < PROOF).map(|h| &h.pause)
    }

    /// The pause for everybody else.
    pub(super) fn pause(&self, from_phones: bool) -> &Pause {
        &self.pauses[usize::from(from_phones)]
    }

    /// A wrong password at an address that proved him.
    pub(super) fn failed_at_home(&mut self, now: Mono, source: Source) -> Duration {
        let home = self.places.iter_mut().find(|h| h.source == source);
        home.map_or(Duration::ZERO, |h| h.pause.fail(now, AT_HOME))
    }

    /// A wrong password from elsewhere.
    pub(super) fn failed(&mut self, now: Mono, from_phones: bool, most: Duration) -> Duration {
        self.pauses[usize::from(from_phones)].fail(now, most)
    }

    /// He proved himself.
    pub(super) fn proved(&mut self, now: Mono, source: Source, from_phones: bool) {
        self.pauses[usize::from(from_phones)] = Pause::default();
        self.places.retain(|h| h.source != source && now.since(h.at) < PROOF);
        if self.places.len() >= PLACES {
            self.places.remove(0);
        }
        self.places.push(Home { source, at: now, pause: Pause::default() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_addresses_are_remembered_for_a_day() {
        let at = |seconds| Mono(Duration::from_secs(seconds));
        let source = |n: u8| Source::of([10, 0, 0, n].into());
        let mut t = Target::default();
        for n in 0..10 {
            t.proved(at(u64::from(n)), source(n), true);
        }
        let known: Vec<u8> = (0..10).filter(|n| t.home(at(20), source(*n)).is_some()).collect();
        assert_eq!(known, [2, 3, 4, 5, 6, 7, 8, 9]);
        assert!(t.home(at(86_405), source(4)).is_none() && t.home(at(86_405), source(6)).is_some());
        assert!(t.failed_at_home(at(30), source(9)) == Duration::from_secs(1));
        assert!(t.home(at(30), source(9)).is_some_and(|p| p.holds(at(30))));
        assert!(!t.pause(true).holds(at(30)) && !t.pause(false).holds(at(30)));
    }
}
