//! The lines of a quality report, unfolded and told apart by their names, and the parameters within
//! a line. It understands no value.

use super::{Kind, Unreadable, limits};
use std::borrow::Cow;

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Kind(Kind),
    CallId,
    DialogId,
    LocalId,
    RemoteId,
    OrigId,
    /// Drafts: whom the caller called.
    ToId,
    LocalAddress,
    RemoteAddress,
    LocalMetrics,
    RemoteMetrics,
    /// A group of metrics: parameter names are of one name space, so groups need no telling apart.
    Metrics,
    /// A hardware address.
    Hardware,
    /// Parameters without a name before them.
    Bare,
    Unknown,
}

/// Line names without hyphens, in lower case.
const KEYS: [(&str, Key); 32] = [
    ("vqsessionreport", Key::Kind(Kind::Session)),
    ("vqintervalreport", Key::Kind(Kind::Interval)),
    ("vqalertreport", Key::Kind(Kind::Alert)),
    ("callid", Key::CallId),
    ("dialogid", Key::DialogId),
    ("localid", Key::LocalId),
    ("remoteid", Key::RemoteId),
    ("origid", Key::OrigId),
    ("fromid", Key::OrigId),
    ("toid", Key::ToId),
    ("localaddr", Key::LocalAddress),
    ("localaddress", Key::LocalAddress),
    ("remoteaddr", Key::RemoteAddress),
    ("remoteaddress", Key::RemoteAddress),
    ("localmetrics", Key::LocalMetrics),
    // So the RFC's own example of an alert calls them (§4.7.4).
    ("metrics", Key::LocalMetrics),
    ("remotemetrics", Key::RemoteMetrics),
    ("timestamps", Key::Metrics),
    ("sessiondesc", Key::Metrics),
    ("sessiondescription", Key::Metrics),
    ("jitterbuffer", Key::Metrics),
    ("packetloss", Key::Metrics),
    ("burstgaploss", Key::Metrics),
    ("delay", Key::Metrics),
    ("signal", Key::Metrics),
    ("qualityest", Key::Metrics),
    ("qualityestimates", Key::Metrics),
    ("localmac", Key::Hardware),
    ("localmacaddr", Key::Hardware),
    ("remotemac", Key::Hardware),
    ("remotemacaddr", Key::Hardware),
    ("mac", Key::Hardware),
];

/// One logical line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    pub(super) key: Key,
    /// As it came: with folds and line ends.
    pub(super) bytes: &'a [u8],
    /// Where the value begins.
    at: usize,
}

impl Line<'_> {
    /// The value, unfolded and trimmed.
    pub(super) fn value(&self) -> Cow<'_, str> {
        let text = String::from_utf8_lossy(self.bytes.get(self.at..).unwrap_or_default());
        if !text.trim().contains(['\r', '\n']) {
            return match text {
                Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
                Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
            };
        }
        let words: Vec<&str> = text.split(['\r', '\n']).map(str::trim).collect();
        Cow::Owned(words.join(" ").trim().to_owned())
    }

    /// The Call-ID that it names, octet by octet as it came, so that the same octets elsewhere are
    /// found also where they are no text; of a folded line what its value is.
    pub(super) fn call_id(&self) -> Option<Cow<'_, [u8]>> {
        let raw = self.bytes.get(self.at..).unwrap_or_default().trim_ascii();
        let value = if raw.contains(&b'\n') || raw.contains(&b'\r') {
            Cow::Owned(self.value().into_owned().into_bytes())
        } else {
            Cow::Borrowed(raw)
        };
        match self.key {
            Key::CallId => Some(value),
            Key::DialogId => {
                let end = value.iter().position(|b| *b == b';').unwrap_or(value.len());
                let id = value.get(..end).unwrap_or_default().trim_ascii();
                Some(Cow::Owned(id.to_vec()))
            }
            Key::Kind(_)
            | Key::LocalId
            | Key::RemoteId
            | Key::OrigId
            | Key::ToId
            | Key::LocalAddress
            | Key::RemoteAddress
            | Key::LocalMetrics
            | Key::RemoteMetrics
            | Key::Metrics
            | Key::Hardware
            | Key::Bare
            | Key::Unknown => None,
        }
    }

    /// The line with another value, on one line; as it came when that is its value.
    pub(super) fn replaced(&self, out: &mut Vec<u8>, value: &str) {
        if value == self.value() {
            out.extend_from_slice(self.bytes);
            return;
        }
        out.extend_from_slice(self.bytes.get(..self.at).unwrap_or_default());
        out.extend_from_slice(value.as_bytes());
        let end = self.bytes.iter().rev().take_while(|b| matches!(b, b'\r' | b'\n')).count();
        let ends = self.bytes.len() - end.min(self.bytes.len() - self.at.min(self.bytes.len()));
        out.extend_from_slice(self.bytes.get(ends..).unwrap_or_default());
    }
}

