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
        Some(Self { is_of_environment: false, place, user, password, password_file: None })
    }
}
