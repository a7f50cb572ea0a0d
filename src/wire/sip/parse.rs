//! Octets → [`Message`]: start line, rows, framing, and the headers a proxy must read. It refuses
//! what is ambiguous and never panics; limits are held before anything is stored.

use super::message::{Framing, Row, Start};
use super::text::{List, is_token, trim};
use super::{CSeq, Message, Method, Name, NameAddr, Refusal, RejectReason, Via};
use crate::wire::limits;
use bytes::Bytes;
use std::borrow::Cow;

/// What goes wrong, before it is known whether it can be answered.
pub(super) struct Fault {
    reason: RejectReason,
    status: u16,
    phrase: Cow<'static, str>,
}

fn bad(phrase: impl Into<Cow<'static, str>>) -> Fault {
    Fault { reason: RejectReason::Malformed, status: 400, phrase: phrase.into() }
}

fn framing_fault(phrase: &'static str) -> Fault {
    Fault { reason: RejectReason::Framing, status: 400, phrase: phrase.into() }
}

/// CRLF and short NUL keep-alives are not messages.
#[must_use]
pub fn is_keepalive(bytes: &[u8]) -> bool {
    bytes.len() <= 64 && bytes.iter().all(|b| matches!(b, b'\r' | b'\n' | 0 | b' '))
}

/// Reads one message.
pub(super) fn message(bytes: Bytes, framing: Framing) -> Result<Message, Refusal> {
    let limit = match framing {
        Framing::Datagram => limits::DATAGRAM,
        Framing::Stream => limits::STREAM_MESSAGE,
    };
    let skip = bytes.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
    let bytes = bytes.slice(skip..);
    let mut rows = Vec::new();
    let mut start = None;
    let result = read(&bytes, framing, limit, &mut start, &mut rows);
    match result {
        Ok(message) => Ok(message),
        Err(fault) => Err(refusal(fault, start, rows)),
    }
}

/// A refusal, with what is needed to answer it.
fn refusal(fault: Fault, start: Option<(Start, Option<Method>)>, rows: Vec<Row>) -> Refusal {
    let answerable = match start {
        Some((Start::Request { uri }, Some(method))) if method != Method::Ack => {
            skeleton(&uri, method, &rows, fault.reason).map(Box::new)
        }
        Some(_) | None => None,
    };
    Refusal { reason: fault.reason, status: fault.status, phrase: fault.phrase, answerable }
}

/// The rows an answer echoes, as far as they are readable; a readable top Via is a must.
#[expect(clippy::wildcard_enum_match_arm, reason = "the rest is alike")]
fn skeleton(uri: &str, method: Method, rows: &[Row], reason: RejectReason) -> Option<Message> {
    let mut m = Message::request(method, uri);
    for row in rows.iter().filter(|r| r.name == Name::Via).take(limits::VIAS) {
        let value = match reason {
            // Another version is in its Via, too; the 505 goes back in ours.
            RejectReason::Version => this_version(&row.value),
            _ => row.value.to_vec(),
        };
        m.push_back(Name::Via, value);
    }
    let top = m.first(&Name::Via)?;
    List(Some(top)).next().and_then(Via::parse)?;
    for name in [Name::From, Name::To, Name::CallId, Name::CSeq] {
        if let Some(row) = rows.iter().find(|r| r.name == name) {
            m.push_back(name, row.value.to_vec());
        }
    }
    Some(m)
}

/// `SIP/7.0/UDP …` as `SIP/2.0/UDP …`.
fn this_version(via: &[u8]) -> Vec<u8> {
    let mut parts = via.splitn(3, |b| *b == b'/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(name), Some(_), Some(rest)) => [name, b"/2.0/", rest].concat(),
        _ => via.to_vec(),
    }
}

