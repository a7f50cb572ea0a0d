//! Headers that name other dialogs and parties: Refer-To, Referred-By, Reply-To, Replaces,
//! Target-Dialog. Our Contacts become what they stand for, dialogs are named as the far side knows
//! them.

use super::Veil;
use super::veil::set_host;
use crate::engine::calls::Calls;
use crate::engine::world::World;
use crate::ground::Side;
use crate::wire::sip::{Message, Name, NameAddr};

/// Translates what a message from `from` says of others.
pub(crate) fn translate(
    w: &World,
    veil: Veil<'_>,
    calls: &Calls,
    out: &mut Message,
    from: Side,
    domain: Option<&str>,
) {
    for name in [Name::ReferTo, Name::ReferredBy, Name::ReplyTo] {
        let Some(value) = out.first(&name).map(<[u8]>::to_vec) else { continue };
        let Some(mut addr) = NameAddr::parse(&value) else { continue };
        let replaced = addr.uri.headers.as_deref().and_then(|h| far_uri_headers(calls, h, from));
        if replaced.is_some() {
            addr.uri.headers = replaced;
        }
        if let Some(target) = calls.open_contact(w, &addr.uri) {
            let headers = addr.uri.headers.take();
            addr.uri = target;
            addr.uri.headers = headers;
        } else if veil.must_hide(&addr.uri)
            && let Some(domain) = domain
        {
            set_host(&mut addr.uri, domain);
        }
        out.set(name, addr.to_string());
    }
    for name in [Name::Replaces, Name::TargetDialog] {
        let Some(value) = out.text(&name).map(str::to_owned) else { continue };
        if let Some(far) = far_dialog(calls, &value, from) {
            out.set(name, far);
        }
    }
}

/// `Replaces=…` within a Refer-To's URI headers (escaped, RFC 3891 §9.1).
fn far_uri_headers(calls: &Calls, headers: &str, from: Side) -> Option<String> {
    let (before, rest) = match headers.find("Replaces=") {
        Some(at) => headers.split_at_checked(at + "Replaces=".len())?,
        None => return None,
    };
    let end = rest.find('&').unwrap_or(rest.len());
    let (value, after) = rest.split_at_checked(end)?;
    let far = far_dialog(calls, &unescape(value), from)?;
    Some(format!("{before}{}{after}", escape(&far)))
}

/// `call-id;to-tag=x;from-tag=y` in the far side's Call-ID.
fn far_dialog(calls: &Calls, value: &str, from: Side) -> Option<String> {
    let (call_id, params) = value.split_once(';')?;
    let tag =
        |name: &str| params.split(';').find_map(|p| p.trim().strip_prefix(name)?.strip_prefix('='));
    let tags = (tag("from-tag").or(tag("local-tag"))?, tag("to-tag").or(tag("remote-tag"))?);
    let far = calls.translate(from, call_id.trim(), tags)?;
    Some(format!("{far};{params}"))
}

fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while let Some(b) = bytes.get(i) {
        let hex = |n: usize| bytes.get(i + n).and_then(|c| char::from(*c).to_digit(16));
        match (*b, hex(1), hex(2)) {
            (b'%', Some(h), Some(l)) => {
                out.push(u8::try_from(h * 16 + l).unwrap_or(b'?'));
                i += 3;
            }
            _ => {
                out.push(*b);
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn escape(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&b);
    text.bytes()
        .map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}
