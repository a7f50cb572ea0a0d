//! Who proved himself by a TLS client certificate, by connection: under which names, which upstream
//! that is, and by which connection an upstream asked to be asked itself (RFC 5923). The driver has
//! judged the certificate; here nothing but its names is known.

use super::{Upstreams, lists};
use crate::engine::analysis::Incoming;
use crate::engine::ids::UpstreamId;
use crate::engine::outbox::Outbox;
use crate::engine::output::{Level, Output};
use crate::engine::world::World;
use crate::ground::{ConnId, Flow, Side, Subject};
use crate::policy::Subjects;
use crate::policy::quota::Holder;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// One connection.
#[derive(Debug)]
struct Proof {
    names: Arc<[Subject]>,
    /// The way to whoever is there.
    flow: Flow,
    /// The upstream whose `tls_subject` one of the names is.
    upstream: Option<UpstreamId>,
    /// A rule asks for one of them.
    known: bool,
}

/// All of them; as many as the driver lets be open.
#[derive(Debug, Default)]
pub(super) struct Proved {
    all: HashMap<ConnId, Proof>,
    /// Where an upstream wants to be asked: its newest connection that says so.
    aliases: BTreeMap<UpstreamId, Flow>,
    /// Connections whose other end proved himself, and is believed no longer.
    over: HashSet<ConnId>,
}

impl Proof {
    fn judge(&mut self, w: &World) {
        let is_of = |(_, u): &(&UpstreamId, &crate::config::Upstream)| {
            let here = w.net().interface_of(self.flow.listener);
            here == Some(u.interface) && Subjects::new(&u.tls_subject).meet(&self.names)
        };
        let side = w.side(self.flow.listener);
        let outside = side == Side::Outside;
        let mut all = w.upstreams().iter().zip(&w.config().upstreams).filter(|_| outside);
        self.upstream = all.find(is_of).map(|(id, _)| *id);
        self.known =
            w.rules().knows((side, w.net().interface_name(self.flow.listener)), &self.names);
    }

    /// Who holds the places of what it sends; `None`: nobody that anything here knows.
    fn holder(&self) -> Option<Holder> {
        let name = self.names.first().filter(|_| self.known);
        let known = name.map(|name| Holder::User(format!("certificate {name}")));
        self.upstream.map(|_| Holder::Upstream).or(known)
    }
}

impl Proved {
    fn of(&self, flow: &Flow) -> Option<&Proof> {
        self.all.get(&flow.conn?)
    }

    /// It was proved by this connection who is there, and is no longer.
    pub(super) fn is_over(&self, flow: &Flow) -> bool {
        flow.conn.is_some_and(|conn| self.over.contains(&conn))
    }

    pub(super) fn upstream(&self, flow: &Flow) -> Option<UpstreamId> {
        self.of(flow)?.upstream
    }

    /// The configuration in force says who is meant.
    pub(super) fn follow(&mut self, w: &World) {
        self.all.values_mut().for_each(|proof| proof.judge(w));
        let all = &self.all;
        self.aliases.retain(|id, flow| {
            flow.conn.and_then(|conn| all.get(&conn)).is_some_and(|p| p.upstream == Some(*id))
        });
    }

    /// The connection by which an upstream asked to be asked comes before the places that it was
    /// last known at; in the place of that which it leads to.
    pub(super) fn prefer(&self, id: UpstreamId, ways: &mut Vec<Flow>) {
        let Some(flow) = self.aliases.get(&id) else { return };
        let same =
            |way: &&mut Flow| way.transport == flow.transport && way.peer.ip() == flow.peer.ip();
        match ways.iter_mut().find(same) {
            Some(way) => *way = *flow,
            None => ways.insert(0, *flow),
        }
    }
}

impl Upstreams {
    /// Who is at the other end of a connection proved to have these names.
    pub(crate) fn secured(&mut self, w: &World, out: &mut Outbox, flow: Flow, names: Vec<Subject>) {
        // What ended the proof may overtake it: the driver looks whenever files or the time change.
        let Some(conn) = flow.conn.filter(|conn| !self.proved.over.contains(conn)) else { return };
        let (upstream, known) = (None, false);
        let mut proof = Proof { names: names.into(), flow, upstream, known };
        proof.judge(w);
        if let Some(holder) = proof.holder() {
            out.emit(Output::KeepConnection(conn, holder));
        }
        self.proved.all.insert(conn, proof);
    }

