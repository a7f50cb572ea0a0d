//! The port pairs that streams hold, by the address they are bound on, and whose they are. It
//! never talks to the relay: the table names lent ports in its commands.

use super::claims::Claim;
use crate::config::Addresses;
use crate::engine::stats::Places;
use crate::engine::world::World;
use crate::ground::{CallNo, Leg, Mono, Side};
use crate::policy::quota::{Holder, Quota, Resource, Room, ShareView};
use crate::relay::ports::{Pool, PortCount};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Pools of all interfaces.
#[derive(Debug)]
pub(super) struct Lent {
    pools: BTreeMap<IpAddr, (Side, Pool)>,
    /// Addresses that an interface has left, while streams hold ports there; false: the machine has
    /// it no longer.
    left: BTreeMap<IpAddr, bool>,
    /// How long their ports rest.
    rest: Duration,
    /// First and last port of all of them.
    range: (u16, u16),
    /// The call and leg that hold a pair, by its even port.
    owners: HashMap<(IpAddr, u16), (CallNo, Leg)>,
    /// Streams by call.
    shares: Quota<CallNo>,
    /// Calls that have given way.
    gone: Vec<CallNo>,
}

/// Streams that the pools of these addresses can carry, and of so many interfaces outside that have
/// theirs later: a pair a side each.
fn capacity(pools: &BTreeMap<IpAddr, (Side, Pool)>, at: &BTreeSet<IpAddr>, later: usize) -> usize {
    let free = |pool: &Pool| pool.count(Mono::default()).free / 2;
    let pairs = |side: Side| -> usize {
        let own = at.iter().filter_map(|ip| pools.get(ip)).filter(|(s, _)| *s == side);
        let awaited = pools.values().next().filter(|_| side == Side::Outside);
        let awaited = awaited.map_or(0, |(_, pool)| later * free(pool));
        own.map(|(_, pool)| free(pool)).sum::<usize>() + awaited
    };
    match Side::ALL.map(pairs) {
        // Both sides share one address.
        [0, both] | [both, 0] => both / 2,
        [inside, outside] => inside.min(outside),
    }
}

/// What tells the pools of two IP versions apart.
const fn of_version(ip: IpAddr) -> u64 {
    match ip {
        IpAddr::V4(_) => 0,
        IpAddr::V6(_) => u64::MAX,
    }
}

impl Lent {
    pub(super) fn new(w: &World, seed: u64) -> Self {
        let config = w.config();
        let (first, last) = config.media.ports;
        let rest = config.media.quarantine;
        let pools = config
            .interfaces
            .iter()
            .flat_map(|i| i.addresses.iter().map(|a| (a.ip, i.side)))
            .map(|(ip, side)| (ip, (side, Pool::new(ip, first, last, rest, seed))));
        let pools = pools.collect();
        // A second address adds nothing to what is shared out: all may speak one IP version.
        let firsts = config.interfaces.iter().filter_map(|i| i.addresses.first()).map(|a| a.ip);
        let firsts = firsts.collect();
        let later = config.interfaces.iter().filter(|i| i.addresses.are_away()).count();
        let shares = Quota::new(w.shares_of_users(capacity(&pools, &firsts, later)));
        let (range, owners) = ((first, last), HashMap::new());
        Self { pools, left: BTreeMap::new(), rest, range, owners, shares, gone: Vec::new() }
    }

    /// An interface outside stands there, and no longer at these: ports that are held there stay
    /// so until they return. `seed` shuffles what is new: nobody foretells it by what he saw of
    /// another address, or of this one before.
    pub(super) fn stand(&mut self, left: &[IpAddr], at: &Addresses, seed: u64) {
        let known = left.iter().filter(|ip| self.pools.contains_key(ip));
        self.left.extend(known.map(|ip| (*ip, true)));
        for ip in at.iter().map(|a| a.ip) {
            self.left.remove(&ip);
            let ((first, last), rest) = (self.range, self.rest);
            let seed = seed ^ of_version(ip);
            let pool = || (Side::Outside, Pool::new(ip, first, last, rest, seed));
            self.pools.entry(ip).or_insert_with(pool);
        }
        left.iter().for_each(|ip| self.drop_left(*ip));
    }

    /// The machine has these addresses where interfaces may stand.
    pub(super) fn machine_has(&mut self, own: &[IpAddr]) {
        self.left.iter_mut().for_each(|(ip, here)| *here = own.contains(ip));
    }

    /// An interface has left it, and streams hold ports there.
    pub(super) fn has_left(&self, ip: IpAddr) -> bool {
        self.left.contains_key(&ip)
    }

    /// … which the machine has no longer.
    pub(super) fn is_gone(&self, ip: IpAddr) -> bool {
        self.left.get(&ip) == Some(&false)
    }

    /// Nobody holds ports there any more.
    fn drop_left(&mut self, ip: IpAddr) {
        let unused = |(_, pool): &(Side, Pool)| pool.count(Mono::default()).used == 0;
        if self.left.contains_key(&ip) && self.pools.get(&ip).is_none_or(unused) {
            self.left.remove(&ip);
            self.pools.remove(&ip);
        }
    }

    /// Takes the share in force, and what tunnels came; how many ports are shared out is settled at
    /// the start.
    pub(super) fn follow(&mut self, w: &World) {
        let ((first, last), rest, seed) = (self.range, self.rest, w.number());
        let tunnels = w.config().interfaces.iter().filter(|i| i.link.tunnel().is_some());
        for (ip, side) in tunnels.flat_map(|i| i.addresses.iter().map(|a| (a.ip, i.side))) {
            let pool = || (side, Pool::new(ip, first, last, rest, seed));
            self.pools.entry(ip).or_insert_with(pool);
        }
        self.shares.set_shares(w.shares_of_users(self.shares.shares().total));
    }

