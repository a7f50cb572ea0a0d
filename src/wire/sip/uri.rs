//! SIP and SIPS URIs (RFC 3261 §19.1), tel URIs (RFC 3966), and any other scheme opaquely.
use super::Params;
use std::fmt;
use std::net::IpAddr;

/// URI scheme.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the schemes")]
pub enum Scheme {
    Sip,
    Sips,
    Tel,
    /// Anything else; `Uri::host` then holds the rest of the URI opaquely.
    Other(Box<str>),
}

/// A URI. print(parse(x)) keeps every octet that has a meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uri {
    /// Scheme.
    pub scheme: Scheme,
    /// User part as written, still percent-encoded, without password (`tel:` has its number here).
    pub user: Option<String>,
    /// Password as written.
    pub password: Option<String>,
    /// Host as written; an IPv6 reference with its brackets.
    pub host: String,
    /// Port.
    pub port: Option<u16>,
    /// URI parameters.
    pub params: Params,
    /// What follows `?`, as written.
    pub headers: Option<String>,
}

impl Uri {
    /// Reads a URI of at most 2,048 octets; `None` when it is broken.
    #[must_use]
    pub fn parse(_text: &[u8]) -> Option<Self> {
        todo!()
    }
    /// `sip:user@host:port`.
    #[must_use]
    pub fn sip(user: Option<&str>, host: &str, port: Option<u16>) -> Self {
        Self {
            scheme: Scheme::Sip,
            user: user.map(str::to_owned),
            password: None,
            host: host.to_owned(),
            port,
            params: Params::default(),
            headers: None,
        }
    }
    /// The host as an address when it is a literal (IPv6 brackets taken off, mapped unmapped).
    #[must_use]
    pub fn host_ip(&self) -> Option<IpAddr> {
        todo!()
    }
    /// User part with percent-escapes decoded; `None` without a user or when not UTF-8.
    #[must_use]
    pub fn user_decoded(&self) -> Option<String> {
        todo!()
    }
    /// Equality by RFC 3261 §19.1.4.
    #[must_use]
    pub fn equivalent(&self, _other: &Self) -> bool {
        todo!()
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}
