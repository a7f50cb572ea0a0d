//! Upstreams: where requests go that leave the site, who they are, whether they answer. Asked
//! through one function each; it never looks at phones and never changes a message.

mod cache;
mod finder;
mod hearing;
mod homes;
mod keepalive;
mod lookup;
mod loose;
mod moved;
mod names;
mod probe;
mod proved;
mod renewal;
mod serving;
mod sharing;
mod sight;
mod targets;
mod ways;

use super::ids::{ClientId, UpstreamId};
use super::names::Question;
use super::outbox::Outbox;
use super::transactions::TimerTable;
use super::world::{NoTransport, World};
use crate::config::{self, Config, Hop};
use crate::ground::{Flow, Moment, Mono, Side, words};
use crate::wire::sip::Uri;
use cache::Cache;
pub use finder::{Finder, Sought};
use homes::Homes;
use lookup::look_up;
use probe::Asked;
use proved::Proved;
use renewal::Renewals;
use serde::Serialize;
pub(crate) use serving::{Asker, Sign, Turned, is_out_of_service};
use serving::{Moving, Serving};
use sight::Sight;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use targets::Targets;

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
    /// Where requests go, and whether each answers.
    pub targets: Vec<TargetView>,
    /// Its addresses are older than DNS says they may be: who should know does not answer.
    pub stale: bool,
    /// Whether it answers.
    pub health: Health,
    /// Since when; `None`: since the start.
    pub since: Option<Moment>,
    /// What made it so, in words; empty: nothing happened yet.
    pub why: String,
    /// Probes answered and unanswered.
    pub probes: [u64; 2],
    /// The site is alone without it, since then; `None`: it serves.
    pub alone: Option<Moment>,
    /// As what it sees us, where that is not what `advertise` of its interface says.
    pub seen_as: Option<IpAddr>,
}

/// How one target of an upstream is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TargetView {
    /// Address and port.
    pub address: SocketAddr,
    /// By which transport.
    pub transport: String,
    /// Whether it answers.
    pub health: Health,
    /// What made it so, in words; empty: nothing happened yet.
    pub why: String,
}

/// Why a request cannot be sent to an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unreachable {
    /// It is configured no more, or nobody knows where it is.
    Nowhere,
    /// Its interface has no socket of the transport that it is reached by.
    Transport(NoTransport),
    /// None of its targets is reached by TLS, and nothing else will do.
    Insecure,
}

/// One upstream, as long as the process runs; its name is the world's.
#[derive(Debug, Default)]
struct Upstream {
    /// Its place in the configuration in force; `None`: it is there no more.
    at: Option<usize>,
    targets: Targets,
    health: Health,
    since: Option<Moment>,
    why: String,
    /// What is wrong with its names; empty: nothing. `None`: not known yet.
    unsettled: Option<String>,
    /// Since when its names stand for nothing that may be used.
    lost: Option<Mono>,
    /// What is used of DNS is older than it says.
    stale: bool,
    serving: Serving,
    /// As what it sees us.
    sight: Sight,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Due {
    Probe(UpstreamId),
    /// Keep-alives of an outside interface.
    KeepAlive(usize),
    /// The flow to a target is to be kept open, as it asked.
    Flow(UpstreamId, Hop),
    /// A name is to be asked for again.
    Resolve,
    /// An upstream's places are given up, for its names stand for none.
    Grace(UpstreamId),
    /// Whether an upstream leaves the site alone, or is back, is to be looked at.
    Look(UpstreamId),
    /// A connection to a target is to be opened again.
    Open(UpstreamId, Hop),
}

/// What a due timer asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    /// None was due.
    Idle,
    /// It is done.
    Done,
    /// This upstream is to be probed, or this target of it.
    Probe(UpstreamId, Option<Hop>),
    /// An upstream left the site alone, or came back.
    Turned(Turned),
}

impl Upstream {
    /// Probes answered and unanswered, of all targets.
    fn probes(&self) -> [u64; 2] {
        let sum = |i: usize| self.targets.iter().map(|t| t.probes[i]).sum();
        [sum(0), sum(1)]
    }
}

impl TargetView {
    fn of(t: &targets::Target) -> Self {
        let (address, transport) = (t.hop.peer, t.hop.transport.to_string());
        Self { address, transport, health: t.health, why: t.why.clone() }
    }
}

