//! Whatever DNS says (`fuzz/shared/dns.rs`; the tests replay its corpus and more by chance).
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../shared/dns.rs"]
mod dns;

fuzz_target!(|octets: &[u8]| {
    dns::run(octets);
});
