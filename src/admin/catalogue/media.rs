//! Media and how good it is.

use super::Values::Closed;
use super::{Family, SIDE, Values, counter, gauge, histogram};
use crate::engine::stats::CATEGORIES;

const PROTOCOL: (&str, Values) = ("protocol", Closed(&["rtp", "rtcp"]));
const DROPPED: &[&str] = &["unknown_source", "not_rtp", "no_peer", "early", "send_error"];
const UNMEASURED: &[&str] = &["no_packets", "too_few", "unknown_codec", "not_speech"];

pub(super) const FAMILIES: &[Family] = &[
    gauge("portreeve_active_media_streams", &[], "Relayed media streams now."),
    gauge(
        "portreeve_media_ports",
        &[SIDE, ("state", Closed(&["used", "quarantined", "free"]))],
        "Relay ports; the sum is the pool. Those in quarantine rest, and are lent when none is free.",
    ),
    counter(
        "portreeve_media_ports_exhausted_total",
        &[],
        "Calls refused with 503 because no relay port was free.",
    ),
    counter(
        "portreeve_media_received_packets_total",
        &[SIDE, PROTOCOL],
        "Media packets accepted from the side.",
    ),
    counter(
        "portreeve_media_received_bytes_total",
        &[SIDE, PROTOCOL],
        "UDP payload octets of those.",
    ),
    counter(
        "portreeve_media_sent_packets_total",
        &[SIDE, PROTOCOL],
        "Media packets sent to the side.",
    ),
    counter(
        "portreeve_media_dropped_packets_total",
        &[SIDE, ("reason", Closed(DROPPED))],
        "Media packets from the side that were not relayed.",
    ),
    histogram(
        "portreeve_media_relay_delay_seconds",
        &[0.000_01, 0.000_02, 0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.02],
        &[],
        "Kernel receive stamp of a media packet until it was sent, one packet in 256.",
    ),
    counter(
        "portreeve_media_lost_packets_total",
        &[SIDE],
        "RTP packets from the side that are missing by sequence number.",
    ),
    histogram(
        "portreeve_media_jitter_seconds",
        &[0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2],
        &[SIDE],
        "Interarrival jitter (RFC 3550 A.8), one observation a stream and 10 s window.",
    ),
    histogram(
        "portreeve_media_loss_ratio",
        &[0.0, 0.001, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5],
        &[SIDE],
        "Lost / expected RTP packets, one observation a stream and 10 s window.",
    ),
    histogram(
        "portreeve_media_round_trip_seconds",
        &[0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 1.0],
        &[SIDE],
        "Gateway to the party on the side and back, from RTCP (LSR, DLSR).",
    ),
    histogram(
        "portreeve_media_r_factor",
        &[50.0, 60.0, 70.0, 80.0, 90.0, 93.0],
        &[SIDE],
        "R-factor (ITU-T G.107) of speech from the side, one observation a stream and 10 s window.",
    ),
    histogram(
        "portreeve_media_mos",
        &[1.5, 2.0, 2.58, 3.1, 3.6, 4.03, 4.34, 4.5],
        &[SIDE],
        "MOS of the same windows; listening quality where no round trip is known.",
    ),
    counter(
        "portreeve_media_unmeasured_windows_total",
        &[SIDE, ("reason", Closed(UNMEASURED))],
        "Stream windows without a rating, and why.",
    ),
    counter(
        "portreeve_call_quality_total",
        &[("category", Closed(&CATEGORIES))],
        "Ended calls by the ITU-T G.109 category of their worst direction.",
    ),
    counter(
        "portreeve_vq_reports_total",
        &[("result", Closed(&["accepted", "refused"]))],
        "Voice quality reports of phones (RFC 6035).",
    ),
];
