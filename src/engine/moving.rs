//! Interfaces that follow a device, or the default route: where they stand, which of the addresses
//! that the machine says are taken, and what becomes of what was begun at another. Who changes all
//! the time is followed less and less often. It looks at no device: it is told.

mod judge;
mod stand;

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
use crate::config::{Addresses, Following, Found, Own};
use crate::ground::{ListenerId, Mono};
use stand::{Stand, Step};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// An address that was refused is looked at again: who was in its way may have gone.
const AGAIN: Duration = Duration::from_secs(30);
/// Where another program holds our port it is looked at this often.
const HELD: Duration = Duration::from_secs(2);
/// What an interface has left another may have, soon.
const SOON: Duration = Duration::from_secs(1);

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
            let (stand, following) = (self.stands.get(&at), i.addresses.following()?);
            let addresses: Vec<IpAddr> = i.addresses.iter().map(|a| a.ip).collect();
            Some(InterfaceView {
                name: i.name.clone(),
                follows: following.by.to_string(),
                since: stand.and_then(|s| s.since),
                changes: stand.map_or(0, |s| s.changes.saturating_sub(1)),
                refused: stand.map(Stand::refusal).unwrap_or_default(),
                held: stand.is_some_and(|s| s.is_held(i.addresses.found())),
                others: stand.map(|s| s.others(&addresses, following.versions)).unwrap_or_default(),
                addresses,
            })
        };
        all.filter_map(view).collect()
    }

    /// What the machine has where any of them may stand.
    fn seen(&self) -> Vec<IpAddr> {
        self.stands.values().flat_map(|stand| &stand.seen).map(|own| own.ip).collect()
    }

    /// Where an interface has to stand instead; `None`: nowhere else, or not yet. `fresh`: the
    /// machine has just been looked at.
    fn settle(
        &mut self,
        (w, phones): (&World, &Phones),
        out: &mut Outbox,
        at: usize,
        fresh: bool,
    ) -> Option<Found> {
        let i = w.net().interface_at(at)?;
        let (following, is) = (i.addresses.following()?, i.addresses.found());
        let stand = self.stands.get_mut(&at)?;
        let (would, refused) = stand.choose((w, phones), at, is, following.versions);
        let now = w.now().mono;
        let is_news = !refused.is_empty() && stand.refused != refused;
        stand.refused = refused;
        let held = stand.is_held(would);
        let again = (!stand.refused.is_empty()).then_some(now + if held { HELD } else { AGAIN });
        if is_news {
            let (name, why) = (&i.name, stand.refusal());
            out.notice(Level::Warn, format!("interface {name} is not to stand there: {why}"));
        }
        passes_by(stand, out, &i.name, following);
        let step = stand.go(now, is, would, fresh);
        if held && !fresh && !matches!(step, Step::Look(_)) {
            // Only who looks sees that it is free.
            out.emit(Output::Look);
        }
        let (next, to) = match step {
            Step::Stay => (again, None),
            Step::Wait(until) => (Some(again.map_or(until, |again| again.min(until))), None),
            Step::Look(until) => {
                out.emit(Output::Look);
                (Some(until), None)
            }
            Step::Go(to) => {
                stand.since = Some(w.now().into());
                // One IP version may have to wait still.
                (if to == would { again } else { Some(now + SOON) }, Some(to))
            }
        };
        match next {
            Some(next) => self.timers.set(at, next),
            None => self.timers.stop(at),
        }
        to
    }
}

