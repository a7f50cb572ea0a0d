//! A call (or subscription) and its dialogs: one caller leg, one callee leg a fork, and what each
//! side was shown of the other. Values; the table changes them.

use super::names::Names;
use super::segments::Begun;
use super::usages::Usages;
use crate::audit::EndedBy;
use crate::config::Allow;
use crate::engine::ids::{PassId, UpstreamId};
use crate::engine::output::{CallState, CallView};
use crate::engine::phones::Home;
use crate::ground::{CallDirection, CallNo, Flow, ListenerId, Moment, Mono, Side};
use crate::policy::quota::Holder;
use crate::wire::sip::{Aor, NameAddr, Uri};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Forks of one call that are kept apart.
pub(crate) const MAX_FORKS: usize = 16;

/// One leg: the far party and what we told it.
#[derive(Clone, Debug)]
pub(crate) struct LegState {
    pub(crate) side: Side,
    /// The way to it; follows the phone when its port moves.
    pub(crate) flow: Flow,
    /// Call-ID on this leg.
    pub(crate) call_id: String,
    /// From of the caller as this leg sees it, with tag.
    pub(crate) from: Vec<u8>,
    /// To of the callee as this leg sees it, without tag.
    pub(crate) to: Vec<u8>,
    /// Remote target: the Contact of the far party.
    pub(crate) contact: Option<Uri>,
    /// Route set towards the far party, nearest first.
    pub(crate) routes: Vec<Vec<u8>>,
    /// The upstream it is.
    pub(crate) upstream: Option<UpstreamId>,
    /// When it began that had nothing but TLS: it goes by that or nowhere, whatever becomes of the
    /// upstream in the file.
    pub(crate) tls_alone: bool,
    /// The registration it is reached by.
    pub(crate) home: Option<Home>,
}

impl LegState {
    pub(crate) fn listener(&self) -> ListenerId {
        self.flow.listener
    }

    /// The Request-URI towards it.
    pub(crate) fn target(&self) -> String {
        let named = || NameAddr::parse(&self.to).map(|n| n.uri.to_string()).unwrap_or_default();
        self.contact.as_ref().map_or_else(named, Uri::to_string)
    }
}

/// One fork.
#[derive(Clone, Debug)]
pub(crate) struct Fork {
    /// The callee's tag; empty: it writes none.
    pub(crate) tag: String,
    pub(crate) callee: LegState,
    /// Its 2xx to the INVITE went back.
    pub(crate) answered: bool,
    /// What its parties called themselves since it began.
    pub(super) names: Names,
}

/// What makes dialogs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// INVITE: has media, appears in records.
    Call,
    /// SUBSCRIBE, REFER: ends by itself when nothing refreshes it.
    Subscription,
}

/// How far a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Early,
    Confirmed,
    /// BYE seen; waiting for its answer.
    Ending,
}

/// Where a request within a dialog comes from: side, Call-ID, From tag, To tag.
pub(crate) type DialogKey = (Side, String, String, String);

/// A call (or subscription) and its dialogs.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) no: CallNo,
    /// What our Contacts and Record-Routes of this call seal.
    pub(super) token: u64,
    /// The token of the call whose other pass it is: a spiral.
    pub(super) before: Option<u64>,
    pub(crate) kind: Kind,
    pub(crate) state: State,
    pub(crate) caller: LegState,
    pub(crate) caller_tag: String,
    pub(crate) forks: Vec<Fork>,
    /// The callee leg as it was first asked for.
    pub(super) asked: Option<LegState>,
    /// The tag of the fork that answered.
    pub(crate) answered: Option<String>,
    /// Highest CSeq each party used: caller, callee.
    pub(crate) cseq: [u32; 2],
    pub(crate) allow: Arc<Allow>,
    /// Registered user it counts against, as an address of record.
    pub(super) user: Option<String>,
    /// Who holds its places.
    pub(super) holder: Holder,
    /// It is one to an emergency number that passes every cap.
    pub(super) emergency: bool,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) direction: CallDirection,
    pub(super) started: Moment,
    pub(super) ringing: Option<Moment>,
    pub(super) confirmed: Option<Moment>,
    /// The pass of its INVITE, while that is pending.
    pub(crate) pass: Option<PassId>,
    pub(super) ended_by: Option<EndedBy>,
    /// A party's BYE.
    pub(super) bye_at: Option<Moment>,
    /// When a party last said something in it, or sent media.
    pub(super) heard: Mono,
    /// How long its session is, as its parties agreed (RFC 4028).
    pub(super) session: Option<Duration>,
    /// An ACK for the 2xx passed.
    pub(super) acknowledged: bool,
    /// One came and was refused: why.
    pub(super) refused_ack: Option<String>,
    /// Quality reports taken of each party: caller, callee.
    pub(super) reports: [u64; 2],
    /// Whose NOTIFYs may come before there is a fork.
    pub(super) expected: Vec<LegState>,
    /// Tunnels that it goes through, once it is answered.
    pub(super) segments: Vec<Begun>,
    /// Subscriptions within its dialogs.
    pub(super) usages: Usages,
    /// It began by `sips:`: what we write of ourselves where TLS is spoken is, too.
    pub(super) secure: bool,
    /// It goes by TLS alone: it began by `sips:`, and not as a call for help.
    pub(super) tls_alone: bool,
    /// It was a call; its subscriptions are what is left of it.
    pub(super) outlived: bool,
}

impl Call {
    /// The dialog with this callee tag is the call; a fork that did not answer first, or has not
    /// answered yet, may go without ending it.
    pub(crate) fn lives_by(&self, tag: &str) -> bool {
        self.state != State::Early && self.answered.as_deref().is_none_or(|own| own == tag)
    }

    /// Where its caller sends from, when that is no upstream.
    pub(crate) fn phone(&self) -> Option<SocketAddr> {
        self.caller.upstream.is_none().then_some(self.caller.flow.peer)
    }

    /// Who was proved to call when it began.
    pub(crate) fn user(&self) -> Option<Aor> {
        self.user.as_deref().map(Aor::from)
    }

    /// The leg of its callee: who answered, else who was asked first.
    pub(super) fn callee(&self) -> Option<&LegState> {
        let answered = self.answered.as_deref().and_then(|tag| self.fork(tag));
        let fork = answered.or(self.forks.first()).map(|f| &f.callee);
        fork.or(self.asked.as_ref())
    }

    /// The fork with this callee tag.
    pub(crate) fn fork(&self, tag: &str) -> Option<&Fork> {
        self.forks.iter().find(|f| f.tag == tag)
    }

    pub(super) fn fork_mut(&mut self, tag: &str) -> Option<&mut Fork> {
        self.forks.iter_mut().find(|f| f.tag == tag)
    }

    pub(crate) fn view(&self, held: bool) -> CallView {
        let state = match self.state {
            State::Early => CallState::Early,
            State::Confirmed | State::Ending if held => CallState::Held,
            State::Confirmed | State::Ending => CallState::Confirmed,
        };
        CallView {
            call: self.no,
            from: self.from.clone(),
            to: self.to.clone(),
            state,
            direction: self.direction,
            since: self.started.wall().seconds(),
            started: self.started,
            answered: self.confirmed,
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Early => "early",
            State::Confirmed => "confirmed",
            State::Ending => "ending",
        };
        write!(f, "call {}: {} -> {}, {state}", self.no, self.from, self.to)
    }
}
