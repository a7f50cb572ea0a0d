//! Properties: what is read and written is read the same; nothing panics; growth is bounded.

use super::dialect::{damaged, legal};
use super::{options, read};
use crate::wire::limits;
use crate::wire::sip::{Framing, Message, NameAddr, Uri, Via};
use bytes::Bytes;
use proptest::prelude::*;

/// What is read is written regularly, and that is read as the same and written as the same.
fn fixed_point(octets: &[u8]) -> Result<(), TestCaseError> {
    for framing in [Framing::Datagram, Framing::Stream] {
        let Ok(message) = Message::parse(Bytes::copy_from_slice(octets), framing) else { continue };
        let once = message.to_bytes();
        let again = Message::parse(once.clone(), Framing::Stream);
        prop_assert!(again.is_ok(), "{:?}", String::from_utf8_lossy(&once));
        let again = again.expect("just seen");
        prop_assert_eq!(&again.to_bytes(), &once);
        prop_assert_eq!(again.body(), message.body());
        prop_assert_eq!(again.uri(), message.uri());
        prop_assert_eq!(again.phrase(), message.phrase());
        prop_assert_eq!(again.cseq(), message.cseq());
        prop_assert_eq!(
            (again.from_tag(), again.to_tag(), again.call_id()),
            (message.from_tag(), message.to_tag(), message.call_id())
        );
        let end = memchr::memmem::find(&once, b"\r\n\r\n").expect("a head");
        let controls = once.iter().take(end).filter(|b| b.is_ascii_control()).count();
        let lines = once.iter().take(end).filter(|b| **b == b'\n').count();
        prop_assert_eq!(controls, lines * 2, "only CRLF");
    }
    Ok(())
}

/// What is echoed of a refused message is regular, whatever it was.
fn safe_to_echo(octets: &[u8]) -> Result<(), TestCaseError> {
    let Err(refusal) = read(octets) else { return Ok(()) };
    prop_assert!((400..=599).contains(&refusal.status));
    prop_assert!(!refusal.phrase.chars().any(char::is_control) && refusal.phrase.len() < 100);
    if let Some(request) = refusal.answerable {
        let bytes = Message::response(&request, 400, "Bad Request").to_bytes();
        prop_assert!(bytes.ends_with(b"\r\n\r\n"));
        let controls = bytes.iter().filter(|b| b.is_ascii_control()).count();
        prop_assert_eq!(controls, 2 * (request.all().count() + 3));
    }
    Ok(())
}

proptest! {
    #[test]
    fn what_is_legal_is_read_and_written_and_read_the_same(octets in legal()) {
        let refusal = read(&octets).map_err(|r| r.phrase).err();
        prop_assert_eq!(refusal, None, "{:?}", String::from_utf8_lossy(&octets));
        fixed_point(&octets)?;
    }

    #[test]
    fn a_damaged_message_is_read_the_same_or_refused_safely(octets in damaged()) {
        fixed_point(&octets)?;
        safe_to_echo(&octets)?;
    }

    #[test]
    fn noise_is_refused(octets in proptest::collection::vec(any::<u8>(), 0..400)) {
        fixed_point(&octets)?;
        safe_to_echo(&octets)?;
    }

    #[test]
    fn values_written_are_read_the_same(
        text in "(\"[ -~]{0,5}\" ?|[a-z ]{0,5})?<?(sips?|tel|urn|[a-z]):([a-z;?%]{1,5}@)?[!-~]{0,12}>?(;[ -~]{0,8})?"
    ) {
        if let Some(uri) = Uri::parse(text.as_bytes()) {
            prop_assert_eq!(Uri::parse(uri.to_string().as_bytes()), Some(uri.clone()));
            prop_assert!(uri.equivalent(&uri));
        }
        if let Some(name) = NameAddr::parse(text.as_bytes()) {
            prop_assert_eq!(NameAddr::parse(name.to_string().as_bytes()), Some(name));
        }
    }

    #[test]
    fn a_via_written_is_read_the_same(
        text in "SIP ?/ ?2\\.0/ ?[A-Z]{1,3} {1,2}[a-z0-9.:\\[\\]]{1,12} ?(: ?[0-9]{1,5})?(;[ -~]{0,8}){0,2}"
    ) {
        if let Some(via) = Via::parse(text.as_bytes()) {
            prop_assert_eq!(Via::parse(via.to_string().as_bytes()), Some(via));
        }
    }

    #[test]
    fn values_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..60)) {
        let read = [
            Uri::parse(&octets).map(|v| v.to_string()),
            Via::parse(&octets).map(|v| v.to_string()),
            NameAddr::parse(&octets).map(|v| v.to_string()),
        ];
        prop_assert!(read.iter().flatten().all(|text| text.len() <= octets.len() * 2 + 8));
    }
}

/// Input made to cost more than its size: quotes that never close, brackets, folds, endless lists.
#[test]
fn hostile_shapes_are_bounded_by_the_message() {
    let room = limits::DATAGRAM - 1000;
    let fill = |unit: &str| unit.repeat(room / unit.len());
    let units = [
        "\"",
        "\\",
        "<",
        ">",
        ",",
        ";",
        "\r\n ",
        "\r\n\t\r\n ",
        "a:b\r\n",
        "%",
        "?",
        "@",
        "=",
        "\\\"",
        "<\"",
        "\",",
        ";tag=",
        "SIP/2.0/UDP h,",
        "<sip:a@h>,",
        "l:0\r\n",
        " ",
        "\t",
    ];
    for unit in units {
        for row in ["Via: ", "From: ", "To: ", "Contact: ", "Route: ", "X: ", "l:", ""] {
            let text = options(&format!("{row}{}\r\n", fill(unit)));
            assert!(text.len() <= limits::DATAGRAM);
            if let Ok(message) = read(&text) {
                assert!(message.to_bytes().len() <= text.len() + 100, "{row}{unit:?}");
                assert!(message.all().count() <= limits::HEADER_LINES, "{row}{unit:?}");
            }
        }
    }
}
