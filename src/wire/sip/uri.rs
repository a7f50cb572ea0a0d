//! SIP and SIPS URIs (RFC 3261 §19.1), tel URIs (RFC 3966), and any other scheme opaquely.

use super::Params;
use super::text::{is_host, trim};
use crate::wire::limits;
use std::fmt;
use std::net::IpAddr;

/// Parameters that count in every comparison (§19.1.4).
const STEERING: [&str; 5] = ["user", "ttl", "method", "maddr", "transport"];

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
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(trim(text)).ok()?;
        let printable = text.bytes().all(|b| b > b' ' && b != 0x7f && !b"<>\"".contains(&b));
        if text.len() > limits::URI || !printable {
            return None;
        }
        let (scheme, rest) = text.split_once(':')?;
        let alpha = |b: u8| b.is_ascii_alphanumeric() || b"+-.".contains(&b);
        if !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) || !scheme.bytes().all(alpha) {
            return None;
        }
        match scheme.to_ascii_lowercase().as_str() {
            "sip" => Self::parse_sip(Scheme::Sip, rest),
            "sips" => Self::parse_sip(Scheme::Sips, rest),
            "tel" => Self::parse_tel(rest),
            _ => (!rest.is_empty()).then(|| Self {
                scheme: Scheme::Other(scheme.into()),
                user: None,
                password: None,
                host: rest.to_owned(),
                port: None,
                params: Params::default(),
                headers: None,
            }),
        }
    }

    fn parse_sip(scheme: Scheme, rest: &str) -> Option<Self> {
        if !escapes_are_whole(rest) {
            return None;
        }
        // The first '@' ends the user part: users may hold ';' and '?', nothing may hold an '@'.
        let (userinfo, hostpart) = match rest.find('@') {
            Some(at) => (Some(rest.get(..at)?), rest.get(at + 1..)?),
            None => (None, rest),
        };
        if hostpart.contains('@') {
            return None;
        }
        let (user, password) = match userinfo {
            Some(info) => {
                let (user, password) = match info.split_once(':') {
                    Some((user, password)) => (user, Some(password.to_owned())),
                    None => (info, None),
                };
                if user.is_empty() {
                    return None;
                }
                (Some(user.to_owned()), password)
            }
            None => (None, None),
        };
        let (hostpart, headers) = match hostpart.split_once('?') {
            Some((host, headers)) => (host, Some(headers.to_owned())),
            None => (hostpart, None),
        };
        let named = |h: &str| h.split_once('=').is_some_and(|(name, _)| !name.is_empty());
        let few = |all: &str| all.split('&').nth(limits::URI_HEADERS).is_none();
        if headers.as_deref().is_some_and(|all| !few(all) || !all.split('&').all(named)) {
            return None;
        }
        let (hostport, params) = match hostpart.find(';') {
            Some(at) => (hostpart.get(..at)?, hostpart.get(at..)?),
            None => (hostpart, ""),
        };
        let (host, port) = split_port(hostport)?;
        let params = Params::parse(params.as_bytes(), false)?;
        // What steers a request must not be readable in two ways (§19.1.1: once only).
        if STEERING.into_iter().any(|name| params.is_double(name)) {
            return None;
        }
        is_host(host.as_bytes()).then(|| Self {
            scheme,
            user,
            password,
            host: host.to_owned(),
            port,
            params,
            headers,
        })
    }

    fn parse_tel(rest: &str) -> Option<Self> {
        let (number, params) = match rest.find(';') {
            Some(at) => (rest.get(..at)?, rest.get(at..)?),
            None => (rest, ""),
        };
        if number.is_empty() {
            return None;
        }
        Some(Self {
            scheme: Scheme::Tel,
            user: Some(number.to_owned()),
            password: None,
            host: String::new(),
            port: None,
            params: Params::parse(params.as_bytes(), false)?,
            headers: None,
        })
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
        let text = self.host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        let ip: IpAddr = text.unwrap_or(&self.host).replacen(":::", "::", 1).parse().ok()?;
        Some(ip.to_canonical())
    }

    /// User part with percent-escapes decoded; `None` without a user or when not UTF-8.
    #[must_use]
    pub fn user_decoded(&self) -> Option<String> {
        let user = self.user.as_deref()?.as_bytes();
        let mut out = Vec::with_capacity(user.len());
        let mut i = 0;
        while let Some(b) = user.get(i) {
            let hex = |n: usize| user.get(i + n).and_then(|c| char::from(*c).to_digit(16));
            match (*b, hex(1), hex(2)) {
                (b'%', Some(h), Some(l)) => {
                    out.push(u8::try_from(h * 16 + l).ok()?);
                    i += 3;
                }
                _ => {
                    out.push(*b);
                    i += 1;
                }
            }
        }
        String::from_utf8(out).ok()
    }

    /// Equality by RFC 3261 §19.1.4; opaque URIs are equal when they are the same text.
    #[must_use]
    pub fn equivalent(&self, other: &Self) -> bool {
        let same = |name: &str| {
            let (a, b) = (self.params.get(name), other.params.get(name));
            a.map(str::to_ascii_lowercase) == b.map(str::to_ascii_lowercase)
        };
        let both = self.params.0.iter().all(|(name, value)| {
            other
                .params
                .get(name)
                .is_none_or(|v| v.eq_ignore_ascii_case(value.as_deref().unwrap_or_default()))
        });
        let host = match self.scheme {
            Scheme::Sip | Scheme::Sips | Scheme::Tel => self.host.eq_ignore_ascii_case(&other.host),
            Scheme::Other(_) => self.host == other.host,
        };
        self.scheme == other.scheme
            && host
            && self.user.as_deref().map(unescaped) == other.user.as_deref().map(unescaped)
            && self.password.as_deref().map(unescaped) == other.password.as_deref().map(unescaped)
            && self.port == other.port
            && self.headers == other.headers
            && STEERING.into_iter().all(same)
            && both
    }
}

