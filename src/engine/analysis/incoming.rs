//! A request as everybody behind this room sees it: read once, its top Via stamped, its answer's
//! way known. It is never changed after that.

use crate::engine::transactions::ServerKey;
use crate::engine::world::{World, named_transport};
use crate::ground::{Flow, Side};
use crate::wire::sip::route_set::loosen;
use crate::wire::sip::{Message, Method, Name, NameAddr, RawNameAddr, Uri, Via, host_ip};
use std::net::SocketAddr;

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Incoming {
    /// As received, `received` and `rport` written into its top Via.
    pub(crate) message: Message,
    /// Octets of it on the wire.
    pub(crate) octets: usize,
    /// That Via.
    pub(crate) via: Via,
    /// The transaction it belongs to.
    pub(crate) key: ServerKey,
    /// The Request-URI.
    pub(crate) uri: Uri,
    pub(crate) from: NameAddr,
    /// The way it came.
    pub(crate) flow: Flow,
    /// The way its answers go.
    pub(crate) reply: Flow,
    pub(crate) side: Side,
    /// The digest of what routes it (RFC 5393 §4.2).
    pub(crate) mark: String,
}

/// A request that cannot be handed on: its Request-URI or From cannot be read.
#[derive(Debug)]
pub(crate) struct Unread {
    pub(crate) message: Message,
    pub(crate) reply: Flow,
}

impl Incoming {
    /// Reads a request that the wire accepted.
    pub(crate) fn read(
        w: &World,
        flow: Flow,
        mut message: Message,
        octets: usize,
    ) -> Result<Self, Box<Unread>> {
        let via = message.pop_first(&Name::Via).and_then(|v| Via::parse(&v));
        let Some((via, reply)) = via.map(|via| stamped(w, via, flow)) else {
            return Err(Box::new(Unread { message, reply: flow }));
        };
        message.push_front(Name::Via, via.to_string());
        let mut uri = Uri::parse(message.uri().as_bytes());
        if let Some(ours) = uri.as_ref().filter(|u| w.is_record_route(u)) {
            loosen(&mut message, ours);
            uri = Uri::parse(message.uri().as_bytes());
        }
        let from = message.first(&Name::From).and_then(NameAddr::parse);
        let (Some(uri), Some(from)) = (uri, from) else {
            return Err(Box::new(Unread { message, reply }));
        };
        let side = w.side(flow.listener);
        let mark = w.loop_mark(&message, side);
        let key = ServerKey::of(&message, &via);
        Ok(Self { via, key, uri, from, flow, reply, side, mark, octets, message })
    }

    pub(crate) fn method(&self) -> &Method {
        self.message.method()
    }

    /// It is this request.
    pub(crate) fn is(&self, method: &Method) -> bool {
        self.message.method() == method
    }

    pub(crate) fn call_id(&self) -> &str {
        self.message.call_id()
    }

    /// The From tag; RFC 2543 requests may have none.
    pub(crate) fn own_tag(&self) -> &str {
        self.message.from_tag().unwrap_or_default()
    }

    /// The To tag; empty outside a dialog.
    pub(crate) fn peer_tag(&self) -> &str {
        self.message.to_tag().unwrap_or_default()
    }

    /// The way to its sender, who is asked for by this Contact: back as it came. A phone that asks
    /// for no rport, at an interface that forces none, listens where it writes that it does.
    pub(crate) fn way(&self, w: &World, contact: Option<&Uri>) -> Flow {
        let flow = self.flow;
        let forced = w.net().interface(flow.listener).is_some_and(|i| i.force_rport);
        let symmetric = forced || self.via.params.get("rport").is_some();
        if flow.transport.is_reliable() || symmetric {
            return flow;
        }
        contact.and_then(|uri| self.listens(w, uri)).unwrap_or(flow)
    }

    /// Where its sender listens, when the Contact says so of the address that this came from.
    pub(crate) fn listens(&self, w: &World, contact: &Uri) -> Option<Flow> {
        let mut flow = self.flow;
        // Who listens by another transport is not written to there by this one.
        let named = named_transport(contact).map(|t| t.unwrap_or(flow.transport));
        if contact.host_ip() != Some(flow.peer.ip()) || named != Ok(flow.transport) {
            return None;
        }
        flow.peer.set_port(contact.port.unwrap_or(5060));
        // Nobody listens at a socket of ours but we.
        (!w.net().is_us(flow.peer.ip(), flow.peer.port())).then_some(flow)
    }

    /// The sender's own Contact.
    pub(crate) fn contact(&self) -> Option<Uri> {
        contact_of(&self.message)
    }
}

/// The first Contact's URI.
pub(crate) fn contact_of(message: &Message) -> Option<Uri> {
    message.list(&Name::Contact).next().and_then(RawNameAddr::read).map(|n| n.uri.owned())
}

/// `received` and `rport` (RFC 3261 §18.2.1, RFC 3581 §4), and where the answers go.
pub(super) fn stamped(w: &World, mut via: Via, flow: Flow) -> (Via, Flow) {
    let source = flow.peer;
    let asked = via.params.get("rport").is_some();
    let forced = w.net().interface(flow.listener).is_some_and(|i| i.force_rport);
    let written = host_ip(&via.host);
    if asked || written != Some(source.ip()) {
        via.params.set("received", Some(&source.ip().to_string()));
    }
    if asked {
        via.params.set("rport", Some(&source.port().to_string()));
    }
    let port = if asked || forced { source.port() } else { via.port.unwrap_or(5060) };
    if flow.transport.is_reliable() {
        return (via, flow);
    }
    (via, Flow { peer: SocketAddr::new(source.ip(), port), ..flow })
}
