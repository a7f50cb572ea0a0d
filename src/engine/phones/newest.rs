//! Beyond a user's cap the newest of his registrations wins: whoever proves himself is never
//! locked out by what is left of his phones of yesterday. Whoever is registered has a place, or
//! hears why he has none.

use super::{Binding, Phones};
use crate::engine::outbox::Outbox;
use crate::engine::stats::RegisterResult;
use crate::engine::world::World;
use crate::ground::Flow;
use crate::policy::quota::{Full, Holder, Resource};
use crate::wire::sip::{Aor, NameAddr};
use std::collections::BTreeSet;

/// Octets of an instance id that is remembered; a longer one is none.
const INSTANCE: usize = 256;

/// A Contact of a REGISTER, as far as places go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named<'a> {
    /// Its binding's.
    pub(super) key: &'a str,
    pub(super) instance: Option<&'a str>,
    /// It is to be registered, else to go.
    pub(super) stays: bool,
}

/// What a REGISTER does to its user's places.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// So many more are held afterwards.
    pub(super) more: usize,
    /// Keys of his bindings that give way.
    pub(super) gone: Vec<String>,
}

/// A REGISTER names more Contacts than its user may have.
#[derive(Debug)]
pub(super) struct TooMany;

/// Why a REGISTER finds no places.
#[derive(Debug)]
pub(super) enum NoPlaces {
    /// It names more Contacts than its user may have.
    OfUser,
    /// The table, or a share of it, is full.
    Full(Full),
}

impl NoPlaces {
    /// Seconds after which whoever found none may come again.
    pub(super) const LATER: &str = "60";

    /// Status and reason phrase.
    pub(super) fn answer(&self) -> (u16, &'static str) {
        match self {
            Self::OfUser => (480, "Too Many Bindings Of This User"),
            Self::Full(_) => (503, "Too Many Bindings"),
        }
    }

    /// It is counted; a full table is told.
    pub(super) fn tell(&self, w: &World, out: &mut Outbox, by: &Flow) {
        out.count_register(RegisterResult::Limited);
        match self {
            Self::OfUser => {}
            Self::Full(full) => {
                out.no_room(w.side(by.listener), by, Resource::Bindings, *full);
            }
        }
    }
}

impl Phones {
    /// Room for what a REGISTER names, among its user's own: refreshes and removals take none.
    /// First go those that have ended, then those whose connection is closed, then those of a
    /// phone that is named anew (RFC 5626 §4.1), then the one that was longest not refreshed.
    ///
    /// # Errors
    /// It names more than one user may have.
    pub(super) fn places_of(
        &self,
        w: &World,
        aor: &Aor,
        named: &[Named<'_>],
    ) -> Result<Places, TooMany> {
        let most = w.config().limits.bindings_per_user;
        let keys = |stays: bool| -> BTreeSet<&str> {
            named.iter().filter(|n| n.stays == stays).map(|n| n.key).collect()
        };
        let (stay, go) = (keys(true), keys(false));
        let new = stay.iter().filter(|key| self.bindings.get(key).is_none()).count();
        if new == 0 {
            return Ok(Places::default());
        }
        if stay.len() > most {
            return Err(TooMany);
        }
        let is_named = |key: &str| stay.contains(key) || go.contains(key);
        let kept = self.bindings.of_aor(aor).filter(|b| !go.contains(b.key.as_str())).count();
        let over = (kept + new).saturating_sub(most);
        let instances: BTreeSet<&str> =
            named.iter().filter(|n| n.stays).filter_map(|n| n.instance).collect();
        let rank = |b: &&Binding| {
            let same = b.instance.as_deref().is_some_and(|id| instances.contains(id));
            (b.expires > w.steady(), !b.is_cut_off(w), !same)
        };
        let mut others: Vec<&Binding> =
            self.bindings.of_aor(aor).filter(|b| !is_named(&b.key)).collect();
        // Of those that are as useful the order stays: oldest first.
        others.sort_by_key(rank);
        let gone: Vec<String> = others.iter().take(over).map(|b| b.key.clone()).collect();
        Ok(Places { more: new.saturating_sub(gone.len()), gone })
    }

    /// Finds a place for each that a REGISTER names and that is granted, before any is bound. What
    /// gives way is ended.
    ///
    /// # Errors
    /// There are none; what has given way before that was seen is ended all the same.
    pub(super) fn find_places(
        &mut self,
        w: &World,
        out: &mut Outbox,
        (aor, holder): (&Aor, &Holder),
        named: &[Named<'_>],
    ) -> Result<(), NoPlaces> {
        loop {
            let places = self.places_of(w, aor, named).map_err(|TooMany| NoPlaces::OfUser)?;
            let (gone, room) = self.bindings.make_room(holder, places.more);
            let free = gone.is_empty();
            self.displace(w, out, gone);
            room.map_err(NoPlaces::Full)?;
            if free {
                self.replace(w, out, places.gone);
                return Ok(());
            }
            // One of his own may have given way, which counted as his already: he needs one more.
        }
    }
}

/// The instance id of a Contact (RFC 5626 §4.1), as it is written.
pub(super) fn instance(contact: &NameAddr) -> Option<&str> {
    contact.params.get("+sip.instance").filter(|id| !id.is_empty() && id.len() <= INSTANCE)
}
