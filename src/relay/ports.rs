//! The pool of port pairs: even RTP, odd RTCP; used ones rest before they are lent again, so that
//! a phone that still talks into an ended call does not reach the next one. Rest keeps nobody from
//! calling: where nothing else is left, what rested longest is lent. It never binds a socket: the
//! engine lends pairs here and names them in `Command::Open`.

use crate::ground::Mono;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

/// How the pool stands (metric `media_ports`). In ports, not pairs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortCount {
    /// Lent.
    pub used: usize,
    /// Resting: lent when nothing else is left.
    pub quarantined: usize,
    /// Ready.
    pub free: usize,
}

/// Where one pair is. Every pair is in exactly one state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Free,
    Lent,
    Resting,
    Excluded,
}

/// Port pairs of one bind address.
#[derive(Debug)]
pub struct Pool {
    bind: IpAddr,
    /// Even port of pair 0.
    base: u16,
    rest: Duration,
    /// By pair number: (port − base) / 2.
    places: Vec<Place>,
    /// Even ports, next to be lent in front.
    free: VecDeque<u16>,
    /// Even ports with the end of their rest, in order of that end.
    resting: VecDeque<(Mono, u16)>,
    lent: usize,
    dice: u64,
}

impl Pool {
    /// Pairs within `first..=last` (an odd first and an even last are left out); `seed` shuffles.
    #[must_use]
    pub fn new(bind: IpAddr, first: u16, last: u16, rest: Duration, seed: u64) -> Self {
        let base = first.saturating_add(first & 1);
        let mut free: VecDeque<u16> =
            (base..last).step_by(2).filter(|port| port % 2 == 0).collect();
        let places = vec![Place::Free; free.len()];
        let mut dice = seed;
        for i in (1..free.len()).rev() {
            free.swap(i, below(&mut dice, i + 1));
        }
        Self { bind, base, rest, places, free, resting: VecDeque::new(), lent: 0, dice }
    }

    /// The address these ports are bound on.
    #[must_use]
    pub fn bind(&self) -> IpAddr {
        self.bind
    }

    /// Takes a pair: its even port. Where none is free, the one that rested longest. `None`: all
    /// are lent.
    pub fn take(&mut self, now: Mono) -> Option<u16> {
        self.wake(now);
        let free = self.free.pop_front();
        let port = free.or_else(|| self.resting.pop_front().map(|(_, port)| port))?;
        self.set(port, Place::Lent);
        self.lent += 1;
        Some(port)
    }

    /// Takes a certain pair, as before a restart; false: it is lent, or none of these.
    pub fn claim(&mut self, now: Mono, port: u16) -> bool {
        self.wake(now);
        match self.place(port) {
            Some(Place::Free) => self.free.retain(|p| *p != port),
            Some(Place::Resting) => self.resting.retain(|(_, p)| *p != port),
            Some(Place::Lent | Place::Excluded) | None => return false,
        }
        self.set(port, Place::Lent);
        self.lent += 1;
        true
    }

    /// Pairs that could be lent now: free ones and those that rest.
    #[must_use]
    pub fn ready(&self) -> usize {
        self.free.len() + self.resting.len()
    }

    /// Gives a pair back; `used`: a packet was taken at it, and it rests first. A port that is not
    /// lent (given twice, not ours) is left as it is.
    pub fn give(&mut self, now: Mono, port: u16, used: bool) {
        if self.place(port) != Some(Place::Lent) {
            return;
        }
        self.lent -= 1;
        if used && !self.rest.is_zero() {
            self.set(port, Place::Resting);
            self.resting.push_back((now + self.rest, port));
        } else {
            self.make_free(port);
        }
    }

    /// Takes the pair of a port, RTP's or RTCP's, out of service for good (another process holds
    /// it). A pair that is lent stays as it is: whoever finds it busy has found our own sockets.
    pub fn exclude(&mut self, port: u16) {
        let port = port & !1;
        match self.place(port) {
            Some(Place::Free) => self.free.retain(|p| *p != port),
            Some(Place::Resting) => self.resting.retain(|(_, p)| *p != port),
            Some(Place::Lent | Place::Excluded) | None => return,
        }
        self.set(port, Place::Excluded);
    }

