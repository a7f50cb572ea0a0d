//! Dialogs whose other side is an upstream that says nothing: who ends one has ended it, and
//! anything else is refused for now, which ends neither dialog nor subscription (RFC 5057 §5.1; a
//! 408 would). It chooses no other way.

use crate::audit::EndedBy;
use crate::engine::Engine;
use crate::engine::analysis::answer::Answer;
use crate::engine::calls::{Calls, Place};
use crate::engine::ids::{PassId, ServerId, UpstreamId};
use crate::engine::next_hop::{Known, next_hop};
use crate::engine::outbox::Outbox;
use crate::engine::purpose::Purpose;
use crate::engine::stats::AloneResult;
use crate::engine::transactions::Transactions;
use crate::engine::upstreams::Upstreams;
use crate::engine::world::World;
use crate::ground::{CallNo, Flow, Leg};
use crate::wire::sip::{Message, Method, Name};

/// The parts that a dialog stands in.
pub(in crate::engine) struct Within<'a> {
    w: &'a World,
    out: &'a mut Outbox,
    transactions: &'a mut Transactions,
    calls: &'a mut Calls,
    upstreams: &'a Upstreams,
}

impl<'a> Within<'a> {
    pub(in crate::engine) fn of(engine: &'a mut Engine) -> Self {
        let Engine { world: w, out, transactions, calls, upstreams, .. } = engine;
        Self { w, out, transactions, calls, upstreams }
    }

    /// Not for now.
    pub(in crate::engine) fn refuse(&mut self, server: ServerId, request: &Message) {
        let response = refusal(self.w, request);
        self.out.stats_mut().alone[AloneResult::Refused as usize] += 1;
        self.transactions.respond(self.w, self.out, server, &response);
    }

    /// A request within a dialog waits for who is not there: the session stays as it is, and
    /// whoever ends it, or has given up any request, has done so. Any other pass is left alone.
    /// What ends with it is returned: other passes of the call, whose parties nobody would tell.
    #[must_use]
    pub(in crate::engine) fn leave(&mut self, pass: PassId) -> Vec<(CallNo, EndedBy)> {
        let none = Vec::new();
        let Some(p) = self.transactions.pass(pass).filter(|p| p.waits()) else { return none };
        if p.is_cancelled() {
            self.end_cancelled(pass);
            return none;
        }
        let (server, purpose) = (p.server(), p.purpose().clone());
        let Purpose::InDialog(d) = &purpose else { return none };
        let Some(request) = self.transactions.server(server).map(|t| t.request().clone()) else {
            return none;
        };
        if *request.method() == Method::Bye {
            // It is sent for as long as anybody would wait for its answer (RFC 3261 §15.1.1).
            let ok = self.w.answer(&request, 200, "OK");
            let others = self.calls.other_passes(d.call);
            self.transactions.settle(self.w, self.out, pass, &ok);
            self.calls.end_fork(self.w, self.out, d.call, &d.tag, 200);
            let over = self.calls.get(d.call).is_none();
            return if over { others } else { none };
        }
        if self.transactions.take_back(self.w, self.out, pass).is_some() {
            let response = refusal(self.w, &request);
            self.out.stats_mut().alone[AloneResult::Refused as usize] += 1;
            self.transactions.fail(self.w, self.out, (server, purpose), response);
        }
        none
    }

    /// The caller wants no answer any more. Where all that he waits for is not there, nobody else
    /// will say that it is over.
    pub(in crate::engine) fn cancelled(&mut self, pass: PassId, reasons: &[Vec<u8>]) {
        let (w, upstreams) = (self.w, self.upstreams);
        self.transactions.cancelled(w, self.out, pass, reasons);
        if self.transactions.waits_at(pass, |flow| leads_nowhere(w, upstreams, flow)) {
            self.end_cancelled(pass);
        }
    }

    /// Who gave up waits no longer for it to be said.
    fn end_cancelled(&mut self, pass: PassId) {
        let w = self.w;
        let Some(p) = self.transactions.pass(pass) else { return };
        let (server, purpose) = (p.server(), p.purpose().clone());
        let Some(t) = self.transactions.server(server) else { return };
        let response = w.answer(t.request(), 487, "Request Terminated");
        self.transactions.end(pass);
        self.transactions.fail(w, self.out, (server, purpose), response);
    }
}

/// What a person reads whose call or lamp stays as it is.
const FOR_NOW: &str = "The Outside Cannot Be Reached, The Call Stays As It Is";

/// 503 for now.
fn refusal(w: &World, request: &Message) -> Message {
    Answer::new(503, FOR_NOW).row(Name::RetryAfter, super::LATER).to(w, request)
}

/// An upstream is there.
fn is_at(w: &World, id: UpstreamId, flow: &Flow) -> bool {
    w.places(id).iter().any(|hop| hop.peer.ip() == flow.peer.ip())
}

/// All upstreams that are there say nothing.
fn leads_nowhere(w: &World, upstreams: &Upstreams, flow: &Flow) -> bool {
    let mut there = w.upstreams().iter().filter(|id| is_at(w, **id, flow)).peekable();
    there.peek().is_some() && there.all(|id| upstreams.is_silent(w, *id))
}

/// What is sent to the other side of this dialog goes to an upstream that says nothing.
pub(in crate::engine) fn is_cut_off(k: Known<'_>, place: &Place) -> bool {
    let Some(id) = place.far.upstream.filter(|id| k.upstreams.is_silent(k.w, *id)) else {
        return false;
    };
    next_hop(k, Some(place.call), &place.far).is_ok_and(|flow| is_at(k.w, id, &flow))
}

/// The PBX that led this call back to another phone of the site is gone: the other pass is the next
/// hop, and nobody stands between.
pub(in crate::engine) fn beside_it(k: Known<'_>, mut place: Place) -> Place {
    let passes = |place: &Place| {
        let contact = place.far.contact.as_ref();
        contact.is_some_and(|uri| k.calls.is_pass(k.w, place.call, uri))
    };
    if is_cut_off(k, &place) && passes(&place) {
        place.far.routes.clear();
    }
    place
}

/// A request within a dialog that its other side's upstream will not answer, wherever in it it was
/// sent.
pub(super) fn is_lost(k: Known<'_>, purpose: &Purpose) -> bool {
    let Purpose::InDialog(d) = purpose else { return false };
    let upstream = k.calls.get(d.call).and_then(|call| match d.leg.other() {
        Leg::Caller => call.caller.upstream,
        Leg::Callee => call.fork(&d.tag)?.callee.upstream,
    });
    upstream.is_some_and(|id| k.upstreams.is_silent(k.w, id))
}
