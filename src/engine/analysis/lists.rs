//! Requests that ask a server to call, tell or watch everybody on a list that they bring
//! (RFC 5363). It finds them; whether they may pass where a rule reads numbers is for who judges
//! them. It reads no list: who is on it could not be said of an entry that names another list.

use crate::wire::body::{self, Kind};
use crate::wire::sip::{Message, Method, Name};

/// Whether a request brings a list of recipients, or asks that one be read (RFC 5365, 5366, 5367;
/// RFC 5368 with a list beside its Refer-To).
pub(crate) fn names_many(request: &Message) -> bool {
    let asks = |tag: &[u8]| tag.trim_ascii().to_ascii_lowercase().starts_with(b"recipient-list-");
    if request.list(&Name::Require).any(asks) {
        return true;
    }
    if request.body().is_empty() {
        return false;
    }
    // What these two bring tells of lists, and asks for nothing.
    let tells = matches!(request.method(), Method::Notify | Method::Publish);
    let disposition = request.text(&Name::parse("Content-Disposition"));
    let content_type = request.text(&Name::ContentType);
    if is_list(content_type, disposition, tells) {
        return true;
    }
    let Kind::Multipart { boundary } = Kind::of(content_type) else { return false };
    let parts = body::split(request.body(), &boundary).unwrap_or_default();
    parts.iter().any(|part| is_list(part.content_type(), part.disposition(), tells))
}

/// A list of whom to call; one of who else was called (RFC 5364) asks for nobody.
fn is_list(content_type: Option<&str>, disposition: Option<&str>, tells: bool) -> bool {
    let disposition = disposition.map(essence);
    let typed = content_type.is_some_and(|t| essence(t) == "application/resource-lists+xml");
    match disposition.as_deref() {
        Some("recipient-list") => true,
        Some("recipient-list-history") => false,
        Some(_) | None => typed && !tells,
    }
}

/// A value without its parameters and white space, in small letters.
fn essence(value: &str) -> String {
    let value = value.split(';').next().unwrap_or_default();
    value.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_ascii_lowercase()
}
