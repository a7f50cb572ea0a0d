//! Where a request within a dialog belongs: by Call-ID and tags on its side (RFC 3261 §12.2.2), and
//! by what our own names in it seal. It finds; who may speak there is the coordinator's question.

use super::{Call, Calls, LegState};
use crate::config::Allow;
use crate::engine::analysis::Incoming;
use crate::engine::analysis::headers::foreign_routes;
use crate::engine::world::World;
use crate::ground::{CallNo, Leg, Side};
use crate::wire::sip::Method;
use std::net::IpAddr;
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
    /// Whom what came back of us was shown to.
    pub(crate) shown_to: Vec<IpAddr>,
}

impl Calls {
    /// The dialog of a request. What our Contact and Record-Route seal must fit what its Call-ID
    /// and tags say (contract "Who is who").
    pub(crate) fn place(&self, w: &World, i: &Incoming) -> Option<Place> {
        let (from, to) = (i.own_tag(), i.peer_tag());
        let key = |a: &str, b: &str| (i.side, i.call_id().to_owned(), a.to_owned(), b.to_owned());
        let tokens = self.tokens(w, i)?;
        let sealed = tokens.first().and_then(|t| self.of_token(t));
        let by_token = sealed.filter(|(call, sender)| {
            let (own, tag) = if *sender == Leg::Caller { (from, to) } else { (to, from) };
            let leg = call.fork(tag).map(|f| match sender {
                Leg::Caller => &call.caller,
                Leg::Callee => &f.callee,
            });
            let here = leg.is_some_and(|l| l.side == i.side && l.call_id == i.call_id());
            here && call.caller_tag == own
        });
        let by_token = by_token.map(|(call, sender)| (call.no, sender));
        let (no, leg) = by_token.or_else(|| self.table.find(&key(from, to))).or_else(|| {
            let early = i.is(&Method::Notify);
            early.then(|| self.table.find(&key("", to))).flatten()
        })?;
        let call = self.table.get(no)?;
        let tag = if leg == Leg::Caller { to } else { from };
        // Of a call that is over, only its subscriptions are left (RFC 5057 §4.1).
        let lives = [Method::Subscribe, Method::Notify, Method::Refer].iter().any(|m| i.is(m));
        if call.outlived && !lives {
            return None;
        }
        if !tokens.iter().all(|t| t.fits(call, leg, tag)) {
            return None;
        }
        let callee = match call.fork(tag) {
            Some(fork) => fork.callee.clone(),
            None => unforked(w, call, i)?,
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
            shown_to: tokens.iter().map(|t| t.peer).collect(),
        })
    }

    /// A request without a To tag that is within a dialog all the same: a party of RFC 2543 wrote
    /// none. What could begin a dialog must name it by a token.
    pub(crate) fn is_untagged(&self, w: &World, i: &Incoming) -> bool {
        let key = (i.side, i.call_id().to_owned(), i.own_tag().to_owned(), String::new());
        let Some((no, _)) = self.table.find(&key) else { return false };
        let within = [Method::Bye, Method::Info, Method::Update, Method::Prack, Method::Notify];
        let named = || {
            let tokens = self.tokens(w, i).unwrap_or_default();
            tokens.iter().any(|t| self.of_token(t).is_some_and(|(call, _)| call.no == no))
        };
        within.iter().any(|m| i.is(m)) || named()
    }

    /// The party has sent an INVITE with this or a later CSeq.
    pub(crate) fn has_invited(&self, place: &Place, seq: u32) -> bool {
        self.table.get(place.call).is_some_and(|c| c.cseq[place.leg.index()] >= seq)
    }

    /// The leg follows its party: a phone's new port or connection, its CSeq, a NOTIFY's new fork;
    /// its media know by which IP version the other one is reached.
    pub(crate) fn follow(&mut self, w: &World, place: &Place, i: &Incoming) {
        self.reaches(w, place.call, place.leg.other(), place.far.flow.listener);
        let new = self.table.get(place.call).is_some_and(|c| c.fork(&place.tag).is_none());
        if new {
            let near = LegState { flow: i.flow, ..place.near.clone() };
            self.table.add_fork(place.call, &place.tag, near);
        }
        self.heard(w, place.call);
        let Some(call) = self.table.get_mut(place.call) else { return };
        let cseq = &mut call.cseq[place.leg.index()];
        *cseq = (*cseq).max(i.message.cseq().seq);
        let near = match place.leg {
            Leg::Caller => Some(&mut call.caller),
            Leg::Callee => call.fork_mut(&place.tag).map(|f| &mut f.callee),
        };
        if let Some(near) = near.filter(|leg| leg.side == Side::Inside) {
            let contact = i.contact();
            near.flow = i.way(w, contact.as_ref().or(near.contact.as_ref()));
            near.home.clone_from(&place.near.home);
        }
    }
}

/// The callee leg of a NOTIFY that overtook the 2xx to its SUBSCRIBE.
fn unforked(w: &World, call: &Call, i: &Incoming) -> Option<LegState> {
    if !i.is(&Method::Notify) {
        return None;
    }
    // Who was asked at its source's address, if anybody was; whether he may speak is asked of him.
    let here = call.expected.iter().find(|leg| leg.flow.peer.ip() == i.flow.peer.ip());
    let mut leg = here.or(call.expected.first())?.clone();
    leg.contact = i.contact();
    leg.routes = foreign_routes(w, &i.message);
    Some(leg)
}
