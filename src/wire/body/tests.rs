use super::*;
use crate::wire::addresses::{find_addresses, find_names};
use crate::wire::sip::{Framing, Message, Name};
use proptest::prelude::*;
use std::net::IpAddr;

fn multipart(boundary: &str) -> Kind {
    Kind::Multipart { boundary: boundary.to_owned() }
}

#[test]
fn types_are_told_apart() {
    for (value, kind) in [
        ("application/sdp", Kind::Sdp),
        ("Application/SDP ; charset=x", Kind::Sdp),
        ("application / sdp", Kind::Sdp),
        ("multipart\t/ mixed", Kind::Unsplit),
        ("message/sipfrag;version=2.0", Kind::Scrub),
        ("application/dialog-info+xml", Kind::Scrub),
        ("application/vq-rtcpxr", Kind::QualityReport),
        ("application/simple-message-summary", Kind::Pass),
        ("application/dtmf-relay", Kind::Pass),
        ("application/media_control+xml", Kind::Pass),
        ("text/plain;charset=UTF-8", Kind::Pass),
        ("text/html", Kind::Unknown),
        ("application/isup;version=itu-t92+", Kind::Unknown),
        ("", Kind::Unknown),
    ] {
        assert_eq!(Kind::of(Some(value)), kind, "{value}");
    }
    assert_eq!(Kind::of(None), Kind::Unknown);
}

#[test]
fn a_boundary_is_clear_or_nothing() {
    for (params, boundary) in [
        ("boundary=b1", "b1"),
        ("boundary=\"b 1\"", "b 1"),
        ("type=\"a;boundary=no\"; BOUNDARY = yes ;x", "yes"),
        ("boundary=\"a\\(b\"", "a(b"),
        ("boundary==_Part=1", "=_Part=1"),
    ] {
        let value = format!("multipart/mixed; {params}");
        assert_eq!(Kind::of(Some(&value)), multipart(boundary), "{params}");
    }
    let long = format!("boundary={}", "x".repeat(71));
    for params in [
        "",
        "boundary=",
        "boundary=a;boundary=b",
        "boundary=\"a",
        "boundary=\"a\"b",
        "boundary=a\"b",
        &long,
    ] {
        assert_eq!(Kind::of(Some(&format!("multipart/mixed;{params}"))), Kind::Unsplit, "{params}");
    }
    let most = "x".repeat(70);
    assert_eq!(Kind::of(Some(&format!("multipart/mixed;boundary={most}"))), multipart(&most));
}

const MIXED: &str = "a preamble\r\n--b\r\n\
    Content-Type: application/sdp\r\nContent-Length: 9\r\n\r\n\
    v=0\r\ns=-\r\n--b2 is no delimiter\r\n--b \t\r\nContent-ID: <x@10.0.0.5>\r\n\
    Content-Type: application/isup;\r\n version=x\r\n\r\n\
    \u{1}\r\n\r\n--b\r\n\r\nno head\r\n--b--\r\n\
    --b\r\nContent-Type: text/evil\r\n\r\nbehind the end\r\n--b--\r\n";

#[test]
fn parts_are_found_where_every_reader_finds_them() {
    let parts = split(MIXED.as_bytes(), "b").unwrap();
    let seen: Vec<_> = parts
        .iter()
        .map(|p| (p.content_type(), String::from_utf8_lossy(p.body()).into_owned()))
        .collect();
    assert_eq!(
        seen,
        [
            (Some("application/sdp"), "v=0\r\ns=-\r\n--b2 is no delimiter".to_owned()),
            (Some("application/isup; version=x"), "\u{1}\r\n".to_owned()),
            (None, "no head".to_owned()),
        ]
    );
}

#[test]
fn one_part_is_rewritten_and_the_others_stay() {
    let mut parts = split(MIXED.as_bytes(), "b").unwrap();
    parts[0].set_body(b"v=0\r\n".to_vec());
    parts[1].overwrite_head(|l| scrub(l, |ip| ip.to_string() == "10.0.0.5", "203.0.113.7"));
    let out = String::from_utf8(join(&parts, "b")).unwrap();
    assert_eq!(
        out,
        "--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n\r\n--b\r\n\
         Content-ID: <x@203.0.113.7>\r\nContent-Type: application/isup; version=x\r\n\r\n\
         \u{1}\r\n\r\n--b\r\n\r\nno head\r\n--b--\r\n"
    );
}

