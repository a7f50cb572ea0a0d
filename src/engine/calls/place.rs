//! Where a request within a dialog belongs: by what its Request-URI seals, or by Call-ID and tags
//! on its side (RFC 3261 §12.2.2). It finds; who may speak there is the coordinator's question.

use super::{Call, Calls, LegState};
use crate::config::Allow;
use crate::engine::analysis::Incoming;
use crate::engine::world::World;
use crate::ground::{CallNo, Leg, Side};
use crate::wire::sip::Method;
use std::sync::Arc;

/// A dialog, as its request's sender stands in it.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) call: CallNo,
    /// Its sender.
    pub(crate) leg: Leg,
    /// The callee's tag.
    pub(crate) tag: String,
    /// Sender and receiver.
    pub(crate) near: LegState,
    pub(crate) far: LegState,
    pub(crate) caller_tag: String,
    pub(crate) allow: Arc<Allow>,
}

impl Calls {
    /// The dialog of a request.
    pub(crate) fn place(&self, w: &World, i: &Incoming) -> Option<Place> {
        let (from, to) = (i.own_tag(), i.peer_tag());
        let key = |a: &str, b: &str| (i.side, i.call_id().to_owned(), a.to_owned(), b.to_owned());
        let by_token = self.open_leg(w, &i.uri).and_then(|(call, target)| {
            let sender = target.other();
            let (own, peer) = match sender {
                Leg::Caller => (from, to),
                Leg::Callee => (to, from),
            };
            let forked = call.fork(peer).is_some() || call.forks.is_empty();
            (call.caller_tag == own && forked).then_some((call.no, sender))
        });
        let (no, leg) = by_token.or_else(|| self.table.find(&key(from, to))).or_else(|| {
            let early = i.is(&Method::Notify);
            early.then(|| self.table.find(&key("", to))).flatten()
        })?;
        let call = self.table.get(no)?;
        let tag = if leg == Leg::Caller { to } else { from };
        let callee = match call.fork(tag) {
            Some(fork) => fork.callee.clone(),
            None => unforked(call, i)?,
        };
        let (near, far) = match leg {
            Leg::Caller => (call.caller.clone(), callee),
            Leg::Callee => (callee, call.caller.clone()),
        };
        Some(Place {
            call: no,
            leg,
            tag: tag.to_owned(),
            near,
            far,
            caller_tag: call.caller_tag.clone(),
            allow: call.allow.clone(),
        })
    }

    /// The party has sent an INVITE with this or a later CSeq.
    pub(crate) fn has_invited(&self, place: &Place, seq: u32) -> bool {
        self.table.get(place.call).is_some_and(|c| c.cseq[place.leg.index()] >= seq)
    }

    /// The leg follows its party: a phone's new port or connection, its CSeq, a NOTIFY's new fork.
    pub(crate) fn follow(&mut self, place: &Place, i: &Incoming) {
        let new = self.table.get(place.call).is_some_and(|c| c.fork(&place.tag).is_none());
        if new {
            self.table.add_fork(place.call, &place.tag, place.near.clone());
        }
        let Some(call) = self.table.get_mut(place.call) else { return };
        let cseq = &mut call.cseq[place.leg.index()];
        *cseq = (*cseq).max(i.message.cseq().seq);
        let near = match place.leg {
            Leg::Caller => Some(&mut call.caller),
            Leg::Callee => call.fork_mut(&place.tag).map(|f| &mut f.callee),
        };
        if let Some(near) = near.filter(|leg| leg.side == Side::Inside) {
            near.flow = i.flow;
        }
    }
}

/// The callee leg of a NOTIFY that overtook the 2xx to its SUBSCRIBE.
fn unforked(call: &Call, i: &Incoming) -> Option<LegState> {
    if !i.is(&Method::Notify) {
        return None;
    }
    let first = call.forks.first().map(|f| &f.callee);
    let mut leg = call.asked.as_ref().or(first)?.clone();
    leg.flow = i.flow;
    leg.contact = i.contact();
    Some(leg)
}
