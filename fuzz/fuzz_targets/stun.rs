//! Whatever is read as a binding request has a small answer that asks for nothing, from any address.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portreeve::wire::stun::{Stun, read};

fuzz_target!(|packet: &[u8]| {
    if let Some(Stun::Binding(asked)) = read(packet) {
        for from in ["192.0.2.1:5060", "[2001:db8::1]:5060"] {
            let answer = asked.answer(from.parse().expect("an address"));
            assert!(answer.len() <= 52);
            assert_eq!(read(&answer), Some(Stun::Other));
        }
    }
});