#[test]
fn ends_of_lines_may_be_lf() {
    let body = "--b\nContent-Type: a/b\n\none\ntwo\n--b\n--b--";
    let parts = split(body.as_bytes(), "b").unwrap();
    assert_eq!((parts[0].content_type(), parts[0].body()), (Some("a/b"), b"one\ntwo".as_slice()));
    assert_eq!((parts[1].content_type(), parts[1].body()), (None, b"".as_slice()));
}

#[test]
fn sixteen_parts_pass_and_seventeen_do_not() {
    let body = |n: usize| format!("{}--b--", "--b\r\n\r\nx\r\n".repeat(n));
    assert_eq!(split(body(16).as_bytes(), "b").map(|p| p.len()), Ok(16));
    assert_eq!(split(body(17).as_bytes(), "b"), Err("more than 16 parts"));
}

#[test]
fn what_cannot_be_split_in_one_way_is_refused() {
    for (body, why) in [
        ("", "no closing delimiter"),
        ("no delimiter", "no closing delimiter"),
        ("--b\r\n\r\nx", "no closing delimiter"),
        ("--b\r\n\r\nx\r\n--b--x", "no closing delimiter"),
        ("--b--", "no parts"),
        ("--b\r\nhello\r\n\r\nx\r\n--b--", "a part's head cannot be read"),
        ("--b\r\n folded: first\r\n\r\nx\r\n--b--", "a part's head cannot be read"),
        ("--b\r\nA: b\rc: d\r\n\r\nx\r\n--b--", "a control character in a part's head"),
        ("--b\r\nContent-Type: a/b\r\ncontent-type : c/d\r\n\r\nx\r\n--b--", "a part of two types"),
    ] {
        assert_eq!(split(body.as_bytes(), "b"), Err(why), "{body:?}");
    }
}

/// The one part of a multipart body with these header lines.
fn part(head: &str, text: &str) -> Part {
    let body = format!("--b\r\n{head}\r\n{text}\r\n--b--");
    split(body.as_bytes(), "b").unwrap().remove(0)
}

#[test]
fn a_part_tells_what_it_is_unless_it_is_encoded() {
    for (head, text, kind) in [
        ("", "hello", Ok(Kind::Pass)),
        ("", "v=0\r\no=-", Ok(Kind::Sdp)),
        ("Content-Type: application/isup\r\n", "x", Ok(Kind::Unknown)),
        ("Content-Type: application/isup\r\n", " \r\nv=0", Ok(Kind::Sdp)),
        ("Content-Transfer-Encoding: Binary\r\n", "x", Ok(Kind::Pass)),
        ("Content-Transfer-Encoding: base64\r\n", "eA==", Err(Unreadable::Encoded)),
        ("content-transfer-encoding : Quoted-Printable\r\n", "=78", Err(Unreadable::Encoded)),
        ("Content-Encoding: gzip\r\n", "x", Err(Unreadable::Encoded)),
        ("Content-Encoding: identity\r\nContent-Encoding: br\r\n", "", Err(Unreadable::Encoded)),
    ] {
        assert_eq!(part(head, text).kind(), kind, "{head}{text}");
    }
}

