//! Streams: the same messages however the octets arrive, and an early end for what is not SIP.

use super::{HEAD, options, text};
use crate::wire::limits;
use crate::wire::sip::{Framed, Framer, Framing, Message, RejectReason, is_keepalive};
use proptest::prelude::*;

/// What a stream held, told in words that can be compared.
fn told(framed: Framed) -> String {
    match framed {
        Framed::Message(bytes) => format!("message {}", text(&bytes)),
        Framed::Ping => "ping".to_owned(),
        Framed::Refused(r) => {
            format!("refused {} {:?} {} {}", r.status, r.reason, r.phrase, r.answerable.is_some())
        }
    }
}

/// Everything in a stream that arrives in pieces of these sizes, again and again.
fn all(stream: &[u8], sizes: &[usize]) -> Vec<String> {
    let (mut framer, mut found, mut rest) = (Framer::default(), Vec::new(), stream);
    for size in sizes.iter().cycle() {
        let (piece, left) = rest.split_at((*size).min(rest.len()));
        framer.push(piece);
        while let Some(framed) = framer.next() {
            found.push(told(framed));
        }
        if left.is_empty() {
            break;
        }
        rest = left;
    }
    found
}

fn once(stream: impl AsRef<[u8]>) -> Vec<String> {
    all(stream.as_ref(), &[usize::MAX])
}

fn message(rows: &str, body: &str) -> String {
    options(&format!("{rows}Content-Length: {}\r\n", body.len())) + body
}

#[test]
fn messages_pings_and_blank_lines_are_told_apart() {
    let (a, b) = (message("", "one"), message("", ""));
    let stream = format!("\r\n\r\n\r\n{a}\r\n{b}\r\n\r\n\r\n\r\n{a}");
    let expected = [
        "ping".to_owned(),
        format!("message {a}"),
        format!("message {b}"),
        "ping".to_owned(),
        "ping".to_owned(),
        format!("message {a}"),
    ];
    assert_eq!(once(&stream), expected);
    assert_eq!(all(stream.as_bytes(), &[1]), expected);
}

#[test]
fn octets_of_an_incomplete_message_are_told_from_blank_lines() {
    let mut framer = Framer::default();
    for (octets, partial) in [("", false), ("\r\n", false), ("\r", false), ("\nOPT", true)] {
        framer.push(octets.as_bytes());
        while framer.next().is_some() {}
        assert_eq!(framer.is_partial(), partial, "{octets:?}");
    }
}

#[test]
fn what_is_not_sip_ends_with_its_first_line_or_octet() {
    let cases: [(&[u8], usize); 6] = [
        (b"GET / HTTP/1.1\r\nHost: x\r\n", 16),
        (b"\x16\x03\x01\x02\x00", 1),
        (b"hello\r\n", 7),
        (b"hello\n", 6),
        (b"OPTIONS sip:a@b SIP/2.0\n", 24),
        (b"\r\n\rX", 4),
    ];
    for (stream, needed) in cases {
        let early = all(stream.get(..needed - 1).unwrap(), &[1]);
        assert!(early.is_empty(), "{}", text(stream));
        for sizes in [&[1][..], &[usize::MAX]] {
            let found = all(stream.get(..needed).unwrap(), sizes);
            assert_eq!(found, ["refused 400 Framing Not SIP false"], "{}", text(stream));
        }
    }
}

#[test]
fn a_folded_line_is_no_length_and_a_length_may_be_folded() {
    let hidden = "X: a\r\n Content-Length: 999\r\n";
    assert_eq!(once(message(hidden, "one")), [format!("message {}", message(hidden, "one"))]);
    let folded = options("Content-Length:\r\n 3\r\n") + "one";
    assert_eq!(once(&folded), [format!("message {folded}")]);
    let compact = options("L  : 3\r\n") + "one";
    assert_eq!(once(&compact), [format!("message {compact}")]);
}

#[test]
fn a_stream_without_a_sure_length_is_refused_and_answered() {
    let answered = [
        ("", "Framing Content-Length Required"),
        ("Content-Length: -1\r\n", "Framing Broken Content-Length"),
        ("Content-Length: 3\r\nl: 3\r\n", "DuplicateHeader Duplicate Content-Length"),
        ("X: a\nContent-Length: 3\r\n", "Framing Bare CR Or LF"),
    ];
    for (rows, told) in answered {
        assert_eq!(once(options(rows)), [format!("refused 400 {told} true")]);
    }
    let response = format!("SIP/2.0 200 OK\r\n{HEAD}\r\n");
    assert_eq!(once(response), ["refused 400 Framing Content-Length Required false"]);
}

#[test]
fn nothing_is_read_after_a_refusal() {
    let mut framer = Framer::default();
    framer.push(b"GET / HTTP/1.1\r\n");
    assert!(matches!(framer.next(), Some(Framed::Refused(_))));
    framer.push(message("", "").as_bytes());
    assert!(framer.next().is_none() && !framer.is_partial());
}

