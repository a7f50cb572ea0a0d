//! Report and observations → Prometheus text 0.0.4, through the `metrics` facade and its exporter.
//! The recorder is our own, never the global one, so that two gateways in one process do not mix.
//! Histograms are held handles, fed as values are measured; the rest is read when asked.

mod certificates;
mod histograms;
mod tunnels;

use super::catalogue::{self, Family, Type};
use super::process::{Process, TICKS};
use crate::audit::{EndedBy, Outcome};
use crate::daemon::{Observer, Reloaded, Report};
use crate::engine::stats::{
    AloneResult, CATEGORIES, METHODS, Ping, RegisterResult, SECURITY, TlsFailure, UPSTREAM_LABELS,
};
use crate::engine::{Finding, Health, Signal, UpstreamView};
use crate::ground::{CallDirection, Side};
use crate::policy::quota::Resource;
use crate::relay::DropReason;
use crate::relay::quality::Unmeasured;
use crate::wire::sip::RejectReason;
use histograms::Histograms;
use metrics::{Key, Label, Level, Metadata, Recorder, SharedString};
use metrics_exporter_prometheus::{
    Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};
use std::sync::Arc;

static META: Metadata<'static> = Metadata::new("portreeve", Level::INFO, None);

type Labels<'a> = &'a [(&'static str, &'a str)];

/// The recorder and its view.
pub struct Metrics {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    histograms: Arc<Histograms>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Describes every family.
    #[must_use]
    pub fn new() -> Self {
        let with_bounds = |builder: PrometheusBuilder, family: &Family| match family.kind {
            Type::Histogram(bounds) => {
                let name = Matcher::Full(family.name.to_owned());
                // It fails on an empty list only; a test shows that every family has its bounds.
                builder.set_buckets_for_metric(name, bounds).unwrap_or_default()
            }
            Type::Counter | Type::Gauge => builder,
        };
        let builder = catalogue::all().fold(PrometheusBuilder::new(), with_bounds);
        let recorder = builder.build_recorder();
        for family in catalogue::all() {
            let name = SharedString::const_str(family.name).into();
            let help = SharedString::const_str(family.help);
            match family.kind {
                Type::Counter => recorder.describe_counter(name, None, help),
                Type::Gauge => recorder.describe_gauge(name, None, help),
                Type::Histogram(_) => recorder.describe_histogram(name, None, help),
            }
        }
        let handle = recorder.handle();
        let histograms = Arc::new(Histograms::new(&recorder));
        Self { recorder, handle, histograms }
    }

    /// Where measured values go.
    #[must_use]
    pub fn observer(&self) -> Observer {
        let histograms = self.histograms.clone();
        Arc::new(move |observed| histograms.record(observed))
    }

    /// Puts what was measured into its buckets: a scrape does it, and somebody must where nobody
    /// scrapes. It takes the exporter's locks, so whoever measures must not do it.
    pub fn keep_up(&self) {
        self.handle.run_upkeep();
    }

    fn key(name: &'static str, labels: Labels<'_>) -> Key {
        let labels: Vec<Label> =
            labels.iter().map(|(k, v)| Label::new(*k, (*v).to_owned())).collect();
        Key::from_parts(name, labels)
    }

    fn count(&self, name: &'static str, labels: Labels<'_>, value: u64) {
        self.recorder.register_counter(&Self::key(name, labels), &META).absolute(value);
    }

    #[expect(clippy::cast_precision_loss, reason = "gauges here stay far below 2^52")]
    fn set(&self, name: &'static str, labels: Labels<'_>, value: u64) {
        self.recorder.register_gauge(&Self::key(name, labels), &META).set(value as f64);
    }

    /// A row of counters under the words of one label.
    fn counts(&self, name: &'static str, rest: Labels<'_>, label: &'static str, row: Row<'_>) {
        for (word, n) in row.0.iter().zip(row.1) {
            let labels: Vec<_> = rest.iter().copied().chain([(label, *word)]).collect();
            self.count(name, &labels, *n);
        }
    }

    /// The text of one scrape.
    #[must_use]
    pub fn render(&self, r: &Report) -> String {
        self.sip(r);
        self.certificates(r);
        self.tunnels(r);
        self.calls(r);
        self.shares(r);
        self.media(r);
        self.quality(r);
        self.rest(r);
        self.process();
        without_unknown(with_cpu_in_seconds(self.handle.render()), r)
    }

