//! Values: Via, name-addr, URI, parameters; and edits of messages.

use super::{HEAD, options, read, text, with};
use crate::wire::sip::{Message, Method, Name, NameAddr, Scheme, Uri, Via};

fn via(text: &str) -> Option<Via> {
    Via::parse(text.as_bytes())
}

fn name_addr(text: &str) -> Option<NameAddr> {
    NameAddr::parse(text.as_bytes())
}

fn uri(text: &str) -> Option<Uri> {
    Uri::parse(text.as_bytes())
}

#[test]
fn via_tolerates_blanks_and_reads_addresses() {
    let printed = [
        ("SIP / 2.0 / UDP  h ; branch = z9 ", "SIP/2.0/UDP h;branch=z9"),
        ("SIP/2.0/TCP [2001:db8::9:1]:6050;rport", "SIP/2.0/TCP [2001:db8::9:1]:6050;rport"),
        ("sip/2.0/udp h : 5060", "SIP/2.0/udp h:5060"),
        ("SIP/2.0/UDP h;received=2001:db8::9:255", "SIP/2.0/UDP h;received=2001:db8::9:255"),
        ("SIP/2.0/UDP h;received=[::1]", "SIP/2.0/UDP h;received=[::1]"),
        ("SIP/2.0/TLS h;x=\"a;b,\\\"c\"", "SIP/2.0/TLS h;x=\"a;b,\\\"c\""),
    ];
    for (read, written) in printed {
        assert_eq!(via(read).expect(read).to_string(), written);
    }
    for broken in [
        "",
        "h",
        "SIP/2.0 h",
        "SIP/2.0/UDP",
        "SIP/3.0/UDP h",
        "SIP/2.0/UDP h:",
        "SIP/2.0/UDP h:x",
        "SIP/2.0/UDP h:65536",
        "SIP/2.0/UDP [::1",
        "SIP/2.0/UDP 2001:db8::1",
        "SIP/2.0/U,P h",
        "SIP/2.0/UDP h;a b",
        "SIP/2.0/UDP h;=x",
        "SIP/2.0/UDP h h",
        "HTTP/2.0/UDP h",
    ] {
        assert_eq!(via(broken), None, "{broken}");
    }
}

#[test]
fn a_name_is_kept_and_its_uri_found() {
    let printed = [
        ("\"a <b>, \\\"c\" <sip:u@h>;tag=1", "\"a <b>, \\\"c\" <sip:u@h>;tag=1"),
        ("caller<sip:u@h>", "caller <sip:u@h>"),
        ("T. desk phone <sip:u@[::ffff:192.0.2.2]>", "T. desk phone <sip:u@[::ffff:192.0.2.2]>"),
        ("sip:u@h;tag=1", "<sip:u@h>;tag=1"),
        ("<sip:u@h;x=1>;y=2", "<sip:u@h;x=1>;y=2"),
        ("<sip:u@h> ; q = 0.3 ; z", "<sip:u@h>;q=0.3;z"),
        ("<http://www.example.com>;tag=3", "<http://www.example.com>;tag=3"),
        ("<tel:+49-30;phone-context=x>", "<tel:+49-30;phone-context=x>"),
    ];
    for (read, written) in printed {
        assert_eq!(name_addr(read).expect(read).to_string(), written);
    }
    for broken in [
        "",
        "*",
        "<>",
        "<sip:u@h",
        "sip:u@h>",
        "\"a <sip:u@h>",
        "a, b <sip:u@h>",
        "< sip:u@h >",
        "<sip:u@h>;a b",
        "<sip:u@h>x",
        "sip:u@h?x=y",
        "sip:a,b@h",
        "sip:u;x=y@h",
        "\"a\" b <sip:u@h>",
        "<<sip:u@h>>",
    ] {
        assert_eq!(name_addr(broken), None, "{broken}");
    }
    // Old phones write Latin-1.
    let latin = NameAddr::parse(b"\"M\xfcller\" <sip:m@h>;x=\"\xe9\"").unwrap();
    assert_eq!(latin.to_string(), "\"Müller\" <sip:m@h>;x=\"é\"");
}

