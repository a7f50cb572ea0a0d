//! Everything that touches the kernel. It decides nothing: it carries out what the layers left of
//! the seam decided, and hands them what came in.

pub mod audit_log;
pub mod clock;
pub mod control_socket;
pub mod folder;
pub mod inlet;
pub mod interfaces;
pub mod log_lines;
pub mod media_socket;
pub mod relay_worker;
pub mod sandbox;
pub mod scribe;
pub mod service;
pub mod state;
pub mod stream;
pub mod udp;

use crate::ground::{ConnId, Flow};
use crate::policy::quota::Quota;
use crate::wire::sip::Refusal;
use bytes::Bytes;
use inlet::Place;
use std::hash::Hash;

/// How what is shared stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShareUse {
    /// What is held.
    pub used: u64,
    /// What there is, the reserve included.
    pub total: u64,
    /// The source or user that holds most, and how much.
    pub fullest: Option<(String, u64)>,
    /// How often somebody found none, or had to give his.
    pub refused: u64,
}

impl ShareUse {
    /// As a quota has it.
    pub fn of<K: Copy + Eq + Hash + Ord>(quota: &Quota<K>, refused: u64) -> Self {
        Self {
            used: quota.used() as u64,
            total: quota.shares().total as u64,
            fullest: quota.fullest().map(|(name, held)| (name, held as u64)),
            refused,
        }
    }
}

/// What the sockets hand to the event loop.
#[derive(Debug)]
pub enum Arrival {
    /// A datagram or a framed message.
    Message {
        /// The way it came.
        flow: Flow,
        /// Its bytes.
        bytes: Bytes,
        /// What it holds of the way here.
        place: Place,
    },
    /// A stream broke the rules; its connection closes by itself.
    Refused {
        /// The connection.
        flow: Flow,
        /// Why.
        refusal: Refusal,
    },
    /// A connection is gone.
    Closed(ConnId),
    /// A connection could not be made.
    Failed(Flow),
}
