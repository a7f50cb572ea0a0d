//! Where upstreams were told that phones are reached by us, as long as they may keep it: when our
//! address has changed, the next REGISTER takes the old Contact back. It sends nothing.

use crate::engine::world::World;
use crate::ground::Wall;
use crate::wire::sip::Uri;
use std::collections::HashMap;
use std::time::Duration;

/// A Contact of ours that an upstream has granted.
#[derive(Debug)]
struct Row {
    upstream: String,
    contact: Uri,
    until: Wall,
}

/// All of them, by the key of their binding.
#[derive(Debug, Default)]
pub(super) struct Told(HashMap<String, Row>);

impl Told {
    /// What this upstream was told of a phone, where that is an address of ours no more.
    pub(super) fn left(&self, w: &World, key: &str, upstream: &str) -> Option<Uri> {
        let row = self.0.get(key)?;
        let ip = row.contact.host_ip()?;
        let holds = row.upstream == upstream && row.until > w.steady();
        (holds && !w.net().is_our_address(ip)).then(|| row.contact.clone())
    }

    /// An upstream has granted it for so long.
    pub(super) fn grant(&mut self, w: &World, key: &str, (upstream, contact): (&str, Uri), s: u64) {
        let most = w.config().limits.bindings;
        if self.0.len() >= most {
            self.0.retain(|_, row| row.until > w.steady());
        }
        if self.0.len() >= most && !self.0.contains_key(key) {
            return;
        }
        let (upstream, until) = (upstream.to_owned(), w.steady_after(Duration::from_secs(s)));
        self.0.insert(key.to_owned(), Row { upstream, contact, until });
    }

    /// Nobody is reached by it any more, or the upstream does not take it back.
    pub(super) fn forget(&mut self, key: &str) {
        self.0.remove(key);
    }
}
