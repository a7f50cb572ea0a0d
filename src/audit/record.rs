//! What is recorded. One JSON line a record; fields in this order.

use super::{
    Asked, BindingEvent, EndedBy, Finding, LegQuality, Outcome, PhoneReport, Ruling, SecurityClass,
    TunnelEvent,
};
use crate::ground::{Bearer, CallDirection, CallNo, Leg, Side, Transport};
use serde::{Serialize, Serializer};
use std::net::SocketAddr;

/// An upstream: a number of its own as long as the process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UpstreamNo(pub usize);

/// What a sender is to us; by it floods are told from everyday life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// Nobody we know.
    #[default]
    Stranger,
    /// A registered or proved user.
    Phone,
    /// An upstream.
    Upstream(UpstreamNo),
}

/// One record. Text from the network is encoded by the serialiser, never interpreted.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Record {
    /// A REGISTER reached its end.
    Registration {
        /// Address of record.
        user: String,
        /// Where from.
        source: SocketAddr,
        /// What became of the binding.
        result: BindingEvent,
        /// Status answered.
        status: u16,
        /// Granted seconds.
        expires: u32,
        /// Who granted it: `local` or the upstream's name.
        registrar: String,
    },
    /// An INVITE outside a dialog was judged.
    CallAttempt {
        /// The gateway's call number.
        call: CallNo,
        /// Call-ID as received.
        call_id: String,
        /// Where it came from.
        side: Side,
        /// Source.
        source: SocketAddr,
        /// Caller as judged.
        from: String,
        /// Callee as judged.
        to: String,
        /// Rule that decided.
        rule: String,
        /// What it decided.
        verdict: Ruling,
        /// Where it goes: upstream's name, `phone`, empty.
        target: String,
        /// Names that its sender's TLS certificate proved; empty (not written): none.
        #[serde(skip_serializing_if = "String::is_empty")]
        tls_subject: String,
        /// Who sent it. Not written.
        #[serde(skip)]
        sender: Standing,
        /// To an emergency number. Not written.
        #[serde(skip)]
        emergency: bool,
    },
    /// A call attempt ended, answered or not.
    CallEnd(CallEnd),
    /// Something is wrong with a call.
    Finding {
        /// The gateway's call number.
        call: CallNo,
        /// Call-ID as received; empty: the call is over.
        call_id: String,
        /// What (docs/TROUBLESHOOTING.md).
        finding: Finding,
        /// One sentence with figures.
        evidence: String,
    },
    /// A party reported what it hears (RFC 6035).
    QualityReport {
        /// The gateway's call number.
        call: CallNo,
        /// Call-ID as the report names it.
        call_id: String,
        /// Registered user that sent it; empty: not known, or from outside.
        user: String,
        /// Where from.
        source: SocketAddr,
        /// Its side.
        side: Side,
        /// Which party.
        leg: Leg,
        /// Its figures.
        report: Box<PhoneReport>,
    },
    /// A verdict on another request outside a dialog that was not `allow`; floods are summed.
    Verdict {
        /// Method.
        method: String,
        /// Side.
        side: Side,
        /// Source.
        source: SocketAddr,
        /// Caller as judged.
        from: String,
        /// Callee as judged.
        to: String,
        /// Rule.
        rule: String,
        /// `deny` or `drop`.
        verdict: Ruling,
        /// Names that its sender's TLS certificate proved; empty (not written): none.
        #[serde(skip_serializing_if = "String::is_empty")]
        tls_subject: String,
        /// Who sent it. Not written.
        #[serde(skip)]
        sender: Standing,
    },
    /// A party asked another to call somebody, and was judged as if the party inside dialled it.
    Reference {
        /// The gateway's call number; `None` (not written): outside calls.
        #[serde(skip_serializing_if = "Option::is_none")]
        call: Option<CallNo>,
        /// Call-ID of the request or the redirect's, as the near side knows it.
        call_id: String,
        /// How.
        by: Asked,
        /// Side of who asked.
        side: Side,
        /// Who asked.
        source: SocketAddr,
        /// Who would call, as judged.
        from: String,
        /// Who would be called, as judged.
        to: String,
        /// Rule that decided.
        rule: String,
        /// What it decided.
        verdict: Ruling,
    },
    /// Something hostile or odd; floods are summed (one record a class, source and minute).
    Security {
        /// What about.
        class: SecurityClass,
        /// Who, when known.
        source: Option<SocketAddr>,
        /// How many it stands for.
        count: u64,
        /// Evidence in words (no secrets, at most 256 characters).
        detail: String,
    },
    /// A tunnel to another gateway came, moved or went.
    Tunnel {
        /// Its interface.
        tunnel: String,
        /// What became of it.
        event: TunnelEvent,
        /// What carries it, or did until now; `None` (not written): nothing did.
        #[serde(skip_serializing_if = "Option::is_none")]
        bearer: Option<Bearer>,
        /// Where the other end is seen, or who is between; `None` (not written): nowhere.
        #[serde(skip_serializing_if = "Option::is_none")]
        peer: Option<SocketAddr>,
        /// The key that the other end proved, as files write it.
        key: String,
        /// In words: why, and where from.
        detail: String,
    },
    /// The other end of a tunnel said where its own log stands.
    PeerHead {
        /// Its interface.
        tunnel: String,
        /// Sequence number of the last record there.
        number: u64,
        /// SHA-256 (hex) of that record.
        hash: String,
        /// When it said so, by its own calendar.
        said: String,
    },
    /// An operator or the configuration did something.
    Admin {
        /// `reload`, `hangup`, `drain`, `lift_bans`.
        action: &'static str,
        /// `applied`, `refused`.
        result: &'static str,
        /// In words.
        detail: String,
    },
    /// Start, stop, recovery.
    System {
        /// `start`, `stop`, `recovered`, `gap`.
        event: &'static str,
        /// In words.
        detail: String,
    },
}

