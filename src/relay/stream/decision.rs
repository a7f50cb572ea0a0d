//! What a stream decides, as values: what becomes of a packet, and what it sends of its own.

use crate::relay::flow::Lane;
use crate::relay::{DropReason, Leg};
use std::net::SocketAddr;

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Send it out of the same flow of the other leg.
    Forward {
        /// The far party's address.
        to: SocketAddr,
    },
    /// Drop it; it is counted already.
    Drop(DropReason),
}

/// A verdict, and whether the flow it came by now takes another source (its filter must follow).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What becomes of the packet.
    pub verdict: Verdict,
    /// The source was pinned by this packet.
    pub pinned: bool,
}

impl Decision {
    pub(super) const fn drop(reason: DropReason) -> Self {
        Self { verdict: Verdict::Drop(reason), pinned: false }
    }
}

/// A packet that the stream itself sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Out of this leg.
    pub leg: Leg,
    /// By this flow.
    pub lane: Lane,
    /// The far party's address.
    pub to: SocketAddr,
    /// What it is.
    pub what: Own,
}

/// What a stream can have to say of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    /// A datagram without payload (RFC 6263 §4.1): every NAT counts it, no receiver takes it for
    /// media, and it needs no SSRC that the parties do not know.
    KeepAlive,
}

impl Own {
    /// The UDP payload.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        match self {
            Self::KeepAlive => &[],
        }
    }
}
