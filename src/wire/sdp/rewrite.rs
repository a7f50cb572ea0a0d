//! Lines → body, with our address in every place that can carry one.

use super::Place;
use crate::wire::addresses::find_addresses;
use std::net::IpAddr;

/// Attributes of ICE and multiplexing: we relay pairs and answer no connectivity checks.
const REMOVED: [&[u8]; 9] = [
    b"candidate",
    b"remote-candidates",
    b"end-of-candidates",
    b"ice-ufrag",
    b"ice-pwd",
    b"ice-options",
    b"ice-lite",
    b"rtcp-mux",
    b"rtcp-mux-only",
];

pub(super) fn rewrite(lines: &[Vec<u8>], address: IpAddr, places: &[Place]) -> Vec<u8> {
    let size: usize = lines.iter().map(|l| l.len() + 2).sum();
    let mut out = Vec::with_capacity(size + 64);
    let mut section = None;
    let mut next = 0;
    for line in lines {
        if line.starts_with(b"m=") {
            let place = places.get(next).copied().unwrap_or(Place::Refuse);
            next += 1;
            section = Some(place);
            push(&mut out, &media(line, place));
            continue;
        }
        match rewritten(line, address, section) {
            Line::Keep => push(&mut out, line),
            Line::Replace(new) => push(&mut out, &new),
            Line::Remove => {}
        }
    }
    out
}

enum Line {
    Keep,
    Replace(Vec<u8>),
    Remove,
}

fn push(out: &mut Vec<u8>, line: &[u8]) {
    out.extend_from_slice(line);
    out.extend_from_slice(b"\r\n");
}

fn net(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => format!("IN IP4 {v4}"),
        IpAddr::V6(v6) => format!("IN IP6 {v6}"),
    }
}

/// The `m=` line with our port; a port count goes.
fn media(line: &[u8], place: Place) -> Vec<u8> {
    let port = match place {
        Place::Anchor { port } => port,
        Place::Refuse => 0,
    };
    let mut words = line.splitn(3, |b| *b == b' ');
    let kind = words.next().unwrap_or_default();
    let _ = words.next();
    let rest = words.next().unwrap_or_default();
    let rest = if names_an_address(rest) { rest.split(|b| *b == b' ').next() } else { Some(rest) };
    let rest = rest.unwrap_or_default();
    [kind, b" ", port.to_string().as_bytes(), b" ", rest].concat()
}

fn rewritten(line: &[u8], address: IpAddr, section: Option<Place>) -> Line {
    let value = line.get(2..).unwrap_or_default();
    match line.first() {
        Some(b'o') => Line::Replace(origin(value, address)),
        Some(b'c') => {
            let held = find_addresses(value).any(|(_, ip)| ip.is_unspecified());
            if held {
                Line::Keep
            } else {
                Line::Replace(format!("c={}", net(address)).into_bytes())
            }
        }
        Some(b'a') => attribute(value, address, section),
        Some(b's') if names_an_address(value) => Line::Replace(b"s=-".to_vec()),
        Some(b's') => Line::Keep,
        _ if names_an_address(value) => Line::Remove,
        _ => Line::Keep,
    }
}

fn names_an_address(value: &[u8]) -> bool {
    find_addresses(value).any(|(_, ip)| !ip.is_unspecified())
}

/// `o=user id version IN IP4 address`: all but the address is kept.
fn origin(value: &[u8], address: IpAddr) -> Vec<u8> {
    let words: Vec<&[u8]> = value.split(|b| *b == b' ').filter(|w| !w.is_empty()).collect();
    let word = |i: usize, or: &'static [u8]| words.get(i).copied().unwrap_or(or);
    let user = if names_an_address(word(0, b"-")) { b"-" } else { word(0, b"-") };
    let number = |i: usize| {
        let text = word(i, b"0");
        if text.iter().all(u8::is_ascii_digit) { text } else { b"0" }
    };
    let head = [b"o=", user, b" ", number(1), b" ", number(2), b" "].concat();
    [head.as_slice(), net(address).as_bytes()].concat()
}

fn attribute(value: &[u8], address: IpAddr, section: Option<Place>) -> Line {
    let name = value.split(|b| *b == b':').next().unwrap_or_default();
    if REMOVED.contains(&name) {
        return Line::Remove;
    }
    if name == b"rtcp" {
        return match section {
            Some(Place::Anchor { port }) => {
                let rtcp = port.saturating_add(1);
                Line::Replace(format!("a=rtcp:{rtcp} {}", net(address)).into_bytes())
            }
            Some(Place::Refuse) | None => Line::Remove,
        };
    }
    // Anything else that names an address is removed: nobody promised that it is not a target.
    if names_an_address(value) { Line::Remove } else { Line::Keep }
}
