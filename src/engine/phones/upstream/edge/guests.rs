//! Guests: Contacts that an upstream never confirmed, at an address whose user it did. They stand
//! beside the phone that it confirmed, never in its place: whoever sends from that address, or says
//! so, is no more than one beside it.

use super::super::super::confirmed::Fit;
use super::super::super::{Binding, Phones};
use super::super::{Offered, Pending};
use crate::config::SurviveAuth;
use crate::engine::world::World;
use crate::ground::Flow;

impl Phones {
    /// A phone is registered under this key, and sends from elsewhere: it has its place.
    pub(super) fn is_taken(&self, w: &World, key: &str, flow: &Flow) -> bool {
        let known = self.bindings.get(key).filter(|b| b.expires > w.steady());
        known.is_some_and(|b| !b.is_cut_off(w) && b.source != flow.peer)
    }

    fn is_guest(&self, w: &World, pending: &Pending, c: &Offered) -> bool {
        match self.fits(w, pending, c, &pending.upstream) {
            Some(Fit::Place) => true,
            Some(Fit::Phone(old)) => self.is_taken(w, &old, &pending.flow),
            Some(Fit::Itself) | None => false,
        }
    }

    /// What is registered of a REGISTER: of guests the first alone.
    pub(super) fn with_one_guest(&self, w: &World, pending: &Pending) -> Pending {
        let mut one = pending.clone();
        if w.config().survive.auth == SurviveAuth::Network {
            let mut guests = 0;
            one.contacts.retain(|c| {
                guests += usize::from(c.seconds != Some(0) && self.is_guest(w, pending, c));
                guests < 2 || c.seconds == Some(0) || !self.is_guest(w, pending, c)
            });
        }
        one
    }

    /// A guest would take the place of a phone that is registered.
    pub(super) fn crowds_out(&self, w: &World, pending: &Pending) -> bool {
        if w.config().survive.auth != SurviveAuth::Network {
            return false;
        }
        let stays = |c: &&Offered| c.seconds != Some(0);
        let guest = |c: &Offered| self.is_guest(w, pending, c);
        if !pending.contacts.iter().filter(stays).any(guest) {
            return false;
        }
        let is_phone = |b: &Binding| {
            let confirmed = self.is_confirmed(w, &b.key, b.source.ip(), &b.upstream);
            b.expires > w.steady() && !b.is_cut_off(w) && (!b.edge || confirmed)
        };
        let places = self.places_of(w, &pending.aor, &pending.asked());
        let gone = places.map(|places| places.gone).unwrap_or_default();
        gone.iter().any(|key| self.bindings.get(key).is_some_and(is_phone))
    }
}
