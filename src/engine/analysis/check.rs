//! What every request must be before anybody asks whose it is (RFC 3261 §16.3): reasonable syntax
//! was the wire's; then scheme, hops, loop, extensions.

use super::Incoming;
use super::answer::Answer;
use super::facts::is_urgent;
use crate::engine::world::World;
use crate::wire::sip::{Message, Method, Name, RawVia, RejectReason, Scheme, Uri};

/// Why a request comes no further.
#[derive(Clone, Debug)]
pub(crate) struct Objection {
    pub(crate) reason: RejectReason,
    pub(crate) answer: Answer<'static>,
}

fn objection(reason: RejectReason, status: u16, phrase: &'static str) -> Objection {
    Objection { reason, answer: Answer::new(status, phrase) }
}

/// A Request-URI whose scheme cannot be routed, or that cannot be read at all.
pub(crate) fn unroutable() -> Objection {
    objection(RejectReason::Scheme, 416, "Unsupported URI Scheme")
}

/// The first objection; `None`: the request may go on.
pub(crate) fn check(w: &World, i: &Incoming) -> Option<Objection> {
    match i.uri.scheme {
        Scheme::Sip | Scheme::Tel => {}
        // sips asks for TLS on every hop, this one too (RFC 5630 §5.3); not of who calls for help.
        Scheme::Sips if i.flow.transport.is_secure() || is_urgent(w, i) => {}
        // Whoever dials an emergency service means whom the site sends such calls to (RFC 5031);
        // other services would have to be resolved, and this gateway resolves none.
        Scheme::Other(_) if i.uri.is_emergency_service() => {}
        Scheme::Sips | Scheme::Other(_) => return Some(unroutable()),
    }
    // A URI with headers may stand in a Contact, never in a start line (RFC 3261 §19.1.1).
    if i.uri.headers.is_some() {
        return Some(objection(RejectReason::Malformed, 400, "Headers In Request-URI"));
    }
    let to_us = i.is(&Method::Options) && w.net().names_us(&i.uri);
    if i.message.max_forwards() == Some(0) && !to_us {
        return Some(objection(RejectReason::TooManyHops, 483, "Too Many Hops"));
    }
    if is_loop(w, &i.message, &i.mark) {
        return Some(objection(RejectReason::Loop, 482, "Loop Detected"));
    }
    let wanted: Vec<String> = i
        .message
        .list(&Name::ProxyRequire)
        .map(|v| String::from_utf8_lossy(v).into_owned())
        .collect();
    if wanted.is_empty() {
        return None;
    }
    let mut bad = objection(RejectReason::Extension, 420, "Bad Extension");
    bad.answer = bad.answer.row(Name::Unsupported, wanted.join(", "));
    Some(bad)
}

/// A loop is a request that was here with the same routing fields (RFC 5393 §4.2); with another
/// Request-URI it is a spiral.
fn is_loop(w: &World, request: &Message, mark: &str) -> bool {
    request.list(&Name::Via).filter_map(RawVia::read).any(|via| {
        let branch = via.params.get("branch").unwrap_or_default();
        let at = memchr::memrchr(b'.', branch).map(|dot| dot + 1);
        at.and_then(|at| branch.get(at..)).is_some_and(|m| m == mark.as_bytes())
            && w.net().names_us(&Uri::sip(None, via.host, via.port))
    })
}
