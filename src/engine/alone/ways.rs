//! Where a request goes whose upstream does not answer, or that nobody knows the place of: to
//! phones of the site, to another upstream where it is an emergency. It sends nothing.

use crate::engine::analysis::Incoming;
use crate::engine::attempt::{Parties, Route, Sender};
use crate::engine::ids::UpstreamId;
use crate::engine::phones::{Binding, Phones};
use crate::engine::proxy_server;
use crate::engine::upstreams::Upstreams;
use crate::engine::world::World;
use crate::ground::Side;
use crate::wire::sip::{Method, Scheme};

/// Where a request goes after all, when its upstream does not answer or nobody knows where it is;
/// true: for that upstream the site is alone.
pub(in crate::engine) fn choose(
    w: &World,
    (phones, upstreams): (&Phones, &Upstreams),
    i: &Incoming,
    (sender, parties): (&Sender, &Parties),
    route: Route,
) -> (Route, bool) {
    if sender.side == Side::Outside {
        return (route, false);
    }
    let urgent = i.is(&Method::Invite) && parties.to.is_emergency();
    let cut_off = |id: &UpstreamId| upstreams.is_alone(w, *id);
    let lost = |id: &UpstreamId| is_lost(w, upstreams, *id);
    match route {
        // Nobody knows where it is, or nothing comes from there: somebody else takes it.
        Route::Upstream(id) if urgent && lost(&id) => {
            // Where nobody takes it, what is left is to try.
            let tried = cut_off(&id) || upstreams.is_away(w, id);
            let last = if tried { Route::Upstream(id) } else { Route::Unknown };
            let route = ways(w, (phones, upstreams)).into_iter().next().unwrap_or(last);
            (route, cut_off(&id))
        }
        Route::Upstream(id) if cut_off(&id) => {
            let local = lead(w, phones, i, sender, parties.to.result(), id);
            (local.unwrap_or(Route::Upstream(id)), true)
        }
        Route::Unknown if urgent => {
            (ways(w, (phones, upstreams)).into_iter().next().unwrap_or(route), false)
        }
        Route::Upstream(_) | Route::Bindings(_) | Route::Gateway | Route::Unknown => (route, false),
    }
}

/// Nobody knows where it is, or nothing comes from there.
fn is_lost(w: &World, upstreams: &Upstreams, id: UpstreamId) -> bool {
    upstreams.is_lost(w, id) || upstreams.is_alone(w, id)
}

/// Ways of an emergency call besides the one that its number leads by, which the file names: an
/// upstream that serves, a phone.
fn named_ways(w: &World, (phones, upstreams): (&Phones, &Upstreams)) -> Vec<Route> {
    let named = w.config().policy.emergency_upstream.as_deref();
    let named = named.and_then(|name| w.upstream_named(name));
    let named = named.filter(|id| !is_lost(w, upstreams, *id)).map(Route::Upstream);
    let phone = match proxy_server::emergency(w, phones) {
        found @ Route::Bindings(_) => Some(found),
        Route::Upstream(_) | Route::Gateway | Route::Unknown => None,
    };
    named.into_iter().chain(phone).collect()
}

/// Where an emergency call goes while its own upstream is out of reach: what the file names first,
/// and any other upstream that serves before a phone.
fn ways(w: &World, known: (&Phones, &Upstreams)) -> Vec<Route> {
    let named = named_ways(w, known);
    let is_phone = |way: &Route| matches!(way, Route::Bindings(_));
    let (phones, upstreams): (Vec<Route>, Vec<Route>) = named.into_iter().partition(is_phone);
    let serving = w.upstreams().iter().filter(|id| !is_lost(w, known.1, **id));
    let serving = serving.map(|id| Route::Upstream(*id));
    upstreams.into_iter().chain(serving).chain(phones).collect()
}

/// The next of them that was not tried.
pub(super) fn next_way(w: &World, known: (&Phones, &Upstreams), tried: &[Route]) -> Option<Route> {
    named_ways(w, known).into_iter().find(|way| !tried.contains(way))
}

/// Where a request of an inside client goes whose upstream does not answer: to phones that the same
/// upstream granted, by the extension that is dialled; what is not for them stays as it was.
fn lead(
    w: &World,
    phones: &Phones,
    i: &Incoming,
    sender: &Sender,
    number: &str,
    id: UpstreamId,
) -> Option<Route> {
    if matches!(i.method(), Method::Register | Method::Publish) {
        return None;
    }
    let name = w.upstream_name(id)?;
    let config = w.config().upstreams.iter().find(|u| u.name == name)?;
    let host = i.uri.host.as_str();
    let theirs = |d: &str| d.eq_ignore_ascii_case(host);
    let domain = theirs(&config.domain) || config.domains.iter().any(|d| theirs(d));
    let ours = w.is_local_domain(&i.uri) || i.uri.scheme == Scheme::Tel;
    if !domain && !ours {
        return None;
    }
    let own = |b: &Binding| {
        let same = b.host == w.net().host(&i.flow) && b.source == i.flow.peer;
        same && sender.user.as_ref() == Some(&b.aor) && !i.is(&Method::Invite)
    };
    let meant = |b: &Binding| {
        (b.upstream == name || b.upstream.is_empty())
            && (!domain || b.aor.domain.eq_ignore_ascii_case(host) || b.upstream.is_empty())
            && !own(b)
    };
    let found = phones.reached_by(w, &i.uri, number, &meant);
    (!found.is_empty()).then_some(Route::Bindings(found))
}
