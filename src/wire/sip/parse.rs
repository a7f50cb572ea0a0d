//! Octets → [`Message`]: start line, rows, framing, and the headers a proxy must read. It refuses
//! what is ambiguous and never panics; limits are held before anything is stored.

use super::message::{Framing, Row, Start};
use super::refusal::{Fault, RejectReason, bad};
use super::required::{self, Required};
use super::text::{is_token, list, trim};
use super::torn;
use super::{Message, Method, Name, Refusal, Via, lines, start_line};
use crate::wire::limits;
use bytes::Bytes;

/// Reads one message.
pub(super) fn message(bytes: &Bytes, framing: Framing) -> Result<Message, Refusal> {
    let limit = match framing {
        Framing::Datagram => limits::DATAGRAM,
        Framing::Stream => limits::STREAM_MESSAGE,
    };
    if bytes.len() > limit {
        let phrase = "Message Too Large".into();
        return Err(Fault { reason: RejectReason::TooLarge, status: 513, phrase }.unanswerable());
    }
    let bytes = lines::without_blank_lines(bytes);
    let (end, next) = lines::line_end(&bytes, 0).map_err(Fault::unanswerable)?;
    let first = start_line::read(&bytes.slice(..end)).map_err(Fault::unanswerable)?;
    let mut head = Head { rows: Vec::new(), fault: first.fault, blind: false };
    let method = match &first.start {
        Start::Request { method, .. } => Some(method),
        Start::Response { .. } => None,
    };
    match head.read(&bytes, next, framing, method) {
        Ok((body, Required { cseq, from_tag, to_tag })) => {
            Ok(Message { start: first.start, rows: head.rows, body, cseq, from_tag, to_tag })
        }
        Err(fault) => Err(head.refusal(first.start, fault)),
    }
}

/// The rows of a head while they are read.
struct Head {
    rows: Vec<Row>,
    /// The first fault. Reading goes on after it, so that the rows an answer needs are found.
    fault: Option<Fault>,
    /// A row that is, or may be, the top Via could not be read: nobody knows whom to answer.
    blind: bool,
}

impl Head {
    fn read(
        &mut self,
        bytes: &Bytes,
        at: usize,
        framing: Framing,
        method: Option<&Method>,
    ) -> Result<(Bytes, Required), Fault> {
        let end = self.take_rows(bytes, at);
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        let end = end?;
        if method.is_none() {
            // Who answers says it twice: there is one way to read that.
            torn::once(&mut self.rows);
        }
        required::single(&self.rows)?;
        let body = body(bytes, end, framing, &self.rows)?;
        Ok((body, required::read(&self.rows, method)?))
    }

    /// Takes the rows from `at` on; the octet where the body begins.
    fn take_rows(&mut self, bytes: &Bytes, mut at: usize) -> Result<usize, Fault> {
        if matches!(bytes.get(at), Some(b' ' | b'\t')) {
            // Some readers would take it as part of the start line.
            self.blind = true;
            return Err(bad("Folded Start Line"));
        }
        while let Some(line) = lines::logical(bytes, at)? {
            if self.rows.len() >= limits::HEADER_LINES {
                return Err(bad("Too Many Header Lines"));
            }
            let (name, row) = read_row(bytes, at, line.end, line.longest);
            match row {
                Ok(row) => self.rows.push(row),
                Err(fault) => {
                    self.fault.get_or_insert(fault);
                    let via = name.is_none_or(|n| n == Name::Via);
                    self.blind |= via && !self.rows.iter().any(|r| r.name == Name::Via);
                }
            }
            at = line.next;
        }
        Ok(at + 2)
    }

