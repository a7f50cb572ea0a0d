//! Every metric as data: name (without the prefix `portreeve_`), type, help. Labels are closed
//! sets; no address, user or Call-ID ever becomes one.

/// Metric type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// One metric family.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Full name.
    pub name: &'static str,
    /// Counter or gauge.
    pub kind: Type,
    /// One sentence, with the labels' values.
    pub help: &'static str,
}

const fn counter(name: &'static str, help: &'static str) -> Family {
    Family { name, kind: Type::Counter, help }
}

const fn gauge(name: &'static str, help: &'static str) -> Family {
    Family { name, kind: Type::Gauge, help }
}

/// All families.
pub const ALL: [Family; 30] = [
    gauge("portreeve_build_info", "Always 1; the version is a label."),
    gauge("portreeve_active_calls", "Calls now, by state (early, confirmed)."),
    gauge("portreeve_active_calls_limit", "limits.calls."),
    counter(
        "portreeve_calls_total",
        "Finished call attempts by direction and outcome; challenges and retransmissions are none.",
    ),
    counter("portreeve_call_ends_total", "Answered calls that ended, by who or what ended them."),
    gauge("portreeve_active_registrations", "Bindings now."),
    counter("portreeve_registration_requests_total", "REGISTER requests by result."),
    counter("portreeve_sip_requests_total", "Requests received by side and method."),
    counter("portreeve_sip_responses_total", "Responses sent by side and class."),
    counter(
        "portreeve_sip_rejected_messages_total",
        "Messages refused before policy, by side and reason.",
    ),
    counter("portreeve_sip_retransmissions_total", "Messages received again, by side and kind."),
    counter(
        "portreeve_sip_timeouts_total",
        "Transaction timers that gave up (RFC 3261 B, C, F, H).",
    ),
    counter("portreeve_sip_socket_drops_total", "SIP datagrams dropped at our own sockets."),
    gauge("portreeve_active_transactions", "Server transactions now, by kind."),
    gauge("portreeve_active_dialogs", "Dialogs now: calls and subscriptions."),
    gauge("portreeve_active_connections", "Open SIP stream connections."),
    gauge("portreeve_active_media_streams", "Relayed media streams now."),
    gauge("portreeve_media_ports", "Relay ports by side and state; the sum is the pool."),
    counter(
        "portreeve_media_ports_exhausted_total",
        "Calls refused with 503 because no relay port was free.",
    ),
    counter(
        "portreeve_media_received_packets_total",
        "Media packets accepted, by side and protocol.",
    ),
    counter(
        "portreeve_media_received_bytes_total",
        "UDP payload octets of those, by side and protocol.",
    ),
    counter("portreeve_media_sent_packets_total", "Media packets sent, by side and protocol."),
    counter(
        "portreeve_media_dropped_packets_total",
        "Media packets not relayed, by side and reason.",
    ),
    counter("portreeve_policy_decisions_total", "Verdicts by rule and action."),
    counter("portreeve_audit_records_total", "Audit lines written."),
    counter("portreeve_audit_write_failures_total", "Commits of the audit log that failed."),
    counter("portreeve_audit_suppressed_records_total", "Audit records that could not be written."),
    gauge("portreeve_audit_full", "1 while the audit volume takes no records."),
    gauge("portreeve_draining", "1 while no new calls are admitted."),
    gauge("portreeve_open_files", "Open file descriptors of this process."),
];
