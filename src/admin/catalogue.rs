//! Every metric as data: name, type, unit, labels with their closed sets of values, help, buckets.
//! No address, user or Call-ID is ever a label. `docs/METRICS.md` is written from this table, and
//! `metrics` shows every series of it from the start.

use crate::audit::{EndedBy, Outcome};
use crate::engine::stats::{CATEGORIES, METHODS, RegisterResult, SECURITY};
use crate::engine::{Finding, stats};
use crate::ground::CallDirection;

/// Metric type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Type {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Observations by upper bounds.
    Histogram(&'static [f64]),
}

/// The values a label takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// These and no others.
    Closed(&'static [&'static str]),
    /// Names of rules, at most [`stats::RULE_LABELS`]; further ones count as `other`.
    Rules,
    /// Names of upstreams, at most [`stats::UPSTREAM_LABELS`].
    Upstreams,
    /// One value that the build decides.
    Build,
}

impl Values {
    /// How many there may be.
    #[must_use]
    pub fn most(self) -> usize {
        match self {
            Self::Closed(all) => all.len(),
            Self::Rules => stats::RULE_LABELS,
            Self::Upstreams => stats::UPSTREAM_LABELS,
            Self::Build => 1,
        }
    }
}

/// One metric family.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Full name; its unit is in it.
    pub name: &'static str,
    /// Counter, gauge or histogram.
    pub kind: Type,
    /// Labels and what they may be.
    pub labels: &'static [(&'static str, Values)],
    /// One sentence.
    pub help: &'static str,
}

impl Family {
    /// The most series this family can have.
    #[must_use]
    pub fn most_series(&self) -> usize {
        let sets: usize = self.labels.iter().map(|(_, v)| v.most()).product();
        match self.kind {
            Type::Counter | Type::Gauge => sets,
            Type::Histogram(bounds) => sets * (bounds.len() + 3),
        }
    }
}

/// The most series a scrape can have, whatever the configuration and the traffic.
pub const MOST_SERIES: usize = 650;

const fn counter(
    name: &'static str,
    labels: &'static [(&'static str, Values)],
    help: &'static str,
) -> Family {
    Family { name, kind: Type::Counter, labels, help }
}

const fn gauge(
    name: &'static str,
    labels: &'static [(&'static str, Values)],
    help: &'static str,
) -> Family {
    Family { name, kind: Type::Gauge, labels, help }
}

const fn histogram(
    name: &'static str,
    bounds: &'static [f64],
    labels: &'static [(&'static str, Values)],
    help: &'static str,
) -> Family {
    Family { name, kind: Type::Histogram(bounds), labels, help }
}

use Values::{Build, Closed, Rules, Upstreams};

const SIDE: (&str, Values) = ("side", Closed(&["inside", "outside"]));
const PROTOCOL: (&str, Values) = ("protocol", Closed(&["rtp", "rtcp"]));
const DIRECTION: (&str, Values) = ("direction", Closed(&CallDirection::NAMES));
const REJECTED: &[&str] = &[
    "malformed",
    "too_large",
    "framing",
    "duplicate_header",
    "too_many_hops",
    "loop",
    "method",
    "body",
    "no_dialog",
    "stray_response",
    "source",
    "version",
    "scheme",
    "extension",
    "media",
];
const DROPPED: &[&str] = &["unknown_source", "not_rtp", "no_peer", "early", "send_error"];
const UNMEASURED: &[&str] = &["no_packets", "too_few", "unknown_codec", "not_speech"];

/// SIP, calls, registrations, upstreams.
const SIGNALLING: &[Family] = &[
    gauge("portreeve_active_calls", &[("state", Closed(&["early", "confirmed"]))], "Calls now."),
    gauge("portreeve_active_calls_limit", &[], "The configured ceiling (limits.calls)."),
    counter(
        "portreeve_calls_total",
        &[DIRECTION, ("outcome", Closed(&Outcome::NAMES))],
        "Call attempts with a final answer; challenges and retransmissions are none. Refused by \
         our own policy: denied.",
    ),
    counter(
        "portreeve_call_ends_total",
        &[("reason", Closed(&EndedBy::NAMES))],
        "Answered calls that ended, by who or what ended them.",
    ),
    histogram(
        "portreeve_post_dial_delay_seconds",
        &[0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 30.0],
        &[DIRECTION],
        "INVITE to the first 18x, or to the 2xx where none came (PDD; RFC 6076 successful SRD).",
    ),
    histogram(
        "portreeve_call_duration_seconds",
        &[1.0, 5.0, 10.0, 30.0, 60.0, 180.0, 600.0, 1800.0, 3600.0, 7200.0],
        &[DIRECTION],
        "Answer to end of answered calls (RFC 6076 SDT; mean: ACD).",
    ),
    histogram(
        "portreeve_disconnect_delay_seconds",
        &[0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0],
        &[],
        "A party's BYE to its final answer (RFC 6076 SDD).",
    ),
    counter(
        "portreeve_call_findings_total",
        &[("finding", Closed(&Finding::NAMES))],
        "What was found wrong with calls; each finding once a call.",
    ),
    gauge("portreeve_active_registrations", &[], "Bindings now."),
    counter(
        "portreeve_registration_requests_total",
        &[("result", Closed(&RegisterResult::NAMES))],
        "REGISTER requests by result.",
    ),
    histogram(
        "portreeve_registration_delay_seconds",
        &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0],
        &[],
        "REGISTER to the 2xx of the upstream (RFC 6076 RRD).",
    ),
    counter(
        "portreeve_sip_requests_total",
        &[SIDE, ("method", Closed(&METHODS))],
        "SIP requests received.",
    ),
    counter(
        "portreeve_sip_responses_total",
        &[SIDE, ("class", Closed(&["1xx", "2xx", "3xx", "4xx", "5xx", "6xx"]))],
        "SIP responses sent.",
    ),
    counter(
        "portreeve_sip_rejected_messages_total",
        &[SIDE, ("reason", Closed(REJECTED))],
        "SIP messages refused before policy was asked.",
    ),
    counter(
        "portreeve_sip_retransmissions_total",
        &[SIDE, ("kind", Closed(&["request", "response"]))],
        "SIP messages received again and absorbed.",
    ),
    counter(
        "portreeve_sip_timeouts_total",
        &[("timer", Closed(&["B", "C", "F", "H"]))],
        "Transaction timers that gave up (RFC 3261 table 4).",
    ),
    histogram(
        "portreeve_sip_processing_seconds",
        &[0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1],
        &[],
        "From taking a SIP message out of the queue until its last effect was carried out.",
    ),
    counter("portreeve_sip_socket_drops_total", &[], "SIP datagrams dropped: the queue was full."),
    gauge(
        "portreeve_active_transactions",
        &[("kind", Closed(&["invite", "other"]))],
        "Server transactions now.",
    ),
    gauge("portreeve_active_dialogs", &[], "Dialogs now: calls and subscriptions."),
    gauge("portreeve_active_connections", &[], "SIP stream connections now open."),
    gauge(
        "portreeve_upstream_up",
        &[("upstream", Upstreams)],
        "1 if the last OPTIONS probe was answered, 0 if not. Absent: not probed yet.",
    ),
    counter(
        "portreeve_upstream_probes_total",
        &[("upstream", Upstreams), ("result", Closed(&["answered", "unanswered"]))],
        "OPTIONS probes by result.",
    ),
];

