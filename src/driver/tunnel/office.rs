//! The sites of one port of a head office: whose keys are believed there. One may come while the
//! port is served. It listens nowhere and reads no packet.

use super::identity::{Believed, Identity, Shown};
use super::ledger::Ledger;
use super::link::Link;
use super::strangers::Strangers;
use super::words::{self, Sign};
use crate::config::PublicKey;
use crate::policy::quota::Source;
use arc_swap::ArcSwap;
use std::net::SocketAddr;
use std::sync::Arc;

/// One port's.
#[derive(Debug)]
pub(super) struct Office {
    pub(super) identity: Identity,
    links: ArcSwap<Vec<Arc<Link>>>,
    ledger: Arc<Ledger>,
    strangers: Arc<Strangers>,
}

impl Office {
    pub(super) fn new(identity: Identity, links: Vec<Arc<Link>>, ledger: Arc<Ledger>) -> Self {
        let (links, strangers) = (ArcSwap::from_pointee(links), Arc::default());
        Self { identity, links, ledger, strangers }
    }

    /// One more site.
    pub(super) fn admit(&self, link: Arc<Link>) {
        let mut links = (**self.links.load()).clone();
        links.push(link);
        self.links.store(Arc::new(links));
    }

    /// All of them.
    pub(super) fn links(&self) -> Arc<Vec<Arc<Link>>> {
        self.links.load_full()
    }

    /// Whose key that is.
    pub(super) fn of(&self, key: &PublicKey) -> Option<Arc<Link>> {
        self.links.load().iter().find(|link| link.believes(key)).cloned()
    }

    /// What one handshake's key is judged by, and which it was.
    pub(super) fn judge(self: &Arc<Self>) -> (Believed, Shown) {
        let (office, shown) = (self.clone(), Shown::default());
        (shown.to(move |key| office.of(key).is_some()), shown)
    }

    /// A handshake came to nothing: where that was for a key, whoever looks after this gateway is
    /// told, or for ours (`disbelieved`); whether it was.
    pub(super) fn refused(
        &self,
        (from, way): (SocketAddr, &str),
        shown: &Shown,
        disbelieved: bool,
    ) -> bool {
        let (place, source) = (format!("{from} ({way})"), Source::of(from.ip().to_canonical()));
        if let Some(key) = shown.stranger() {
            self.ledger.refuses(Some(from), &key, way);
            let what = words::bare(Sign::Stranger, "");
            let line = format!("a gateway at {place} showed the key {key}, {what}");
            self.strangers.tell(source, &key.to_string(), &line);
            return true;
        }
        if disbelieved {
            let own = format!(" ({})", self.identity.key.public());
            let line = format!("a gateway at {place} {}", words::bare(Sign::NotBelievedThere, own));
            self.strangers.tell(source, "", &line);
        }
        disbelieved
    }
}