fn read(
    bytes: &Bytes,
    framing: Framing,
    limit: usize,
    start: &mut Option<(Start, Option<Method>)>,
    rows: &mut Vec<Row>,
) -> Result<Message, Fault> {
    if bytes.len() > limit {
        return Err(Fault {
            reason: RejectReason::TooLarge,
            status: 513,
            phrase: "Message Too Large".into(),
        });
    }
    let (line, mut at) = line(bytes, 0)?;
    let (first, method) = start_line(&bytes.slice(..line))?;
    *start = Some((first.clone(), method.clone()));
    // A fault in the head must not hide the rows that an answer needs: it is kept until the end.
    let mut fault = None;
    loop {
        let (end, next) = line_end(bytes, at)?;
        if end == at {
            at = next;
            break;
        }
        let (end, next) = folded(bytes, end, next)?;
        if rows.len() >= limits::HEADER_LINES {
            return Err(bad("Too Many Header Lines"));
        }
        match row(bytes, at, end) {
            Ok(row) => rows.push(row),
            Err(f) => fault = fault.or(Some(f)),
        }
        at = next;
    }
    if let Some(fault) = fault {
        return Err(fault);
    }
    if let Start::Request { uri } = &first {
        request_line(uri)?;
    }
    single(rows)?;
    let body = body(bytes, at, framing, rows)?;
    finish(first, method, std::mem::take(rows), body).map_err(|(fault, back)| {
        *rows = back;
        fault
    })
}

/// The Request-URI, checked once the rest is there to answer with.
fn request_line(uri: &str) -> Result<(), Fault> {
    if uri.len() > limits::URI {
        return Err(Fault {
            reason: RejectReason::TooLarge,
            status: 414,
            phrase: "Request-URI Too Long".into(),
        });
    }
    match uri.strip_suffix(VERSION_MARK) {
        Some(_) => Err(Fault {
            reason: RejectReason::Version,
            status: 505,
            phrase: "Version Not Supported".into(),
        }),
        None if uri.contains(' ') || super::Uri::parse(uri.as_bytes()).is_none() => {
            Err(bad("Broken Request-URI"))
        }
        None => Ok(()),
    }
}

/// Set behind the URI of a request in another version; no URI can hold it.
const VERSION_MARK: &str = "\u{0}version";

/// Where the line ends and the next begins; bare CR and LF are refused.
fn line_end(bytes: &[u8], from: usize) -> Result<(usize, usize), Fault> {
    let rest = bytes.get(from..).unwrap_or_default();
    let Some(at) = memchr::memchr2(b'\r', b'\n', rest) else {
        return Err(framing_fault("Head Without End"));
    };
    if rest.get(at) == Some(&b'\r') && rest.get(at + 1) == Some(&b'\n') {
        Ok((from + at, from + at + 2))
    } else {
        Err(framing_fault("Bare CR Or LF"))
    }
}

fn line(bytes: &[u8], from: usize) -> Result<(usize, usize), Fault> {
    let (end, next) = line_end(bytes, from)?;
    if end - from > limits::HEADER_LINE {
        // A long Request-URI has its own answer; the line itself is bounded by the message.
        return if bytes.get(from..end).is_some_and(|l| l.ends_with(b"SIP/2.0")) {
            Ok((end, next))
        } else {
            Err(bad("Start Line Too Long"))
        };
    }
    Ok((end, next))
}

/// Takes in the folded lines that follow.
fn folded(bytes: &[u8], mut end: usize, mut next: usize) -> Result<(usize, usize), Fault> {
    while matches!(bytes.get(next), Some(b' ' | b'\t')) {
        let (e, n) = line_end(bytes, next)?;
        end = e;
        next = n;
    }
    Ok((end, next))
}

