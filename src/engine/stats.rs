//! Plain numbers the daemon turns into metrics. Counters only grow; gauges are read when asked.

mod tls;

pub use tls::{CertificateOf, CertificateView, TlsFailure};

use super::guard::Signal;
use super::upstreams::UpstreamView;
use crate::audit::{EndedBy, Finding, Outcome, SecurityClass};
use crate::ground::{CallDirection, Moment, words};
use crate::policy::quota::{Quota, Resource};
use crate::relay::ports::PortCount;
use crate::wire::sip::RejectReason;
use std::net::IpAddr;

/// Methods with a label of their own (`other` is last).
pub const METHODS: [&str; 15] = [
    "INVITE",
    "ACK",
    "BYE",
    "CANCEL",
    "REGISTER",
    "OPTIONS",
    "PRACK",
    "SUBSCRIBE",
    "NOTIFY",
    "PUBLISH",
    "INFO",
    "REFER",
    "MESSAGE",
    "UPDATE",
    "other",
];
/// Classes of security records that are counted; the rest are sums of others.
pub const SECURITY: [&str; 10] = [
    SecurityClass::NAMES[0],
    SecurityClass::NAMES[1],
    SecurityClass::NAMES[2],
    SecurityClass::NAMES[3],
    SecurityClass::NAMES[4],
    SecurityClass::NAMES[5],
    SecurityClass::NAMES[6],
    SecurityClass::NAMES[7],
    SecurityClass::NAMES[8],
    SecurityClass::NAMES[9],
];
/// ITU-T G.109 categories, best first; the last one is no category.
pub const CATEGORIES: [&str; 7] =
    ["best", "high", "medium", "low", "poor", "unusable", "unmeasured"];
/// Rules that have a label of their own, with the defaults and `other`.
pub const RULE_LABELS: usize = 64;
/// Upstreams that have a label of their own.
pub const UPSTREAM_LABELS: usize = 8;

words! {
    /// A keep-alive by a datagram.
    pub enum Ping {
        /// Two blank lines.
        Crlf = "crlf",
        /// A binding request.
        Stun = "stun",
    }
}

words! {
    /// What a REGISTER got.
    pub enum RegisterResult {
        /// A binding.
        Accepted = "accepted",
        /// A challenge.
        Challenged = "challenged",
        /// A refusal.
        Refused = "refused",
        /// A refusal, for want of room.
        Limited = "limited",
        /// No answer, or the registrar's failure.
        Failed = "failed",
    }
}

words! {
    /// What was asked of a site that is alone, and what became of it.
    pub enum AloneResult {
        /// A call to another phone.
        Call = "call",
        /// Another request to another phone.
        Request = "request",
        /// A registration, in the upstream's place.
        Registered = "registered",
        /// A phone that the upstream never confirmed from there.
        UnknownPhone = "unknown_phone",
        /// What only the outside could have answered.
        Refused = "refused",
        /// An emergency call, by another way.
        Emergency = "emergency",
    }
}

/// Places of one table: held, and in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// Held.
    pub used: u64,
    /// In all, the reserve included.
    pub total: u64,
}

impl Places {
    /// Of a table.
    #[must_use]
    pub fn of<K: Copy + Eq + std::hash::Hash + Ord>(table: &Quota<K>) -> Self {
        Self { used: table.used() as u64, total: table.shares().total as u64 }
    }
}

/// What one table did for want of room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShareCount {
    /// Who asked and found none.
    pub refused: u64,
    /// Entries that gave way.
    pub displaced: u64,
}

/// How an interface that follows a device stands.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct InterfaceView {
    /// Its name in the file.
    pub name: String,
    /// What it follows, in words.
    pub follows: String,
    /// Where it stands; none: nowhere.
    pub addresses: Vec<IpAddr>,
    /// Since when; `None`: it had no address yet.
    pub since: Option<Moment>,
    /// How often that changed.
    pub changes: u64,
    /// Addresses that were not taken, and why; empty: all were.
    pub refused: String,
    /// Another program holds a SIP port at one of them.
    pub held: bool,
    /// What else is there and would do.
    pub others: Vec<IpAddr>,
}

