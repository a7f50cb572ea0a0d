//! Headers that do not cross: what a side may not say of itself, and what a rule names.

use super::family::{Family, family, forwarding, is_of_networks};
use crate::config::Allow;
use crate::engine::world::World;
use crate::ground::Side;
use crate::wire::sip::{Message, Method, Name, NameAddr, is_of_another_realm};

/// Strips what may not cross from one side to another.
pub(crate) fn strip(
    w: &World,
    message: &mut Message,
    from: Side,
    to: Side,
    allow: &Allow,
    trusted: bool,
) {
    let hides = |what: &str| to == Side::Inside && asks_for(message, what);
    let (no_names, no_history) = (hides("id"), hides("history"));
    let crossing = from != to;
    let alone = !w.is_registrar() && from == Side::Inside && to == Side::Inside;
    let of_others = if alone { forwarded_for_others(message) } else { Vec::new() };
    let refers = *message.method() == Method::Refer;
    message.retain(|name, _| {
        let text = name.as_str();
        if allow.strip.iter().any(|p| matches(p, text)) {
            return false;
        }
        // RFC 3515 §2.1: nothing but a REFER refers. `Also` transferred calls before there was one,
        // and some take it still.
        if *name == Name::ReferTo && !refers || matches("Also", text) {
            return false;
        }
        let of = family(name);
        if no_names && of == Some(Family::Asserted) || no_history && *name == Name::HistoryInfo {
            return false;
        }
        let kept = allow.keep.iter().any(|p| matches(p, text));
        // Nobody but us stands between two phones where we are the registrar, nor while an upstream
        // does not answer: one asserts nothing towards another; that it forwards a call it may say,
        // and there, where a phone calls in its own name alone, of itself.
        let between = w.is_registrar() || alone;
        let asserted =
            between && of.is_some_and(|f| f != Family::Forwarded) || of_others.contains(name);
        // What a phone says to its PBX by headers of their own passes; a stranger's does not.
        let private = from == Side::Outside && (is_private(name) || is_of_networks(name));
        !((of.is_some() || private) && crossing || asserted) || trusted || kept
    });
}

/// Headers that say of others than its two parties that it was for them.
fn forwarded_for_others(message: &Message) -> Vec<Name> {
    let user = |value: &[u8]| NameAddr::parse(value).and_then(|n| n.uri.user);
    let parties = [Name::From, Name::To].map(|name| message.first(&name).and_then(user));
    let of_another = |value: &[u8]| {
        let whom = user(value);
        whom.is_none() || !parties.contains(&whom)
    };
    let all = forwarding().map(Name::parse);
    all.filter(|name| message.list(name).any(of_another)).collect()
}

/// Whether a message asks for this kind of privacy (RFC 3323 §4.2).
fn asks_for(message: &Message, what: &str) -> bool {
    let rows = message.rows(&Name::Privacy);
    let mut kinds = rows.flat_map(|row| row.split(|b| matches!(b, b';' | b',')));
    kinds.any(|kind| kind.trim_ascii().eq_ignore_ascii_case(what.as_bytes()))
}

/// Where we are the registrar, credentials are for us (RFC 3261 §22.3): what does not name another
/// realm goes no further, whoever wrote it. In front of an upstream they are for that: no phone
/// gets another's.
pub(crate) fn drop_own_credentials(w: &World, request: &mut Message, from: Side, to: Side) {
    let names = [Name::Authorization, Name::ProxyAuthorization];
    if w.is_registrar() {
        drop_own(w, request, &names);
    } else if from == Side::Inside && to == Side::Inside {
        request.retain(|name, _| !names.contains(name));
    }
}

/// Where we are the registrar, nobody else asks for credentials of our realm: he would get what
/// proves the asker to us. True: it was a challenge, and is none any more.
pub(crate) fn drop_own_challenges(w: &World, response: &mut Message) -> bool {
    let names = [Name::WwwAuthenticate, Name::ProxyAuthenticate];
    w.is_registrar()
        && drop_own(w, response, &names) > 0
        && matches!(response.status(), 401 | 407)
        && !names.iter().any(|name| response.has(name))
}

/// Removes what does not name another realm than ours.
fn drop_own(w: &World, message: &mut Message, names: &[Name]) -> usize {
    let realm = w.config().registrar.realm.as_str();
    message.retain(|name, value| !names.contains(name) || is_of_another_realm(value, realm))
}

/// A header that no RFC knows, and that products agree on.
pub(crate) fn is_private(name: &Name) -> bool {
    matches("X-*", name.as_str())
}

/// Case-insensitive name or `prefix*`.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => {
            name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        }
        None => pattern.eq_ignore_ascii_case(name),
    }
}
