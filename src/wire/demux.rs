//! What a datagram on a media port is (RFC 7983, RFC 5761).

/// The kinds a relay tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A well-formed RTP header (version 2, lengths fit).
    Rtp,
    /// A well-formed RTCP compound packet.
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
pub fn classify(_packet: &[u8]) -> Kind {
    todo!()
}