    /// A refusal, with what is needed to answer it.
    fn refusal(self, start: Start, fault: Fault) -> Refusal {
        let is_ack = |m: &Method| m.in_other_case().as_ref().unwrap_or(m) == &Method::Ack;
        let (mut answerable, mut answer) = (None, None);
        match start {
            Start::Request { method, uri } if !is_ack(&method) && !self.blind => {
                answerable = self.answerable(method, &uri, fault.reason).map(Box::new);
            }
            Start::Response { status, .. } if !self.blind => {
                answer = torn::read(&self.rows, status).map(Box::new);
            }
            Start::Request { .. } | Start::Response { .. } => {}
        }
        Refusal { answerable, answer, ..fault.unanswerable() }
    }

    /// The rows an answer echoes, as far as they are readable. A readable top Via and a CSeq are a
    /// must: without them the answer finds no transaction.
    fn answerable(&self, method: Method, uri: &str, reason: RejectReason) -> Option<Message> {
        let mut m = Message::request(method, uri);
        for row in self.rows.iter().filter(|r| r.name == Name::Via).take(limits::VIAS) {
            // Another version is in its Via, too; the 505 goes back in ours.
            let other = reason == RejectReason::Version;
            let value = if other { this_version(&row.value) } else { row.value.to_vec() };
            m.push_back(Name::Via, value);
        }
        list(m.first(&Name::Via)?).next().and_then(Via::parse)?;
        for name in [Name::From, Name::To, Name::CallId, Name::CSeq] {
            if let Some(row) = self.rows.iter().find(|r| r.name == name) {
                m.push_back(name, row.value.to_vec());
            }
        }
        m.has(&Name::CSeq).then_some(m)
    }
}

/// `SIP/7.0/UDP …` as `SIP/2.0/UDP …`.
fn this_version(via: &[u8]) -> Vec<u8> {
    let mut parts = via.splitn(3, |b| *b == b'/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(name), Some(_), Some(rest)) => [name, b"/2.0/", rest].concat(),
        _ => via.to_vec(),
    }
}

/// One header line, folding and all; its name also when the rest is refused.
fn read_row(
    bytes: &Bytes,
    start: usize,
    end: usize,
    longest: usize,
) -> (Option<Name>, Result<Row, Fault>) {
    let line = bytes.get(start..end).unwrap_or_default();
    let Some((name, raw)) = lines::at_colon(line) else {
        return (None, Err(bad("Header Without Colon")));
    };
    let token = std::str::from_utf8(name).ok().filter(|n| is_token(n.as_bytes()));
    let Some(name) = token.map(Name::parse) else {
        return (None, Err(bad("Broken Header Name")));
    };
    let value = if raw.contains(&b'\r') || raw.contains(&b'\t') {
        Bytes::from(lines::unfolded(raw))
    } else {
        bytes.slice_ref(trim(raw))
    };
    // Measured as it goes out again, so that what we wrote stays readable for the next.
    let regular = name.as_str().len() + 2 + value.len();
    if longest.max(regular) > limits::HEADER_LINE {
        let fault = bad(format!("{} Too Long", name.for_people()));
        return (Some(name), Err(fault));
    }
    if value.iter().any(u8::is_ascii_control) {
        let fault = bad(format!("Control In {}", name.for_people()));
        return (Some(name), Err(fault));
    }
    (Some(name.clone()), Ok(Row { name, value }))
}

/// The body by Content-Length (RFC 3261 §18.3).
fn body(bytes: &Bytes, at: usize, framing: Framing, rows: &[Row]) -> Result<Bytes, Fault> {
    let rest = bytes.len().saturating_sub(at);
    let Some(row) = rows.iter().find(|r| r.name == Name::ContentLength) else {
        return match framing {
            Framing::Datagram => Ok(bytes.slice(at..)),
            Framing::Stream => Err(lines::framing_fault("Content-Length Required")),
        };
    };
    match lines::digits(&row.value) {
        Some(n) if n <= rest => Ok(bytes.slice(at..at + n)),
        Some(_) => Err(lines::framing_fault("Content-Length Beyond The Message")),
        None => Err(lines::framing_fault("Broken Content-Length")),
    }
}
