//! What is read is written regularly, reads again as the same message and is written the same;
//! what is refused is echoed without a control octet of the sender's. Seeds:
//! `sip-tests/torture/rfc4475` and `rfc5118`.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use portreeve::wire::sip::{Framing, Message};

fuzz_target!(|octets: &[u8]| {
    for framing in [Framing::Datagram, Framing::Stream] {
        match Message::parse(Bytes::copy_from_slice(octets), framing) {
            Ok(message) => {
                let once = message.to_bytes();
                let again = Message::parse(once.clone(), Framing::Stream).expect("regular output");
                assert_eq!(again.to_bytes(), once);
                assert_eq!(again.body(), message.body());
                assert_eq!(again.cseq(), message.cseq());
                assert_eq!(again.call_id(), message.call_id());
                assert_eq!((again.from_tag(), again.to_tag()), (message.from_tag(), message.to_tag()));
            }
            Err(refusal) => {
                assert!((400..=599).contains(&refusal.status));
                assert!(!refusal.phrase.chars().any(char::is_control));
                if let Some(request) = refusal.answerable {
                    let bytes = Message::response(&request, 400, "Bad Request").to_bytes();
                    let controls = bytes.iter().filter(|b| b.is_ascii_control()).count();
                    assert_eq!(controls, 2 * (request.all().count() + 3));
                }
            }
        }
    }
});
