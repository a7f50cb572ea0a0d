//! Each limit at n and at n + 1 (contract "Limits").

use super::{HEAD, options, read, with};
use crate::wire::limits;
use crate::wire::sip::{Framing, Message, RejectReason};
use bytes::Bytes;

fn status(text: impl AsRef<[u8]>) -> u16 {
    read(text).map_or_else(|r| r.status, |_| 0)
}

#[test]
fn a_datagram_has_at_most_65507_octets_and_a_stream_message_65535() {
    for (framing, limit) in
        [(Framing::Datagram, limits::DATAGRAM), (Framing::Stream, limits::STREAM_MESSAGE)]
    {
        let of = |size: usize| {
            let head = |n: usize| options(&format!("Content-Length: {n}\r\n"));
            let body = size - head(10_000).len();
            let text = head(body) + &"b".repeat(body);
            assert_eq!(text.len(), size);
            Message::parse(Bytes::from(text), framing)
        };
        assert!(of(limit).is_ok());
        let refusal = of(limit + 1).unwrap_err();
        assert_eq!((refusal.reason, refusal.status), (RejectReason::TooLarge, 513));
    }
}

#[test]
fn a_head_has_at_most_256_lines() {
    let of = |n: usize| options(&"X: y\r\n".repeat(n - 5));
    assert_eq!(status(of(256)), 0);
    let refusal = read(of(257)).unwrap_err();
    assert_eq!((refusal.status, &*refusal.phrase), (400, "Too Many Header Lines"));
    assert!(refusal.answerable.is_some());
}

#[test]
fn a_line_has_at_most_8192_octets_however_it_is_written() {
    let plain = |n: usize| options(&format!("X-A: {}\r\n", "y".repeat(n - 5)));
    let compact = |n: usize| options(&format!("s:{}\r\n", "y".repeat(n - "Subject: ".len())));
    let folded = |n: usize| {
        let half = "y".repeat(4000);
        options(&format!("X-A: {half}\r\n {}\r\n", "z".repeat(n - 4006)))
    };
    let blanks = |n: usize| options(&format!("X-A:{}y\r\n", " ".repeat(n - 5)));
    for of in [&plain as &dyn Fn(usize) -> String, &compact, &folded, &blanks] {
        assert_eq!(status(of(8192)), 0);
        assert_eq!(status(of(8193)), 400);
    }
    let refusal = read(plain(8193)).unwrap_err();
    assert_eq!(&*refusal.phrase, "X-A Too Long");
    assert!(refusal.answerable.is_some());
}

#[test]
fn an_endless_header_name_is_not_repeated() {
    let refusal = read(options(&format!("{}: y\r\n", "x".repeat(9000)))).unwrap_err();
    assert_eq!(&*refusal.phrase, "Header Too Long");
}

#[test]
fn a_request_uri_has_at_most_2048_octets() {
    let of = |n: usize| with("sip:b@example.com", &format!("sip:{}@h", "u".repeat(n - 6)));
    assert_eq!(status(of(2048)), 0);
    for n in [2049, 8192, 20_000] {
        let refusal = read(of(n)).unwrap_err();
        assert_eq!((refusal.reason, refusal.status), (RejectReason::TooLarge, 414));
        let answer = refusal.answerable.unwrap();
        assert_eq!((answer.uri(), answer.call_id()), ("", "x@192.0.2.1"));
    }
}

#[test]
fn any_other_uri_has_at_most_2048_octets() {
    let to = |n: usize| with("<sip:b@example.com>", &format!("<sip:{}@h>", "u".repeat(n - 6)));
    assert_eq!(status(to(2048)), 0);
    let refusal = read(to(2049)).unwrap_err();
    assert_eq!((refusal.status, &*refusal.phrase), (400, "Broken To"));
}

#[test]
fn a_method_has_at_most_256_octets() {
    let of = |n: usize| options("").replace("OPTIONS", &"M".repeat(n));
    assert_eq!(status(of(256)), 0);
    assert_eq!(status(of(257)), 400);
}

