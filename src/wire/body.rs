//! What a body is, and the few things that are done to bodies that are no SDP: multipart is split
//! and joined (RFC 2046), text that can name hosts is scrubbed. What may pass is the engine's word.

mod multipart;

pub use multipart::{Part, join, split};

use super::addresses::find_addresses;
use std::net::IpAddr;

/// A body by its Content-Type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// application/sdp.
    Sdp,
    /// multipart/*, with its boundary.
    Multipart {
        /// As in the Content-Type, without quotes.
        boundary: String,
    },
    /// Text that may name inside hosts and is understood well enough to overwrite them.
    Scrub,
    /// A voice quality report (RFC 6035): [`super::vq_report`] reads it.
    QualityReport,
    /// Text that names nobody.
    Pass,
    /// Anything else, also what can be read in two ways.
    Unknown,
}

/// Dialog, presence and conference events, call progress.
const SCRUBBED: [&str; 10] = [
    "application/dialog-info+xml",
    "application/pidf+xml",
    "application/pidf-diff+xml",
    "application/xpidf+xml",
    "application/reginfo+xml",
    "application/rlmi+xml",
    "application/watcherinfo+xml",
    "application/conference-info+xml",
    "application/resource-lists+xml",
    "message/sipfrag",
];

/// Waiting messages, keys, picture requests, chat.
const PASSED: [&str; 5] = [
    "application/simple-message-summary",
    "application/dtmf-relay",
    "application/dtmf",
    "application/media_control+xml",
    "text/plain",
];

impl Kind {
    /// Reads a Content-Type value.
    #[must_use]
    pub fn of(content_type: Option<&str>) -> Self {
        let Some(value) = content_type else { return Self::Unknown };
        let (kind, params) = value.split_once(';').unwrap_or((value, ""));
        let kind = kind.trim().to_ascii_lowercase();
        if kind == "application/sdp" {
            Self::Sdp
        } else if kind == "application/vq-rtcpxr" {
            Self::QualityReport
        } else if SCRUBBED.contains(&kind.as_str()) {
            Self::Scrub
        } else if PASSED.contains(&kind.as_str()) {
            Self::Pass
        } else if kind.starts_with("multipart/") {
            boundary(params).map_or(Self::Unknown, |boundary| Self::Multipart { boundary })
        } else {
            Self::Unknown
        }
    }
}

/// The one boundary of 1–70 characters (RFC 2046 §5.1.1). Two, or a quote that does not end, could
/// be read in two ways: `None`.
fn boundary(params: &str) -> Option<String> {
    let mut found = None;
    let mut rest = params;
    while !rest.is_empty() {
        let (value, after, name) = param(rest)?;
        if name.eq_ignore_ascii_case("boundary") && found.replace(value).is_some() {
            return None;
        }
        rest = after;
    }
    let found = found?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "'()+_,-./:=? ".contains(c);
    let fits = (1..=70).contains(&found.len()) && !found.ends_with(' ');
    (fits && found.chars().all(allowed)).then_some(found)
}

/// The value of the first parameter, what follows its semicolon, and its name.
fn param(text: &str) -> Option<(String, &str, &str)> {
    let end = text.find([';', '=']).unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(end)?;
    let Some(rest) = rest.strip_prefix('=') else {
        return Some((String::new(), rest.strip_prefix(';').unwrap_or(rest), name.trim()));
    };
    let rest = rest.trim_start();
    let Some(quoted) = rest.strip_prefix('"') else {
        let (value, after) = rest.split_once(';').unwrap_or((rest, ""));
        return Some((value.trim().to_owned(), after, name.trim()));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => {
                let after = quoted.get(at + 1..)?.trim_start();
                let after = if after.is_empty() { after } else { after.strip_prefix(';')? };
                return Some((value, after, name.trim()));
            }
            '\\' => value.push(chars.next()?.1),
            c => value.push(c),
        }
    }
    None
}

/// Times a text is looked through: what was overwritten can change how its neighbours read.
const PASSES: usize = 3;

/// Overwrites every address literal for which `hidden` says so; the brackets of an IPv6 literal go
/// with it, so `shown` is written as a URI's host is.
#[must_use]
pub fn scrub(body: &[u8], hidden: impl Fn(IpAddr) -> bool, shown: &str) -> Vec<u8> {
    let mut text = body.to_vec();
    for _ in 0..PASSES {
        match scrubbed(&text, &hidden, shown) {
            Some(new) if new != text => text = new,
            Some(_) | None => break,
        }
    }
    text
}

/// One pass; `None`: there was nothing to hide.
fn scrubbed(text: &[u8], hidden: &impl Fn(IpAddr) -> bool, shown: &str) -> Option<Vec<u8>> {
    let mut found = find_addresses(text).filter(|(_, ip)| hidden(*ip)).peekable();
    found.peek()?;
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    for (range, _) in found {
        // Within a chain of numbers literals overlap: the first hidden one takes its octets.
        if range.start < at {
            continue;
        }
        let before = text.get(at..range.start).unwrap_or_default();
        let bracketed = text.get(range.end) == Some(&b']');
        let (before, end) = match before.strip_suffix(b"[") {
            Some(before) if bracketed => (before, range.end + 1),
            Some(_) | None => (before, range.end),
        };
        out.extend_from_slice(before);
        out.extend_from_slice(shown.as_bytes());
        at = end;
    }
    out.extend_from_slice(text.get(at..).unwrap_or_default());
    Some(out)
}

#[cfg(test)]
mod tests;
