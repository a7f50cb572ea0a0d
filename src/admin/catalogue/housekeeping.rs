//! Policy, security, audit, the process.

use super::Values::{Build, Closed, Rules};
use super::{Family, counter, gauge};
use crate::engine::Signal;
use crate::engine::stats::SECURITY;

pub(super) const FAMILIES: &[Family] = &[
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
    counter(
        "portreeve_guilt_signals_total",
        &[("signal", Closed(&Signal::NAMES))],
        "What made sources suspect, by kind.",
    ),
    gauge("portreeve_active_bans", &[], "Sources banned now."),
    counter("portreeve_bans_total", &[], "Bans that began."),
    counter("portreeve_banned_messages_total", &[], "Messages of banned sources, not read."),
    counter("portreeve_back_offs_total", &[], "Pauses that began after a wrong password."),
    counter(
        "portreeve_unheard_guesses_total",
        &[],
        "Credentials that came within such a pause and were compared with nothing.",
    ),
    counter(
        "portreeve_slowed_requests_total",
        &[],
        "New requests of sources that asked for too much at once.",
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
