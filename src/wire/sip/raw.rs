//! Fields as they stand in a message: read and checked, nothing copied. Most readers only want to
//! know that a field is whole, or one thing of it; [`Params`], [`Uri`], [`NameAddr`] and [`Via`]
//! are what is kept of one.

use super::text::{Class, classes, find_outside, is_host, is_token, split, text_of, trim};
use super::uri::{octets, split_port};
use super::{NameAddr, Params, Scheme, Uri, Via};
use crate::wire::limits;
use smallvec::SmallVec;

/// Parameters that count in every comparison of URIs (§19.1.4).
pub(super) const STEERING: [&str; 5] = ["user", "ttl", "method", "maddr", "transport"];

/// A name and its value, if it has one.
type RawParam<'a> = (&'a str, Option<&'a [u8]>);

/// `;name=value` parameters.
#[derive(Debug, Default)]
pub(crate) struct RawParams<'a>(SmallVec<[RawParam<'a>; 4]>);

impl<'a> RawParams<'a> {
    /// Reads what follows the first `;` (leading `;` included); `None` when it is broken, or more
    /// than [`limits::PARAMS`].
    pub(super) fn read(text: &'a [u8], strict: bool) -> Option<Self> {
        let mut all = SmallVec::new();
        let mut rest = trim(text);
        while let Some(after) = rest.strip_prefix(b";") {
            let end = find_outside(after, b';').unwrap_or(after.len());
            let (item, next) = after.split_at_checked(end)?;
            rest = next;
            let item = trim(item);
            if item.is_empty() {
                continue;
            }
            let (name, value) = match find_outside(item, b'=') {
                Some(at) => (trim(item.get(..at)?), Some(trim(item.get(at + 1..)?))),
                None => (item, None),
            };
            if name.is_empty() {
                return None;
            }
            if strict && (!is_token(name) || value.is_some_and(|v| !is_value(v))) {
                return None;
            }
            let name = std::str::from_utf8(name).ok()?;
            if all.len() >= limits::PARAMS {
                return None;
            }
            all.push((name, value));
        }
        rest.is_empty().then_some(Self(all))
    }

    /// Value of `name`: `None` absent, `Some(b"")` present without a value.
    pub(crate) fn get(&self, name: &str) -> Option<&'a [u8]> {
        let found = self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, v)| v.unwrap_or_default())
    }

    /// True when one of `names` stands more than once: two readers may take two values (§7.3.1).
    pub(super) fn is_any_double(&self, names: &[&str]) -> bool {
        let is_double = |name: &&str| {
            self.0.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).nth(1).is_some()
        };
        self.0.len() > 1 && names.iter().any(is_double)
    }

    /// To be kept.
    pub(super) fn owned(&self) -> Params {
        let one = |(name, value): &RawParam<'_>| ((*name).into(), value.map(|v| text_of(v).into()));
        Params(self.0.iter().map(one).collect())
    }
}

/// token / host / quoted-string.
fn is_value(value: &[u8]) -> bool {
    if let Some(inner) = value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\"")) {
        let mut escaped = false;
        for b in inner {
            match b {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => return false,
                _ => {}
            }
        }
        return !escaped;
    }
    // All that a token and a host are made of, and more. Some phones leave IPv6 `received` without
    // brackets (RFC 5118 §4.5).
    value.iter().all(|b| Class::VALUE.holds(*b))
}

/// The scheme of a URI.
#[derive(Clone, Copy, Debug)]
enum RawScheme<'a> {
    Sip,
    Sips,
    Tel,
    Other(&'a str),
}

/// A URI.
#[derive(Debug)]
pub(crate) struct RawUri<'a> {
    scheme: RawScheme<'a>,
    user: Option<&'a str>,
    password: Option<&'a str>,
    pub(crate) host: &'a str,
    port: Option<u16>,
    params: RawParams<'a>,
    headers: Option<&'a str>,
}

impl<'a> RawUri<'a> {
    fn new(scheme: RawScheme<'a>, host: &'a str) -> Self {
        let params = RawParams::default();
        Self { scheme, user: None, password: None, host, port: None, params, headers: None }
    }

    /// Reads a URI of at most 2,048 octets; `None` when it is broken.
    pub(crate) fn read(text: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(trim(text)).ok()?;
        let all = classes(text.as_bytes());
        if text.len() > limits::URI || Class::NOT_IN_URI.is_in(all) {
            return None;
        }
        let (scheme, rest) = split(text, b':')?;
        if !scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            || !scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
        {
            return None;
        }
        let whole = |uri: &Self| !Class::PERCENT.is_in(all) || escapes_are_whole(rest, uri.host);
        if scheme.eq_ignore_ascii_case("sip") {
            Self::read_sip(RawScheme::Sip, rest).filter(whole)
        } else if scheme.eq_ignore_ascii_case("sips") {
            Self::read_sip(RawScheme::Sips, rest).filter(whole)
        } else if scheme.eq_ignore_ascii_case("tel") {
            Self::read_tel(rest).filter(whole)
        } else {
            (!rest.is_empty()).then(|| Self::new(RawScheme::Other(scheme), rest))
        }
    }

