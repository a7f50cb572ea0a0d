//! Lines, folding and Content-Length (RFC 3261 §7.3, §18.3): one reading of them for datagrams and
//! streams, so that both cut a message at the same octet.

use super::refusal::{Fault, RejectReason};
use super::text::trim;
use bytes::Bytes;

/// What makes the end of a message unclear.
pub(super) fn framing_fault(phrase: &'static str) -> Fault {
    Fault { reason: RejectReason::Framing, status: 400, phrase: phrase.into() }
}

/// CRLF and short NUL keep-alives are not messages.
#[must_use]
pub fn is_keepalive(bytes: &[u8]) -> bool {
    bytes.len() <= 64 && bytes.iter().all(|b| matches!(b, b'\r' | b'\n' | 0 | b' '))
}

/// Blank lines before a start line are skipped (RFC 3261 §7.5).
pub(super) fn without_blank_lines(bytes: &Bytes) -> Bytes {
    let blank = bytes.chunks(2).take_while(|pair| *pair == b"\r\n").count();
    bytes.slice(blank * 2..)
}

/// Where the line ends and the next begins; bare CR and LF are refused.
pub(super) fn line_end(bytes: &[u8], from: usize) -> Result<(usize, usize), Fault> {
    let rest = bytes.get(from..).unwrap_or_default();
    let Some(at) = memchr::memchr2(b'\r', b'\n', rest) else {
        return Err(framing_fault("Head Without End"));
    };
    if rest.get(at..at + 2) == Some(b"\r\n") {
        Ok((from + at, from + at + 2))
    } else {
        Err(framing_fault("Bare CR Or LF"))
    }
}

/// A header line with the lines folded into it.
pub(super) struct Logical {
    /// Where its text ends (folds included, last CRLF not).
    pub(super) end: usize,
    /// Where the next line begins.
    pub(super) next: usize,
    /// Octets of its longest physical line.
    pub(super) longest: usize,
}

/// The header line at `from`; `None` at the blank line that ends the head.
pub(super) fn logical(bytes: &[u8], from: usize) -> Result<Option<Logical>, Fault> {
    let (mut end, mut next) = line_end(bytes, from)?;
    if end == from {
        return Ok(None);
    }
    let mut longest = end - from;
    while matches!(bytes.get(next), Some(b' ' | b'\t')) {
        let (e, n) = line_end(bytes, next)?;
        longest = longest.max(e - next);
        (end, next) = (e, n);
    }
    Ok(Some(Logical { end, next, longest }))
}

/// Splits a header line into its name (blanks before the colon are legal) and the rest.
pub(super) fn at_colon(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr::memchr(b':', line)?;
    Some((trim(line.get(..colon)?), line.get(colon + 1..)?))
}

/// A fold and the blanks around it become one space (RFC 3261 §7.3.1), a tab too.
pub(super) fn unfolded(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut fold = false;
    for b in raw {
        match b {
            b'\r' | b'\n' => {
                while out.last() == Some(&b' ') {
                    out.pop();
                }
                fold = true;
            }
            b' ' | b'\t' if fold => {}
            b' ' | b'\t' => out.push(b' '),
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

/// A number in plain digits, not above any message.
pub(super) fn digits(value: &[u8]) -> Option<usize> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let zeros = value.iter().take_while(|b| **b == b'0').count();
    let rest = value.get(zeros..).filter(|rest| rest.len() <= 10)?;
    Some(rest.iter().fold(0, |n, d| n * 10 + usize::from(d - b'0')))
}

/// The one Content-Length of a complete head; `None` when absent, double, no number, or the head is
/// not readable line by line.
pub(super) fn declared_length(head: &[u8]) -> Option<usize> {
    let (_, mut at) = line_end(head, 0).ok()?;
    let mut found = None;
    if matches!(head.get(at), Some(b' ' | b'\t')) {
        return None;
    }
    while let Some(line) = logical(head, at).ok()? {
        let (name, value) = at_colon(head.get(at..line.end)?)?;
        if name.eq_ignore_ascii_case(b"Content-Length") || name.eq_ignore_ascii_case(b"l") {
            if found.is_some() {
                return None;
            }
            found = Some(digits(&unfolded(value))?);
        }
        at = line.next;
    }
    found
}
