//! Properties: what is read and written is read the same; nothing panics; growth is bounded.

use super::{options, read};
use crate::wire::limits;
use crate::wire::sip::{Framing, Message, NameAddr, Uri, Via};
use bytes::Bytes;
use proptest::prelude::*;

/// Start lines, rows and bodies, mostly legal, in all their dialects.
fn messages() -> impl Strategy<Value = Vec<u8>> {
    let start = prop_oneof![
        Just("OPTIONS sip:b@example.com SIP/2.0".to_owned()),
        "OPTIONS sips?:[a-z0-9;?%]{1,6}@[a-z0-9.\\[\\]:]{1,8}(;[a-z]{1,3}(=[a-z]{1,3})?)? SIP/2.0",
        "SIP/2.0 [1-7][0-9]{2} [ -~\u{e9}\t]{0,12}",
    ];
    let row = prop_oneof![
        Just("Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKa;rport".to_owned()),
        "[vV] ?: ?SIP ?/ ?2.0/(UDP|TCP) {1,2}[a-z]{1,5}( ?; ?branch=[a-zA-Z0-9]{1,5})?(,[a-z]?)?",
        "[fF](rom)? ?:\t?\"?[a-z \\\\\"]{0,4}\"? ?<sip:[a-z]{1,3}@h>(;tag=[a-z]{0,3}){0,2}",
        "(Contact|m|Route|Record-Route): ?(\"[a-z,;]{0,3}\" )?<sip:[a-z]{1,3}@h(;lr)?>(, ?<sip:h>)?",
        "(Subject|s|X-[a-z]{1,3}|Allow):( |\r\n )?[ -~\u{e9}\t]{0,20}(\r\n[ \t][ -~]{0,5})?",
        "(l|Content-Length) ?: ?[0-9]{1,2}",
        "[ -~]{0,20}",
    ];
    let rows = proptest::collection::vec(row, 0..8);
    let body = proptest::collection::vec(any::<u8>(), 0..40);
    (start, any::<bool>(), rows, body).prop_map(|(start, whole, rows, body)| {
        let required = if whole { super::HEAD } else { "" };
        let rows: String = rows.iter().map(|row| format!("{row}\r\n")).collect();
        [format!("{start}\r\n{required}{rows}\r\n").as_bytes(), &body].concat()
    })
}

/// Legal octets with some of them changed, left out or doubled.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let rows = "Contact: \"a\" <sip:c@[::1]:5060;lr>;q=1\r\nRoute: <sip:r;lr>,<sip:h>\r\nl: 2\r\n";
    let edits = proptest::collection::vec((any::<prop::sample::Index>(), 0..3, any::<u8>()), 1..6);
    edits.prop_map(move |edits| {
        let mut text = options(rows).into_bytes();
        text.extend_from_slice(b"xy");
        for (index, kind, octet) in edits {
            let at = index.index(text.len());
            match kind {
                0 => text[at] = octet,
                1 => drop(text.remove(at)),
                _ => text.insert(at, octet),
            }
        }
        text
    })
}

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
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn a_message_written_is_read_the_same(octets in messages()) {
        fixed_point(&octets)?;
        safe_to_echo(&octets)?;
    }

    #[test]
    fn a_damaged_message_is_read_the_same_or_refused_safely(octets in mutated()) {
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
        text in "(\"[ -~]{0,5}\" ?|[a-z ]{0,5})?<?(sips?|tel|urn|[a-z]):[!-~]{0,20}>?(;[ -~]{0,8})?"
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
        text in "SIP ?/ ?2.0/ ?[A-Z]{1,3} {1,2}[a-z0-9.:\\[\\]]{1,12} ?(: ?[0-9]{1,5})?(;[ -~]{0,8}){0,2}"
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