fn start_line(line: &Bytes) -> Result<(Start, Option<Method>), Fault> {
    if line.iter().any(|b| (*b < b' ' && *b != b'\t') || *b == 0x7f) {
        return Err(bad("Control In Start Line"));
    }
    if line.get(..4).is_some_and(|s| s.eq_ignore_ascii_case(b"SIP/")) {
        return status_line(line).map(|s| (s, None));
    }
    let text = std::str::from_utf8(line).map_err(|_| bad("Broken Request Line"))?;
    let (method, rest) = text.split_once(' ').ok_or_else(|| bad("Broken Request Line"))?;
    let whole = rest.trim_end_matches([' ', '\t']);
    let (uri, version) = whole.rsplit_once(' ').ok_or_else(|| bad("Broken Request Line"))?;
    let known =
        version.len() > 4 && version.get(..4).is_some_and(|v| v.eq_ignore_ascii_case("SIP/"));
    if !is_token(method.as_bytes()) || !known {
        return Err(bad("Broken Request Line"));
    }
    let uri: Box<str> = if whole != rest {
        // Space at the end is as broken as space within, and answered when the rest is read.
        format!("{uri} ").into()
    } else if version.eq_ignore_ascii_case("SIP/2.0") {
        uri.into()
    } else {
        format!("{uri}{VERSION_MARK}").into()
    };
    Ok((Start::Request { uri }, Some(Method::from_token(method))))
}

fn status_line(line: &Bytes) -> Result<Start, Fault> {
    let rest = line.get(..8).filter(|v| v.eq_ignore_ascii_case(b"SIP/2.0 "));
    let code = line.get(8..11).filter(|c| c.iter().all(u8::is_ascii_digit));
    let (Some(_), Some(code)) = (rest, code) else { return Err(bad("Broken Status Line")) };
    let status = code.iter().fold(0_u16, |n, d| n * 10 + u16::from(d - b'0'));
    let phrase = match line.get(11) {
        None => Bytes::new(),
        Some(b' ') => line.slice(12..),
        Some(_) => return Err(bad("Broken Status Line")),
    };
    if !(100..700).contains(&status) {
        return Err(bad("Broken Status Line"));
    }
    Ok(Start::Response { status, phrase })
}

/// One header line, folding and all.
fn row(bytes: &Bytes, start: usize, end: usize) -> Result<Row, Fault> {
    let line = bytes.get(start..end).unwrap_or_default();
    let colon = line.iter().position(|b| *b == b':').ok_or_else(|| bad("Header Without Colon"))?;
    let name = trim(line.get(..colon).unwrap_or_default());
    let name = std::str::from_utf8(name).ok().filter(|n| is_token(n.as_bytes()));
    let name = Name::parse(name.ok_or_else(|| bad("Broken Header Name"))?);
    let raw = line.get(colon + 1..).unwrap_or_default();
    let value = if raw.contains(&b'\r') || raw.contains(&b'\t') {
        Bytes::from(unfolded(raw))
    } else {
        let value = trim(raw);
        bytes.slice_ref(value)
    };
    if value.len() + name.as_str().len() > limits::HEADER_LINE {
        return Err(bad(format!("{name} Too Long")));
    }
    if value.iter().any(|b| *b < b' ' || *b == 0x7f) {
        return Err(bad(format!("Control In {name}")));
    }
    Ok(Row { name, value })
}

/// Folds become one space, tabs too.
fn unfolded(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut fold = false;
    for b in raw {
        match b {
            b'\r' | b'\n' => fold = true,
            b' ' | b'\t' if fold => {}
            b'\t' => out.push(b' '),
            b => {
                if std::mem::take(&mut fold) && !out.is_empty() {
                    out.push(b' ');
                }
                out.push(*b);
            }
        }
    }
    trim(&out).to_vec()
}

/// No single-value header twice.
fn single(rows: &[Row]) -> Result<(), Fault> {
    for (i, row) in rows.iter().enumerate().filter(|(_, r)| r.name.is_single()) {
        if rows.iter().skip(i + 1).any(|r| r.name == row.name) {
            return Err(Fault {
                reason: RejectReason::DuplicateHeader,
                status: 400,
                phrase: format!("Duplicate {}", row.name).into(),
            });
        }
    }
    Ok(())
}

