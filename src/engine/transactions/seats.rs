//! Who holds server transactions, outside dialogs and within them: two tables, so that what goes on
//! within calls never keeps new ones out, nor the other way round; and who holds the octets of
//! their messages, in one.

use super::{Transactions, World};
use crate::engine::ids::{PassId, ServerId};
use crate::engine::outbox::Outbox;
use crate::engine::stats::Places;
use crate::policy::quota::{Brought, Full, Holder, Quota, Resource, ShareView, Shares};

/// A place for a request that is answered.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    pub(crate) holder: Holder,
    /// It belongs to a dialog.
    pub(crate) within: bool,
    /// It may use the reserve: an emergency call, or the end of an established one.
    pub(crate) urgent: bool,
    /// Octets of the request.
    pub(crate) octets: usize,
}

impl Seat {
    /// Octets that are kept for it until it is answered: the request as it came, as it is read, and
    /// as it goes on.
    fn weight(&self) -> usize {
        BESIDE + COPIES * self.octets
    }
}

/// How often a request is kept while it is open.
const COPIES: usize = 3;
/// What is kept beside messages.
const BESIDE: usize = 512;
/// Octets of messages for each transaction that there may be.
const EACH: usize = 4 * 1024;
/// Octets of messages that may be kept in any case.
const LEAST: usize = 16 << 20;

/// All places.
#[derive(Debug)]
pub(super) struct Seats {
    outside: Quota<ServerId>,
    within: Quota<ServerId>,
    /// Octets of messages.
    octets: Quota<ServerId>,
    /// Those that have given way, and in which table.
    gone: Vec<(ServerId, Resource)>,
}

fn shares(w: &World) -> Shares {
    let l = &w.config().limits;
    let (per_source, per_user) = (l.transactions_per_source, l.transactions_per_user);
    let brought = Brought::Shares;
    Shares { per_source, per_user, brought, ..w.shares(l.transactions) }
}

fn octets(w: &World) -> Shares {
    let total = LEAST.max(w.config().limits.transactions.saturating_mul(EACH));
    Shares { brought: Brought::Shares, ..w.shares(total) }
}

impl Seats {
    pub(super) fn new(w: &World) -> Self {
        let table = || Quota::new(shares(w));
        let octets = Quota::new(octets(w));
        Self { outside: table(), within: table(), octets, gone: Vec::new() }
    }

    pub(super) fn enter(&mut self, id: ServerId, seat: Seat) {
        self.octets.enter(id, seat.holder.clone(), seat.weight());
        let table = if seat.within { &mut self.within } else { &mut self.outside };
        table.enter(id, seat.holder, 1);
    }

    /// It is answered: what is kept now is no emergency, and so many octets.
    pub(super) fn answered(&mut self, id: ServerId, octets: usize) {
        self.outside.calm(id);
        self.octets.calm(id);
        self.octets.weigh(id, BESIDE + octets);
    }

    pub(super) fn leave(&mut self, id: ServerId) {
        self.octets.leave(id);
        if !self.outside.leave(id) {
            self.within.leave(id);
        }
    }

    fn table(&self, seat: &Seat) -> (&Quota<ServerId>, Resource) {
        match seat.within {
            true => (&self.within, Resource::InDialog),
            false => (&self.outside, Resource::Transactions),
        }
    }

    fn has_room(&self, seat: &Seat) -> Result<(), (Resource, Full)> {
        let (table, resource) = self.table(seat);
        let place = table.has_room(&seat.holder, seat.urgent, 1);
        place.map_err(|full| (resource, full))?;
        let octets = self.octets.has_room(&seat.holder, seat.urgent, seat.weight());
        octets.map_err(|full| (Resource::Messages, full))
    }

    /// Makes room in one of the tables; what gives way in it gives way in all.
    fn make_room(&mut self, seat: &Seat, which: Resource) -> Result<(), (Resource, Full)> {
        let (table, weight) = if which == Resource::Messages {
            (&mut self.octets, seat.weight())
        } else if seat.within {
            (&mut self.within, 1)
        } else {
            (&mut self.outside, 1)
        };
        let mut gone = Vec::new();
        let room = table.make_room(&seat.holder, seat.urgent, weight, &mut gone);
        for id in gone {
            self.leave(id);
            self.gone.push((id, which));
        }
        room.map_err(|full| (which, full))
    }
}

impl Transactions {
    /// Takes the numbers in force.
    pub(crate) fn follow(&mut self, w: &World) {
        self.seats.outside.set_shares(shares(w));
        self.seats.within.set_shares(shares(w));
        self.seats.octets.set_shares(octets(w));
    }

    /// Whether one more finds room, or somebody to give way; nothing changes.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn has_room(&self, seat: &Seat) -> Result<(), (Resource, Full)> {
        self.seats.has_room(seat)
    }

    /// Makes room for one more.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn room(&mut self, seat: &Seat) -> Result<(), (Resource, Full)> {
        // Nobody gives way for who is refused in the end.
        self.seats.has_room(seat)?;
        let (_, table) = self.seats.table(seat);
        self.seats.make_room(seat, table)?;
        self.seats.make_room(seat, Resource::Messages)
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
    pub(crate) fn share_views(&self) -> [ShareView; 3] {
        let Seats { outside, within, octets, .. } = &self.seats;
        [
            outside.view(Resource::Transactions),
            within.view(Resource::InDialog),
            octets.view(Resource::Messages),
        ]
    }

    /// How full they are: outside dialogs, within, octets.
    pub(crate) fn places(&self) -> [Places; 3] {
        let Seats { outside, within, octets, .. } = &self.seats;
        [Places::of(outside), Places::of(within), Places::of(octets)]
    }
}
