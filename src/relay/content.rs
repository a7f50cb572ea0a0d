//! What a packet of a flow is: its header read once, and handed on to whoever measures or answers.
//! It decides nothing.

use super::flow::Lane;
use crate::wire::demux::{self, Kind};
use crate::wire::rtp;

/// A packet that is what its flow carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// Media, by its header.
    Rtp(rtp::Header),
    /// Control, whole.
    Rtcp(&'a [u8]),
}

impl<'a> Content<'a> {
    /// Reads a datagram; `None`: it is not what this flow carries. RTCP on the RTP port (RFC 5761)
    /// is not: `rtcp-mux` never survives our SDP.
    #[must_use]
    #[inline]
    pub fn read(lane: Lane, packet: &'a [u8]) -> Option<Self> {
        match (lane, demux::classify(packet)) {
            (Lane::Rtp, Kind::Rtp(header)) => Some(Self::Rtp(header)),
            (Lane::Rtcp, Kind::Rtcp) => Some(Self::Rtcp(packet)),
            (Lane::Rtp, Kind::Rtcp | Kind::Stun | Kind::Dtls | Kind::Other)
            | (Lane::Rtcp, Kind::Rtp(_) | Kind::Stun | Kind::Dtls | Kind::Other) => None,
        }
    }
}