/// The body by Content-Length (RFC 3261 §18.3).
fn body(bytes: &Bytes, at: usize, framing: Framing, rows: &[Row]) -> Result<Bytes, Fault> {
    let rest = bytes.len().saturating_sub(at);
    let Some(row) = rows.iter().find(|r| r.name == Name::ContentLength) else {
        return match framing {
            Framing::Datagram => Ok(bytes.slice(at..)),
            Framing::Stream => Err(framing_fault("Content-Length Required")),
        };
    };
    match length(&row.value) {
        Some(n) if n <= rest => Ok(bytes.slice(at..at + n)),
        Some(_) => Err(framing_fault("Content-Length Beyond The Message")),
        None => Err(framing_fault("Broken Content-Length")),
    }
}

/// A length in plain digits, not above any message.
pub(super) fn length(value: &[u8]) -> Option<usize> {
    if value.is_empty() || value.len() > 10 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

type Unfinished = (Fault, Vec<Row>);

/// The headers a proxy must read.
fn finish(
    start: Start,
    method: Option<Method>,
    rows: Vec<Row>,
    body: Bytes,
) -> Result<Message, Unfinished> {
    match mandatory(&rows, method.as_ref()) {
        Ok((cseq, from_tag, to_tag)) => Ok(Message { start, rows, body, cseq, from_tag, to_tag }),
        Err(fault) => Err((fault, rows)),
    }
}

type Read = (CSeq, Option<Box<str>>, Option<Box<str>>);

fn mandatory(rows: &[Row], method: Option<&Method>) -> Result<Read, Fault> {
    let find = |name: Name| rows.iter().find(|r| r.name == name).map(|r| r.value.as_ref());
    let need = |name: Name| {
        let missing = bad(format!("Missing {name}"));
        find(name).ok_or(missing)
    };
    let cseq = CSeq::parse(need(Name::CSeq)?).ok_or_else(|| bad("Broken CSeq"))?;
    if method.is_some_and(|m| *m != cseq.method) {
        return Err(bad("CSeq Method Differs"));
    }
    let call_id = need(Name::CallId)?;
    if call_id.is_empty() || call_id.iter().any(|b| !(0x21..0x7f).contains(b)) {
        return Err(bad("Broken Call-ID"));
    }
    let from = NameAddr::parse(need(Name::From)?).ok_or_else(|| bad("Broken From"))?;
    let to = NameAddr::parse(need(Name::To)?).ok_or_else(|| bad("Broken To"))?;
    values(rows, &Name::Via, limits::VIAS, |v| Via::parse(v).is_some())?;
    if find(Name::Via).is_none() {
        return Err(bad("Missing Via"));
    }
    let addr = |v: &[u8]| NameAddr::parse(v).is_some();
    values(rows, &Name::Contact, limits::CONTACTS, |v| v == b"*" || addr(v))?;
    values(rows, &Name::Route, limits::ROUTES, addr)?;
    values(rows, &Name::RecordRoute, limits::ROUTES, addr)?;
    if let Some(hops) = find(Name::MaxForwards) {
        let number = length(hops).filter(|n| *n <= 255);
        number.ok_or_else(|| bad("Broken Max-Forwards"))?;
    }
    let tag = |n: &NameAddr| n.tag().filter(|t| !t.is_empty()).map(Into::into);
    Ok((cseq, tag(&from), tag(&to)))
}

fn values(
    rows: &[Row],
    name: &Name,
    limit: usize,
    fine: impl Fn(&[u8]) -> bool,
) -> Result<(), Fault> {
    let mut count = 0;
    for row in rows.iter().filter(|r| r.name == *name) {
        for value in List(Some(&row.value)) {
            count += 1;
            if count > limit {
                return Err(bad(format!("Too Many {name} Values")));
            }
            if !fine(value) {
                return Err(bad(format!("Broken {name}")));
            }
        }
    }
    Ok(())
}

/// The tag of a From or To value.
pub(super) fn tag(value: &[u8]) -> Option<Box<str>> {
    NameAddr::parse(value).and_then(|n| n.tag().filter(|t| !t.is_empty()).map(Into::into))
}
