//! What a source does that makes it suspect, and what it is to us.

use crate::engine::world::World;
use crate::ground::{Side, words};
use serde::Serialize;
use std::net::IpAddr;

words! {
    /// What makes a source suspect.
    pub enum Signal {
        /// A wrong password.
        FailedDigest = "failed_digest",
        /// Credentials with a nonce that was never given.
        ForgedNonce = "forged_nonce",
        /// A User-Agent of scanners.
        Scanner = "scanner",
        /// Octets that are no SIP.
        NonSip = "non_sip",
        /// A request for, or credentials of, a user who is not there.
        UnknownUser = "unknown_user",
        /// Another user's name in From.
        FalseFrom = "false_from",
    }
}

impl Signal {
    /// Points of guilt. A forged nonce weighs little: every phone has one after a restart.
    pub(super) fn weight(self) -> u64 {
        match self {
            Self::FailedDigest | Self::NonSip | Self::UnknownUser => 5,
            Self::ForgedNonce => 2,
            Self::Scanner => 40,
            Self::FalseFrom => 10,
        }
    }
}

/// What a source is to us, as far as its address says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Anybody.
    Stranger,
    /// In a network of phones, or a phone is registered there.
    Phone,
    /// An upstream's, this machine's, or in `bans.never`.
    Friend,
}

impl Standing {
    /// By the configuration alone; `is_upstream`: it is the source of one.
    pub(crate) fn of(w: &World, ip: IpAddr, is_upstream: bool) -> Self {
        let ip = ip.to_canonical();
        let c = w.config();
        let within = |all: &[ipnet::IpNet]| all.iter().any(|n| n.contains(&ip));
        let mut phones = c.interfaces.iter().filter(|i| i.side == Side::Inside);
        let own = ip.is_loopback() || w.net().is_our_address(ip);
        if is_upstream || own || within(&c.bans.never) {
            Self::Friend
        } else if phones.any(|i| within(&i.networks)) {
            Self::Phone
        } else {
            Self::Stranger
        }
    }

    /// It is not banned, only slowed.
    pub(crate) fn is_known(self) -> bool {
        self != Self::Stranger
    }
}

/// One suspect, for who looks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SuspectView {
    /// Address, or network of IPv6.
    pub source: String,
    /// What it did last.
    pub reason: Option<Signal>,
    /// Points of guilt now; of a ban, when it began.
    pub score: u64,
    /// Seconds until the ban ends; `None`: it is not banned.
    pub left_s: Option<u64>,
    /// Messages since the ban began.
    pub hits: u64,
}
