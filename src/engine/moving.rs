//! Interfaces that follow a device, or the default route: where they stand, which of the addresses
//! that the machine says are taken, and what becomes of what was begun at another. Who changes all
//! the time is followed less and less often. It looks at no device: it is told.

mod judge;

use super::Engine;
use super::calls::Calls;
use super::outbox::Outbox;
use super::output::{Level, Output};
use super::phones::Phones;
use super::stats::InterfaceView;
use super::transactions::{TimerTable, Transactions};
use super::upstreams::Upstreams;
use super::world::World;
use crate::audit::Record;
use crate::config::{Addresses, Found};
use crate::ground::{ListenerId, Moment, Mono};
use judge::judge;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// After a change the next one is taken this much later, and twice as much later each time …
const PAUSE: Duration = Duration::from_secs(1);
/// … up to this, …
const LONGEST: Duration = Duration::from_secs(60);
/// … unless it has stood for so long.
const SETTLED: Duration = Duration::from_secs(120);
/// An address that was refused is looked at again: who was in its way may have gone.
const AGAIN: Duration = Duration::from_secs(30);

/// One interface.
#[derive(Debug, Default)]
struct Stand {
    /// What the machine says.
    seen: Found,
    /// Since when it stands where it does.
    since: Option<Moment>,
    /// When it changed last, and how often it did soon after it had.
    changed: Option<Mono>,
    flaps: u32,
    changes: u64,
    /// Which addresses were not taken, and why.
    refused: Option<String>,
}

impl Stand {
    /// From when on the next change is taken.
    fn free(&self) -> Option<Mono> {
        let pause = PAUSE.saturating_mul(1 << self.flaps.min(6)).min(LONGEST);
        self.changed.map(|changed| changed + pause)
    }

    fn change(&mut self, now: Mono) {
        let soon = self.changed.is_some_and(|changed| now.since(changed) < SETTLED);
        self.flaps = if soon { self.flaps.saturating_add(1) } else { 0 };
        self.changed = Some(now);
        self.changes += 1;
    }
}

/// All interfaces that move, by their place in the file.
#[derive(Debug, Default)]
pub(crate) struct Moving {
    stands: BTreeMap<usize, Stand>,
    timers: TimerTable<usize>,
}

impl Moving {
    pub(crate) fn poll_timeout(&self) -> Option<Mono> {
        self.timers.next()
    }

    /// Every one that moves, in the file's order.
    pub(crate) fn view(&self, w: &World) -> Vec<InterfaceView> {
        let all = w.net().interfaces().iter().enumerate();
        let view = |(at, i): (usize, &crate::config::Interface)| {
            let stand = self.stands.get(&at);
            Some(InterfaceView {
                name: i.name.clone(),
                follows: i.addresses.following()?.by.to_string(),
                addresses: i.addresses.iter().map(|a| a.ip).collect(),
                since: stand.and_then(|s| s.since),
                changes: stand.map_or(0, |s| s.changes.saturating_sub(1)),
                refused: stand.and_then(|s| s.refused.clone()).unwrap_or_default(),
            })
        };
        all.filter_map(view).collect()
    }

    /// Where an interface has to stand instead; `None`: nowhere else, or not yet.
    fn settle(&mut self, w: &World, phones: &Phones, out: &mut Outbox, at: usize) -> Option<Found> {
        let i = w.net().interface_at(at).filter(|i| i.addresses.following().is_some())?;
        let stand = self.stands.get_mut(&at)?;
        let mut refused = Vec::new();
        let mut fit = |ip: IpAddr| match judge(w, phones, at, ip) {
            Ok(()) => Some(ip),
            Err(why) => {
                refused.push(format!("{ip} is {why}"));
                None
            }
        };
        let found = stand.seen.map(|ip| ip.and_then(&mut fit));
        let now = w.now().mono;
        let refused = (!refused.is_empty()).then(|| refused.join(", "));
        match &refused {
            Some(why) if stand.refused != refused => {
                let name = &i.name;
                out.notice(Level::Warn, format!("interface {name} is not to stand there: {why}"));
            }
            Some(_) | None => {}
        }
        match refused {
            Some(_) => self.timers.set(at, now + AGAIN),
            None => self.timers.stop(at),
        }
        stand.refused = refused;
        if found == i.addresses.found() {
            return None;
        }
        if let Some(free) = stand.free().filter(|free| *free > now) {
            self.timers.set(at, free);
            return None;
        }
        stand.change(now);
        stand.since = Some(w.now().into());
        Some(found)
    }
}

