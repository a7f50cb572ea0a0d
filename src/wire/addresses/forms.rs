//! Addresses written otherwise than as literals: with dashes or escaped dots (`host-10-1-2-3`), in
//! hexadecimal (`0x0a010203`), as a name of reverse DNS (`3.2.1.10.in-addr.arpa`), and, where a
//! host stands, in any form that `inet_aton` reads (`@167838211`, `@10.66051`, `@012.1.2.3`).

use super::{before, scan_v4};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The zones of reverse DNS (RFC 1035 §3.5, RFC 3596 §2.5).
const V4_ZONE: &[u8] = b".in-addr.arpa";
const V6_ZONE: &[u8] = b".ip6.arpa";

/// What stands between the four numbers instead of dots: of one kind, escaped or not.
const SEPARATORS: [[&[u8]; 2]; 3] = [[b".", b"%2E"], [b"-", b"%2D"], [b"_", b"%5F"]];

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
fn separated(text: &[u8]) -> Option<(Ipv4Addr, usize)> {
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
