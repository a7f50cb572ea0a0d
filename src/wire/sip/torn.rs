//! Responses that are not as they must be: what says the same twice is read once, and of what
//! cannot be accepted as much is read as says what it answers. It judges nothing.

use super::message::Row;
use super::refusal::Torn;
use super::text::{elements, list};
use super::{CSeq, Name, RawNameAddr, Via};
use crate::wire::limits;

/// Of single-value headers that say the same, the first stays. The length is never said twice: who
/// frames by it must not have to choose.
pub(super) fn once(rows: &mut Vec<Row>) {
    let is_single = |row: &Row| row.name.is_single() && row.name != Name::ContentLength;
    let mut at = 0;
    while let Some(row) = rows.get(at) {
        let (first, same) = (row.clone(), at + 1);
        at += 1;
        if !is_single(&first) {
            continue;
        }
        let mut index = 0;
        rows.retain(|r| {
            index += 1;
            index <= same || r.name != first.name || r.value != first.value
        });
    }
}

/// What can be read; `None`: not even the branch.
pub(super) fn read(rows: &[Row], status: u16) -> Option<Torn> {
    let of = |name: Name| rows.iter().filter(move |r| r.name == name);
    let via = of(Name::Via).next().and_then(|row| list(&row.value).next().and_then(Via::parse))?;
    let cseq = of(Name::CSeq).next().and_then(|row| CSeq::parse(&row.value));
    let mut kept = Vec::new();
    let to: Vec<&Row> = of(Name::To).collect();
    let fine =
        |value: &[u8]| RawNameAddr::read(value).is_some_and(|n| !n.params.is_any_double(&["tag"]));
    if let [to] = to.as_slice()
        && fine(&to.value)
    {
        kept.push((Name::To, to.value.to_vec()));
    }
    for (name, most) in [(Name::Contact, 1), (Name::RecordRoute, limits::ROUTES)] {
        let all: Vec<&[u8]> = of(name.clone()).flat_map(|row| elements(&row.value)).collect();
        if all.len() <= most && all.iter().all(|value| fine(value)) {
            kept.extend(all.into_iter().map(|value| (name.clone(), value.to_vec())));
        }
    }
    let branch = via.branch()?.to_owned();
    Some(Torn { status, branch, method: cseq.map(|c| c.method), rows: kept })
}
