//! Shares of the log: how many octets a source may cause to be written, as a purse that fills with
//! time. It knows no record; time is an argument.

use crate::ground::Mono;
use crate::policy::quota::Source;
use std::collections::HashMap;

/// Sources that are told apart; beyond it the newest share one purse.
const SOURCES: usize = 4_096;

/// What a purse holds at most, and what comes in a second; octets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    most: u64,
    every_second: u64,
}

/// Of one source: 1,000 phones behind one address that register every minute, or six calls a
/// second, and a burst of 700 calls; 675 MiB a day.
const ONE: Size = Size { most: 1 << 20, every_second: 8 << 10 };

/// Of one source that nobody knows and that calls emergency numbers: a dozen calls.
const UNKNOWN: Size = Size { most: 16 << 10, every_second: 256 };

/// What calls of all sources may take beyond their shares: as long as it is there, no share binds.
pub(super) const SPARE: Size = Size { most: 32 << 20, every_second: 32 << 10 };

#[derive(Clone, Copy, Debug)]
pub(super) struct Purse {
    size: Size,
    left: u64,
    since: Mono,
}

impl Purse {
    pub(super) fn full(size: Size, now: Mono) -> Self {
        Self { size, left: size.most, since: now }
    }

    fn fill(&mut self, now: Mono) {
        let ms = u64::try_from(now.since(self.since).as_millis()).unwrap_or(u64::MAX);
        let new = ms.saturating_mul(self.size.every_second) / 1_000;
        if new > 0 {
            self.left = self.left.saturating_add(new).min(self.size.most);
            self.since = now;
        }
    }

    /// Takes octets, if they are there.
    pub(super) fn take(&mut self, now: Mono, octets: u64) -> bool {
        self.fill(now);
        let enough = self.left >= octets;
        if enough {
            self.left -= octets;
        }
        enough
    }

    /// Takes what is there of octets that are written in any case.
    pub(super) fn charge(&mut self, now: Mono, octets: u64) {
        self.fill(now);
        self.left = self.left.saturating_sub(octets);
    }
}

/// The purses of all sources; full ones need no place.
#[derive(Debug, Default)]
pub(super) struct Purses {
    of: HashMap<Option<Source>, Purse>,
    unknown: HashMap<Option<Source>, Purse>,
}

fn purse(
    of: &mut HashMap<Option<Source>, Purse>,
    size: Size,
    now: Mono,
    source: Source,
) -> &mut Purse {
    let known = of.contains_key(&Some(source)) || of.len() < SOURCES;
    of.entry(known.then_some(source)).or_insert_with(|| Purse::full(size, now))
}

impl Purses {
    /// The purse of a source.
    pub(super) fn of(&mut self, now: Mono, source: Source) -> &mut Purse {
        purse(&mut self.of, ONE, now, source)
    }

    /// The purse of a source for emergency calls of nobody known.
    pub(super) fn unknown(&mut self, now: Mono, source: Source) -> &mut Purse {
        purse(&mut self.unknown, UNKNOWN, now, source)
    }

    /// Forgets those that are full again.
    pub(super) fn tidy(&mut self, now: Mono) {
        for all in [&mut self.of, &mut self.unknown] {
            all.retain(|_, purse| {
                purse.fill(now);
                purse.left < purse.size.most
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(ms: u64) -> Mono {
        Mono(Duration::from_millis(ms))
    }

    #[test]
    fn a_purse_is_emptied_at_once_and_filled_with_time() {
        let mut purse = Purse::full(Size { most: 1_000, every_second: 100 }, at(0));
        assert!(purse.take(at(0), 999));
        assert!(!purse.take(at(0), 2));
        assert!(!purse.take(at(9), 2), "not yet");
        assert!(purse.take(at(10), 2));
        purse.charge(at(1_010), 5_000);
        assert!(!purse.take(at(1_010), 1));
        assert!(purse.take(at(1_000_000), 1_000), "never more than it holds");
        assert!(!purse.take(at(1_000_000), 1));
    }

    #[test]
    fn full_purses_need_no_place_and_those_without_one_share() {
        let mut purses = Purses::default();
        let source = |n: u32| Source::of(std::net::Ipv4Addr::from(n).into());
        for n in 0..10_000 {
            assert!(purses.of(at(0), source(n)).take(at(0), 100) || n as usize > SOURCES);
        }
        assert_eq!(purses.of.len(), SOURCES + 1);
        purses.of(at(0), source(20_000)).charge(at(0), 2 << 20);
        assert!(!purses.of(at(0), source(20_001)).take(at(0), 100));
        assert!(purses.of(at(0), source(1)).take(at(0), 100), "who has a place keeps it");
        purses.tidy(at(1_000));
        assert_eq!(purses.of.len(), 1);
    }
}
