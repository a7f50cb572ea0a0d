//! What the head of a message shows when it crosses: Via, Route, Record-Route, Contact, Call-ID,
//! From, To. Each side sees only the gateway (house decision 6). Bodies are `body`'s.

use super::commands::silence;
use super::references::translate;
use super::strip::{drop_own_credentials, strip};
use super::veil::said_of_itself;
use super::{Leaving, Veil};
use crate::config::Allow;
use crate::engine::calls::{Asker, Calls};
use crate::engine::outbox::Outbox;
use crate::engine::upstreams::are_kin;
use crate::engine::world::{World, with_tag};
use crate::ground::{ListenerId, Side};
use crate::wire::sip::route_set::aim;
use crate::wire::sip::{Message, Method, Name, NameAddr, Uri};
use std::net::IpAddr;

/// How a request crosses.
pub(crate) struct Crossing<'a> {
    pub(crate) from: Side,
    pub(crate) to: Side,
    /// The socket it leaves by.
    pub(crate) egress: ListenerId,
    pub(crate) uri: String,
    /// From and To as the far side sees them.
    pub(crate) from_value: Vec<u8>,
    pub(crate) to_value: Vec<u8>,
    pub(crate) call_id: &'a str,
    pub(crate) routes: &'a [Vec<u8>],
    /// Our own Contact on the far side; `None`: there is none to show.
    pub(crate) contact: Option<Uri>,
    /// Our own Record-Route, for requests that form a dialog.
    pub(crate) record_route: Option<Uri>,
    pub(crate) allow: &'a Allow,
    /// Identity headers are believed: it comes from a trusted upstream.
    pub(crate) trusted: bool,
    /// It may make phones answer by themselves.
    pub(crate) commands: bool,
    /// The sender's own address.
    pub(crate) near: IpAddr,
    /// The domain of the far side, for URIs that name us.
    pub(crate) domain: Option<&'a str>,
    /// What routed the request here.
    pub(crate) mark: &'a str,
}

/// The request as the far side gets it, and its branch.
pub(crate) fn carry(
    w: &World,
    veil: Veil<'_>,
    calls: &Calls,
    out: &mut Outbox,
    request: &Message,
    x: &Crossing<'_>,
) -> (Message, String) {
    let mut far = request.clone();
    let branch = w.branch(x.mark);
    far.remove(&Name::Via);
    far.remove(&Name::RecordRoute);
    if let Some(rr) = &x.record_route {
        far.push_front(Name::RecordRoute, format!("<{rr}>"));
    }
    aim(&mut far, &x.uri, x.routes);
    far.push_front(Name::Via, w.via(x.egress, &branch));
    let hops = request.max_forwards().map_or(70, |n| n.saturating_sub(1));
    far.set(Name::MaxForwards, hops.to_string());
    far.set(Name::From, x.from_value.clone());
    far.set(Name::To, x.to_value.clone());
    far.set(Name::CallId, x.call_id);
    if let Some(uri) = &x.contact {
        show_contact(&mut far, uri);
    } else if *request.method() != Method::Register {
        far.remove(&Name::Contact);
    }
    drop_own_credentials(w, &mut far, x.from, x.to);
    choose_for_it(&mut far);
    let is_kin = |ip| are_kin(w, x.near, ip);
    let by = Asker { side: x.from, at: x.near, is_kin: &is_kin };
    let theirs = translate(w, veil, calls, &mut far, (&by, x.to), x.domain);
    strip(w, &mut far, x.from, x.to, x.allow, x.trusted);
    if x.to == Side::Inside && !x.commands {
        silence(&mut far, x.allow);
    }
    if x.to == Side::Outside {
        let veil = veil.over(said_of_itself(request));
        let how = Leaving { egress: x.egress, near: x.near, theirs: &theirs };
        veil.hide(out, &mut far, &how);
    }
    (far, branch)
}

/// A response's head as the near side wrote it: Via, From, To, Call-ID; no Record-Route of
/// strangers.
pub(crate) fn near_head(request: &Message, response: &Message) -> Message {
    let mut out = response.clone();
    out.remove(&Name::Via);
    let vias: Vec<Vec<u8>> = request.rows(&Name::Via).map(<[u8]>::to_vec).collect();
    for via in vias.into_iter().rev() {
        out.push_front(Name::Via, via);
    }
    if let Some(from) = request.first(&Name::From) {
        out.set(Name::From, from);
    }
    if let Some(to) = request.first(&Name::To) {
        let to = match (request.to_tag(), response.to_tag()) {
            (None, Some(tag)) => with_tag(to, tag),
            (Some(_), _) | (None, None) => to.to_vec(),
        };
        out.set(Name::To, to);
    }
    out.set(Name::CallId, request.call_id());
    out.remove(&Name::RecordRoute);
    // No answer has a Route (RFC 3261 §20.34); one that does tells hops of the answerer's side.
    out.remove(&Name::Route);
    out
}

/// Of lines that stand for one (RFC 4091) we take one, and whoever gets it need not know of it (RFC
/// 4092).
fn choose_for_it(far: &mut Message) {
    let asks = |v: &&[u8]| v.eq_ignore_ascii_case(b"sdp-anat");
    if !far.list(&Name::Require).any(|v| asks(&v)) {
        return;
    }
    let rest = far.list(&Name::Require).filter(|v| !asks(v)).map(<[u8]>::to_vec);
    let rest: Vec<Vec<u8>> = rest.collect();
    far.remove(&Name::Require);
    rest.into_iter().for_each(|value| far.push_back(Name::Require, value));
}

/// A failure names nobody to call in the asker's place whom no rule has judged: a Contact is of no
/// other answers than those that redirect, and some follow an Error-Info like one (§20.18).
pub(crate) fn only_failure(near: &mut Message, redirects: bool) {
    if near.status() < 300 {
        return;
    }
    if !redirects {
        near.remove(&Name::Contact);
    }
    let name = Name::parse("Error-Info");
    let values: Vec<Vec<u8>> = near.list(&name).map(<[u8]>::to_vec).collect();
    near.remove(&name);
    let is_page = |v: &&Vec<u8>| {
        let text = v.trim_ascii_start().to_ascii_lowercase();
        text.starts_with(b"<http://") || text.starts_with(b"<https://")
    };
    for value in values.iter().filter(is_page) {
        near.push_back(name.clone(), value.as_slice());
    }
}

/// Record-Route values of a message without ours.
pub(crate) fn foreign_routes(w: &World, message: &Message) -> Vec<Vec<u8>> {
    let ours = |v: &[u8]| NameAddr::parse(v).is_some_and(|n| w.is_own(&n.uri));
    message.list(&Name::RecordRoute).filter(|v| !ours(v)).map(<[u8]>::to_vec).collect()
}

/// Whether a request names a route that is not ours.
pub(crate) fn names_foreign_route(w: &World, request: &Message) -> bool {
    let mut routes = request.list(&Name::Route);
    routes.any(|v| NameAddr::parse(v).is_none_or(|n| !w.is_own(&n.uri)))
}

/// Replaces the URI of every Contact by ours; parameters that name nobody stay.
pub(crate) fn show_contact(out: &mut Message, uri: &Uri) {
    let Some(value) = out.list(&Name::Contact).next().map(<[u8]>::to_vec) else { return };
    let mut contact = NameAddr::parse(&value).unwrap_or_else(|| NameAddr::of(uri.clone()));
    contact.uri = uri.clone();
    out.set(Name::Contact, contact.to_string());
}
