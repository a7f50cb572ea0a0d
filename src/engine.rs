//! The gateway as one sans-IO machine: `handle_input` once, then `poll_output` until `Timeout`.
//! It never reads a clock, a socket or a file. A request walks side (server transaction) →
//! proxy_server → analysis → proxy_client → side (client transaction); a response walks back.

pub mod digest;
pub mod input;
pub mod output;
pub mod seal;
pub mod stats;
pub mod transaction;

pub use input::Input;
pub use output::{CallView, Level, Output};
pub use stats::Stats;

use crate::config::Config;
use crate::ground::{Flow, Now, Wall};
use crate::policy::RuleSet;
use std::sync::Arc;

/// What a transaction began with; swapped whole on reload.
#[derive(Clone)]
pub struct Snapshot {
    /// The checked configuration.
    pub config: Config,
    /// Its rules, compiled.
    pub rules: RuleSet,
    /// Secrets of local users.
    pub users: digest::Users,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("hash", &self.config.hash).finish_non_exhaustive()
    }
}

/// A binding as kept in the state folder (one JSON object).
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct StoredBinding {
    /// Unique key (the sealed contact's user part).
    pub key: String,
    /// Address of record, `user@domain`.
    pub aor: String,
    /// The phone's Contact as it gave it.
    pub contact: String,
    /// Local socket it registered at.
    pub local: std::net::SocketAddr,
    /// `udp` or `tcp`.
    pub transport: crate::ground::Transport,
    /// The phone's address as seen.
    pub peer: std::net::SocketAddr,
    /// Wall seconds at which it ends.
    pub expires: u64,
    /// Call-ID and CSeq of the REGISTER that made it.
    pub call_id: String,
    /// CSeq number.
    pub cseq: u32,
    /// Upstream that granted it; empty: we did.
    pub upstream: String,
}

/// Secrets and seeds given at the start.
#[derive(Clone)]
pub struct Seeds {
    /// Sealing keys, newest first.
    pub keys: Vec<(u8, [u8; 64])>,
    /// Keys nonces.
    pub nonce: [u8; 32],
    /// Seeds the engine's random numbers (branches, tags, ports).
    pub random: [u8; 32],
}

/// The gateway.
#[derive(Debug)]
pub struct Engine {}

#[expect(unused_variables, reason = "skeleton")]
impl Engine {
    /// A gateway without calls or bindings.
    #[must_use]
    pub fn new(snapshot: Arc<Snapshot>, seeds: Seeds, now: Now) -> Self {
        todo!()
    }
    /// Takes one input. Drain [`Engine::poll_output`] to `Timeout` before the next.
    pub fn handle_input(&mut self, now: Now, input: Input) {
        todo!()
    }
    /// The next effect; `Timeout` when there is none left.
    pub fn poll_output(&mut self) -> Output {
        todo!()
    }
    /// Counters and gauges.
    #[must_use]
    pub fn stats(&self, now: Now) -> Stats {
        todo!()
    }
    /// Bindings now: aor, contact, source, seconds left.
    #[must_use]
    pub fn bindings(&self, now: Wall) -> Vec<StoredBinding> {
        todo!()
    }
    /// Answered and early calls.
    #[must_use]
    pub fn active_calls(&self) -> usize {
        todo!()
    }
    /// The flow type is used by drivers.
    #[doc(hidden)]
    pub fn _flow(_: Flow) {}
}
