//! Streams → messages by Content-Length (RFC 3261 §18.3), bounded.
use super::Refusal;
use bytes::Bytes;

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

/// Collects one stream. Holds at most 65,535 octets of one message.
#[derive(Debug, Default)]
pub struct Framer {}

impl Framer {
    /// Adds received octets.
    pub fn push(&mut self, _bytes: &[u8]) {
        todo!()
    }
    /// Takes the next item; `None`: more octets needed. After `Refused` the stream is dead.
    pub fn next(&mut self) -> Option<Framed> {
        todo!()
    }
    /// True while no complete message has been seen and octets of one wait.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        todo!()
    }
}
