//! How a party of a dialog is reached: where it is now, and by which way a request within the
//! dialog goes there. What it said of itself is judged; nothing is sent, and nobody is let in.

use super::calls::{Calls, LegState};
use super::phones::Phones;
use super::proxy_client::is_of_upstream;
use super::streams::Streams;
use super::upstreams::Upstreams;
use super::world::{Net, NoTransport, World, named_transport};
use crate::config::Hop;
use crate::ground::{CallNo, Flow, Side, Transport};
use crate::wire::sip::{NameAddr, Uri};
use std::net::SocketAddr;

/// Why a party of a dialog is reached by no way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoWay {
    /// It named a transport that is not spoken there.
    Transport(NoTransport),
    /// The dialog goes by TLS alone, and no TLS leads there.
    Insecure,
    /// It came by TLS, its connection is gone, and nobody can open one to it.
    Gone,
}

/// What tells the way to a party, and whether it is one.
#[derive(Clone, Copy)]
pub(crate) struct Known<'a> {
    pub(crate) w: &'a World,
    pub(crate) upstreams: &'a Upstreams,
    pub(crate) calls: &'a Calls,
    pub(crate) phones: &'a Phones,
}

impl Known<'_> {
    /// What goes on this leg of a dialog goes by TLS or nowhere (RFC 5630 §5.3): the dialog began
    /// so, or the leg's upstream has no target without TLS, or had none then.
    pub(crate) fn is_bound(&self, call: Option<CallNo>, leg: &LegState) -> bool {
        let upstream = || leg.upstream.is_some_and(|id| self.upstreams.is_tls_alone(self.w, id));
        call.is_some_and(|no| self.calls.goes_by_tls(no))
            || leg.tls_alone
            || leg.flow.transport.is_secure() && upstream()
    }
}

/// Brings a leg to where its party is now: where the phone registered anew; else, where its
/// connection is gone, to what its Contact says, when that names the same host (RFC 3261
/// §12.2.1.1). A leg that is `bound` to TLS follows neither to where that does not lead.
pub(crate) fn find(w: &World, phones: &Phones, streams: &Streams, leg: &mut LegState, bound: bool) {
    let by_tls = |f: &Flow| f.transport.is_secure() && f.conn.is_some() && !streams.is_gone(f);
    // Who speaks by a connection that is there is reached by it, wherever he registered once.
    let speaks = leg.flow.conn.is_some() && !streams.is_gone(&leg.flow);
    let home = leg.home.as_ref().and_then(|home| phones.moved(w, home));
    let home = home.filter(|home| !(speaks && home.is_cut_off(w)));
    if let Some(home) = home.filter(|home| !bound || by_tls(&home.flow())) {
        leg.flow = home.flow();
        leg.home = Some(home);
    }
    if streams.is_gone(&leg.flow) {
        leg.flow.conn = None;
        let same = |c: &&Uri| c.host_ip() == Some(leg.flow.peer.ip());
        let own = leg.contact.as_ref().filter(same).filter(|c| !bound || names_tls(c));
        if let Some(contact) = own {
            let port = contact.port.unwrap_or(leg.flow.transport.port());
            // Nobody listens at a socket of ours but we.
            if !w.net().is_us(leg.flow.peer.ip(), port) {
                leg.flow.peer.set_port(port);
            }
        }
    }
}

/// A URI says that TLS is spoken there.
fn names_tls(uri: &Uri) -> bool {
    named_transport(uri) == Ok(Some(Transport::Tls))
}

