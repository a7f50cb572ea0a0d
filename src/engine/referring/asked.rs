//! What a referenced URI asks for, read alone: whom, by what method, with which headers. It judges
//! nobody.

use crate::engine::analysis::strip::is_private;
use crate::wire::sip::{Method, Name, Scheme, Uri, unescape};

/// Headers that a referenced URI may put into the request that is made from it. The others would
/// route it elsewhere, speak for somebody, or bring a body that nobody judged (RFC 3261 §19.1.5).
const ASKED_FOR: [&str; 18] = [
    "Accept",
    "Accept-Contact",
    "Alert-Info",
    "Answer-Mode",
    "Call-Info",
    "Event",
    "Expires",
    "Join",
    "Priority",
    "Reason",
    "Referred-By",
    "Reject-Contact",
    "Replaces",
    "Require",
    "Subject",
    "Supported",
    "Target-Dialog",
    "User-to-User",
];

/// A party whom another scheme names: agents make a SIP URI of it (RFC 3859, RFC 3860).
pub(super) fn as_sip(uri: &Uri) -> Option<Uri> {
    match &uri.scheme {
        Scheme::Other(scheme) if is_one(scheme, &["pres", "im"]) => {
            Uri::parse(format!("sip:{}", uri.host).as_bytes())
        }
        Scheme::Sip | Scheme::Sips | Scheme::Tel | Scheme::Other(_) => None,
    }
}

/// Whether what a scheme names is read as a number, or is none. Of any other (`cid`, a list;
/// `h323`) nobody can say whom it calls.
pub(super) fn is_known(scheme: &Scheme) -> bool {
    match scheme {
        Scheme::Sip | Scheme::Sips | Scheme::Tel => true,
        Scheme::Other(scheme) => is_one(scheme, &["pres", "im", "urn", "http", "https", "mailto"]),
    }
}

fn is_one(scheme: &str, known: &[&str]) -> bool {
    known.iter().any(|k| k.eq_ignore_ascii_case(scheme))
}

/// What a referenced URI may ask for: of what is in it, without escapes in names.
pub(super) fn harmless(headers: &str) -> Option<String> {
    let fine = |header: &&str| {
        let (name, _) = header.split_once('=').unwrap_or((header, ""));
        let name = Name::parse(&unescape(name));
        let known = ASKED_FOR.iter().any(|n| n.eq_ignore_ascii_case(name.as_str()));
        known || is_private(&name)
    };
    let left: Vec<&str> = headers.split('&').filter(fine).collect();
    (!left.is_empty()).then(|| left.join("&"))
}

/// What the URI's `method` may make of the request: a call, and what it says; `None`: it says two
/// things. Who does not read it calls.
pub(super) fn methods(uri: &Uri) -> Option<Vec<Method>> {
    let named = uri.params.0.iter().filter(|(n, _)| unescape(n).eq_ignore_ascii_case("method"));
    let mut named = named.map(|(_, v)| unescape(v.as_deref().unwrap_or_default()));
    let (said, more) = (named.next(), named.next().is_some());
    let said = said.map(|token| Method::from_token(&token));
    let said = said.map(|m| m.in_other_case().unwrap_or(m)).filter(|m| *m != Method::Invite);
    (!more).then(|| std::iter::once(Method::Invite).chain(said).collect())
}
