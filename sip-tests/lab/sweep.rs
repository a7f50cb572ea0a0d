//! Whether octets name an address of the inside, in whatever spelling a person or a machine would
//! read it: dotted, with zeros, with dashes, percent-escaped, as a number, any form of IPv6, mapped
//! or translated, in hexadecimal; and in the attributes of STUN.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network of the inside, of a prefix as tests write it: `10.17.` or `2001:db8:17:`.
fn is_in(prefix: &str, ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.to_string().starts_with(prefix),
        IpAddr::V6(v6) => format!("{prefix}:").parse::<Ipv6Addr>().is_ok_and(|net| {
            let parts = prefix.split(':').filter(|p| !p.is_empty()).count();
            net.segments()[..parts] == v6.segments()[..parts]
        }),
    }
}

/// The first address of these networks that the octets name.
pub(crate) fn named(octets: &[u8], prefixes: &[&str]) -> Option<String> {
    let inside = |ip: &IpAddr| prefixes.iter().any(|p| is_in(p, *ip));
    if octets.first().is_some_and(|b| *b < 4) {
        return told_by_stun(octets).into_iter().find(inside).map(|ip| format!("{ip} by STUN"));
    }
    let text = String::from_utf8_lossy(octets);
    let plain = text.contains('%').then(|| unescaped(&text));
    for text in [Some(text), plain.map(Cow::Owned)].into_iter().flatten() {
        let found = dotted(&text, '.').chain(dotted(&text, '-')).chain(numbers(&text));
        let dashed = text.replace(['-', '_'], ":");
        if let Some(ip) = found.chain(colons(&text)).chain(colons(&dashed)).find(inside) {
            return Some(ip.to_string());
        }
    }
    None
}

fn unescaped(text: &str) -> String {
    let (bytes, mut out) = (text.as_bytes(), Vec::new());
    let mut at = 0;
    while let Some(b) = bytes.get(at) {
        let hex = text.get(at + 1..at + 3).filter(|_| *b == b'%');
        let octet = hex.and_then(|h| u8::from_str_radix(h, 16).ok());
        out.push(octet.unwrap_or(*b));
        at += if octet.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Words of such characters alone.
fn words(text: &str, of: impl Fn(char) -> bool) -> impl Iterator<Item = &str> {
    text.split(move |c| !of(c)).filter(|w| !w.is_empty())
}

/// Four numbers between such marks. With dashes before an `@` they are a number that is dialled.
fn dotted(text: &str, mark: char) -> impl Iterator<Item = IpAddr> {
    let words = words(text, move |c| c.is_ascii_digit() || c == mark);
    let dialled = move |word: &str| mark == '-' && text.contains(&format!("{word}@"));
    words.filter(move |word| !dialled(word)).filter_map(move |word| {
        let mut parts = word.trim_matches(mark).split(mark);
        let mut octet = || parts.next()?.parse::<u8>().ok();
        let ip = [octet()?, octet()?, octet()?, octet()?];
        parts.next().is_none().then(|| IpAddr::from(ip))
    })
}

/// One number, where a host stands; eight hexadecimal digits, likewise.
fn numbers(text: &str) -> impl Iterator<Item = IpAddr> {
    let hosts = text.split(['@', ' ', '/']).skip(1);
    hosts.filter_map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let word = &rest[..end];
        let hex = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X"));
        let number = match hex {
            Some(hex) => u32::from_str_radix(hex, 16).ok(),
            None => word.parse().ok().filter(|_| text.contains(&format!("@{word}"))),
        };
        number.map(|n| IpAddr::from(Ipv4Addr::from(n)))
    })
}

