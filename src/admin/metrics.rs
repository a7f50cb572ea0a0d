//! Report → Prometheus text 0.0.4, through the `metrics` facade and its exporter. The recorder is
//! our own, never the global one, so that two gateways in one process do not mix.

use super::catalogue::{ALL, Type};
use crate::daemon::Report;
use crate::engine::stats::{DIRECTIONS, ENDS, METHODS, OUTCOMES, REGISTRATION_RESULTS};
use crate::ground::Side;
use crate::relay::DropReason;
use crate::wire::sip::RejectReason;
use metrics::{Key, Label, Level, Metadata, Recorder, SharedString};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

static META: Metadata<'static> = Metadata::new("portreeve", Level::INFO, None);

/// The recorder and its view.
pub struct Metrics {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    calls_limit: usize,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Describes every family. `calls_limit` is `limits.calls`.
    #[must_use]
    pub fn new(calls_limit: usize) -> Self {
        let recorder = PrometheusBuilder::new().build_recorder();
        for family in &ALL {
            let name = SharedString::const_str(family.name);
            let help = SharedString::const_str(family.help);
            match family.kind {
                Type::Counter => recorder.describe_counter(name.into(), None, help),
                Type::Gauge => recorder.describe_gauge(name.into(), None, help),
            }
        }
        let handle = recorder.handle();
        Self { recorder, handle, calls_limit }
    }

