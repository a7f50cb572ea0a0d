//! Upstreams: where requests go that leave the site, who they are, whether they answer. Asked
//! through one function each; it never looks at phones and never changes a message.

mod probe;

use super::ids::{ClientId, UpstreamId};
use super::outbox::Outbox;
use super::transactions::TimerTable;
use super::world::{World, changed_keepalives};
use crate::config::{self, Config};
use crate::ground::{Flow, Moment, Mono, Side, words};
use crate::wire::sip::Uri;
use serde::Serialize;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

words! {
    /// Whether an upstream answers.
    #[derive(Default)]
    pub enum Health {
        /// Not asked yet, or never asked.
        #[default]
        Unknown = "unknown",
        /// It answered the last time.
        Up = "up",
        /// It did not.
        Down = "down",
    }
}

/// How an upstream is, for whoever shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UpstreamView {
    /// Its name in the file.
    pub name: String,
    /// Where requests go, in the order they are tried.
    pub targets: Vec<SocketAddr>,
    /// Whether it answers.
    pub health: Health,
    /// Since when; `None`: since the start.
    pub since: Option<Moment>,
    /// What made it so, in words; empty: nothing happened yet.
    pub why: String,
    /// Probes answered and unanswered.
    pub probes: [u64; 2],
}

/// Why a request cannot be sent to an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unreachable;

/// One upstream, as long as the process runs; its name is the world's.
#[derive(Debug, Default)]
struct Upstream {
    /// Its place in the configuration in force; `None`: it is there no more.
    at: Option<usize>,
    health: Health,
    since: Option<Moment>,
    why: String,
    probes: [u64; 2],
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Due {
    Probe(UpstreamId),
    /// Keep-alives of an outside interface.
    KeepAlive(usize),
}

/// What a due timer asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    /// None was due.
    Idle,
    /// It is done.
    Done,
    /// This upstream is to be probed.
    Probe(UpstreamId),
}

/// All upstreams that were ever configured in this run.
#[derive(Debug, Default)]
pub(crate) struct Upstreams {
    /// By id.
    all: Vec<Upstream>,
    /// Probes under way.
    asked: HashMap<ClientId, UpstreamId>,
    timers: TimerTable<Due>,
}

impl Upstreams {
    pub(crate) fn new(w: &World) -> Self {
        let mut new = Self::default();
        new.follow(w, None);
        new
    }

    /// Takes the configuration in force; `old`: the one before. What runs on goes on.
    pub(crate) fn follow(&mut self, w: &World, old: Option<&Config>) {
        for u in &mut self.all {
            u.at = None;
        }
        for (at, id) in w.upstreams().iter().enumerate() {
            while self.all.len() <= id.index() {
                self.all.push(Upstream::default());
            }
            if let Some(u) = self.all.get_mut(id.index()) {
                u.at = Some(at);
            }
        }
        self.follow_probes(w, old);
        self.follow_keepalives(w, old);
    }

    fn state(&self, id: UpstreamId) -> Option<&Upstream> {
        self.all.get(id.index())
    }