/// The logical lines of a body; together they are the body.
pub(super) fn lines(body: &[u8]) -> Result<Vec<Line<'_>>, Unreadable> {
    if body.len() > limits::QUALITY_REPORT {
        return Err(Unreadable::TooLong);
    }
    if body.iter().any(|b| b.is_ascii_control() && !matches!(b, b'\r' | b'\n' | b'\t')) {
        return Err(Unreadable::NoText);
    }
    if body.split(|b| *b == b'\n').count() > limits::QUALITY_REPORT_LINES {
        return Err(Unreadable::TooManyLines);
    }
    let mut found = Vec::new();
    let mut begin = 0;
    let mut at = 0;
    for physical in body.split_inclusive(|b| *b == b'\n') {
        let folded = physical.first().is_some_and(|b| matches!(b, b' ' | b'\t'));
        // Some indent; a name of ours with its colon is no continuation.
        let own = matches!(key_of(physical), (key, _) if key != Key::Bare && key != Key::Unknown);
        if at > begin && (!folded || own) {
            found.push(line(body.get(begin..at).unwrap_or_default()));
            begin = at;
        }
        at += physical.len();
    }
    if at > begin {
        found.push(line(body.get(begin..at).unwrap_or_default()));
    }
    Ok(found)
}

fn line(bytes: &[u8]) -> Line<'_> {
    let (key, at) = key_of(bytes);
    let value = bytes.get(at..).unwrap_or_default();
    let blanks = value.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
    Line { key, bytes, at: at + blanks }
}

/// The key of a line and where its value begins.
fn key_of(bytes: &[u8]) -> (Key, usize) {
    let end = bytes.iter().position(|b| matches!(b, b':' | b'=' | b'\n')).unwrap_or(bytes.len());
    let name = name_of(bytes.get(..end).unwrap_or_default());
    let known = KEYS.iter().find(|(n, _)| *n == name).map(|(_, key)| *key);
    match (bytes.get(end), known) {
        (Some(b':' | b'='), Some(key)) => (key, end + 1),
        // `VQSessionReport` may stand alone (§4.6.1), and what begins metrics says nothing more.
        (_, Some(key @ (Key::Kind(_) | Key::LocalMetrics | Key::RemoteMetrics))) => (key, end),
        (Some(b'='), None) => (Key::Bare, 0),
        (Some(_) | None, None) | (None, Some(_)) | (Some(_), Some(_)) => (Key::Unknown, end),
    }
}

/// At most the length of the longest key: the rest is none of them.
fn name_of(bytes: &[u8]) -> String {
    let trimmed = bytes.trim_ascii();
    if trimmed.len() > 24 {
        return String::new();
    }
    let letters = trimmed.iter().filter(|b| **b != b'-');
    letters.map(|b| char::from(b.to_ascii_lowercase())).collect()
}

/// Every `NAME=value` of a text. Spaces around `=` are allowed, a value may be quoted, and where a
/// space was forgotten (`JBM=20JBX=240`) the letters before the next `=` are its name.
pub(super) fn params<'a>(text: &'a str, mut each: impl FnMut(&'a str, &'a str)) {
    let mut rest = text;
    while let Some(equals) = rest.find('=') {
        let (before, after) = rest.split_at(equals);
        let name = before.trim_end();
        let name = name.get(word_start(name)..).unwrap_or_default();
        let after = after.get(1..).unwrap_or_default().trim_start();
        if let Some(quoted) = after.strip_prefix('"') {
            let (value, next) = quoted.split_once('"').unwrap_or((quoted, ""));
            each(name, value);
            rest = next;
            continue;
        }
        let ends = |c: char| c == '=' || c.is_ascii_whitespace();
        let mut end = after.find(ends).unwrap_or(after.len());
        if after.get(end..).is_some_and(|t| t.starts_with('=')) {
            end = glued(after, end);
        }
        let value = after.get(..end).unwrap_or_default();
        each(name, value.trim_end_matches([',', ';']));
        rest = after.get(value.len()..).unwrap_or_default();
    }
}

/// Where the last word of a text begins.
fn word_start(text: &str) -> usize {
    text.rfind(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_').map_or(0, |at| {
        at + text.get(at..).and_then(|t| t.chars().next()).map_or(1, char::len_utf8)
    })
}

/// Where the name before `equals` begins: its letters.
fn glued(value: &str, equals: usize) -> usize {
    let before = value.get(..equals).unwrap_or_default();
    before.rfind(|c: char| !c.is_ascii_alphabetic()).map_or(0, |at| {
        at + before.get(at..).and_then(|t| t.chars().next()).map_or(1, char::len_utf8)
    })
}
