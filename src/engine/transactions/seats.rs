//! Who holds server transactions, outside dialogs and within them: two tables, so that what goes on
//! within calls never keeps new ones out, nor the other way round.

use super::{Transactions, World};
use crate::engine::ids::{PassId, ServerId};
use crate::engine::outbox::Outbox;
use crate::engine::stats::Places;
use crate::policy::quota::{Full, Holder, Quota, Resource, ShareView, Shares};

/// A place for a request that is answered.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    pub(crate) holder: Holder,
    /// It belongs to a dialog.
    pub(crate) within: bool,
    /// It may use the reserve: an emergency call, or the end of an established one.
    pub(crate) urgent: bool,
}

/// All places.
#[derive(Debug)]
pub(super) struct Seats {
    outside: Quota<ServerId>,
    within: Quota<ServerId>,
    /// Those that have given way, and in which table.
    gone: Vec<(ServerId, Resource)>,
}

fn shares(w: &World) -> Shares {
    let l = &w.config().limits;
    let (per_source, per_user) = (l.transactions_per_source, l.transactions_per_user);
    Shares { total: l.transactions, per_source, per_user }
}

impl Seats {
    pub(super) fn new(w: &World) -> Self {
        let table = || Quota::new(shares(w));
        Self { outside: table(), within: table(), gone: Vec::new() }
    }

    pub(super) fn enter(&mut self, id: ServerId, seat: Seat) {
        let table = if seat.within { &mut self.within } else { &mut self.outside };
        table.enter(id, seat.holder, 1);
    }

    /// It is answered; what is kept now is the answer, not an emergency.
    pub(super) fn answered(&mut self, id: ServerId) {
        self.outside.calm(id);
    }

    pub(super) fn leave(&mut self, id: ServerId) {
        if !self.outside.leave(id) {
            self.within.leave(id);
        }
    }
}

impl Transactions {
    /// Takes the numbers in force.
    pub(crate) fn follow(&mut self, w: &World) {
        self.seats.outside.set_shares(shares(w));
        self.seats.within.set_shares(shares(w));
    }

    /// Whether one more finds room, or somebody to give way; nothing changes.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn has_room(&self, seat: &Seat) -> Result<(), (Resource, Full)> {
        let (table, resource) = match seat.within {
            true => (&self.seats.within, Resource::InDialog),
            false => (&self.seats.outside, Resource::Transactions),
        };
        table.has_room(&seat.holder, seat.urgent, 1).map_err(|full| (resource, full))
    }

    /// Makes room for one more.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn room(&mut self, seat: &Seat) -> Result<(), (Resource, Full)> {
        let s = &mut self.seats;
        let (table, resource) = if seat.within {
            (&mut s.within, Resource::InDialog)
        } else {
            (&mut s.outside, Resource::Transactions)
        };
        let mut gone = Vec::new();
        let room = table.make_room(&seat.holder, seat.urgent, 1, &mut gone);
        s.gone.extend(gone.into_iter().map(|id| (id, resource)));
        room.map_err(|full| (resource, full))
    }

    /// A transaction that has given way, to be ended by [`Transactions::displace`].
    pub(crate) fn displaced(&mut self) -> Option<(ServerId, Resource)> {
        self.seats.gone.pop()
    }

    /// The pass of a transaction that has no final answer.
    pub(crate) fn pass_of(&self, id: ServerId) -> Option<PassId> {
        self.servers.get(&id).filter(|t| t.is_open())?.pass
    }

    /// Ends a transaction before its time. Who waits for an answer gets one: 503.
    pub(crate) fn displace(&mut self, w: &World, out: &mut Outbox, id: ServerId) {
        let Some(t) = self.servers.get(&id) else { return };
        if t.is_open() {
            let mut busy = w.answer(t.request(), 503, "Service Unavailable");
            busy.push_back(crate::wire::sip::Name::RetryAfter, "10");
            match t.pass {
                Some(pass) => {
                    self.cancel_branches(w, out, pass, &[]);
                    self.settle(w, out, pass, &busy);
                }
                None => self.respond(w, out, id, &busy),
            }
        }
        self.forget_server(id);
    }

    /// How places are held.
    pub(crate) fn share_views(&self) -> [ShareView; 2] {
        let Seats { outside, within, .. } = &self.seats;
        [outside.view(Resource::Transactions), within.view(Resource::InDialog)]
    }

    /// How full they are: outside dialogs, within.
    pub(crate) fn places(&self) -> [Places; 2] {
        [Places::of(&self.seats.outside), Places::of(&self.seats.within)]
    }
}
