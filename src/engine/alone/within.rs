//! Dialogs whose other side is an upstream that says nothing: who ends one has ended it, and
//! anything else is refused for now, which ends neither dialog nor subscription (RFC 5057 §5.1; a
//! 408 would). It sends nothing.

use crate::engine::analysis::answer::Answer;
use crate::engine::calls::Place;
use crate::engine::ids::UpstreamId;
use crate::engine::next_hop::{Known, next_hop};
use crate::engine::purpose::Purpose;
use crate::engine::upstreams::Upstreams;
use crate::engine::world::World;
use crate::ground::{Flow, Leg};
use crate::wire::sip::{Message, Name};

/// What a person reads whose call or lamp stays as it is.
const FOR_NOW: &str = "The Outside Cannot Be Reached, The Call Stays As It Is";

/// 503 for now.
pub(in crate::engine) fn refusal(w: &World, request: &Message) -> Message {
    Answer::new(503, FOR_NOW).row(Name::RetryAfter, super::LATER).to(w, request)
}

/// An upstream is there.
fn is_at(w: &World, id: UpstreamId, flow: &Flow) -> bool {
    w.places(id).iter().any(|hop| hop.peer.ip() == flow.peer.ip())
}

/// All upstreams that are there say nothing.
pub(super) fn leads_nowhere(w: &World, upstreams: &Upstreams, flow: &Flow) -> bool {
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
