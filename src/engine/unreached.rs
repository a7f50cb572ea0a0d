//! Who names a way that there is none to: a next hop by a transport which is not spoken where it
//! would be reached. Said to who asks, counted and told; nothing goes by another transport instead.

use super::analysis::body::BodyRefusal;
use super::analysis::{Incoming, contact_of};
use super::attempt::{Attempt, Route};
use super::calls::{LegState, Place};
use super::legs::{Unasked, unasked};
use super::next_hop::{Known, NoWay, next_hop};
use super::outbox::Outbox;
use super::output::Level;
use super::purpose::{InDialog, Purpose};
use super::transactions::{Answer, BROKEN};
use super::upstreams::Unreachable;
use crate::ground::{Leg, Side};
use crate::wire::sip::{Message, Method, RejectReason, Scheme, Uri};
use std::net::SocketAddr;

/// The far party is at fault.
fn refusal(no: &NoWay, what: &str) -> BodyRefusal {
    let no = match no {
        NoWay::Transport(no) => no,
        NoWay::Insecure => return of_phone(Unasked::NoSips, what).0,
        NoWay::Gone => return of_phone(Unasked::Gone, what).0,
    };
    let (phrase, reason) = ("Next Hop's Transport Not Available", RejectReason::Transport);
    BodyRefusal { status: 502, phrase, why: format!("{what}: {no}"), reason, session: true }
}

/// Who asks is at fault.
fn fault(no: &NoWay, method: &Method) -> BodyRefusal {
    let phrase = "Contact's Transport Not Available";
    BodyRefusal { status: 400, phrase, ..refusal(no, &format!("the Contact of {method}")) }
}

/// It is counted, and told as often as lines of who caused it may be.
pub(super) fn tell(out: &mut Outbox, side: Side, by: SocketAddr, refusal: &BodyRefusal) {
    out.count_rejected(side, refusal.reason);
    out.notice_of(by, Level::Warn, refusal.why.clone());
}

/// A request that begins something: who asks from outside is reached by his Contact from then on,
/// an upstream that is asked by its target. `asker`: his leg.
pub(super) fn of_attempt(
    k: Known<'_>,
    a: &Attempt,
    asker: impl FnOnce() -> LegState,
) -> Option<(BodyRefusal, Option<&'static str>)> {
    let i = &a.incoming;
    let begins = a.is_invite() || i.is(&Method::Subscribe) || i.is(&Method::Refer);
    let named = begins && a.sender.side == Side::Outside && i.contact().is_some();
    if let Some(no) = named.then(|| next_hop(k, None, &asker()).err()).flatten() {
        return Some((fault(&no, i.method()), None));
    }
    let what = format!("{} to {}", i.method(), a.target);
    if let Some(why) = unasked(k, a) {
        return Some(of_phone(why, &what));
    }
    let Route::Upstream(id) = &a.route else { return None };
    match k.upstreams.ways(k.w, *id, a).err()? {
        Unreachable::Transport(no) => Some((refusal(&NoWay::Transport(no), &what), None)),
        Unreachable::Insecure => Some(of_phone(Unasked::NoSips, &what)),
        Unreachable::Nowhere => None,
    }
}

/// Whom nothing that is spoken here reaches; with it, the Warning of RFC 5630 §6.
fn of_phone(why: Unasked, what: &str) -> (BodyRefusal, Option<&'static str>) {
    let (phrase, warning, told) = match why {
        Unasked::Gone => {
            ("TLS Connection Is Gone", None, "its TLS connection is gone: it has to come back")
        }
        Unasked::NoSips => (
            "No TLS To There",
            Some("380 portreeve \"SIPS Not Allowed\""),
            "a sips: request goes by TLS alone, and there is none to whom it is for",
        ),
        Unasked::SipsAlone => (
            "TLS Required There",
            Some("381 portreeve \"SIPS Required\""),
            "its Contact is sips: and it did not register by TLS",
        ),
    };
    let (reason, why) = (RejectReason::Transport, format!("{what}: {told}"));
    (BodyRefusal { status: 480, phrase, why, reason, session: true }, warning)
}

