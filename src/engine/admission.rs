//! Whether there is room for a request that may pass, and who gives way for it. What room is,
//! `policy::quota` says; whose request it is, and whether policy lets it pass, was decided before.

use super::analysis::Incoming;
use super::analysis::answer::{self, Answer};
use super::attempt::Attempt;
use super::calls::Place;
use super::legs::asker;
use super::purpose::Purpose;
use super::stats::Places;
use super::transactions::Seat;
use super::{Engine, unreached};
use crate::audit::{EndedBy, Outcome, SecurityClass};
use crate::config::Allow;
use crate::ground::{Flow, Side};
use crate::policy::quota::{Full, Holder, Resource};
use crate::wire::sip::{Method, Name};

/// Calls to emergency numbers that a registered user may have beside all his others.
const EMERGENCIES: usize = 4;

impl Engine {
    /// The place of a request outside a dialog, which policy lets pass; `None`: it was refused.
    pub(super) fn admit(&mut self, a: &Attempt, allow: &Allow) -> Option<Seat> {
        let no_room = |(resource, full)| (Some((resource, full)), busy(a, resource, full));
        let holder = a.holder(&self.world);
        let own = a.payer(&self.world).filter(|_| a.is_invite());
        let own = own.map_or(0, |user| self.calls.of_user(&user.to_string()));
        let asker = || asker(&self.world, (&self.phones, &self.upstreams), a);
        if let Some((refusal, warning)) = unreached::of_attempt(self.known(), a, asker) {
            unreached::tell(&mut self.out, a.sender.side, a.incoming.flow.peer, &refusal);
            let answer = Answer::new(refusal.status, refusal.phrase);
            let warning = warning.map(|text| (Name::parse("Warning"), text.to_owned()));
            self.refuse_known(a, &Answer { rows: Vec::from_iter(warning), ..answer });
            self.call_refused(a, refusal.status);
            return None;
        }
        self.redialled(a, allow, &holder);
        let found = match self.kept_out(a, allow, &holder, own) {
            Some(answer) => Err((None, answer)),
            None => self.room(a, holder).map_err(no_room),
        };
        let (why, answer) = match found {
            Ok(seat) => return Some(seat),
            Err(refused) => refused,
        };
        if let Some((resource, full)) = why {
            self.out.no_room(a.sender.side, &a.incoming.flow, resource, full);
        }
        let (w, out, i) = (&self.world, &mut self.out, &a.incoming);
        answer::send(w, out, (&i.message, i.octets), i.reply, &answer);
        self.call_refused(a, answer.status);
        None
    }

    fn call_refused(&mut self, a: &Attempt, status: u16) {
        if !a.is_invite() {
            return;
        }
        let no = self.calls.next_number();
        a.record_call(&mut self.out, no);
        let outcome = if status == 503 { Outcome::NoCapacity } else { Outcome::Rejected };
        a.record_end(&mut self.out, no, status, outcome);
    }

