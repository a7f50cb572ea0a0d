//! What every part may read and none may change: the configuration in force, our sockets, the
//! secrets, the time, and names nobody can guess. It holds no state of any call, phone or peer.

mod host;
pub(crate) mod net;
mod places;
mod random;
pub mod seal;
mod standing;
mod target;
mod transport;

pub(crate) use host::Host;
pub(crate) use net::{Net, changed_keepalives, host_text};
pub(crate) use target::{Neighbours, Unfit};
pub(crate) use transport::{NoTransport, named as named_transport};

use super::digest::Users;
use super::ids::UpstreamId;
use super::transactions::Timing;
use super::{Seeds, Snapshot};
use crate::config::{Config, Hop, RegistrarMode};
use crate::ground::{Flow, ListenerId, Mono, Now, Side, Wall};
use crate::policy::RuleSet;
use crate::policy::quota::{Holder, Shares, Source};
use crate::wire::sip::{Aor, Message, Name, Params, RawNameAddr, Uri, Via};
use random::Random;
use seal::Sealer;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Read by everybody, changed between two inputs only.
pub(crate) struct World {
    snap: Arc<Snapshot>,
    net: Net,
    now: Now,
    /// Both clocks at the start.
    began: Now,
    random: Random,
    sealer: Sealer,
    /// Names of upstreams that were ever configured in this run, by id.
    names: Vec<String>,
    /// Those of the configuration in force, in its order.
    upstreams: Vec<UpstreamId>,
    /// Where each of them is, by id: addresses of the file, and what its names resolve to.
    places: Vec<Vec<Hop>>,
    /// Where each was by its names until then: what was begun there may come from there.
    former: Vec<Vec<(IpAddr, Mono)>>,
    /// Which upstream is at which address, who came first before who came later.
    claims: Vec<(IpAddr, UpstreamId)>,
    /// Where interfaces stood until lately.
    left: Vec<standing::Left>,
}

impl World {
    pub(crate) fn new(snap: Arc<Snapshot>, seeds: &Seeds, now: Now) -> Self {
        let snap = standing::nowhere(snap);
        let net = Net::new(&snap.config);
        let (random, sealer) = (Random::new(seeds.random), Sealer::new(&seeds.keys));
        let (names, upstreams) = (Vec::new(), Vec::new());
        let (places, former, claims) = (Vec::new(), Vec::new(), Vec::new());
        let (began, left) = (now, Vec::new());
        let mut world = Self {
            snap,
            net,
            now,
            began,
            random,
            sealer,
            names,
            upstreams,
            places,
            former,
            claims,
            left,
        };
        world.name_upstreams();
        world
    }

    fn name_upstreams(&mut self) {
        self.upstreams.clear();
        for u in &self.snap.config.upstreams {
            let known = self.names.iter().position(|name| *name == u.name);
            let at = known.unwrap_or(self.names.len());
            if known.is_none() {
                self.names.push(u.name.clone());
            }
            self.upstreams.push(UpstreamId::new(at as u64));
        }
        // Addresses count at once; what names stand for is found out anew.
        self.places = vec![Vec::new(); self.names.len()];
        self.former.resize(self.names.len(), Vec::new());
        for (id, u) in self.upstreams.iter().zip(&self.snap.config.upstreams) {
            if let Some(places) = self.places.get_mut(id.index()) {
                places.extend(u.fixed());
            }
        }
        // Who has a name is placed anew in a moment, and was there before.
        let ids = self.upstreams.iter().zip(&self.snap.config.upstreams);
        let named = ids.filter(|(_, u)| u.targets.iter().any(|t| t.name().is_some()));
        let named: Vec<UpstreamId> = named.map(|(id, _)| *id).collect();
        let (mut claims, ids) = (std::mem::take(&mut self.claims), self.upstreams.clone());
        claims.retain(|(ip, id)| ids.contains(id) && (named.contains(id) || self.is_at(*id, *ip)));
        self.claims = claims;
        ids.iter().for_each(|id| self.claim(*id));
        self.tell_net();
    }

