//! RFC 4475's torture messages: one case each, in words of our own with the same twist, and what the
//! wire and the engine (open policy, the sender inside, over UDP) do with it. `TORTURE_DIR` may name a
//! folder of `NAME.dat` files that hold the RFC's own octets: they must fare the same.

use crate::lab::{Lab, Msg};
use bytes::Bytes;
use portreeve::wire::sip::{Framing, Message};

/// What the engine does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Engine {
    /// Sent on to the upstream with this method.
    On(&'static str),
    /// Answered with this status.
    Back(u16),
    /// Nothing at all.
    Silent,
}
use Engine::{Back, On, Silent};

/// What the wire does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wire {
    Reads,
    Refuses,
}
use Wire::{Reads, Refuses};

/// The RFC's name of the message, both columns, start line, rows that are the twist, body.
type Case = (&'static str, Wire, Engine, &'static str, &'static str, &'static str);

const SDP: &str = "v=0\no=- 1 1 IN IP4 10.17.0.21\ns=-\nc=IN IP4 10.17.0.21\nt=0 0\n\
                   m=audio 4000 RTP/AVP 0\n";
const PARTS: &str = "--b\nContent-Type: text/plain\n\nHello\n--b\n\
                     Content-Type: application/octet-stream\n\n0\u{1}0\n--b--\n";
const INVITE: &str = "INVITE sip:bob@example.com SIP/2.0";
const OPTIONS: &str = "OPTIONS sip:bob@example.com SIP/2.0";
const REGISTER: &str = "REGISTER sip:example.com SIP/2.0";
const SDP_TYPE: &str = "Content-Type: application/sdp";

/// §3.1.1: valid, however odd.
const VALID: [Case; 13] = [
    // A dialog-stateful proxy answers the unknown dialog; all the white space was read.
    (
        "wsinv",
        Reads,
        Back(481),
        "INVITE sip:bob@example.com;unknownparam SIP/2.0",
        "TO :\n sip:bob@example.com ;   tag    = 1918n\nfrom   : \"J \\\\\\\"\"  <sip:j@example.com>\n  ;\n  \
         tag = 98a\nMaX-fOrWaRdS: 0068\ncseq: 0009\n  INVITE\nVia  : SIP  /   2.0\n /UDP\n    \
         192.0.2.2;branch=390skdjuw\ns :\nNewFangledHeader:   newfangled value\n continued\n\
         v:  SIP  / 2.0  / TCP     spindle.example.com   ;\n  branch  =   z9hG4bK9ikj8  ,\n \
         SIP  /    2.0   / UDP  192.168.255.111   ; branch=\n z9hG4bK30239\nm:\"Quoted string \\\"\\\"\" \
         <sip:j@example.com> ; newparam =\n      newvalue ;\n  secondparam ; q = 0.33",
        SDP,
    ),
    // The contract refuses control characters in a head, escaped or not.
    (
        "intmeth",
        Refuses,
        Back(400),
        "!odd-Method0_*+`.%indeed'~ sip:1.URI~(to-be!sure)&isn't+it$/crazy?,/;;*@example.com SIP/2.0",
        "To: \"BEL:\\\u{7} NUL:\\\u{0} DEL:\\\u{7f}\" <sip:1@example.com>\n\
         From: token1~` token2'+_ token3*%!.- <sip:a@example.com>;fromParam''~+*_!.-%=\"x\";tag=_t~'+*\n\
         CSeq: 139122385 !odd-Method0_*+`.%indeed'~\nMax-Forwards: 255",
        "",
    ),
    (
        "esc01",
        Reads,
        On("INVITE"),
        "INVITE sip:sips%3Auser%40example.com@example.net SIP/2.0",
        "To: sip:%75se%72@example.com\nFrom: <sip:I%20have%20spaces@example.net>;tag=938\n\
         Contact:\n  <sip:cal%6Cer@10.17.0.21;%6C%72;n%61me=v%61lue%25%34%31>\nC: application/sdp",
        SDP,
    ),
    (
        "escnull",
        Reads,
        On("REGISTER"),
        REGISTER,
        "To: sip:null-%00-null@example.com\nFrom: sip:null-%00-null@example.com;tag=8\n\
         Contact: <sip:%00@10.17.0.21>\nContact: <sip:%00%00@10.17.0.21>",
        "",
    ),
    (
        "esc02",
        Reads,
        On("RE%47IST%45R"),
        "RE%47IST%45R sip:registrar.example.com SIP/2.0",
        "To: \"%Z%45\" <sip:resource@example.com>\nCSeq: 29344 RE%47IST%45R\n\
         Contact: <sip:alias1@10.17.0.21>\nC%6Fntact: <sip:alias2@10.17.0.21>",
        "",
    ),
    ("lwsdisp", Reads, On("OPTIONS"), OPTIONS, "From: caller<sip:caller@example.com>;tag=323", ""),
    (
        "longreq",
        Reads,
        On("INVITE"),
        INVITE,
        "To: \"I have a user name of extremeextremeextremeextremeextremeextremeextreme proportion\" \
         <sip:bob@example.com:6000;unknownparam1=verylonglonglonglonglonglonglonglongvalue>\n\
         Via: SIP/2.0/TCP sip33.example.com\nv: SIP/2.0/TCP sip32.example.com\nV  : SIP/2.0/TCP \
         sip20.example.com\nVia   : SIP/2.0/TCP sip15.example.com\nvIA: SIP/2.0/UDP \
         10.17.0.21;rport;received=10.17.0.21;branch=z9hG4bKlongonglonglonglonglonglonglonglong",
        SDP,
    ),
    // One datagram, two requests: the second is cut off (§18.3).
    (
        "dblreq",
        Reads,
        On("REGISTER"),
        REGISTER,
        "Contact: sip:bob@10.17.0.21\nContent-Length: 0",
        "INVITE sip:joe@example.com SIP/2.0\nt: sip:joe@example.com\n\n",
    ),
    (
        "semiuri",
        Reads,
        On("OPTIONS"),
        "OPTIONS sip:user;par=u%40example.net@example.com SIP/2.0",
        "Accept: application/sdp, application/pkcs7-mime,\n        multipart/mixed",
        "",
    ),
    (
        "transports",
        Reads,
        On("OPTIONS"),
        OPTIONS,
        "Via: SIP/2.0/UDP t1.example.com;branch=z9hG4bKkdjuw\nVia: SIP/2.0/SCTP \
         t2.example.com;branch=z9hG4bKkl\nVia: SIP/2.0/UNKNOWN t4.example.com;branch=z9hG4bKas",
        "",
    ),
    // Binary parts are read; one of a type that we cannot read leaves when it names nothing inside.
    (
        "mpart01",
        Reads,
        On("another method"),
        "MESSAGE sip:bob@example.com SIP/2.0",
        "Content-Type: multipart/mixed;boundary=b\nContent-Transfer-Encoding: binary",
        PARTS,
    ),
    (
        "unreason",
        Reads,
        Silent,
        "SIP/2.0 200 = 2**3 * 5**2 но сто девяносто девять - простое",
        "CSeq: 35 INVITE\nTo: <sip:bob@example.com>;tag=2",
        "",
    ),
    (
        "noreason",
        Reads,
        Silent,
        "SIP/2.0 100 ",
        "CSeq: 35 INVITE\nTo: <sip:b@example.com>;tag=2",
        "",
    ),
];

