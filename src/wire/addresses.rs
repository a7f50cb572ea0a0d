//! Finds IP address literals in text: what must not be shown outside is found wherever it stands.
//! It decides nothing; the engine, the SDP rewriter and the RTCP guard ask it.
//!
//! A literal counts also within a word (`host-10.0.0.5`, `a10.0.0.5b`), behind a URI escape
//! (`Replaces=77%4010.0.0.5`) and with leading zeros, for a reader outside would know it. Of more
//! than four numbers in a chain (`1.2.3.4.5`) every four are tried, and `%201.2.3.4` is read both
//! ways: IPv4 literals may overlap. A zone (`%eth0`) is part of its IPv6 literal. [`find_written`]
//! sees other notations, too. Not seen: escaped digits or letters, other escapes than those of URIs
//! (`&#46;`, `\u002e`), encodings of a whole text (base64), and names that tell nothing of the
//! address.

mod forms;
mod special;

pub use special::{is_local, unwrapped as unwrapped_address};

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

/// Every IPv4 and IPv6 literal with the octets it takes (brackets not included), in order of their
/// beginnings. An IPv6 literal that wraps an IPv4 address (mapped, compatible, or of the well-known
/// prefixes 64:ff9b::/96 and 64:ff9b:1::/48, of 6to4 or ISATAP) is told as that. Linear time, no
/// allocation.
pub fn find_addresses(text: &[u8]) -> impl Iterator<Item = (Range<usize>, IpAddr)> + '_ {
    find(text, false)
}

/// As [`find_addresses`], and every address that is written otherwise (`10-1-2-3`, `0x0a010203`,
/// `3.2.1.10.in-addr.arpa`, `@167838211`, `fd00--1.ipv6-literal.net`). Linear time, no allocation.
pub fn find_written(text: &[u8]) -> impl Iterator<Item = (Range<usize>, IpAddr)> + '_ {
    find(text, true)
}

fn find(text: &[u8], others: bool) -> impl Iterator<Item = (Range<usize>, IpAddr)> + '_ {
    let (mut at, mut second) = (0, None);
    std::iter::from_fn(move || {
        if let Some(found) = second.take() {
            return Some(found);
        }
        while let Some(&byte) = text.get(at) {
            let start = at;
            at += 1;
            if !(byte.is_ascii_hexdigit() || byte == b':') {
                continue;
            }
            // What begins within a word is a plain literal, or one of dashes behind letters as in
            // names that providers give (`ip10-1-2-3`), or nothing.
            let behind = before(text, start, 1).is_some_and(|b| b.is_ascii_alphanumeric());
            if behind && !behind_escape(text, start) {
                let plain = byte.is_ascii_digit().then(|| v4_at(text, start)).flatten();
                let word = before(text, start, 1).is_some_and(|b| b.is_ascii_alphabetic());
                let rest = text.get(start..).filter(|_| others && word && byte.is_ascii_digit());
                match plain.or_else(|| rest.and_then(forms::separated)) {
                    Some((ip, len)) => return Some((start..start + len, IpAddr::V4(ip))),
                    None => continue,
                }
            }
            // The first group of an IPv6 literal has four digits at most. It comes before
            // other notations: `@2001:db8::1` is no number where a host stands.
            let colon = text.iter().skip(start).take(5).any(|b| *b == b':');
            if let Some((ip, len)) = colon.then(|| v6_at(text, start)).flatten() {
                at = start + len;
                at += zone_length(text.get(at..).unwrap_or_default());
                return Some((start..at, unwrapped(ip)));
            }
            // Each of them begins with a digit, is of single digits with dots between them, or
            // begins with the four digits of a group.
            let group = matches!(text.get(start + 4), Some(b'-' | b'_' | b'%'));
            let may = byte.is_ascii_digit() || text.get(at) == Some(&b'.') || group;
            let other = if others && may { forms::other_at(text, start) } else { None };
            if let Some((ip, len)) = other {
                // `@010.1.2.3` is read in both ways.
                let plain = v4_at(text, start).map(|(v4, n)| (start..start + n, IpAddr::V4(v4)));
                second = plain.filter(|(range, v4)| range.len() == len && *v4 != ip);
                return Some((start..start + len, ip));
            }
            if byte.is_ascii_digit()
                && let Some((ip, len)) = v4_at(text, start)
            {
                return Some((start..start + len, IpAddr::V4(ip)));
            }
        }
        None
    })
}

