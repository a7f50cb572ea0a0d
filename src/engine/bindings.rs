//! Bindings: address of record ↔ contact, with the flow it came by. A table with three indexes; it
//! never talks to anybody.

use super::StoredBinding;
use crate::ground::{Flow, Wall};
use crate::wire::sip::Uri;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

/// One binding.
#[derive(Clone, Debug)]
pub(crate) struct Binding {
    /// The sealed contact's user part: unique, and what an upstream sends back to us.
    pub(crate) key: String,
    /// `user@domain`, user percent-decoded.
    pub(crate) aor: String,
    /// The phone's Contact URI as it gave it.
    pub(crate) contact: Uri,
    /// The way to the phone.
    pub(crate) flow: Flow,
    /// The socket it registered at.
    pub(crate) local: SocketAddr,
    /// When it ends.
    pub(crate) expires: Wall,
    /// Call-ID and CSeq of the REGISTER that made it (RFC 3261 §10.3 step 7).
    pub(crate) call_id: String,
    /// CSeq number.
    pub(crate) cseq: u32,
    /// Upstream that granted it; empty: we did.
    pub(crate) upstream: String,
}

impl Binding {
    /// The user of the address of record.
    pub(crate) fn user(&self) -> &str {
        self.aor.split('@').next().unwrap_or_default()
    }

    /// True when the phone's own address is not the one we see: it is behind a NAT.
    pub(crate) fn is_natted(&self) -> bool {
        self.contact.host_ip() != Some(self.flow.peer.ip())
    }

    /// Its stream connection is gone: a phone that is not behind a NAT can be reached anew where
    /// its Contact listens; another must come back by itself.
    pub(crate) fn lose_connection(&mut self) {
        self.flow.conn = None;
        if self.flow.transport.is_reliable() && !self.is_natted() {
            self.flow.peer.set_port(self.contact.port.unwrap_or(5060));
        }
    }

    pub(crate) fn stored(&self) -> StoredBinding {
        StoredBinding {
            key: self.key.clone(),
            aor: self.aor.clone(),
            contact: self.contact.to_string(),
            local: self.local,
            transport: self.flow.transport,
            peer: self.flow.peer,
            expires: self.expires.seconds(),
            call_id: self.call_id.clone(),
            cseq: self.cseq,
            upstream: self.upstream.clone(),
        }
    }
}

/// All bindings.
#[derive(Debug, Default)]
pub(crate) struct Bindings {
    by_key: HashMap<String, Binding>,
    by_user: HashMap<String, Vec<String>>,
    by_peer: HashMap<SocketAddr, Vec<String>>,
    by_ip: HashMap<IpAddr, Vec<String>>,
}

impl Bindings {
    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Binding> {
        self.by_key.get(key)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Binding> {
        self.by_key.values()
    }

    /// Bindings of a user, whatever the domain, oldest first.
    pub(crate) fn of_user<'a>(&'a self, user: &str) -> impl Iterator<Item = &'a Binding> + 'a {
        self.by_user.get(user).into_iter().flatten().filter_map(|k| self.by_key.get(k))
    }

    /// Bindings whose phone sends from this flow.
    pub(crate) fn of_flow<'a>(&'a self, flow: &'a Flow) -> impl Iterator<Item = &'a Binding> + 'a {
        self.by_peer
            .get(&flow.peer)
            .into_iter()
            .flatten()
            .filter_map(|k| self.by_key.get(k))
            .filter(|b| b.flow.transport == flow.transport)
    }

    /// Bindings whose phone sends from this address.
    pub(crate) fn of_address(&self, ip: IpAddr) -> impl Iterator<Item = &Binding> {
        let keys = self.by_ip.get(&ip).into_iter().flatten();
        keys.filter_map(|k| self.by_key.get(k)).filter(move |b| b.flow.peer.ip() == ip)
    }

    /// True when a phone of the site has this address, or says so.
    pub(crate) fn names(&self, ip: IpAddr) -> bool {
        self.by_ip.contains_key(&ip)
    }

    pub(crate) fn insert(&mut self, binding: Binding) {
        self.remove(&binding.key);
        let key = binding.key.clone();
        self.by_user.entry(binding.user().to_owned()).or_default().push(key.clone());
        self.by_peer.entry(binding.flow.peer).or_default().push(key.clone());
        self.by_ip.entry(binding.flow.peer.ip()).or_default().push(key.clone());
        if let Some(ip) = binding.contact.host_ip() {
            self.by_ip.entry(ip).or_default().push(key.clone());
        }
        self.by_key.insert(key, binding);
    }

    pub(crate) fn remove(&mut self, key: &str) -> Option<Binding> {
        let old = self.by_key.remove(key)?;
        forget(&mut self.by_user, &old.user().to_owned(), key);
        forget(&mut self.by_peer, &old.flow.peer, key);
        forget(&mut self.by_ip, &old.flow.peer.ip(), key);
        if let Some(ip) = old.contact.host_ip() {
            forget(&mut self.by_ip, &ip, key);
        }
        Some(old)
    }
}

fn forget<K: std::hash::Hash + Eq>(index: &mut HashMap<K, Vec<String>>, at: &K, key: &str) {
    if let Some(keys) = index.get_mut(at) {
        keys.retain(|k| k != key);
        if keys.is_empty() {
            index.remove(at);
        }
    }
}
