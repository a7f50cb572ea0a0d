//! Certificates and when they end. One that is gone or was never seen is not shown.

use super::{META, Metrics, written};
use crate::daemon::Report;
use crate::engine::stats::{CertificateOf, CertificateView, UPSTREAM_LABELS};
use metrics::Recorder as _;

const CERTIFICATE: &str = "portreeve_certificate_expiry_timestamp_seconds";

/// Those that have labels.
fn shown(r: &Report) -> impl Iterator<Item = &CertificateView> {
    let of = |of: CertificateOf| {
        r.stats.certificates.iter().filter(move |c| c.of == of).take(UPSTREAM_LABELS)
    };
    CertificateOf::ALL.into_iter().flat_map(of)
}

impl Metrics {
    /// As many of a kind as there are labels: `status` tells of all.
    pub(super) fn certificates(&self, r: &Report) {
        for c in shown(r) {
            let labels = [("of", c.of.as_str()), ("name", c.name.as_str())];
            let ends = self.recorder.register_gauge(&Self::key(CERTIFICATE, &labels), &META);
            ends.set(c.until as f64);
        }
    }
}

/// Whether a line of the exporter's is of a certificate that is known now; `None`: of none.
pub(super) fn is_known(line: &str, r: &Report) -> Option<bool> {
    let rest = line.strip_prefix(CERTIFICATE)?;
    let label = |c: &CertificateView| format!("{{of=\"{}\",name=\"{}\"}} ", c.of, written(&c.name));
    Some(shown(r).any(|c| rest.starts_with(&label(c))))
}
