//! Streams → messages by Content-Length (RFC 3261 §18.3), bounded, each octet looked at a constant
//! number of times however it arrives. It reads no header but the length; the parser does the rest.

use super::text::is_token_char;
use super::{Message, Refusal, RejectReason, lines, start_line};
use crate::wire::limits;
use bytes::{Buf as _, Bytes, BytesMut};

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
    state: State,
    passes_over: bool,
}

/// How far the message at the start of the buffer has been read.
#[derive(Debug, Default)]
enum State {
    /// Blank lines; no octet of a message yet.
    #[default]
    Between,
    /// In the first line: octets looked at, and whether a space was among them.
    First { scanned: usize, spaced: bool },
    /// In the head: octets looked at.
    Head { scanned: usize },
    /// The head is complete; octets of the whole message.
    Body { total: usize },
    /// Octets of a refused message that are passed over.
    Over { left: usize },
    /// Refused: nothing is read any more.
    Dead,
}

impl Framer {
    /// One whose stream many share: a message that is too large is refused, and what comes behind
    /// its length is read on.
    #[must_use]
    pub fn shared() -> Self {
        Self { passes_over: true, ..Self::default() }
    }

    /// It is of no use any more: what comes is not read.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        matches!(self.state, State::Dead)
    }

    /// Adds received octets.
    pub fn push(&mut self, bytes: &[u8]) {
        if !matches!(self.state, State::Dead) {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// Takes the next item; `None`: more octets needed. After `Refused` the stream is dead, but
    /// where it says otherwise.
    #[expect(clippy::should_implement_trait, reason = "a framer is fed between calls")]
    pub fn next(&mut self) -> Option<Framed> {
        loop {
            let step = match self.state {
                State::Between => self.between(),
                State::First { scanned, spaced } => self.first(scanned, spaced),
                State::Head { scanned } => self.head(scanned),
                State::Body { total } => return self.body(total),
                State::Over { left } => self.over(left),
                State::Dead => return None,
            };
            match step {
                Step::Go(state) => self.state = state,
                Step::Out(framed) => return Some(framed),
                Step::Wait(state) => {
                    self.state = state;
                    return None;
                }
            }
        }
    }

    /// Octets held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.buffer.len()
    }

    /// True while octets of an incomplete message wait (blank lines are none).
    #[must_use]
    pub fn is_partial(&self) -> bool {
        self.buffer.iter().any(|b| !matches!(b, b'\r' | b'\n'))
    }

    fn between(&mut self) -> Step {
        const PING: &[u8] = b"\r\n\r\n";
        if self.buffer.starts_with(PING) {
            let _ = self.buffer.split_to(PING.len());
            return Step::Out(Framed::Ping);
        }
        if PING.starts_with(&self.buffer) {
            return Step::Wait(State::Between);
        }
        if self.buffer.starts_with(b"\r\n") {
            let _ = self.buffer.split_to(2);
        }
        Step::Go(State::First { scanned: 0, spaced: false })
    }

    /// HTTP and noise are cut off with their first line, what is no word at once.
    fn first(&mut self, scanned: usize, mut spaced: bool) -> Step {
        for (i, b) in self.window().iter().enumerate().skip(scanned) {
            match b {
                b'\r' => match self.buffer.get(i + 1) {
                    None => return self.wait(State::First { scanned: i, spaced }),
                    Some(b'\n') if start_line::is_sip(self.buffer.get(..i).unwrap_or_default()) => {
                        return Step::Go(State::Head { scanned: i });
                    }
                    Some(_) => return self.not_sip(),
                },
                b' ' => spaced = true,
                b'\n' => return self.not_sip(),
                b if !spaced && !is_token_char(*b) && *b != b'/' => return self.not_sip(),
                _ => {}
            }
        }
        self.wait(State::First { scanned: self.buffer.len(), spaced })
    }

    fn head(&mut self, scanned: usize) -> Step {
        let rest = self.window().get(scanned..).unwrap_or_default();
        let Some(at) = memchr::memmem::find(rest, b"\r\n\r\n") else {
            // The last three octets may be the beginning of the blank line.
            let scanned = scanned.max(self.buffer.len().saturating_sub(3));
            return self.wait(State::Head { scanned });
        };
        let end = scanned + at + 4;
        let head = self.buffer.get(..end).unwrap_or_default();
        match lines::declared_length(head) {
            Some(body) if end.saturating_add(body) <= limits::STREAM_MESSAGE => {
                Step::Go(State::Body { total: end + body })
            }
            Some(body) => {
                // The length is beyond what is there, so the parser says whom to answer.
                let read = Message::parse(Bytes::copy_from_slice(head), super::Framing::Stream);
                let refusal = too_large(read.err());
                if !self.passes_over {
                    return self.refuse(refusal);
                }
                self.state = State::Over { left: end.saturating_add(body) };
                Step::Out(Framed::Refused(refusal))
            }
            None => {
                let read = Message::parse(Bytes::copy_from_slice(head), super::Framing::Stream);
                let fault = lines::framing_fault("Content-Length Required");
                self.refuse(read.err().unwrap_or_else(|| fault.unanswerable()))
            }
        }
    }

    fn body(&mut self, total: usize) -> Option<Framed> {
        if self.buffer.len() < total {
            return None;
        }
        self.state = State::Between;
        // A copy of its own: whoever keeps a message does not keep what came before and after it.
        let message = Bytes::copy_from_slice(self.buffer.get(..total).unwrap_or_default());
        self.buffer.advance(total);
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
        Some(Framed::Message(message))
    }

    fn over(&mut self, left: usize) -> Step {
        let gone = left.min(self.buffer.len());
        self.buffer.advance(gone);
        match left - gone {
            0 => Step::Go(State::Between),
            left => Step::Wait(State::Over { left }),
        }
    }

    /// What may belong to one message: the answer must not depend on how much came at once.
    fn window(&self) -> &[u8] {
        let end = self.buffer.len().min(limits::STREAM_MESSAGE);
        self.buffer.get(..end).unwrap_or_default()
    }

    /// Waits for more of a head, unless no more of it can fit.
    fn wait(&mut self, state: State) -> Step {
        if self.buffer.len() >= limits::STREAM_MESSAGE {
            return self.refuse(too_large(None));
        }
        Step::Wait(state)
    }

    fn not_sip(&mut self) -> Step {
        self.refuse(lines::framing_fault("Not SIP").unanswerable())
    }

    fn refuse(&mut self, refusal: Refusal) -> Step {
        self.state = State::Dead;
        self.buffer = BytesMut::new();
        Step::Out(Framed::Refused(refusal))
    }
}

/// What one look at the buffer led to.
enum Step {
    Go(State),
    Wait(State),
    Out(Framed),
}

fn too_large(read: Option<Refusal>) -> Refusal {
    let (phrase, reason) = ("Message Too Large".into(), RejectReason::TooLarge);
    let (answerable, answer) = read.map_or((None, None), |r| (r.answerable, r.answer));
    Refusal { reason, status: 513, phrase, answerable, answer }
}
