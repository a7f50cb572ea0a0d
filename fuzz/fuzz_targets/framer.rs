//! A stream gives the same items however its octets arrive, and never holds more than one message.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portreeve::wire::sip::{Framed, Framer};

/// Items of a stream that arrives in pieces of these lengths.
fn items(octets: &[u8], mut piece: impl FnMut() -> usize) -> Vec<String> {
    let mut framer = Framer::default();
    let mut rest = octets;
    let mut out = Vec::new();
    while !rest.is_empty() {
        let (now, later) = rest.split_at(piece().clamp(1, rest.len()));
        framer.push(now);
        rest = later;
        while let Some(item) = framer.next() {
            out.push(match item {
                Framed::Message(bytes) => format!("message {bytes:?}"),
                Framed::Ping => "ping".to_owned(),
                Framed::Refused(r) => format!("refused {} {}", r.status, r.phrase),
            });
        }
    }
    out
}

fuzz_target!(|input: (u8, &[u8])| {
    let (step, octets) = input;
    let whole = items(octets, || octets.len().max(1));
    let mut n = 0;
    let pieces = items(octets, || {
        n += 1;
        (n * usize::from(step)) % 13 + 1
    });
    assert_eq!(whole, pieces);
});
