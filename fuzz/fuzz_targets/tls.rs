//! Whatever comes to a TLS port first (`fuzz/shared/tls.rs`; the tests replay its corpus and more by
//! chance).
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../shared/tls.rs"]
mod tls;

fuzz_target!(|octets: &[u8]| {
    tls::run(octets);
});
