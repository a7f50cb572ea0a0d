//! Messages for the properties: legal ones in every dialect that is allowed, the same with damage,
//! and noise.

use proptest::prelude::*;
use proptest::sample::{Index, select};

type Octets = BoxedStrategy<Vec<u8>>;

/// Blanks and folds where RFC 3261 allows them; `some` where it demands them.
fn blank(some: bool) -> impl Strategy<Value = &'static str> + Clone {
    let from = usize::from(some);
    select(&["", " ", "  ", "\t", "\r\n ", " \r\n\t", "\r\n  \r\n "][from..])
}

/// A row: a name in one of its spellings, blanks, a colon, blanks and a value.
fn row(names: &'static [&'static str], value: Octets) -> Octets {
    let before = select(&["", "", " ", "\t"][..]);
    (select(names), before, blank(false), value, select(&["", " ", "\t"][..]))
        .prop_map(|(name, before, after, value, end)| {
            let head = format!("{name}{before}:{after}");
            [head.as_bytes(), &value, end.as_bytes(), b"\r\n"].concat()
        })
        .boxed()
}

fn text(strategy: impl Strategy<Value = String> + 'static) -> Octets {
    strategy.prop_map(String::into_bytes).boxed()
}

fn uri() -> impl Strategy<Value = String> + Clone {
    let host = select(
        &["h", "example.com", "192.0.2.1", "[2001:db8::1]", "[::ffff:192.0.2.2]", "a-b.c"][..],
    );
    let user = "([a-zA-Z0-9%]?[a-z+;?/&=$_.!~*'()-]{0,6}[a-z](:[a-z$,]{0,3})?@)?"
        .prop_map(|user| user.replace('%', "%4a"));
    let rest = "(:[1-9][0-9]{0,3})?(;(lr|x|y=1))?(;transport=udp)?(;n%61me=v%41)?";
    (select(&["sip:", "sips:", "SIP:"][..]), user, host, rest)
        .prop_map(|(scheme, user, host, rest)| format!("{scheme}{user}{host}{rest}"))
}

/// `"name" <uri>;tag=…`, once with quotes and escapes, once with words, once in other alphabets.
fn party() -> Octets {
    let names: [&[u8]; 6] =
        [b"", b"\"a, <b>; \\\"c\\\\\" ", b"\"\"", b"word two ", b"\"M\xfcller\"", b"\"\xd0\xb1\" "];
    (select(names.to_vec()), uri(), "(;[a-z]{1,3}(=([a-z0-9]{1,4}|\"[a-z ;,<=]{0,4}\"))?){0,2}")
        .prop_flat_map(|(name, uri, params)| {
            (Just(name), Just(uri), Just(params), blank(false), "(tag=[a-zA-Z0-9.]{1,6})?")
        })
        .prop_map(|(name, uri, params, blank, tag)| {
            let params = params.replace(";tag", ";gat");
            let tag = if tag.is_empty() { String::new() } else { format!("{blank};{blank}{tag}") };
            [name, format!("<{uri}>{params}{tag}").as_bytes()].concat()
        })
        .boxed()
}

/// `parties` separated by commas.
fn parties() -> Octets {
    proptest::collection::vec(party(), 1..4).prop_map(|all| all.join(&b" , "[..])).boxed()
}

fn via() -> Octets {
    let host = select(&["h", "192.0.2.1", "[2001:db8::9:1]", "gate.example.com"][..]);
    let end = "(:[1-9][0-9]{0,3})?(;rport)?(;branch=[a-zA-Z0-9]{1,8})?";
    let received = select(&["", ";received=192.0.2.9", ";received=2001:db8::1", ";x=\",;\""][..]);
    let one =
        (blank(false), blank(true), select(&["UDP", "TCP", "TLS", "x"][..]), host, end, received)
            .prop_map(|(b, some, transport, host, end, received)| {
                format!("SIP{b}/{b}2.0{b}/{b}{transport}{some}{host}{end}{received}")
            });
    text(proptest::collection::vec(one, 1..4).prop_map(|all| all.join(",")))
}

fn subject() -> Octets {
    let any = select(b"ab:;,\"<>@()=\t \xe9\xf0\x9f\x93\x9e".to_vec());
    (proptest::collection::vec(any, 0..12), blank(true))
        .prop_map(|(words, fold)| [b"s", &*words, fold.as_bytes(), b"e"].concat())
        .boxed()
}