/// §3.1.2: invalid.
const INVALID: [Case; 20] = [
    ("badinv01", Refuses, Back(400), INVITE, "Via: SIP/2.0/UDP 192.0.2.15;;,;,,", SDP),
    ("clerr", Refuses, Back(400), INVITE, "Content-Length: 9999", SDP),
    ("ncl", Refuses, Back(400), INVITE, "Content-Length: -999", SDP),
    (
        "scalar02",
        Refuses,
        Back(400),
        REGISTER,
        "CSeq: 36893488147419103232 REGISTER\nMax-Forwards: 300\nExpires: 1000000000000000000000000",
        "",
    ),
    (
        "scalarlg",
        Refuses,
        Silent,
        "SIP/2.0 503 Service Unavailable",
        "CSeq: 9292394834772304023312 OPTIONS\nRetry-After: 949302838503028349304023988",
        "",
    ),
    ("quotbal", Refuses, Back(400), INVITE, "To: \"Mr. J. User <sip:bob@example.com>", SDP),
    ("ltgtruri", Refuses, Back(400), "INVITE <sip:bob@example.com> SIP/2.0", "", SDP),
    ("lwsruri", Refuses, Back(400), "INVITE sip:bob@example.com; lr SIP/2.0", "", SDP),
    ("lwsstart", Refuses, Back(400), "INVITE  sip:bob@example.com  SIP/2.0", "", SDP),
    ("trws", Refuses, Back(400), "OPTIONS sip:bob@example.com SIP/2.0  ", "", ""),
    // The wire reads it; that a start line's URI has headers is for the engine to refuse.
    (
        "escruri",
        Reads,
        Back(400),
        "INVITE sip:bob@example.com?Route=%3Csip:example.com%3E SIP/2.0",
        "",
        SDP,
    ),
    // What a proxy need not read is not judged.
    ("baddate", Reads, On("INVITE"), INVITE, "Date: Fri, 01 Jan 2010 16:00:00 EST", SDP),
    (
        "regbadct",
        Refuses,
        Back(400),
        REGISTER,
        "Contact: sip:bob@example.com?Route=%3Csip:sip.example.com%3E",
        "",
    ),
    ("badaspec", Refuses, Back(400), OPTIONS, "To: \"W, T\" < sip:t.watson@example.org >", ""),
    ("baddn", Refuses, Back(400), OPTIONS, "From: Bell, A <sip:a.g.bell@example.com>;tag=43", ""),
    (
        "badvers",
        Refuses,
        Back(505),
        "OPTIONS sip:bob@example.com SIP/7.0",
        "Via: SIP/7.0/UDP c.example.com;branch=z9hG4bKkdjuw",
        "",
    ),
    ("mismatch01", Refuses, Back(400), OPTIONS, "CSeq: 8 INVITE", ""),
    (
        "mismatch02",
        Refuses,
        Back(400),
        "NEWMETHOD sip:bob@example.com SIP/2.0",
        "CSeq: 8 INVITE",
        "",
    ),
    ("bigcode", Refuses, Silent, "SIP/2.0 4294967301 better not", "CSeq: 353494 INVITE", ""),
    // Not in the RFC, but in its archive: no version at all.
    ("test", Refuses, Silent, "INVITE sip:alan@example.com", "Foobar roobar", "testing=123"),
];

