//! Whatever the gateway is told (`fuzz/shared/engine.rs`; the tests replay its corpus and more by
//! chance).
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../shared/engine.rs"]
mod engine;

fuzz_target!(|octets: &[u8]| {
    engine::run(octets);
});
