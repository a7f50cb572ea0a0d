//! What a restart must not lose, as values: wall-clock time, no number of this process. The engine
//! hands entries out as effects and takes them back as one input; where they are kept is the
//! daemon's matter.

use super::calls::StoredCall;
use crate::ground::{CallNo, Transport, words};
use crate::wire::sip::Aor;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};

/// Something to be kept; a later one of the same key replaces it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Entry {
    /// A registration.
    Binding(StoredBinding),
    /// A phone that its upstream confirmed.
    Confirmed(StoredConfirmation),
    /// An answered call, where calls are kept ([`super::Input::KeepCalls`]).
    Call(Box<StoredCall>),
    /// Numbers of calls that were given; the daemon keeps it, for records go on with the next.
    Numbers(StoredNumbers),
}

/// Numbers that no call gets again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredNumbers {
    /// Calls up to this one.
    pub calls: u64,
}

/// What an entry is kept under.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", content = "key", rename_all = "snake_case")]
pub enum Key {
    /// [`StoredBinding::key`].
    Binding(String),
    /// [`StoredConfirmation::key`].
    Confirmed(String),
    /// [`StoredCall::call`].
    Call(CallNo),
    /// [`Entry::Numbers`]: there is one.
    Numbers,
}

impl Entry {
    /// What it is kept under.
    #[must_use]
    pub fn key(&self) -> Key {
        match self {
            Self::Binding(b) => Key::Binding(b.key.clone()),
            Self::Confirmed(c) => Key::Confirmed(c.key.clone()),
            Self::Call(c) => Key::Call(c.call),
            Self::Numbers(_) => Key::Numbers,
        }
    }
}

/// A binding as kept (one JSON object).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredBinding {
    /// Unique key (the sealed contact's user part).
    pub key: String,
    /// Address of record.
    pub aor: Aor,
    /// The phone's Contact as it gave it.
    pub contact: String,
    /// Local socket it registered at.
    pub local: SocketAddr,
    /// `udp` or `tcp`.
    pub transport: Transport,
    /// Where the phone is reached.
    pub peer: SocketAddr,
    /// Where it sends from, when that is another port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SocketAddr>,
    /// Wall seconds at which it ends.
    pub expires: u64,
    /// Call-ID and CSeq of the REGISTER that made it.
    pub call_id: String,
    /// CSeq number.
    pub cseq: u32,
    /// Upstream that granted it; empty: we did.
    pub upstream: String,
    /// Service-Route values that the upstream's registrar told (RFC 3608), at most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub service_route: Vec<String>,
    /// The phone's instance id (RFC 5626 §4.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// We granted it in the upstream's place, which did not answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub edge: bool,
    /// Whether it can be reached now, for who looks on; it is not kept.
    #[serde(skip)]
    pub reach: Reach,
}

words! {
    /// What is known of the way to a registered phone.
    #[derive(Default)]
    pub enum Reach {
        /// It is reached by datagrams: that it registered is all that is known.
        Registered = "registered",
        /// The connection that it came by is there.
        Connected = "connected",
        /// Its connection is closed; where its Contact listens it is called anew.
        #[default]
        Unknown = "unknown",
        /// Its connection is closed, and nobody but itself can open another: it has to come again.
        Gone = "gone",
    }
}

/// A phone that an upstream's 2xx to its REGISTER confirmed: what it may register as while that
/// upstream does not answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredConfirmation {
    /// Key of the binding that was granted: of user, Contact and our socket.
    pub key: String,
    /// The address of record; empty: it was kept by an older version.
    #[serde(default)]
    pub user: String,
    /// Where the phone sent from.
    pub source: IpAddr,
    /// Its Contact as it gave it; `None`: it was kept by an older version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// Its instance id (RFC 5626 §4.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Upstream that confirmed it.
    pub upstream: String,
    /// Wall seconds until which that counts.
    pub until: u64,
}

/// The registration that a call's leg is reached by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredHome {
    /// [`StoredBinding::key`].
    pub key: String,
    /// Its address of record.
    #[serde(alias = "user")]
    pub aor: Aor,
    /// Call-ID of its REGISTERs.
    pub call_id: String,
    /// Instance id of its phone (RFC 5626 §4.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
}