/// Every host name that stands in one of `domains` (small letters), with the octets it takes: a
/// name with a label before the domain, or a domain of several labels itself; `%2E` is a dot.
/// Linear time, no allocation but for names with escaped dots.
pub fn find_names<'a>(
    text: &'a [u8],
    domains: &'a [String],
) -> impl Iterator<Item = Range<usize>> + 'a {
    let mut at = 0;
    let of_name = |b: &u8| b.is_ascii_alphanumeric() || b"-._".contains(b);
    std::iter::from_fn(move || {
        while !domains.is_empty() {
            let start = at + text.get(at..)?.iter().position(of_name)?;
            let rest = text.get(start..)?;
            at = start + name_length(rest, of_name);
            // The digits of an escape (`x%40phone.lan`) are no part of the name.
            let from = if escape_at(text, start.checked_sub(1)) { start + 2 } else { start };
            let name = text.get(from..at).unwrap_or_default();
            let (head, tail) = (trimmed(name, true), trimmed(name, false));
            let name = unescaped(name.get(head..name.len() - tail).unwrap_or_default());
            let name = name.as_ref();
            let told = |d: &String| is_within(name, d) && (d.contains('.') || name.len() > d.len());
            if domains.iter().any(told) {
                return Some(from + head..at - tail);
            }
        }
        None
    })
}

/// Octets of the name that `text` begins with; a dot may be escaped where the name goes on.
fn name_length(text: &[u8], of_name: impl Fn(&u8) -> bool) -> usize {
    let mut len = 0;
    while let Some(byte) = text.get(len) {
        let goes_on = |at: usize| text.get(at).is_some_and(u8::is_ascii_alphanumeric);
        len += match byte {
            byte if of_name(byte) => 1,
            b'%' if is_dot(text.get(len..len + 3)) && goes_on(len + 3) => 3,
            _ => break,
        };
    }
    len
}

fn is_dot(escape: Option<&[u8]>) -> bool {
    escape.is_some_and(|e| e.eq_ignore_ascii_case(b"%2E"))
}

/// A name with its escaped dots as dots.
fn unescaped(name: &[u8]) -> Cow<'_, [u8]> {
    if !name.contains(&b'%') {
        return Cow::Borrowed(name);
    }
    let (mut out, mut at) = (Vec::with_capacity(name.len()), 0);
    while let Some(byte) = name.get(at) {
        let dot = is_dot(name.get(at..at + 3));
        out.push(if dot { b'.' } else { *byte });
        at += if dot { 3 } else { 1 };
    }
    Cow::Owned(out)
}

/// Dots and dashes with which no name begins or ends.
fn trimmed(name: &[u8], front: bool) -> usize {
    let mark = |b: &&u8| matches!(b, b'.' | b'-');
    let len = name.iter().take_while(mark).count();
    match front {
        true => len,
        false if len == name.len() => 0,
        false => name.iter().rev().take_while(mark).count(),
    }
}

/// Whether a host name is that of `domain` or of a host within it; the dot of the root may follow.
#[must_use]
pub fn is_within(name: &[u8], domain: &str) -> bool {
    let name = name.strip_suffix(b".").unwrap_or(name);
    let at = name.len().checked_sub(domain.len());
    let Some((host, end)) = at.and_then(|at| name.split_at_checked(at)) else { return false };
    let whole = host.is_empty() || host.len() > 1 && host.ends_with(b".");
    whole && end.eq_ignore_ascii_case(domain.as_bytes())
}

/// The octet `back` places before `at`.
fn before(text: &[u8], at: usize, back: usize) -> Option<u8> {
    at.checked_sub(back).and_then(|i| text.get(i)).copied()
}

/// Whether an escape as `%40` begins at `at`.
fn escape_at(text: &[u8], at: Option<usize>) -> bool {
    let three = at.and_then(|at| text.get(at..at + 3));
    three.is_some_and(
        |e| matches!(e, [b'%', x, y] if x.is_ascii_hexdigit() && y.is_ascii_hexdigit()),
    )
}

