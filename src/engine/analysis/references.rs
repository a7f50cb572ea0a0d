//! Headers that name other dialogs and parties: Refer-To, Referred-By, Reply-To, Replaces, Join,
//! Target-Dialog. Our Contacts become what they stand for, dialogs are named as the far side knows
//! them.

use super::Veil;
use super::veil::set_host;
use crate::engine::calls::{Asker, Calls};
use crate::engine::world::World;
use crate::ground::Side;
use crate::wire::sip::{Message, Name, NameAddr, unescape};

/// Translates what a message that crosses from one side to another says of others; the headers that
/// now name somebody of the far side in its own words.
pub(crate) fn translate(
    w: &World,
    veil: Veil<'_>,
    calls: &Calls,
    out: &mut Message,
    (by, to): (&Asker<'_>, Side),
    domain: Option<&str>,
) -> Vec<Name> {
    let from = by.side;
    let mut theirs = Vec::new();
    for name in [Name::ReferTo, Name::ReferredBy, Name::ReplyTo] {
        let Some(value) = out.first(&name).map(<[u8]>::to_vec) else { continue };
        let Some(mut addr) = NameAddr::parse(&value) else { continue };
        let opened = calls.open_contact(w, &addr.uri, by);
        let of_far_side = opened.as_ref().is_some_and(|(_, side)| *side == to);
        if to == Side::Outside && of_far_side {
            veil.clear(&mut addr);
        }
        // What the veil overwrote was written here; the dialog is named as it was written.
        let written = NameAddr::parse(&value).and_then(|a| a.uri.headers);
        let replaced = written.as_deref().and_then(|h| far_uri_headers(calls, h, from));
        if replaced.is_some() {
            addr.uri.headers = replaced;
        }
        if let Some((target, _)) = opened {
            let headers = addr.uri.headers.take();
            addr.uri = target;
            addr.uri.headers = headers;
        } else if veil.must_hide(&addr.uri)
            && let Some(domain) = domain
        {
            set_host(&mut addr.uri, domain);
        }
        out.set(name.clone(), addr.to_string());
        if of_far_side {
            theirs.push(name);
        }
    }
    for name in [Name::Replaces, Name::TargetDialog, Name::parse("Join")] {
        let Some(value) = out.text(&name).map(str::to_owned) else { continue };
        if let Some(far) = far_dialog(calls, &value, from) {
            out.set(name.clone(), far);
            theirs.push(name);
        }
    }
    theirs
}

/// `Replaces=…` among a Refer-To's URI headers (escaped, RFC 3891 §9.1), in the far side's words;
/// `None`: there is none that we know.
fn far_uri_headers(calls: &Calls, headers: &str, from: Side) -> Option<String> {
    let mut known = false;
    let mut far = Vec::new();
    for header in headers.split('&') {
        let (name, value) = header.split_once('=').unwrap_or((header, ""));
        let replaces = unescape(name).eq_ignore_ascii_case("Replaces");
        let dialog = replaces.then(|| far_dialog(calls, &unescape(value), from)).flatten();
        known |= dialog.is_some();
        far.push(dialog.map_or_else(|| header.to_owned(), |d| format!("{name}={}", escape(&d))));
    }
    known.then(|| far.join("&"))
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

fn escape(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&b);
    text.bytes()
        .map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}
