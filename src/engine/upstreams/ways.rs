//! The ways to an upstream, in the order they are tried: those of its targets that its interface
//! has a socket for, and the connection by which it asked to be asked. It sends nothing.

use super::{Unreachable, Upstreams};
use crate::config::{self, Hop, Host};
use crate::engine::attempt::Attempt;
use crate::engine::ids::UpstreamId;
use crate::engine::transactions::Spare;
use crate::engine::world::World;
use crate::ground::Flow;
use std::net::SocketAddr;

impl Upstreams {
    /// The host, as the file has it, of the target that leads there.
    pub(crate) fn host_of<'a>(
        &self,
        w: &'a World,
        id: UpstreamId,
        flow: &Flow,
    ) -> Option<&'a Host> {
        let hop = Hop { peer: flow.peer, transport: flow.transport };
        let of = self.state(id)?.targets.iter().find(|t| t.hop == hop)?.of;
        self.get(w, id)?.targets.get(of).map(|target| &target.host)
    }

    /// The ways to an upstream for a request, in the order they are tried: the first, and the
    /// others. One by `sips:` goes by TLS alone; who calls for help by such a URI is put through.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn ways(
        &self,
        w: &World,
        id: UpstreamId,
        a: &Attempt,
    ) -> Result<(Flow, Spare), Unreachable> {
        let mut all = self.all_ways(w, id, &a.whom())?;
        if a.is_sips() {
            let secure = |way: &Flow| way.transport.is_secure();
            match (all.iter().any(secure), a.is_secure()) {
                (true, _) => all.retain(secure),
                (false, true) => return Err(Unreachable::Insecure),
                (false, false) => {}
            }
        }
        let unheard = self.state(id).map_or([false; 2], |state| state.targets.unheard());
        let first = all.remove(0);
        Ok((first, Spare::new(all, unheard)))
    }

    /// No target of it is without TLS: it is reached, and known, by nothing else.
    pub(crate) fn is_tls_alone(&self, w: &World, id: UpstreamId) -> bool {
        self.get(w, id).is_some_and(config::Upstream::is_tls_alone)
    }

    /// What begins by this flow with an upstream goes by TLS or nowhere: it has nothing else. One
    /// that the file has no more had nothing else for all that is known.
    pub(crate) fn binds(&self, w: &World, id: Option<UpstreamId>, flow: &Flow) -> bool {
        let alone = |id| self.get(w, id).is_none_or(config::Upstream::is_tls_alone);
        flow.transport.is_secure() && id.is_some_and(alone)
    }

    /// A place of an upstream that is reached by TLS: this one, else one of the same host, else the
    /// first.
    pub(crate) fn place_by_tls(&self, w: &World, id: UpstreamId, at: SocketAddr) -> Option<Flow> {
        let u = self.get(w, id)?;
        let all = w.places(id).iter().filter(|hop| hop.transport.is_secure());
        let other = |hop: &&Hop| (hop.peer != at, hop.peer.ip() != at.ip());
        all.min_by_key(other).and_then(|hop| w.net().towards(u.interface, id, *hop))
    }

    /// Whether there is any way to an upstream.
    pub(crate) fn is_lost(&self, w: &World, id: UpstreamId) -> bool {
        self.all_ways(w, id, "").is_err()
    }

    /// Its interface has no address: there is no way to it for now.
    pub(crate) fn is_away(&self, w: &World, id: UpstreamId) -> bool {
        let interface = self.get(w, id).and_then(|u| w.net().interface_at(u.interface));
        interface.is_some_and(|i| i.addresses.are_away())
    }

    /// At least one.
    fn all_ways(&self, w: &World, id: UpstreamId, whom: &str) -> Result<Vec<Flow>, Unreachable> {
        let (state, u) = self.state(id).zip(self.get(w, id)).ok_or(Unreachable::Nowhere)?;
        let mut order = state.targets.order(whom, w.now().mono, self.is_probed(w, id));
        self.homes.prefer(id, whom, w.now().mono, &mut order);
        let why = order.first().and_then(|hop| w.net().no_socket(u.interface, hop.transport));
        let ways = order.into_iter().filter_map(|hop| w.net().towards(u.interface, id, hop));
        let mut ways: Vec<Flow> = ways.collect();
        self.proved.prefer(id, &mut ways);
        if ways.is_empty() {
            return Err(why.map_or(Unreachable::Nowhere, Unreachable::Transport));
        }
        Ok(ways)
    }

    /// Streams of a dialog's own upstream to the host that its requests go to; beside a stream
    /// there is none. Another's at the same place is another's.
    pub(crate) fn streams_beside(
        &self,
        w: &World,
        own: Option<UpstreamId>,
        flow: &Flow,
    ) -> Vec<Flow> {
        let own = flow.upstream.or(own).filter(|_| !flow.transport.is_reliable());
        let Some((id, u)) = own.and_then(|id| Some((id, self.get(w, id)?))) else {
            return Vec::new();
        };
        let here = |hop: &&Hop| hop.peer.ip() == flow.peer.ip();
        let hops = w.places(id).iter().filter(|hop| hop.transport.is_reliable()).filter(here);
        hops.filter_map(|hop| w.net().towards(u.interface, id, *hop)).collect()
    }
}
