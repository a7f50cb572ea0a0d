//! What an upstream hears of the interface that it is reached by, which stands elsewhere, or
//! nowhere. It sends nothing.

use super::{Asker, Health, Upstreams};
use crate::config::Hop;
use crate::engine::outbox::Outbox;
use crate::engine::world::World;
use crate::ground::UpstreamId;

impl Upstreams {
    /// An interface stands elsewhere: its upstreams are asked at once whether they are there, and
    /// their names anew, for another network may say something else. Without any address nothing
    /// reaches them, which is as good as no answer.
    pub(crate) fn moved(&mut self, w: &World, out: &mut Outbox, interface: usize) {
        let of = |id: &&UpstreamId| self.get(w, **id).is_some_and(|u| u.interface == interface);
        let ids: Vec<UpstreamId> = w.upstreams().iter().filter(of).copied().collect();
        let Some(i) = w.net().interface_at(interface) else { return };
        if i.addresses.are_away() {
            ids.into_iter().for_each(|id| self.seek_way(w, out, id));
            return;
        }
        for id in &ids {
            if let Some(u) = self.all.get_mut(id.index()).filter(|u| u.health == Health::Down) {
                u.targets.forget(w.now(), "it was out of reach from another address");
                u.health = Health::Unknown;
                u.since = Some(w.now().into());
                u.why = "it was out of reach from another address".to_owned();
            }
        }
        self.doubted.extend(ids);
        self.ask_all(w, out);
    }

    /// Who cannot be reached from the start on is known to be so.
    pub(crate) fn seek_ways(&mut self, w: &World, out: &mut Outbox) {
        for id in w.upstreams() {
            self.seek_way(w, out, *id);
        }
    }

    /// Whether any way leads to where an upstream is: its interface has no address, or no socket of
    /// any transport that it is reached by. Then nothing need be waited for to know that nobody
    /// answers, be it at the start or later.
    pub(super) fn seek_way(&mut self, w: &World, out: &mut Outbox, id: UpstreamId) {
        let Some(i) = self.get(w, id).and_then(|u| w.net().interface_at(u.interface)) else {
            return;
        };
        if !self.is_lost(w, id) {
            return;
        }
        let why = match i.addresses.are_away() {
            true => format!("no way to it: interface {} has no address", i.name),
            false => format!("no way to it: interface {} has no socket for it", i.name),
        };
        self.doubt(w, (id, w.now().mono), Asker::Nowhere, 0);
        let hops: Vec<Hop> =
            self.state(id).map_or_else(Vec::new, |u| u.targets.iter().map(|t| t.hop).collect());
        for hop in hops {
            let t = self.all.get_mut(id.index()).and_then(|u| u.targets.find(hop));
            if t.is_some_and(|t| t.turn(w.now(), Health::Down, &why)) {
                self.told(w, out, id, hop);
            }
        }
    }
}
