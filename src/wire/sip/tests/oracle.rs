//! Two other readers as oracles: where they accept what we accept, they must see the same message;
//! and what we write, they must be able to read. Where they differ, the difference has a name.

use super::dialect::{damaged, legal};
use super::{options, read};
use crate::wire::sip::{Message, Name};
use bytes::Bytes;
use proptest::prelude::*;
use rsip::message::HasHeaders;

/// What one reader saw, in a form that can be compared.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    /// Method, or status.
    start: String,
    /// From, To, Call-ID, CSeq, Max-Forwards, Content-Type: values with blanks as one space.
    singles: Vec<Option<String>>,
    /// Via rows.
    vias: Vec<String>,
    body: Vec<u8>,
}

const SINGLES: [Name; 6] =
    [Name::From, Name::To, Name::CallId, Name::CSeq, Name::MaxForwards, Name::ContentType];

fn spaced(value: &[u8]) -> String {
    let text: String = value.iter().map(|b| char::from(*b)).collect();
    text.split([' ', '\t', '\r', '\n'])
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// From the rows of any reader.
fn seen(start: String, rows: &[(Name, String)], body: &[u8]) -> Seen {
    let of = |name: &Name| -> Vec<String> {
        rows.iter().filter(|(n, _)| n == name).map(|(_, v)| v.clone()).collect()
    };
    Seen {
        start,
        singles: SINGLES.iter().map(|name| of(name).first().cloned()).collect(),
        vias: of(&Name::Via),
        body: body.to_vec(),
    }
}

fn by_us(m: &Message) -> Seen {
    let start = if m.is_request() { m.method().to_string() } else { m.status().to_string() };
    let rows: Vec<_> = m.all().map(|(n, v)| (n.clone(), spaced(v))).collect();
    seen(start, &rows, m.body())
}

/// Where sipx refuses what is read here: it counts folds where we count octets, it refuses every
/// repeated URI parameter where we refuse those that steer, users dial `#` without escaping it, and
/// nothing between two semicolons is nothing to us.
const STRICTER: [&str; 5] = [
    "folding line count limit exceeded",
    "repeated uri-parameter name",
    "invalid SIP URI user part",
    "empty parameter",
    // A colon too many in an IPv6 reference is read (RFC 5118 §4.10).
    "invalid character in host",
];

/// `None`: refused for a reason that is a known difference.
fn by_sipx(octets: &[u8]) -> Result<Option<Seen>, TestCaseError> {
    let limits = sipx_sip::Limits::datagram();
    let m = match sipx_sip::parse_datagram(Bytes::copy_from_slice(octets), &limits) {
        Ok(m) => m,
        Err(e) => {
            let why = e.to_string();
            let known = STRICTER.iter().any(|known| why.contains(known));
            prop_assert!(known, "{}: {:?}", why, String::from_utf8_lossy(octets));
            return Ok(None);
        }
    };
    let start = match &m {
        sipx_sip::Message::Request(r) => String::from_utf8_lossy(r.method.as_bytes()).into_owned(),
        sipx_sip::Message::Response(r) => r.status.code().to_string(),
    };
    let name = |h: &sipx_sip::Header| Name::parse(&String::from_utf8_lossy(h.name().canonical()));
    let rows: Vec<_> = m.headers().iter().map(|h| (name(h), spaced(&h.value()))).collect();
    Ok(Some(seen(start, &rows, m.body())))
}

/// `None`: refused. It knows fewer methods, names and dialects than the RFCs.
fn by_rsip(octets: &[u8]) -> Option<Seen> {
    let m = rsip::SipMessage::try_from(octets).ok()?;
    let start = match &m {
        rsip::SipMessage::Request(r) => r.method().to_string(),
        rsip::SipMessage::Response(r) => r.status_code().code().to_string(),
    };
    let row = |h: &rsip::Header| {
        let text = h.to_string();
        let (name, value) = text.split_once(':').unwrap_or((&text, ""));
        (Name::parse(name.trim()), spaced(value.as_bytes()))
    };
    let rows: Vec<_> = m.headers().iter().map(row).collect();
    Some(seen(start, &rows, m.body()))
}

#[test]
fn the_oracles_are_awake() {
    let text =
        options("Max-Forwards: 70\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n") + "hi";
    let ours = by_us(&read(&text).unwrap());
    assert_eq!(by_sipx(text.as_bytes()).unwrap().as_ref(), Some(&ours));
    assert_eq!(by_rsip(text.as_bytes()).as_ref(), Some(&ours));
}

fn agree(octets: &[u8]) -> Result<(), TestCaseError> {
    let Ok(message) = read(octets) else { return Ok(()) };
    let ours = by_us(&message);
    for octets in [octets, &message.to_bytes()] {
        for theirs in [by_sipx(octets)?, by_rsip(octets)].into_iter().flatten() {
            prop_assert_eq!(&theirs, &ours, "{:?}", String::from_utf8_lossy(octets));
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn other_readers_see_the_same_message(octets in legal()) {
        agree(&octets)?;
    }

    #[test]
    fn other_readers_see_the_same_in_damage_that_passes(octets in damaged()) {
        agree(&octets)?;
    }
}