#[test]
fn a_message_tells_what_its_body_is() {
    let of = |head: &str, body: &str| {
        let text = format!(
            "MESSAGE sip:b@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\n\
             To: <sip:b@h>\r\nCall-ID: 1\r\nCSeq: 1 MESSAGE\r\n{head}\r\n{body}"
        );
        let message = Message::parse(text.into_bytes().into(), Framing::Datagram).unwrap();
        assert!(!message.has(&Name::ContentLength));
        Kind::of_message(&message)
    };
    assert_eq!(of("", "x"), Err(Unreadable::Untyped));
    assert_eq!(of("", "v=0"), Err(Unreadable::Untyped));
    assert_eq!(of("c: text/plain\r\n", "x"), Ok(Kind::Pass));
    assert_eq!(of("c: text/plain\r\n", "v=0\r\n"), Ok(Kind::Sdp));
    assert_eq!(of("c: text/plain\r\n", "\u{feff}\n v = 0"), Ok(Kind::Sdp));
    assert_eq!(of("c: text/plain\r\n", "v=1"), Ok(Kind::Pass));
    assert_eq!(of("c: text/plain\r\ne: identity\r\n", "x"), Ok(Kind::Pass));
    for encoded in ["e: gzip", "e: identity\r\ne: gzip", "Content-Transfer-Encoding: base64"] {
        let head = format!("c: text/plain\r\n{encoded}\r\n");
        assert_eq!(of(&head, "x"), Err(Unreadable::Encoded), "{encoded}");
    }
}

#[test]
fn a_part_may_be_left_out_when_it_says_so_once() {
    for (head, optional) in [
        ("", false),
        ("Content-Disposition: session\r\n", false),
        ("Content-Disposition: signal;handling=optional\r\n", true),
        ("content-disposition: signal ; a=\"x;handling=no\" ; Handling = Optional\r\n", true),
        ("Content-Disposition: signal;handling=\"optional\"\r\n", true),
        ("Content-Disposition: signal;handling=required\r\n", false),
        ("Content-Disposition: signal;handling=optional;handling=required\r\n", false),
        ("Content-Disposition: signal;handling=\"optional\r\n", false),
        ("Content-Disposition: a;handling=optional\r\nContent-Disposition: b\r\n", false),
    ] {
        assert_eq!(part(head, "x").is_optional(), optional, "{head}");
    }
}

#[test]
fn text_is_told_from_what_only_looks_so() {
    for named in [
        "text/html",
        "Text/X ; charset=utf-8",
        "message/cpim",
        "application/xml",
        "a/b+XML",
        "a/json",
    ] {
        assert!(is_text(named, b"x"), "{named}");
        assert!(!is_text(named, b"\0x"), "{named}");
    }
    for named in ["application/isup", "application/octet-stream", "xml", "", "image/png"] {
        assert!(!is_text(named, b"x"), "{named}");
    }
}

#[test]
fn what_names_the_inside_is_noticed_in_octets_of_any_kind() {
    let hidden = |ip: IpAddr| ip.to_string().starts_with("10.");
    let domains = ["lan".to_owned(), "corp.example".to_owned()];
    let told = |octets: &[u8]| names_inside(octets, hidden, &domains);
    let wide = |text: &str| text.bytes().flat_map(|b| [b, 0]).collect::<Vec<u8>>();
    assert!(told(b"\x01\x0210.0.0.5\xff"));
    assert!(told(b"\x0b\0pbx.corp.example\x01"));
    assert!(told(&wide("at 10.0.0.5")) && told(&wide("at phone-7.lan")));
    assert!(!told(b"\x01\x02192.0.2.5\xff www.example.com") && !told(&wide("192.0.2.5")));
}

#[test]
fn inside_names_are_overwritten() {
    let domains = ["lan".to_owned(), "corp.example".to_owned()];
    let shown = |text: &str| {
        String::from_utf8(scrub_names(text.as_bytes(), &domains, "203.0.113.7")).unwrap()
    };
    for (text, want) in [
        ("<sip:7@Phone-7.LAN:5060>", "<sip:7@203.0.113.7:5060>"),
        ("at pbx.corp.example.", "at 203.0.113.7."),
        ("corp.example", "203.0.113.7"),
        ("sip:7%40phone.lan;x", "sip:7%40203.0.113.7;x"),
        ("a.lan,b.lan", "203.0.113.7,203.0.113.7"),
    ] {
        assert_eq!(shown(text), want);
    }
    for other in ["lan", "a lan party", "phone.lan.example.com", "xcorp.example", "a.plan", "lan.a"]
    {
        assert_eq!(shown(other), other);
    }
    assert_eq!(scrub_names(b"a.lan", &[], "x"), b"a.lan");
}

