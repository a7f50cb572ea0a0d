//! What was split and joined splits into the same parts; what is scrubbed holds nothing hidden.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portreeve::wire::addresses::find_addresses;
use portreeve::wire::body::{Kind, join, scrub, split};
use std::net::IpAddr;

fuzz_target!(|input: &[u8]| {
    let (first, body) = input.split_at(input.iter().position(|b| *b == b'\n').unwrap_or(0));
    let body = body.get(1..).unwrap_or_default();
    if let Ok(value) = std::str::from_utf8(first)
        && let Kind::Multipart { boundary } = Kind::of(Some(value))
        && let Ok(parts) = split(body, &boundary)
    {
        assert!((1..=16).contains(&parts.len()));
        assert_eq!(split(&join(&parts, &boundary), &boundary), Ok(parts));
    }
    let hidden = |ip: IpAddr| ip.to_string().contains('1');
    let mut text = body.to_vec();
    // Overwriting one literal can make another of its neighbours; it must come to an end soon.
    for _ in 0..8 {
        text = scrub(&text, hidden, "x");
    }
    assert!(!find_addresses(&text).any(|(_, ip)| hidden(ip)));
});
