//! What a body is, by its type, its encoding, and how it begins.

use crate::wire::sip::{Message, Name};

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
    /// multipart/* without one readable boundary: two readers would see two sets of parts.
    Unsplit,
    /// Text that may name inside hosts and is understood well enough to overwrite them.
    Scrub,
    /// A voice quality report (RFC 6035): [`crate::wire::vq_report`] reads it.
    QualityReport,
    /// Text that is meant for people or machines and may pass: outwards as any text.
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

/// Why nobody can say what a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It has no Content-Type (RFC 3261 §7.4.1): 400.
    Untyped,
    /// A Content-Encoding or a transfer encoding hides its octets: 415.
    Encoded,
}

impl Kind {
    /// What a message's body is: by its type, but whatever begins as a session description does is
    /// one, for its reader may not look at the type. An empty body is no case for this.
    ///
    /// # Errors
    /// It has no type, or its octets are encoded.
    pub fn of_message(message: &Message) -> Result<Self, Unreadable> {
        let Some(content_type) = message.first(&Name::ContentType) else {
            return Err(Unreadable::Untyped);
        };
        let transfer = Name::parse("Content-Transfer-Encoding");
        let encodings = message.rows(&Name::ContentEncoding);
        if !encodings.chain(message.rows(&transfer)).all(is_plain) {
            return Err(Unreadable::Encoded);
        }
        Ok(Self::of_octets(std::str::from_utf8(content_type).ok(), message.body()))
    }

    /// What octets of a type are.
    #[must_use]
    pub fn of_octets(content_type: Option<&str>, octets: &[u8]) -> Self {
        if begins_as_sdp(octets) { Self::Sdp } else { Self::of(content_type) }
    }

    /// Reads a Content-Type value.
    #[must_use]
    pub fn of(content_type: Option<&str>) -> Self {
        let Some(value) = content_type else { return Self::Unknown };
        let (kind, params) = value.split_once(';').unwrap_or((value, ""));
        // White space around the slash is legal (RFC 3261 §25.1: m-type SLASH m-subtype).
        let kind: String = kind
            .chars()
            .filter(|c| !c.is_ascii_whitespace())
            .collect::<String>()
            .to_ascii_lowercase();
        if kind == "application/sdp" {
            Self::Sdp
        } else if kind == "application/vq-rtcpxr" {
            Self::QualityReport
        } else if SCRUBBED.contains(&kind.as_str()) {
            Self::Scrub
        } else if PASSED.contains(&kind.as_str()) {
            Self::Pass
        } else if kind.starts_with("multipart/") {
            boundary(params).map_or(Self::Unsplit, |boundary| Self::Multipart { boundary })
        } else {
            Self::Unknown
        }
    }
}

/// `v=0`, as lenient a reader as there may be: behind a mark of UTF-8, blanks and empty lines.
fn begins_as_sdp(octets: &[u8]) -> bool {
    let octets = octets.strip_prefix(b"\xef\xbb\xbf").unwrap_or(octets).trim_ascii_start();
    let after = octets.strip_prefix(b"v").map(<[u8]>::trim_ascii_start);
    let value = after.and_then(|a| a.strip_prefix(b"=")).map(<[u8]>::trim_ascii_start);
    value.is_some_and(|v| v.starts_with(b"0"))
}

/// Whether an encoding leaves the octets as they are: none, or a transfer encoding that is only a
/// promise about them (RFC 2045 §6.2).
pub(super) fn is_plain(encoding: &[u8]) -> bool {
    let plain = ["identity", "7bit", "8bit", "binary"];
    plain.iter().any(|p| encoding.trim_ascii().eq_ignore_ascii_case(p.as_bytes()))
}

/// Whether a Content-Disposition says that its body may be left out (`handling=optional`, RFC 3261
/// §20.11). Said twice, it is not said.
#[must_use]
pub fn is_optional(disposition: Option<&str>) -> bool {
    let mut rest = disposition.and_then(|d| d.split_once(';')).map_or("", |(_, params)| params);
    let mut said = None;
    while !rest.is_empty() {
        let Some((value, after, name)) = param(rest) else { return false };
        if name.eq_ignore_ascii_case("handling") && said.replace(value).is_some() {
            return false;
        }
        rest = after;
    }
    said.is_some_and(|v| v.eq_ignore_ascii_case("optional"))
}

/// Whether a body of this type is text in which a word can be overwritten: text, messages, XML,
/// JSON. Text in which NULs stand is of two or four octets a letter, and is not.
#[must_use]
pub fn is_text(content_type: &str, octets: &[u8]) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let Some((family, sub)) = kind.split_once('/') else { return false };
    let last = sub.rsplit('+').next().unwrap_or_default();
    let named = matches!(family, "text" | "message") || matches!(last, "xml" | "json");
    named && !octets.contains(&0)
}

/// Whether a message within the body (`message/cpim`, `message/rfc822`) says of a part of itself
/// that an encoding hides its octets.
#[must_use]
pub fn hides_a_part(content_type: &str, octets: &[u8]) -> bool {
    let of_messages = content_type.trim_start().get(..8);
    if !of_messages.is_some_and(|family| family.eq_ignore_ascii_case("message/")) {
        return false;
    }
    octets.split(|b| *b == b'\n').any(|line| {
        let (name, value) = line.split_at(memchr::memchr(b':', line).unwrap_or(0));
        let encoding = ["content-transfer-encoding", "content-encoding"];
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        encoding.iter().any(|e| name.trim_ascii().eq_ignore_ascii_case(e.as_bytes()))
            && !is_plain(value)
    })
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