    /// Who is at the other end of a connection shows a certificate that proves nothing.
    pub(crate) fn unnamed(&self, w: &World, out: &mut Outbox, flow: &Flow, why: &str) {
        let (peer, at) = (flow.peer, w.net().interface_name(flow.listener));
        let here = w.upstreams().iter().find(|id| self.is_source(w, **id, peer.ip()));
        match here.and_then(|id| w.upstream_name(*id)) {
            Some(name) => {
                let text =
                    format!("{peer}, an address of upstream {name}, is named by nothing: {why}");
                out.notice_of(peer, Level::Warn, text);
            }
            None => {
                let text = format!("TLS from {peer} at {at}: no name is believed: {why}");
                out.notice_of(peer, Level::Info, text);
            }
        }
    }

    /// A connection is gone, and with it what was proved there.
    pub(crate) fn closed(&mut self, conn: ConnId) {
        self.proved.over.remove(&conn);
        self.forget(conn);
    }

    /// Who is at the other end of a connection is believed no longer.
    pub(crate) fn disproved(&mut self, w: &World, out: &mut Outbox, flow: &Flow, why: &str) {
        let Some(conn) = flow.conn else { return };
        let whom = flow.upstream.or_else(|| self.proved.upstream(flow));
        let name = whom.and_then(|id| w.upstream_name(id));
        let who = name.map_or_else(|| "who".to_owned(), |name| format!("upstream {name}, who"));
        let text = format!("{who} proved himself from {}, is believed no longer: {why}", flow.peer);
        let level = if name.is_some() { Level::Warn } else { Level::Info };
        out.notice_of(flow.peer, level, text);
        self.forget(conn);
        self.proved.over.insert(conn);
    }

    fn forget(&mut self, conn: ConnId) {
        self.proved.all.remove(&conn);
        self.proved.aliases.retain(|_, flow| flow.conn != Some(conn));
    }

    /// The connection by which an upstream asked to be asked.
    pub(crate) fn alias(&self, id: UpstreamId) -> Option<Flow> {
        self.proved.aliases.get(&id).copied()
    }

    /// Whoever is at the other end of a connection proved who he is, and is believed no longer.
    pub(crate) fn has_left(&self, flow: &Flow) -> bool {
        self.proved.is_over(flow)
    }

    /// Names that the certificate of a connection proved.
    pub(crate) fn names(&self, flow: &Flow) -> Arc<[Subject]> {
        self.proved.of(flow).map(|proof| proof.names.clone()).unwrap_or_default()
    }

    /// Who speaks by it proved a name that an upstream or a rule of the file knows.
    pub(crate) fn is_proved(&self, flow: &Flow) -> bool {
        self.proved.of(flow).is_some_and(|proof| proof.holder().is_some())
    }

    /// Who speaks by it is this upstream by more than its address, whatever the file asks of it
    /// now: it was asked by this connection, it proved itself there, or it has nothing but TLS
    /// still and the file lists that address.
    pub(crate) fn has_proved(&self, w: &World, id: UpstreamId, flow: &Flow) -> bool {
        let ip = flow.peer.ip().to_canonical();
        let listed = || self.get(w, id).is_some_and(|u| u.is_tls_alone() && lists(u, ip));
        let proved = || flow.upstream == Some(id) || self.proved.upstream(flow) == Some(id);
        self.of_flow(w, flow) == Some(id) && (proved() || listed())
    }

    /// Who holds the places of who proved such a name; `None`: he did not.
    pub(crate) fn proved_holder(&self, flow: &Flow) -> Option<Holder> {
        self.proved.of(flow)?.holder()
    }

    /// An upstream that proved itself says by `alias` in its Via that it is to be asked by the same
    /// connection (RFC 5923 §5); of nobody else that is believed.
    pub(crate) fn hear_alias(&mut self, i: &Incoming) {
        if i.via.params.get("alias").is_none() {
            return;
        }
        if let Some(id) = self.proved.upstream(&i.flow) {
            self.proved.aliases.insert(id, i.flow);
        }
    }
}
