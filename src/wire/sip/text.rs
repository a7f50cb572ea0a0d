//! Character classes and list splitting shared by the header readers (RFC 3261 §25.1).

use crate::wire::addresses::without_zone;
use crate::wire::limits;

/// Trims spaces and tabs.
pub(crate) fn trim(value: &[u8]) -> &[u8] {
    let start = value.iter().position(|b| !is_blank(*b)).unwrap_or(value.len());
    let end = value.iter().rposition(|b| !is_blank(*b)).map_or(start, |i| i + 1);
    value.get(start..end).unwrap_or_default()
}

fn is_blank(b: u8) -> bool {
    b == b' ' || b == b'\t'
}

/// What an octet may be part of: one bit a class, and one table for all, for every octet of every
/// message is asked.
#[derive(Clone, Copy)]
pub(crate) struct Class(u8);

impl Class {
    /// token (§25.1).
    pub(crate) const TOKEN: Self = Self(1);
    /// The value of a parameter, when it is not quoted.
    pub(crate) const VALUE: Self = Self(2);
    /// Labels of a host name. Underscores are in use.
    const LABEL: Self = Self(4);
    /// What no URI holds as it is.
    pub(crate) const NOT_IN_URI: Self = Self(8);
    pub(crate) const PERCENT: Self = Self(16);
    pub(crate) const AT: Self = Self(32);

    /// Whether an octet is of it.
    pub(crate) fn holds(self, b: u8) -> bool {
        self.is_in(CLASSES[usize::from(b)])
    }

    /// Whether it is among those of a text.
    pub(crate) fn is_in(self, classes: u8) -> bool {
        self.0 & classes != 0
    }

    const fn of(b: u8) -> u8 {
        let alnum = b.is_ascii_alphanumeric();
        let mut all = 0;
        if alnum
            || matches!(b, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~')
        {
            all |= Self::TOKEN.0;
        }
        if b.is_ascii_graphic() && !matches!(b, b'"' | b',' | b';' | b'<' | b'>') {
            all |= Self::VALUE.0;
        }
        if alnum || matches!(b, b'-' | b'_') {
            all |= Self::LABEL.0;
        }
        if b <= b' ' || matches!(b, 0x7f | b'<' | b'>' | b'"') {
            all |= Self::NOT_IN_URI.0;
        }
        match b {
            b'%' => all | Self::PERCENT.0,
            b'@' => all | Self::AT.0,
            _ => all,
        }
    }
}

/// The classes of every octet.
static CLASSES: [u8; 256] = {
    let mut all = [0; 256];
    let mut b = 0_u8;
    loop {
        all[b as usize] = Class::of(b);
        if b == u8::MAX {
            break all;
        }
        b += 1;
    }
};

/// All classes that octets of a text are of.
pub(crate) fn classes(text: &[u8]) -> u8 {
    text.iter().fold(0, |all, b| all | CLASSES[usize::from(*b)])
}

/// What stands before the first `at`, an ASCII octet, and what behind it.
pub(crate) fn split(text: &str, at: u8) -> Option<(&str, &str)> {
    let i = memchr::memchr(at, text.as_bytes())?;
    Some((text.get(..i)?, text.get(i + 1..)?))
}

/// A non-empty token.
pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|b| is_token_char(*b))
}

pub(crate) fn is_token_char(b: u8) -> bool {
    Class::TOKEN.holds(b)
}

/// A host: name, IPv4 address or bracketed IPv6 reference.
pub(crate) fn is_host(text: &[u8]) -> bool {
    match text.strip_prefix(b"[") {
        Some(rest) => rest.strip_suffix(b"]").is_some_and(|v6| {
            let text = without_zone(std::str::from_utf8(v6).unwrap_or_default());
            text.parse::<std::net::Ipv6Addr>().is_ok() || is_loose_v6(text)
        }),
        None => is_name(text) || is_v4(text),
    }
}

/// A host name by RFC 1123 §2.1, with the dot of the root behind it or without. Underscores are in
/// use. A name that ends in a number would be an address to some readers (RFC 3696 §2).
fn is_name(text: &[u8]) -> bool {
    let name = text.strip_suffix(b".").unwrap_or(text);
    let (mut len, mut number, mut last) = (0, true, b'.');
    for b in name {
        match b {
            b'.' if len == 0 || last == b'-' => return false,
            b'.' => (len, number) = (0, true),
            b'-' if len == 0 => return false,
            b if !Class::LABEL.holds(*b) || len == limits::HOST_LABEL => return false,
            b => {
                len += 1;
                number &= b.is_ascii_digit();
            }
        }
        last = *b;
    }
    name.len() <= limits::HOST && len > 0 && last != b'-' && !number
}

/// Four numbers without leading zeros, which some readers take for octal.
fn is_v4(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|t| t.parse::<std::net::Ipv4Addr>().is_ok())
}

/// RFC 5118 §4.10: some senders write three colons where two are meant.
fn is_loose_v6(text: &str) -> bool {
    text.replacen(":::", "::", 1).parse::<std::net::Ipv6Addr>().is_ok()
}

/// Where the next `what` stands outside quotes and angle brackets.
pub(crate) fn find_outside(value: &[u8], what: u8) -> Option<usize> {
    let plain = value.iter().position(|b| *b == what || matches!(b, b'"' | b'<'))?;
    if value.get(plain) == Some(&what) {
        return Some(plain);
    }
    let (mut quoted, mut angle, mut escaped) = (false, false, false);
    for (i, b) in value.iter().enumerate().skip(plain) {
        if escaped {
            escaped = false;
        } else if quoted {
            match b {
                b'\\' => escaped = true,
                b'"' => quoted = false,
                _ => {}
            }
        } else {
            match b {
                b'"' if !angle => quoted = true,
                b'<' => angle = true,
                b'>' => angle = false,
                b if *b == what && !angle => return Some(i),
                _ => {}
            }
        }
    }
    None
}

/// Splits at commas outside quotes and angle brackets; empty elements are kept.
pub(crate) fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let value = rest?;
        let at = find_outside(value, b',');
        rest = at.and_then(|at| value.get(at + 1..));
        value.get(..at.unwrap_or(value.len())).map(trim)
    })
}

/// The values of a list; empty elements are left out.
pub(crate) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    elements(value).filter(|item| !item.is_empty())
}

/// Text for people to read: UTF-8, else the Latin-1 that old phones write.
pub(crate) fn text_of(value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(text) => text.to_owned(),
        Err(_) => value.iter().map(|b| char::from(*b)).collect(),
    }
}
