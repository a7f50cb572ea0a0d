//! Every literal lies in the text, and what the standard library reads is found whole.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portreeve::wire::addresses::find_addresses;
use std::net::IpAddr;

fuzz_target!(|text: &[u8]| {
    let mut last = 0;
    for (range, _) in find_addresses(text) {
        assert!(range.start >= last && range.start < range.end && range.end <= text.len());
        last = range.start;
    }
    if let Ok(text) = std::str::from_utf8(text)
        && text.parse::<IpAddr>().is_ok()
    {
        assert!(find_addresses(text.as_bytes()).any(|(r, _)| r == (0..text.len())));
    }
});
