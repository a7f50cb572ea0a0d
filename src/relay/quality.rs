//! How good what a leg receives is: RFC 3550 and RFC 3611 figures, and the E-model's rating of
//! them (ITU-T G.107). Values and arithmetic; it never sees a socket. What cannot be known is said
//! to be unmeasured, with the reason: an unknown value is never a good one.

use crate::wire::rtcp::VoipMetrics;
use crate::wire::sdp::Media;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What RTP payload types mean to one receiver: from the SDP of the party that receives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Codecs {
    /// At most [`Codecs::MOST`], in the order of the `m=` line.
    pub formats: Vec<Format>,
    /// SRTP profile: RTCP cannot be read.
    pub encrypted: bool,
    /// `audio`: rated by the E-model.
    pub speech: bool,
}

impl Codecs {
    /// Formats beyond this are not kept.
    pub const MOST: usize = 32;

    /// What the party that wrote this section takes.
    #[must_use]
    pub fn of(m: &Media) -> Self {
        let proto = m.proto.to_ascii_uppercase();
        let mapped = |kind: u8| m.rtpmap.iter().find(|(k, _)| *k == kind).map(|(_, v)| v.as_str());
        let format = |text: &String| {
            let payload_type = text.parse().ok().filter(|n| *n < 128)?;
            let (name, clock_rate) = match mapped(payload_type) {
                Some(map) => {
                    let mut parts = map.split('/');
                    let name = parts.next()?.trim().to_owned();
                    (name, parts.next()?.trim().parse().ok().filter(|rate| *rate > 0)?)
                }
                None => static_type(payload_type)?,
            };
            Some(Format { payload_type, name, clock_rate })
        };
        Self {
            formats: m.formats.iter().filter_map(format).take(Self::MOST).collect(),
            encrypted: proto.contains("SAVP"),
            speech: m.kind == "audio",
        }
    }
}

/// Types that need no `a=rtpmap` (RFC 3551 tables 4 and 5).
fn static_type(payload_type: u8) -> Option<(String, u32)> {
    let (name, rate) = match payload_type {
        0 => ("PCMU", 8000),
        3 => ("GSM", 8000),
        4 => ("G723", 8000),
        5 => ("DVI4", 8000),
        6 => ("DVI4", 16_000),
        7 => ("LPC", 8000),
        8 => ("PCMA", 8000),
        9 => ("G722", 8000),
        10 | 11 => ("L16", 44_100),
        12 => ("QCELP", 8000),
        13 => ("CN", 8000),
        14 => ("MPA", 90_000),
        15 => ("G728", 8000),
        16 => ("DVI4", 11_025),
        17 => ("DVI4", 22_050),
        18 => ("G729", 8000),
        26 => ("JPEG", 90_000),
        31 => ("H261", 90_000),
        32 => ("MPV", 90_000),
        33 => ("MP2T", 90_000),
        34 => ("H263", 90_000),
        _ => return None,
    };
    Some((name.to_owned(), rate))
}

/// One payload type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Format {
    /// 0–127.
    pub payload_type: u8,
    /// Encoding name as written (`PCMA`, `opus`); static types named by RFC 3551.
    pub name: String,
    /// Ticks a second of RTP time.
    pub clock_rate: u32,
}

/// Why there is no rating. The closed set behind `media_unmeasured_windows_total{reason}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unmeasured {
    /// Nothing was received.
    NoPackets,
    /// Fewer packets than a rating can rest on.
    TooFew,
    /// The payload type is in no SDP, or the codec has no published impairment factors.
    UnknownCodec,
    /// Not speech (video, text): counted, not rated.
    NotSpeech,
}

impl Unmeasured {
    /// Every reason, in metric order.
    pub const ALL: [Self; 4] = [Self::NoPackets, Self::TooFew, Self::UnknownCodec, Self::NotSpeech];

    /// Metric label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoPackets => "no_packets",
            Self::TooFew => "too_few",
            Self::UnknownCodec => "unknown_codec",
            Self::NotSpeech => "not_speech",
        }
    }
}