/// Every form of IPv6, with what it carries of IPv4 (RFC 4291 §2.5.5, RFC 6052, RFC 3056).
fn colons(text: &str) -> impl Iterator<Item = IpAddr> {
    let of = |c: char| c.is_ascii_hexdigit() || c == ':' || c == '.';
    words(text, of).filter(|w| w.matches(':').count() >= 2).flat_map(|word| {
        let first = word.split('.').next().unwrap_or(word);
        let forms = [word, word.trim_end_matches(['.', ':']), first];
        let v6 = forms.iter().find_map(|form| form.parse::<Ipv6Addr>().ok());
        let carried = v6.and_then(|v6| {
            let o = v6.octets();
            let last = Ipv4Addr::new(o[12], o[13], o[14], o[15]);
            let s = v6.segments();
            match s {
                [0x2002, ..] => Some(Ipv4Addr::new(o[2], o[3], o[4], o[5])),
                [0x64, 0xff9b, ..] | [0, 0, 0, 0, 0, 0 | 0xffff, ..] => Some(last),
                _ => None,
            }
        });
        v6.map(IpAddr::V6).into_iter().chain(carried.map(IpAddr::V4))
    })
}

/// Addresses in attributes of STUN, as they are and as XORed (RFC 8489 §14.1, §14.2).
fn told_by_stun(octets: &[u8]) -> Vec<IpAddr> {
    let Some((head, mut rest)) = octets.split_at_checked(20) else { return Vec::new() };
    let mut all = Vec::new();
    while let Some((tl, more)) = rest.split_at_checked(4) {
        let len = usize::from(u16::from_be_bytes([tl[2], tl[3]]));
        let Some(value) = more.get(..len) else { break };
        let mask: Vec<u8> = head[4..].to_vec();
        for masked in [false, true] {
            let ip = value.get(4..).unwrap_or_default().iter().zip(&mask);
            let ip: Vec<u8> = ip.map(|(b, m)| if masked { b ^ m } else { *b }).collect();
            all.extend(<[u8; 4]>::try_from(ip.as_slice()).ok().map(IpAddr::from));
            all.extend(<[u8; 16]>::try_from(ip.as_slice()).ok().map(IpAddr::from));
        }
        rest = more.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    all
}

#[test]
fn an_address_is_found_however_it_is_written() {
    let nets = ["10.17.", "2001:db8:17:"];
    for text in [
        "Via: SIP/2.0/UDP 10.17.0.21:5060",
        "c=IN IP4 010.017.000.021",
        "x-10-17-0-21.example",
        "sip:a%4010%2e17.0.%32%31",
        "sip:a@168886293;lr",
        "sip:a@0x0a110015",
        "[::ffff:10.17.0.21]",
        "[::ffff:a11:15]",
        "[0:0:0:0:0:ffff:0a11:0015]",
        "[64:ff9b::a11:15]",
        "[2002:a11:15::1]",
        "c=IN IP6 2001:DB8:17::22",
        "[2001:0db8:0017:0:0:0:0:22]:5060",
        "sip:a@2001-db8-17--22.example",
        "a=candidate:1 1 UDP 1 2001:db8:17:0::22 4000",
    ] {
        assert!(named(text.as_bytes(), &nets).is_some(), "{text}");
    }
    for text in [
        "110.17.0.21",
        "1.10.17.0",
        "10.170.0.21",
        "10.17.0.21.5",
        "o=- 168886293 1 IN IP4 203.0.113.1",
        "2001:db8:18::1 12:30:17",
    ] {
        assert_eq!(named(text.as_bytes(), &nets), None, "{text}");
    }
    let mut stun = vec![1, 1, 0, 12, 0x21, 0x12, 0xa4, 0x42];
    stun.extend([0; 12]);
    stun.extend([0, 0x20, 0, 8, 0, 1, 0, 0, 10 ^ 0x21, 17 ^ 0x12, 0xa4, 21 ^ 0x42]);
    assert!(named(&stun, &nets).is_some());
    stun[28..].copy_from_slice(&[203 ^ 0x21, 0x12, 113 ^ 0xa4, 1 ^ 0x42]);
    assert_eq!(named(&stun, &nets), None);
}
