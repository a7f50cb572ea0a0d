//! Who is meant of several upstreams at one address: trunks of one provider stand at one, and
//! whoever runs an upstream's zone may name another's. It believes nobody's claim to be one of them
//! beyond what it believes all of them.

use super::{Upstreams, holds, lists, speaks_from};
use crate::config;
use crate::engine::ids::UpstreamId;
use crate::engine::world::World;
use crate::ground::Flow;
use std::net::IpAddr;

/// What an upstream has to do with an address, the best first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Claim {
    /// The file says that it sends from there.
    Written,
    /// It is there by its names, and was so before others.
    Came(usize),
    /// It was there until lately.
    Was,
}

impl Upstreams {
    /// An upstream is or was at an address, or sends from there: whoever else does, it is not to be
    /// shut out.
    pub(crate) fn are_at(w: &World, ip: IpAddr) -> bool {
        w.upstreams().iter().any(|id| holds(w, *id, ip))
    }

    /// The upstream that who sends from an address is: who the file says, else who came there
    /// first.
    pub(super) fn known_at(&self, w: &World, ip: IpAddr) -> Option<UpstreamId> {
        speakers(w, ip).min_by_key(|id| self.claim(w, *id, ip))
    }

    /// An upstream whose address this is, and who has to prove himself by TLS all the same.
    pub(crate) fn unproved_at(&self, w: &World, flow: &Flow) -> Option<UpstreamId> {
        let ip = flow.peer.ip();
        let there = |id: &&UpstreamId| holds(w, **id, ip) && !speaks_from(w, **id, ip);
        let none = self.of_flow(w, flow).is_none();
        w.upstreams().iter().find(there).copied().filter(|_| none)
    }

    /// All upstreams that something may have come from, the likeliest first: more than one only
    /// where no connection or certificate tells which.
    pub(crate) fn all_of_flow(&self, w: &World, flow: &Flow) -> Vec<UpstreamId> {
        let ip = flow.peer.ip().to_canonical();
        let mut all: Vec<UpstreamId> = speakers(w, ip).collect();
        if all.len() < 2 || flow.upstream.is_some() || self.proved.upstream(flow).is_some() {
            return self.of_flow(w, flow).into_iter().collect();
        }
        all.sort_by_key(|id| self.claim(w, *id, ip));
        let Some(first) = all.first().copied() else { return all };
        match self.claim(w, first, ip) {
            // By his words nobody becomes one that the file trusts more.
            Claim::Written => all.retain(|id| self.trusts(w, first) || !self.trusts(w, *id)),
            // Who left makes way.
            Claim::Came(_) => all.retain(|id| self.claim(w, *id, ip) != Claim::Was),
            Claim::Was => {}
        }
        all
    }

    /// What it says of identities is believed. Of several that are at one address by their names
    /// nobody knows which one speaks: all of them have to be believed.
    pub(crate) fn is_trusted(&self, w: &World, id: Option<UpstreamId>) -> bool {
        let Some(id) = id.filter(|id| self.trusts(w, *id)) else { return false };
        let distrusted = w.upstreams().iter().filter(|id| !self.trusts(w, **id));
        let written = |id: UpstreamId, ip: IpAddr| self.claim(w, id, ip) == Claim::Written;
        let shared = |other: UpstreamId, ip: IpAddr| {
            let both = speaks_from(w, id, ip) && speaks_from(w, other, ip);
            both && !(written(id, ip) && written(other, ip))
        };
        let places = |id: UpstreamId| w.places(id).iter().map(|hop| hop.peer.ip());
        distrusted
            .copied()
            .all(|other| !places(id).chain(places(other)).any(|ip| shared(other, ip)))
    }

    fn trusts(&self, w: &World, id: UpstreamId) -> bool {
        self.get(w, id).is_some_and(|u| u.trust)
    }

    /// Those of these upstreams that have this domain.
    pub(crate) fn of_domain(&self, w: &World, all: &[UpstreamId], host: &str) -> Vec<UpstreamId> {
        let named = |id: &&UpstreamId| self.get(w, **id).is_some_and(|u| is_of_domain(u, host));
        all.iter().filter(named).copied().collect()
    }

    fn claim(&self, w: &World, id: UpstreamId, ip: IpAddr) -> Claim {
        let ip = ip.to_canonical();
        if self.get(w, id).is_some_and(|u| lists(u, ip)) {
            return Claim::Written;
        }
        w.came(id, ip).map_or(Claim::Was, Claim::Came)
    }
}

fn speakers(w: &World, ip: IpAddr) -> impl Iterator<Item = UpstreamId> {
    w.upstreams().iter().copied().filter(move |id| speaks_from(w, *id, ip))
}

/// A domain stands for an upstream.
pub(super) fn is_of_domain(u: &config::Upstream, host: &str) -> bool {
    u.domain.eq_ignore_ascii_case(host) || u.domains.iter().any(|d| d.eq_ignore_ascii_case(host))
}
