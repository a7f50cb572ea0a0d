//! Certificates as whoever looks sees them: ours, and those that upstreams showed last. It keeps
//! names and dates, no keys.

use super::facts::Facts;
use crate::engine::stats::{CertificateOf, CertificateView};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Shared by all who show or prove something.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen(Arc<Mutex<BTreeMap<(CertificateOf, String), CertificateView>>>);

impl Seen {
    fn all(&self) -> std::sync::MutexGuard<'_, BTreeMap<(CertificateOf, String), CertificateView>> {
        // A panic while holding it cannot leave the map half-written.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An upstream has proved itself by this one now.
    pub(super) fn shown(&self, upstream: &str, facts: &Facts) {
        self.put(CertificateOf::Upstream, upstream, facts, None);
    }

    /// `made`: the file of one of our own making.
    pub(super) fn put(&self, of: CertificateOf, name: &str, facts: &Facts, made: Option<PathBuf>) {
        let view = view(of, name, facts, made);
        self.all().insert((of, name.to_owned()), view);
    }

    /// Only these are there still.
    pub(super) fn keep(&self, is_there: impl Fn(CertificateOf, &str) -> bool) {
        self.all().retain(|(of, name), _| is_there(*of, name));
    }

    /// All, by whose they are and by name.
    #[must_use]
    pub(super) fn view(&self) -> Vec<CertificateView> {
        self.all().values().cloned().collect()
    }
}

fn view(of: CertificateOf, name: &str, facts: &Facts, made: Option<PathBuf>) -> CertificateView {
    let mut fingerprint = String::from("sha-256:");
    for octet in facts.fingerprint {
        let _ = write!(fingerprint, "{octet:02x}");
    }
    let names = match of {
        CertificateOf::Interface | CertificateOf::Client => facts.listed(),
        CertificateOf::Upstream => facts.told(),
    };
    CertificateView {
        of,
        name: name.to_owned(),
        names,
        until: facts.until.0.as_secs(),
        fingerprint,
        pin: facts.pin.map(|pin| pin.to_string()).unwrap_or_default(),
        made: made.map(|path| path.display().to_string()),
    }
}