#[test]
fn inside_addresses_are_overwritten() {
    let hidden = |ip: IpAddr| ip.to_string().starts_with("10.") || ip.to_string() == "fd00::1";
    let scrubbed =
        |text: &str, shown: &str| String::from_utf8(scrub(text.as_bytes(), hidden, shown)).unwrap();
    let us = "198.51.100.1";
    assert_eq!(
        scrubbed("<uri>sip:1@10.1.2.3</uri> 192.0.2.1", us),
        "<uri>sip:1@198.51.100.1</uri> 192.0.2.1"
    );
    assert_eq!(
        scrubbed("sip:1@[fd00::1]:5060 10.0.0.1", us),
        "sip:1@198.51.100.1:5060 198.51.100.1"
    );
    assert_eq!(scrubbed("sip:1@10.0.0.1:5060", "[2001:db8::1]"), "sip:1@[2001:db8::1]:5060");
    assert_eq!(scrubbed("sip:1@[fd00::1]", "[2001:db8::1]"), "sip:1@[2001:db8::1]");
    assert_eq!(scrubbed("9.10.1.1.1.10.2.2.2", us), format!("9.{us}.{us}"));
    assert_eq!(scrubbed("", us), "");
}

proptest! {
    #[test]
    fn join_and_split_are_inverse(
        parts in prop::collection::vec(
            ("[ -~\r\n]{0,40}", prop::option::of("[a-z]{1,5}/[a-z;=]{1,9}")), 1..16
        )
    ) {
        let body: String = parts.iter().map(|(text, kind)| {
            let head = kind.as_ref().map_or(String::new(), |k| format!("Content-Type: {k}\r\n"));
            format!("--x9x\r\n{head}\r\n{text}\r\n")
        }).collect::<String>() + "--x9x--\r\n";
        let split_once = split(body.as_bytes(), "x9x").unwrap();
        for (part, (text, kind)) in split_once.iter().zip(&parts) {
            prop_assert_eq!(part.body(), text.as_bytes());
            prop_assert_eq!(part.content_type(), kind.as_deref());
        }
        prop_assert_eq!(String::from_utf8(join(&split_once, "x9x")).unwrap(), body);
    }

    #[test]
    fn what_was_joined_splits_again(
        body in "(--b|[a-z]{1,3}: [a-z]|x| )?((\r)?\n(--b(--)?|[a-z]{1,3}:|x| y)?){0,12}"
    ) {
        if let Ok(parts) = split(body.as_bytes(), "b") {
            prop_assert_eq!(split(&join(&parts, "b"), "b"), Ok(parts));
        }
    }

    #[test]
    fn nothing_hidden_survives(text in "([0-9]{1,3}[.: a-f\\[\\]]){0,20}") {
        let hidden = |ip: IpAddr| ip.to_string().contains('1');
        let out = scrub(text.as_bytes(), hidden, "x");
        prop_assert!(!find_addresses(&out).any(|(_, ip)| hidden(ip)), "{}", text);
    }

    #[test]
    fn no_inside_name_survives(text in "([a-z%]{0,3}([-._@ 04]|%2E)){0,8}((lan|corp(\\.|%2e)example)([-._ :]|%2E)?){0,2}") {
        let domains = ["lan".to_owned(), "corp.example".to_owned()];
        let out = scrub_names(text.as_bytes(), &domains, "203.0.113.7");
        prop_assert_eq!(find_names(&out, &domains).next(), None, "{}", text);
        prop_assert!(!names_inside(&out, |_| false, &domains));
    }

    #[test]
    fn no_input_panics(body: Vec<u8>, b in "[a-z]{1,3}", value in "[ -~]{0,40}") {
        let _ = split(&body, &b);
        let _ = Kind::of_octets(Some(&format!("multipart/{value}")), &body);
        let _ = (is_optional(Some(&value)), is_text(&value, &body));
        let domains = [b];
        let hides = names_inside(&body, |_| false, &domains);
        prop_assert!(hides || scrub_names(&body, &domains, "x") == body);
    }
}
