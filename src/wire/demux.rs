//! What a datagram on a media port is (RFC 7983, RFC 5761).

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

    #[test]
    fn each_kind_is_known_by_its_first_octets() {
        let mut rtp = [0_u8; 172];
        rtp[0] = 0x80;
        assert_eq!(classify(&rtp), Kind::Rtp);
        assert_eq!(classify(&rtp[..11]), Kind::Other);
        assert_eq!(classify(&[0x80, 200, 0, 1, 0, 0, 0, 1]), Kind::Rtcp);
        assert_eq!(classify(&[0x80, 200, 0, 9, 0, 0, 0, 1]), Kind::Other);
        assert_eq!(classify(&[0, 1, 0, 0]), Kind::Stun);
        assert_eq!(classify(&[22, 254, 253]), Kind::Dtls);
        assert_eq!(classify(&[]), Kind::Other);
        rtp[0] = 0x8f;
        assert_eq!(classify(&rtp[..40]), Kind::Other);
    }

    proptest! {
        #[test]
        fn no_input_panics(packet: Vec<u8>) {
            let _ = classify(&packet);
        }
    }
}
