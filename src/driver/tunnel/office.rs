//! The sites of one port of a head office: whose keys are believed there. One may come while the
//! port is served. It listens nowhere and reads no packet.

use super::identity::{Believed, Identity, Shown, believing};
use super::ledger::Ledger;
use super::link::Link;
use crate::config::PublicKey;
use arc_swap::ArcSwap;
use std::net::SocketAddr;
use std::sync::Arc;

/// One port's.
#[derive(Debug)]
pub(super) struct Office {
    pub(super) identity: Identity,
    links: ArcSwap<Vec<Arc<Link>>>,
    ledger: Arc<Ledger>,
}

impl Office {
    pub(super) fn new(identity: Identity, links: Vec<Arc<Link>>, ledger: Arc<Ledger>) -> Self {
        Self { identity, links: ArcSwap::from_pointee(links), ledger }
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
        let office = self.clone();
        believing(move |key| office.of(key).is_some())
    }

    /// A handshake came to nothing: where that was for its key, it is told.
    pub(super) fn refused(&self, from: SocketAddr, shown: &Shown, way: &str) {
        if let Some(key) = shown.stranger() {
            self.ledger.refuses(Some(from), &key, way);
        }
    }
}
