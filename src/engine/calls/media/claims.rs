//! Who takes relay ports: the shares of calls among them, as the table of calls sees them. It opens
//! and closes nothing.

use super::MediaTable;
use crate::engine::stats::Places;
use crate::engine::world::World;
use crate::ground::CallNo;
use crate::policy::quota::{Holder, ShareView};
use crate::wire::limits;

/// Who takes ports.
#[derive(Clone, Debug)]
pub(in crate::engine::calls) struct Claim {
    pub(super) holder: Holder,
    /// It may use the reserve: an emergency call, or an answered one.
    pub(super) urgent: bool,
    /// It is a call to an emergency number.
    pub(super) emergency: bool,
}

/// Streams of an emergency call: voice, and text (RFC 4103).
const EMERGENCY: usize = 2;

impl Claim {
    /// Streams that one body may have.
    pub(super) fn streams(&self) -> usize {
        match &self.holder {
            Holder::Emergency(_) => EMERGENCY,
            Holder::User(_) | Holder::Shared(..) if self.emergency => EMERGENCY,
            Holder::Unproved(_)
            | Holder::User(_)
            | Holder::Shared(..)
            | Holder::Upstream
            | Holder::Brought(_) => limits::SDP_MEDIA,
        }
    }
}

impl MediaTable {
    /// Somebody else holds a call's ports from now on.
    pub(in crate::engine::calls) fn held_by(
        &mut self,
        call: CallNo,
        holder: &Holder,
        urgent: bool,
    ) {
        self.lent.held_by(call, holder);
        if let Some(c) = self.calls.get_mut(&call) {
            (c.claim.holder, c.claim.urgent) = (holder.clone(), urgent);
        }
    }

    /// The call is answered: what it needs from now on may come from the reserve.
    pub(in crate::engine::calls) fn settle(&mut self, call: CallNo) {
        self.lent.settle(call);
        if let Some(c) = self.calls.get_mut(&call) {
            c.claim.urgent = true;
        }
    }

    /// A call that has given way.
    pub(in crate::engine::calls) fn displaced(&mut self) -> Option<CallNo> {
        self.lent.displaced()
    }

    pub(in crate::engine::calls) fn follow(&mut self, w: &World) {
        self.lent.follow(w);
    }

    pub(in crate::engine::calls) fn share_view(&self) -> ShareView {
        self.lent.share_view()
    }

    /// Streams that hold ports.
    pub(in crate::engine::calls) fn places(&self) -> Places {
        self.lent.places()
    }
}