    /// Counts by state.
    #[must_use]
    pub fn count(&self, now: Mono) -> PortCount {
        let rested = self.resting.partition_point(|(end, _)| *end <= now);
        PortCount {
            used: 2 * self.lent,
            quarantined: 2 * (self.resting.len() - rested),
            free: 2 * (self.free.len() + rested),
        }
    }

    /// Moves pairs whose rest is over to the free ones.
    fn wake(&mut self, now: Mono) {
        while let Some(&(end, port)) = self.resting.front() {
            if end > now {
                return;
            }
            self.resting.pop_front();
            self.make_free(port);
        }
    }

    /// Queues a pair for lending, somewhere in the later half: long before it comes round again,
    /// and not in an order that who watched the last round can foretell.
    fn make_free(&mut self, port: u16) {
        self.set(port, Place::Free);
        self.free.push_back(port);
        let last = self.free.len() - 1;
        let half = last / 2;
        let other = half + below(&mut self.dice, last - half + 1);
        self.free.swap(last, other);
    }

    fn index(&self, port: u16) -> Option<usize> {
        let offset = port.checked_sub(self.base)?;
        (offset % 2 == 0).then_some(usize::from(offset / 2))
    }

    fn place(&self, port: u16) -> Option<Place> {
        self.places.get(self.index(port)?).copied()
    }

    fn set(&mut self, port: u16, place: Place) {
        if let Some(i) = self.index(port)
            && let Some(slot) = self.places.get_mut(i)
        {
            *slot = place;
        }
    }
}