#[test]
fn the_parts_of_a_uri_are_told_apart() {
    let all = uri("sips:al%69ce;x?y:p$w@Example.com:5071;lr;method=REGISTER?a=b&c=%20").unwrap();
    assert_eq!(all.scheme, Scheme::Sips);
    assert_eq!(all.user.as_deref(), Some("al%69ce;x?y"));
    assert_eq!(all.user_decoded().as_deref(), Some("alice;x?y"));
    assert_eq!(all.password.as_deref(), Some("p$w"));
    assert_eq!((all.host.as_str(), all.port), ("Example.com", Some(5071)));
    assert_eq!((all.params.get("LR"), all.params.get("method")), (Some(""), Some("REGISTER")));
    assert_eq!(all.headers.as_deref(), Some("a=b&c=%20"));
    let tel = uri("tel:+1-201;phone-context=example.com").unwrap();
    assert_eq!((tel.user.as_deref(), tel.host.as_str()), (Some("+1-201"), ""));
    let other = uri("soap.beep://192.0.2.103:3002").unwrap();
    assert_eq!((other.host.as_str(), other.host_ip()), ("//192.0.2.103:3002", None));
    for broken in [
        "",
        "sip:",
        "sip:@h",
        "sip:u@",
        "sip",
        "sip:u@h:x",
        "sip:u@h:",
        "sip:u@h:99999",
        "1:x",
        "sip:u@h;x@y",
        "sip:u@h;x@y?z",
        "sip:2001:db8::10",
        "sip:u@[2001:db8::1",
        "sip:u@[x]",
        "sip:u@h>",
        "sip:\"u\"@h",
        "sip:u v@h",
        "sip:%4@h",
        "sip:%zz@h",
        "tel:",
        "tel:1@far.example",
        "tel:1;x=@far.example",
        "tel:1:5060",
        "tel:1/2",
        "tel:1?Route=x",
        "tel:1%4",
        "isbn:",
        "sip:h;=x",
        "sip:h;x=%4",
        "sip:h?x=%g0",
        "sip:h?",
        "sip:h?x=1&",
        "sip:h?=1",
        "sip:h?x",
        "sip:h;user=a;user=b",
    ] {
        assert_eq!(uri(broken), None, "{broken}");
    }
}

#[test]
fn address_literals_are_found_and_mapped_ones_unmapped() {
    let ip = |text: &str| uri(text).unwrap().host_ip().map(|ip| ip.to_string());
    assert_eq!(ip("sip:u@192.0.2.1").as_deref(), Some("192.0.2.1"));
    assert_eq!(ip("sip:[2001:db8::10:5070]").as_deref(), Some("2001:db8::10:5070"));
    assert_eq!(ip("sip:[2001:db8::10]:5070").as_deref(), Some("2001:db8::10"));
    assert_eq!(ip("sip:u@[::ffff:192.0.2.2]").as_deref(), Some("192.0.2.2"));
    assert_eq!(ip("sip:u@[2001:db8:::192.0.2.1]").as_deref(), Some("2001:db8::c000:201"));
    assert_eq!(ip("sip:u@example.com"), None);
}

#[test]
fn a_number_that_is_put_into_a_uri_is_read_there_as_it_is() {
    for scheme in ["tel:1", "sip:1@example.net"] {
        for number in ["+4930", "x&1+R", "a?b=c", "7/8", "1;ext=2", "a@b:c", "50 %", "\\"] {
            let mut whole = uri(scheme).expect("a URI");
            whole.set_number(number);
            let again = uri(&whole.to_string()).expect("it is read again");
            assert_eq!(again, whole, "{whole}");
            assert_eq!(again.user_decoded().as_deref(), Some(number), "{whole}");
        }
    }
}