    /// Upstreams of the configuration in force, in its order.
    pub(crate) fn upstreams(&self) -> &[UpstreamId] {
        &self.upstreams
    }

    /// The name of an upstream, whether it is configured still or not.
    pub(crate) fn upstream_name(&self, id: UpstreamId) -> Option<&str> {
        self.names.get(id.index()).map(String::as_str)
    }

    /// An upstream of the configuration in force, by name.
    pub(crate) fn upstream_named(&self, name: &str) -> Option<UpstreamId> {
        let at = self.config().upstreams.iter().position(|u| u.name == name)?;
        self.upstreams.get(at).copied()
    }

    pub(crate) fn set_now(&mut self, now: Now) {
        self.now = now;
    }

    /// Takes a new configuration; the one that held is returned.
    pub(crate) fn swap(&mut self, snap: Arc<Snapshot>) -> Arc<Snapshot> {
        let snap = standing::standing(snap, &self.snap);
        self.net = Net::new(&snap.config);
        let old = std::mem::replace(&mut self.snap, snap);
        self.name_upstreams();
        old
    }

    pub(crate) fn now(&self) -> Now {
        self.now
    }

    pub(crate) fn wall(&self) -> Wall {
        self.now.wall
    }

    /// The wall clock as it would stand if nobody had set it since the start: what was granted for
    /// an hour lasts an hour, though a gateway without a battery learns the year later.
    pub(crate) fn steady(&self) -> Wall {
        self.steady_at(self.now)
    }

    pub(crate) fn steady_at(&self, now: Now) -> Wall {
        Wall(self.began.wall.0 + now.mono.since(self.began.mono))
    }

    pub(crate) fn steady_after(&self, wait: Duration) -> Wall {
        Wall(self.steady().0 + wait)
    }