/// §3.2–3.4: transactions, applications, RFC 2543.
const OTHER: [Case; 17] = [
    // Served by the key of RFC 2543.
    ("badbranch", Reads, On("OPTIONS"), OPTIONS, "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK", ""),
    ("insuf", Refuses, Back(400), INVITE, "-Call-ID\n-From\n-To\n-Max-Forwards", SDP),
    ("unkscm", Reads, Back(416), "OPTIONS nobodyKnows:totallyopaque SIP/2.0", "", ""),
    ("novelsc", Reads, Back(416), "OPTIONS soap.beep://192.0.2.103:3002 SIP/2.0", "", ""),
    (
        "unksm2",
        Reads,
        Back(400),
        REGISTER,
        "To: isbn:2983792873\nFrom: <http://www.example.com>;tag=3\nContact: <name:John_Smith>",
        "",
    ),
    (
        "bext01",
        Reads,
        Back(420),
        OPTIONS,
        "Require: nothingSupportsThis\nProxy-Require: noProxiesSupportThis, norDoAnyProxies",
        "",
    ),
    ("invut", Reads, On("INVITE"), INVITE, "Content-Type: application/unknownformat", "<audio/>"),
    ("regaut01", Reads, On("REGISTER"), REGISTER, "Authorization: NoOneKnowsThis opaque=here", ""),
    (
        "multi01",
        Refuses,
        Back(400),
        INVITE,
        "CSeq: 5 INVITE\nCall-ID: a@example.com\nCSeq: 59 INVITE\nCall-ID: b@example.com\n\
         To: sip:bob@example.com\nTo: sip:other@example.net",
        SDP,
    ),
    (
        "mcl01",
        Refuses,
        Back(400),
        OPTIONS,
        "Content-Length: 13\nContent-Length: 5",
        "How many octets?",
    ),
    (
        "bcast",
        Reads,
        Silent,
        "SIP/2.0 200 OK",
        "Via: SIP/2.0/UDP 192.0.2.198;branch=z9hG4bK13\nVia: SIP/2.0/UDP \
         255.255.255.255;branch=z9hG4bK1saber23\nCSeq: 35 INVITE\nTo: sip:b@example.com;tag=2",
        SDP,
    ),
    ("zeromf", Reads, Back(483), OPTIONS, "Max-Forwards: 0", ""),
    ("cparam01", Reads, On("REGISTER"), REGISTER, "Contact: sip:+1972@10.17.0.21;unknownparam", ""),
    (
        "cparam02",
        Reads,
        On("REGISTER"),
        REGISTER,
        "Contact: <sip:+1972@10.17.0.21;unknownparam>",
        "",
    ),
    (
        "regescrt",
        Reads,
        On("REGISTER"),
        REGISTER,
        "M: <sip:bob@example.com?Route=%3Csip:sip.example.com%3E>",
        "",
    ),
    ("sdp01", Reads, On("INVITE"), INVITE, "Accept: text/nobodyKnowsThis", SDP),
    // No tag, no branch, no Max-Forwards, no length.
    (
        "inv2543",
        Reads,
        On("INVITE"),
        INVITE,
        "Via: SIP/2.0/UDP iftgw.example.com\nFrom: <sip:+13035551111@example.net;user=phone>\n\
         Record-Route: <sip:UserB@example.com;maddr=ss1.example.com>\n-Max-Forwards\n-Content-Length",
        SDP,
    ),
];