#[test]
fn uris_are_compared_as_rfc_3261_says() {
    let equal = |a: &str, b: &str| {
        let (a, b) = (uri(a).unwrap(), uri(b).unwrap());
        assert_eq!(a.equivalent(&b), b.equivalent(&a));
        a.equivalent(&b)
    };
    assert!(equal("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtlanTa.CoM;Transport=tcp"));
    assert!(equal("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"));
    assert!(equal("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;newparam=5"));
    assert!(equal("sip:a%3bb@h", "sip:a%3Bb@h"));
    for (a, b) in [
        ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtlanTa.CoM;Transport=UDP"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
        ("sip:a%3Bb@h", "sip:a;b@h"),
        ("sip:%ff@h", "sip:%fe@h"),
        ("sip:%ff@h", "sip:h"),
        ("sip:u@h", "sips:u@h"),
        ("urn:A", "urn:a"),
    ] {
        assert!(!equal(a, b), "{a} {b}");
    }
}

#[test]
fn odd_but_legal_syntax_becomes_regular() {
    let odd = "\r\n\r\nOPTIONS sip:b@example.com sip/2.0\r\nv  :\r\n SIP/2.0/UDP   192.0.2.1 \r\n\t ;x\r\n\
               f:<sip:a@h>\r\nT:\t<sip:b@h>\r\nI:x\r\ncseq: 1\r\n  OPTIONS\r\nS:  a\tb  \r\n\
               x-Odd: \"a\r\n  b\"\r\na: *\r\nl: 2\r\nE:\r\n\r\nhello";
    let regular = "OPTIONS sip:b@example.com SIP/2.0\r\nVia: SIP/2.0/UDP   192.0.2.1 ;x\r\n\
                   From: <sip:a@h>\r\nTo: <sip:b@h>\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\n\
                   Subject: a b\r\nx-Odd: \"a b\"\r\nAccept-Contact: *\r\nContent-Encoding: \r\n\
                   Content-Length: 2\r\n\r\nhe";
    assert_eq!(text(&read(odd).unwrap().to_bytes()), regular);
}

#[test]
fn octets_beyond_ascii_are_kept() {
    let head = options("Subject:");
    let odd = [head.trim_end().as_bytes(), b" caf\xe9 \xf0\x9f\x93\x9e\r\n\r\n"].concat();
    let message = read(odd).unwrap();
    assert_eq!(message.first(&Name::Subject), Some(&b"caf\xe9 \xf0\x9f\x93\x9e"[..]));
    assert_eq!(message.text(&Name::Subject), None);
    let response = [b"SIP/2.0 200 d\xe9j\xe0\tvu\r\n", HEAD.as_bytes(), b"\r\n"].concat();
    assert_eq!(read(response).unwrap().phrase(), b"d\xe9j\xe0 vu");
}

#[test]
fn edits_keep_their_place_and_accessors_follow() {
    let mut m = read(options("Route: <sip:r1@h>, <sip:r2@h>\r\nX: y\r\n")).unwrap();
    m.push_front(Name::Via, "SIP/2.0/UDP gate;branch=z9hG4bKg");
    m.push_back(Name::Via, "SIP/2.0/UDP last");
    m.set(Name::To, "<sip:c@h>;tag=t");
    m.set(Name::MaxForwards, "69");
    m.set(Name::CSeq, "2 OPTIONS");
    m.set_uri("sip:c@h");
    assert_eq!(m.pop_first(&Name::Route).as_deref(), Some(&b"<sip:r1@h>"[..]));
    let via: Vec<_> = m.list(&Name::Via).map(text).collect();
    let first = "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1";
    assert_eq!(via, ["SIP/2.0/UDP gate;branch=z9hG4bKg", first, "SIP/2.0/UDP last"]);
    assert_eq!((m.uri(), m.to_tag(), m.from_tag()), ("sip:c@h", Some("t"), Some("1")));
    assert_eq!((m.cseq().seq, m.max_forwards()), (2, Some(69)));
    assert_eq!(m.first(&Name::Route), Some(&b"<sip:r2@h>"[..]));
    assert_eq!(m.pop_first(&Name::Route).as_deref(), Some(&b"<sip:r2@h>"[..]));
    assert_eq!((m.has(&Name::Route), m.pop_first(&Name::Route)), (false, None));
    assert!(m.remove(&Name::To) && !m.remove(&Name::To));
    assert_eq!(m.to_tag(), None);
    m.set(Name::ContentType, "text/plain");
    m.set_body("body");
    assert!(m.to_bytes().ends_with(b"Content-Length: 4\r\n\r\nbody"));
    m.set_body("");
    assert!(!m.has(&Name::ContentType) && m.body().is_empty());
}