/// Everything counted left of the seam.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// `sip_requests_total{side,method}`.
    pub requests: [[u64; 15]; 2],
    /// `sip_responses_total{side,class}` by first digit 1–6, index 0 = 1xx.
    pub responses: [[u64; 6]; 2],
    /// `sip_rejected_messages_total{side,reason}` by `RejectReason::ALL`.
    pub rejected: [[u64; RejectReason::ALL.len()]; 2],
    /// `sip_retransmissions_total{side,kind}`; kind 0 request, 1 response (received again).
    pub retransmissions: [[u64; 2]; 2],
    /// `sip_keepalives_total{kind}`.
    pub pings: [u64; Ping::ALL.len()],
    /// `sip_timeouts_total{timer}`: B, C, F, H.
    pub timeouts: [u64; 4],
    /// `calls_total{direction,outcome}`.
    pub calls: [[u64; Outcome::ALL.len()]; CallDirection::ALL.len()],
    /// `call_ends_total{reason}`.
    pub call_ends: [u64; EndedBy::ALL.len()],
    /// `registration_requests_total{result}`.
    pub registrations: [u64; RegisterResult::ALL.len()],
    /// `policy_decisions_total{rule,action}`: rule name → [allow, deny].
    pub decisions: std::collections::BTreeMap<std::sync::Arc<str>, [u64; 2]>,
    /// `alone_requests_total{result}`.
    pub alone: [u64; AloneResult::ALL.len()],
    /// `media_port_exhausted_total`.
    pub ports_exhausted: u64,
    /// `call_findings_total{finding}` by [`Finding::ALL`].
    pub findings: [u64; Finding::ALL.len()],
    /// `security_events_total{class}`.
    pub security: [u64; SECURITY.len()],
    /// `media_lost_packets_total{side}`.
    pub lost: [u64; 2],
    /// `media_unmeasured_windows_total{side,reason}`.
    pub unmeasured: [[u64; 4]; 2],
    /// `call_quality_total{category}`.
    pub quality: [u64; CATEGORIES.len()],
    /// `silenced_requests_total{method}`: INVITE, any other.
    pub silenced: [u64; 2],
    /// `vq_reports_total{result}`: accepted, refused.
    pub vq_reports: [u64; 2],
    /// `emergency_calls_unrouted_total`.
    pub emergency_unrouted: u64,
    /// `guilt_signals_total{signal}`.
    pub signals: [u64; Signal::ALL.len()],
    /// `bans_total`.
    pub bans: u64,
    /// `banned_messages_total`.
    pub banned: u64,
    /// `back_offs_total`.
    pub back_offs: u64,
    /// `unheard_guesses_total`.
    pub unheard: u64,
    /// `slowed_requests_total`.
    pub slowed: u64,
    /// `tls_failures_total{side,reason}`: theirs to fill who keep connections.
    pub tls_failures: [[u64; TlsFailure::ALL.len()]; 2],
    /// Certificates in use; likewise.
    pub certificates: Vec<CertificateView>,
    /// `address_changes_total`.
    pub address_changes: u64,
    /// Interfaces that follow a device, in the file's order.
    pub interfaces: Vec<InterfaceView>,
    /// Those that are configured, in the file's order.
    pub upstreams: Vec<UpstreamView>,
    /// `share_refusals_total{resource,side}`, `displaced_total{resource,side}`: by
    /// [`Resource::ALL`], then side.
    pub shares: [[ShareCount; 2]; Resource::ALL.len()],
    /// Gauges.
    pub now: Gauges,
}

/// How things stand.
#[derive(Clone, Debug, Default)]
pub struct Gauges {
    /// `active_calls{state}`: early, confirmed.
    pub calls: [u64; 2],
    /// `active_registrations`.
    pub registrations: u64,
    /// `active_transactions{kind}`: invite, other.
    pub transactions: [u64; 2],
    /// `active_bans`.
    pub bans: u64,
    /// `active_dialogs`.
    pub dialogs: u64,
    /// `active_media_streams`.
    pub streams: u64,
    /// `media_ports{side,state}`.
    pub ports: [PortCount; 2],
    /// `share_used{resource}`, `share_places{resource}`: by [`Resource::ALL`]; those that drivers
    /// keep are theirs to fill.
    pub places: [Places; Resource::ALL.len()],
    /// `draining`.
    pub draining: bool,
}
