//! Certificates in use, for `status`. It holds none.

use crate::daemon::Report;
use crate::engine::stats::CertificateView;
use serde_json::{Value, json};

/// Each with the days that it still holds.
pub(super) fn certificates(r: &Report) -> Vec<Value> {
    let now = r.now.wall.seconds();
    let one = |c: &CertificateView| {
        json!({
            "of": c.of,
            "name": c.name,
            "names": c.names,
            "until": c.until,
            "days": c.days(now),
            "fingerprint": c.fingerprint,
            "pin": c.pin,
            "made": c.made,
        })
    };
    r.stats.certificates.iter().map(one).collect()
}