/// The next number below `bound` (at least 1) of a splitmix64 sequence.
fn below(state: &mut u64, bound: usize) -> usize {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^= z >> 31;
    let wide = u128::from(z) * (bound as u128);
    usize::try_from(wide >> 64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::net::Ipv4Addr;

    const REST: Duration = Duration::from_secs(30);

    fn pool(first: u16, last: u16) -> Pool {
        Pool::new(Ipv4Addr::LOCALHOST.into(), first, last, REST, 7)
    }

    fn at(seconds: u64) -> Mono {
        Mono(Duration::from_secs(seconds))
    }

    fn drain(pool: &mut Pool, now: Mono) -> Vec<u16> {
        std::iter::from_fn(|| pool.take(now)).collect()
    }

    #[test]
    fn only_whole_pairs_are_lent_each_once_and_then_none() {
        let mut p = pool(20001, 20010);
        let mut got = drain(&mut p, at(0));
        got.sort_unstable();
        assert_eq!(got, [20002, 20004, 20006, 20008]);
        assert_eq!(p.take(at(0)), None);
        assert_eq!(p.count(at(0)), PortCount { used: 8, quarantined: 0, free: 0 });
    }

    #[test]
    fn odd_ranges_at_the_ends_of_the_port_space_hold_only_pairs() {
        assert_eq!(drain(&mut pool(65534, 65535), at(0)), [65534]);
        assert!(drain(&mut pool(65535, 65535), at(0)).is_empty());
        assert!(drain(&mut pool(20000, 20000), at(0)).is_empty());
        assert!(drain(&mut pool(3, 2), at(0)).is_empty());
        assert_eq!(drain(&mut pool(0, 65535), at(0)).len(), 32768);
    }

    #[test]
    fn the_order_is_shuffled_and_follows_the_seed() {
        let first = drain(&mut pool(20000, 29999), at(0));
        assert_eq!(first, drain(&mut pool(20000, 29999), at(0)));
        let other = Pool::new(Ipv4Addr::LOCALHOST.into(), 20000, 29999, REST, 8).free;
        assert_ne!(first, Vec::from(other));
        let rising = first.windows(2).filter(|w| w[0] < w[1]).count();
        assert!((2200..2800).contains(&rising), "{rising} of 4999 steps rise");
    }

    #[test]
    fn used_pairs_rest_and_unused_ones_return_at_once() {
        let mut p = pool(20000, 20003);
        let (a, b) = (p.take(at(0)), p.take(at(0)));
        p.give(at(1), a.unwrap_or(0), true);
        p.give(at(1), b.unwrap_or(0), false);
        assert_eq!(p.count(at(1)), PortCount { used: 0, quarantined: 2, free: 2 });
        assert_eq!(p.take(at(1)), b);
        assert_eq!(p.count(at(30)), PortCount { used: 2, quarantined: 2, free: 0 });
        assert_eq!(p.count(at(31)), PortCount { used: 2, quarantined: 0, free: 2 });
        assert_eq!(p.take(at(31)), a);
    }

    #[test]
    fn what_rested_longest_is_lent_when_nothing_is_free() {
        let mut p = pool(20000, 20007);
        let all = drain(&mut p, at(0));
        for (second, port) in (1..).zip(&all[..3]) {
            p.give(at(second), *port, true);
        }
        p.give(at(4), all[3], false);
        assert_eq!((p.ready(), p.count(at(4)).quarantined), (4, 6));
        let again = [3, 0, 1, 2].map(|i| Some(all[i]));
        assert_eq!([(); 4].map(|()| p.take(at(4))), again, "free ones, then by age");
        assert_eq!((p.take(at(4)), p.ready()), (None, 0));
        p.give(at(5), all[0], true);
        assert!(p.claim(at(5), all[0]) && !p.claim(at(5), all[0]));
        assert_eq!(p.count(at(99)), PortCount { used: 8, quarantined: 0, free: 0 });
    }

    #[test]
    fn giving_twice_or_giving_what_was_never_lent_changes_nothing() {
        let mut p = pool(20000, 20003);
        let port = p.take(at(0)).unwrap_or(0);
        p.give(at(0), port, false);
        for stray in [port, port + 1, 19998, 20004, 0, 65535] {
            p.give(at(0), stray, false);
            p.give(at(0), stray, true);
        }
        assert_eq!(p.count(at(0)), PortCount { used: 0, quarantined: 0, free: 4 });
        assert_eq!(drain(&mut p, at(0)).len(), 2);
    }

    #[test]
    fn an_excluded_pair_never_comes_back_and_one_that_is_lent_is_not_excluded() {
        // By either port of a pair.
        for odd in [0, 1] {
            let mut p = pool(20000, 20005);
            let (lent, rests) = (p.take(at(0)).unwrap_or(0), p.take(at(0)).unwrap_or(0));
            p.give(at(0), rests, true);
            let free = [20000, 20002, 20004].into_iter().find(|x| *x != lent && *x != rests);
            for port in [lent, rests, free.unwrap_or(0), 0, 20006] {
                p.exclude(port + odd);
            }
            assert_eq!(p.take(at(100)), None);
            assert_eq!(p.count(at(100)), PortCount { used: 2, quarantined: 0, free: 0 });
            // What was busy there were our own sockets.
            p.give(at(100), lent, false);
            assert_eq!((p.take(at(100)), p.take(at(200))), (Some(lent), None));
            p.give(at(200), lent, false);
            p.exclude(lent + odd);
            assert_eq!(p.count(at(300)), PortCount::default());
        }
    }

    #[test]
    fn a_million_calls_leave_nothing_behind() {
        let mut p = pool(20000, 23999);
        let whole = p.count(at(0));
        let mut lent = VecDeque::new();
        let mut now = at(0);
        for n in 0..1_000_000_u64 {
            now = now + Duration::from_millis(20);
            if let Some(port) = p.take(now) {
                lent.push_back(port);
            }
            if lent.len() > 400 {
                let port = lent.pop_front().unwrap_or(0);
                p.give(now, port, n % 5 != 0);
            }
            let c = p.count(now);
            assert_eq!(c.used + c.quarantined + c.free, whole.free);
        }
        for port in lent {
            p.give(now, port, true);
        }
        let later = now + REST;
        assert_eq!(p.count(later), whole);
        let all: HashSet<u16> = drain(&mut p, later).into_iter().collect();
        assert_eq!(2 * all.len(), whole.free);
    }
}
