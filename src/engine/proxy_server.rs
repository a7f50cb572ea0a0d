//! The face to the inside client: who may enter from inside, and where what he asks for goes (RFC
//! 3261 §16.5). It answers him as if it were the real server; it never looks at who comes from
//! outside.

use super::analysis::Incoming;
use super::attempt::{Attempt, Route, Sender};
use super::calls::is_report;
use super::phones::{Binding, Phones, tells_false_from};
use super::upstreams::Upstreams;
use super::world::World;
use crate::ground::Side;
use crate::policy::Action;
use crate::wire::sip::{Message, Method, Scheme, Uri};

/// Whose flow an inside request came by; in front of a PBX that authenticates, and is not known to
/// be down, whose address.
pub(crate) fn admit(w: &World, phones: &Phones, upstreams: &Upstreams, i: &Incoming) -> Sender {
    let vouches = |name: &str| !w.is_registrar() && !upstreams.is_down(w, name);
    let (user, subjects) = (phones.sender(w, i, vouches), upstreams.names(&i.flow));
    let proved = upstreams.proved_holder(&i.flow);
    Sender { side: Side::Inside, user, upstream: None, subjects, proved }
}

/// Whether a request for this site's domain is our collector's: every PUBLISH (there is no other
/// service here), and reports that come as NOTIFY.
pub(crate) fn is_collected(w: &World, request: &Message) -> bool {
    w.is_registrar()
        && (*request.method() == Method::Publish
            || *request.method() == Method::Notify && is_report(request))
}

/// Another gateway asks by a tunnel whether we are here: it names nobody, and itself by the address
/// that its end has there. That is between the two of us, and no phone's.
pub(crate) fn is_between_gateways(w: &World, i: &Incoming) -> bool {
    let from = &i.from.uri;
    i.side == Side::Inside
        && i.is(&Method::Options)
        && w.net().lasts(i.flow.listener)
        && i.uri.user.is_none()
        && from.user.is_none()
        && from.host_ip() == Some(i.flow.peer.ip())
}

/// Where an emergency call goes that no upstream takes: to the phone that the file names.
pub(crate) fn emergency(w: &World, phones: &Phones) -> Route {
    let Some(user) = w.config().policy.emergency_target.as_deref() else { return Route::Unknown };
    // Ours, else the first upstream's that has such a phone here: another's namesake is another.
    let upstreams = w.config().upstreams.iter().map(|u| u.name.as_str());
    let mut found = std::iter::once("").chain(upstreams).map(|name| {
        let theirs = |b: &Binding| b.upstream == name;
        phones.of_user(w, user, &theirs)
    });
    found.find(|found| !found.is_empty()).map_or(Route::Unknown, Route::Bindings)
}

/// Where a request of an inside client goes; never where its Route says.
pub(crate) fn route(
    w: &World,
    phones: &Phones,
    upstreams: &Upstreams,
    i: &Incoming,
    number: &str,
) -> Route {
    let local = is_local(w, &i.uri);
    if i.is(&Method::Register) {
        let ask = || upstreams.choose(w, &i.uri, "").map_or(Route::Unknown, Route::Upstream);
        return if w.is_registrar() { Route::Gateway } else { ask() };
    }
    if local && is_collected(w, &i.message) {
        return Route::Gateway;
    }
    if i.uri.user.is_none() && local {
        // A phone that knows us only: its collector is behind us.
        let upstream = is_report(&i.message).then(|| upstreams.choose(w, &i.uri, "")).flatten();
        return upstream.map_or(Route::Gateway, Route::Upstream);
    }
    called(w, phones, upstreams, &i.uri, number)
}

/// A telephone number is of no domain: of the phones here, or of whoever else has numbers.
fn is_local(w: &World, uri: &Uri) -> bool {
    w.is_local_domain(uri) || uri.scheme == Scheme::Tel
}

/// Where a call of an inside client to this URI goes.
pub(crate) fn called(
    w: &World,
    phones: &Phones,
    upstreams: &Upstreams,
    uri: &Uri,
    number: &str,
) -> Route {
    let local = is_local(w, uri);
    let found = phones.reached_by(w, uri, number, &|_| true);
    let sealed = uri.user.as_deref().is_some_and(|u| phones.binding(u).is_some());
    // With an upstream, that decides who is called; alone, we do.
    if !found.is_empty() && (sealed || w.is_registrar() && local) {
        return Route::Bindings(found);
    }
    if w.is_registrar() && local && w.config().is_site() {
        return Route::Unknown;
    }
    upstreams.choose(w, uri, number).map_or(Route::Unknown, Route::Upstream)
}

/// Whether digest is to say who asks.
pub(crate) fn may_prove(w: &World, a: &Attempt, borrowed: bool) -> bool {
    let wanted = match &a.verdict.action {
        // Policy lets everybody inside speak to us; a report is taken from phones that are
        // known, and another's number must be proved.
        Action::Allow(_) => {
            is_collected(w, &a.incoming.message) || borrowed && tells_false_from(&a.verdict)
        }
        Action::Deny { .. } | Action::Drop => true,
    };
    wanted
        && a.sender.side == Side::Inside
        && a.sender.user.is_none()
        && !a.incoming.is(&Method::Register)
        && w.is_registrar()
        && w.config().registrar.digest
}