#[test]
fn lists_have_their_limits_in_one_row_and_in_many() {
    let lists = [
        ("Via", "SIP/2.0/UDP h;branch=z9hG4bK2", limits::VIAS, 1),
        ("Contact", "<sip:c@h>", limits::CONTACTS, 0),
        ("Route", "<sip:r@h;lr>", limits::ROUTES, 0),
        ("Record-Route", "<sip:r@h;lr>", limits::ROUTES, 0),
    ];
    for (name, value, limit, there) in lists {
        let rows = |n: usize| options(&format!("{name}: {value}\r\n").repeat(n - there));
        let row = |n: usize| options(&format!("{name}: {}\r\n", vec![value; n - there].join(",")));
        for of in [&rows as &dyn Fn(usize) -> String, &row] {
            assert_eq!(status(of(limit)), 0, "{name}");
            let refusal = read(of(limit + 1)).unwrap_err();
            let phrase = format!("Too Many {name} Values");
            assert_eq!((refusal.status, &*refusal.phrase), (400, phrase.as_str()));
        }
    }
}

#[test]
fn a_uri_and_a_value_have_at_most_64_parameters() {
    let many = |n: usize| (0..n).map(|i| format!(";p{i}")).collect::<String>();
    type Of<'a> = &'a dyn Fn(usize) -> String;
    let target: Of = &|n| with("sip:b@example.com S", &format!("sip:b@example.com{} S", many(n)));
    let of_to: Of = &|n| with("<sip:b@example.com>", &format!("<sip:b@h{}>", many(n)));
    let to: Of = &|n| with("<sip:b@example.com>", &format!("<sip:b@h>{}", many(n)));
    let bare: Of = &|n| with("<sip:b@example.com>", &format!("sip:b@h{}", many(n)));
    let contact: Of = &|n| options(&format!("m: <sip:c@h>{}\r\n", many(n)));
    let of_route: Of = &|n| options(&format!("Route: <sip:c@h{}>\r\n", many(n)));
    let via: Of = &|n| options(&format!("v: SIP/2.0/UDP h{}\r\n", many(n)));
    let tel: Of = &|n| with("<sip:b@example.com>", &format!("<tel:+1{}>", many(n)));
    for (of, name) in [
        (of_to, "To"),
        (to, "To"),
        (bare, "To"),
        (tel, "To"),
        (contact, "Contact"),
        (of_route, "Route"),
        (via, "Via"),
    ] {
        assert_eq!(status(of(limits::PARAMS)), 0, "{name}");
        let refusal = read(of(limits::PARAMS + 1)).expect_err(name);
        let phrase = format!("Broken {name}");
        assert_eq!((refusal.status, &*refusal.phrase), (400, phrase.as_str()));
        assert!(refusal.answerable.is_some() || name == "Via");
    }
    assert_eq!(status(target(limits::PARAMS)), 0);
    let refusal = read(target(limits::PARAMS + 1)).unwrap_err();
    assert_eq!((refusal.status, &*refusal.phrase), (400, "Broken Request-URI"));
}

#[test]
fn a_uri_has_at_most_64_headers() {
    let many = |n: usize| (0..n).map(|i| format!("h{i}=x")).collect::<Vec<_>>().join("&");
    let to = |n: usize| with("<sip:b@example.com>", &format!("<sip:b@h?{}>", many(n)));
    assert_eq!(status(to(limits::URI_HEADERS)), 0);
    let refusal = read(to(limits::URI_HEADERS + 1)).unwrap_err();
    assert_eq!((refusal.status, &*refusal.phrase), (400, "Broken To"));
}

#[test]
fn numbers_have_their_limits() {
    assert_eq!(status(with("CSeq: 1 ", "CSeq: 2147483647 ")), 0);
    assert_eq!(status(with("CSeq: 1 ", "CSeq: 2147483648 ")), 400);
    assert_eq!(status(options("Max-Forwards: 255\r\n")), 0);
    assert_eq!(status(options("Max-Forwards: 256\r\n")), 400);
    for broken in ["", "-1", "+1", "1.0", "0x1", "99999999999999999999"] {
        assert_eq!(status(options(&format!("Max-Forwards: {broken}\r\n"))), 400, "{broken}");
    }
}

#[test]
fn a_status_code_has_three_digits_from_100_to_699() {
    let of = |code: &str| format!("SIP/2.0 {code} X\r\n{HEAD}\r\n");
    assert_eq!(read(of("100")).unwrap().status(), 100);
    assert_eq!(read(of("699")).unwrap().status(), 699);
    for code in ["099", "700", "999", "20", "2000", "2x0", "-20", "4294967301", ""] {
        let refusal = read(of(code)).unwrap_err();
        assert!(refusal.answerable.is_none(), "{code}");
    }
}
