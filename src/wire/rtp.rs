//! RTP headers, read only (RFC 3550 §5.1). Packets are forwarded untouched.

use rtp_rs::RtpReader;

/// What the relay and its statistics read of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Payload type, 0–127.
    pub payload_type: u8,
    /// Marker.
    pub marker: bool,
    /// Sequence number.
    pub sequence: u16,
    /// Media time, in the payload's clock rate.
    pub timestamp: u32,
    /// Source.
    pub ssrc: u32,
    /// Octets of payload, padding not counted.
    pub payload_len: usize,
}

impl Header {
    /// Reads a header; `None` when version, CSRC count, extension or padding do not fit.
    #[must_use]
    pub fn parse(packet: &[u8]) -> Option<Self> {
        let r = RtpReader::new(packet).ok()?;
        Some(Self {
            payload_type: r.payload_type(),
            marker: r.mark(),
            sequence: r.sequence_number().into(),
            timestamp: r.timestamp(),
            ssrc: r.ssrc(),
            payload_len: r.payload().len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Marker, payload type 101, sequence 0x1234, two contributing sources, one word of extension,
    /// four octets of payload, four of padding.
    const WHOLE: [u8; 36] = [
        0xb2, 0xe5, 0x12, 0x34, 0, 0, 0, 160, 0xde, 0xad, 0xbe, 0xef, 0, 0, 0, 1, 0, 0, 0, 2, 0xbe,
        0xde, 0, 1, 0x10, 0xff, 0, 0, 1, 2, 3, 4, 0, 0, 0, 4,
    ];

    #[test]
    fn every_field_is_read() {
        let want = Header {
            payload_type: 101,
            marker: true,
            sequence: 0x1234,
            timestamp: 160,
            ssrc: 0xdead_beef,
            payload_len: 4,
        };
        assert_eq!(Header::parse(&WHOLE), Some(want));
        assert_eq!(Header::parse(&[&[0x80; 12][..], &[9; 160]].concat()).unwrap().payload_len, 160);
    }

    /// The same by RFC 3550 §5.1, word for word.
    fn fits(packet: &[u8]) -> Option<usize> {
        let first = usize::from(*packet.first()?);
        let mut at = 12 + 4 * (first & 15);
        if first & 0x10 != 0 {
            let words = u16::from_be_bytes([*packet.get(at + 2)?, *packet.get(at + 3)?]);
            at += 4 + 4 * usize::from(words);
        }
        let payload = packet.len().checked_sub(at)?;
        let padding = if first & 0x20 == 0 { 0 } else { usize::from(*packet.last()?) };
        let padded = first & 0x20 == 0 || padding > 0;
        (first >> 6 == 2 && packet.len() >= 12 && padded).then_some(())?;
        payload.checked_sub(padding)
    }

    #[test]
    fn a_packet_cut_anywhere_is_read_as_far_as_it_fits() {
        for len in 0..WHOLE.len() {
            let cut = &WHOLE[..len];
            assert_eq!(Header::parse(cut).map(|h| h.payload_len), fits(cut), "{len}");
        }
    }

    proptest! {
        #[test]
        fn lengths_are_believed_only_when_they_fit(
            head in 0x80_u8..0xc0,
            rest in prop::collection::vec(prop_oneof![0_u8..4, any::<u8>()], 0..90)
        ) {
            let packet = [&[head][..], &rest].concat();
            prop_assert_eq!(Header::parse(&packet).map(|h| h.payload_len), fits(&packet));
        }

        #[test]
        fn no_input_panics(packet: Vec<u8>) {
            prop_assert_eq!(Header::parse(&packet).map(|h| h.payload_len), fits(&packet));
        }
    }
}