/// The next hop within a dialog of a call on a leg: outside the route set or remote target decides
/// when it is an address that may be sent to; else, and for a name, the dialog's peer is meant. A
/// phone is always where it was last seen, and so is who is reached by a connection. What goes by
/// TLS alone is led nowhere else by any URI.
///
/// # Errors
/// It names a transport that is not spoken there, or TLS alone is meant and leads nowhere: it is
/// reached by none.
pub(crate) fn next_hop(
    known: Known<'_>,
    call: Option<CallNo>,
    leg: &LegState,
) -> Result<Flow, NoWay> {
    let w = known.w;
    let (bound, secure) = (known.is_bound(call, leg), leg.flow.transport.is_secure());
    match leg.side {
        Side::Inside if bound && !secure => return Err(NoWay::Insecure),
        Side::Inside if secure && w.net().is_cut_off(&leg.flow) => return Err(NoWay::Gone),
        Side::Inside => return Ok(leg.flow),
        Side::Outside if leg.flow.conn.is_some() && (secure || !bound) => return Ok(leg.flow),
        Side::Outside => {}
    }
    // Who came by TLS himself, and is gone from there, may have come again (RFC 5923).
    let came = secure && leg.flow.upstream.is_none();
    let again = leg.upstream.filter(|_| came).and_then(|id| known.upstreams.alias(id));
    if let Some(flow) = again {
        return Ok(flow);
    }
    let own = || if bound { own_place(known, leg) } else { Ok(leg.flow) };
    let route = leg.routes.first().and_then(|r| NameAddr::parse(r)).map(|n| n.uri);
    let Some(uri) = route.or_else(|| leg.contact.clone()) else { return own() };
    let named = named_transport(&uri).ok().flatten();
    let written = w.net().address_in(&uri).map(|ip| ip.to_canonical());
    // A port without a transport is of UDP: of our own upstream we know better.
    let vague = named.is_none() && written == Some(leg.flow.peer.ip());
    if bound && (vague || named.is_some_and(|t| !t.is_secure())) {
        return own();
    }
    let transport = w.net().spoken(leg.flow.listener, &uri, leg.flow.transport);
    let transport = transport.map_err(NoWay::Transport)?;
    if written.is_none() && transport == leg.flow.transport {
        return own();
    }
    let ip = written.unwrap_or(leg.flow.peer.ip());
    let peer = SocketAddr::new(ip, uri.port.unwrap_or(transport.port()));
    if let Some(own) = other_pass(known, call, leg, (&uri, peer, transport)) {
        return Ok(own);
    }
    let way = w.net().beside(leg.flow.listener, Hop { peer, transport });
    // By TLS it is the leg's own upstream that has to prove itself there.
    let upstream = leg.upstream.filter(|_| transport.is_secure());
    let way = way.map(|way| Flow { upstream, ..way });
    way.filter(|_| may_lead(known, call, leg, (&uri, peer))).map_or_else(own, Ok)
}

/// The way to the other pass of a spiral, which a Contact of ours names: to our own socket,
/// wherever that stands now. We wrote it, so its host says where we stood then; only who rewrites
/// it as his own wants to stand between.
fn other_pass(
    known: Known<'_>,
    call: Option<CallNo>,
    leg: &LegState,
    (uri, at, transport): (&Uri, SocketAddr, Transport),
) -> Option<Flow> {
    let (Known { w, upstreams, calls, .. }, ip) = (known, at.ip());
    let ours = w.net().is_us(ip, at.port()) || w.has_left(ip);
    if !ours && (ip == leg.flow.peer.ip() || is_of_upstream(w, upstreams, leg, ip)) {
        return None;
    }
    let own = w.net().listener(calls.pass_at(w, call?, uri)?)?;
    let upstream = leg.upstream.filter(|_| transport.is_secure());
    (own.transport == transport).then_some(Flow {
        listener: own.id,
        transport,
        peer: own.bind,
        conn: None,
        upstream,
    })
}

/// Where a leg that never leaves TLS is reached when its connection is gone: where we opened it;
/// who came himself is reached at a place of his upstream. Whoever is there proves himself anew.
fn own_place(known: Known<'_>, leg: &LegState) -> Result<Flow, NoWay> {
    let flow = Flow { conn: None, ..leg.flow };
    if flow.transport.is_secure() && flow.upstream.is_some() {
        return Ok(flow);
    }
    let place = leg.upstream.and_then(|id| known.upstreams.place_by_tls(known.w, id, flow.peer));
    place.ok_or(NoWay::Insecure)
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
    // Whoever has an address that we left is not meant by what was said of ourselves there, and
    // who names it otherwise is known to his peer.
    if w.has_left(ip) {
        return false;
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