    fn sip(&self, r: &Report) {
        let s = &r.stats;
        let classes = ["1xx", "2xx", "3xx", "4xx", "5xx", "6xx"];
        let reasons = RejectReason::ALL.map(RejectReason::as_str);
        for side in Side::ALL {
            let i = side.index();
            let side = [("side", side.as_str())];
            self.counts(
                "portreeve_sip_requests_total",
                &side,
                "method",
                Row(&METHODS, &s.requests[i]),
            );
            self.counts(
                "portreeve_sip_responses_total",
                &side,
                "class",
                Row(&classes, &s.responses[i]),
            );
            let name = "portreeve_sip_rejected_messages_total";
            self.counts(name, &side, "reason", Row(&reasons, &s.rejected[i]));
            let name = "portreeve_sip_retransmissions_total";
            self.counts(name, &side, "kind", Row(&["request", "response"], &s.retransmissions[i]));
            let failures = Row(&TlsFailure::NAMES, &s.tls_failures[i]);
            self.counts("portreeve_tls_failures_total", &side, "reason", failures);
        }
        let pings = Ping::ALL.map(Ping::as_str);
        self.counts("portreeve_sip_keepalives_total", &[], "kind", Row(&pings, &s.pings));
        let timers = ["B", "C", "F", "H"];
        self.counts("portreeve_sip_timeouts_total", &[], "timer", Row(&timers, &s.timeouts));
        let name = "portreeve_registration_requests_total";
        self.counts(name, &[], "result", Row(&RegisterResult::NAMES, &s.registrations));
        for (kind, n) in ["invite", "other"].iter().zip(s.now.transactions) {
            self.set("portreeve_active_transactions", &[("kind", kind)], n);
        }
        self.set("portreeve_active_registrations", &[], s.now.registrations);
        self.set("portreeve_active_dialogs", &[], s.now.dialogs);
        self.set("portreeve_active_connections", &[], r.connections);
        self.count("portreeve_sip_socket_drops_total", &[], r.dropped);
        // More upstreams than labels: `status` and the log tell of the others.
        for u in s.upstreams.iter().take(UPSTREAM_LABELS) {
            let upstream = [("upstream", u.name.as_str())];
            if let Some(up) = is_up(u) {
                self.set("portreeve_upstream_up", &upstream, u64::from(up));
            }
            let words = ["answered", "unanswered"];
            let row = Row(&words, &u.probes);
            self.counts("portreeve_upstream_probes_total", &upstream, "result", row);
            let alone = u.alone.map_or(0, |since| since.elapsed(r.now).as_secs().max(1));
            self.set("portreeve_upstream_alone_seconds", &upstream, alone);
            let elsewhere = u64::from(u.seen_as.is_some());
            self.set("portreeve_upstream_sees_other_address", &upstream, elsewhere);
        }
        let away = s.interfaces.iter().filter(|i| i.addresses.is_empty()).count();
        self.set("portreeve_interfaces_without_address", &[], away as u64);
        let held = s.interfaces.iter().filter(|i| i.held).count();
        self.set("portreeve_interfaces_held", &[], held as u64);
        self.count("portreeve_address_changes_total", &[], s.address_changes);
        let name = "portreeve_alone_requests_total";
        self.counts(name, &[], "result", Row(&AloneResult::NAMES, &s.alone));
    }

    fn shares(&self, r: &Report) {
        let s = &r.stats;
        for (i, name) in Resource::NAMES.iter().enumerate() {
            let resource = [("resource", *name)];
            self.set("portreeve_share_used", &resource, s.now.places[i].used);
            self.set("portreeve_share_places", &resource, s.now.places[i].total);
            for side in Side::ALL {
                let labels = [resource[0], ("side", side.as_str())];
                let n = s.shares[i][side.index()];
                self.count("portreeve_share_refusals_total", &labels, n.refused);
                self.count("portreeve_share_displaced_total", &labels, n.displaced);
            }
        }
    }

