//! SIP and SIPS URIs (RFC 3261 §19.1), tel URIs (RFC 3966), and any other scheme opaquely.

use super::Params;
use super::raw::{RawUri, STEERING};
use super::text::split;
use crate::wire::addresses::without_zone;
use std::fmt::{self, Write as _};
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
    pub fn parse(text: &[u8]) -> Option<Self> {
        RawUri::read(text).map(|uri| uri.owned())
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

    /// The same by TLS on every hop: SIPS knows no other way (RFC 5630 §3.1.3).
    #[must_use]
    pub fn secured(mut self) -> Self {
        self.scheme = Scheme::Sips;
        self.params.remove("transport");
        self
    }

    /// The host as an address when it is a literal (IPv6 brackets taken off, mapped unmapped).
    #[must_use]
    pub fn host_ip(&self) -> Option<IpAddr> {
        host_ip(&self.host)
    }

    /// User part with percent-escapes decoded; `None` without a user or when not UTF-8.
    #[must_use]
    pub fn user_decoded(&self) -> Option<String> {
        String::from_utf8(octets(self.user.as_deref()?)).ok()
    }

    /// A user part that reads as `user`: what may not stand in one is escaped (RFC 3261 §19.1.2,
    /// §25.1), and so is `;`, behind which parameters of a number would be read (§19.1.6).
    #[must_use]
    pub fn escape_user(user: &str) -> String {
        Self::escaped(user, b"-_.!~*'()&=+$,?/")
    }

    /// With these characters and alphanumerics as they are.
    fn escaped(user: &str, plain: &[u8]) -> String {
        let mut out = String::with_capacity(user.len());
        for b in user.bytes() {
            if b.is_ascii_alphanumeric() || plain.contains(&b) {
                out.push(char::from(b));
            } else {
                let _ = write!(out, "%{b:02X}");
            }
        }
        out
    }

    /// Puts another user or number where the present one stands, escaped; parameters within the
    /// user part stay. A number that is global needs no `phone-context`, and may have none
    /// (RFC 3966 §5.1.5).
    pub fn set_number(&mut self, number: &str) {
        let old = self.user.as_deref().unwrap_or_default();
        let is_context = |name: &str| {
            number.starts_with('+') && name.trim().eq_ignore_ascii_case("phone-context")
        };
        let kept = |p: &&str| !is_context(p.split('=').next().unwrap_or_default());
        // What a number of RFC 3966 may not have is escaped in one.
        let mut user = match self.scheme {
            Scheme::Tel => Self::escaped(number, b"-_.!~*'()=+$,"),
            Scheme::Sip | Scheme::Sips | Scheme::Other(_) => Self::escape_user(number),
        };
        for param in old.split(';').skip(1).filter(kept) {
            user.push(';');
            user.push_str(param);
        }
        if self.scheme == Scheme::Tel {
            self.params.0.retain(|(name, _)| !is_context(name));
        }
        self.user = Some(user);
    }

    /// `urn:service:sos` and its children (RFC 5031 §4.2).
    #[must_use]
    pub fn is_emergency_service(&self) -> bool {
        let Scheme::Other(scheme) = &self.scheme else { return false };
        let name = self.host.to_ascii_lowercase();
        // RFC 5031 §4.2: labels are of letters, digits and hyphens.
        let is_label =
            |l: &str| !l.is_empty() && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let mut labels = name.strip_prefix("service:").unwrap_or_default().split('.');
        let child = labels.next() == Some("sos") && labels.all(is_label);
        scheme.eq_ignore_ascii_case("urn") && child
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
            && self.user.as_deref().map(comparable) == other.user.as_deref().map(comparable)
            && self.password.as_deref().map(comparable) == other.password.as_deref().map(comparable)
            && self.port == other.port
            && self.headers == other.headers
            && STEERING.into_iter().all(same)
            && both
    }
}

/// Escapes undone; what is no escape stays.
pub(super) fn octets(text: &str) -> Vec<u8> {
    let text = text.as_bytes();
    if memchr::memchr(b'%', text).is_none() {
        return text.to_vec();
    }
    let mut out = Vec::with_capacity(text.len());
    let mut i = 0;
    while let Some(b) = text.get(i) {
        let hex = |n: usize| text.get(i + n).and_then(|c| char::from(*c).to_digit(16));
        let code = match (*b, hex(1), hex(2)) {
            (b'%', Some(high), Some(low)) => u8::try_from(high * 16 + low).ok(),
            _ => None,
        };
        out.push(code.unwrap_or(*b));
        i += if code.is_some() { 3 } else { 1 };
    }
    out
}

/// Escapes undone; what is no UTF-8 then becomes U+FFFD.
#[must_use]
pub fn unescape(text: &str) -> String {
    match memchr::memchr(b'%', text.as_bytes()) {
        Some(_) => String::from_utf8_lossy(&octets(text)).into_owned(),
        None => text.to_owned(),
    }
}

/// Escapes that say nothing undone, the others in upper case: `%61%3b` and `a%3B` are the same,
/// `%3B` and `;` are not.
fn comparable(text: &str) -> String {
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

/// A host as an address, where it is a literal (IPv6 brackets taken off, mapped unmapped).
pub(crate) fn host_ip(host: &str) -> Option<IpAddr> {
    let within = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let text = within.unwrap_or(host);
    // Names are many, and begin as no address does.
    if !text.starts_with(|c: char| c.is_ascii_hexdigit() || c == ':') {
        return None;
    }
    let text = without_zone(text);
    let ip: IpAddr = match text.contains(":::") {
        true => text.replacen(":::", "::", 1).parse().ok()?,
        false => text.parse().ok()?,
    };
    Some(ip.to_canonical())
}

/// `host` or `host:port`; brackets protect colons.
pub(crate) fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    let end = if text.starts_with('[') { text.find(']')? + 1 } else { 0 };
    let (bracketed, rest) = text.split_at_checked(end)?;
    let Some((name, port)) = split(rest, b':') else { return Some((text, None)) };
    let host = text.get(..bracketed.len() + name.len())?;
    let port = port.trim();
    let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    if !digits {
        return None;
    }
    Some((host.trim_end(), Some(port.parse().ok()?)))
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.scheme {
            Scheme::Sip => f.write_str("sip:")?,
            Scheme::Sips => f.write_str("sips:")?,
            Scheme::Tel => {
                f.write_str("tel:")?;
                f.write_str(self.user.as_deref().unwrap_or_default())?;
                return self.params.fmt(f);
            }
            Scheme::Other(scheme) => return write!(f, "{scheme}:{}", self.host),
        }
        if let Some(user) = &self.user {
            f.write_str(user)?;
            if let Some(password) = &self.password {
                f.write_str(":")?;
                f.write_str(password)?;
            }
            f.write_str("@")?;
        }
        f.write_str(&self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        self.params.fmt(f)?;
        if let Some(headers) = &self.headers {
            f.write_str("?")?;
            f.write_str(headers)?;
        }
        Ok(())
    }
}
