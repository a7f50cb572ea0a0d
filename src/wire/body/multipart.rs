//! Multipart bodies (RFC 2046 §5.1), one level deep: split so that a part can be rewritten, joined
//! so that the others are what they were. What two readers could split differently is refused.

use super::kind::{Kind, Unreadable, is_optional, is_plain};
use crate::wire::limits;

/// One part of a multipart body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Header lines, unfolded.
    head: Vec<Vec<u8>>,
    body: Vec<u8>,
}

impl Part {
    /// Its Content-Type; `None`: absent (text/plain by default, RFC 2046 §5.2) or not text.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.values("content-type").next().and_then(|v| std::str::from_utf8(v).ok())
    }

    /// What it is, whatever its name; encoded, nobody can say. Without a type it is text.
    ///
    /// # Errors
    /// [`Unreadable::Encoded`].
    pub fn kind(&self) -> Result<Kind, Unreadable> {
        let transfer = self.values("content-transfer-encoding");
        if !transfer.chain(self.values("content-encoding")).all(is_plain) {
            return Err(Unreadable::Encoded);
        }
        let written = self.values("content-type").next();
        let read = written.map_or(Some("text/plain"), |v| std::str::from_utf8(v).ok());
        Ok(Kind::of_octets(read, &self.body))
    }

    /// Whether it may be left out (`handling=optional`, RFC 3261 §20.11).
    #[must_use]
    pub fn is_optional(&self) -> bool {
        let mut all = self.values("content-disposition");
        let first = all.next().and_then(|v| std::str::from_utf8(v).ok());
        all.next().is_none() && is_optional(first)
    }

    /// Its Content-Disposition as written; `None`: absent or not text.
    #[must_use]
    pub fn disposition(&self) -> Option<&str> {
        self.values("content-disposition").next().and_then(|v| std::str::from_utf8(v).ok())
    }

    /// Its content.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Replaces its content; a Content-Length of the part goes, for it would be wrong.
    pub fn set_body(&mut self, body: Vec<u8>) {
        self.head.retain(|l| !field(l).0.eq_ignore_ascii_case(b"content-length"));
        self.body = body;
    }

    /// Writes its header lines anew (a Content-ID is often `x@host`).
    pub fn overwrite_head(&mut self, overwrite: impl Fn(&[u8]) -> Vec<u8>) {
        for line in &mut self.head {
            *line = overwrite(line);
        }
    }

    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let named = move |l: &'a Vec<u8>| {
            let (n, value) = field(l);
            n.eq_ignore_ascii_case(name.as_bytes()).then_some(value)
        };
        self.head.iter().filter_map(named)
    }

    /// Reads what stands between two delimiter lines (without the line end before the second).
    fn read(text: &[u8]) -> Result<Self, &'static str> {
        let mut head: Vec<Vec<u8>> = Vec::new();
        let mut rest = text;
        loop {
            let (line, after) = next_line(rest);
            rest = after;
            if line.is_empty() {
                break;
            }
            if line.iter().any(|b| b.is_ascii_control() && *b != b'\t') {
                return Err("a control character in a part's head");
            }
            if head.len() >= limits::HEADER_LINES {
                return Err("a part of more than 256 header lines");
            }
            match (line, head.last_mut()) {
                ([b' ' | b'\t', ..], Some(last)) => {
                    last.push(b' ');
                    last.extend_from_slice(line.trim_ascii());
                }
                ([b' ' | b'\t', ..], None) => return Err("a part's head cannot be read"),
                _ if field(line).0.is_empty() => return Err("a part's head cannot be read"),
                _ => head.push(line.to_vec()),
            }
        }
        let part = Self { head, body: rest.to_vec() };
        part.check()?;
        Ok(part)
    }

    /// One type at most: two could be read in two ways.
    fn check(&self) -> Result<(), &'static str> {
        if self.values("content-type").count() > 1 { Err("a part of two types") } else { Ok(()) }
    }
}

/// Name and value of a header line; no colon: no name.
fn field(line: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b':', line).and_then(|at| line.split_at_checked(at)) {
        Some((name, value)) => (name.trim_ascii(), value.get(1..).unwrap_or_default().trim_ascii()),
        None => (&[], line),
    }
}

/// The first line without its end, and what follows.
fn next_line(text: &[u8]) -> (&[u8], &[u8]) {
    let at = memchr::memchr(b'\n', text).unwrap_or(text.len());
    let (line, rest) = text.split_at_checked(at).unwrap_or((text, &[]));
    (line.strip_suffix(b"\r").unwrap_or(line), rest.get(1..).unwrap_or_default())
}

/// What a line is to a splitter.
enum Delimiter {
    Next,
    Close,
}

/// A delimiter may be followed by blanks, by nothing else (RFC 2046 §5.1.1).
fn delimiter(line: &[u8], boundary: &str) -> Option<Delimiter> {
    let rest = line.strip_prefix(b"--")?.strip_prefix(boundary.as_bytes())?;
    let (rest, kind) = match rest.strip_prefix(b"--") {
        Some(rest) => (rest, Delimiter::Close),
        None => (rest, Delimiter::Next),
    };
    rest.iter().all(|b| *b == b' ' || *b == b'\t').then_some(kind)
}

/// Splits a multipart body. Preamble and epilogue are dropped.
///
/// # Errors
/// In words: no parts, no closing delimiter, too many parts, or a part that cannot be read.
pub fn split(body: &[u8], boundary: &str) -> Result<Vec<Part>, &'static str> {
    let mut parts = Vec::new();
    let mut begun = None;
    let mut at = 0;
    while at < body.len() {
        let rest = body.get(at..).unwrap_or_default();
        let (line, after) = next_line(rest);
        let next = body.len() - after.len();
        if let Some(kind) = delimiter(line, boundary) {
            if let Some(from) = begun {
                if parts.len() >= limits::MULTIPART_PARTS {
                    return Err("more than 16 parts");
                }
                let inner = body.get(from..at).unwrap_or_default();
                // The line end before a delimiter belongs to the delimiter.
                let inner = inner.strip_suffix(b"\n").unwrap_or(inner);
                parts.push(Part::read(inner.strip_suffix(b"\r").unwrap_or(inner))?);
            }
            match kind {
                Delimiter::Close if parts.is_empty() => return Err("no parts"),
                Delimiter::Close => return Ok(parts),
                Delimiter::Next => begun = Some(next),
            }
        }
        at = next;
    }
    Err("no closing delimiter")
}

/// Joins parts with regular line ends.
#[must_use]
pub fn join(parts: &[Part], boundary: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for p in parts {
        out.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
        for line in &p.head {
            out.extend_from_slice(line);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(&p.body);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    out
}
