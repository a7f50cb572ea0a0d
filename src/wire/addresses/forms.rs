//! Addresses written otherwise than as literals: with dashes or escaped marks (`host-10-1-2-3`,
//! `fd00--1`, `fd00%3A%3A1`), in hexadecimal (`0x0a010203`), as a name of reverse DNS
//! (`3.2.1.10.in-addr.arpa`), and, where a host stands, in any form that `inet_aton` reads
//! (`@167838211`, `@10.66051`, `@012.1.2.3`).

use super::{before, scan_v4};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The zones of reverse DNS (RFC 1035 §3.5, RFC 3596 §2.5).
const V4_ZONE: &[u8] = b".in-addr.arpa";
const V6_ZONE: &[u8] = b".ip6.arpa";

/// What stands between the four numbers instead of dots: of one kind, escaped or not.
const SEPARATORS: [[&[u8]; 2]; 3] = [[b".", b"%2E"], [b"-", b"%2D"], [b"_", b"%5F"]];

/// What stands between the groups of an IPv6 address instead of colons.
const COLONS: [[&[u8]; 2]; 3] = [[b"-", b"%2D"], [b"_", b"%5F"], [b"%3A", b"%3a"]];

/// The zone in which a colon is a dash, and a zone's `%` an `s`.
const LITERAL_ZONE: &[u8] = b".ipv6-literal.net";

/// An address in another form that begins at `at`, and the octets it takes.
pub(super) fn other_at(text: &[u8], at: usize) -> Option<(IpAddr, usize)> {
    let rest = text.get(at..)?;
    let of_word = before(text, at, 1).is_some_and(|b| b.is_ascii_alphanumeric());
    if of_word && !super::behind_escape(text, at) {
        return None;
    }
    // A name of reverse DNS has a dot behind its first number.
    let dotted = rest.iter().skip(1).take(3).any(|b| *b == b'.');
    if let Some(found) = dotted.then(|| reverse(rest)).flatten() {
        return Some(found);
    }
    if let Some((ip, len)) = grouped(rest) {
        return Some((super::unwrapped(ip), len));
    }
    if !rest.first()?.is_ascii_digit() {
        return None;
    }
    let escaped = text.get(at.saturating_sub(3)..at) == Some(b"%40");
    let host = escaped
        || before(text, at, 1) == Some(b'@')
        || before(text, at, 1) == Some(b'/') && before(text, at, 2) == Some(b'/');
    let hex = rest.get(1).is_some_and(|b| b.eq_ignore_ascii_case(&b'x'))
        && before(text, at, 1) != Some(b'.');
    let found = separated(rest).or_else(|| if host || hex { loose(rest, host) } else { None });
    found.map(|(ip, len)| (IpAddr::V4(ip), len))
}

/// The address that a name of reverse DNS stands for.
fn reverse(text: &[u8]) -> Option<(IpAddr, usize)> {
    if let Some((ip, len)) = scan_v4(text) {
        let all = len + V4_ZONE.len();
        if text.get(len..all).is_some_and(|zone| zone.eq_ignore_ascii_case(V4_ZONE)) {
            let [a, b, c, d] = ip.octets();
            return Some((IpAddr::V4(Ipv4Addr::new(d, c, b, a)), all));
        }
    }
    // 32 digits with dots between them, the last one first.
    let mut bits = 0_u128;
    for i in 0..32 {
        let digit = char::from(*text.get(2 * i)?).to_digit(16)?;
        if *text.get(2 * i + 1)? != b'.' {
            return None;
        }
        bits |= u128::from(digit) << (4 * i);
    }
    let all = 63 + V6_ZONE.len();
    let zone = text.get(63..all)?;
    zone.eq_ignore_ascii_case(V6_ZONE).then_some((super::unwrapped(Ipv6Addr::from_bits(bits)), all))
}

/// Four decimal numbers with the same mark between them, as names of hosts are made of addresses.
pub(super) fn separated(text: &[u8]) -> Option<(Ipv4Addr, usize)> {
    let digits = text.iter().take(4).take_while(|b| b.is_ascii_digit()).count();
    let after = text.get(digits..)?;
    let kind = SEPARATORS.iter().find(|kind| mark(after, kind).is_some())?;
    let mut plain_dots = after.starts_with(b".");
    let mut octets = [0_u8; 4];
    let mut len = 0;
    for (i, octet) in octets.iter_mut().enumerate() {
        if i > 0 {
            let mark = mark(text.get(len..)?, kind)?;
            plain_dots &= mark == b".";
            len += mark.len();
        }
        let rest = text.get(len..)?;
        let digits = rest.iter().take(4).take_while(|b| b.is_ascii_digit()).count();
        let number = rest.get(..digits).filter(|n| (1..=3).contains(&n.len()))?;
        let value = number.iter().fold(0_u16, |n, b| n * 10 + u16::from(b - b'0'));
        *octet = u8::try_from(value).ok()?;
        len += digits;
    }
    // A literal is no other form.
    (!plain_dots).then_some((Ipv4Addr::from(octets), len))
}

