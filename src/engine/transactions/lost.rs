//! Connections that are lost, and phones that move, under transactions. An answer goes where RFC
//! 3261 §18.2.2 says: to the address it would have gone to, at the port in the top Via. A request's
//! CANCEL and ACK go where its Request-URI says, when that is the same host. Nobody is judged here.

use super::client::own;
use super::{Event, Heard, Server, Transactions};
use crate::engine::ids::{ClientId, ServerId};
use crate::engine::outbox::Outbox;
use crate::engine::purpose::Purpose;
use crate::engine::world::{World, named_transport};
use crate::ground::{ConnId, Flow, ListenerId, Side, Transport};
use crate::wire::sip::{Message, Name, Uri, Via};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Why what rings is taken back (RFC 3326).
const MOVED: &[u8] = b"SIP;cause=503;text=\"Our Address Has Changed\"";

/// Who asks for no call waits 64 * T1 in all, by his own clock (RFC 3261 §17.1.2.2): no longer than
/// this of it is gone where his request begins anew.
const SHORT: Duration = Duration::from_secs(1);

/// What goes by a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rider {
    Server(ServerId),
    Client(ClientId),
}

/// Transactions by the connection they began on, or were last answered by.
#[derive(Debug, Default)]
pub(super) struct Riders(BTreeSet<(ConnId, Rider)>);

impl Riders {
    pub(super) fn board(&mut self, conn: Option<ConnId>, rider: Rider) {
        self.0.extend(conn.map(|conn| (conn, rider)));
    }

