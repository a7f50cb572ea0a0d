//! What a body is, and the few things that are done to bodies that are no SDP: multipart is split
//! and joined (RFC 2046), text that can name hosts is scrubbed. What may pass is the engine's word.

use super::addresses::find_addresses;
use super::limits;
use std::net::IpAddr;

/// A body by its Content-Type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// application/sdp.
    Sdp,
    /// multipart/*, with its boundary.
    Multipart {
        /// As in the Content-Type.
        boundary: String,
    },
    /// Text that may name inside hosts and is understood well enough to overwrite them.
    Scrub,
    /// Text that names nobody.
    Pass,
    /// Anything else.
    Unknown,
}

impl Kind {
    /// Reads a Content-Type value.
    #[must_use]
    pub fn of(content_type: Option<&str>) -> Self {
        let Some(value) = content_type else { return Self::Unknown };
        let (kind, params) = value.split_once(';').unwrap_or((value, ""));
        let kind = kind.trim().to_ascii_lowercase();
        match kind.as_str() {
            "application/sdp" => Self::Sdp,
            "application/dialog-info+xml"
            | "message/sipfrag"
            | "application/vq-rtcpxr"
            | "application/pidf+xml"
            | "application/reginfo+xml"
            | "application/xpidf+xml" => Self::Scrub,
            "application/simple-message-summary"
            | "application/dtmf-relay"
            | "application/dtmf"
            | "application/media_control+xml"
            | "text/plain" => Self::Pass,
            k if k.starts_with("multipart/") => {
                boundary(params).map_or(Self::Unknown, |boundary| Self::Multipart { boundary })
            }
            _ => Self::Unknown,
        }
    }
}

/// 1–70 characters (RFC 2046 §5.1.1).
fn boundary(params: &str) -> Option<String> {
    let value = params.split(';').find_map(|p| {
        let (name, value) = p.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"'))
    })?;
    (!value.is_empty() && value.len() <= 70).then(|| value.to_owned())
}

/// One part of a multipart body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    head: Vec<u8>,
    body: Vec<u8>,
}

impl Part {
    /// Its Content-Type; `None`: absent (text/plain by default, RFC 2046 §5.2) or not text.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        let head = std::str::from_utf8(&self.head).ok()?;
        head.lines().find_map(|l| {
            let (name, value) = l.split_once(':')?;
            name.trim().eq_ignore_ascii_case("content-type").then(|| value.trim())
        })
    }

    /// Its content.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Replaces its content; a Content-Length of the part goes, for it would be wrong.
    pub fn set_body(&mut self, body: Vec<u8>) {
        let head = String::from_utf8_lossy(&self.head);
        let kept: Vec<&str> = head
            .lines()
            .filter(|l| !l.to_ascii_lowercase().starts_with("content-length"))
            .collect();
        self.head = kept.join("\r\n").into_bytes();
        self.body = body;
    }
}

/// Splits a multipart body. Preamble and epilogue are dropped.
///
/// # Errors
/// In words: no closing delimiter, too many parts.
pub fn split(body: &[u8], boundary: &str) -> Result<Vec<Part>, &'static str> {
    let delimiter = format!("--{boundary}").into_bytes();
    let finder = memchr::memmem::Finder::new(&delimiter);
    let starts: Vec<usize> = finder
        .find_iter(body)
        .filter(|at| *at == 0 || body.get(at - 1) == Some(&b'\n'))
        .take(limits::MULTIPART_PARTS + 2)
        .collect();
    let mut parts = Vec::new();
    for pair in starts.windows(2) {
        let [from, to] = pair else { continue };
        if parts.len() >= limits::MULTIPART_PARTS {
            return Err("more than 16 parts");
        }
        let inner = body.get(from + delimiter.len()..*to).unwrap_or_default();
        parts.push(part(inner).ok_or("a part without an end")?);
    }
    let last = starts.last().and_then(|at| body.get(at + delimiter.len()..));
    if parts.is_empty() || last.is_none_or(|rest| !rest.starts_with(b"--")) {
        return Err("no closing delimiter");
    }
    Ok(parts)
}

/// From behind the delimiter to the line end before the next one.
fn part(inner: &[u8]) -> Option<Part> {
    let start = memchr::memchr(b'\n', inner)? + 1;
    let inner = inner.get(start..)?;
    let inner = inner.strip_suffix(b"\n")?;
    let inner = inner.strip_suffix(b"\r").unwrap_or(inner);
    if let Some(body) = inner.strip_prefix(b"\r\n") {
        return Some(Part { head: Vec::new(), body: body.to_vec() });
    }
    match memchr::memmem::find(inner, b"\r\n\r\n") {
        Some(at) => {
            let (head, body) = inner.split_at_checked(at)?;
            Some(Part { head: head.to_vec(), body: body.get(4..)?.to_vec() })
        }
        None => Some(Part { head: inner.to_vec(), body: Vec::new() }),
    }
}

/// Joins parts with regular line ends.
#[must_use]
pub fn join(parts: &[Part], boundary: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for p in parts {
        out.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
        if !p.head.is_empty() {
            out.extend_from_slice(&p.head);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(&p.body);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    out
}

/// Overwrites every address literal for which `hidden` says so.
#[must_use]
pub fn scrub(body: &[u8], hidden: impl Fn(IpAddr) -> bool, shown: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    let mut at = 0;
    for (range, ip) in find_addresses(body) {
        // Within a chain of numbers literals overlap: the first hidden one takes its octets.
        if range.start >= at && hidden(ip) {
            out.extend_from_slice(body.get(at..range.start).unwrap_or_default());
            out.extend_from_slice(shown.as_bytes());
            at = range.end;
        }
    }
    out.extend_from_slice(body.get(at..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn types_are_told_apart() {
        assert_eq!(Kind::of(Some("Application/SDP ; x=y")), Kind::Sdp);
        let mixed = Kind::of(Some("multipart/mixed;boundary=\"b1\""));
        assert_eq!(mixed, Kind::Multipart { boundary: "b1".into() });
        assert_eq!(Kind::of(Some("multipart/mixed")), Kind::Unknown);
        assert_eq!(Kind::of(None), Kind::Unknown);
    }

    #[test]
    fn sixteen_parts_pass_and_seventeen_do_not() {
        let part = Part { head: b"Content-Type: text/plain".to_vec(), body: b"x".to_vec() };
        let body = |n: usize| join(&vec![part.clone(); n], "b");
        assert_eq!(split(&body(16), "b").map(|p| p.len()), Ok(16));
        assert!(split(&body(17), "b").is_err());
        assert!(split(b"--b\r\n\r\nx", "b").is_err());
    }

    #[test]
    fn inside_addresses_are_overwritten() {
        let hidden = |ip: IpAddr| ip.to_string().starts_with("10.");
        let out = scrub(b"<uri>sip:1@10.1.2.3</uri> 192.0.2.1", hidden, "198.51.100.1");
        assert_eq!(out, b"<uri>sip:1@198.51.100.1</uri> 192.0.2.1");
    }

    proptest! {
        #[test]
        fn join_and_split_are_inverse(bodies in proptest::collection::vec("[ -~]{0,40}", 1..16)) {
            let parts: Vec<Part> = bodies
                .iter()
                .map(|b| Part { head: b"Content-Type: a/b".to_vec(), body: b.clone().into_bytes() })
                .collect();
            prop_assert_eq!(split(&join(&parts, "x9x"), "x9x").ok(), Some(parts));
        }

        #[test]
        fn no_input_panics(body: Vec<u8>, b in "[a-z]{1,3}") {
            let _ = split(&body, &b);
        }
    }
}
