//! What a datagram on a media port is (RFC 7983, RFC 5761). It reads headers, never the payload,
//! and decides nothing: the relay knows what may pass where.

use super::{rtcp, rtp};

/// The kinds a relay tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A well-formed RTP header (version 2, lengths fit).
    Rtp,
    /// A well-formed RTCP compound packet (or an SRTCP one, as far as its first header tells).
    Rtcp,
    /// STUN.
    Stun,
    /// DTLS.
    Dtls,
    /// Anything else.
    Other,
}

/// Classifies one datagram. Never panics, never allocates, reads headers only.
#[must_use]
pub fn classify(packet: &[u8]) -> Kind {
    match packet.first() {
        Some(0..=3) => Kind::Stun,
        Some(20..=63) => Kind::Dtls,
        Some(128..=191) => {
            // RTCP packet types 192–223 (RFC 5761 §4).
            if packet.get(1).is_some_and(|t| (192..=223).contains(t)) {
                if rtcp::is_rtcp(packet) { Kind::Rtcp } else { Kind::Other }
            } else if rtp::Header::parse(packet).is_some() {
                Kind::Rtp
            } else {
                Kind::Other
            }
        }
        Some(_) | None => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 20 ms of PCMU.
    fn rtp() -> [u8; 172] {
        let mut packet = [0xff; 172];
        packet[..12].copy_from_slice(&[0x80, 0, 0, 1, 0, 0, 0, 160, 0, 0, 0, 9]);
        packet
    }

    #[test]
    fn each_kind_is_known_by_its_first_octets() {
        for (packet, kind) in [
            (&rtp()[..], Kind::Rtp),
            (&rtp()[..12], Kind::Rtp),
            (&rtp()[..11], Kind::Other),
            (&[0x80, 200, 0, 1, 0, 0, 0, 1], Kind::Rtcp),
            (&[0x80, 200, 0, 9, 0, 0, 0, 1], Kind::Other),
            (&[0x80, 200, 0], Kind::Other),
            (&[0x81, 191, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 9], Kind::Rtp),
            (&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42], Kind::Stun),
            (&[3], Kind::Stun),
            (&[4], Kind::Other),
            (&[19], Kind::Other),
            (&[20], Kind::Dtls),
            (&[22, 254, 253], Kind::Dtls),
            (&[63], Kind::Dtls),
            (&[64], Kind::Other),
            (&[127; 40], Kind::Other),
            (&[192; 40], Kind::Other),
            (b"OPTIONS sip:x SIP/2.0\r\n\r\n", Kind::Other),
            (b"\r\n\r\n", Kind::Other),
            (&[], Kind::Other),
        ] {
            assert_eq!(classify(packet), kind, "{packet:?}");
        }
    }

    /// RFC 5761 §4: with the marker masked off, payload types 64–95 are those of RTCP.
    #[test]
    fn rtcp_types_are_those_between_192_and_223() {
        for kind in 0..=255_u8 {
            let mut packet = rtp();
            packet[1] = kind;
            packet[2..4].copy_from_slice(&42_u16.to_be_bytes());
            let rtcp = (64..=95).contains(&(kind & 0x7f)) && kind & 0x80 != 0;
            let want = if rtcp { Kind::Rtcp } else { Kind::Rtp };
            assert_eq!(classify(&packet), want, "{kind}");
        }
    }

    #[test]
    fn lengths_that_do_not_fit_make_it_something_else() {
        let with = |first: u8, last: u8| {
            let mut packet = rtp();
            (packet[0], packet[171]) = (first, last);
            classify(&packet)
        };
        assert_eq!(with(0x8f, 0), Kind::Rtp, "fifteen sources fit");
        let mut few = rtp();
        few[0] = 0x8f;
        assert_eq!(classify(&few[..40]), Kind::Other);
        assert_eq!(with(0x90, 0), Kind::Other, "an extension of 65,535 words does not");
        assert_eq!(with(0xa0, 160), Kind::Rtp, "padding may take it all");
        assert_eq!(with(0xa0, 161), Kind::Other);
        assert_eq!(with(0xa0, 0), Kind::Other);
    }

    proptest! {
        #[test]
        fn the_first_octet_never_lies(packet in prop::collection::vec(any::<u8>(), 0..200)) {
            let kind = classify(&packet);
            let range = match packet.first() {
                Some(0..=3) => vec![Kind::Stun],
                Some(20..=63) => vec![Kind::Dtls],
                Some(128..=191) => vec![Kind::Rtp, Kind::Rtcp, Kind::Other],
                Some(_) | None => vec![Kind::Other],
            };
            prop_assert!(range.contains(&kind), "{:?}", kind);
        }

        #[test]
        fn mutated_packets_are_told_by_their_headers(
            edits in prop::collection::vec((0_usize..172, any::<u8>()), 0..6), len in 0_usize..=172
        ) {
            let mut packet = rtp();
            edits.iter().for_each(|(at, byte)| packet[*at] = *byte);
            let packet = &packet[..len];
            let read = rtp::Header::parse(packet).is_some();
            let rtp = read && !(192..=223).contains(&packet[1]);
            prop_assert_eq!(classify(packet) == Kind::Rtp, rtp);
        }
    }
}