    fn read_sip(scheme: RawScheme<'a>, rest: &'a str) -> Option<Self> {
        // The first '@' ends the user part: users may hold ';' and '?', nothing may hold an '@'.
        let (userinfo, hostpart) = match split(rest, b'@') {
            Some((userinfo, hostpart)) => (Some(userinfo), hostpart),
            None => (None, rest),
        };
        let (user, password) = match userinfo {
            Some(info) => match split(info, b':') {
                Some((user, password)) => (Some(user), Some(password)),
                None => (Some(info), None),
            },
            None => (None, None),
        };
        if user.is_some_and(str::is_empty) {
            return None;
        }
        let within = classes(hostpart.as_bytes());
        if Class::AT.is_in(within) {
            return None;
        }
        let (hostpart, headers) = match split(hostpart, b'?') {
            Some((host, headers)) => (host, Some(headers)),
            None => (hostpart, None),
        };
        let named = |h: &str| h.split_once('=').is_some_and(|(name, _)| !name.is_empty());
        let few = |all: &str| all.split('&').nth(limits::URI_HEADERS).is_none();
        if headers.is_some_and(|all| !few(all) || !all.split('&').all(named)) {
            return None;
        }
        let end = memchr::memchr(b';', hostpart.as_bytes()).unwrap_or(hostpart.len());
        let (hostport, params) = hostpart.split_at_checked(end)?;
        let (host, port) = split_port(hostport)?;
        let params = RawParams::read(params.as_bytes(), false)?;
        // What steers a request must not be readable in two ways (§19.1.1: once only).
        if params.is_any_double(&STEERING) {
            return None;
        }
        is_host(host.as_bytes()).then_some(Self {
            scheme,
            user,
            password,
            host,
            port,
            params,
            headers,
        })
    }

    fn read_tel(rest: &'a str) -> Option<Self> {
        let end = memchr::memchr(b';', rest.as_bytes()).unwrap_or(rest.len());
        let (number, params) = rest.split_at_checked(end)?;
        // RFC 3966 §3. What would be a host, a port or headers in a SIP URI has no place in a
        // number: who makes one of the other (RFC 3261 §19.1.6) would read another host.
        if number.is_empty() || number.contains(['@', ':', '/', '?', '&', '\\']) {
            return None;
        }
        if params.contains(['@', '?']) {
            return None;
        }
        let params = RawParams::read(params.as_bytes(), false)?;
        Some(Self { user: Some(number), params, ..Self::new(RawScheme::Tel, "") })
    }

    /// True for `sip:` and `sips:`.
    pub(crate) fn is_sip(&self) -> bool {
        matches!(self.scheme, RawScheme::Sip | RawScheme::Sips)
    }

    /// As [`Uri::user_decoded`].
    pub(crate) fn user_decoded(&self) -> Option<String> {
        String::from_utf8(octets(self.user?)).ok()
    }

    /// To be kept.
    pub(crate) fn owned(&self) -> Uri {
        Uri {
            scheme: match self.scheme {
                RawScheme::Sip => Scheme::Sip,
                RawScheme::Sips => Scheme::Sips,
                RawScheme::Tel => Scheme::Tel,
                RawScheme::Other(scheme) => Scheme::Other(scheme.into()),
            },
            user: self.user.map(str::to_owned),
            password: self.password.map(str::to_owned),
            host: self.host.to_owned(),
            port: self.port,
            params: self.params.owned(),
            headers: self.headers.map(str::to_owned),
        }
    }
}

/// But for the one in a host, which names the link of a link-local address.
fn escapes_are_whole(text: &str, host: &str) -> bool {
    if host.contains('%') {
        let around = text.split_once(host);
        return around.is_some_and(|(a, b)| escapes_are_whole(a, "") && escapes_are_whole(b, ""));
    }
    let bytes = text.as_bytes();
    bytes.iter().enumerate().filter(|(_, b)| **b == b'%').all(|(i, _)| {
        let hex = |n: usize| bytes.get(i + n).is_some_and(u8::is_ascii_hexdigit);
        hex(1) && hex(2)
    })
}

/// A name-addr or addr-spec value.
#[derive(Debug)]
pub(crate) struct RawNameAddr<'a> {
    display: Option<&'a [u8]>,
    pub(crate) uri: RawUri<'a>,
    pub(crate) params: RawParams<'a>,
}

