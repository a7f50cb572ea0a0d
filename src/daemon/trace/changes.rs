//! What is other in a message that went out than in the one that came: header by header, and line
//! by line of SDP. It compares and judges nothing.

use super::sketch::Sketch;
use serde::Serialize;

/// One thing that is other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The header, `Request-URI`, or `SDP`.
    pub what: String,
    /// As it came; empty: it was not there.
    pub before: String,
    /// As it went out; empty: it is not there.
    pub after: String,
}

impl Change {
    pub(super) fn octets(&self) -> usize {
        size_of::<Self>() + self.what.len() + self.before.len() + self.after.len()
    }

    fn new(what: &str, before: &str, after: &str) -> Self {
        let [what, before, after] = [what, before, after].map(str::to_owned);
        Self { what, before, after }
    }
}

/// The order in which values are told: what routes it first.
const ORDER: [&str; 9] = [
    "Request-URI",
    "Via",
    "Record-Route",
    "Route",
    "From",
    "To",
    "Call-ID",
    "Contact",
    "User-Agent",
];

pub(super) fn between(before: &Sketch, after: &Sketch) -> Vec<Change> {
    let mut all = Vec::new();
    for what in ORDER {
        let (was, is) = (before.value(what).unwrap_or(""), after.value(what).unwrap_or(""));
        if was != is {
            all.push(Change::new(what, was, is));
        }
    }
    let gone = before.names.iter().filter(|name| !after.names.contains(name));
    all.extend(gone.map(|name| Change::new(name, "there", "")));
    let new = after.names.iter().filter(|name| !before.names.contains(name));
    all.extend(new.map(|name| Change::new(name, "", "there")));
    let lines = before.sdp.len().max(after.sdp.len());
    for n in 0..lines {
        let line = |s: &Sketch| s.sdp.get(n).cloned().unwrap_or_default();
        let (was, is) = (line(before), line(after));
        if was != is {
            all.push(Change { what: "SDP".to_owned(), before: was, after: is });
        }
    }
    all
}
