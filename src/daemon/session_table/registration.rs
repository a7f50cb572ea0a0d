//! A registration as the session table keeps it, and as it is listed.

use crate::engine::{Reach, StoredBinding};
use crate::ground::{Transport, Wall};
use serde::Serialize;
use std::net::SocketAddr;

/// A registration in a list.
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
    /// What the phone calls itself (User-Agent); `None`: it has not said since the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Wall seconds since which it is there; `None`: from before the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// What is known of the way to it; of a loop that stands still, nothing.
    pub reach: Reach,
}

/// A registration as the table keeps it.
#[derive(Debug)]
pub(super) struct Registration {
    user: Box<str>,
    contact: Box<str>,
    address: SocketAddr,
    transport: Transport,
    local: SocketAddr,
    /// Wall seconds.
    expires: u64,
    registrar: Box<str>,
    reach: Reach,
    agent: Option<Box<str>>,
    since: Option<Wall>,
}

impl Registration {
    /// `told`: what it calls itself and since when it is there; what is known of it already stays.
    pub(super) fn new(
        b: &StoredBinding,
        told: (Option<&str>, Option<Wall>),
        before: Option<&Self>,
    ) -> Self {
        let agent = told.0.map(Box::from).or_else(|| before.and_then(|r| r.agent.clone()));
        let since = before.map_or(told.1, |r| r.since);
        let registrar = if b.upstream.is_empty() { "local" } else { b.upstream.as_str() };
        Self {
            user: b.aor.to_string().into(),
            contact: b.contact.as_str().into(),
            address: b.peer,
            transport: b.transport,
            local: b.local,
            expires: b.expires,
            registrar: registrar.into(),
            reach: b.reach,
            agent,
            since,
        }
    }

    pub(super) fn lives(&self, now: Wall) -> bool {
        self.expires > now.seconds()
    }

    /// It has to come again before anybody reaches it.
    pub(super) fn is_gone(&self) -> bool {
        self.reach == Reach::Gone
    }

    /// By what it is listed.
    pub(super) fn order(&self) -> (&str, SocketAddr) {
        (&self.user, self.address)
    }

    pub(super) fn row(&self, now: Wall, still: bool) -> RegistrationRow {
        RegistrationRow {
            user: self.user.to_string(),
            contact: self.contact.to_string(),
            address: self.address,
            transport: self.transport,
            local: self.local,
            expires_s: self.expires.saturating_sub(now.seconds()),
            registrar: self.registrar.to_string(),
            agent: self.agent.as_deref().map(str::to_owned),
            since: self.since.map(Wall::seconds),
            reach: if still { Reach::Unknown } else { self.reach },
        }
    }
}
