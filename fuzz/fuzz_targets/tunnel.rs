//! A datagram of a tunnel is packed as it was unpacked, and so is what the ends tell each other of
//! their way and their logs; capsules are read alike in any pieces, and
//! read again as they are written.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use portreeve::wire::tunnel::head::Head;
use portreeve::wire::tunnel::probe::Probe;
use portreeve::wire::tunnel::{Capsule, Capsules, LONGEST, TooLong, pack, unpack};

fn read(octets: &[u8], piece: usize) -> (Vec<Capsule>, Option<TooLong>) {
    let (mut reader, mut all) = (Capsules::default(), Vec::new());
    for octets in octets.chunks(piece.max(1)) {
        reader.push(octets);
        loop {
            match reader.next() {
                Ok(Some(capsule)) => all.push(capsule),
                Ok(None) => break,
                Err(end) => return (all, Some(end)),
            }
        }
    }
    (all, None)
}

fuzz_target!(|octets: &[u8]| {
    if let Some((port, packet)) = unpack(Bytes::copy_from_slice(octets)) {
        assert_eq!(unpack(pack(port, &packet)), Some((port, packet)));
    }
    let told = Bytes::copy_from_slice(octets);
    let rest = |written: Bytes| unpack(written).map(|(_, rest)| rest);
    if let Some(head) = Head::read(told.clone()) {
        assert_eq!(rest(head.write()).and_then(Head::read), Some(head));
    }
    if let Some(probe) = Probe::read(told) {
        assert_eq!(rest(probe.write()).and_then(Probe::read), Some(probe));
    }
    let (whole, end) = read(octets, octets.len());
    assert_eq!(read(octets, 1), (whole.clone(), end));
    for capsule in whole {
        let written = capsule.write();
        assert!(written.len() <= LONGEST + 8);
        assert_eq!(read(&written, 3), (vec![capsule], None));
    }
});
