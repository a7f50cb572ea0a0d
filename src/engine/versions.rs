//! One call towards parties of both IP versions: each is offered media of its own. It sends
//! nothing.

use super::analysis::body::{Carrier, Role, Way};
use super::calls::{LegState, Speaker};
use super::ids::PassId;
use super::purpose::Purpose;
use super::transactions::Transactions;
use crate::ground::{CallNo, Flow, Leg};
use crate::wire::sip::Message;

/// The offer of who began a call, made anew for who is asked by this way; `request`: as it came.
/// `None`: none can be made, and what was offered to others has to do.
pub(super) fn offer_again(
    mut carrier: Carrier<'_>,
    (call, who): (CallNo, Speaker),
    mut request: Message,
    way: &Flow,
) -> Option<Vec<u8>> {
    let (w, allow) = (carrier.w, carrier.calls.allow(Some(call)));
    carrier.calls.speak_from(w, call, way.listener);
    let role = Some(Role { call, who, offers: true });
    let way = Way { to: w.side(way.listener), role, allow: &allow };
    let carried = carrier.carry(&mut request, &way).ok()?;
    carried.described.then(|| request.body().to_vec())
}

/// Legs of one IP version each, the first leg's first.
pub(super) fn by_version(legs: Vec<LegState>) -> Vec<Vec<LegState>> {
    let first = legs.first().is_some_and(|l| l.flow.peer.is_ipv4());
    let (one, other) = legs.into_iter().partition(|l| l.flow.peer.is_ipv4() == first);
    let all: [Vec<LegState>; 2] = [one, other];
    all.into_iter().filter(|legs| !legs.is_empty()).collect()
}

/// The offer for a way that a branch of a pass is to take next.
pub(super) fn turned(
    carrier: Carrier<'_>,
    transactions: &Transactions,
    pass: PassId,
    way: &Flow,
) -> Option<Vec<u8>> {
    let pass = transactions.pass(pass)?;
    let Purpose::Invite { call, offered: true, .. } = pass.purpose() else { return None };
    let server = transactions.server(pass.server())?;
    let who = Speaker::new(Leg::Caller, &server.reply());
    offer_again(carrier, (*call, who), server.request().clone(), way)
}
