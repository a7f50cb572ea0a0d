//! Character classes and list splitting shared by the header readers (RFC 3261 §25.1).

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

/// A non-empty token.
pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|b| is_token_char(*b))
}

pub(crate) fn is_token_char(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b)
}

/// A host: name, IPv4 address or bracketed IPv6 reference.
pub(crate) fn is_host(text: &[u8]) -> bool {
    match text.strip_prefix(b"[") {
        Some(rest) => rest.strip_suffix(b"]").is_some_and(|v6| {
            let text = std::str::from_utf8(v6).unwrap_or_default();
            text.parse::<std::net::Ipv6Addr>().is_ok() || is_loose_v6(text)
        }),
        None => is_name(text) || is_v4(text),
    }
}

/// A host name by RFC 1123 §2.1, with the dot of the root behind it or without. Underscores are in
/// use. A name that ends in a number would be an address to some readers (RFC 3696 §2).
fn is_name(text: &[u8]) -> bool {
    let name = text.strip_suffix(b".").unwrap_or(text);
    let of_label = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let is_label = |label: &[u8]| {
        (1..=limits::HOST_LABEL).contains(&label.len())
            && label.iter().all(of_label)
            && !label.starts_with(b"-")
            && !label.ends_with(b"-")
    };
    let mut last = name.rsplit(|b| *b == b'.');
    let number = last.next().is_some_and(|label| label.iter().all(u8::is_ascii_digit));
    name.len() <= limits::HOST && !number && name.split(|b| *b == b'.').all(is_label)
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
    let (mut quoted, mut angle, mut escaped) = (false, false, false);
    for (i, b) in value.iter().enumerate() {
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
