//! What stands in a datagram of a tunnel: the number of a flow and a packet of media as it is (the
//! layout of draft-ietf-avtcore-rtp-over-quic §5.2: RoQ-framed, though no RoQ, for our connections
//! carry signalling as well). A flow is known by the port that the receiving end named in its SDP.
//! And capsules (RFC 9297 §3.2), in which the same is carried by a stream. It looks into no packet;
//! the relay does.

pub mod head;
pub mod probe;

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

/// What a capsule is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Capsule {
    /// A datagram of media (RFC 9297 §3.5, type 0).
    Datagram(Bytes),
    /// Octets of a stream of messages, by its number.
    Stream(u8, Bytes),
    /// A sign of life.
    Ping,
    /// First words.
    Greeting(Bytes),
}

/// Types of our own, out of the range for experiments.
const STREAM: u16 = 0x2f01;
const PING: u16 = 0x2f02;
const GREETING: u16 = 0x2f03;

/// The longest value: a packet of media, or a piece of a stream.
pub const LONGEST: usize = 65_536 + 8;

impl Capsule {
    /// As it goes out. What is longer than [`LONGEST`] is cut: nobody makes it.
    #[must_use]
    pub fn write(&self) -> Bytes {
        let (kind, first, value): (u16, Option<u8>, &[u8]) = match self {
            Self::Datagram(value) => (0, None, value),
            Self::Stream(number, value) => (STREAM, Some(*number), value),
            Self::Ping => (PING, None, &[]),
            Self::Greeting(value) => (GREETING, None, value),
        };
        let own = usize::from(first.is_some());
        let value = value.get(..LONGEST - own).unwrap_or(value);
        let length = value.len() + own;
        let mut out = BytesMut::with_capacity(length + 8);
        match u8::try_from(kind) {
            Ok(kind) if kind < 0x40 => out.put_u8(kind),
            Ok(_) | Err(_) => out.put_u16(kind | 0x4000),
        }
        match u16::try_from(length) {
            Ok(short) if short < 0x4000 => out.put_u16(short | 0x4000),
            Ok(_) | Err(_) => out.put_u32(u32::try_from(length).unwrap_or_default() | 0x8000_0000),
        }
        if let Some(first) = first {
            out.put_u8(first);
        }
        out.put_slice(value);
        out.freeze()
    }
}

/// Takes a stream of capsules apart, however its octets come.
#[derive(Debug, Default)]
pub struct Capsules {
    held: BytesMut,
}

/// A capsule longer than anybody makes: there is nothing to be read after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

impl Capsules {
    /// Octets that have come.
    pub fn push(&mut self, octets: &[u8]) {
        self.held.extend_from_slice(octets);
    }

    /// The next capsule that is whole; those of other types are passed over (RFC 9297 §3.2).
    ///
    /// # Errors
    /// The next one is longer than [`LONGEST`].
    #[expect(clippy::should_implement_trait, reason = "more may be pushed in between")]
    pub fn next(&mut self) -> Result<Option<Capsule>, TooLong> {
        loop {
            let Some((kind, after)) = varint(&self.held) else { return Ok(None) };
            let rest = self.held.get(after..).unwrap_or_default();
            let Some((length, more)) = varint(rest) else { return Ok(None) };
            let length = usize::try_from(length).ok().filter(|l| *l <= LONGEST).ok_or(TooLong)?;
            let head = after + more;
            if self.held.len() < head + length {
                return Ok(None);
            }
            self.held.advance(head);
            let mut value = self.held.split_to(length).freeze();
            match u16::try_from(kind) {
                Ok(0) => return Ok(Some(Capsule::Datagram(value))),
                Ok(STREAM) if !value.is_empty() => {
                    let number = value.get_u8();
                    return Ok(Some(Capsule::Stream(number, value)));
                }
                Ok(PING) => return Ok(Some(Capsule::Ping)),
                Ok(GREETING) => return Ok(Some(Capsule::Greeting(value))),
                Ok(_) | Err(_) => {}
            }
        }
    }
}

/// A variable-length integer at the beginning, and how many octets it takes.
fn varint(octets: &[u8]) -> Option<(u64, usize)> {
    let length = 1_usize << (octets.first()? >> 6);
    let mut whole = octets.get(..length)?;
    let marked = whole.get_uint(length);
    Some((marked & (u64::MAX >> (66 - 8 * length)), length))
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

    fn capsules() -> Vec<Capsule> {
        vec![
            Capsule::Datagram(Bytes::from_static(b"packet")),
            Capsule::Stream(3, Bytes::from(vec![7; 20_000])),
            Capsule::Ping,
            Capsule::Greeting(Bytes::from_static(b"{}")),
            Capsule::Datagram(Bytes::new()),
        ]
    }

    #[test]
    fn capsules_are_read_however_they_come_and_others_are_passed_over() {
        let mut all = Vec::new();
        for capsule in capsules() {
            all.extend_from_slice(&capsule.write());
            // Type 0x17, three octets.
            all.extend_from_slice(&[0x17, 3, 1, 2, 3]);
        }
        for piece in [1, 7, 1_000, all.len()] {
            let (mut reader, mut read) = (Capsules::default(), Vec::new());
            for octets in all.chunks(piece) {
                reader.push(octets);
                while let Some(capsule) = reader.next().unwrap() {
                    read.push(capsule);
                }
            }
            assert_eq!(read, capsules(), "{piece}");
        }
        for most in [
            Capsule::Datagram(vec![1; LONGEST].into()),
            Capsule::Stream(1, vec![1; LONGEST - 1].into()),
        ] {
            let mut reader = Capsules::default();
            reader.push(&most.write());
            assert_eq!(reader.next(), Ok(Some(most)), "the longest goes whole");
        }
        let mut long = Capsules::default();
        long.push(&[0, 0xc0, 0, 0, 0, 0, 2, 0, 0]);
        assert_eq!(long.next(), Err(TooLong));
    }

    proptest! {
        #[test]
        fn no_octets_panic(octets in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut reader = Capsules::default();
            reader.push(&octets);
            while let Ok(Some(_)) = reader.next() {}
        }

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
