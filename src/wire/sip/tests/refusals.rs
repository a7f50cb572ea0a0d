//! What is refused, by which name, and who is answered.

use super::{HEAD, options, read, text, with};
use crate::wire::sip::{Framing, Message, Name, Refusal, RejectReason};
use bytes::Bytes;

fn refused(text: impl AsRef<[u8]>) -> Refusal {
    read(text).unwrap_err()
}

#[test]
fn single_value_headers_stand_once_in_long_and_compact_form() {
    let doubles = [
        ("To", "t: <sip:c@h>"),
        ("From", "F: <sip:c@h>;tag=2"),
        ("Call-ID", "i: y"),
        ("CSeq", "cseq: 1 OPTIONS"),
        ("Max-Forwards", "max-forwards: 7\r\nMax-Forwards: 7"),
        ("Content-Length", "Content-Length: 0\r\nl: 0"),
        ("Content-Type", "Content-Type: a/b\r\nc: a/b"),
    ];
    for (name, rows) in doubles {
        let refusal = refused(options(&format!("{rows}\r\n")));
        assert_eq!((refusal.reason, refusal.status), (RejectReason::DuplicateHeader, 400));
        assert_eq!(refusal.phrase, format!("Duplicate {name}"));
        assert!(refusal.answerable.is_some());
    }
}

#[test]
fn a_known_method_in_other_letters_case_is_refused() {
    for method in ["Options", "options", "oPTIONS", "iNVITE", "invite", "Register", "ack", "Cancel"]
    {
        let request = options("").replace("OPTIONS", method);
        let refusal = refused(&request);
        let phrase = format!("Method {} In Other Case", method.to_uppercase());
        assert_eq!((refusal.reason, refusal.status), (RejectReason::Method, 400), "{method}");
        assert_eq!(refusal.phrase, phrase);
        let answerable = refusal.answerable.is_some();
        assert_eq!(answerable, method != "ack", "{method}: an ACK is never answered");
    }
    for method in ["WIBBLE", "wibble", "INVITED", "INVIT"] {
        assert!(read(options("").replace("OPTIONS", method)).is_ok(), "{method}");
    }
    // An answer to what nobody asked is dropped.
    let ok = options("").replacen("OPTIONS sip:b@example.com SIP/2.0", "SIP/2.0 200 OK", 1);
    assert!(read(&ok).is_ok());
    let refusal = refused(ok.replace("1 OPTIONS", "1 options"));
    assert_eq!(refusal.phrase, "Broken CSeq");
    assert!(refusal.answerable.is_none());
}

#[test]
fn a_missing_header_is_named() {
    let rows = [
        ("Via", "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n"),
        ("From", "From: <sip:a@example.com>;tag=1\r\n"),
        ("To", "To: <sip:b@example.com>\r\n"),
        ("Call-ID", "Call-ID: x@192.0.2.1\r\n"),
        ("CSeq", "CSeq: 1 OPTIONS\r\n"),
    ];
    for (name, row) in rows {
        let refusal = refused(with(row, ""));
        assert_eq!((refusal.status, refusal.phrase), (400, format!("Missing {name}").into()));
        // Without a Via or a CSeq an answer would find no transaction.
        assert_eq!(refusal.answerable.is_some(), !["Via", "CSeq"].contains(&name), "{name}");
    }
}

