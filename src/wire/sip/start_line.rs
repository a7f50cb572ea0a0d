//! The first line of a message (RFC 3261 §7.1, §7.2). What can be answered is not refused here but
//! noted, so that the rows an answer needs are read first.

use super::Method;
use super::message::Start;
use super::refusal::{Fault, RejectReason, bad};
use super::text::{is_token, trim};
use crate::wire::limits;
use bytes::Bytes;

/// A first line, and what is wrong with it although its kind is clear.
pub(super) struct First {
    pub(super) start: Start,
    pub(super) fault: Option<Fault>,
}

/// Reads the line (without its CRLF).
pub(super) fn read(line: &Bytes) -> Result<First, Fault> {
    if line.iter().any(|b| (*b < b' ' && *b != b'\t') || *b == 0x7f) {
        return Err(bad("Control In Start Line"));
    }
    if is_version(line) { status_line(line) } else { request_line(line) }
}

/// True for a line that begins like a SIP version.
fn is_version(text: &[u8]) -> bool {
    text.get(..4).is_some_and(|v| v.eq_ignore_ascii_case(b"SIP/"))
}

/// A first line that can be SIP at all: a status line, or a line that ends in a SIP version.
pub(super) fn is_sip(line: &[u8]) -> bool {
    let last = trim(line).rsplit(|b| *b == b' ').next().unwrap_or_default();
    is_version(line) || is_version(last)
}

fn status_line(line: &Bytes) -> Result<First, Fault> {
    let broken = || bad("Broken Status Line");
    let version = line.get(..8).filter(|v| v.eq_ignore_ascii_case(b"SIP/2.0 "));
    let code = line.get(8..11).filter(|c| c.iter().all(u8::is_ascii_digit));
    let (Some(_), Some(code)) = (version, code) else { return Err(broken()) };
    let status = code.iter().fold(0_u16, |n, d| n * 10 + u16::from(d - b'0'));
    let phrase = match line.get(11) {
        None => Bytes::new(),
        Some(b' ') => line.slice(12..),
        Some(_) => return Err(broken()),
    };
    if !(100..700).contains(&status) || line.len() > limits::HEADER_LINE {
        return Err(broken());
    }
    let tabs = phrase.contains(&b'\t');
    let spaced = |b: &u8| if *b == b'\t' { b' ' } else { *b };
    let phrase = if tabs { phrase.iter().map(spaced).collect() } else { phrase };
    Ok(First { start: Start::Response { status, phrase }, fault: None })
}

fn request_line(line: &[u8]) -> Result<First, Fault> {
    let broken = || bad("Broken Request Line");
    let text = std::str::from_utf8(line).map_err(|_| broken())?;
    let (method, rest) = text.split_once(' ').ok_or_else(broken)?;
    let whole = rest.trim_end_matches([' ', '\t']);
    let (uri, version) = whole.rsplit_once(' ').ok_or_else(broken)?;
    if !is_token(method.as_bytes()) || !is_version(version.as_bytes()) {
        return Err(broken());
    }
    let readable =
        super::Uri::parse(uri.as_bytes()).is_some() && trim(uri.as_bytes()) == uri.as_bytes();
    let method = Method::from_token(method);
    let fault = if !version.eq_ignore_ascii_case("SIP/2.0") {
        let phrase = "Version Not Supported".into();
        Some(Fault { reason: RejectReason::Version, status: 505, phrase })
    } else if uri.len() > limits::URI {
        let phrase = "Request-URI Too Long".into();
        Some(Fault { reason: RejectReason::TooLarge, status: 414, phrase })
    } else if method.as_str().len() > limits::METHOD || whole != rest {
        Some(broken())
    } else if let Some(known) = method.in_other_case() {
        // Nobody honest sends it; who is behind us may take it for what no rule saw.
        let phrase = format!("Method {known} In Other Case").into();
        Some(Fault { reason: RejectReason::Method, status: 400, phrase })
    } else if !readable {
        Some(bad("Broken Request-URI"))
    } else {
        None
    };
    // A URI that could not be read is not carried on: nothing may come to echo or to log it.
    let uri = if fault.is_none() { uri.into() } else { Box::default() };
    Ok(First { start: Start::Request { method, uri }, fault })
}