/// An address of an IP version that is not meant is not taken; where the file does not say which
/// are, that is told once.
fn passes_by(stand: &mut Stand, out: &mut Outbox, name: &str, f: &Following) {
    let other = stand.seen.iter().map(|own| own.ip).find(|ip| !f.versions.has(*ip));
    if f.versions == f.by.usual() && stand.passed.is_none() && other.is_some() {
        let ip = other.map(|ip| ip.to_string()).unwrap_or_default();
        let (by, only) = (&f.by, f.versions);
        let text = format!(
            "interface {name} follows {only} alone: {by} has {ip}, too, and `ip_version = \"both\"` \
             would take it"
        );
        out.notice(Level::Info, text);
        stand.passed = other;
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
    pub(super) fn seen(mut self, at: usize, own: Vec<Own>) {
        self.moving.stands.entry(at).or_default().sees(own);
        self.settle(at, true);
        self.calls.machine_has(self.out, &self.moving.seen(), &[]);
    }

    /// Others may stand in the way of an address than before.
    pub(super) fn reconsider(mut self) {
        let all: Vec<usize> = self.moving.stands.keys().copied().collect();
        all.into_iter().for_each(|at| self.settle(at, false));
    }

    /// Fires one timer that is due; false: none is.
    pub(super) fn handle_timeout(mut self) -> bool {
        let Some(at) = self.moving.timers.expired(self.w.now().mono) else { return false };
        self.settle(at, false);
        true
    }

    fn settle(&mut self, at: usize, fresh: bool) {
        let known = (&*self.w, self.phones);
        let Some(found) = self.moving.settle(known, self.out, at, fresh) else { return };
        self.stand(at, found);
        // What it has left another may have.
        let now = self.w.now().mono;
        let refused = self.moving.stands.iter().filter(|(_, s)| !s.refused.is_empty());
        let others: Vec<usize> = refused.map(|(other, _)| *other).collect();
        others.into_iter().for_each(|other| self.moving.timers.set(other, now + SOON));
    }

    /// It stands there from now on: nothing of it stays at the old address.
    fn stand(&mut self, at: usize, found: Found) {
        let Some(before) = self.addresses(at) else { return };
        self.w.stand(at, found);
        let Some(addresses) = self.addresses(at) else { return };
        let (was, is) = (before.found(), addresses.found());
        let gone = |from: Found, to: Found| -> Vec<IpAddr> {
            let pairs = from.into_iter().zip(to).filter(|(from, to)| from != to);
            pairs.filter_map(|(from, _)| from).collect()
        };
        let (left, came) = (gone(was, is), gone(is, was));
        self.tell(at, (&left, &came), &addresses);
        self.out.emit(Output::Stand { interface: at, addresses: addresses.clone() });
        let (w, own) = (&*self.w, self.moving.seen());
        self.calls.moved(w, self.out, (at, &left), (&addresses, &own));
        self.calls.machine_has(self.out, &own, &came);
        let versions = left.clone();
        let is_left = |id: ListenerId, peer: IpAddr| {
            w.net().interface_of(id) == Some(at)
                && versions.iter().any(|ip| ip.is_ipv4() == peer.is_ipv4())
        };
        self.transactions.left(w, self.out, is_left);
        self.transactions.stood(w, self.out, |id| w.net().interface_of(id) == Some(at));
        self.upstreams.moved(w, self.out, at);
    }

    fn addresses(&self, at: usize) -> Option<Addresses> {
        self.w.net().interface_at(at).map(|i| i.addresses.clone())
    }

    fn tell(&mut self, at: usize, (left, came): (&[IpAddr], &[IpAddr]), now: &Addresses) {
        let Some(i) = self.w.net().interface_at(at) else { return };
        let by = now.following().map(|f| f.by.to_string()).unwrap_or_default();
        let first = self.moving.stands.get(&at).is_none_or(|s| s.changes < 2);
        let lost = lost(self.calls.standing_at(left), left);
        let (level, what) = told((left, came), now, (&by, &lost));
        let text = format!("interface {} {what}", i.name);
        if !first {
            self.out.stats_mut().address_changes += 1;
        }
        self.out.record(Record::System { event: "address", detail: text.clone() });
        self.out.notice(level, text);
    }
}

fn list(all: &[IpAddr]) -> String {
    all.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ")
}

/// What has become of so many calls at addresses that were left, in words.
fn lost(calls: usize, left: &[IpAddr]) -> String {
    let from = list(left);
    match calls {
        0 => String::new(),
        1 => format!("; 1 call under way at {from} has lost its way back"),
        n => format!("; {n} calls under way at {from} have lost their way back"),
    }
}

/// What has become of an interface that has left addresses, and come to others, in words.
fn told(
    (left, came): (&[IpAddr], &[IpAddr]),
    now: &Addresses,
    (by, lost): (&str, &str),
) -> (Level, String) {
    let (from, to) = (list(left), list(came));
    let stay: Vec<IpAddr> = now.iter().map(|a| a.ip).filter(|ip| !came.contains(ip)).collect();
    let stays = if stay.is_empty() { String::new() } else { format!(", beside {}", list(&stay)) };
    match (left, came) {
        _ if now.are_away() => (
            Level::Warn,
            format!(
                "has left {from} and has no address any more: {by} has none for it; nothing goes \
                 out or comes in there"
            ),
        ),
        ([], _) => (Level::Info, format!("stands at {to}{stays} ({by})")),
        (_, []) => (
            Level::Warn,
            format!("has left {from} and stands at {} alone ({by}){lost}", list(&stay)),
        ),
        (_, _) => (
            Level::Warn,
            format!(
                "has moved from {from} to {to}{stays} ({by}): what begins now is told the new \
                 address{lost}"
            ),
        ),
    }
}
