//! The legs of a request outside a dialog: of who asks, and of whom it goes to. A `sips:` request
//! goes by TLS alone, and no further where there is none (RFC 5630 §5.3). It sends nothing.

use super::alone::is_taken_over;
use super::analysis::headers::foreign_routes;
use super::analysis::{Veil, said_of_itself};
use super::attempt::{Attempt, Route};
use super::calls::LegState;
use super::next_hop::Known;
use super::phones::{Binding, Home, Phones};
use super::transactions::Spare;
use super::upstreams::Upstreams;
use super::world::World;
use crate::config::Allow;
use crate::wire::sip::{Name, Scheme, Uri};

/// Why a phone is not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unasked {
    /// It speaks by TLS, its connection is gone, and nobody can open one to it.
    Gone,
    /// A `sips:` request, and it has not registered a `sips:` Contact by TLS.
    NoSips,
    /// It registered a `sips:` Contact, but not by TLS: nothing may be sent to it.
    SipsAlone,
}

/// The leg of who asks.
pub(super) fn asker(
    w: &World,
    (phones, upstreams): (&Phones, &Upstreams),
    a: &Attempt,
) -> LegState {
    let i = &a.incoming;
    let (contact, user) = (i.contact(), a.payer(w));
    let flow = i.way(w, contact.as_ref());
    LegState {
        side: a.sender.side,
        flow,
        call_id: i.call_id().to_owned(),
        from: i.message.first(&Name::From).unwrap_or_default().to_vec(),
        to: i.message.first(&Name::To).unwrap_or_default().to_vec(),
        contact,
        routes: foreign_routes(w, &i.message),
        upstream: a.sender.upstream,
        tls_alone: upstreams.binds(w, a.sender.upstream, &flow),
        home: user.and_then(|user| phones.home(w, i, user)),
    }
}

/// The callee legs a request goes to; `None`: there are none.
pub(super) fn legs(k: Known<'_>, a: &Attempt, allow: &Allow) -> Option<Vec<LegState>> {
    let Known { w, upstreams, phones, .. } = k;
    let i = &a.incoming;
    let from = i.message.first(&Name::From)?;
    let to = i.message.first(&Name::To)?;
    match &a.route {
        Route::Upstream(id) => {
            let (flow, _) = upstreams.ways(w, *id, a).ok()?;
            let side = w.side(flow.listener);
            let domain = upstreams.domain(w, Some(*id));
            let veil = Veil::new(w, phones).over(said_of_itself(&i.message));
            let mut contact = outward_uri((w, veil), a, allow, domain?);
            // An emergency call is put through without TLS where there is none.
            if contact.scheme == Scheme::Sips && !flow.transport.is_secure() {
                contact.scheme = Scheme::Sip;
            }
            Some(vec![LegState {
                side,
                flow,
                call_id: veil.far_call_id(i.call_id(), a.sender.side, side),
                from: veil.far_name(from, side, domain),
                to: veil.far_name(to, side, domain),
                contact: Some(contact),
                routes: services(w, phones, a, w.upstream_name(*id)),
                upstream: Some(*id),
                tls_alone: upstreams.binds(w, Some(*id), &flow),
                home: None,
            }])
        }
        Route::Bindings(keys) => {
            let leg = |key: &String| {
                let b = phones.binding(key)?;
                Some(LegState {
                    side: w.side(b.flow.listener),
                    flow: b.flow,
                    call_id: i.call_id().to_owned(),
                    from: from.to_vec(),
                    to: to.to_vec(),
                    contact: Some(target(w, a, b).ok()?),
                    routes: Vec::new(),
                    upstream: None,
                    tls_alone: false,
                    home: Some(Home::of(b)),
                })
            };
            let legs: Vec<LegState> = keys.iter().filter_map(leg).collect();
            (!legs.is_empty()).then_some(legs)
        }
        Route::Gateway | Route::Unknown => None,
    }
}

/// The other ways to whom a leg asks.
pub(super) fn spare(k: Known<'_>, a: &Attempt, leg: &LegState) -> Spare {
    let ways = leg.upstream.map(|id| k.upstreams.ways(k.w, id, a));
    ways.and_then(Result::ok).map(|(_, spare)| spare).unwrap_or_default()
}

/// Why a request that names phones reaches none of them; `None`: it reaches one, or names none.
pub(super) fn unasked(k: Known<'_>, a: &Attempt) -> Option<Unasked> {
    let Route::Bindings(keys) = &a.route else { return None };
    let all = keys.iter().filter_map(|key| k.phones.binding(key)).map(|b| target(k.w, a, b).err());
    let all: Vec<Option<Unasked>> = all.collect();
    all.iter().all(Option::is_some).then(|| all.into_iter().flatten().next()).flatten()
}

/// The Request-URI for a phone: its Contact, by the scheme of the request.
fn target(w: &World, a: &Attempt, b: &Binding) -> Result<Uri, Unasked> {
    let mut uri = b.contact.clone();
    let secure = b.flow.transport.is_secure();
    if secure && w.net().is_cut_off(&b.flow) {
        return Err(Unasked::Gone);
    }
    let sips = uri.scheme == Scheme::Sips;
    match (a.is_secure(), sips) {
        (true, _) if !(sips && secure) => Err(Unasked::NoSips),
        (false, true) if !secure => Err(Unasked::SipsAlone),
        (false, true) => {
            uri.scheme = Scheme::Sip;
            Ok(uri)
        }
        (true, _) | (false, false) => Ok(uri),
    }
}

/// The way to an upstream's services that it told the sender when he registered (RFC 3608).
fn services(w: &World, phones: &Phones, a: &Attempt, upstream: Option<&str>) -> Vec<Vec<u8>> {
    let Some((user, name)) = a.sender.user.as_ref().zip(upstream) else { return Vec::new() };
    phones.service_route(w, &a.incoming.flow, &user.user, name)
}

/// The Request-URI towards an upstream: as it came, but our name becomes its domain, and the
/// number changes where the file says so.
fn outward_uri((w, veil): (&World, Veil<'_>), a: &Attempt, allow: &Allow, domain: &str) -> Uri {
    let service = a.incoming.uri.is_emergency_service();
    if a.is_cry() && !service {
        return Uri::sip(Some(a.parties.to.result()), domain, None);
    }
    let mut uri = veil.far_uri(&a.incoming.uri, domain);
    // A call that another takes over: the domain of one upstream means nothing to the next.
    if is_taken_over(w, a) && !service {
        domain.clone_into(&mut uri.host);
        uri.port = None;
    }
    // It would lead to another host than the one that was judged.
    uri.params.remove("maddr");
    if let Some(number) = a.parties.to.rewritten().filter(|_| !allow.keep_number) {
        uri.set_number(number);
    }
    uri
}