    /// What keeps a call out, however much room there is. An emergency call passes a user's cap, by
    /// a few; who is not registered has so many at a time. `own`: calls that the caller has.
    fn kept_out(
        &self,
        a: &Attempt,
        allow: &Allow,
        holder: &Holder,
        own: usize,
    ) -> Option<Answer<'static>> {
        let limits = &self.world.config().limits;
        if !a.is_invite() {
            return None;
        }
        if allow.bypass_limits {
            let (w, by) = (&self.world, (holder, &a.incoming.flow));
            if self.calls.emergency(w, by, limits.emergency_per_source).is_err() {
                return Some(Answer::busy("Too Many Emergency Calls"));
            }
            let known = own >= limits.calls_per_user.saturating_add(EMERGENCIES);
            return known.then(|| Answer::new(486, "Too Many Calls Of This User"));
        }
        if self.gate.draining {
            return Some(Answer::busy("Shutting Down"));
        }
        if self.gate.audit_full {
            return Some(Answer::busy("Audit Log Full"));
        }
        let full = own >= limits.calls_per_user;
        full.then(|| Answer::new(486, "Too Many Calls Of This User"))
    }

    /// Whoever is not registered and dials an emergency number again takes the place of his older
    /// attempt: nobody in need waits for what hangs.
    fn redialled(&mut self, a: &Attempt, allow: &Allow, holder: &Holder) {
        if !a.is_invite() || !allow.bypass_limits {
            return;
        }
        let due = self.world.config().limits.emergency_per_source;
        let (w, flow) = (&self.world, &a.incoming.flow);
        let own = self.calls.superseded(w, holder, flow);
        let older = own.or_else(|| self.calls.emergency(w, (holder, flow), due).ok().flatten());
        let Some(no) = older else { return };
        if let Some(by) = self.calls.get(no).map(|c| c.caller.flow) {
            self.out.displaced(self.world.side(by.listener), Resource::Calls);
            let detail = "an emergency call gave way to a newer one of its address".to_owned();
            self.out.security(SecurityClass::NoRoom, by, detail);
        }
        self.hang_up(no, EndedBy::Displaced);
    }

    /// Makes room in every table that the request takes a place in.
    fn room(&mut self, a: &Attempt, holder: Holder) -> Result<Seat, (Resource, Full)> {
        let invite = a.is_invite();
        let urgent = a.is_urgent();
        let begins = invite || a.incoming.is(&Method::Subscribe) || a.incoming.is(&Method::Refer);
        let seat = Seat { holder, within: false, urgent, octets: a.incoming.octets };
        // Nobody gives way for who is refused in the end.
        self.transactions.has_room(&seat)?;
        if begins {
            self.calls.has_room(&seat.holder, urgent, invite)?;
            self.calls.room(&seat.holder, urgent, invite)?;
        }
        self.transactions.room(&seat)?;
        Ok(seat)
    }

    /// The place of a request that is answered here and goes no further; `None`: there is none, and
    /// its answer is one without a transaction.
    pub(super) fn seat(&mut self, i: &Incoming, holder: Holder) -> Option<Seat> {
        let seat = Seat { holder, within: false, urgent: false, octets: i.octets };
        match self.transactions.room(&seat) {
            Ok(()) => Some(seat),
            Err((resource, full)) => {
                self.out.no_room(i.side, &i.flow, resource, full);
                None
            }
        }
    }

    /// The place of a request within a dialog; `None`: it was refused. What ends a dialog uses the
    /// reserve.
    pub(super) fn seat_within(&mut self, i: &Incoming, place: &Place) -> Option<Seat> {
        let (near, from) = (&place.near, self.world.net().source(&i.flow));
        let user = near.home.as_ref().map(|home| home.aor());
        let holder = match near.upstream {
            // A party of the outside is not its upstream: each call has a share.
            Some(_) => Holder::Brought(format!("call {}", place.call)),
            None => self.world.holder(user, false, from),
        };
        let urgent = i.is(&Method::Bye);
        let seat = Seat { holder, within: true, urgent, octets: i.octets };
        let Err((resource, full)) = self.transactions.room(&seat) else { return Some(seat) };
        self.out.no_room(i.side, &i.flow, resource, full);
        self.refuse(i, &Answer::busy("Too Many Transactions"));
        None
    }

    /// The place of a CANCEL. It uses the reserve; without one it is answered all the same.
    pub(super) fn seat_cancel(&self, i: &Incoming) -> Seat {
        let from = self.world.net().source(&i.flow);
        let upstream = self.upstreams.of_flow(&self.world, &i.flow).is_some();
        let holder = self.world.holder(None, upstream && i.side == Side::Outside, from);
        Seat { holder, within: true, urgent: true, octets: i.octets }
    }

    /// Ends what has given way in this step.
    pub(super) fn give_way(&mut self) {
        while let Some((id, resource)) = self.transactions.displaced() {
            let pass = self.transactions.pass_of(id);
            let pass = pass.and_then(|pass| self.transactions.pass(pass));
            let began = pass.and_then(|p| match p.purpose() {
                Purpose::Invite { call, .. } => Some(*call),
                Purpose::Subscribe { .. }
                | Purpose::Register(_)
                | Purpose::InDialog(_)
                | Purpose::Other => None,
            });
            if let Some(by) = self.transactions.server(id).map(|t| t.reply()) {
                self.tell_displaced(by, resource);
            }
            if let Some(call) = began {
                self.hang_up(call, EndedBy::Displaced);
            }
            self.transactions.displace(&self.world, &mut self.out, id);
        }
        while let Some((no, resource)) = self.calls.displaced() {
            let Some(by) = self.calls.get(no).map(|c| c.caller.flow) else {
                self.calls.displace_parked(&self.world, &mut self.out, no, resource);
                continue;
            };
            self.tell_displaced(by, resource);
            if self.calls.is_subscription(no) {
                self.calls.forget(no);
            } else {
                self.hang_up(no, EndedBy::Displaced);
            }
        }
    }

    fn tell_displaced(&mut self, by: Flow, resource: Resource) {
        self.out.displaced(self.world.side(by.listener), resource);
        self.out.security(SecurityClass::NoRoom, by, format!("{resource}: gave way to others"));
    }

    /// How full the engine's tables are.
    pub(super) fn places(&self) -> [Places; Resource::ALL.len()] {
        let mut all = [Places::default(); Resource::ALL.len()];
        let [transactions, in_dialog, messages] = self.transactions.places();
        let [calls, dialogs, parked, ports] = self.calls.places();
        for (resource, places) in [
            (Resource::Transactions, transactions),
            (Resource::InDialog, in_dialog),
            (Resource::Messages, messages),
            (Resource::Calls, calls),
            (Resource::Dialogs, dialogs),
            (Resource::Parked, parked),
            (Resource::Ports, ports),
            (Resource::Bindings, self.phones.places()),
        ] {
            all[resource as usize] = places;
        }
        all
    }
}

/// The answer to who finds no room: a user's own share is his fault, a full table nobody's.
fn busy(a: &Attempt, resource: Resource, full: Full) -> Answer<'static> {
    match (full, resource) {
        (Full::User, _) if a.is_invite() => Answer::new(486, "Too Many Requests Of This User"),
        (Full::User, _) => Answer::new(480, "Too Many Requests Of This User"),
        (Full::Total | Full::Source, Resource::Calls) => Answer::busy("Too Many Calls"),
        (Full::Total | Full::Source, Resource::Dialogs) if a.is_invite() => {
            Answer::busy("Too Many Calls")
        }
        (Full::Total | Full::Source, Resource::Dialogs) => Answer::busy("Too Many Dialogs"),
        (Full::Total | Full::Source, _) => Answer::busy("Too Many Transactions"),
    }
}
