//! What is remembered of one user whose password was guessed at or proved: how long guesses are
//! not heard, from the site's networks and from elsewhere apart, and where he proved himself. Who
//! did so at an address is bound there by what failed there alone: no stranger locks him out.

use super::PROOF;
use super::pause::Pause;
use super::table::Guilt;
use crate::ground::Mono;
use crate::policy::quota::Source;
use std::net::SocketAddr;
use std::time::Duration;

/// Addresses of one user that are remembered.
const PLACES: usize = 8;
/// Ports of such an address that are remembered: handsets of one user behind one NAT.
const PORTS: usize = 4;
/// While he is paused, so often a phone is heard that did not fail for him.
const CLEAN: Duration = Duration::from_secs(4);
/// The longest pause at an address that proved the user.
const AT_HOME: Duration = Duration::from_secs(8);

/// One user.
#[derive(Debug, Default)]
pub(super) struct Target {
    /// From elsewhere, from the networks of phones.
    pauses: [Pause; 2],
    places: Vec<Home>,
    /// When such a one was heard last.
    clean: Option<Mono>,
}

/// An address that proved the user.
#[derive(Clone, Debug)]
struct Home {
    source: Source,
    at: Mono,
    /// Those that proved him, the latest last.
    ports: Vec<(SocketAddr, Pause)>,
    /// Of all its other ports.
    pause: Pause,
}

impl Home {
    fn pause(&self, peer: SocketAddr) -> &Pause {
        let own = self.ports.iter().find(|(port, _)| *port == peer);
        own.map_or(&self.pause, |(_, pause)| pause)
    }
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
    /// The pause at an address that proved him, of this port of it; `None`: it did not, lately.
    pub(super) fn home(&self, now: Mono, (source, peer): (Source, SocketAddr)) -> Option<&Pause> {
        let mut all = self.places.iter();
        all.find(|h| h.source == source && now.since(h.at) < PROOF).map(|h| h.pause(peer))
    }

    /// The pause for everybody else.
    pub(super) fn pause(&self, from_phones: bool) -> &Pause {
        &self.pauses[usize::from(from_phones)]
    }

    /// A wrong password at an address that proved him.
    pub(super) fn failed_at_home(
        &mut self,
        now: Mono,
        (source, peer): (Source, SocketAddr),
    ) -> Duration {
        let Some(home) = self.places.iter_mut().find(|h| h.source == source) else {
            return Duration::ZERO;
        };
        let own = home.ports.iter_mut().find(|(port, _)| *port == peer);
        own.map_or(&mut home.pause, |(_, pause)| pause).fail(now, AT_HOME)
    }

    /// While he is paused: whether a phone that did not fail for him is heard all the same.
    pub(super) fn hears_clean(&mut self, now: Mono) -> bool {
        let heard = self.clean.is_none_or(|last| now.since(last) >= CLEAN);
        if heard {
            self.clean = Some(now);
        }
        heard
    }

    /// A wrong password from elsewhere.
    pub(super) fn failed(&mut self, now: Mono, from_phones: bool, most: Duration) -> Duration {
        self.pauses[usize::from(from_phones)].fail(now, most)
    }

    /// He proved himself.
    pub(super) fn proved(
        &mut self,
        now: Mono,
        (source, peer): (Source, SocketAddr),
        from_phones: bool,
    ) {
        self.pauses[usize::from(from_phones)] = Pause::default();
        let known = self.places.iter().position(|h| h.source == source);
        let mut ports = known.map_or(Vec::new(), |at| self.places.remove(at).ports);
        self.places.retain(|h| now.since(h.at) < PROOF);
        if self.places.len() >= PLACES {
            self.places.remove(0);
        }
        ports.retain(|(port, _)| *port != peer);
        if ports.len() >= PORTS {
            ports.remove(0);
        }
        ports.push((peer, Pause::default()));
        self.places.push(Home { source, at: now, ports, pause: Pause::default() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(peer: SocketAddr) -> (Source, SocketAddr) {
        (Source::host(peer.ip()), peer)
    }

    #[test]
    fn who_has_his_address_on_another_link_is_not_at_home() {
        let peer = SocketAddr::from(([0xfe80, 0, 0, 0, 0, 0, 0, 0x21], 5060));
        let on = |link| (Source::host(peer.ip()).on(Some(link)), peer);
        let (mut t, now) = (Target::default(), Mono::default());
        t.proved(now, on(0), true);
        assert!(t.home(now, on(0)).is_some() && t.home(now, on(1)).is_none());
    }

    #[test]
    fn a_neighbour_of_a_network_is_at_nobody_elses_home() {
        let at = |last: u16| of(SocketAddr::from(([0xfd17, 0, 0, 0, 0, 0, 0, last], 5060)));
        let (mut t, now) = (Target::default(), Mono::default());
        t.proved(now, at(1), true);
        assert!(t.home(now, at(1)).is_some() && t.home(now, at(2)).is_none());
        assert_eq!(t.failed_at_home(now, at(2)), Duration::ZERO);
    }

    #[test]
    fn eight_addresses_are_remembered_for_a_day() {
        let at = |seconds| Mono(Duration::from_secs(seconds));
        let source = |n: u8| of(SocketAddr::from(([10, 0, 0, n], 5060)));
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