/// Media and how good it is.
const MEDIA: &[Family] = &[
    gauge("portreeve_active_media_streams", &[], "Relayed media streams now."),
    gauge(
        "portreeve_media_ports",
        &[SIDE, ("state", Closed(&["used", "quarantined", "free"]))],
        "Relay ports; the sum is the pool.",
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

/// Policy, security, audit, the process.
const HOUSEKEEPING: &[Family] = &[
    counter(
        "portreeve_policy_decisions_total",
        &[("rule", Rules), ("action", Closed(&["allow", "deny"]))],
        "Verdicts by rule.",
    ),
    counter(
        "portreeve_security_events_total",
        &[("class", Closed(&SECURITY))],
        "Security events by class, as in the audit log.",
    ),
    counter(
        "portreeve_emergency_calls_unrouted_total",
        &[],
        "Emergency calls that reached nobody: no trunk takes them, no phone is named for them.",
    ),
    counter(
        "portreeve_silenced_requests_total",
        &[("method", Closed(&["INVITE", "other"]))],
        "Requests of nobody known that got no answer (strangers = \"silent\").",
    ),
    counter("portreeve_audit_records_total", &[], "Audit lines written."),
    counter("portreeve_audit_write_failures_total", &[], "Commits of the audit log that failed."),
    counter("portreeve_audit_suppressed_records_total", &[], "Audit records that were lost."),
    gauge("portreeve_audit_full", &[], "1 while the audit volume takes no records."),
    counter(
        "portreeve_state_write_failures_total",
        &[],
        "Writes of the journal of registrations that failed; they are tried again.",
    ),
    counter(
        "portreeve_state_lost_changes_total",
        &[],
        "Changes of registrations that found no place to wait for the state volume.",
    ),
    gauge("portreeve_state_waiting_changes", &[], "Changes that wait for the state volume."),
    gauge("portreeve_state_failing", &[], "1 while the state volume fails or hangs."),
    counter("portreeve_log_lost_lines_total", &[], "Log lines lost: nobody read them in time."),
    gauge("portreeve_draining", &[], "1 while no new calls are admitted."),
    gauge(
        "portreeve_event_loop_age_seconds",
        &[],
        "Since the event loop last turned, which it does at least once a second. From 3 on it \
         stands still: counters and gauges are those of its last turn.",
    ),
    counter(
        "portreeve_relay_events_lost_total",
        &[],
        "News of the relay (first packets, strangers, measured windows) that were dropped because \
         the event loop did not take them.",
    ),
    counter(
        "portreeve_config_reloads_total",
        &[("result", Closed(&["applied", "unchanged", "refused"]))],
        "Reloads by SIGHUP or command; a refused one changed nothing.",
    ),
    gauge("portreeve_config_last_reload_successful", &[], "0 after a refused reload, else 1."),
    gauge(
        "portreeve_config_last_reload_success_timestamp_seconds",
        &[],
        "When a configuration was last taken, in Unix time; the start counts.",
    ),
    gauge(
        "portreeve_config_restart_pending",
        &[],
        "1 while the file read last holds values that need a restart.",
    ),
    gauge("portreeve_build_info", &[("version", Build)], "Always 1."),
    counter("process_cpu_seconds_total", &[], "CPU time of this process."),
    gauge("process_resident_memory_bytes", &[], "Resident memory."),
    gauge("process_open_fds", &[], "Open file descriptors."),
    gauge("process_max_fds", &[], "The most that may be open."),
    gauge("process_threads", &[], "Threads."),
    gauge("process_start_time_seconds", &[], "Start, in Unix time."),
];

/// All families.
pub fn all() -> impl Iterator<Item = &'static Family> {
    SIGNALLING.iter().chain(MEDIA).chain(HOUSEKEEPING)
}

#[cfg(test)]
mod tests;
