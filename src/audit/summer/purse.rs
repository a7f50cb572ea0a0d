//! Shares of the log: how many octets a source or an upstream may cause to be written, as a purse
//! that fills with time. It knows no record; time is an argument.

use crate::audit::{Standing, UpstreamNo};
use crate::ground::Mono;
use crate::policy::quota::Source;
use std::collections::HashMap;
use std::net::IpAddr;

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

/// Of one upstream, by way of which the world calls: 30 calls a second, and a burst of 8,000 calls;
/// 5 GiB a day.
const UPSTREAM: Size = Size { most: 16 << 20, every_second: 64 << 10 };

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

/// Who pays for a record.
#[derive(Clone, Copy, Debug)]
pub(super) enum Payer {
    Source(Source),
    Upstream(UpstreamNo),
}

impl Payer {
    pub(super) fn of(sender: Standing, ip: IpAddr) -> Self {
        match sender {
            Standing::Upstream(no) => Self::Upstream(no),
            Standing::Stranger | Standing::Phone => Self::Source(Source::of(ip)),
        }
    }
}

/// What a purse is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Whatever is caused.
    All,
    /// Emergency calls of nobody known.
    Unknown,
    /// Ends of answered calls that found the other one empty.
    Answered,
}

impl Kind {
    fn size(self, payer: Payer) -> Size {
        match (self, payer) {
            (Self::All, Payer::Upstream(_)) => UPSTREAM,
            (Self::All | Self::Answered, _) => ONE,
            (Self::Unknown, _) => UNKNOWN,
        }
    }
}

/// The purses of all, by kind; full ones need no place. Upstreams are few.
#[derive(Debug, Default)]
pub(super) struct Purses {
    sources: [HashMap<Option<Source>, Purse>; 3],
    upstreams: [HashMap<UpstreamNo, Purse>; 3],
}

impl Purses {
    /// The purse of who pays.
    pub(super) fn of(&mut self, now: Mono, kind: Kind, payer: Payer) -> &mut Purse {
        let fresh = || Purse::full(kind.size(payer), now);
        match payer {
            Payer::Upstream(no) => self.upstreams[kind as usize].entry(no).or_insert_with(fresh),
            Payer::Source(source) => {
                let all = &mut self.sources[kind as usize];
                let known = all.contains_key(&Some(source)) || all.len() < SOURCES;
                all.entry(known.then_some(source)).or_insert_with(fresh)
            }
        }
    }

    /// Forgets those that are full again.
    pub(super) fn tidy(&mut self, now: Mono) {
        let is_used = |purse: &mut Purse| {
            purse.fill(now);
            purse.left < purse.size.most
        };
        self.sources.iter_mut().for_each(|all| all.retain(|_, purse| is_used(purse)));
        self.upstreams.iter_mut().for_each(|all| all.retain(|_, purse| is_used(purse)));
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
        let source = |n: u32| Payer::of(Standing::Phone, std::net::Ipv4Addr::from(n).into());
        let upstream = Payer::of(Standing::Upstream(UpstreamNo(0)), [192, 0, 2, 1].into());
        for n in 0..10_000 {
            assert!(
                purses.of(at(0), Kind::All, source(n)).take(at(0), 100) || n as usize > SOURCES
            );
        }
        assert_eq!(purses.sources[0].len(), SOURCES + 1);
        purses.of(at(0), Kind::All, source(20_000)).charge(at(0), 2 << 20);
        assert!(!purses.of(at(0), Kind::All, source(20_001)).take(at(0), 100));
        assert!(
            purses.of(at(0), Kind::All, source(1)).take(at(0), 100),
            "who has a place keeps it"
        );
        assert!(purses.of(at(0), Kind::All, upstream).take(at(0), 8 << 20), "it has its own");
        purses.tidy(at(1_000));
        assert_eq!(purses.sources[0].len(), 1);
    }
}
