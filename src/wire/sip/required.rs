//! The headers a proxy must read (RFC 3261 §8.1.1, §16.3): each is there, once, and readable.

use super::message::Row;
use super::refusal::{Fault, RejectReason, bad};
use super::text::elements;
use super::{CSeq, Method, Name, RawNameAddr, RawVia, lines};
use crate::wire::limits;

/// What accessors answer later without reading again.
pub(super) struct Required {
    pub(super) cseq: CSeq,
    pub(super) from_tag: Option<Box<str>>,
    pub(super) to_tag: Option<Box<str>>,
}

/// Via parameters by which answers find their way.
const STEERING: [&str; 5] = ["branch", "received", "rport", "maddr", "ttl"];

/// Reads them; `method` is the request's.
pub(super) fn read(rows: &[Row], method: Option<&Method>) -> Result<Required, Fault> {
    let cseq = CSeq::parse(need(rows, &Name::CSeq)?).ok_or_else(|| bad("Broken CSeq"))?;
    if method.is_some_and(|m| *m != cseq.method) {
        return Err(bad("CSeq Method Differs"));
    }
    let call_id = need(rows, &Name::CallId)?;
    if call_id.is_empty() || call_id.iter().any(|b| !b.is_ascii_graphic()) {
        return Err(bad("Broken Call-ID"));
    }
    let from_tag = party(rows, Name::From)?;
    let to_tag = party(rows, Name::To)?;
    need(rows, &Name::Via)?;
    let via = |v: &[u8]| RawVia::read(v).is_some_and(|via| !via.params.is_any_double(&STEERING));
    values(rows, &Name::Via, limits::VIAS, via).map_err(|fault| {
        let bare =
            || rows.iter().filter(|r| r.name == Name::Via).any(|r| elements(&r.value).any(is_bare));
        // It is the one fault of phones that work elsewhere.
        if bare() { bad("Via Names IPv6 Without Brackets") } else { fault }
    })?;
    let addr = |v: &[u8]| RawNameAddr::read(v).is_some();
    let once = |n: RawNameAddr<'_>| !n.params.is_any_double(&["expires"]);
    let contact = |v: &[u8]| v == b"*" || RawNameAddr::read(v).is_some_and(once);
    values(rows, &Name::Contact, limits::CONTACTS, contact)?;
    values(rows, &Name::Route, limits::ROUTES, addr)?;
    values(rows, &Name::RecordRoute, limits::ROUTES, addr)?;
    if let Some(hops) = find(rows, &Name::MaxForwards) {
        let number = lines::digits(hops).filter(|n| *n <= 255);
        number.ok_or_else(|| bad("Broken Max-Forwards"))?;
    }
    Ok(Required { cseq, from_tag, to_tag })
}

/// No single-value header twice, be it once in its long and once in its compact form.
pub(super) fn single(rows: &[Row]) -> Result<(), Fault> {
    for (i, row) in rows.iter().enumerate().filter(|(_, r)| r.name.is_single()) {
        if rows.iter().skip(i + 1).any(|r| r.name == row.name) {
            let phrase = format!("Duplicate {}", row.name).into();
            return Err(Fault { reason: RejectReason::DuplicateHeader, status: 400, phrase });
        }
    }
    Ok(())
}

/// The tag of a From or To value.
pub(super) fn tag(value: &[u8]) -> Option<Box<str>> {
    RawNameAddr::read(value).and_then(|n| n.tag())
}

fn find<'a>(rows: &'a [Row], name: &Name) -> Option<&'a [u8]> {
    rows.iter().find(|r| r.name == *name).map(|r| r.value.as_ref())
}

fn need<'a>(rows: &'a [Row], name: &Name) -> Result<&'a [u8], Fault> {
    find(rows, name).ok_or_else(|| bad(format!("Missing {name}")))
}

/// From or To; two tags would let two readers see two dialogs.
fn party(rows: &[Row], name: Name) -> Result<Option<Box<str>>, Fault> {
    let read = RawNameAddr::read(need(rows, &name)?).filter(|n| !n.params.is_any_double(&["tag"]));
    read.map(|n| n.tag()).ok_or_else(|| bad(format!("Broken {name}")))
}

/// Its host is an IPv6 address as nobody may write it: where it ends and a port begins is a guess.
fn is_bare(via: &[u8]) -> bool {
    let head = via.split(|b| *b == b';').next().unwrap_or_default();
    head.iter().filter(|b| **b == b':').count() > 1 && !head.contains(&b'[')
}

/// A list header: every value readable and none too many. Only Via may not be empty as a whole.
fn values(
    rows: &[Row],
    name: &Name,
    limit: usize,
    fine: impl Fn(&[u8]) -> bool,
) -> Result<(), Fault> {
    let mut count = 0;
    for row in rows.iter().filter(|r| r.name == *name) {
        if row.value.is_empty() && *name != Name::Via {
            continue;
        }
        for value in elements(&row.value) {
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