#[test]
fn broken_grammar_names_its_header() {
    let broken = [
        ("Broken Via", with("SIP/2.0/UDP 192.0.2.1", "SIP/2.0/UDP 192.0.2.1,,SIP/2.0/UDP h")),
        ("Broken Via", with("SIP/2.0/UDP 192.0.2.1", "SIP/2.0/UDP 192.0.2.1;branch=other")),
        ("Broken Via", options("Via:\r\n")),
        (
            "Via Names IPv6 Without Brackets",
            with("SIP/2.0/UDP 192.0.2.1", "SIP/2.0/UDP 192.0.2.1, SIP/2.0/TLS fe80::1%p2p0:35434"),
        ),
        ("Broken Via", with("SIP/2.0/UDP 192.0.2.1", "SIP/2.0/UDP h;received=a;RECEIVED=b")),
        ("Broken Contact", options("Contact: <sip:a@h>;expires=1;expires=2\r\n")),
        ("Broken Route", options("Route: <sip:a@h;maddr=a;maddr=b>\r\n")),
        ("Broken From", with("tag=1", "tag=1;tag=2")),
        ("Broken From", with("<sip:a@example.com>", "A, B <sip:a@example.com>")),
        ("Broken To", with("<sip:b@example.com>", "\"b <sip:b@example.com>")),
        ("Broken To", with("<sip:b@example.com>", "sip:b;x=y@example.com")),
        ("Broken To", with("<sip:b@example.com>", "sip:b@example.com?x=y")),
        ("Broken Call-ID", with("x@192.0.2.1", "x y")),
        ("Broken CSeq", with("1 OPTIONS", "OPTIONS 1")),
        ("Broken CSeq", with("1 OPTIONS", "-1 OPTIONS")),
        ("CSeq Method Differs", with("1 OPTIONS", "1 INVITE")),
        ("Broken Contact", options("Contact: <sip:a@h\r\n")),
        ("Broken Contact", options("Contact: sip:a@h?b=c\r\n")),
        ("Broken Route", options("Route: <sip:a@h>,,<sip:b@h>\r\n")),
        ("Broken Record-Route", options("Record-Route: nothing\r\n")),
        ("Broken Request-URI", with("sip:b@example.com", "sip:b@example.com; lr")),
        ("Broken Request-URI", with("sip:b@example.com", "<sip:b@example.com>")),
        ("Broken Request-URI", with("sip:b@example.com", " sip:b@example.com ")),
        ("Broken Request-URI", with("sip:b@example.com", "\tsip:b@example.com")),
        ("Broken Request Line", with("SIP/2.0\r\n", "SIP/2.0 \r\n")),
        ("Header Without Colon", options("Foobar roobar\r\n")),
        ("Broken Header Name", options("Foo bar: x\r\n")),
        ("Broken Header Name", options(": x\r\n")),
    ];
    for (phrase, text) in broken {
        let refusal = refused(&text);
        assert_eq!((refusal.status, &*refusal.phrase), (400, phrase), "{text}");
        assert!(refusal.answerable.is_some(), "{text}");
    }
}

#[test]
fn what_a_proxy_need_not_read_is_not_judged() {
    let rows = "Date: whenever\r\nWarning: none\r\nExpires: soon\r\nX-Y: ;;,,\"<\r\nAllow:\r\n\
                Authorization: Digest \"\r\nContact: *\r\nRoute:\r\nC%6Fntact: <\r\n";
    assert!(read(options(rows)).is_ok());
}

#[test]
fn bare_line_ends_and_controls_in_the_head_are_refused() {
    for bad in ["X: a\nY: b\r\n", "X: a\rY: b\r\n", "X: a\r\r\n", "X: a\n\r\n"] {
        let refusal = refused(options(bad));
        assert_eq!((refusal.reason, refusal.status), (RejectReason::Framing, 400), "{bad:?}");
    }
    for control in (1..32).chain([0, 127]).filter(|b| ![9, 10, 13].contains(b)) {
        let refusal = refused(options(&format!("X-A: a{}b\r\n", char::from(control))));
        assert_eq!(refusal.phrase, "Control In X-A", "{control}");
        let start = with("OPTIONS sip", &format!("OPTIONS{} sip", char::from(control)));
        assert_eq!(refused(start).status, 400);
    }
    assert_eq!(refused(with("OPTIONS", "\nOPTIONS")).reason, RejectReason::Framing);
    assert_eq!(refused(options("").trim_end()).phrase, "Head Without End");
    assert_eq!(refused(with("\r\nVia", "\r\n Via")).phrase, "Folded Start Line");
}