/// A request within a dialog: who is asked by what he said of himself, who asks by what he says
/// now.
pub(super) fn of_request(k: Known<'_>, i: &Incoming, place: &Place) -> Result<(), BodyRefusal> {
    let call = Some(place.call);
    let asked = next_hop(k, call, &place.far);
    asked.map_err(|no| refusal(&no, &format!("{} of call {}", i.method(), place.call)))?;
    let Some(contact) = i.contact().filter(|_| refreshes_target(i.method())) else {
        return Ok(());
    };
    let near = LegState { contact: Some(contact), ..place.near.clone() };
    next_hop(k, call, &near).map(|_| ()).map_err(|no| fault(&no, i.method()))
}

/// An answer that makes a dialog with somebody whom no request within it would reach.
pub(super) fn of_answer(k: Known<'_>, answer: &Answer, purpose: &Purpose) -> Option<BodyRefusal> {
    let Purpose::Invite { call, .. } = purpose else { return None };
    let (status, tag) = (answer.response.status(), answer.response.to_tag());
    let fork = k.calls.get(*call)?.fork(tag.unwrap_or_default());
    let leg = &fork.filter(|_| (101..300).contains(&status))?.callee;
    let no = next_hop(k, Some(*call), leg).err()?;
    Some(refusal(&no, &format!("{status} of {} for call {call}", answer.flow.peer)))
}

/// Who answers a `sips:` call says by a Contact of another scheme that he may be asked without TLS
/// (RFC 5630 §5.1.2): he is not, and his administrator may want to know.
pub(super) fn tell_contact(k: Known<'_>, out: &mut Outbox, answer: &Answer, purpose: &Purpose) {
    let Purpose::Invite { call, .. } = purpose else { return };
    let Some(contact) = contact_of(&answer.response) else { return };
    if k.calls.goes_by_tls(*call) && contact.scheme != Scheme::Sips {
        let by = answer.flow.peer;
        let text = format!(
            "{by} answers call {call}, of a sips: URI, with no sips: Contact: it \
                            is asked by TLS all the same"
        );
        out.notice_of(by, Level::Warn, text);
    }
}

/// The remote target that an answer within a dialog sets.
///
/// # Errors
/// It cannot be reached: the one before stays.
pub(super) fn of_target(
    k: Known<'_>,
    d: &InDialog,
    response: &Message,
) -> Result<Option<Uri>, (SocketAddr, BodyRefusal)> {
    let leg = k.calls.get(d.call).and_then(|call| match d.leg.other() {
        Leg::Caller => Some(&call.caller),
        Leg::Callee => call.fork(&d.tag).map(|f| &f.callee),
    });
    let Some((contact, leg)) = contact_of(response).zip(leg) else { return Ok(None) };
    let leg = LegState { contact: Some(contact), ..leg.clone() };
    let found = next_hop(k, Some(d.call), &leg);
    let what = || format!("a new Contact in call {} is not taken", d.call);
    found.map_err(|no| (leg.flow.peer, refusal(&no, &what())))?;
    Ok(leg.contact)
}

/// A 2xx to an INVITE that could be read in part alone: nobody is reached by what it says.
pub(super) fn of_torn(why: &str) -> BodyRefusal {
    let (reason, why) = (RejectReason::Malformed, why.to_owned());
    BodyRefusal { status: 502, phrase: BROKEN, why, reason, session: true }
}

/// A request of our own.
pub(super) fn of_own(no: &NoWay, method: &Method, what: impl std::fmt::Display) -> BodyRefusal {
    refusal(no, &format!("{method} of call {what} cannot be sent"))
}

/// Target refresh requests (RFC 3261 §12.2, RFC 3311, RFC 6665).
pub(super) fn refreshes_target(method: &Method) -> bool {
    matches!(
        method,
        Method::Invite | Method::Update | Method::Subscribe | Method::Notify | Method::Refer
    )
}
