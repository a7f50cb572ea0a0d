//! What an operator may see of calls: read when asked, changed never. Text in it came from the
//! network; whoever shows it encodes it.

use super::bindings::Binding;
use super::dialog::{Call, Kind, LegState};
use super::{CallView, Engine};
use crate::audit::{LegQuality, PhoneReport};
use crate::ground::{Now, Side, Transport};
use serde::Serialize;
use std::net::SocketAddr;

/// Calls and registrations that one list names; the rest are counted.
pub const LIST: usize = 10_000;

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
    pub findings: Vec<&'static str>,
}

/// The signalling of one party.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartyView {
    /// Which side it is on.
    pub side: Side,
    /// By which transport it is reached.
    pub transport: Transport,
    /// Where it is.
    pub address: SocketAddr,
    /// The upstream it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    /// Call-ID on this leg.
    pub call_id: String,
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

/// One leg of a stream: until it was last asked for ([`super::Input::Measure`]), else by the end of
/// the last window (10 s).
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

/// A binding in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RegistrationRow {
    /// Address of record, `user@domain`.
    pub user: String,
    /// The phone's Contact as it gave it.
    pub contact: String,
    /// The phone's address as seen.
    pub address: SocketAddr,
    /// By which transport.
    pub transport: Transport,
    /// Our socket.
    pub local: SocketAddr,
    /// Seconds until it ends.
    pub expires_s: u64,
    /// Who granted it: `local` or the upstream's name.
    pub registrar: String,
}

impl Engine {
    /// Live bindings by user, at most [`LIST`]; how many were left off.
    #[must_use]
    pub fn registrations(&self, now: Now) -> (Vec<RegistrationRow>, usize) {
        let mut all: Vec<&Binding> = self.bindings.all().filter(|b| b.expires > now.wall).collect();
        all.sort_by(|a, b| (&a.aor, a.flow.peer, &a.key).cmp(&(&b.aor, b.flow.peer, &b.key)));
        let row = |b: &&Binding| RegistrationRow {
            user: b.aor.clone(),
            contact: b.contact.to_string(),
            address: b.flow.peer,
            transport: b.flow.transport,
            local: b.local,
            expires_s: b.expires.seconds().saturating_sub(now.wall.seconds()),
            registrar: if b.upstream.is_empty() { "local".to_owned() } else { b.upstream.clone() },
        };
        (all.iter().take(LIST).map(row).collect(), all.len().saturating_sub(LIST))
    }

    /// Calls by number, oldest first, at most [`LIST`]; how many were left off.
    #[must_use]
    pub fn calls(&self, now: Now) -> (Vec<CallRow>, usize) {
        let all = self.dialogs.numbers();
        let rows = all.iter().take(LIST).filter_map(|no| self.dialogs.get(*no));
        (rows.map(|c| self.row(c, now)).collect(), all.len().saturating_sub(LIST))
    }

    /// One call; `None`: there is no call of this number.
    #[must_use]
    pub fn call(&self, no: u64, now: Now) -> Option<CallDetail> {
        let c = self.dialogs.get(no).filter(|c| c.kind == Kind::Call)?;
        let since = |t: Now| millis(t, c.started);
        let mut callees: Vec<(bool, PartyView)> = Vec::new();
        for fork in &c.forks {
            let answered = c.answered.as_deref() == Some(fork.tag.as_str());
            callees.push((!answered, self.party(&fork.callee)));
        }
        callees.sort_by_key(|(other, _)| *other);
        let (streams, findings) = self.media.view(no);
        Some(CallDetail {
            row: self.row(c, now),
            call_id: c.caller.call_id.clone(),
            ring_ms: c.ringing.map(since),
            setup_ms: c.confirmed.map(since),
            caller: self.party(&c.caller),
            callees: callees.into_iter().map(|(_, p)| p).collect(),
            streams,
            findings,
        })
    }

    fn row(&self, c: &Call, now: Now) -> CallRow {
        CallRow {
            view: c.view(self.media.is_held(c.no)),
            age_ms: millis(now, c.started),
            duration_ms: c.confirmed.map(|t| millis(now, t)),
        }
    }

    fn party(&self, leg: &LegState) -> PartyView {
        PartyView {
            side: leg.side,
            transport: leg.flow.transport,
            address: leg.flow.peer,
            upstream: leg.upstream.and_then(|i| self.upstream(i)).map(|u| u.name.clone()),
            call_id: leg.call_id.clone(),
        }
    }
}

fn millis(now: Now, then: Now) -> u64 {
    u64::try_from(now.mono.since(then.mono).as_millis()).unwrap_or(u64::MAX)
}
