//! Digest authentication as a server (RFC 7616, RFC 8760): MD5 and SHA-256, qop=auth. A nonce is
//! good for the source it was given to, for `LIFETIME` and, for a phone that counts no uses (RFC
//! 2069), once. Nothing is remembered of a challenge; of what was proved, `Memory` does.
//! It proves who speaks; what that one may do is policy's word.

mod credentials;
mod memory;
mod nonces;
#[cfg(test)]
mod tests;

use crate::audit::SecurityClass;
use crate::ground::{Wall, words};
use crate::policy::quota::Source;
use credentials::Credentials;
use md5::Md5;
use memory::Memory;
use nonces::{Nonces, Origin};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use subtle::ConstantTimeEq;

/// Seconds a nonce is good for.
const LIFETIME: u64 = 300;

/// User-Agents that give up at a challenge they do not know instead of taking the next one
/// (RFC 8760 §2.4 asks for the latter): they are offered MD5 alone.
const MD5_ONLY: [&str; 5] = ["baresip v0.", "baresip v1.", "Samsung", "SMT-", "SMT i"];

/// True when a phone of this User-Agent must not see a SHA-256 challenge.
#[must_use]
pub fn knows_md5_only(user_agent: &str) -> bool {
    MD5_ONLY.iter().any(|p| user_agent.get(..p.len()).is_some_and(|s| s.eq_ignore_ascii_case(p)))
}

/// Secrets of local users.
#[derive(Clone, PartialEq, Eq)]
pub enum Users {
    /// One password for every user name that is an extension (site mode): digits, 2 to 6 of them.
    Shared {
        /// The password.
        password: String,
    },
    /// HA1 values by user: MD5 and SHA-256 (hex), either may be absent.
    Table(HashMap<String, Ha1>),
    /// Nobody.
    None,
}

impl std::fmt::Debug for Users {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Shared { .. } => "Users::Shared",
            Self::Table(_) => "Users::Table",
            Self::None => "Users::None",
        })
    }
}

/// Precomputed HA1 of one user, lower-case hex.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Ha1 {
    /// MD5(user:realm:password).
    pub md5: Option<String>,
    /// SHA-256(user:realm:password).
    pub sha256: Option<String>,
}

impl Ha1 {
    /// Of a password, by both algorithms (RFC 7616 §3.4.2).
    #[must_use]
    pub fn of(user: &str, realm: &str, password: &str) -> Self {
        let text = format!("{user}:{realm}:{password}");
        let by = |algorithm: Algorithm| Some(algorithm.hex(&text));
        Self { md5: by(Algorithm::Md5), sha256: by(Algorithm::Sha256) }
    }
}

/// Outcome of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// Right: the user it proves.
    Proved {
        /// Who.
        user: String,
        /// The `uri` it was made for; whether that is the Request-URI is the caller's question.
        uri: String,
    },
    /// No credentials for our realm, or the nonce is used up (`stale`): challenge.
    Challenge {
        /// The response was right but the nonce too old, or its count used before.
        stale: bool,
    },
    /// Nobody looked: too many were wrong just before.
    Paused,
    /// Wrong.
    Wrong(Fault),
}

words! {
    /// What is wrong with credentials.
    pub enum Fault {
        /// The response does not fit the password.
        BadPassword = "bad_password",
        /// There is no such user.
        UnknownUser = "unknown_user",
        /// It is no extension, where all of them have one password: right or wrong, nobody asks.
        NoExtension = "no_extension",
        /// A nonce count or cnonce is missing, or is none (RFC 7616 §3.4).
        NonceCount = "nonce_count",
        /// An algorithm that was not offered.
        Algorithm = "algorithm",
        /// It cannot be read.
        Malformed = "malformed",
        /// Made for another Request-URI.
        Uri = "uri",
    }
}

impl Fault {
    /// The answer (RFC 3261 §22.4: credentials for another URI are a bad request; RFC 7616 §3.4:
    /// so are those without what `qop` asks for).
    pub(crate) fn answer(self) -> (u16, &'static str) {
        match self {
            Self::Uri => (400, "Digest Is For Another URI"),
            Self::NonceCount => (400, "Digest Without Nonce Count"),
            Self::NoExtension => (403, "Extensions Have 2 To 6 Digits"),
            Self::BadPassword | Self::UnknownUser | Self::Algorithm | Self::Malformed => {
                (403, "Forbidden")
            }
        }
    }

