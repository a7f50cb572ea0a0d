//! What a datagram on a media port is (RFC 7983, RFC 5761). It reads headers, never the payload,
//! and decides nothing: the relay knows what may pass where.

use super::{rtcp, rtp};

/// The kinds a relay tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A well-formed RTP header (version 2, lengths fit): read here, so that nobody reads it again.
    Rtp(rtp::Header),
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
            } else {
                rtp::Header::parse(packet).map_or(Kind::Other, Kind::Rtp)
            }
        }
        Some(_) | None => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What the tables below name.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Name {
        Rtp,
        Rtcp,
        Stun,
        Dtls,
        Other,
    }

    /// The kind's name; an RTP header is that of the reader.
    fn name(packet: &[u8]) -> Name {
        match classify(packet) {
            Kind::Rtp(header) => {
                assert_eq!(rtp::Header::parse(packet), Some(header));
                Name::Rtp
            }
            Kind::Rtcp => Name::Rtcp,
            Kind::Stun => Name::Stun,
            Kind::Dtls => Name::Dtls,
            Kind::Other => Name::Other,
        }
    }

    /// 20 ms of PCMU.
    fn rtp() -> [u8; 172] {
        let mut packet = [0xff; 172];
        packet[..12].copy_from_slice(&[0x80, 0, 0, 1, 0, 0, 0, 160, 0, 0, 0, 9]);
        packet
    }

    #[test]
    fn each_kind_is_known_by_its_first_octets() {
        for (packet, kind) in [
            (&rtp()[..], Name::Rtp),
            (&rtp()[..12], Name::Rtp),
            (&rtp()[..11], Name::Other),
            (&[0x80, 200, 0, 1, 0, 0, 0, 1], Name::Rtcp),
            (&[0x80, 200, 0, 9, 0, 0, 0, 1], Name::Other),
            (&[0x80, 200, 0], Name::Other),
            (&[0x81, 191, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 9], Name::Rtp),
            (&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42], Name::Stun),
            (&[3], Name::Stun),
            (&[4], Name::Other),
            (&[19], Name::Other),
            (&[20], Name::Dtls),
            (&[22, 254, 253], Name::Dtls),
            (&[63], Name::Dtls),
            (&[64], Name::Other),
            (&[127; 40], Name::Other),
            (&[192; 40], Name::Other),
            (b"OPTIONS sip:x SIP/2.0\r\n\r\n", Name::Other),
            (b"\r\n\r\n", Name::Other),
            (&[], Name::Other),
        ] {
            assert_eq!(name(packet), kind, "{packet:?}");
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
            let want = if rtcp { Name::Rtcp } else { Name::Rtp };
            assert_eq!(name(&packet), want, "{kind}");
        }
    }

    #[test]
    fn lengths_that_do_not_fit_make_it_something_else() {
        let with = |first: u8, last: u8| {
            let mut packet = rtp();
            (packet[0], packet[171]) = (first, last);
            name(&packet)
        };
        assert_eq!(with(0x8f, 0), Name::Rtp, "fifteen sources fit");
        let mut few = rtp();
        few[0] = 0x8f;
        assert_eq!(name(&few[..40]), Name::Other);
        assert_eq!(with(0x90, 0), Name::Other, "an extension of 65,535 words does not");
        assert_eq!(with(0xa0, 160), Name::Rtp, "padding may take it all");
        assert_eq!(with(0xa0, 161), Name::Other);
        assert_eq!(with(0xa0, 0), Name::Other);
    }

    proptest! {
        #[test]
        fn the_first_octet_never_lies(packet in prop::collection::vec(any::<u8>(), 0..200)) {
            let kind = name(&packet);
            let range = match packet.first() {
                Some(0..=3) => vec![Name::Stun],
                Some(20..=63) => vec![Name::Dtls],
                Some(128..=191) => vec![Name::Rtp, Name::Rtcp, Name::Other],
                Some(_) | None => vec![Name::Other],
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
            prop_assert_eq!(name(packet) == Name::Rtp, rtp);
        }
    }
}
