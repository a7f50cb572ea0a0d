//! What a phone reports of a call (RFC 6035), as it stands in records. What the phone did not say,
//! or said is unavailable, is left out; it is never written as a good value.

use crate::wire::vq_report::{Kind, Metric, Metrics, Report};
use serde::Serialize;

/// One report of a party.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PhoneReport {
    /// `session`, `interval`, `alert`.
    pub scope: &'static str,
    /// It was sent at the end of the call.
    pub ended: bool,
    /// What an alert is about: metric, severity, direction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert: Option<String>,
    /// What the phone hears.
    pub heard: PhoneFigures,
    /// What its far end told it that it hears.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub told: Option<PhoneFigures>,
}

/// One direction of a report. Names and units as in [`super::LegQuality`].
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PhoneFigures {
    /// Time covered, by the phone's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    /// Codec as the phone calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub codec: Option<String>,
    /// Share lost on the network, 0–1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
    /// Share that its jitter buffer threw away, 0–1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discard_rate: Option<f64>,
    /// Share lost or discarded within bursts, 0–1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst_density: Option<f64>,
    /// Mean burst.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst_ms: Option<f64>,
    /// Share lost or discarded within gaps, 0–1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap_density: Option<f64>,
    /// Mean gap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap_ms: Option<f64>,
    /// Interarrival jitter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter_ms: Option<f64>,
    /// Mean absolute jitter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter_absolute_ms: Option<f64>,
    /// Nominal delay of its jitter buffer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buffer_ms: Option<f64>,
    /// Present most of its jitter buffer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buffer_max_ms: Option<f64>,
    /// Phone to far end and back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round_trip_ms: Option<f64>,
    /// The phone's own share of the delay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_system_ms: Option<f64>,
    /// One way, assumed symmetric.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub one_way_delay_ms: Option<f64>,
    /// Speech level in dBm0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal_dbm: Option<f64>,
    /// Noise level in dBm0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noise_dbm: Option<f64>,
    /// Residual echo return loss in dB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub echo_loss_db: Option<f64>,
    /// R-factor, listening.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r_lq: Option<f64>,
    /// R-factor, conversational.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r_cq: Option<f64>,
    /// MOS, listening.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mos_lq: Option<f64>,
    /// MOS, conversational.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mos_cq: Option<f64>,
    /// How the phone came to its scores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<String>,
}

impl From<&Report> for PhoneReport {
    fn from(r: &Report) -> Self {
        let scope = match r.kind {
            Kind::Session => "session",
            Kind::Interval => "interval",
            Kind::Alert => "alert",
        };
        let words = [&r.alert.metric, &r.alert.severity, &r.alert.direction];
        let words: Vec<&str> = words.into_iter().flatten().map(String::as_str).collect();
        let alert = (!words.is_empty()).then(|| words.join(" ").chars().take(64).collect());
        let heard = (&r.heard).into();
        Self { scope, ended: r.ended, alert, heard, told: r.told.as_ref().map(Into::into) }
    }
}

impl From<&Metrics> for PhoneFigures {
    fn from(m: &Metrics) -> Self {
        let share = |metric| m.milli(metric).map(|n| f64::from(n) / 100_000.0);
        Self {
            seconds: m.seconds(),
            codec: m.codec.clone(),
            loss: share(Metric::Lost),
            discard_rate: share(Metric::Discarded),
            burst_density: share(Metric::BurstDensity),
            burst_ms: m.number(Metric::Burst),
            gap_density: share(Metric::GapDensity),
            gap_ms: m.number(Metric::Gap),
            jitter_ms: m.number(Metric::Jitter),
            jitter_absolute_ms: m.number(Metric::JitterAbsolute),
            buffer_ms: m.number(Metric::BufferNominal),
            buffer_max_ms: m.number(Metric::BufferMaximum),
            round_trip_ms: m.number(Metric::RoundTrip),
            end_system_ms: m.number(Metric::EndSystem),
            one_way_delay_ms: m.number(Metric::OneWay),
            signal_dbm: m.number(Metric::Signal),
            noise_dbm: m.number(Metric::Noise),
            echo_loss_db: m.number(Metric::EchoLoss),
            r_lq: m.number(Metric::RListening),
            r_cq: m.number(Metric::RConversational),
            mos_lq: m.number(Metric::MosListening),
            mos_cq: m.number(Metric::MosConversational),
            algorithm: m.algorithm.clone(),
        }
    }
}

impl PhoneReport {
    /// The figures that a person looks for first, in words.
    #[must_use]
    pub fn brief(&self) -> String {
        let h = &self.heard;
        let shown =
            |what: &str, value: Option<f64>, unit: &str| value.map(|n| format!("{what} {n}{unit}"));
        let per_cent = h.loss.map(|n| (n * 100_000.0).round() / 1000.0);
        let all = [
            self.alert.as_ref().map(|a| format!("alert {a}")),
            shown("MOS-CQ", h.mos_cq, ""),
            shown("MOS-LQ", h.mos_lq, ""),
            shown("loss", per_cent, " %"),
            shown("jitter", h.jitter_ms, " ms"),
            shown("round trip", h.round_trip_ms, " ms"),
        ];
        let all: Vec<String> = all.into_iter().flatten().collect();
        if all.is_empty() { "no figures".to_owned() } else { all.join(", ") }
    }
}