#[test]
fn a_length_is_plain_digits_and_within_the_datagram() {
    let of = |length: &str| format!("{}12345", options(&format!("Content-Length: {length}\r\n")));
    assert_eq!(read(of("5")).unwrap().body(), b"12345");
    assert_eq!(read(of("0000000000005")).unwrap().body(), b"12345");
    assert_eq!(read(of("3")).unwrap().body(), b"123");
    for bad in ["6", "-1", "+5", "5,5", "0x5", "5 5", "", "\"5\"", "18446744073709551621"] {
        let refusal = refused(of(bad));
        assert_eq!((refusal.reason, refusal.status), (RejectReason::Framing, 400), "{bad}");
        assert!(refusal.answerable.is_some());
    }
}

#[test]
fn a_missing_length_means_to_the_end_of_a_datagram_only() {
    let text = options("") + "rest";
    assert_eq!(read(&text).unwrap().body(), b"rest");
    let refusal = Message::parse(Bytes::from(text), Framing::Stream).unwrap_err();
    assert_eq!((refusal.reason, refusal.status), (RejectReason::Framing, 400));
}

#[test]
fn another_version_is_answered_in_ours() {
    let text = options("").replace("SIP/2.0", "SIP/7.0");
    let refusal = refused(text);
    assert_eq!((refusal.reason, refusal.status), (RejectReason::Version, 505));
    let answer = refusal.answerable.unwrap();
    assert_eq!(answer.first(&Name::Via), Some(&b"SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1"[..]));
    assert_eq!(answer.uri(), "");
    // The version comes before whatever else that version may allow.
    assert_eq!(refused(with("SIP/2.0\r\n", "SIP/3\r\nX\u{1}\r\n")).status, 505);
}

#[test]
fn responses_and_acks_are_never_answered() {
    let response = format!("SIP/2.0 200 OK\r\n{HEAD}Max-Forwards: x\r\n\r\n");
    assert!(refused(response).answerable.is_none());
    let ack = options("Max-Forwards: x\r\n").replace("OPTIONS", "ACK");
    assert!(refused(ack).answerable.is_none());
    // The request line says what it is, not its CSeq.
    let ack = with("OPTIONS", "ACK");
    assert!(refused(ack).answerable.is_none());
    assert!(refused("GET / HTTP/1.1\r\nHost: x\r\n\r\n").answerable.is_none());
    assert!(refused("").answerable.is_none());
}

#[test]
fn nobody_is_answered_when_the_top_via_is_unsure() {
    let unreadable = [
        with("Via: SIP/2.0/UDP", "Via: SIP/2.0/UDP h;x=\u{1}\r\nVia: SIP/2.0/UDP"),
        with("Via: SIP/2.0/UDP", "V\u{1}: SIP/2.0/UDP h\r\nVia: SIP/2.0/UDP"),
        with("Via: SIP/2.0/UDP", "Via: nonsense\r\nVia: SIP/2.0/UDP"),
        with("SIP/2.0/UDP 192.0.2.1", "SIP/2.0/UDP"),
        with("Via: SIP/2.0/UDP", "Via:\r\nVia: SIP/2.0/UDP"),
        with("\r\nVia", "\r\n Via: SIP/2.0/UDP h\r\nVia"),
    ];
    for text in unreadable {
        assert!(refused(&text).answerable.is_none(), "{text:?}");
    }
}

#[test]
fn what_is_echoed_holds_only_readable_rows() {
    let refusal = refused(options("Subject: s\r\nX: a\u{7}\r\nl: 7\r\n"));
    let answer = Message::response(&refusal.answerable.unwrap(), 400, "Bad\r\nX: y");
    let expected = format!("SIP/2.0 400 Bad  X: y\r\n{HEAD}Content-Length: 0\r\n\r\n");
    assert_eq!(text(&answer.to_bytes()), expected);
}