/// Groups of an IPv6 address with the same mark between them, two of which stand for the zeros. The
/// first group has four digits, as those of all addresses of a site: many a word has fewer.
fn grouped(text: &[u8]) -> Option<(Ipv6Addr, usize)> {
    let kind = COLONS.iter().find(|kind| text.get(4..).is_some_and(|t| mark(t, kind).is_some()))?;
    let mut groups = [0_u16; 8];
    let (mut count, mut gap, mut len) = (0, None, 0);
    while let Some(group) = groups.get_mut(count) {
        let rest = text.get(len..)?;
        let digits = rest.iter().take(5).take_while(|b| b.is_ascii_hexdigit()).count();
        if digits == 0 || digits > 4 || count == 0 && digits < 4 {
            return None;
        }
        *group = u16::from_str_radix(std::str::from_utf8(rest.get(..digits)?).ok()?, 16).ok()?;
        count += 1;
        len += digits;
        let goes_on = |at: usize| text.get(at).is_some_and(u8::is_ascii_hexdigit);
        let Some(one) = mark(text.get(len..)?, kind).map(<[u8]>::len) else { break };
        match mark(text.get(len + one..)?, kind).map(<[u8]>::len) {
            None if goes_on(len + one) && count < 8 => len += one,
            Some(two) if goes_on(len + one + two) && count < 8 && gap.is_none() => {
                gap = Some(count);
                len += one + two;
            }
            None | Some(_) => break,
        }
    }
    match gap {
        Some(gap) if count < 8 => {
            groups.get_mut(gap..)?.rotate_right(8 - count);
        }
        None if count == 8 => {}
        None | Some(_) => return None,
    }
    let len = len + literal_zone(text.get(len..)?)?;
    Some((Ipv6Addr::from(groups), len))
}

/// Octets of the zone of literals behind a group, with the link's (`s4`) before it; `None`: what
/// goes on is a word.
fn literal_zone(text: &[u8]) -> Option<usize> {
    let link = text.strip_prefix(b"s").or_else(|| text.strip_prefix(b"S"));
    let named = |t: &[u8]| t.iter().take(16).take_while(|b| b.is_ascii_alphanumeric()).count();
    let link = link.map(|t| 1 + named(t));
    let zoned = |from: usize| {
        let zone = text.get(from..from + LITERAL_ZONE.len());
        zone.is_some_and(|zone| zone.eq_ignore_ascii_case(LITERAL_ZONE))
    };
    let from = link.unwrap_or_default();
    if zoned(from) {
        return Some(from + LITERAL_ZONE.len());
    }
    let open = text.first().is_some_and(u8::is_ascii_alphanumeric);
    (!open).then_some(0)
}

/// The mark of this kind that `text` begins with.
fn mark(text: &[u8], kind: &[&'static [u8]; 2]) -> Option<&'static [u8]> {
    let begins = |mark: &&&'static [u8]| {
        text.get(..mark.len()).is_some_and(|start| start.eq_ignore_ascii_case(mark))
    };
    kind.iter().find(begins).copied()
}

/// One to four numbers, each decimal, octal or hexadecimal, the last of which fills what is left.
/// Where no host must stand (`host`), only what is hexadecimal and whole counts.
fn loose(text: &[u8], host: bool) -> Option<(Ipv4Addr, usize)> {
    let of_form = |b: &u8| b.is_ascii_alphanumeric() || *b == b'.';
    let len = text.iter().take(48).take_while(|b| of_form(b)).count();
    let word = text.get(..len)?;
    // What goes on is another name (`@10-gate.example`).
    if text.get(len).is_some_and(|b| matches!(b, b'-' | b'_')) {
        return None;
    }
    let word = word.strip_suffix(b".").unwrap_or(word);
    let mut parts = [0_u32; 4];
    let mut count = 0;
    for part in word.split(|b| *b == b'.') {
        *parts.get_mut(count)? = number(part)?;
        count += 1;
    }
    // A short number in a text may mean anything.
    if !host && count == 1 && word.len() < 9 {
        return None;
    }
    let last = *parts.get(count.checked_sub(1)?)?;
    let left = 8 * (5 - u32::try_from(count).ok()?);
    if left < 32 && last >> left != 0 {
        return None;
    }
    let mut value = last;
    for (i, part) in parts.iter().take(count - 1).enumerate() {
        let octet = u32::from(u8::try_from(*part).ok()?);
        value |= octet << (24 - 8 * u32::try_from(i).ok()?);
    }
    Some((Ipv4Addr::from_bits(value), word.len()))
}

/// As C writes numbers: `0x…`, `0…`, or decimal.
fn number(part: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(part).ok()?;
    let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    match hex {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None if text.len() > 1 && text.starts_with('0') => u32::from_str_radix(text, 8).ok(),
        None => text.parse().ok(),
    }
}
