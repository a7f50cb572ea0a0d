//! The place that a REGISTER holds while its upstream has not answered it, and what is said where
//! its 2xx finds none.

use super::super::newest::{Named, NoPlaces};
use super::super::registrar::no_places;
use super::super::{Phones, record};
use super::{Offered, Pending};
use crate::audit::BindingEvent;
use crate::engine::ids::ServerId;
use crate::engine::outbox::Outbox;
use crate::engine::world::World;
use crate::policy::quota::Holder;
use crate::wire::sip::{Message, Name};

impl Pending {
    /// Who holds its places when it is granted.
    pub(super) fn holder(&self) -> Holder {
        Holder::User(self.aor.to_string())
    }

    /// As it asks to be registered.
    pub(super) fn asked(&self) -> Vec<Named<'_>> {
        self.contacts.iter().map(|c| c.named(c.seconds != Some(0))).collect()
    }
}

impl Phones {
    /// Takes the places that a REGISTER needs if its upstream grants it, until it is answered.
    ///
    /// # Errors
    /// There are none: our answer.
    pub(crate) fn hold_places(
        &mut self,
        w: &World,
        out: &mut Outbox,
        request: &Message,
        pending: &Pending,
    ) -> Result<(), Box<Message>> {
        let places = self.places_of(w, &pending.aor, &pending.asked()).unwrap_or_default();
        let by = (pending.server, pending.flow.listener);
        let whose = (&pending.holder(), w.net().source(&pending.flow).whole());
        let (gone, room) = self.bindings.hold(by, whose, places.more);
        self.displace(w, out, gone);
        room.map_err(|full| {
            Box::new(no_places(w, out, request, &pending.flow, &NoPlaces::Full(full)))
        })
    }

    /// A request has its answer, or is gone: it holds no place.
    pub(crate) fn release(&mut self, server: ServerId) {
        self.bindings.release(server);
    }

    /// REGISTERs that hold places.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = ServerId> + '_ {
        self.bindings.waiting()
    }

    /// What an answer ends is not confirmed any more, before it confirms what it grants: so many
    /// seconds each.
    pub(super) fn end_known(
        &mut self,
        w: &World,
        out: &mut Outbox,
        pending: &Pending,
        lives: &[(&Offered, u64)],
    ) {
        let over = lives.iter().filter(|(_, seconds)| *seconds == 0);
        let ended: Vec<&str> = over.map(|(offered, _)| offered.key.as_str()).collect();
        if pending.remove_all {
            self.end_all_confirmed(out, &pending.aor, &pending.flow);
        } else if !ended.is_empty() {
            self.end_confirmed(w, out, (&pending.aor, &ended), &pending.flow);
        }
    }

    /// What its upstream granted finds no place here: the phone is told so, and comes again.
    pub(super) fn unplaced(
        w: &World,
        out: &mut Outbox,
        pending: &Pending,
        why: &NoPlaces,
        near: &mut Message,
    ) {
        let (status, phrase) = why.answer();
        near.set_status(status, phrase);
        near.remove(&Name::Expires);
        near.set(Name::RetryAfter, NoPlaces::LATER);
        why.tell(w, out, &pending.flow);
        let (user, flow, by) = (&pending.user, &pending.flow, &pending.upstream);
        record(out, user, flow, BindingEvent::Refused, status, 0, by);
    }
}