    /// A call that has given way: its streams are to be closed.
    pub(super) fn displaced(&mut self) -> Option<CallNo> {
        self.gone.pop()
    }

    /// Somebody else holds a call's ports from now on.
    pub(super) fn held_by(&mut self, call: CallNo, holder: &Holder) {
        self.shares.prove(call, holder.clone());
    }

    /// The call is answered.
    pub(super) fn settle(&mut self, call: CallNo) {
        self.shares.settle(call);
    }

    pub(super) fn share_view(&self) -> ShareView {
        self.shares.view(Resource::Ports)
    }

    /// Streams that hold ports.
    pub(super) fn places(&self) -> Places {
        Places::of(&self.shares)
    }

    /// Makes room for one more stream. What gives way returns its ports only when the relay has
    /// closed them; until then the reserve lends its own.
    fn make_room(&mut self, call: CallNo, claim: &Claim, binds: [IpAddr; 2]) -> bool {
        loop {
            match self.shares.ask(&claim.holder, claim.urgent, 1) {
                Room::Free => break,
                Room::Instead(other) if other != call => self.displace(other),
                Room::Instead(_) | Room::None(_) => return false,
            }
        }
        let spare = |bind| self.pools.get(&bind).map_or(0, |(_, pool)| pool.ready());
        let [one, other] = binds.map(spare);
        let spare = if binds[0] == binds[1] { one / 2 } else { one.min(other) };
        let reserve = self.shares.shares().reserve();
        let kept = match &claim.holder {
            Holder::Emergency(_) => self.shares.shares().last(),
            _ if claim.urgent => 0,
            Holder::Unproved(_) => reserve,
            Holder::User(_) | Holder::Shared(..) | Holder::Upstream | Holder::Brought(_) => {
                reserve / 2
            }
        };
        if spare > kept {
            return true;
        }
        // Ports are not reported yet: the next one to come shall find some.
        if let Some(other) =
            self.shares.next_to_go(&claim.holder, claim.urgent).filter(|other| *other != call)
        {
            self.displace(other);
        }
        false
    }

    fn displace(&mut self, call: CallNo) {
        self.shares.leave(call);
        self.gone.push(call);
    }

    fn enter(&mut self, call: CallNo, claim: &Claim) {
        match self.shares.weight(call) {
            0 => {
                self.shares.enter(call, claim.holder.clone(), 1);
                // What an answered call opens later stays with it.
                if claim.urgent {
                    self.shares.settle(call);
                }
            }
            streams => self.shares.weigh(call, streams + 1),
        }
    }

    pub(super) fn count(&self, side: Side, now: Mono) -> PortCount {
        let mut sum = PortCount::default();
        for (ip, (_, pool)) in self.pools.iter().filter(|(_, (s, _))| *s == side) {
            let c = pool.count(now);
            sum.used += c.used;
            if self.left.contains_key(ip) {
                continue;
            }
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
    pub(super) fn take(
        &mut self,
        call: CallNo,
        claim: &Claim,
        binds: [IpAddr; 2],
        now: Mono,
    ) -> Option<[u16; 2]> {
        if !self.make_room(call, claim, binds) {
            return None;
        }
        let first = self.pools.get_mut(&binds[0])?.1.take(now)?;
        let Some(second) = self.pools.get_mut(&binds[1]).and_then(|(_, pool)| pool.take(now))
        else {
            if let Some((_, pool)) = self.pools.get_mut(&binds[0]) {
                pool.give(now, first, false);
            }
            return None;
        };
        self.own(call, binds, [first, second]);
        self.enter(call, claim);
        Some([first, second])
    }

    /// A certain pair on each of two addresses, or none at all: as before a restart.
    pub(super) fn claim(
        &mut self,
        call: CallNo,
        holder: &Holder,
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
        let claim = Claim { holder: holder.clone(), urgent: true, emergency: false };
        self.enter(call, &claim);
        true
    }

    /// A pair at another address in the place of this one.
    pub(super) fn rebind(&mut self, from: (IpAddr, u16), to: IpAddr, now: Mono) -> Option<u16> {
        let owner = self.owners.get(&from).copied()?;
        let port = self.pools.get_mut(&to)?.1.take(now)?;
        self.owners.remove(&from);
        self.owners.insert((to, port), owner);
        if let Some((_, pool)) = self.pools.get_mut(&from.0) {
            pool.give(now, from.1, true);
        }
        self.drop_left(from.0);
        Some(port)
    }

    fn own(&mut self, call: CallNo, binds: [IpAddr; 2], ports: [u16; 2]) {
        for leg in Leg::ALL {
            let i = leg.index();
            self.owners.insert((binds[i], ports[i]), (call, leg));
        }
    }

    /// Both pairs return; `used` ones rest first.
    pub(super) fn give(&mut self, binds: [IpAddr; 2], ports: [u16; 2], used: [bool; 2], now: Mono) {
        if let Some((call, _)) = self.owners.get(&(binds[0], ports[0])).copied() {
            match self.shares.weight(call) {
                0 => {}
                1 => {
                    self.shares.leave(call);
                }
                streams => self.shares.weigh(call, streams - 1),
            }
        }
        for i in 0..2 {
            self.owners.remove(&(binds[i], ports[i]));
            if let Some((_, pool)) = self.pools.get_mut(&binds[i]) {
                pool.give(now, ports[i], used[i]);
            }
            self.drop_left(binds[i]);
        }
    }
}
