//! The VoIP metrics block of RTCP extended reports (RFC 3611 §4.7), which rtcp-types does not know.
//! Read only; blocks of other types, and what does not fit, are passed over.

/// Extended reports (RFC 3611 §2).
pub(super) const PACKET_TYPE: u8 = 207;
/// The VoIP metrics block.
const VOIP_METRICS: u8 = 7;
/// Its length in words after the first.
const VOIP_WORDS: u16 = 8;
/// "Unavailable" in fields of ratings.
const UNAVAILABLE: u8 = 127;

/// The figures of a VoIP metrics block; `None`: its sender said "unavailable", or a value that the
/// field cannot have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct VoipMetrics {
    /// Source it is about.
    pub ssrc: u32,
    /// In 1/256.
    pub loss_rate: u8,
    /// In 1/256: arrived too late or early for the phone's jitter buffer.
    pub discard_rate: u8,
    /// In 1/256.
    pub burst_density: u8,
    /// In 1/256.
    pub gap_density: u8,
    /// Milliseconds.
    pub burst_duration: u16,
    /// Milliseconds.
    pub gap_duration: u16,
    /// Milliseconds.
    pub round_trip_delay: u16,
    /// Milliseconds.
    pub end_system_delay: u16,
    /// 0–100.
    pub r_factor: Option<u8>,
    /// MOS-LQ × 10, 10–50.
    pub mos_lq: Option<u8>,
    /// MOS-CQ × 10, 10–50.
    pub mos_cq: Option<u8>,
}

/// Hands every VoIP metrics block of one extended report to `each`.
pub(super) fn voip_metrics(packet: &[u8], mut each: impl FnMut(VoipMetrics)) {
    // Header and SSRC of the reporter.
    let mut rest = packet.get(8..).unwrap_or_default();
    while let Some(&[kind, _, high, low]) = rest.first_chunk() {
        let words = u16::from_be_bytes([high, low]);
        let Some((block, after)) = rest.split_at_checked((usize::from(words) + 1) * 4) else {
            return;
        };
        rest = after;
        if kind == VOIP_METRICS
            && words == VOIP_WORDS
            && let Some(metrics) = read(block)
        {
            each(metrics);
        }
    }
}

fn read(block: &[u8]) -> Option<VoipMetrics> {
    let octet = |at: usize| block.get(at).copied();
    let half = |at: usize| Some(u16::from_be_bytes([octet(at)?, octet(at + 1)?]));
    let within = |at: usize, least: u8, most: u8| {
        octet(at).filter(|v| *v != UNAVAILABLE && (least..=most).contains(v))
    };
    Some(VoipMetrics {
        ssrc: u32::from_be_bytes([octet(4)?, octet(5)?, octet(6)?, octet(7)?]),
        loss_rate: octet(8)?,
        discard_rate: octet(9)?,
        burst_density: octet(10)?,
        gap_density: octet(11)?,
        burst_duration: half(12)?,
        gap_duration: half(14)?,
        round_trip_delay: half(16)?,
        end_system_delay: half(18)?,
        r_factor: within(24, 0, 100),
        mos_lq: within(26, 10, 50),
        mos_cq: within(27, 10, 50),
    })
}