    /// What the file says of one; `None`: it is there no more.
    pub(crate) fn get<'a>(&self, w: &'a World, id: UpstreamId) -> Option<&'a config::Upstream> {
        w.config().upstreams.get(self.state(id)?.at?)
    }

    /// The domain that stands for it in URIs.
    pub(crate) fn domain<'a>(&self, w: &'a World, id: Option<UpstreamId>) -> Option<&'a str> {
        id.and_then(|id| self.get(w, id)).map(|u| u.domain.as_str())
    }

    /// What it says of identities is believed.
    pub(crate) fn is_trusted(&self, w: &World, id: Option<UpstreamId>) -> bool {
        id.and_then(|id| self.get(w, id)).is_some_and(|u| u.trust)
    }

    /// The upstream whose `sources` hold this address.
    pub(crate) fn of_source(&self, w: &World, ip: IpAddr) -> Option<UpstreamId> {
        place(w, w.config().upstreams.iter().position(|u| holds(u, ip)))
    }

    /// Whether this upstream's `sources` hold the address.
    pub(crate) fn is_source(&self, w: &World, id: UpstreamId, ip: IpAddr) -> bool {
        self.get(w, id).is_some_and(|u| holds(u, ip))
    }

    /// Requests for an upstream go there: its address and port, from an interface of its side.
    pub(crate) fn is_target(&self, w: &World, flow: &Flow) -> bool {
        let is_outside = w.side(flow.listener) == Side::Outside;
        is_outside && w.config().upstreams.iter().any(|u| u.address == flow.peer)
    }

    /// It was asked and did not answer, or is there no more.
    pub(crate) fn is_down(&self, w: &World, name: &str) -> bool {
        let state = w.upstream_named(name).and_then(|id| self.state(id));
        state.is_none_or(|u| u.health == Health::Down)
    }

    /// By domain, then by number, then the first that takes any.
    pub(crate) fn choose(&self, w: &World, uri: &Uri, number: &str) -> Option<UpstreamId> {
        let all = &w.config().upstreams;
        let host = uri.host.as_str();
        let domain = |u: &config::Upstream| {
            u.domain.eq_ignore_ascii_case(host)
                || u.domains.iter().any(|d| d.eq_ignore_ascii_case(host))
        };
        let prefix =
            |u: &config::Upstream| u.numbers.iter().any(|n| number.starts_with(n.as_str()));
        let found = all
            .iter()
            .position(domain)
            .or_else(|| all.iter().position(prefix))
            .or_else(|| all.iter().position(|u| u.numbers.is_empty()));
        place(w, found.or(if all.is_empty() { None } else { Some(0) }))
    }

    /// The way to an upstream: its first target that may be tried.
    pub(crate) fn way(&self, w: &World, id: UpstreamId) -> Result<Flow, Unreachable> {
        let upstream = self.get(w, id).ok_or(Unreachable)?;
        w.net().towards(upstream).ok_or(Unreachable)
    }

    /// All that are configured, in the file's order.
    pub(crate) fn view(&self, w: &World) -> Vec<UpstreamView> {
        let one = |id: &UpstreamId| {
            let (u, config) = (self.state(*id)?, self.get(w, *id)?);
            Some(UpstreamView {
                name: w.upstream_name(*id)?.to_owned(),
                targets: vec![config.address],
                health: u.health,
                since: u.since,
                why: u.why.clone(),
                probes: u.probes,
            })
        };
        w.upstreams().iter().filter_map(one).collect()
    }

    /// When it wants to be woken.
    pub(crate) fn poll_timeout(&self) -> Option<Mono> {
        self.timers.next()
    }

    /// Fires one timer that is due; a probe is the coordinator's to send.
    pub(crate) fn handle_timeout(&mut self, w: &World, out: &mut Outbox) -> Wake {
        match self.timers.expired(w.now().mono) {
            Some(Due::Probe(id)) => Wake::Probe(id),
            Some(Due::KeepAlive(interface)) => {
                self.keep_alive(w, out, interface);
                Wake::Done
            }
            None => Wake::Idle,
        }
    }

    fn follow_keepalives(&mut self, w: &World, old: Option<&Config>) {
        for (index, every) in changed_keepalives(old, w.config()) {
            match every {
                Some(every) => self.timers.set(Due::KeepAlive(index), w.now().mono + every),
                None => self.timers.stop(Due::KeepAlive(index)),
            }
        }
    }

    /// CRLF CRLF to the upstreams of an interface keeps our own NAT open.
    fn keep_alive(&mut self, w: &World, out: &mut Outbox, index: usize) {
        let Some(every) = w.net().interface_at(index).and_then(|i| i.keepalive) else { return };
        let upstreams = w.config().upstreams.iter().filter(|u| u.interface == index);
        let mut flows: Vec<Flow> = upstreams.filter_map(|u| w.net().towards(u)).collect();
        flows.sort_by_key(|f| f.peer);
        flows.dedup();
        for flow in flows.into_iter().filter(|f| !f.transport.is_reliable()) {
            out.transmit(flow, bytes::Bytes::from_static(b"\r\n\r\n"));
        }
        self.timers.set(Due::KeepAlive(index), w.now().mono + every);
    }
}

/// One upstream's `sources` hold both addresses.
pub(crate) fn are_kin(w: &World, one: IpAddr, other: IpAddr) -> bool {
    w.config().upstreams.iter().any(|u| holds(u, one) && holds(u, other))
}

fn holds(upstream: &config::Upstream, ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    upstream.address.ip() == ip || upstream.sources.iter().any(|n| n.contains(&ip))
}

fn place(w: &World, at: Option<usize>) -> Option<UpstreamId> {
    w.upstreams().get(at?).copied()
}
