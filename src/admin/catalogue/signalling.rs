//! SIP, calls, registrations, upstreams.

use super::Values::{Closed, Names, Upstreams};
use super::{DIRECTION, Family, RESOURCE, SIDE, counter, gauge, histogram};
use crate::audit::{EndedBy, Outcome};
use crate::engine::Finding;
use crate::engine::stats::{AloneResult, CertificateOf, METHODS, RegisterResult, TlsFailure};

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
    "transport",
];
pub(super) const FAMILIES: &[Family] = &[
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
        "portreeve_sip_keepalives_total",
        &[("kind", Closed(&["crlf", "stun"]))],
        "Keep-alives of others that were answered, by datagrams (RFC 5626 §4.4).",
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
    gauge(
        "portreeve_share_used",
        &[RESOURCE],
        "Places held of a table that has shares (`portreeve status --shares`).",
    ),
    gauge("portreeve_share_places", &[RESOURCE], "Places of that table, the reserve included."),
    counter(
        "portreeve_share_refusals_total",
        &[RESOURCE, SIDE],
        "Who found no room: full of what is proved, or his own share used up.",
    ),
    counter(
        "portreeve_share_displaced_total",
        &[RESOURCE, SIDE],
        "What gave way: unproved entries of the fullest source.",
    ),
    gauge("portreeve_active_connections", &[], "SIP stream connections now open."),
    counter(
        "portreeve_tls_failures_total",
        &[SIDE, ("reason", Closed(&TlsFailure::NAMES))],
        "TLS handshakes that came to nothing (docs/TLS.md says what to do for each reason).",
    ),
    gauge(
        "portreeve_certificate_expiry_timestamp_seconds",
        &[("of", Closed(&CertificateOf::NAMES)), ("name", Names)],
        "When a certificate ends (Unix time): of an interface, of us as an upstream's client, of the upstream as it was seen last. Absent: not seen.",
    ),
    gauge(
        "portreeve_upstream_up",
        &[("upstream", Upstreams)],
        "1 if the last OPTIONS probe was answered (500, 502, 503, 504 are no answer), 0 if not. \
         Absent: not probed yet.",
    ),
    counter(
        "portreeve_upstream_probes_total",
        &[("upstream", Upstreams), ("result", Closed(&["answered", "unanswered"]))],
        "OPTIONS probes by result.",
    ),
    gauge(
        "portreeve_upstream_alone_seconds",
        &[("upstream", Upstreams)],
        "For so long the site has been alone without this upstream; 0: it serves.",
    ),
    gauge(
        "portreeve_upstream_sees_other_address",
        &[("upstream", Upstreams)],
        "1 if `received` in its last answers to OPTIONS was not what `advertise` says, 0 if it was, or was not said.",
    ),
    gauge(
        "portreeve_interfaces_without_address",
        &[],
        "Interfaces that follow a device or the default route, and have no address: nothing goes out or comes in there.",
    ),
    gauge(
        "portreeve_interfaces_held",
        &[],
        "Such interfaces that do not take an address, because another program holds a SIP port there.",
    ),
    counter(
        "portreeve_address_changes_total",
        &[],
        "Changes of where such interfaces stand; the first address of each is none.",
    ),
    counter(
        "portreeve_alone_requests_total",
        &[("result", Closed(&AloneResult::NAMES))],
        "What was asked of the site while it was alone, and what became of it.",
    ),
];
