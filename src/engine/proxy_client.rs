//! The face to the outside server: who may enter from outside, and whom he may ask for.
//! It talks to him as if it were the real client; it never looks at who comes from inside.

use super::analysis::Incoming;
use super::attempt::{Route, Sender};
use super::calls::{LegState, Place};
use super::guard::Standing;
use super::ids::UpstreamId;
use super::next_hop::Known;
use super::output::Opens;
use super::phones::{Binding, Phones};
use super::upstreams::{Upstreams, are_kin};
use super::world::World;
use crate::config::Strangers;
use crate::ground::{Flow, Side};
use crate::policy::quota::Holder;
use crate::wire::sip::{Method, Name, NameAddr};
use std::net::IpAddr;

/// Which upstream an outside request came from, if any.
pub(crate) fn admit(w: &World, upstreams: &Upstreams, phones: &Phones, i: &Incoming) -> Sender {
    let upstream = asking(w, upstreams, phones, i);
    let (subjects, proved) = (upstreams.names(&i.flow), upstreams.proved_holder(&i.flow));
    Sender { side: Side::Outside, user: None, upstream, subjects, proved }
}

/// Of several upstreams at one address the one that granted the registration which is asked for,
/// else the one whose domain is named.
fn asking(w: &World, upstreams: &Upstreams, phones: &Phones, i: &Incoming) -> Option<UpstreamId> {
    let all = upstreams.all_of_flow(w, &i.flow);
    if all.len() < 2 {
        return all.first().copied();
    }
    let to = i.message.first(&Name::To).and_then(NameAddr::parse);
    let hosts = [Some(&i.uri), to.as_ref().map(|to| &to.uri), Some(&i.from.uri)];
    let mut named = hosts.into_iter().flatten().map(|uri| upstreams.of_domain(w, &all, &uri.host));
    let named = named.find(|these| !these.is_empty()).unwrap_or_else(|| all.clone());
    let granted = |these: &[UpstreamId]| {
        let found = phones.reached_by(w, &i.uri, "", &|b| is_of(w, b, these));
        let by = found.first().and_then(|key| phones.binding(key)).map(|b| b.upstream.as_str());
        by.and_then(|name| w.upstream_named(name)).filter(|id| all.contains(id))
    };
    granted(&named).or_else(|| named.first().copied())
}

/// Nobody that is known sends by this flow, and its interface answers no others. Who was known by
/// his certificate is told that he is not any more: what he waits for there is still to come.
pub(crate) fn is_silent_to(w: &World, upstreams: &Upstreams, phones: &Phones, flow: &Flow) -> bool {
    let silent = w.net().interface(flow.listener).is_some_and(|i| i.strangers == Strangers::Silent);
    silent
        && upstreams.of_flow(w, flow).is_none()
        && !upstreams.is_proved(flow)
        && !upstreams.has_left(flow)
        && !phones.is_known(w, flow)
}

/// What who sends by this flow is to us.
pub(crate) fn standing_of(
    w: &World,
    upstreams: &Upstreams,
    phones: &Phones,
    flow: &Flow,
) -> Standing {
    if upstreams.of_flow(w, flow).is_some() {
        return Standing::Friend;
    }
    let ip = flow.peer.ip();
    match Standing::of(w, ip, Upstreams::are_at(w, ip)) {
        Standing::Stranger if phones.user_at(w, flow).is_some() => Standing::Phone,
        of @ (Standing::Stranger | Standing::Phone | Standing::Friend) => of,
    }
}

/// What who sends from this address is to us, on whatever link.
pub(crate) fn standing(w: &World, phones: &Phones, ip: IpAddr) -> Standing {
    match Standing::of(w, ip, Upstreams::are_at(w, ip)) {
        Standing::Stranger if phones.is_at(w, ip) => Standing::Phone,
        of @ (Standing::Stranger | Standing::Phone | Standing::Friend) => of,
    }
}

/// A connection that we open there: who holds it, and who has to prove himself at its other end.
pub(crate) fn opened(w: &World, upstreams: &Upstreams, phones: &Phones, flow: &Flow) -> Opens {
    let upstream = flow.upstream.and_then(|id| w.upstream_name(id)).map(str::to_owned);
    let host = flow.upstream.and_then(|id| upstreams.host_of(w, id, flow)).cloned();
    Opens { holder: holder(w, upstreams, phones, flow), upstream, host }
}

/// Who holds a connection that we open there: an upstream at the address of its own, a user where
/// he is registered; anywhere else whoever is there has proved nothing, though he says in a Via or
/// a Contact that he is to be called.
fn holder(w: &World, upstreams: &Upstreams, phones: &Phones, flow: &Flow) -> Holder {
    if upstreams.is_target(w, flow) {
        return Holder::Upstream;
    }
    let unproved = || Holder::Unproved(w.net().source(flow));
    phones.holder_at(w, flow).unwrap_or_else(unproved)
}