/// How a call attempt ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CallEnd {
    /// The gateway's call number.
    pub call: CallNo,
    /// Call-ID as received.
    pub call_id: String,
    /// Caller as judged.
    pub from: String,
    /// Callee as judged.
    pub to: String,
    /// How.
    pub outcome: Outcome,
    /// Final status of the INVITE (0: none).
    pub status: u16,
    /// Why; `None` (written as empty): it was never answered.
    #[serde(serialize_with = "word_or_empty")]
    pub ended_by: Option<EndedBy>,
    /// From INVITE to ringing.
    pub ring_ms: Option<u64>,
    /// From INVITE to 2xx.
    pub setup_ms: Option<u64>,
    /// From 2xx to the end.
    pub duration_ms: Option<u64>,
    /// Media counters by stream.
    pub media: Vec<StreamMedia>,
    /// What was found wrong with it.
    pub findings: Vec<Finding>,
    /// Tunnels that it went through, from the answer on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub segments: Vec<Segment>,
    /// Which way it went. Not written.
    #[serde(skip)]
    pub direction: CallDirection,
    /// The signalling of its parties: who called, then who was called, whoever answered first
    /// among these. Not written.
    #[serde(skip)]
    pub parties: Vec<PartyView>,
}

/// The signalling of one party of a call.
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

/// A tunnel that a leg of a call went through, and what it did meanwhile: for all that it carried,
/// not for this call alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Segment {
    /// Its interface.
    pub tunnel: String,
    /// Whose leg.
    pub leg: Leg,
    /// What carried it at the end; `None`: nothing.
    pub bearer: Option<Bearer>,
    /// There and back, at the end; `None`: not known.
    pub round_trip_ms: Option<u64>,
    /// How uneven the way here was, at the end; `None`: not known.
    pub jitter_ms: Option<u64>,
    /// Packets sent, and those of them that were lost; `None`: not known.
    pub sent: Option<[u64; 2]>,
    /// The other end's packets, and those of them that were lost; `None`: not known.
    pub received: Option<[u64; 2]>,
    /// How often there was no connection, and another one was made.
    pub cuts: u64,
    /// How often it went on by another address or bearer.
    pub moves: u64,
}

#[expect(clippy::ref_option, reason = "serde hands over a reference to the field")]
fn word_or_empty<S: Serializer>(by: &Option<EndedBy>, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(by.map_or("", EndedBy::as_str))
}

/// One stream of a call.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StreamMedia {
    /// `audio`, `video` …
    pub media: String,
    /// What the caller's leg received.
    pub caller: LegMedia,
    /// What the callee's leg received.
    pub callee: LegMedia,
}

/// One leg of a stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LegMedia {
    /// Our RTP port.
    pub port: u16,
    /// RTP packets accepted.
    pub rtp_packets: u64,
    /// Their octets.
    pub rtp_bytes: u64,
    /// RTCP packets accepted.
    pub rtcp_packets: u64,
    /// Packets dropped.
    pub dropped: u64,
    /// How good what was received was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality: Option<LegQuality>,
    /// What the party itself reported last (RFC 6035), when it did before the call's end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone_report: Option<Box<PhoneReport>>,
}