#[test]
fn a_stream_message_has_at_most_65535_octets() {
    let of = |size: usize| {
        let length = size - message("", &"b".repeat(10_000)).len() + 10_000;
        message("", &"b".repeat(length))
    };
    let (fits, beyond) = (of(limits::STREAM_MESSAGE), of(limits::STREAM_MESSAGE + 1));
    assert_eq!((fits.len(), beyond.len()), (65_535, 65_536));
    for sizes in [&[usize::MAX][..], &[16_384], &[1]] {
        assert_eq!(all(fits.as_bytes(), sizes), [format!("message {fits}")]);
        let found = all(beyond.as_bytes(), sizes);
        assert_eq!(found, ["refused 513 TooLarge Message Too Large true"]);
    }
    // The head alone decides: nobody waits for four gigabytes.
    let told = once(options("Content-Length: 4294967295\r\n"));
    assert_eq!(told, ["refused 513 TooLarge Message Too Large true"]);
}

#[test]
fn of_a_stream_that_many_share_one_message_that_is_too_long_is_refused_and_the_next_one_read() {
    let next = message("", "next");
    for size in [limits::STREAM_MESSAGE, 100_000, 1_000_000] {
        let beyond = message("", &"b".repeat(size));
        let stream = format!("{beyond}{next}\r\n\r\n{beyond}{next}");
        for chunk in [usize::MAX, 16_384, 997] {
            let (mut framer, mut found) = (Framer::shared(), Vec::new());
            for piece in stream.as_bytes().chunks(chunk.min(stream.len())) {
                framer.push(piece);
                while let Some(framed) = framer.next() {
                    found.push(told(framed));
                }
                let read = chunk.min(stream.len());
                assert!(framer.held() <= limits::STREAM_MESSAGE + read, "{}", framer.held());
            }
            let refused = "refused 513 TooLarge Message Too Large true".to_owned();
            let good = format!("message {next}");
            let all = [refused.clone(), good.clone(), "ping".to_owned(), refused, good];
            assert_eq!(found, all);
            assert!(!framer.is_dead());
        }
    }
    let mut framer = Framer::shared();
    framer.push(options("Content-Length: 18446744073709551615\r\n").as_bytes());
    assert!(matches!(framer.next(), Some(Framed::Refused(_))));
    framer.push(b"more");
    assert!(framer.next().is_none());
}

#[test]
fn an_endless_head_is_refused_without_an_answer() {
    let rows = options(&"X: y\r\n".repeat(20_000));
    let line = format!("OPTIONS sip:{}", "a".repeat(100_000));
    for stream in [rows, line] {
        for sizes in [&[usize::MAX][..], &[1000], &[1]] {
            let found = all(stream.as_bytes(), sizes);
            assert_eq!(found, ["refused 513 TooLarge Message Too Large false"]);
        }
    }
}

#[test]
fn keep_alives_are_no_messages() {
    for octets in [&b""[..], b"\r\n", b"\r\n\r\n", b"\0", b"\0\0\0\0", b"  \r\n"] {
        assert!(is_keepalive(octets), "{octets:?}");
    }
    for octets in [&b"OPTIONS"[..], b"\r\nx", &[0; 65]] {
        assert!(!is_keepalive(octets), "{octets:?}");
    }
}

/// Pieces of streams, good and bad.
fn pieces() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("\r\n".to_owned()),
        Just("\r\n\r\n".to_owned()),
        Just("\r".to_owned()),
        "[ -~]{0,8}",
        "[a-z]{0,40}".prop_map(|body| message("", &body)),
        "[a-z\r\n: ]{0,40}".prop_map(|rows| message(&rows, "body")),
        (0_usize..2000).prop_map(|n| options(&format!("l: {n}\r\n"))),
    ]
}

proptest! {
    #[test]
    fn how_octets_arrive_changes_nothing(
        stream in proptest::collection::vec(pieces(), 0..6).prop_map(|p| p.concat()),
        sizes in proptest::collection::vec(1_usize..40, 1..5),
    ) {
        prop_assert_eq!(all(stream.as_bytes(), &sizes), once(&stream));
    }

    /// The framer and the parser cut at the same octet, or one could hide a message in another's.
    #[test]
    fn the_parser_sees_the_body_that_the_framer_cut(
        rows in "((X|l|Content-Length|Foo)[ :]{0,2}[0-9a:]{0,2}(\r\n|\r\n |\n){0,2}){0,4}",
        body in "[a-z]{0,12}",
    ) {
        let mut framer = Framer::default();
        framer.push(format!("{}{body}", options(&rows)).as_bytes());
        if let Some(Framed::Message(bytes)) = framer.next() {
            let head = memchr::memmem::find(&bytes, b"\r\n\r\n").unwrap_or_default() + 4;
            if let Ok(message) = Message::parse(bytes.clone(), Framing::Stream) {
                prop_assert_eq!(message.body(), bytes.get(head..).unwrap_or_default());
            }
        }
    }

    #[test]
    fn no_stream_panics_or_grows(
        octets in proptest::collection::vec(any::<u8>(), 0..600),
        sizes in proptest::collection::vec(1_usize..40, 1..5),
    ) {
        for told in all(&octets, &sizes) {
            prop_assert!(told.len() <= limits::STREAM_MESSAGE * 3);
        }
    }

    #[test]
    fn a_refusal_for_size_says_so(excess in 1_usize..1000) {
        let mut framer = Framer::default();
        let length = limits::STREAM_MESSAGE + excess;
        framer.push(options(&format!("Content-Length: {length}\r\n")).as_bytes());
        let Some(Framed::Refused(refusal)) = framer.next() else {
            return Err(TestCaseError::fail("not refused"));
        };
        prop_assert_eq!(refusal.reason, RejectReason::TooLarge);
    }
}