/// Rows beside the required ones; none of them twice where it may stand once.
fn others() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let many = proptest::collection::vec(
        prop_oneof![
            row(&["Contact", "m", "CONTACT"], parties()),
            row(&["Route"], parties()),
            row(&["Record-Route"], parties()),
            row(&["Subject", "s"], subject()),
            row(&["X-Y", "C%6Fntact", "a"], subject()),
            row(&["Via", "v"], via()),
            row(&["Allow", "Date", "Warning", "Route"], text(Just(String::new()))),
        ],
        0..5,
    );
    let hops = proptest::option::of(row(&["Max-Forwards"], text("0{0,3}(0|1?[0-9]{1,2}|255)")));
    let kind = proptest::option::of(row(&["c", "Content-Type"], text("[a-z]{1,4}/[a-z]{1,4}")));
    (many, hops, kind).prop_map(|(mut rows, hops, kind)| {
        rows.extend(hops);
        rows.extend(kind);
        rows
    })
}

/// A legal datagram, however odd.
pub(super) fn legal() -> Octets {
    let method = select(&["INVITE", "OPTIONS", "REGISTER", "odd-!%*_+`'~"][..]);
    let rows = method.clone().prop_flat_map(|method| {
        let cseq = ("0{0,4}[0-9]{1,8}", blank(true));
        let cseq = text(cseq.prop_map(move |(n, some)| format!("{n}{some}{method}")));
        let required = (
            row(&["Via", "v", "VIA"], via()),
            row(&["From", "f", "fROM"], party()),
            row(&["To", "t"], party()),
            row(&["Call-ID", "i", "call-id"], text("[a-zA-Z0-9.<>\\[\\]{}@/?-]{1,12}")),
            row(&["CSeq", "cseq"], cseq),
        );
        let rows = (required, others()).prop_map(|((a, b, c, d, e), mut rows)| {
            rows.extend([a, b, c, d, e]);
            rows
        });
        (Just(method), rows.prop_shuffle())
    });
    let status = prop_oneof![Just(Vec::new()), subject()];
    let start = (any::<bool>(), uri(), 100_u16..700, status);
    let body = proptest::collection::vec(any::<u8>(), 0..40);
    let length = proptest::option::of((select(&["l", "Content-Length"][..]), any::<Index>()));
    (rows, start, body, length)
        .prop_map(|((method, rows), (request, uri, status, phrase), body, length)| {
            let phrase: Vec<u8> = phrase.into_iter().filter(|b| !b"\r\n".contains(b)).collect();
            let start = match request {
                true => format!("{method} {uri} SIP/2.0\r\n").into_bytes(),
                false => [format!("SIP/2.0 {status} ").as_bytes(), &phrase, b"\r\n"].concat(),
            };
            let length = length.map_or(String::new(), |(name, index)| {
                format!("{name}: {}\r\n", index.index(body.len() + 1))
            });
            [start, rows.concat(), length.into_bytes(), b"\r\n".to_vec(), body].concat()
        })
        .boxed()
}

/// A legal message with octets changed, left out or put in, by preference those that mean something.
pub(super) fn damaged() -> Octets {
    let octet = prop_oneof![
        4 => select(b"\r\n\0\t :;,\"<>@[]%\\/=?.0-lv".to_vec()),
        1 => any::<u8>(),
    ];
    let edits = proptest::collection::vec((any::<Index>(), 0..4, octet), 1..4);
    (legal(), edits)
        .prop_map(|(mut octets, edits)| {
            for (index, kind, octet) in edits {
                let at = index.index(octets.len());
                match kind {
                    0 => octets[at] = octet,
                    1 => drop(octets.remove(at)),
                    2 => octets.insert(at, octet),
                    _ => double_line(&mut octets, at),
                }
            }
            octets
        })
        .boxed()
}

/// Doubles the line at an octet.
fn double_line(octets: &mut Vec<u8>, at: usize) {
    let start = octets[..at].iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
    let end = octets[at..].iter().position(|b| *b == b'\n').map_or(octets.len(), |i| at + i + 1);
    let line = octets[start..end].to_vec();
    octets.splice(start..start, line);
}
