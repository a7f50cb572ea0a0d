//! The headers a proxy must read (RFC 3261 §8.1.1, §16.3): each is there, once, and readable.

use super::message::Row;
use super::refusal::{Fault, RejectReason, bad};
use super::text::elements;
use super::{CSeq, Method, Name, NameAddr, Params, Via, lines};
use crate::wire::limits;

/// What accessors answer later without reading again.
pub(super) struct Required {
    pub(super) cseq: CSeq,
    pub(super) from_tag: Option<Box<str>>,
    pub(super) to_tag: Option<Box<str>>,
}

/// Via parameters by which answers find their way.
const STEERING: [&str; 5] = ["branch", "received", "rport", "maddr", "ttl"];

/// None of `names` stands twice, where two readers could take two values (§7.3.1).
fn once(params: &Params, names: &[&str]) -> bool {
    !names.iter().any(|name| params.is_double(name))
}

/// Reads them; `method` is the request's.
pub(super) fn read(rows: &[Row], method: Option<&Method>) -> Result<Required, Fault> {
    let cseq = CSeq::parse(need(rows, Name::CSeq)?).ok_or_else(|| bad("Broken CSeq"))?;
    if method.is_some_and(|m| *m != cseq.method) {
        return Err(bad("CSeq Method Differs"));
    }
    let call_id = need(rows, Name::CallId)?;
    if call_id.is_empty() || call_id.iter().any(|b| !b.is_ascii_graphic()) {
        return Err(bad("Broken Call-ID"));
    }
    let from_tag = party(rows, Name::From)?;
    let to_tag = party(rows, Name::To)?;
    need(rows, Name::Via)?;
    let via = |v: &[u8]| Via::parse(v).is_some_and(|via| once(&via.params, &STEERING));
    values(rows, &Name::Via, limits::VIAS, via)?;
    let addr = |v: &[u8]| NameAddr::parse(v).is_some();
    let contact =
        |v: &[u8]| v == b"*" || NameAddr::parse(v).is_some_and(|n| once(&n.params, &["expires"]));
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
    NameAddr::parse(value).and_then(|n| tag_of(&n))
}

fn tag_of(name: &NameAddr) -> Option<Box<str>> {
    name.tag().filter(|t| !t.is_empty()).map(Into::into)
}

fn find<'a>(rows: &'a [Row], name: &Name) -> Option<&'a [u8]> {
    rows.iter().find(|r| r.name == *name).map(|r| r.value.as_ref())
}

fn need(rows: &[Row], name: Name) -> Result<&[u8], Fault> {
    find(rows, &name).ok_or_else(|| bad(format!("Missing {name}")))
}

/// From or To; two tags would let two readers see two dialogs.
fn party(rows: &[Row], name: Name) -> Result<Option<Box<str>>, Fault> {
    let read = NameAddr::parse(need(rows, name.clone())?).filter(|n| once(&n.params, &["tag"]));
    read.map(|n| tag_of(&n)).ok_or_else(|| bad(format!("Broken {name}")))
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