/// Why a round trip is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoRoundTrip {
    /// The party sent no RTCP.
    NoRtcp,
    /// Its RTCP answers no sender report yet.
    NoReport,
    /// SRTCP: cannot be read.
    Encrypted,
}

/// The E-model's view of speech (ITU-T G.107), in thousandths to stay comparable and exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Rating {
    /// R-factor × 1000, 0–100,000 (narrow-band scale).
    pub r_milli: u32,
    /// MOS-CQE × 1000, 1,000–4,500; listening quality where `delay` is unknown.
    pub mos_milli: u32,
    /// One-way delay that was counted; `None`: no round trip is known, and none is assumed.
    pub delay: Option<Duration>,
}

impl Rating {
    /// R-factor.
    #[must_use]
    pub fn r(&self) -> f64 {
        f64::from(self.r_milli) / 1000.0
    }

    /// MOS.
    #[must_use]
    pub fn mos(&self) -> f64 {
        f64::from(self.mos_milli) / 1000.0
    }
}

/// Loss as bursts and gaps (RFC 3611 §4.7.2, Gmin 16).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Bursts {
    /// Bursts that ended or run.
    pub count: u32,
    /// Share of packets lost within bursts, in 1/1000.
    pub burst_density_milli: u32,
    /// Share of packets lost within gaps, in 1/1000.
    pub gap_density_milli: u32,
    /// Mean length of bursts; `None`: how much time a packet holds is not known.
    pub burst_ms: Option<u32>,
    /// Mean length of gaps.
    pub gap_ms: Option<u32>,
}

/// What the party of a leg reports about the stream that we send it (its RR and XR).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Reported {
    /// Cumulative loss by its last report block.
    pub lost: i32,
    /// Fraction lost since its report before, in 1/256.
    pub fraction_lost: u8,
    /// Its interarrival jitter, in microseconds; `None`: clock rate unknown.
    pub jitter_us: Option<u64>,
    /// Its own VoIP metrics (RFC 3611 §4.7), if it sends them.
    pub voip: Option<VoipMetrics>,
}

/// What one leg received by RTP, over a window or since the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// RTP packets received from the expected source, duplicates included.
    pub received: u64,
    /// By sequence numbers (RFC 3550 A.3).
    pub expected: u64,
    /// `expected` − those received once, never below 0.
    pub lost: u64,
    /// Received more than once.
    pub duplicated: u64,
    /// Received after a later one.
    pub reordered: u64,
    /// From other sources; dropped.
    pub out_of_source: u64,
    /// Changes of SSRC.
    pub ssrc_changes: u32,
    /// Packets whose payload type the receiver's SDP does not hold.
    pub mismatched: u64,
    /// The last such payload type.
    pub mismatched_type: Option<u8>,
    /// RFC 3550 A.8, microseconds; `None`: unknown clock rate or too few packets.
    pub jitter_us: Option<u64>,
    /// The highest it was.
    pub jitter_max_us: Option<u64>,
    /// Bursts and gaps.
    pub bursts: Bursts,
    /// Encoding name of the last speech payload, if known.
    pub codec: Option<&'static str>,
    /// Gateway to the party of this leg and back, microseconds.
    pub round_trip_us: Result<u64, NoRoundTrip>,
    /// What the party says of what it receives.
    pub reported: Option<Reported>,
    /// The rating.
    pub rating: Result<Rating, Unmeasured>,
}

impl Default for Figures {
    fn default() -> Self {
        Self {
            received: 0,
            expected: 0,
            lost: 0,
            duplicated: 0,
            reordered: 0,
            out_of_source: 0,
            ssrc_changes: 0,
            mismatched: 0,
            mismatched_type: None,
            jitter_us: None,
            jitter_max_us: None,
            bursts: Bursts::default(),
            codec: None,
            round_trip_us: Err(NoRoundTrip::NoRtcp),
            reported: None,
            rating: Err(Unmeasured::NoPackets),
        }
    }
}
