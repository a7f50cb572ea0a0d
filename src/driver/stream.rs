//! SIP over TCP and over TLS: accepts, connects, frames, writes. Bounded in connections, time and
//! octets; it never looks into a message beyond its length, and whether it is an answer.

mod beat;
mod bells;
mod callers;
mod carried;
mod connection;
mod hands;
mod handshake;
mod lapse;
mod outlet;
mod proofs;
mod table;
mod tunnelled;
mod turns;
mod way;

#[cfg(test)]
mod tests;

use super::Arrival;
use super::inlet::Inlet;
use super::tls::Tls;
use super::tunnel::Tunnels;
use super::udp::canonical;
use super::zone::Zones;
use crate::config::{Config, Listener};
use crate::engine::{Opens, Stats};
use crate::ground::{ConnId, Flow, ListenerId, Side, Transport};
use crate::policy::quota::{Holder, ShareView, Source};
use crate::wire::limits;
use arc_swap::ArcSwap;
use bytes::Bytes;
use callers::Callers;
use connection::{QUIET, WRITTEN};
use hands::Hands;
#[cfg(test)]
pub(crate) use proofs::WATCH;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use table::Table;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};
use tunnelled::Groups;
use way::Way;

/// Connections that the kernel may hold until they are accepted.
const BACKLOG: u32 = 1_024;

/// Listens.
///
/// # Errors
/// What the kernel says: the address is taken, not ours, or not allowed.
pub fn listen(at: SocketAddr) -> io::Result<TcpListener> {
    let socket = connection::socket(at.is_ipv4())?;
    socket.set_reuseaddr(true)?;
    socket.bind(at)?;
    socket.listen(BACKLOG)
}

/// How long an upstream's address is known after its last connection was used.
const KNOWN: Duration = Duration::from_secs(86_400);
/// Sockets, each with the side of its interface.
type Listeners = Vec<(Listener, Side)>;

fn sided(config: &Config) -> Listeners {
    let side = |l: &Listener| config.interfaces.get(l.interface).map(|i| i.side);
    config.listeners().into_iter().filter_map(|l| Some((l, side(&l)?))).collect()
}

/// A connection by which no message came for so long carries none any more, where somebody was
/// asked and has not answered (64 * T1 is 32 s).
const SILENT: Duration = Duration::from_secs(30);

/// All stream connections.
#[derive(Clone, Debug)]
pub struct Streams {
    table: Arc<Mutex<Table>>,
    callers: Arc<Mutex<Callers>>,
    hands: Hands,
    listeners: Arc<ArcSwap<Listeners>>,
    zones: Arc<Zones>,
    inlet: Inlet,
    tls: Tls,
    tunnels: Tunnels,
    /// Connections by tunnels.
    groups: Arc<ArcSwap<BTreeMap<ListenerId, Groups>>>,
}

impl Streams {
    /// None open yet.
    #[must_use]
    pub fn new(config: &Config, inlet: Inlet, tls: Tls) -> Self {
        let listeners = Arc::new(ArcSwap::from_pointee(sided(config)));
        let table = Arc::new(Mutex::new(Table::new(&config.limits)));
        let callers = Arc::new(Mutex::new(Callers::new(config)));
        let (zones, hands) = (Arc::new(Zones::of(config)), Hands::start());
        let tunnels = Tunnels::default();
        let groups = Arc::default();
        Self { table, callers, hands, listeners, zones, inlet, tls, tunnels, groups }
    }

    /// Connections at these tunnels' interfaces are streams of theirs.
    #[must_use]
    pub fn through(self, tunnels: Tunnels) -> Self {
        Self { tunnels, ..self }
    }

    /// Sockets are there from now on, and those that are gone take their connections with them.
    pub fn stand(&self, config: &Config, gone: &[ListenerId]) {
        self.listeners.store(Arc::new(sided(config)));
        self.table().cut_at(gone);
    }

    /// What TLS has in force.
    #[must_use]
    pub fn tls(&self) -> &Tls {
        &self.tls
    }