    pub(super) fn leave(&mut self, conn: Option<ConnId>, rider: Rider) {
        if let Some(conn) = conn {
            self.0.remove(&(conn, rider));
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Rider> {
        self.0.iter().map(|(_, rider)| rider)
    }

    fn of(&self, conn: ConnId) -> Vec<Rider> {
        let first = (conn, Rider::Server(ServerId::new(0)));
        let last = (conn, Rider::Client(ClientId::new(u64::MAX)));
        self.0.range(first..=last).map(|(_, rider)| *rider).collect()
    }
}

/// When a phone tries again that could not be put through, in seconds.
const SOON: &str = "10";

/// What the answer says to a request that came by `came` and could not be sent by `asked`: a phone
/// is told when to come again, or it backs off for long; of a phone that is gone its PBX is not
/// told what it would take for our own being out of service.
pub(super) fn say_unreached(w: &World, answer: &mut Message, came: &Flow, asked: &Flow) {
    match (w.side(came.listener), w.side(asked.listener)) {
        (Side::Inside, Side::Outside) => {
            answer.set_status(503, "The Outside Cannot Be Reached");
            answer.push_back(Name::RetryAfter, SOON);
        }
        (_, Side::Inside) if asked.transport.is_reliable() => {
            answer.set_status(480, "The Phone Cannot Be Reached");
        }
        (_, Side::Inside) | (Side::Outside, Side::Outside) => {}
    }
}

impl Transactions {
    /// A connection is gone: what would go by it goes another way. A request that had no answer
    /// goes that way at once, or has failed where it is none.
    pub(crate) fn connection_closed(&mut self, w: &World, out: &mut Outbox, conn: ConnId) {
        for rider in self.riders.of(conn) {
            let Rider::Client(id) = rider else { continue };
            let was_there = |t: &super::Client| t.flow.conn == Some(conn) && t.is_unheard();
            let unheard = self.clients.get(&id).is_some_and(was_there);
            let known = self.ask_anew(id, conn);
            if unheard && known {
                self.ask_again(w, out, id, conn);
            } else if unheard {
                self.unreachable(w, out, id);
            }
        }
        self.leave_connection(conn);
    }

    fn leave_connection(&mut self, conn: ConnId) {
        for rider in self.riders.of(conn) {
            match rider {
                Rider::Server(id) => self.answer_anew(id),
                Rider::Client(id) => drop(self.ask_anew(id, conn)),
            }
        }
    }

    /// Something that has begun by a connection is not over.
    pub(crate) fn rides(&self, conn: ConnId) -> bool {
        !self.riders.of(conn).is_empty()
    }

    /// A connection that we opened has ended: whoever was asked by it and said nothing may never
    /// have heard (RFC 3261 §17.1.4, §18.4). He is asked again by a new one, in the same
    /// transaction: to who did hear that is a repetition.
    pub(crate) fn connection_broken(&mut self, w: &World, out: &mut Outbox, flow: &Flow) {
        let Some(conn) = flow.conn else { return };
        for id in self.waiting_at(flow) {
            let Some(t) = self.clients.get_mut(&id).filter(|t| t.is_unheard()) else { continue };
            if t.flow.conn.is_none_or(|other| other == conn) {
                t.flow.conn = None;
                self.ask_again(w, out, id, conn);
            }
        }
    }

    /// Once: what ends a second connection could end any.
    fn ask_again(&mut self, w: &World, out: &mut Outbox, id: ClientId, conn: ConnId) {
        let Some(t) = self.clients.get_mut(&id) else { return };
        if t.broken.replace(conn).is_some() {
            return self.unreachable(w, out, id);
        }
        out.transmit(t.flow, t.bytes.clone());
    }

    /// Who waits for answers from there. Another upstream's connection to the same place is
    /// another.
    fn waiting_at(&self, flow: &Flow) -> Vec<ClientId> {
        let first = (flow.listener, flow.peer, ClientId::new(0));
        let last = (flow.listener, flow.peer, ClientId::new(u64::MAX));
        let same =
            |id: &ClientId| self.clients.get(id).is_some_and(|t| t.flow.upstream == flow.upstream);
        self.ways.range(first..=last).map(|(_, _, id)| *id).filter(same).collect()
    }

    /// To the address of the request's source, at the port that its sender listens on.
    fn answer_anew(&mut self, id: ServerId) {
        let Some(t) = self.servers.get_mut(&id) else { return };
        if t.reply.conn.take().is_some() {
            let via = t.request.list(&Name::Via).next().and_then(Via::parse);
            let own = t.reply.transport.port();
            t.reply.peer.set_port(via.and_then(|via| via.port).unwrap_or(own));
        }
    }

    /// To the address it went to, at the port of its Request-URI, when that is the same host's and
    /// of the same transport: where we opened the connection, that is the place already. True:
    /// somebody listens there, as far as is known; by TLS phones do not.
    fn ask_anew(&mut self, id: ClientId, conn: ConnId) -> bool {
        let Some(t) = self.clients.get(&id).filter(|t| t.flow.conn == Some(conn)) else {
            return false;
        };
        let mut flow = Flow { conn: None, ..t.flow };
        let uri = Uri::parse(t.request.uri().as_bytes());
        let same = |uri: &Uri| uri.host_ip() == Some(flow.peer.ip());
        let (opened, secure) = (flow.upstream.is_some(), flow.transport.is_secure());
        let named = |uri: &Uri| named_transport(uri) == Ok(Some(Transport::Tls));
        let own = uri.filter(|uri| same(uri) && (!opened || named(uri)));
        let known = opened || own.is_some() && !secure;
        if let Some(uri) = own {
            flow.peer.set_port(uri.port.unwrap_or(flow.transport.port()));
        }
        self.lead(id, flow);
        known
    }

    fn lead(&mut self, id: ClientId, flow: Flow) {
        let Some(t) = self.clients.get_mut(&id) else { return };
        self.ways.remove(&(t.flow.listener, t.flow.peer, id));
        t.left = Some(t.flow);
        t.flow = flow;
        self.ways.insert((flow.listener, flow.peer, id));
    }

    /// The flow's transport failed. What its connection may not have carried goes once more by the
    /// way that is left; every other request waiting there learns that it failed.
    pub(crate) fn transport_failed(&mut self, w: &World, out: &mut Outbox, flow: &Flow) {
        let riders = flow.conn.map(|conn| self.riders.of(conn)).unwrap_or_default();
        if let Some(conn) = flow.conn {
            self.leave_connection(conn);
        }
        for rider in riders {
            match rider {
                Rider::Server(id) => {
                    self.riders.leave(flow.conn, rider);
                    if let Some(t) = self.servers.get(&id).filter(|t| !t.last.is_empty()) {
                        out.transmit(t.reply, t.last.clone());
                    }
                }
                Rider::Client(id) => {
                    self.riders.leave(flow.conn, rider);
                    let waits = |t: &&super::Client| t.flow.peer != flow.peer && !t.is_proceeding();
                    if let Some(t) = self.clients.get(&id).filter(waits) {
                        out.transmit(t.flow, t.bytes.clone());
                    }
                }
            }
        }
        for id in self.waiting_at(flow) {
            // It waits for another connection already.
            let moved = |t: &super::Client| flow.conn.is_some() && t.broken == flow.conn;
            if self.clients.get(&id).is_some_and(moved) {
                continue;
            }
            self.unreachable(w, out, id);
        }
    }

    /// Nothing is at these sockets any more that was told to others: what rings there cannot be
    /// answered, for its answer goes where its Via says. It is taken back, and has failed.
    pub(crate) fn left(
        &mut self,
        w: &World,
        out: &mut Outbox,
        is_left: impl Fn(ListenerId, IpAddr) -> bool,
    ) {
        let at = |(listener, peer, _): &&(ListenerId, SocketAddr, ClientId)| {
            is_left(*listener, peer.ip())
        };
        let ids: Vec<ClientId> = self.ways.iter().filter(at).map(|(_, _, id)| *id).collect();
        for id in ids {
            if self.clients.get(&id).is_some_and(super::Client::is_ringing) {
                self.cancel_client(w, out, id, &[MOVED.to_vec()]);
                self.unreachable(w, out, id);
            }
        }
    }

    /// Sockets that `at` means stand elsewhere than before: of what nobody has heard, and says
    /// where we stand, another is written in its place. It has failed within a dialog, and where
    /// an answer to another would come too late for who waits.
    pub(crate) fn stood(&mut self, w: &World, out: &mut Outbox, at: impl Fn(ListenerId) -> bool) {
        let all = self.ways.iter().filter(|(listener, ..)| at(*listener));
        let ids: Vec<ClientId> = all.map(|(_, _, id)| *id).collect();
        for id in ids {
            let is_stale = |t: &&super::Client| {
                let now = own(w, &t.flow);
                now.is_some() && t.own != now && t.is_unheard() && t.request.has(&Name::Contact)
            };
            let stale = self.clients.get(&id).filter(is_stale).and_then(super::Client::pass);
            let Some(pass) = stale else { continue };
            let Some(p) = self.passes.get(&pass).filter(|p| !p.is_over()) else {
                // Nobody waits for it any more.
                self.client_event(w, out, id, Event::TransportError);
                continue;
            };
            // Its sender waits since he asked, whoever was asked for him and how often.
            let asked = self.servers.get(&p.server()).map(|t| t.since);
            let late = |t: &super::Client| {
                !t.is_invite() && w.now().mono.since(asked.unwrap_or(t.began)) > SHORT
            };
            let is_late = self.clients.get(&id).is_some_and(late);
            if is_late || matches!(p.purpose(), Purpose::InDialog(_)) {
                self.client_event(w, out, id, Event::TransportError);
            } else {
                self.heard.push_back(Heard::Stale(pass));
            }
        }
    }

    /// A phone is reached by another way now: what waits for it there, by its Contact, follows; out
    /// of TLS nothing does. What nobody has answered goes once more, where a stream may have lost
    /// it.
    pub(crate) fn moved(&mut self, out: &mut Outbox, old: &Flow, new: Flow, contact: &str) {
        if old.transport.is_secure() && !new.transport.is_secure() {
            return;
        }
        let uri = Uri::parse(contact.as_bytes());
        // Without its connection it was asked where it listens.
        let port = uri.as_ref().and_then(|uri| uri.port).unwrap_or(old.transport.port());
        let listens = SocketAddr::new(old.peer.ip(), port);
        let mut ids = BTreeSet::new();
        for peer in [old.peer, listens] {
            let first = (old.listener, peer, ClientId::new(0));
            let last = (old.listener, peer, ClientId::new(u64::MAX));
            ids.extend(self.ways.range(first..=last).map(|(_, _, id)| *id));
        }
        let streams = old.transport.is_reliable() || new.transport.is_reliable();
        for id in ids {
            let Some(t) = self.clients.get(&id).filter(|t| asks_for(t, contact, uri.as_ref()))
            else {
                continue;
            };
            if t.flow == new {
                continue;
            }
            let unheard = t.is_unheard();
            self.lead(id, new);
            if let Some(t) = self.clients.get(&id).filter(|_| unheard && streams) {
                out.transmit(t.flow, t.bytes.clone());
            }
        }
    }

    /// The asker has moved: answers follow, out of TLS none.
    pub(crate) fn answer_to(&mut self, id: ServerId, flow: Flow) {
        let secure = flow.transport.is_secure();
        let by = |t: &&mut Server| secure || !t.reply.transport.is_secure();
        if let Some(t) = self.servers.get_mut(&id).filter(by) {
            t.reply = flow;
        }
    }
}

/// A request is for who is called by this Contact, whatever parameters his dialogs have of it.
fn asks_for(t: &super::Client, contact: &str, uri: Option<&Uri>) -> bool {
    let own = || Uri::parse(t.request.uri().as_bytes());
    let place = |uri: &Uri| (uri.user.clone(), uri.host.to_ascii_lowercase(), uri.port);
    t.request.uri() == contact
        || uri.zip(own().as_ref()).is_some_and(|(uri, own)| place(uri) == place(own))
}