    pub(crate) fn config(&self) -> &Config {
        &self.snap.config
    }

    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.snap
    }

    pub(crate) fn rules(&self) -> &RuleSet {
        &self.snap.rules
    }

    pub(crate) fn net(&self) -> &Net {
        &self.net
    }

    pub(crate) fn sealer(&self) -> &Sealer {
        &self.sealer
    }

    /// A name nobody can guess: for tags, branches, Call-IDs.
    pub(crate) fn name(&self) -> String {
        self.random.name()
    }

    pub(crate) fn number(&self) -> u64 {
        self.random.number()
    }

    /// Equal parts give equal names.
    pub(crate) fn derived(&self, parts: &[&[u8]]) -> String {
        self.random.derived(parts)
    }

    pub(crate) fn side(&self, listener: ListenerId) -> Side {
        self.net.side(listener)
    }

    /// We are the registrar.
    pub(crate) fn is_registrar(&self) -> bool {
        self.config().registrar.mode == RegistrarMode::Local
    }

    /// Who holds what a request takes: its upstream, the user who is proved (by digest here, or by
    /// the upstream that registered him), else its source.
    pub(crate) fn holder(&self, user: Option<&Aor>, upstream: bool, from: Source) -> Holder {
        let proves = !self.is_registrar() || self.config().registrar.digest;
        match user.filter(|_| proves) {
            _ if upstream => Holder::Upstream,
            Some(user) => match &self.snap.users {
                Users::Shared { .. } if self.is_registrar() => {
                    Holder::Shared(user.to_string(), from)
                }
                Users::Shared { .. } | Users::Table(_) | Users::None => {
                    Holder::User(user.to_string())
                }
            },
            None => Holder::Unproved(from),
        }
    }

    /// The shares of a table of so many places.
    pub(crate) fn shares(&self, total: usize) -> Shares {
        Shares::percent(total, self.config().limits.share_percent)
    }

    /// The same, where a user has a cap of his own, in the file.
    pub(crate) fn shares_of_sources(&self, total: usize) -> Shares {
        Shares { per_user: usize::MAX, ..self.shares(total) }
    }

    /// The same, where an office behind one address may need all.
    pub(crate) fn shares_of_users(&self, total: usize) -> Shares {
        Shares { per_address: usize::MAX, ..self.shares(total) }
    }

    /// Whether a Request-URI from inside names this site.
    pub(crate) fn is_local_domain(&self, uri: &Uri) -> bool {
        let (config, host) = (self.config(), uri.host.as_str());
        self.net.names_us(uri)
            || config.site.domain.as_deref().is_some_and(|d| d.eq_ignore_ascii_case(host))
            || config.registrar.realm.eq_ignore_ascii_case(host)
    }

    /// A URI that we put into a Record-Route.
    pub(crate) fn is_record_route(&self, uri: &Uri) -> bool {
        let token = uri.user.as_deref().filter(|_| self.is_own(uri));
        token.is_some_and(|t| self.sealer.open(seal::Role::Route, t).is_some())
    }

    /// Timer values of a transaction on this flow.
    pub(crate) fn timing(&self, flow: &Flow) -> Timing {
        let t = &self.config().timers;
        Timing { t1: t.t1, t2: t.t2, t4: t.t4, reliable: flow.transport.is_reliable() }
    }

    /// A branch of ours (RFC 3261 §8.1.1.7); `mark` is what routed the request.
    pub(crate) fn branch(&self, mark: &str) -> String {
        format!("z9hG4bK{}.{mark}", self.name())
    }

    /// Our Via on a socket.
    pub(crate) fn via(&self, egress: ListenerId, branch: &str) -> String {
        let at = self.net.advertised(egress);
        let transport = self.net.listener(egress).map_or("UDP", |l| l.transport.via());
        let mut via = Via {
            transport: transport.to_owned(),
            host: self.net.host_name(egress),
            port: Some(at.port()),
            params: Params::default(),
        };
        via.params.set("rport", None);
        via.params.set("branch", Some(branch));
        via.to_string()
    }

    /// The digest of what routes a request (RFC 5393 §4.2): it stands in our branch. The side is
    /// part of it: what left to the PBX and comes back unchanged goes to a phone now.
    pub(crate) fn loop_mark(&self, request: &Message, side: Side) -> String {
        let seq = request.cseq().seq.to_be_bytes();
        let mut parts: Vec<&[u8]> = vec![
            side.as_str().as_bytes(),
            request.uri().as_bytes(),
            request.call_id().as_bytes(),
            request.from_tag().unwrap_or_default().as_bytes(),
            request.to_tag().unwrap_or_default().as_bytes(),
            &seq,
        ];
        parts.extend(request.rows(&Name::Route));
        self.random.derived(&parts)
    }

    /// An answer of our own, with a To tag (RFC 3261 §8.2.6.2).
    pub(crate) fn answer(&self, request: &Message, status: u16, phrase: &str) -> Message {
        let mut response = Message::response(request, status, phrase);
        self.tag_response(&mut response);
        response
    }

    /// Adds a To tag of ours where there is none: the same for every answer to one request.
    pub(crate) fn tag_response(&self, response: &mut Message) {
        if response.to_tag().is_some() {
            return;
        }
        let via = response.first(&Name::Via).unwrap_or_default().to_vec();
        let tag = self.random.derived(&[response.call_id().as_bytes(), &via]);
        if let Some(to) = response.first(&Name::To) {
            let to = with_tag(to, &tag);
            response.set(Name::To, to);
        }
    }
}

/// A From or To value with this tag; an empty one is none (RFC 3261 §12.1.2).
pub(crate) fn with_tag(value: &[u8], tag: &str) -> Vec<u8> {
    match RawNameAddr::read(value) {
        _ if tag.is_empty() => value.to_vec(),
        Some(name) if name.params.get("tag") == Some(tag.as_bytes()) => value.to_vec(),
        Some(name) if name.params.get("tag").is_some() => {
            let mut name = name.owned();
            if name.tag() == Some(tag) {
                return value.to_vec();
            }
            name.params.set("tag", Some(tag));
            name.to_string().into_bytes()
        }
        // An addr-spec form keeps its shape: parameters are the header's (§20.10).
        Some(_) | None => [value, b";tag=", tag.as_bytes()].concat(),
    }
}