/// Escapes that say nothing undone, the others in upper case: `%61%3b` and `a%3B` are the same,
/// `%3B` and `;` are not.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        out.push_str(rest.get(..at).unwrap_or_default());
        let code = rest.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match code {
            Some(b) if b.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&b) => {
                out.push(char::from(b));
            }
            Some(b) => out.push_str(&format!("%{b:02X}")),
            None => out.push('%'),
        }
        let taken = if code.is_some() { at + 3 } else { at + 1 };
        rest = rest.get(taken..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// `host` or `host:port`; brackets protect colons.
pub(crate) fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    let end = if text.starts_with('[') { text.find(']')? + 1 } else { 0 };
    match text.get(end..)?.find(':') {
        Some(at) => {
            let (host, port) = text.split_at_checked(end + at)?;
            let port = port.get(1..)?.trim();
            let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
            if !digits {
                return None;
            }
            Some((host.trim_end(), Some(port.parse().ok()?)))
        }
        None => Some((text, None)),
    }
}

fn escapes_are_whole(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.iter().enumerate().filter(|(_, b)| **b == b'%').all(|(i, _)| {
        let hex = |n: usize| bytes.get(i + n).is_some_and(u8::is_ascii_hexdigit);
        hex(1) && hex(2)
    })
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.scheme {
            Scheme::Sip => f.write_str("sip:")?,
            Scheme::Sips => f.write_str("sips:")?,
            Scheme::Tel => {
                return write!(
                    f,
                    "tel:{}{}",
                    self.user.as_deref().unwrap_or_default(),
                    self.params
                );
            }
            Scheme::Other(scheme) => return write!(f, "{scheme}:{}", self.host),
        }
        if let Some(user) = &self.user {
            f.write_str(user)?;
            if let Some(password) = &self.password {
                write!(f, ":{password}")?;
            }
            f.write_str("@")?;
        }
        f.write_str(&self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        write!(f, "{}", self.params)?;
        if let Some(headers) = &self.headers {
            write!(f, "?{headers}")?;
        }
        Ok(())
    }
}
