//! Stream connections between the gateway and others, as its driver and they keep them: opened for
//! what is to be sent, proved or not, broken at any step. It knows nothing of what goes by them.

use portreeve::ground::{ConnId, Flow, ListenerId, Mono};
use std::collections::BTreeMap;
use std::net::SocketAddr;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Who is at the other end is not known yet.
    Shaking,
    Up,
    /// The gateway closes it when what waits is written.
    Closing,
    /// Broken; the gateway has not heard of it.
    Dead,
}

/// One connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wire {
    /// As the gateway sees it.
    pub(crate) flow: Flow,
    /// The gateway has opened it.
    pub(crate) ours: bool,
    /// From when on something goes by it.
    pub(crate) up: Mono,
    state: State,
}

#[derive(Debug, Default)]
pub(crate) struct Wires {
    open: BTreeMap<ConnId, Wire>,
    /// By which connection a request came, by its branch: its answers go back there.
    came: BTreeMap<String, ConnId>,
    /// Whose the source of a connection is that its peer has opened.
    known_as: BTreeMap<SocketAddr, SocketAddr>,
    /// Ports that peers open connections from.
    ports: u16,
}

impl Wires {
    /// Who sends from there.
    pub(crate) fn who(&self, at: SocketAddr) -> SocketAddr {
        self.known_as.get(&at).copied().unwrap_or(at)
    }

    pub(crate) fn is_up(&self, conn: ConnId) -> bool {
        self.open.get(&conn).is_some_and(|w| matches!(w.state, State::Up | State::Closing))
    }

    pub(crate) fn get(&self, conn: ConnId) -> Option<Wire> {
        self.open.get(&conn).copied()
    }

    /// The connection that the gateway's driver sends by: the flow's own, else another that leads
    /// there; one by TLS only where its end was made to prove itself for the same upstream.
    pub(crate) fn carrier(&self, flow: &Flow) -> Option<Wire> {
        let own = flow.conn.and_then(|conn| self.open.get(&conn));
        let own = own.filter(|w| w.state != State::Closing);
        let shared = flow.upstream.is_some() || !flow.transport.is_secure();
        let same = |w: &&Wire| {
            let way = |f: &Flow| (f.listener, f.peer, f.upstream);
            way(&w.flow) == way(flow) && w.state != State::Closing
        };
        own.or_else(|| self.open.values().rev().find(same).filter(|_| shared)).copied()
    }

    /// By which connection a party speaks to the gateway: its newest.
    pub(crate) fn of(&self, who: SocketAddr) -> Option<Flow> {
        let its = |w: &&Wire| w.state == State::Up && self.who(w.flow.peer) == who;
        self.open.values().rev().find(its).map(|w| w.flow)
    }

    /// The gateway opens one; nobody knows yet who is there.
    pub(crate) fn dials(&mut self, flow: Flow, up: Mono) {
        self.enter(Wire { flow, ours: true, up, state: State::Shaking });
    }

    /// A party has opened one.
    pub(crate) fn accepts(&mut self, flow: Flow, now: Mono) {
        self.enter(Wire { flow, ours: false, up: now, state: State::Up });
    }

    fn enter(&mut self, wire: Wire) {
        self.open.extend(wire.flow.conn.map(|conn| (conn, wire)));
    }

    /// A port of that party's that it opens a connection from.
    pub(crate) fn port(&mut self, who: SocketAddr) -> SocketAddr {
        self.ports = self.ports % 20_000 + 1;
        let from = SocketAddr::new(who.ip(), 40_000 + self.ports);
        self.known_as.insert(from, who);
        from
    }

    /// It has proved who it is, or need not.
    pub(crate) fn proves(&mut self, conn: ConnId) {
        self.set(conn, State::Up);
    }

    /// It is broken, and neither end knows.
    pub(crate) fn breaks(&mut self, conn: ConnId) {
        self.set(conn, State::Dead);
    }

    /// The gateway gives it nothing more.
    pub(crate) fn closes(&mut self, conn: ConnId) {
        self.set(conn, State::Closing);
    }

    fn set(&mut self, conn: ConnId, state: State) {
        if let Some(wire) = self.open.get_mut(&conn) {
            wire.state = state;
        }
    }

    /// The driver gives it up.
    pub(crate) fn forget(&mut self, conn: ConnId) -> Option<Wire> {
        self.open.remove(&conn)
    }

    /// Those at these sockets.
    pub(crate) fn at(&self, sockets: &[ListenerId]) -> Vec<ConnId> {
        let there = self.open.iter().filter(|(_, w)| sockets.contains(&w.flow.listener));
        there.map(|(conn, _)| *conn).collect()
    }

    /// All are gone.
    pub(crate) fn clear(&mut self) {
        self.open.clear();
    }

    /// Those that something goes by.
    pub(crate) fn all_up(&self) -> Vec<ConnId> {
        let up = self.open.iter().filter(|(_, w)| w.state == State::Up);
        up.map(|(conn, _)| *conn).collect()
    }

    /// A request came by a connection.
    pub(crate) fn asks(&mut self, branch: &str, conn: ConnId) {
        self.came.insert(branch.to_owned(), conn);
    }

    /// The way back of its answers, while it is there.
    pub(crate) fn answers(&self, branch: &str) -> Option<Flow> {
        let conn = self.came.get(branch)?;
        self.open.get(conn).filter(|w| w.state == State::Up).map(|w| w.flow)
    }
}