/// Whether the octet before `at` ends an escape, and so is no part of what begins at `at`.
fn behind_escape(text: &[u8], at: usize) -> bool {
    escape_at(text, at.checked_sub(3))
}

/// A link-local literal without the link that it is of, which means something to its host alone
/// (RFC 4007 §11); anything else as it is.
#[must_use]
pub fn without_zone(text: &str) -> &str {
    let Some((ip, zone)) = text.split_once('%') else { return text };
    let local = ip.parse::<Ipv6Addr>().is_ok_and(|v6| v6.is_unicast_link_local());
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    // A name of Linux has 15 octets; one that is escaped has `25` before it (RFC 6874).
    if local && (1..=17).contains(&zone.len()) && zone.bytes().all(plain) { ip } else { text }
}

/// Octets of the zone that `text` begins with (`%eth0`, in a URI `%25eth0`), behind an IPv6
/// literal. What may be an escape of a mark (`%3B`) is none.
fn zone_length(text: &[u8]) -> usize {
    let Some(zone) = text.strip_prefix(b"%") else { return 0 };
    let escaped = zone.strip_prefix(b"25").unwrap_or_default();
    let of_name = |b: &&u8| b.is_ascii_alphanumeric() || b"-._".contains(b);
    let (skipped, name) = match zone {
        _ if escaped.first().is_some_and(u8::is_ascii_alphanumeric) => (3, escaped),
        [high, low, ..] if escape_at(text, Some(0)) => {
            let value = [*high, *low].map(|b| char::from(b).to_digit(16).unwrap_or_default());
            let mark = u8::try_from(value[0] * 16 + value[1]).unwrap_or_default();
            if mark == b' ' || mark.is_ascii_punctuation() {
                return 0;
            }
            (1, zone)
        }
        _ => (1, zone),
    };
    let name = name.get(..name.iter().take_while(of_name).count()).unwrap_or_default();
    let len = name.iter().rposition(u8::is_ascii_alphanumeric).map_or(0, |last| last + 1);
    if len == 0 { 0 } else { skipped + len }
}

/// An IPv4 literal that begins at `at`.
fn v4_at(text: &[u8], at: usize) -> Option<(Ipv4Addr, usize)> {
    let behind_digit = before(text, at, 1).is_some_and(|b| b.is_ascii_digit());
    if behind_digit && !behind_escape(text, at) {
        return None;
    }
    scan_v4(text.get(at..)?)
}

/// Four decimal numbers and no further digit. Leading zeros are read as decimal: some stacks would.
fn scan_v4(text: &[u8]) -> Option<(Ipv4Addr, usize)> {
    let mut octets = [0_u8; 4];
    let mut len = 0;
    for (i, octet) in octets.iter_mut().enumerate() {
        if i > 0 {
            if text.get(len) != Some(&b'.') {
                return None;
            }
            len += 1;
        }
        let digits = text.get(len..)?.iter().take(4).take_while(|b| b.is_ascii_digit()).count();
        let number = text.get(len..len + digits)?;
        if digits == 0 || digits > 3 {
            return None;
        }
        let value = number.iter().fold(0_u16, |n, b| n * 10 + u16::from(b - b'0'));
        *octet = u8::try_from(value).ok()?;
        len += digits;
    }
    Some((Ipv4Addr::from(octets), len))
}

/// An IPv6 literal that begins at `at`.
fn v6_at(text: &[u8], at: usize) -> Option<(Ipv6Addr, usize)> {
    if !may_begin_v6(text, at) {
        return None;
    }
    let (ip, len) = scan_v6(text.get(at..)?)?;
    // What goes on is a word (`Foo::Bar`), or three colons, which no address has.
    let colons = before(text, at + len, 1) == Some(b':');
    let next = text.get(at + len).copied();
    let open = next.is_some_and(|b| b.is_ascii_alphanumeric() || b == b':' && colons);
    (!open).then_some((ip, len))
}

/// Whether what stands before lets an IPv6 literal begin: no letter or digit, and no colon that
/// joins it to a group before (`ab:cd:…` is a fingerprint), but a colon behind a word
/// (`cname:fd00::1`).
fn may_begin_v6(text: &[u8], at: usize) -> bool {
    match before(text, at, 1) {
        None => true,
        Some(_) if behind_escape(text, at) => true,
        Some(b':') => text.get(at) != Some(&b':') && ends_a_word(text, at - 1),
        Some(b'.') => before(text, at, 2).is_none_or(|b| !b.is_ascii_digit()),
        Some(b'%') => !escape_at(text, at.checked_sub(1)),
        Some(b) => !b.is_ascii_alphanumeric(),
    }
}

