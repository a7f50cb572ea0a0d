//! Headers that do not cross: what a side may not say of itself, and what a rule names.

use crate::config::Allow;
use crate::engine::world::World;
use crate::ground::Side;
use crate::wire::sip::{Message, Name};

/// Identity headers that only a trusted upstream may send (RFC 3325 and kin).
const IDENTITY: [Name; 5] = [
    Name::PAssertedIdentity,
    Name::PPreferredIdentity,
    Name::RemotePartyId,
    Name::Diversion,
    Name::HistoryInfo,
];

/// Those of them that name the sender itself.
const ASSERTED: [Name; 3] =
    [Name::PAssertedIdentity, Name::PPreferredIdentity, Name::RemotePartyId];

/// Strips what may not cross from one side to another.
pub(crate) fn strip(
    w: &World,
    message: &mut Message,
    from: Side,
    to: Side,
    allow: &Allow,
    trusted: bool,
) {
    let private = to == Side::Inside
        && message.text(&Name::Privacy).is_some_and(|p| p.split(';').any(|v| v.trim() == "id"));
    let crossing = from != to;
    message.retain(|name, _| {
        let text = name.as_str();
        if allow.strip.iter().any(|p| matches(p, text)) {
            return false;
        }
        if private && *name == Name::PAssertedIdentity {
            return false;
        }
        let kept = allow.keep.iter().any(|p| matches(p, text));
        // Where we are the registrar, a phone asserts nothing towards another one.
        let asserted = w.is_registrar() && ASSERTED.contains(name);
        // What a phone says to its PBX by headers of their own passes; a stranger's does not.
        let identity = IDENTITY.contains(name) || from == Side::Outside && is_private(name);
        !(identity && crossing || asserted) || trusted || kept
    });
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