/// Where a request from outside goes; never where its Route says.
pub(crate) fn route(
    w: &World,
    (upstreams, phones): (&Upstreams, &Phones),
    i: &Incoming,
    number: &str,
    upstream: Option<UpstreamId>,
) -> Route {
    if i.is(&Method::Register) {
        return Route::Unknown;
    }
    if i.uri.user.is_none() && w.is_local_domain(&i.uri) {
        return Route::Gateway;
    }
    let theirs = |these: &[UpstreamId]| {
        phones.reached_by(w, &i.uri, number, &|b| upstream.is_none() || is_of(w, b, these))
    };
    let mut found = theirs(upstream.as_slice());
    if found.is_empty() {
        // Which one it is of those at one address is a guess, where no domain says it.
        found = theirs(&upstreams.all_of_flow(w, &i.flow));
    }
    if found.is_empty() { Route::Unknown } else { Route::Bindings(found) }
}

/// Whether one of these upstreams means this registration by its user's name: those of our own
/// users, and those that it granted. Another's may be a namesake.
fn is_of(w: &World, b: &Binding, these: &[UpstreamId]) -> bool {
    let granted = |id: &UpstreamId| w.upstream_name(*id).is_some_and(|name| name == b.upstream);
    b.upstream.is_empty() || these.iter().any(granted)
}

/// A request within a dialog, by which party, from where, and whom what it says of us was shown to.
pub(crate) fn is_party(known: Known<'_>, place: &Place, flow: &Flow) -> bool {
    let Known { w, upstreams, calls, .. } = known;
    let bound = known.is_bound(Some(place.call), &place.near);
    // The other pass of a spiral sends from our own sockets what was sealed for this one.
    let comes_back = place.near.side == Side::Outside
        && w.net().is_our_address(flow.peer.ip())
        && !place.shown_to.is_empty()
        && calls.has_pass(place.call);
    (comes_back || may_speak(w, upstreams, &place.near, flow, bound))
        && place.shown_to.iter().all(|ip| was_shown(w, upstreams, &place.near, flow, *ip))
}

/// An answer that came by `from` is of who was asked by `asked`: there, by the same connection, or
/// from another source of the same upstream; who had to prove himself there has to here.
pub(crate) fn is_asked(w: &World, upstreams: &Upstreams, asked: &Flow, from: &Flow) -> bool {
    let interface = |f: &Flow| w.net().interface_of(f.listener);
    let (one, other) = (asked.peer.ip().to_canonical(), from.peer.ip().to_canonical());
    interface(asked) == interface(from)
        && (from.transport.is_secure() || !asked.transport.is_secure())
        && (asked.upstream.is_none()
            || asked.upstream == from.upstream
            || asked.upstream == upstreams.of_flow(w, from))
        && (one == other
            || asked.conn.is_some() && asked.conn == from.conn
            || are_kin(w, one, other))
}

/// In-dialog requests come from the sources of the dialog's own upstream, or from the phone's own
/// address; where the dialog is `bound` to TLS, by TLS.
pub(crate) fn may_speak(
    w: &World,
    upstreams: &Upstreams,
    near: &LegState,
    flow: &Flow,
    bound: bool,
) -> bool {
    if near.flow.conn.is_some() && near.flow.conn == flow.conn {
        return true;
    }
    if bound && !flow.transport.is_secure() {
        return false;
    }
    let proved = || upstreams.of_flow(w, flow).is_some_and(|id| near.upstream == Some(id));
    let same = || w.net().is_same_host(&near.flow, flow);
    match near.side {
        Side::Inside => same(),
        // An address is no proof of who has to prove himself.
        Side::Outside if near.tls_alone => {
            near.upstream.is_some_and(|id| upstreams.has_proved(w, id, flow))
        }
        Side::Outside if bound && near.upstream.is_some() => proved(),
        Side::Outside => same() || proved() || is_of_upstream(w, upstreams, near, flow.peer.ip()),
    }
}

/// A name of ours that this party sends was shown to it: at this address, at another one of the
/// same upstream, or where the phone was before it moved (its leg follows it).
fn was_shown(w: &World, upstreams: &Upstreams, near: &LegState, flow: &Flow, peer: IpAddr) -> bool {
    peer == flow.peer.ip()
        || match near.side {
            Side::Inside => near.flow.peer.ip() != peer,
            Side::Outside => {
                near.flow.peer.ip() == peer || is_of_upstream(w, upstreams, near, peer)
            }
        }
}

pub(crate) fn is_of_upstream(
    w: &World,
    upstreams: &Upstreams,
    near: &LegState,
    ip: IpAddr,
) -> bool {
    near.upstream.is_some_and(|id| upstreams.is_source(w, id, ip))
}