    fn calls(&self, r: &Report) {
        let s = &r.stats;
        for (state, n) in ["early", "confirmed"].iter().zip(s.now.calls) {
            self.set("portreeve_active_calls", &[("state", state)], n);
        }
        self.set("portreeve_active_calls_limit", &[], r.calls_limit);
        for (direction, row) in CallDirection::NAMES.iter().zip(&s.calls) {
            let direction = [("direction", *direction)];
            self.counts("portreeve_calls_total", &direction, "outcome", Row(&Outcome::NAMES, row));
        }
        self.counts("portreeve_call_ends_total", &[], "reason", Row(&EndedBy::NAMES, &s.call_ends));
        let found = Row(&Finding::NAMES, &s.findings);
        self.counts("portreeve_call_findings_total", &[], "finding", found);
        for (rule, row) in &s.decisions {
            let (rule, words) = ([("rule", rule.as_ref())], ["allow", "deny"]);
            self.counts("portreeve_policy_decisions_total", &rule, "action", Row(&words, row));
        }
    }

    fn media(&self, r: &Report) {
        self.set("portreeve_active_media_streams", &[], r.stats.now.streams);
        self.count("portreeve_media_ports_exhausted_total", &[], r.stats.ports_exhausted);
        let reasons = DropReason::ALL.map(DropReason::as_str);
        let words = ["rtp", "rtcp"];
        for side in Side::ALL {
            let (i, name) = (side.index(), side.as_str());
            let ports = r.stats.now.ports[i];
            let states =
                [("used", ports.used), ("quarantined", ports.quarantined), ("free", ports.free)];
            for (state, n) in states {
                self.set("portreeve_media_ports", &[("side", name), ("state", state)], n as u64);
            }
            let (c, side) = (r.relay.sides[i], [("side", name)]);
            for (name, row) in [
                ("portreeve_media_received_packets_total", &c.packets),
                ("portreeve_media_received_bytes_total", &c.bytes),
                ("portreeve_media_sent_packets_total", &c.sent),
            ] {
                self.counts(name, &side, "protocol", Row(&words, row));
            }
            let name = "portreeve_media_dropped_packets_total";
            self.counts(name, &side, "reason", Row(&reasons, &c.dropped));
        }
    }

    fn quality(&self, r: &Report) {
        let s = &r.stats;
        let reasons = Unmeasured::ALL.map(Unmeasured::as_str);
        for side in Side::ALL {
            let (i, side) = (side.index(), [("side", side.as_str())]);
            self.count("portreeve_media_lost_packets_total", &side, s.lost[i]);
            let name = "portreeve_media_unmeasured_windows_total";
            self.counts(name, &side, "reason", Row(&reasons, &s.unmeasured[i]));
        }
        self.counts("portreeve_call_quality_total", &[], "category", Row(&CATEGORIES, &s.quality));
        let words = ["accepted", "refused"];
        self.counts("portreeve_vq_reports_total", &[], "result", Row(&words, &s.vq_reports));
    }

    fn rest(&self, r: &Report) {
        let version = env!("CARGO_PKG_VERSION");
        self.set("portreeve_build_info", &[("version", version)], 1);
        let [records, failures, suppressed, full] = r.audit;
        self.count("portreeve_audit_records_total", &[], records);
        self.count("portreeve_audit_write_failures_total", &[], failures);
        self.count("portreeve_audit_suppressed_records_total", &[], suppressed);
        self.set("portreeve_audit_full", &[], full);
        self.count("portreeve_log_lost_lines_total", &[], r.log_lines_lost);
        let s = r.state;
        self.count("portreeve_state_write_failures_total", &[], s.write_failures);
        self.count("portreeve_state_lost_changes_total", &[], s.lost);
        self.set("portreeve_state_waiting_changes", &[], s.waiting);
        self.set("portreeve_state_failing", &[], u64::from(s.failing));
        let words = Reloaded::ALL.map(Reloaded::as_str);
        let reloads = Row(&words, &r.reloads.counts);
        self.counts("portreeve_config_reloads_total", &[], "result", reloads);
        let name = "portreeve_config_last_reload_successful";
        self.set(name, &[], u64::from(!r.reloads.refused));
        let name = "portreeve_config_last_reload_success_timestamp_seconds";
        self.set(name, &[], r.reloads.success.seconds());
        let pending = u64::from(!r.reloads.pending.is_empty());
        self.set("portreeve_config_restart_pending", &[], pending);
        self.set("portreeve_draining", &[], u64::from(r.stats.now.draining));
        let age = self.recorder.register_gauge(&Self::key(AGE, &[]), &META);
        age.set(r.standing.age.as_secs_f64());
        self.count("portreeve_relay_events_lost_total", &[], r.relay_events_lost);
        let unrouted = r.stats.emergency_unrouted;
        self.count("portreeve_emergency_calls_unrouted_total", &[], unrouted);
        let silenced = Row(&["INVITE", "other"], &r.stats.silenced);
        self.counts("portreeve_silenced_requests_total", &[], "method", silenced);
        let signals = Row(&Signal::NAMES, &r.stats.signals);
        self.counts("portreeve_guilt_signals_total", &[], "signal", signals);
        self.set("portreeve_active_bans", &[], r.stats.now.bans);
        for (name, n) in [
            ("portreeve_bans_total", r.stats.bans),
            ("portreeve_banned_messages_total", r.stats.banned),
            ("portreeve_back_offs_total", r.stats.back_offs),
            ("portreeve_unheard_guesses_total", r.stats.unheard),
            ("portreeve_slowed_requests_total", r.stats.slowed),
        ] {
            self.count(name, &[], n);
        }
        let events = Row(&SECURITY, &r.stats.security);
        self.counts("portreeve_security_events_total", &[], "class", events);
    }

