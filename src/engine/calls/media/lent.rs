//! The port pairs that streams hold, by the address they are bound on, and whose they are. It
//! never talks to the relay: the table names lent ports in its commands.

use crate::config::Config;
use crate::ground::{CallNo, Leg, Mono, Side};
use crate::relay::ports::{Pool, PortCount};
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};

/// Pools of all interfaces.
#[derive(Debug)]
pub(super) struct Lent {
    pools: BTreeMap<IpAddr, (Side, Pool)>,
    /// First and last port of all of them.
    range: (u16, u16),
    /// The call and leg that hold a pair, by its even port.
    owners: HashMap<(IpAddr, u16), (CallNo, Leg)>,
}

impl Lent {
    pub(super) fn new(config: &Config, seed: u64) -> Self {
        let (first, last) = config.media.ports;
        let rest = config.media.quarantine;
        let pools = config
            .interfaces
            .iter()
            .map(|i| (i.address, (i.side, Pool::new(i.address, first, last, rest, seed))));
        Self { pools: pools.collect(), range: (first, last), owners: HashMap::new() }
    }

    pub(super) fn count(&self, side: Side, now: Mono) -> PortCount {
        let mut sum = PortCount::default();
        for (_, pool) in self.pools.values().filter(|(s, _)| *s == side) {
            let c = pool.count(now);
            sum.used += c.used;
            sum.quarantined += c.quarantined;
            sum.free += c.free;
        }
        sum
    }

    pub(super) fn exclude(&mut self, at: SocketAddr) {
        if let Some((_, pool)) = self.pools.get_mut(&at.ip()) {
            pool.exclude(at.port());
        }
    }

    pub(super) fn binds(&self) -> impl Iterator<Item = &IpAddr> {
        self.pools.keys()
    }

    /// First and last port that may be lent.
    pub(super) fn range(&self) -> (u16, u16) {
        self.range
    }

    /// The call and leg that hold the pair of an even port.
    pub(super) fn owner(&self, bind: IpAddr, even: u16) -> Option<(CallNo, Leg)> {
        self.owners.get(&(bind, even)).copied()
    }

    /// A pair on each of two addresses, or none at all.
    pub(super) fn take(&mut self, call: CallNo, binds: [IpAddr; 2], now: Mono) -> Option<[u16; 2]> {
        let first = self.pools.get_mut(&binds[0])?.1.take(now)?;
        let Some(second) = self.pools.get_mut(&binds[1]).and_then(|(_, pool)| pool.take(now))
        else {
            if let Some((_, pool)) = self.pools.get_mut(&binds[0]) {
                pool.give(now, first, false);
            }
            return None;
        };
        self.own(call, binds, [first, second]);
        Some([first, second])
    }

    /// A certain pair on each of two addresses, or none at all: as before a restart.
    pub(super) fn claim(
        &mut self,
        call: CallNo,
        binds: [IpAddr; 2],
        ports: [u16; 2],
        now: Mono,
    ) -> bool {
        let mut claim = |i: usize| {
            self.pools.get_mut(&binds[i]).is_some_and(|(_, pool)| pool.claim(now, ports[i]))
        };
        if !claim(0) {
            return false;
        }
        if !claim(1) {
            if let Some((_, pool)) = self.pools.get_mut(&binds[0]) {
                pool.give(now, ports[0], false);
            }
            return false;
        }
        self.own(call, binds, ports);
        true
    }

    fn own(&mut self, call: CallNo, binds: [IpAddr; 2], ports: [u16; 2]) {
        for leg in Leg::ALL {
            let i = leg.index();
            self.owners.insert((binds[i], ports[i]), (call, leg));
        }
    }

    /// Both pairs return; `used` ones rest first.
    pub(super) fn give(&mut self, binds: [IpAddr; 2], ports: [u16; 2], used: [bool; 2], now: Mono) {
        for i in 0..2 {
            self.owners.remove(&(binds[i], ports[i]));
            if let Some((_, pool)) = self.pools.get_mut(&binds[i]) {
                pool.give(now, ports[i], used[i]);
            }
        }
    }
}
