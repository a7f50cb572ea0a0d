//! What an engine is made of that is no state: the configuration in force with its rules and users,
//! and the secrets of the start. It says nothing of either.

use super::digest;
use crate::config::Config;
use crate::policy::RuleSet;

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
