//! What a pass is for: said when a request is sent on, read when its answer comes back. Values
//! only; transactions carry them and never look inside.

use super::attempt::Route;
use super::calls::Said;
use super::phones::Pending;
use crate::ground::{CallNo, Leg};
use crate::wire::sip::Uri;
use std::sync::Arc;

/// What crosses.
#[derive(Clone, Debug)]
pub(crate) enum Purpose {
    /// An INVITE that begins a call.
    Invite {
        call: CallNo,
        /// It carried an offer: SDP in answers is the answer.
        offered: bool,
        /// An emergency call: the ways that were tried, this one last.
        tried: Option<Arc<[Route]>>,
    },
    /// SUBSCRIBE or REFER outside a dialog.
    Subscribe { call: CallNo, said: Option<Said> },
    /// REGISTER towards an upstream.
    Register(Arc<Pending>),
    /// A request within a dialog.
    InDialog(Arc<InDialog>),
    /// Anything else.
    Other,
}

/// A request within a dialog, as long as it is not answered.
#[derive(Clone, Debug)]
pub(crate) struct InDialog {
    pub(crate) call: CallNo,
    /// Who sent it.
    pub(crate) leg: Leg,
    /// The fork it belongs to.
    pub(crate) tag: String,
    /// It carried an offer.
    pub(crate) offered: bool,
    /// The sender's new remote target, valid from the 2xx on.
    pub(crate) contact: Option<Uri>,
    /// What it says of a subscription.
    pub(crate) said: Option<Said>,
}

impl Purpose {
    /// The ways that an emergency call has tried.
    pub(crate) fn tried(&self) -> &[Route] {
        match self {
            Self::Invite { tried: Some(tried), .. } => tried,
            Self::Invite { .. }
            | Self::Subscribe { .. }
            | Self::Register(_)
            | Self::InDialog(_)
            | Self::Other => &[],
        }
    }

    /// The call it belongs to.
    pub(crate) fn call(&self) -> Option<CallNo> {
        match self {
            Self::Invite { call, .. } | Self::Subscribe { call, .. } => Some(*call),
            Self::InDialog(d) => Some(d.call),
            Self::Register(_) | Self::Other => None,
        }
    }
}