/// All upstreams that were ever configured in this run.
#[derive(Debug, Default)]
pub(crate) struct Upstreams {
    /// By id.
    all: Vec<Upstream>,
    /// Probes under way.
    asked: HashMap<ClientId, Asked>,
    /// What DNS has said.
    cache: Cache,
    /// What it is asked now.
    asking: BTreeSet<Question>,
    /// Who proved himself by a certificate.
    proved: Proved,
    /// Which target granted a user's registration, where that is not the first of his.
    homes: Homes,
    /// Who is to be asked at once.
    doubted: Vec<UpstreamId>,
    /// How often flows to targets are kept open, as they asked.
    flows: BTreeMap<(UpstreamId, Hop), Duration>,
    /// Connections to targets that ended, or are suspect.
    renewals: Renewals,
    /// Tunnels that are looking for another way.
    moving: Moving,
    /// Where upstreams are from now on; the world is to be told.
    placed: Vec<(UpstreamId, Vec<Hop>)>,
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
        for id in w.upstreams() {
            self.stand(w, *id);
        }
        self.proved.follow(w);
        self.follow_serving(w);
        self.follow_probes(w, old);
        self.follow_keepalives(w, old);
    }

    /// Takes the places that the file writes; names are looked for by `ask_all`.
    fn stand(&mut self, w: &World, id: UpstreamId) {
        let Some(u) = self.get(w, id).filter(|u| u.targets.iter().all(|t| t.name().is_none()))
        else {
            return;
        };
        let found = look_up(&u.targets, &w.net().spoken_at(u.interface), &self.cache);
        if let Some(state) = self.all.get_mut(id.index()) {
            state.targets.follow(&found.places);
        }
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

    /// The upstream that something came from: it was asked by this connection, it proved itself
    /// there by a certificate, or it is known by that address.
    pub(crate) fn of_flow(&self, w: &World, flow: &Flow) -> Option<UpstreamId> {
        let asked = flow.upstream.filter(|id| self.get(w, *id).is_some());
        let asked = asked.filter(|_| !self.proved.is_over(flow));
        asked.or_else(|| self.proved.upstream(flow)).or_else(|| self.known_at(w, flow.peer.ip()))
    }

    /// Whether this upstream is or was at the address, or sends from there: no proof of who speaks.
    pub(crate) fn is_source(&self, w: &World, id: UpstreamId, ip: IpAddr) -> bool {
        self.get(w, id).is_some() && holds(w, id, ip)
    }

    /// Requests for an upstream go there: its address and port, from an interface of its side.
    pub(crate) fn is_target(&self, w: &World, flow: &Flow) -> bool {
        let is_outside = w.side(flow.listener) == Side::Outside;
        let stands = |id: &UpstreamId| w.places(*id).iter().any(|hop| hop.peer == flow.peer);
        is_outside && w.upstreams().iter().any(stands)
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
        let domain = |u: &config::Upstream| sharing::is_of_domain(u, host);
        let prefix =
            |u: &config::Upstream| u.numbers.iter().any(|n| number.starts_with(n.as_str()));
        let found = all
            .iter()
            .position(domain)
            .or_else(|| all.iter().position(prefix))
            .or_else(|| all.iter().position(|u| u.numbers.is_empty()));
        place(w, found.or(if all.is_empty() { None } else { Some(0) }))
    }

    /// All that are configured, in the file's order.
    pub(crate) fn view(&self, w: &World) -> Vec<UpstreamView> {
        let one = |id: &UpstreamId| {
            let u = self.state(*id).filter(|_| self.get(w, *id).is_some())?;
            Some(UpstreamView {
                name: w.upstream_name(*id)?.to_owned(),
                targets: u.targets.iter().map(TargetView::of).collect(),
                stale: u.stale,
                health: u.health,
                since: u.since,
                why: u.why.clone(),
                probes: u.probes(),
                alone: self.alone_since(w, *id),
                seen_as: u.sight.other(),
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
            Some(Due::Probe(id)) => Wake::Probe(id, None),
            Some(Due::Open(id, hop)) if self.opens(w, id, hop) => Wake::Probe(id, Some(hop)),
            Some(Due::Open(..)) => Wake::Done,
            Some(Due::KeepAlive(interface)) => {
                self.keep_alive(w, out, interface);
                Wake::Done
            }
            Some(Due::Look(id)) => self.look(w, out, id).map_or(Wake::Done, Wake::Turned),
            Some(Due::Flow(id, hop)) => {
                self.keep_flow(w, out, id, hop);
                Wake::Done
            }
            Some(Due::Resolve | Due::Grace(_)) => {
                self.resolve(w, out);
                Wake::Done
            }
            None => Wake::Idle,
        }
    }
}

/// One upstream's `sources` hold both addresses.
pub(crate) fn are_kin(w: &World, one: IpAddr, other: IpAddr) -> bool {
    w.upstreams().iter().any(|id| holds(w, *id, one) && holds(w, *id, other))
}

/// An upstream is or was at an address, or sends from there.
fn holds(w: &World, id: UpstreamId, ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    w.places(id).iter().any(|hop| hop.peer.ip() == ip)
        || w.was_at(id, ip)
        || file(w, id).is_some_and(|u| lists(u, ip))
}

/// Who sends from there is that upstream. One that is reached by TLS alone is so only where the
/// file says it: anybody can write an address, and whoever answers for a name can choose one.
fn speaks_from(w: &World, id: UpstreamId, ip: IpAddr) -> bool {
    match file(w, id) {
        Some(u) if u.is_tls_alone() => lists(u, ip.to_canonical()),
        Some(_) | None => holds(w, id, ip),
    }
}

fn lists(u: &config::Upstream, ip: IpAddr) -> bool {
    u.sources.iter().any(|n| n.contains(&ip))
}

fn file(w: &World, id: UpstreamId) -> Option<&config::Upstream> {
    let at = w.upstreams().iter().position(|u| *u == id);
    at.and_then(|at| w.config().upstreams.get(at))
}

fn place(w: &World, at: Option<usize>) -> Option<UpstreamId> {
    w.upstreams().get(at?).copied()
}