/// Who moves an interface, among the parts that are to know.
pub(super) struct Mover<'a> {
    w: &'a mut World,
    out: &'a mut Outbox,
    moving: &'a mut Moving,
    transactions: &'a mut Transactions,
    calls: &'a mut Calls,
    upstreams: &'a mut Upstreams,
    phones: &'a Phones,
}

impl<'a> Mover<'a> {
    pub(super) fn of(engine: &'a mut Engine) -> Self {
        let Engine { world: w, out, moving, transactions, calls, upstreams, phones, .. } = engine;
        Self { w, out, moving, transactions, calls, upstreams, phones }
    }

    /// The machine has these addresses where an interface is to stand.
    pub(super) fn seen(mut self, at: usize, found: Found) {
        self.moving.stands.entry(at).or_default().seen = found;
        self.settle(at);
    }

    /// Others may stand in the way of an address than before.
    pub(super) fn reconsider(mut self) {
        let all: Vec<usize> = self.moving.stands.keys().copied().collect();
        all.into_iter().for_each(|at| self.settle(at));
    }

    /// Fires one timer that is due; false: none is.
    pub(super) fn handle_timeout(mut self) -> bool {
        let Some(at) = self.moving.timers.expired(self.w.now().mono) else { return false };
        self.settle(at);
        true
    }

    fn settle(&mut self, at: usize) {
        let Some(found) = self.moving.settle(self.w, self.phones, self.out, at) else { return };
        self.stand(at, found);
        // What it has left another may have.
        let now = self.w.now().mono;
        let refused = self.moving.stands.iter().filter(|(_, s)| s.refused.is_some());
        let others: Vec<usize> = refused.map(|(other, _)| *other).collect();
        others.into_iter().for_each(|other| self.moving.timers.set(other, now + PAUSE));
    }

    /// It stands there from now on: nothing of it stays at the old address.
    fn stand(&mut self, at: usize, found: Found) {
        let Some(before) = self.addresses(at) else { return };
        self.w.stand(at, found);
        let Some(addresses) = self.addresses(at) else { return };
        self.tell(at, &before, &addresses);
        self.out.emit(Output::Stand { interface: at, addresses: addresses.clone() });
        let (was, is) = (before.found(), addresses.found());
        let left: Vec<IpAddr> =
            was.iter().zip(is).filter(|(was, is)| *was != is).filter_map(|(was, _)| *was).collect();
        let w = &*self.w;
        self.calls.moved(w, self.out, &left, &addresses);
        let versions = left.clone();
        let is_left = |id: ListenerId, peer: IpAddr| {
            w.net().interface_of(id) == Some(at)
                && versions.iter().any(|ip| ip.is_ipv4() == peer.is_ipv4())
        };
        self.transactions.left(w, self.out, is_left);
        self.upstreams.moved(w, self.out, at);
    }

    fn addresses(&self, at: usize) -> Option<Addresses> {
        self.w.net().interface_at(at).map(|i| i.addresses.clone())
    }

    fn tell(&mut self, at: usize, before: &Addresses, now: &Addresses) {
        let Some(i) = self.w.net().interface_at(at) else { return };
        let (name, by) = (&i.name, now.following().map(|f| f.by.to_string()));
        let by = by.unwrap_or_default();
        let first = self.moving.stands.get(&at).is_none_or(|s| s.changes < 2);
        let (level, text) = match (before.are_away(), now.are_away()) {
            (_, true) => (
                Level::Warn,
                format!(
                    "interface {name} has left {} and has no address any more: {by} has none; \
                     nothing goes out or comes in there",
                    before.listed()
                ),
            ),
            (true, false) => {
                (Level::Info, format!("interface {name} stands at {} ({by})", now.listed()))
            }
            (false, false) => (
                Level::Warn,
                format!(
                    "interface {name} has moved from {} to {} ({by}): what begins now is told the \
                     new address, calls under way have lost their way back",
                    before.listed(),
                    now.listed()
                ),
            ),
        };
        if !first {
            self.out.stats_mut().address_changes += 1;
        }
        self.out.record(Record::System { event: "address", detail: text.clone() });
        self.out.notice(level, text);
    }
}