impl<'a> RawNameAddr<'a> {
    /// Reads one value (no list); `None` when it is broken. `Contact: *` is not one.
    pub(crate) fn read(value: &'a [u8]) -> Option<Self> {
        let value = trim(value);
        if let Some(rest) = value.strip_prefix(b"\"") {
            let end = closing_quote(rest)?;
            let display = value.get(..end + 2)?;
            let after = trim(rest.get(end + 1..)?);
            return Self::bracketed(Some(display), after.strip_prefix(b"<")?);
        }
        match memchr::memchr(b'<', value) {
            Some(at) => {
                let display = trim(value.get(..at)?);
                let words = |t: &[u8]| t.split(|b| *b == b' ' || *b == b'\t').all(is_word);
                if !display.is_empty() && !words(display) {
                    return None;
                }
                let display = (!display.is_empty()).then_some(display);
                Self::bracketed(display, value.get(at + 1..)?)
            }
            None => {
                // Without brackets, what follows ';' belongs to the header, '?' is not allowed.
                let end = memchr::memchr(b';', value).unwrap_or(value.len());
                let (uri, params) = value.split_at_checked(end)?;
                if uri.contains(&b'?') || uri.contains(&b',') {
                    return None;
                }
                let uri = RawUri::read(uri)?;
                let params = RawParams::read(params, true)?;
                // `sip:user;x=y@host`: is the host `user` or `host`? Brackets would have told.
                let unclear = |v: &[u8]| v.contains(&b'@') && !v.starts_with(b"\"");
                if params.0.iter().any(|(_, v)| v.is_some_and(unclear)) {
                    return None;
                }
                Some(Self { display: None, uri, params })
            }
        }
    }

    fn bracketed(display: Option<&'a [u8]>, rest: &'a [u8]) -> Option<Self> {
        let end = memchr::memchr(b'>', rest)?;
        let uri = rest.get(..end)?;
        // RFC 4475 §3.1.2.14: spaces within the brackets are not allowed.
        if uri.iter().any(|b| *b == b' ' || *b == b'\t') {
            return None;
        }
        Some(Self {
            display,
            uri: RawUri::read(uri)?,
            params: RawParams::read(rest.get(end + 1..)?, true)?,
        })
    }

    /// The `tag` parameter, as it was written; an empty one is none.
    pub(super) fn tag(&self) -> Option<Box<str>> {
        self.params.get("tag").filter(|t| !t.is_empty()).map(|t| text_of(t).into())
    }

    /// To be kept.
    pub(crate) fn owned(&self) -> NameAddr {
        NameAddr {
            display: self.display.map(text_of),
            uri: self.uri.owned(),
            params: self.params.owned(),
        }
    }
}

/// Where the quoted string ends (the index of its closing quote).
fn closing_quote(rest: &[u8]) -> Option<usize> {
    let mut escaped = false;
    for (i, b) in rest.iter().enumerate() {
        match b {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(i),
            _ => {}
        }
    }
    None
}

/// A word of an unquoted display name. Tokens by the grammar; phones write UTF-8 and Latin-1 too.
fn is_word(word: &[u8]) -> bool {
    word.is_empty()
        || is_token(word)
        || word.iter().all(|b| *b >= 0x80 || (b.is_ascii_graphic() && !b"\"<>,;@".contains(b)))
}

/// A Via value.
#[derive(Debug)]
pub(crate) struct RawVia<'a> {
    transport: &'a str,
    pub(crate) host: &'a str,
    pub(crate) port: Option<u16>,
    pub(crate) params: RawParams<'a>,
}

impl<'a> RawVia<'a> {
    /// Reads one value (no list); `None` when it is broken.
    pub(crate) fn read(value: &'a [u8]) -> Option<Self> {
        let value = trim(value);
        let end = memchr::memchr(b';', value).unwrap_or(value.len());
        let (head, params) = value.split_at_checked(end)?;
        let head = std::str::from_utf8(head).ok()?;
        let (name, rest) = split(head, b'/')?;
        let (version, rest) = split(rest, b'/')?;
        let blank = [' ', '\t'];
        if !name.trim().eq_ignore_ascii_case("SIP") || version.trim() != "2.0" {
            return None;
        }
        let rest = rest.trim_start_matches(blank);
        let (transport, sent_by) = rest.split_once(blank)?;
        let sent_by = sent_by.trim_matches(blank);
        let (host, port) = split_port(sent_by)?;
        let host = host.trim_end_matches(blank);
        let fine = is_token(transport.as_bytes()) && is_host(host.as_bytes());
        fine.then_some(())?;
        Some(Self { transport, host, port, params: RawParams::read(params, true)? })
    }

    /// To be kept.
    pub(crate) fn owned(&self) -> Via {
        Via {
            transport: self.transport.to_owned(),
            host: self.host.to_owned(),
            port: self.port,
            params: self.params.owned(),
        }
    }
}
