//! The HTTP proxy that a tunnel goes through where it goes by TCP. Whom that believes is its own
//! affair.

use super::super::Target;
use super::Place;
use crate::wire::sip::unescape;
use std::fmt;

/// The HTTP proxy that a site's tunnel goes through where it goes by TCP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// `HTTPS_PROXY` says it.
    pub is_of_environment: bool,
    /// Where it is.
    pub place: Place,
    /// Who we are to it.
    pub user: Option<String>,
    /// From `HTTPS_PROXY`.
    pub password: Option<Secret>,
    /// The file whose first line it is.
    pub password_file: Option<String>,
    /// How it may ask who we are; `None`: as it does, but never with the password in clear where it
    /// has asked for a digest before.
    pub auth: Option<ProxyAuth>,
}

/// How a proxy may ask who we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyAuth {
    /// By Digest alone (RFC 7616).
    Digest,
    /// By Basic (RFC 7617), which shows the password to whoever listens.
    Basic,
}

impl ProxyAuth {
    /// As the file has it.
    pub(super) const WORDS: [(&'static str, Self); 2] =
        [("digest", Self::Digest), ("basic", Self::Basic)];

    /// In a word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Digest => "digest",
            Self::Basic => "basic",
        }
    }
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Proxy {
    /// `http://[USER[:PASSWORD]@]HOST[:PORT]`; `None`: it is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("http://")?.trim_end_matches('/');
        let (account, place) = match rest.rsplit_once('@') {
            Some((account, place)) => (Some(account), place),
            None => (None, rest),
        };
        let target = Target::parse(place).filter(|t| t.transport.is_none())?;
        let place = Place { host: target.host, port: target.port.unwrap_or(3128) };
        let (user, password) = match account.map(|a| a.split_once(':').unwrap_or((a, ""))) {
            Some((user, password)) => (Some(unescape(user)), Some(Secret(unescape(password)))),
            None => (None, None),
        };
        let (is_of_environment, password_file, auth) = (false, None, None);
        Some(Self { is_of_environment, place, user, password, password_file, auth })
    }
}