    /// From now on this configuration holds; connections that are open stay.
    pub fn follow(&self, config: &Config) {
        self.tunnels.follow(config);
        self.listeners.store(Arc::new(sided(config)));
        self.table().set_limits(&config.limits);
        self.callers().follow(config);
    }

    /// A phone is registered from this address, at this socket of ours, for so long.
    pub fn know(&self, local: SocketAddr, ip: IpAddr, lasts: Duration) {
        let listeners = self.listeners.load();
        let at = listeners.iter().find(|(l, _)| l.bind == local).map(|(_, side)| *side);
        self.callers().know(at.unwrap_or(Side::Outside), ip, lasts);
    }

    /// Who speaks by it, and has proved to be an upstream, is known from there.
    fn know_again(&self, flow: &Flow) {
        let upstream = flow.conn.and_then(|conn| self.table().upstream(conn));
        if let Some((side, ip)) = upstream {
            self.callers().know(side, ip, KNOWN);
        }
    }

    /// Nobody of this source is let in from outside for so long, at one listener or at all; no time:
    /// he may come again.
    pub fn bar(&self, source: Source, at: Option<ListenerId>, lasts: Duration) {
        self.callers().bar(source, at, lasts);
    }

    /// Tunnels to other gateways.
    #[must_use]
    pub fn tunnels(&self) -> &Tunnels {
        &self.tunnels
    }

    fn callers(&self) -> std::sync::MutexGuard<'_, Callers> {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn table(&self) -> std::sync::MutexGuard<'_, Table> {
        // A panic while holding it cannot leave the maps half-written in a way that matters.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Open connections.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table().len()
    }

    /// True when none is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How the places of connections stand, and the octets held for them.
    #[must_use]
    pub fn shares(&self) -> [ShareView; 2] {
        self.table().shares()
    }

    /// The same for the metrics, with what was done for want of room.
    pub fn count_into(&self, stats: &mut Stats) {
        self.table().count_into(stats);
        self.tls.count_into(stats);
    }

    fn listener(&self, id: ListenerId) -> Option<(Listener, Side)> {
        self.listeners.load().iter().find(|(l, _)| l.id == id).copied()
    }

    /// A listener's side; one that nobody knows faces strangers.
    fn side(&self, id: ListenerId) -> Side {
        self.listener(id).map_or(Side::Outside, |(_, side)| side)
    }

    /// Accepts until the event loop is gone.
    pub async fn accept(self, socket: TcpListener, listener: ListenerId) {
        loop {
            match socket.accept().await {
                Ok((stream, peer)) => self.take(stream, canonical(peer), listener),
                // Out of descriptors, most likely: wait instead of spinning.
                Err(_) => sleep(Duration::from_millis(100)).await,
            }
            if self.inlet.is_closed() {
                return;
            }
        }
    }

    fn take(&self, stream: TcpStream, peer: SocketAddr, listener: ListenerId) {
        // Inside, who is banned may still have to call for help.
        let is_outside = self.side(listener) == Side::Outside;
        if is_outside && self.callers().is_barred(peer.ip(), listener) {
            return;
        }
        let (conn, upstream) = (None, None);
        let secure = self.listener(listener).is_some_and(|(l, _)| l.transport.is_secure());
        let transport = if secure { Transport::Tls } else { Transport::Tcp };
        let flow = Flow { listener, transport, peer, conn, upstream };
        let entered = self.table().enter(Way::of(&flow), self.side(listener), None);
        let Some((conn, bells)) = entered else { return };
        let flow = Flow { conn: Some(conn), ..flow };
        let until = Instant::now() + QUIET;
        if secure {
            tokio::spawn(self.clone().welcome(stream, flow, bells, until));
        } else {
            tokio::spawn(self.clone().run(stream, flow, bells, Some(until)));
        }
    }

    fn heard(&self, flow: &Flow) {
        if let Some(conn) = flow.conn {
            self.table().heard(conn);
        }
    }

