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
        })
    }
}
