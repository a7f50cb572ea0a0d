//! Single values (URI, name-addr, Via): what is written reads again as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portreeve::wire::sip::{CSeq, NameAddr, Uri, Via};

fuzz_target!(|octets: &[u8]| {
    if let Some(uri) = Uri::parse(octets) {
        assert_eq!(Uri::parse(uri.to_string().as_bytes()), Some(uri));
    }
    if let Some(via) = Via::parse(octets) {
        assert_eq!(Via::parse(via.to_string().as_bytes()), Some(via));
    }
    let _ = (NameAddr::parse(octets), CSeq::parse(octets));
});