/// Whether the colon at `colon` hangs on something that is no group of an IPv6 address.
fn ends_a_word(text: &[u8], colon: usize) -> bool {
    let head = text.get(..colon).unwrap_or_default();
    let digits = head.iter().rev().take(5).take_while(|b| b.is_ascii_hexdigit()).count();
    match before(text, colon, digits + 1) {
        _ if digits > 4 => true,
        Some(b':') => false,
        Some(b) if digits > 0 => b.is_ascii_alphanumeric() || b == b'.',
        None => digits == 0,
        Some(_) => true,
    }
}

/// The longest IPv6 literal that `text` begins with (RFC 4291 §2.2), of at most 45 octets.
fn scan_v6(text: &[u8]) -> Option<(Ipv6Addr, usize)> {
    let mut groups = [0_u16; 8];
    let (mut count, mut gap, mut len) = (0, None, 0);
    if text.starts_with(b"::") {
        gap = Some(0);
        len = 2;
    }
    while count < 8 {
        let rest = text.get(len..)?;
        if count <= 6
            && (count == 6 || gap.is_some())
            && let Some((v4, used)) = scan_v4(rest)
        {
            let [a, b, c, d] = v4.octets();
            *groups.get_mut(count)? = u16::from_be_bytes([a, b]);
            *groups.get_mut(count + 1)? = u16::from_be_bytes([c, d]);
            count += 2;
            len += used;
            break;
        }
        let digits = rest.iter().take(5).take_while(|b| b.is_ascii_hexdigit()).count();
        if digits == 0 {
            break;
        }
        if digits > 4 {
            return None;
        }
        let group = std::str::from_utf8(rest.get(..digits)?).ok()?;
        *groups.get_mut(count)? = u16::from_str_radix(group, 16).ok()?;
        count += 1;
        len += digits;
        match (rest.get(digits), rest.get(digits + 1)) {
            (Some(b':'), Some(b':')) if gap.is_some() => return None,
            (Some(b':'), Some(b':')) => {
                gap = Some(count);
                len += 2;
            }
            (Some(b':'), Some(b)) if b.is_ascii_hexdigit() && count == 8 => return None,
            (Some(b':'), Some(b)) if b.is_ascii_hexdigit() => len += 1,
            _ => break,
        }
    }
    let groups = match gap {
        None if count == 8 => groups,
        Some(gap) if count < 8 => {
            let mut whole = [0_u16; 8];
            whole.get_mut(..gap)?.copy_from_slice(groups.get(..gap)?);
            let tail = count - gap;
            whole.get_mut(8 - tail..)?.copy_from_slice(groups.get(gap..count)?);
            whole
        }
        None | Some(_) => return None,
    };
    Some((Ipv6Addr::from(groups), len))
}

/// The IPv4 address that an IPv6 one wraps, or itself.
fn unwrapped(ip: Ipv6Addr) -> IpAddr {
    let [a, b, c, d, e, f, high, low] = ip.segments();
    let v4 = |high: u16, low: u16| {
        let [[w, x], [y, z]] = [high.to_be_bytes(), low.to_be_bytes()];
        IpAddr::V4(Ipv4Addr::new(w, x, y, z))
    };
    let well_known = [a, b] == [0x64, 0xff9b] && c <= 1;
    let compatible = [a, b, c, d, e, f] == [0; 6] && high != 0;
    // ISATAP (RFC 5214 §6.1), whatever the prefix.
    let isatap = matches!(e, 0 | 0x200) && f == 0x5efe;
    // Translated (RFC 2765 §2.1).
    let translated = [a, b, c, d, e, f] == [0, 0, 0, 0, 0xffff, 0];
    if well_known || compatible || isatap || translated {
        return v4(high, low);
    }
    // 6to4 (RFC 3056 §2).
    if a == 0x2002 {
        return v4(b, c);
    }
    IpAddr::V6(ip).to_canonical()
}

#[cfg(test)]
mod tests;
