//! The edit keeps the length and the headers, tells the truth, and is done at once.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portreeve::wire::rtcp::{is_rtcp, overwrite_names, reports};

fuzz_target!(|packet: &[u8]| {
    reports(packet, |_| {});
    let domains = ["corp.example".to_owned()];
    let mut new = packet.to_vec();
    let changed = overwrite_names(&mut new, &[7; 32], &domains, |_| true);
    assert_eq!(changed, new != packet);
    assert_eq!(new.len(), packet.len());
    assert_eq!(is_rtcp(&new), is_rtcp(packet));
    assert!(!overwrite_names(&mut new, &[7; 32], &domains, |_| true));
});
