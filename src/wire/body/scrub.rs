//! Text in which the inside is named: told, and overwritten. Which addresses and domains are inside
//! is the caller's word.

use crate::wire::addresses::{find_names, find_written};
use std::borrow::Cow;
use std::net::IpAddr;
use std::ops::Range;

/// Times a text is looked through: what was overwritten can change how its neighbours read.
const PASSES: usize = 3;

/// Overwrites every address, however it is written, for which `hidden` says so; the brackets of an
/// IPv6 literal go with it, so `shown` is written as a URI's host is.
#[must_use]
pub fn scrub(body: &[u8], hidden: impl Fn(IpAddr) -> bool, shown: &str) -> Vec<u8> {
    let found = |text: &[u8]| -> Vec<Range<usize>> {
        find_written(text).filter(|(_, ip)| hidden(*ip)).map(|(range, _)| range).collect()
    };
    overwritten(body, found, shown)
}

/// As [`scrub`], of a URI's user part: a telephone number may be written with dashes, so that these
/// are read as an address's only where letters show that it is none.
#[must_use]
pub fn scrub_user(user: &[u8], hidden: impl Fn(IpAddr) -> bool, shown: &str) -> Vec<u8> {
    let number = is_number(user);
    let found = |text: &[u8]| -> Vec<Range<usize>> {
        let all = find_written(text).filter(|(_, ip)| hidden(*ip)).map(|(range, _)| range);
        all.filter(|range| !(number && text.get(range.clone()).is_some_and(is_dashed))).collect()
    };
    overwritten(user, found, shown)
}

/// No letter stands in it but those of escapes and parameters.
fn is_number(user: &[u8]) -> bool {
    let mut at = 0;
    while let Some(byte) = user.get(at).filter(|b| **b != b';') {
        at += match byte {
            b'%' => 3,
            byte if byte.is_ascii_alphabetic() => return false,
            _ => 1,
        };
    }
    true
}

fn is_dashed(address: &[u8]) -> bool {
    address.contains(&b'-') || address.windows(3).any(|e| e.eq_ignore_ascii_case(b"%2D"))
}

fn overwritten(body: &[u8], find: impl Fn(&[u8]) -> Vec<Range<usize>>, shown: &str) -> Vec<u8> {
    let mut text = body.to_vec();
    for _ in 0..PASSES {
        match scrubbed(&text, find(&text), shown) {
            Some(new) if new != text => text = new,
            Some(_) | None => break,
        }
    }
    text
}

/// One pass; `None`: there was nothing to hide.
fn scrubbed(text: &[u8], found: Vec<Range<usize>>, shown: &str) -> Option<Vec<u8>> {
    if found.is_empty() {
        return None;
    }
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    for range in found {
        // Within a chain of numbers literals overlap: the first hidden one takes its octets.
        if range.start < at {
            continue;
        }
        let before = text.get(at..range.start).unwrap_or_default();
        let bracketed = text.get(range.end) == Some(&b']');
        let (before, end) = match before.strip_suffix(b"[") {
            Some(before) if bracketed => (before, range.end + 1),
            Some(_) | None => (before, range.end),
        };
        out.extend_from_slice(before);
        out.extend_from_slice(shown.as_bytes());
        at = end;
    }
    out.extend_from_slice(text.get(at..).unwrap_or_default());
    Some(out)
}

/// Overwrites every host name that stands in one of `domains`.
#[must_use]
pub fn scrub_names(body: &[u8], domains: &[String], shown: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    let mut at = 0;
    for Range { start, end } in find_names(body, domains) {
        out.extend_from_slice(body.get(at..start).unwrap_or_default());
        out.extend_from_slice(shown.as_bytes());
        at = end;
    }
    out.extend_from_slice(body.get(at..).unwrap_or_default());
    out
}

/// Whether octets of any kind name an inside address or host as text, be it of one octet a letter
/// or of several (UTF-16, UTF-32).
#[must_use]
pub fn names_inside(octets: &[u8], hidden: impl Fn(IpAddr) -> bool, domains: &[String]) -> bool {
    let names = |text: &[u8]| {
        find_written(text).any(|(_, ip)| hidden(ip)) || find_names(text, domains).next().is_some()
    };
    let narrow = if octets.contains(&0) {
        let letters: Vec<u8> = octets.iter().copied().filter(|b| *b != 0).collect();
        Cow::Owned(letters)
    } else {
        Cow::Borrowed(octets)
    };
    names(octets) || names(&narrow)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::addresses::find_addresses;

    #[test]
    fn nothing_that_reads_as_an_address_is_left_by_whatever_reader() {
        let hidden = |ip: IpAddr| ip.to_string().contains('1');
        let crash = include_bytes!("../../../fuzz/corpus/multipart/an_escaped_at_before_groups");
        for text in [&crash[..], b"x-[%400::1]C", b"[%400::1]", b"%400::1", b"x@0::1]", b"//400::1"]
        {
            let shown = scrub(text, hidden, "S");
            let left = find_addresses(&shown).find(|(_, ip)| hidden(*ip));
            assert_eq!(left, None, "{:?}", String::from_utf8_lossy(&shown));
        }
    }

    #[test]
    fn a_user_part_is_read_as_any_text_but_for_dashes_in_numbers() {
        let inside =
            |ip: IpAddr| ["10.17.", "fd17:"].iter().any(|net| ip.to_string().starts_with(net));
        for (user, want) in [
            ("10.17.0.23", "S"),
            ("10%2E17%2e0%2E23", "S"),
            ("10.17%2E0.23", "S"),
            ("10_17_0_23", "S"),
            ("10%5F17%5f0%5F23", "S"),
            ("0x0a110017", "S"),
            ("23.0.17.10.in-addr.arpa", "S"),
            ("pc-10-17-0-23", "pc-S"),
            ("x%4010-17-0-23", "x%40S"),
            ("x@fd17--23.ipv6-literal.net", "x@S"),
            ("fd17-0-0-0-0-0-0-23", "S"),
            ("x@[fd17::23%25eth0]", "x@S"),
            // A telephone number, and what else is no address of the inside.
            ("10-17-0-23", "10-17-0-23"),
            ("+10-17-0-23;phone-context=a", "+10-17-0-23;phone-context=a"),
            ("10%2D17%2D0%2D23", "10%2D17%2D0%2D23"),
            ("10%2E99%2E0%2E23", "10%2E99%2E0%2E23"),
            ("10_17_0_233456", "10_17_0_233456"),
            ("1017023", "1017023"),
        ] {
            let got = String::from_utf8(scrub_user(user.as_bytes(), inside, "S")).unwrap();
            assert_eq!(got, want, "{user}");
        }
    }
}