    /// A registered phone or an upstream speaks by this connection: it gives way to nobody.
    pub fn keep(&self, conn: ConnId, holder: Holder) {
        if self.is_tunnelled(conn) {
            return;
        }
        let is_upstream = holder == Holder::Upstream;
        let at = self.table().keep(conn, holder);
        if let Some((side, peer)) = at.filter(|_| is_upstream) {
            self.callers().know(side, peer.ip(), KNOWN);
        }
    }

    /// Sends by the flow's connection, another open one to the peer, or a new one. Where the flow's
    /// own has gone, its peer's port was that connection's and nobody listens there: the engine is
    /// told, who knows where the peer does (RFC 3261 §18.2.2). `opens`: who holds a new one.
    pub fn send(&self, flow: Flow, bytes: Bytes, opens: Option<Opens>) {
        // Nobody reads what is longer, and who does not may end the connection for it.
        if bytes.len() > limits::STREAM_MESSAGE {
            tracing::debug!("a message to {} is too long for a stream", flow.peer);
            return;
        }
        // Its interface has no address now.
        let Some((listener, _)) = self.listener(flow.listener) else {
            return self.report(Arrival::Failed(flow));
        };
        if let Some(link) = self.tunnels.of_interface(listener.interface) {
            return self.send_by_tunnel(&link, flow, bytes);
        }
        let mut table = self.table();
        let opens = opens.filter(|_| flow.conn.is_none());
        if let Some(conn) = table.carrier(&flow) {
            let known = opens.map(|opens| opens.holder);
            if let Some(known) = known.filter(|h| !matches!(h, Holder::Unproved(_))) {
                table.keep(conn, known);
            }
            table.push(conn, bytes);
            return;
        }
        let side = self.side(flow.listener);
        if opens.as_ref().is_some_and(|o| o.holder == Holder::Upstream) {
            self.callers().know(side, flow.peer.ip(), KNOWN);
        }
        let dial =
            opens.as_ref().and_then(|o| self.tls.dial(o.upstream.as_deref()?, o.host.as_ref()));
        // Where nobody is known who could prove himself there, nobody is called.
        let may = opens.filter(|_| dial.is_some() || !flow.transport.is_secure());
        let new = may.and_then(|o| table.enter(Way::of(&flow), side, Some(o.holder)));
        let Some((conn, bells)) = new else {
            drop(table);
            return self.report(Arrival::Failed(flow));
        };
        table.push(conn, bytes);
        drop(table);
        let local = Some(SocketAddr::new(listener.bind.ip(), 0));
        let flow = Flow { conn: Some(conn), ..flow };
        let dial = dial.filter(|_| flow.transport.is_secure());
        tokio::spawn(self.clone().connect(flow, local, bells, dial));
    }

    /// Closes after what is queued was written.
    pub fn close(&self, conn: ConnId) {
        if self.is_tunnelled(conn) {
            return;
        }
        self.table().close(conn, Instant::now() + WRITTEN);
    }

    /// Ends the connection that leads this way where nothing has come by it for long: what waits for
    /// an answer goes by a new one.
    pub fn end_silent(&self, flow: &Flow) {
        if self.groups.load().contains_key(&flow.listener) {
            return;
        }
        let table = self.table();
        if let Some(conn) = table.carrier(flow).filter(|conn| table.is_silent(*conn, SILENT)) {
            table.ring(conn);
        }
    }

    /// Nothing comes by the connection that leads this way: what follows goes by a new one.
    pub fn suspect(&self, flow: &Flow) {
        if self.groups.load().contains_key(&flow.listener) {
            return;
        }
        self.table().suspect(Way::of(flow));
    }

    /// It is gone. True: something had still to be written.
    fn forget(&self, flow: &Flow) -> bool {
        self.tls.release(flow);
        flow.conn.is_some_and(|conn| self.table().remove(conn))
    }

    fn report(&self, arrival: Arrival) {
        let inlet = self.inlet.clone();
        tokio::spawn(async move { inlet.tell(arrival).await });
    }
}
