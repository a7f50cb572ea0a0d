//! What was split and joined splits into the same parts; what is scrubbed holds nothing hidden.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portreeve::wire::addresses::{find_addresses, find_names};
use portreeve::wire::body::{Kind, is_optional, join, names_inside, scrub, scrub_names, split};
use std::net::IpAddr;

fuzz_target!(|input: &[u8]| {
    let (first, body) = input.split_at(input.iter().position(|b| *b == b'\n').unwrap_or(0));
    let body = body.get(1..).unwrap_or_default();
    if let Ok(value) = std::str::from_utf8(first)
        && let Kind::Multipart { boundary } = Kind::of(Some(value))
        && let Ok(parts) = split(body, &boundary)
    {
        assert!((1..=16).contains(&parts.len()));
        for part in &parts {
            let _ = (part.kind(), part.is_optional());
        }
        assert_eq!(split(&join(&parts, &boundary), &boundary), Ok(parts));
    }
    let _ = std::str::from_utf8(first).map(|v| is_optional(Some(v)));
    let domains = ["lan".to_owned(), "b.example".to_owned()];
    let shown = scrub_names(body, &domains, "203.0.113.7");
    assert!(find_names(&shown, &domains).next().is_none());
    assert!(names_inside(body, |_| false, &domains) || shown == body);
    let hidden = |ip: IpAddr| ip.to_string().contains('1');
    let mut text = body.to_vec();
    // Overwriting one literal can make another of its neighbours; it must come to an end soon.
    for _ in 0..8 {
        text = scrub(&text, hidden, "x");
    }
    assert!(!find_addresses(&text).any(|(_, ip)| hidden(ip)));
});