    /// Under which class it is recorded: who cannot count has guessed no password.
    pub(crate) fn class(self) -> SecurityClass {
        match self {
            Self::NonceCount => SecurityClass::Malformed,
            Self::Uri
            | Self::BadPassword
            | Self::UnknownUser
            | Self::NoExtension
            | Self::Algorithm
            | Self::Malformed => SecurityClass::BadPassword,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Md5,
    Sha256,
}

impl Algorithm {
    fn hex(self, text: &str) -> String {
        match self {
            Self::Md5 => hex(&Md5::digest(text)),
            Self::Sha256 => hex(&Sha256::digest(text)),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(u32::from(half), 16);
    bytes.iter().flat_map(|b| [digit(b >> 4), digit(b & 0xf)]).flatten().collect()
}

/// What a request offers as proof, before it is compared with anything.
pub(crate) enum Claim {
    /// No credentials for our realm.
    None,
    /// Their nonce is none of ours: made up, or of before a restart.
    Forged,
    /// Their nonce was given to another source.
    Moved,
    /// They cannot be right.
    Faulty(Fault),
    /// They may be right.
    Ready(Box<Ready>),
}

/// Credentials with a nonce of ours.
pub(crate) struct Ready {
    credentials: Credentials,
    algorithm: Algorithm,
    /// The second its nonce was made in.
    made: u64,
}

impl Ready {
    /// Who they claim to be of.
    pub(crate) fn user(&self) -> &str {
        &self.credentials.user
    }
}

/// The server side of digest.
pub struct Authenticator {
    realm: String,
    users: Users,
    nonces: Nonces,
    memory: Memory,
}

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authenticator").field("realm", &self.realm).finish_non_exhaustive()
    }
}

impl Authenticator {
    /// `secret` keys the nonces (32 octets from the driver's random source).
    #[must_use]
    pub fn new(realm: &str, users: Users, secret: [u8; 32]) -> Self {
        let nonces = Nonces::new(realm, secret);
        Self { realm: realm.to_owned(), users, nonces, memory: Memory::default() }
    }

    /// Replaces the users (reload).
    pub fn set_users(&mut self, users: Users) {
        self.users = users;
    }

    /// Values of the challenge header for this source, strongest algorithm first (one header row
    /// each).
    #[must_use]
    pub fn challenge(&mut self, now: Wall, stale: bool, by: Source) -> Vec<String> {
        let nonce = self.nonces.make(now.seconds(), by, stale);
        let stale = if stale { ", stale=true" } else { "" };
        let value = |algorithm: &str| {
            format!(
                "Digest realm=\"{}\", nonce=\"{nonce}\", algorithm={algorithm}, qop=\"auth\"{stale}",
                self.realm
            )
        };
        match &self.users {
            Users::Table(t) if t.values().all(|h| h.sha256.is_none()) => vec![value("MD5")],
            Users::Shared { .. } | Users::Table(_) | Users::None => {
                vec![value("SHA-256"), value("MD5")]
            }
        }
    }

    /// Reads the values of Authorization (or Proxy-Authorization) rows; compares nothing.
    pub(crate) fn claim<'a>(&self, values: impl Iterator<Item = &'a [u8]>, by: Source) -> Claim {
        let mut all = values.take(8).filter_map(Credentials::parse);
        let Some(credentials) = all.find(|c| c.realm == self.realm) else { return Claim::None };
        let Some(algorithm) = credentials.algorithm else {
            return Claim::Faulty(Fault::Algorithm);
        };
        match self.nonces.origin(&credentials.nonce, by) {
            Origin::Ours { made } => Claim::Ready(Box::new(Ready { credentials, algorithm, made })),
            Origin::OfAnother => Claim::Moved,
            Origin::Unknown => Claim::Forged,
        }
    }

    /// Whether a claim is right.
    pub(crate) fn judge(&mut self, method: &str, claim: Claim, now: Wall) -> Check {
        match claim {
            Claim::None => Check::Challenge { stale: false },
            // A nonce from before a restart, or of another box: a fresh one helps.
            Claim::Forged => Check::Challenge { stale: false },
            // A phone that has another address now: it need not ask its user.
            Claim::Moved => Check::Challenge { stale: true },
            Claim::Faulty(fault) => Check::Wrong(fault),
            Claim::Ready(ready) => self.compare(method, *ready, now),
        }
    }

    fn compare(&mut self, method: &str, ready: Ready, now: Wall) -> Check {
        let Ready { credentials: c, algorithm, made } = ready;
        let Some(ha1) = self.ha1(&c.user, algorithm) else {
            let shared = matches!(self.users, Users::Shared { .. });
            return Check::Wrong(if shared { Fault::NoExtension } else { Fault::UnknownUser });
        };
        let ha2 = algorithm.hex(&format!("{method}:{}", c.uri));
        let (expected, count) = match (&c.qop, c.nc_number()) {
            (Some(qop), Some(count)) if qop == "auth" && !c.cnonce.is_empty() => {
                let middle = format!("{}:{}:{}:{qop}", c.nonce, c.nc, c.cnonce);
                (algorithm.hex(&format!("{ha1}:{middle}:{ha2}")), Some(count))
            }
            // RFC 2069 phones count nothing: their nonce is good once.
            (None, _) => (algorithm.hex(&format!("{ha1}:{}:{ha2}", c.nonce)), None),
            (Some(qop), _) if qop == "auth" => return Check::Wrong(Fault::NonceCount),
            (Some(_), _) => return Check::Wrong(Fault::Malformed),
        };
        let right: bool = expected.as_bytes().ct_eq(c.response.as_bytes()).into();
        if !right {
            return Check::Wrong(Fault::BadPassword);
        }
        let old = now.seconds().saturating_sub(made) > LIFETIME;
        if old || !self.memory.is_fresh(&c.user, (&c.nonce, made), &c.cnonce, count, now) {
            // RFC 7616 §3.4.6: whoever knows the password tries again, a replay cannot.
            return Check::Challenge { stale: true };
        }
        Check::Proved { user: c.user, uri: c.uri }
    }

    fn ha1(&self, user: &str, algorithm: Algorithm) -> Option<String> {
        match &self.users {
            Users::Shared { password } => {
                let extension =
                    (2..=6).contains(&user.len()) && user.bytes().all(|b| b.is_ascii_digit());
                extension.then(|| algorithm.hex(&format!("{user}:{}:{password}", self.realm)))
            }
            Users::Table(table) => {
                let known = table.get(user)?;
                match algorithm {
                    Algorithm::Md5 => known.md5.clone(),
                    Algorithm::Sha256 => known.sha256.clone(),
                }
            }
            Users::None => None,
        }
    }
}
