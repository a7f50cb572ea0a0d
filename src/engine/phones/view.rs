//! Bindings for an operator: read when asked, changed never. Text in it came from the network;
//! whoever shows it encodes it.

use super::{Binding, Phones};
use crate::engine::entry::StoredBinding;
use crate::ground::{Now, Transport, Wall};
use serde::Serialize;
use std::net::SocketAddr;

/// A binding in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RegistrationRow {
    /// Address of record, `user@domain`.
    pub user: String,
    /// The phone's Contact as it gave it.
    pub contact: String,
    /// The phone's address as seen.
    pub address: SocketAddr,
    /// By which transport.
    pub transport: Transport,
    /// Our socket.
    pub local: SocketAddr,
    /// Seconds until it ends.
    pub expires_s: u64,
    /// Who granted it: `local` or the upstream's name.
    pub registrar: String,
}

impl Phones {
    /// Live bindings by user, at most `most`; how many were left off.
    pub(crate) fn rows(&self, now: Now, most: usize) -> (Vec<RegistrationRow>, usize) {
        let mut all: Vec<&Binding> = self.bindings.all();
        all.retain(|b| b.expires > now.wall);
        all.sort_by(|a, b| (&a.aor, a.flow.peer, &a.key).cmp(&(&b.aor, b.flow.peer, &b.key)));
        let row = |b: &&Binding| RegistrationRow {
            user: b.aor.to_string(),
            contact: b.contact.to_string(),
            address: b.flow.peer,
            transport: b.flow.transport,
            local: b.local,
            expires_s: b.expires.seconds().saturating_sub(now.wall.seconds()),
            registrar: if b.upstream.is_empty() { "local".to_owned() } else { b.upstream.clone() },
        };
        (all.iter().take(most).map(row).collect(), all.len().saturating_sub(most))
    }

    /// Live bindings as they are kept.
    pub(crate) fn stored(&self, now: Wall) -> Vec<StoredBinding> {
        let all = self.bindings.all().into_iter().filter(|b| b.expires > now);
        all.map(Binding::stored).collect()
    }
}
