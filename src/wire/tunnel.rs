//! What stands in a datagram of a tunnel: the number of a flow and a packet of media as it is (the
//! layout of draft-ietf-avtcore-rtp-over-quic §5.2: RoQ-framed, though no RoQ, for our connections
//! carry signalling as well). A flow is known by the port that the receiving end named in its SDP.
//! It looks into no packet; the relay does.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

/// Flows and ports differ in this bit, so that usual ports (16384 to 32767) need two octets.
const USUAL: u16 = 0x4000;

/// A packet for the other end's port.
#[must_use]
pub fn pack(port: u16, packet: &[u8]) -> Bytes {
    let flow = port ^ USUAL;
    let mut out = BytesMut::with_capacity(packet.len() + 4);
    // Variable-length integers (RFC 9000 §16).
    match u8::try_from(flow) {
        Ok(flow) if flow < 0x40 => out.put_u8(flow),
        Ok(_) | Err(_) if flow < 0x4000 => out.put_u16(flow | 0x4000),
        Ok(_) | Err(_) => out.put_u32(u32::from(flow) | 0x8000_0000),
    }
    out.put_slice(packet);
    out.freeze()
}

/// The port that it is for, and the packet; `None`: it is for none that there can be.
#[must_use]
pub fn unpack(mut datagram: Bytes) -> Option<(u16, Bytes)> {
    let octets = 1_usize << (datagram.first()? >> 6);
    if datagram.len() < octets {
        return None;
    }
    let marked = datagram.get_uint(octets);
    let flow = marked & (u64::MAX >> (66 - 8 * octets));
    Some((u16::try_from(flow).ok()? ^ USUAL, datagram))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_flow_takes_two_octets_where_ports_are_usual() {
        for (port, octets) in [(20_000, 2), (32_767, 2), (16_384, 1), (16_447, 1), (16_448, 2)] {
            assert_eq!(pack(port, b"").len(), octets, "{port}");
        }
        assert_eq!([pack(40_000, b"").len(), pack(1, b"").len()], [4, 4]);
        // RFC 9000 §A.1, each as a flow.
        for (octets, flow) in [(&[0x25][..], 37), (&[0x40, 0x25], 37), (&[0x7b, 0xbd], 15_293)] {
            let (port, rest) = unpack(Bytes::copy_from_slice(octets)).unwrap();
            assert_eq!((port ^ USUAL, rest.len()), (flow, 0));
        }
        // 494878333, and what is cut off.
        for none in [&[0x9d, 0x7f, 0x3e, 0x7d][..], &[], &[0x40], &[0xc0, 0, 0, 0, 0, 0, 1]] {
            assert_eq!(unpack(Bytes::copy_from_slice(none)), None);
        }
    }

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(port: u16, packet in prop::collection::vec(any::<u8>(), 0..64)) {
            prop_assert_eq!(unpack(pack(port, &packet)), Some((port, Bytes::from(packet))));
        }

        #[test]
        fn no_datagram_panics(octets in prop::collection::vec(any::<u8>(), 0..16)) {
            if let Some((_, packet)) = unpack(Bytes::from(octets.clone())) {
                prop_assert!(octets.ends_with(&packet));
            }
        }
    }
}
