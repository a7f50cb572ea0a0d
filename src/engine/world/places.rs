//! Where upstreams are, were until lately, and who of them came there first. It asks no name: it is
//! told.

use super::World;
use crate::config::Hop;
use crate::ground::{Mono, UpstreamId};
use std::net::IpAddr;
use std::time::Duration;

/// How long who left a name's addresses still counts: registrations and calls began there.
const FORMER: Duration = Duration::from_secs(3_600);
/// Addresses of one upstream that are remembered so.
const FORMERS: usize = 32;

fn has(all: &[Hop], ip: IpAddr) -> bool {
    all.iter().any(|hop| hop.peer.ip() == ip)
}

impl World {
    pub(super) fn is_at(&self, id: UpstreamId, ip: IpAddr) -> bool {
        has(self.places(id), ip)
    }

    /// Adds where an upstream is behind whoever was there before.
    pub(super) fn claim(&mut self, id: UpstreamId) {
        let new: Vec<IpAddr> = self.places(id).iter().map(|hop| hop.peer.ip()).collect();
        for ip in new {
            if !self.claims.contains(&(ip, id)) {
                self.claims.push((ip, id));
            }
        }
    }

    /// How early an upstream came to where it is, among all; `None`: it is not there.
    pub(crate) fn came(&self, id: UpstreamId, ip: IpAddr) -> Option<usize> {
        let there = self.is_at(id, ip);
        self.claims.iter().position(|claim| *claim == (ip, id)).filter(|_| there)
    }

    pub(super) fn tell_net(&mut self) {
        self.net.follow(self.places.iter().flatten().map(|hop| hop.peer.ip()));
    }

    /// An upstream was there by its names until lately.
    pub(crate) fn was_at(&self, id: UpstreamId, ip: IpAddr) -> bool {
        let former = self.former.get(id.index()).into_iter().flatten();
        former.into_iter().any(|(was, until)| *was == ip && *until > self.now.mono)
    }

    /// Where an upstream is, in the order of its file; empty: nobody knows (yet).
    pub(crate) fn places(&self, id: UpstreamId) -> &[Hop] {
        self.places.get(id.index()).map_or(&[], Vec::as_slice)
    }

    /// An upstream is there from now on.
    pub(crate) fn place(&mut self, id: UpstreamId, at: Vec<Hop>) {
        let now = self.now.mono;
        if let Some((former, was)) =
            self.former.get_mut(id.index()).zip(self.places.get(id.index()))
        {
            let left = was.iter().map(|hop| hop.peer.ip()).filter(|ip| !has(&at, *ip));
            let left: Vec<(IpAddr, Mono)> = left.map(|ip| (ip, now + FORMER)).collect();
            former.retain(|(ip, until)| *until > now && !left.iter().any(|(l, _)| l == ip));
            former.extend(left);
            let more = former.len().saturating_sub(FORMERS);
            former.drain(..more);
        }
        if let Some(places) = self.places.get_mut(id.index()) {
            *places = at;
        }
        let mut claims = std::mem::take(&mut self.claims);
        claims.retain(|(ip, of)| *of != id || self.is_at(id, *ip));
        self.claims = claims;
        self.claim(id);
        self.tell_net();
    }
}
