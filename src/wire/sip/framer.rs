//! Streams → messages by Content-Length (RFC 3261 §18.3), bounded.

use super::parse::length;
use super::text::trim;
use super::{Name, Refusal, RejectReason};
use crate::wire::limits;
use bytes::{Bytes, BytesMut};

/// What a stream held.
#[derive(Debug)]
pub enum Framed {
    /// One complete message's bytes, ready for [`super::Message::parse`].
    Message(Bytes),
    /// A double CRLF keep-alive: answer with a single CRLF (RFC 5626 §3.5.1).
    Ping,
    /// Not SIP, or too large: answer if `answerable`, then close.
    Refused(Refusal),
}

/// Collects one stream. Holds at most 65,535 octets of one message and what one read added.
#[derive(Debug, Default)]
pub struct Framer {
    buffer: BytesMut,
    /// Up to where the end of the head was searched for.
    scanned: usize,
    dead: bool,
}

impl Framer {
    /// Adds received octets.
    pub fn push(&mut self, bytes: &[u8]) {
        if !self.dead {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// Takes the next item; `None`: more octets needed. After `Refused` the stream is dead.
    #[expect(clippy::should_implement_trait, reason = "a framer is fed between calls")]
    pub fn next(&mut self) -> Option<Framed> {
        if self.dead {
            return None;
        }
        if self.scanned == 0 {
            if self.buffer.starts_with(b"\r\n\r\n") {
                let _ = self.buffer.split_to(4);
                return Some(Framed::Ping);
            }
            if self.buffer.starts_with(b"\r\n") && self.buffer.len() > 2 && !self.might_ping() {
                let _ = self.buffer.split_to(2);
            }
            if !starts_like_sip(&self.buffer) {
                return Some(self.refuse(RejectReason::Framing, 400, "Not SIP", None));
            }
        }
        let Some(end) = self.head_end() else {
            if self.buffer.len() > limits::STREAM_MESSAGE {
                return Some(self.refuse(RejectReason::TooLarge, 513, "Message Too Large", None));
            }
            return None;
        };
        let head = self.buffer.get(..end).unwrap_or_default();
        let Some(body) = content_length(head) else {
            // The message itself says what is wrong: let the parser answer it, then close.
            let head = Bytes::copy_from_slice(head);
            let refusal = super::Message::parse(head, super::Framing::Stream).err();
            let answerable = refusal.and_then(|r| r.answerable);
            let phrase = "Content-Length Required";
            return Some(self.refuse(RejectReason::Framing, 400, phrase, answerable));
        };
        if end.saturating_add(body) > limits::STREAM_MESSAGE {
            let answerable = answerable_head(head);
            let phrase = "Message Too Large";
            return Some(self.refuse(RejectReason::TooLarge, 513, phrase, answerable));
        }
        if self.buffer.len() < end + body {
            return None;
        }
        self.scanned = 0;
        Some(Framed::Message(self.buffer.split_to(end + body).freeze()))
    }

    /// True while no complete message has been seen and octets of one wait.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        !self.buffer.is_empty()
    }

    fn might_ping(&self) -> bool {
        self.buffer.get(2) == Some(&b'\r') && self.buffer.len() < 4
    }

    /// The octet after the blank line; remembers how far it looked.
    fn head_end(&mut self) -> Option<usize> {
        let from = self.scanned.saturating_sub(3);
        let rest = self.buffer.get(from..).unwrap_or_default();
        let found = memchr::memmem::find(rest, b"\r\n\r\n").map(|at| from + at + 4);
        if found.is_none() {
            self.scanned = self.buffer.len();
        }
        found
    }

    fn refuse(
        &mut self,
        reason: RejectReason,
        status: u16,
        phrase: &'static str,
        answerable: Option<Box<super::Message>>,
    ) -> Framed {
        self.dead = true;
        self.buffer.clear();
        Framed::Refused(Refusal { reason, status, phrase: phrase.into(), answerable })
    }
}

/// The first octets of a method or of `SIP/2.0`; HTTP and noise are cut off early.
fn starts_like_sip(buffer: &[u8]) -> bool {
    let line = match memchr::memchr2(b'\r', b'\n', buffer) {
        Some(0) => return buffer.starts_with(b"\r"),
        Some(end) => {
            let line = buffer.get(..end).unwrap_or_default();
            let upper = line.to_ascii_uppercase();
            let ends = upper.rsplit(|b| *b == b' ').next().unwrap_or_default();
            return upper.starts_with(b"SIP/") || ends.starts_with(b"SIP/");
        }
        None => buffer,
    };
    let word = line.split(|b| *b == b' ').next().unwrap_or_default();
    line.len() <= limits::HEADER_LINE
        && word.iter().all(|b| super::text::is_token_char(*b) || *b == b'/')
}

/// The one Content-Length of a head; `None` when absent, double or no number.
fn content_length(head: &[u8]) -> Option<usize> {
    let mut found = None;
    for line in head.split(|b| *b == b'\n') {
        let Some(colon) = line.iter().position(|b| *b == b':') else { continue };
        let name = std::str::from_utf8(trim(line.get(..colon)?)).unwrap_or_default();
        if Name::parse(name) != Name::ContentLength {
            continue;
        }
        let value = line.get(colon + 1..)?;
        let value = trim(value.strip_suffix(b"\r").unwrap_or(value));
        if found.is_some() {
            return None;
        }
        found = Some(length(value)?);
    }
    found
}

/// The head of a message that is too large to take, for its answer.
fn answerable_head(head: &[u8]) -> Option<Box<super::Message>> {
    let bytes = Bytes::copy_from_slice(head);
    super::Message::parse(bytes, super::Framing::Datagram).err().and_then(|r| r.answerable)
}
