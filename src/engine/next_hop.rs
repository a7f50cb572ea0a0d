//! How a party of a dialog is reached: where it is now, and by which way a request within the dialog
//! goes there. What it said of itself is judged; nothing is sent, and nobody is let in.

use super::calls::{Calls, LegState};
use super::phones::Phones;
use super::proxy_client::is_of_upstream;
use super::streams::Streams;
use super::upstreams::Upstreams;
use super::world::{Net, NoTransport, World};
use crate::config::Hop;
use crate::ground::{CallNo, Flow, Side};
use crate::wire::sip::{NameAddr, Uri};
use std::net::SocketAddr;

/// Brings a leg to where its party is now: where the phone registered anew; else, where its
/// connection is gone, to what its Contact says, when that names the same host (RFC 3261
/// §12.2.1.1).
pub(crate) fn find(w: &World, phones: &Phones, streams: &Streams, leg: &mut LegState) {
    if let Some(home) = leg.home.as_ref().and_then(|home| phones.moved(w, home)) {
        leg.flow = home.flow();
        leg.home = Some(home);
    }
    if streams.is_gone(&leg.flow) {
        leg.flow.conn = None;
        let own = leg.contact.as_ref().filter(|c| c.host_ip() == Some(leg.flow.peer.ip()));
        if let Some(contact) = own {
            let port = contact.port.unwrap_or(leg.flow.transport.port());
            // Nobody listens at a socket of ours but we.
            if !w.net().is_us(leg.flow.peer.ip(), port) {
                leg.flow.peer.set_port(port);
            }
        }
    }
}

/// What tells the way to a party, and whether it is one.
#[derive(Clone, Copy)]
pub(crate) struct Known<'a> {
    pub(crate) w: &'a World,
    pub(crate) upstreams: &'a Upstreams,
    pub(crate) calls: &'a Calls,
    pub(crate) phones: &'a Phones,
}

/// The next hop within a dialog of a call on a leg: outside the route set or remote target decides
/// when it is an address that may be sent to; else, and for a name, the dialog's peer is meant. A
/// phone is always where it was last seen, and so is who is reached by a connection.
///
/// # Errors
/// It names a transport that is not spoken there: it is reached by none.
pub(crate) fn next_hop(
    known: Known<'_>,
    call: Option<CallNo>,
    leg: &LegState,
) -> Result<Flow, NoTransport> {
    let w = known.w;
    if leg.side == Side::Inside || leg.flow.conn.is_some() {
        return Ok(leg.flow);
    }
    // Who came by TLS himself, and is gone from there, may have come again (RFC 5923).
    let came = leg.flow.transport.is_secure() && leg.flow.upstream.is_none();
    let again = leg.upstream.filter(|_| came).and_then(|id| known.upstreams.alias(id));
    if let Some(flow) = again {
        return Ok(flow);
    }
    let route = leg.routes.first().and_then(|r| NameAddr::parse(r)).map(|n| n.uri);
    let Some(uri) = route.or_else(|| leg.contact.clone()) else { return Ok(leg.flow) };
    let own = leg.flow.transport;
    let transport = w.net().spoken(leg.flow.listener, &uri, own)?;
    let written = uri.host_ip().map(|ip| ip.to_canonical());
    if written.is_none() && transport == own {
        return Ok(leg.flow);
    }
    let ip = written.unwrap_or(leg.flow.peer.ip());
    let peer = SocketAddr::new(ip, uri.port.unwrap_or(transport.port()));
    let way = w.net().beside(leg.flow.listener, Hop { peer, transport });
    // By TLS it is the leg's own upstream that has to prove itself there.
    let upstream = leg.upstream.filter(|_| transport.is_secure());
    let way = way.map(|way| Flow { upstream, ..way });
    Ok(way.filter(|_| may_lead(known, call, leg, (&uri, peer))).unwrap_or(leg.flow))
}

/// Whether what an outside party said of itself leads there: judged by its address as media are,
/// never by its port. Our own sockets are right for the other pass of a spiral, which its token
/// shows.
fn may_lead(
    known: Known<'_>,
    call: Option<CallNo>,
    leg: &LegState,
    (uri, at): (&Uri, SocketAddr),
) -> bool {
    let Known { w, upstreams, calls, phones } = known;
    let (net, ip) = (w.net(), at.ip());
    if net.is_us(ip, at.port()) {
        return call.is_some_and(|no| calls.is_pass(w, no, uri));
    }
    let source = leg.flow.peer.ip();
    if ip == source {
        return true;
    }
    if net.is_our_address(ip) {
        return false;
    }
    let Some(i) = net.interface(leg.flow.listener) else { return false };
    i.addresses.towards(ip).is_some()
        && (is_of_upstream(w, upstreams, leg, ip)
            || Net::judge_kind(i, ip)
                .and_then(|()| Net::judge_loopback(i, ip))
                .and_then(|()| net.judge_owner(i, ip, source, phones))
                .is_ok())
}
