//! Quality figures as they stand in a call's record. What is not known is left out or named; it is
//! never written as a good value.

use serde::Serialize;

/// What one leg received of RTP.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LegQuality {
    /// Encoding name, when known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub codec: Option<&'static str>,
    /// Packets by sequence numbers (RFC 3550 A.3).
    pub expected: u64,
    /// Of those, never received.
    pub lost: u64,
    /// Received more than once.
    pub duplicated: u64,
    /// Received after a later one.
    pub reordered: u64,
    /// From other sources, dropped.
    pub out_of_source: u64,
    /// Changes of SSRC.
    pub ssrc_changes: u32,
    /// Packets of a payload type that the receiver does not accept.
    pub mismatched: u64,
    /// RFC 3550 A.8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter_ms: Option<f64>,
    /// The highest it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter_max_ms: Option<f64>,
    /// Bursts of loss (RFC 3611 §4.7.2).
    pub bursts: u32,
    /// Share lost within bursts, 0–1.
    pub burst_density: f64,
    /// Share lost within gaps, 0–1.
    pub gap_density: f64,
    /// Mean burst, when the time that a packet holds is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst_ms: Option<u32>,
    /// Mean gap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap_ms: Option<u32>,
    /// Gateway to this party and back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round_trip_ms: Option<f64>,
    /// Why it is not known: `no_rtcp`, `no_report`, `encrypted`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_round_trip: Option<&'static str>,
    /// The delay that the rating counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub one_way_delay_ms: Option<f64>,
    /// R-factor (ITU-T G.107).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r: Option<f64>,
    /// MOS; listening quality where no delay is counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mos: Option<f64>,
    /// Why there is no rating: `no_packets`, `too_few`, `unknown_codec`, `not_speech`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unmeasured: Option<&'static str>,
    /// What the party itself reports of what it receives (RTCP RR, XR).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reported: Option<VoipReport>,
}

/// The party's own figures.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct VoipReport {
    /// Cumulative loss (RFC 3550 §6.4.1).
    pub lost: i32,
    /// Its jitter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter_ms: Option<f64>,
    /// Its R-factor (RFC 3611 §4.7.5).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r: Option<u8>,
    /// Its listening quality.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mos_lq: Option<f64>,
    /// Its conversational quality.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mos_cq: Option<f64>,
    /// Share that its jitter buffer threw away, 0–1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discard_rate: Option<f64>,
}