    fn process(&self) {
        let p = Process::now();
        if let Some(ticks) = p.cpu_ticks {
            self.count(CPU, &[], ticks);
        }
        for (name, value) in [
            ("process_resident_memory_bytes", p.resident_bytes),
            ("process_open_fds", p.open_fds),
            ("process_max_fds", p.max_fds),
            ("process_threads", p.threads),
            ("process_start_time_seconds", p.start_seconds),
        ] {
            if let Some(n) = value {
                self.set(name, &[], n);
            }
        }
    }
}

const CPU: &str = "process_cpu_seconds_total";
const AGE: &str = "portreeve_event_loop_age_seconds";

/// The exporter counts in whole numbers only: CPU time is counted in ticks and written in seconds.
/// Whole seconds would show a gateway that needs a hundredth of a core as idle, then as busy.
fn with_cpu_in_seconds(text: String) -> String {
    let sample = text.find(&format!("\n{CPU} ")).map(|at| at + CPU.len() + 2);
    let line = sample.and_then(|at| Some((text.get(..at)?, text.get(at..)?.split_once('\n')?)));
    match line.map(|(before, (n, after))| (before, n.parse::<u64>(), after)) {
        Some((before, Ok(ticks), after)) => {
            format!("{before}{}.{:02}\n{after}", ticks / TICKS, ticks % TICKS)
        }
        Some((_, Err(_), _)) | None => text,
    }
}

/// Whether an upstream answers; `None`: not known.
fn is_up(upstream: &UpstreamView) -> Option<bool> {
    match upstream.health {
        Health::Unknown => None,
        Health::Up => Some(true),
        Health::Down => Some(false),
    }
}

/// A name as it stands in the text.
fn written(name: &str) -> String {
    name.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// The exporter keeps every gauge it was ever told: an upstream of which nothing is known any more
/// must not be said to be up, and what a loop that stands still knew is not known.
fn without_unknown(text: String, r: &Report) -> String {
    let is_known = |up: Option<bool>| up.is_some() && !r.standing.is_still();
    let up: Vec<String> =
        r.stats.upstreams.iter().filter(|u| is_known(is_up(u))).map(|u| written(&u.name)).collect();
    let known = |line: &str| {
        let other = certificates::is_known(line, r).or_else(|| tunnels::is_known(line, r));
        if other.is_some() {
            return other;
        }
        let name = line.strip_prefix("portreeve_upstream_up{upstream=\"")?.rsplit_once("\"}")?.0;
        Some(up.iter().any(|n| n == name))
    };
    if text.lines().all(|l| known(l) != Some(false)) {
        return text;
    }
    text.split_inclusive('\n').filter(|l| known(l) != Some(false)).collect()
}

/// Words of a label, and a counter for each.
struct Row<'a>(&'a [&'static str], &'a [u64]);

#[cfg(test)]
mod tests;
