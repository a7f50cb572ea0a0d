//! What an operator may see of calls: read when asked, changed never. Text in it came from the
//! network; whoever shows it encodes it.

use super::{Call, Calls, Kind, LegState};
pub use crate::audit::PartyView;
use crate::audit::{Finding, LegQuality, PhoneReport};
use crate::engine::output::CallView;
use crate::engine::world::World;
use crate::ground::{CallNo, Moment, Now};
use serde::Serialize;
use std::net::SocketAddr;
use std::time::Duration;

/// A call in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CallRow {
    /// Who and how far.
    #[serde(flatten)]
    pub view: CallView,
    /// Milliseconds since the INVITE.
    pub age_ms: u64,
    /// Milliseconds since the answer; `None`: not answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
}

/// Everything about one call.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CallDetail {
    /// As in lists.
    #[serde(flatten)]
    pub row: CallRow,
    /// Call-ID as received from the caller.
    pub call_id: String,
    /// Milliseconds from the INVITE to ringing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ring_ms: Option<u64>,
    /// Milliseconds from the INVITE to the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub setup_ms: Option<u64>,
    /// Who called.
    pub caller: PartyView,
    /// Who was called: every fork that is not gone, the one that answered first.
    pub callees: Vec<PartyView>,
    /// Media, in the order of the SDP.
    pub streams: Vec<StreamView>,
    /// What was found wrong so far.
    pub findings: Vec<Finding>,
}

/// One stream of a call.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StreamView {
    /// `audio`, `video` …
    pub media: String,
    /// The caller's leg: what came from the caller.
    pub caller: LegView,
    /// The callee's leg.
    pub callee: LegView,
}

/// One leg of a stream: until it was last asked for ([`crate::engine::Input::Measure`]), else by
/// the end of the last window (10 s).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LegView {
    /// Our RTP port.
    pub port: u16,
    /// Where its RTP is sent; `None`: on hold or not known yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub party: Option<SocketAddr>,
    /// RTP packets received; `None`: nothing was asked for, and no window is over yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packets: Option<u64>,
    /// Since the beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<LegQuality>,
    /// The last window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<LegQuality>,
    /// What the party itself reported last (RFC 6035).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone_report: Option<PhoneReport>,
}

impl CallView {
    /// As it is listed at `now`.
    #[must_use]
    pub fn row(self, now: Now) -> CallRow {
        let age_ms = millis(self.started.elapsed(now));
        let duration_ms = self.answered.map(|t| millis(t.elapsed(now)));
        CallRow { view: self, age_ms, duration_ms }
    }
}

impl Calls {
    /// Calls by number, oldest first, at most `most`; how many were left off.
    pub(crate) fn rows(&self, now: Now, most: usize) -> (Vec<CallRow>, usize) {
        let all = self.table.numbers();
        let rows = all.iter().take(most).filter_map(|no| self.table.get(*no));
        (rows.map(|c| self.row(c, now)).collect(), all.len().saturating_sub(most))
    }

    /// One call; `None`: there is no call of this number.
    pub(crate) fn detail(&self, w: &World, no: CallNo, now: Now) -> Option<CallDetail> {
        let c = self.table.get(no).filter(|c| c.kind == Kind::Call)?;
        let since = |t: Moment| millis(t.since(c.started));
        let (caller, callees) = parties(w, c);
        let (streams, findings) = self.media.view(no);
        Some(CallDetail {
            row: self.row(c, now),
            call_id: c.caller.call_id.clone(),
            ring_ms: c.ringing.map(since),
            setup_ms: c.confirmed.map(since),
            caller,
            callees,
            streams,
            findings,
        })
    }

    fn row(&self, c: &Call, now: Now) -> CallRow {
        c.view(self.media.is_held(c.no)).row(now)
    }
}

/// Who called, and who was called: every fork that is not gone, the one that answered first.
pub(super) fn parties(w: &World, c: &Call) -> (PartyView, Vec<PartyView>) {
    let mut callees: Vec<(bool, PartyView)> = Vec::new();
    for fork in &c.forks {
        let answered = c.answered.as_deref() == Some(fork.tag.as_str());
        callees.push((!answered, party(w, &fork.callee)));
    }
    callees.sort_by_key(|(other, _)| *other);
    (party(w, &c.caller), callees.into_iter().map(|(_, p)| p).collect())
}

pub(super) fn party(w: &World, leg: &LegState) -> PartyView {
    PartyView {
        side: leg.side,
        transport: leg.flow.transport,
        address: leg.flow.peer,
        upstream: leg.upstream.and_then(|id| w.upstream_name(id)).map(str::to_owned),
        call_id: leg.call_id.clone(),
    }
}

fn millis(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}
