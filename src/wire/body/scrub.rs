//! Text in which the inside is named: told, and overwritten. Which addresses and domains are inside
//! is the caller's word.

use crate::wire::addresses::{find_addresses, find_names, find_written};
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

/// As [`scrub`], of literals only: for user parts, where numbers are written with dashes.
#[must_use]
pub fn scrub_literals(body: &[u8], hidden: impl Fn(IpAddr) -> bool, shown: &str) -> Vec<u8> {
    let found = |text: &[u8]| -> Vec<Range<usize>> {
        find_addresses(text).filter(|(_, ip)| hidden(*ip)).map(|(range, _)| range).collect()
    };
    overwritten(body, found, shown)
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
