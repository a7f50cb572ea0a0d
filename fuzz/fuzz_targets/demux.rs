//! The classifier agrees with the readers of what it names.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portreeve::wire::demux::{Kind, classify};
use portreeve::wire::{rtcp, rtp};

fuzz_target!(|packet: &[u8]| match classify(packet) {
    Kind::Rtp(header) => {
        assert_eq!(rtp::Header::parse(packet), Some(header));
        assert!(header.payload_len + 12 <= packet.len());
    }
    Kind::Rtcp => assert!(rtcp::is_rtcp(packet)),
    Kind::Stun | Kind::Dtls => assert!(packet[0] < 64),
    Kind::Other => {}
});
