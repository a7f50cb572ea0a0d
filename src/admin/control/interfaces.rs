//! Interfaces that follow a device, for `status`.

use crate::daemon::Report;
use crate::engine::stats::InterfaceView;
use serde_json::{Value, json};

/// Where each stands, since when, and what it was not to be.
pub(super) fn interfaces(r: &Report) -> Vec<Value> {
    let one = |i: &InterfaceView| {
        json!({
            "name": i.name,
            "follows": i.follows,
            "addresses": i.addresses,
            "for_s": i.since.map(|s| s.elapsed(r.now).as_secs()),
            "changes": i.changes,
            "refused": i.refused,
            "others": i.others,
        })
    };
    r.stats.interfaces.iter().map(one).collect()
}
