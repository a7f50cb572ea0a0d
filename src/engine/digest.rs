//! Digest authentication as a server (RFC 7616, RFC 8760): MD5 and SHA-256, qop=auth. Nonces are
//! stateless: time and an HMAC of it; no per-challenge memory except the replay window of `nc`.
use crate::ground::Wall;

/// Secrets of local users.
#[derive(Clone)]
pub enum Users {
    /// One password for every user name that is an extension (site mode): digits, 2 to 6 of them.
    Shared {
        /// The password.
        password: String,
    },
    /// HA1 values by user: MD5 and SHA-256 (hex), either may be absent.
    Table(std::collections::HashMap<String, Ha1>),
    /// Nobody.
    None,
}

/// Precomputed HA1 of one user, lower-case hex.
#[derive(Clone, Default)]
pub struct Ha1 {
    /// MD5(user:realm:password).
    pub md5: Option<String>,
    /// SHA-256(user:realm:password).
    pub sha256: Option<String>,
}

/// Outcome of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// Right: the user it proves.
    Proved(String),
    /// No credentials for our realm, or the nonce is old (`stale`): challenge.
    Challenge {
        /// The response was right but the nonce too old.
        stale: bool,
    },
    /// Wrong: closed set `bad_password unknown_user replayed_nonce algorithm malformed`.
    Wrong(&'static str),
}

/// The server side of digest.
#[derive(Clone)]
pub struct Authenticator {}

#[expect(unused_variables, reason = "skeleton")]
impl Authenticator {
    /// `secret` keys the nonces (32 octets from the driver's random source).
    #[must_use]
    pub fn new(realm: &str, users: Users, secret: [u8; 32]) -> Self {
        todo!()
    }
    /// Values of the challenge header, strongest algorithm first (one header row each).
    #[must_use]
    pub fn challenge(&self, now: Wall, stale: bool) -> Vec<String> {
        todo!()
    }
    /// Judges the values of Authorization (or Proxy-Authorization) rows.
    pub fn check<'a>(
        &mut self,
        method: &str,
        values: impl Iterator<Item = &'a [u8]>,
        body: &[u8],
        now: Wall,
    ) -> Check {
        todo!()
    }
    /// Replaces the users (reload).
    pub fn set_users(&mut self, users: Users) {
        todo!()
    }
}