    fn key(name: &'static str, labels: &[(&'static str, &str)]) -> Key {
        let labels: Vec<Label> =
            labels.iter().map(|(k, v)| Label::new(*k, (*v).to_owned())).collect();
        Key::from_parts(name, labels)
    }

    fn count(&self, name: &'static str, labels: &[(&'static str, &str)], value: u64) {
        self.recorder.register_counter(&Self::key(name, labels), &META).absolute(value);
    }

    #[expect(clippy::cast_precision_loss, reason = "gauges here stay far below 2^52")]
    fn set(&self, name: &'static str, labels: &[(&'static str, &str)], value: u64) {
        self.recorder.register_gauge(&Self::key(name, labels), &META).set(value as f64);
    }

    /// The text of one scrape.
    #[must_use]
    pub fn render(&self, r: &Report) -> String {
        self.sip(r);
        self.calls(r);
        self.media(r);
        self.rest(r);
        self.handle.render()
    }

    fn sip(&self, r: &Report) {
        let s = &r.stats;
        for side in Side::ALL {
            let (i, name) = (side.index(), side.as_str());
            for (m, n) in METHODS.iter().zip(s.requests[i]) {
                self.count("portreeve_sip_requests_total", &[("side", name), ("method", m)], n);
            }
            for (c, n) in ["1xx", "2xx", "3xx", "4xx", "5xx", "6xx"].iter().zip(s.responses[i]) {
                self.count("portreeve_sip_responses_total", &[("side", name), ("class", c)], n);
            }
            for (reason, n) in RejectReason::ALL.iter().zip(s.rejected[i]) {
                let labels = [("side", name), ("reason", reason.as_str())];
                self.count("portreeve_sip_rejected_messages_total", &labels, n);
            }
            for (kind, n) in ["request", "response"].iter().zip(s.retransmissions[i]) {
                let labels = [("side", name), ("kind", *kind)];
                self.count("portreeve_sip_retransmissions_total", &labels, n);
            }
        }
        for (timer, n) in ["B", "C", "F", "H"].iter().zip(s.timeouts) {
            self.count("portreeve_sip_timeouts_total", &[("timer", timer)], n);
        }
        for (result, n) in REGISTRATION_RESULTS.iter().zip(s.registrations) {
            self.count("portreeve_registration_requests_total", &[("result", result)], n);
        }
        for (kind, n) in ["invite", "other"].iter().zip(s.now.transactions) {
            self.set("portreeve_active_transactions", &[("kind", kind)], n);
        }
        self.set("portreeve_active_registrations", &[], s.now.registrations);
        self.set("portreeve_active_dialogs", &[], s.now.dialogs);
        self.set("portreeve_active_connections", &[], r.connections);
        self.count("portreeve_sip_socket_drops_total", &[], r.dropped);
    }

    fn calls(&self, r: &Report) {
        let s = &r.stats;
        for (state, n) in ["early", "confirmed"].iter().zip(s.now.calls) {
            self.set("portreeve_active_calls", &[("state", state)], n);
        }
        self.set("portreeve_active_calls_limit", &[], self.calls_limit as u64);
        for (direction, row) in DIRECTIONS.iter().zip(&s.calls) {
            for (outcome, n) in OUTCOMES.iter().zip(row) {
                let labels = [("direction", *direction), ("outcome", *outcome)];
                self.count("portreeve_calls_total", &labels, *n);
            }
        }
        for (reason, n) in ENDS.iter().zip(s.call_ends) {
            self.count("portreeve_call_ends_total", &[("reason", reason)], n);
        }
        for (rule, [allow, deny]) in &s.decisions {
            for (action, n) in [("allow", allow), ("deny", deny)] {
                let labels = [("rule", rule.as_ref()), ("action", action)];
                self.count("portreeve_policy_decisions_total", &labels, *n);
            }
        }
    }

    fn media(&self, r: &Report) {
        self.set("portreeve_active_media_streams", &[], r.stats.now.streams);
        self.count("portreeve_media_ports_exhausted_total", &[], r.stats.ports_exhausted);
        for side in Side::ALL {
            let (i, name) = (side.index(), side.as_str());
            let ports = r.stats.now.ports[i];
            let states =
                [("used", ports.used), ("quarantined", ports.quarantined), ("free", ports.free)];
            for (state, n) in states {
                let labels = [("side", name), ("state", state)];
                self.set("portreeve_media_ports", &labels, n as u64);
            }
            let c = r.relay.sides[i];
            for (p, protocol) in ["rtp", "rtcp"].into_iter().enumerate() {
                let labels = [("side", name), ("protocol", protocol)];
                self.count("portreeve_media_received_packets_total", &labels, c.packets[p]);
                self.count("portreeve_media_received_bytes_total", &labels, c.bytes[p]);
                self.count("portreeve_media_sent_packets_total", &labels, c.sent[p]);
            }
            for (reason, n) in DropReason::ALL.iter().zip(c.dropped) {
                let labels = [("side", name), ("reason", reason.as_str())];
                self.count("portreeve_media_dropped_packets_total", &labels, n);
            }
        }
    }

    fn rest(&self, r: &Report) {
        let version = env!("CARGO_PKG_VERSION");
        self.set("portreeve_build_info", &[("version", version)], 1);
        let [records, failures, suppressed, full] = r.audit;
        self.count("portreeve_audit_records_total", &[], records);
        self.count("portreeve_audit_write_failures_total", &[], failures);
        self.count("portreeve_audit_suppressed_records_total", &[], suppressed);
        self.set("portreeve_audit_full", &[], full);
        self.set("portreeve_draining", &[], u64::from(r.stats.now.draining));
        let files = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        self.set("portreeve_open_files", &[], files as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_is_rendered_from_the_start_and_none_besides() {
        let text = Metrics::new(5).render(&Report::default());
        for family in &ALL {
            // Rules name the only label set that a file decides; there is none in an empty report.
            if family.name == "portreeve_policy_decisions_total" {
                continue;
            }
            assert!(text.contains(&format!("# TYPE {} ", family.name)), "{}", family.name);
            assert!(text.contains(&format!("# HELP {} ", family.name)), "{}", family.name);
        }
        for line in text.lines().filter(|l| l.starts_with("# TYPE ")) {
            let name = line.split(' ').nth(2).unwrap_or_default();
            assert!(ALL.iter().any(|f| f.name == name), "{name} is not in the catalogue");
        }
    }
}