#[test]
fn set_leaves_one_row_in_the_place_of_the_first() {
    let mut m = read(options("X-A: 1\r\nX-B: 2\r\nx-a: 3\r\n")).unwrap();
    m.set(Name::Other("X-A".into()), " 4 ");
    let rows: Vec<_> = m.all().skip(5).map(|(n, v)| format!("{n}={}", text(v))).collect();
    assert_eq!(rows, ["X-A=4", "X-B=2"]);
}

#[test]
fn no_edit_can_begin_another_line() {
    let mut m = Message::request(Method::Bye, "sip:a@h SIP/2.0\r\nX: 1");
    m.push_back(Name::Subject, "a\r\nX: 2\0");
    m.set(Name::Organization, "b\nX: 3");
    let bytes = text(&m.to_bytes());
    assert_eq!(bytes.matches("\r\n").count(), 5, "{bytes}");
    assert!(bytes.starts_with("BYE sip:a@h%20SIP/2.0%0D%0AX:%201 SIP/2.0\r\n"), "{bytes}");
    m.set_uri("sip:\nb");
    assert_eq!(m.uri(), "sip:%0Ab");
    m.set_status(200, "OK\r\nX: 4");
    assert!(m.to_bytes().starts_with(b"SIP/2.0 200 OK  X: 4\r\n"));
}

#[test]
fn an_old_request_without_branch_tag_or_hops_is_read() {
    let m = read(with(";branch=z9hG4bK1", "").replace(";tag=1", "")).unwrap();
    assert_eq!((m.from_tag(), m.to_tag(), m.max_forwards()), (None, None, None));
    let top = m.first(&Name::Via).and_then(Via::parse).unwrap();
    assert_eq!(top.branch(), None);
}

#[test]
fn hosts_are_those_of_rfc_1123() {
    let label = "a".repeat(63);
    let longest = format!("{label}.{label}.{label}.{}", "b".repeat(61));
    assert_eq!(longest.len(), 253);
    let root = format!("{longest}.");
    let fine = ["h", "a-b.example.com.", "my_host", "3com.example", "1.2.3.x", "255.1.1.1", "a--b"];
    for host in fine.into_iter().chain([label.as_str(), &longest, &root]) {
        assert!(uri(&format!("sip:u@{host}:5060;lr")).is_some_and(|u| u.host == host), "{host}");
        let read = via(&format!("SIP/2.0/UDP {host}:5060;branch=z9hG4bK1"));
        assert!(read.is_some_and(|v| v.host == host), "{host}");
    }
    let (wide, long) = ("a".repeat(64), format!("c{longest}"));
    let broken = [
        "",
        ".",
        "a..b",
        ".a",
        "a..",
        "-a",
        "a-",
        "a.-b",
        "a-.b",
        "a b",
        "a%62",
        "caf\u{e9}",
        "1",
        "1.2.3",
        "1.2.3.4.5",
        "256.1.1.1",
        "010.0.0.1",
        "1.2.3.4.",
        "a.1",
        "[::1",
        "[::1]x",
        "[1.2.3.4]",
        "[::1%1]",
    ];
    for host in broken.into_iter().chain([wide.as_str(), &long]) {
        assert_eq!(uri(&format!("sip:u@{host};lr")), None, "{host}");
        assert_eq!(via(&format!("SIP/2.0/UDP {host};branch=z9hG4bK1")), None, "{host}");
    }
}