fn cases() -> impl Iterator<Item = &'static Case> {
    VALID.iter().chain(&INVALID).chain(&OTHER)
}

/// The message of a case: its twist, and well-formed rows for whatever the twist leaves open. A row
/// `-Name` leaves that header out.
fn octets((name, _, _, start, twist, body): &Case) -> Vec<u8> {
    let method = match start.split(' ').next().unwrap_or_default() {
        "SIP/2.0" => "INVITE",
        method => method,
    };
    let is = |row: &str, names: &[&str]| {
        let given = row.trim_start_matches('-').split(':').next().unwrap_or_default().trim();
        names.iter().any(|n| n.eq_ignore_ascii_case(given))
    };
    let body = body.replace('\n', "\r\n");
    let defaults = [
        (["Via", "v"], "SIP/2.0/UDP 10.17.0.21:5060;branch=z9hG4bKtorture".to_owned()),
        (["To", "t"], "<sip:bob@example.com>".to_owned()),
        (["From", "f"], "<sip:alice@example.com>;tag=a1".to_owned()),
        (["Call-ID", "i"], format!("{name}.own")),
        (["CSeq", "CSeq"], format!("1 {method}")),
        (["Max-Forwards", "Max-Forwards"], "70".to_owned()),
        (["Contact", "m"], "<sip:alice@10.17.0.21>".to_owned()),
        (["Content-Length", "l"], body.len().to_string()),
    ];
    let mut text = format!("{start}\r\n");
    let rows: Vec<&str> = twist.split('\n').filter(|row| !row.is_empty()).collect();
    for row in rows.iter().filter(|row| !row.starts_with('-')) {
        text.push_str(&format!("{row}\r\n"));
    }
    for (names, value) in defaults {
        if !rows.iter().any(|row| is(row, &names)) {
            text.push_str(&format!("{}: {value}\r\n", names[0]));
        }
    }
    if *body == *SDP.replace('\n', "\r\n") && !rows.iter().any(|r| is(r, &["Content-Type", "c"])) {
        text.push_str(&format!("{SDP_TYPE}\r\n"));
    }
    format!("{text}\r\n{body}").into_bytes()
}

/// What the engine did with these octets.
fn fate(octets: Vec<u8>) -> Engine {
    let mut lab = Lab::edge();
    // The RFC's own messages name documentation addresses; ours are looked for all the same.
    let from = lab.inside("10.17.0.21:5060");
    lab.send(from, octets);
    let (pbx, mut fate) = (lab.pbx(), Silent);
    if let Some(on) = lab.next(pbx) {
        fate = On(method(&on));
        assert_eq!(lab.waiting(), usize::from(on.method() == "INVITE"), "only 100 besides");
    } else if let Some(last) = lab.take(from).last() {
        fate = Back(last.status());
    }
    assert!(lab.addressees().iter().all(|at| *at == from.addr()), "{}", lab.situation());
    lab.clear();
    lab.end();
    fate
}

fn method(on: &Msg) -> &'static str {
    ["INVITE", "OPTIONS", "REGISTER", "RE%47IST%45R"]
        .into_iter()
        .find(|m| *m == on.method())
        .unwrap_or("another method")
}

fn reading(octets: Vec<u8>) -> Wire {
    match Message::parse(Bytes::from(octets), Framing::Datagram) {
        Ok(_) => Reads,
        Err(_) => Refuses,
    }
}

#[test]
fn every_torture_message_is_read_or_refused_as_written() {
    for case in cases() {
        assert_eq!(reading(octets(case)), case.1, "{}", case.0);
    }
}

#[test]
fn every_torture_message_is_answered_or_forwarded_as_written() {
    for case in cases() {
        assert_eq!(fate(octets(case)), case.2, "{}", case.0);
    }
}

#[test]
fn the_rfcs_own_octets_fare_the_same() {
    let mut tried = 0;
    let folder = std::env::var("TORTURE_DIR").unwrap_or_default();
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for path in files.map(|f| f.path()) {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let octets = std::fs::read(&path).unwrap_or_default();
        let done = fate(octets.clone());
        if let Some((_, wire, engine, ..)) = cases().find(|c| c.0 == name) {
            assert_eq!((reading(octets), done), (*wire, *engine), "{}", path.display());
        }
        tried += 1;
    }
    assert!(tried > 0 || std::env::var_os("TORTURE_DIR").is_none(), "no files in TORTURE_DIR");
}
