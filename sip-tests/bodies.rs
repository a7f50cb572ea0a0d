//! What becomes of bodies: the way they go is told by whence they came, not by the method; unknown
//! types pass inwards, and outwards after a look for what names the inside.

use crate::lab::script::answer;
use crate::lab::{Lab, Msg, Ua, sdp, site};
use portreeve::config::UnknownBodies;
use portreeve::engine::digest::Users;

fn parties(lab: &Lab) -> (Ua, Ua) {
    (lab.phone("101", "10.17.0.21:5060"), lab.far("200"))
}

/// A body and what describes it.
#[derive(Clone)]
struct Body {
    rows: Vec<(&'static str, &'static str)>,
    text: String,
}

fn body(kind: &'static str, text: impl Into<String>) -> Body {
    Body { rows: vec![("Content-Type", kind)], text: text.into() }
}

impl Body {
    fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.rows.push((name, value));
        self
    }
}

/// Parts of a `multipart/mixed` with the boundary `cut`: head lines and content.
fn parts(all: &[(&str, &str)]) -> Body {
    let part = |(head, text): &(&str, &str)| format!("--cut\r\n{head}\r\n\r\n{text}\r\n");
    let text: String = all.iter().map(part).collect();
    body("multipart/mixed;boundary=cut", format!("{text}--cut--\r\n"))
}

/// A request outside a dialog with this body, from the phone or to it: what arrives, or the refusal.
fn sent(lab: &mut Lab, outwards: bool, method: &str, b: &Body) -> Result<Msg, Box<Msg>> {
    let (phone, pbx) = parties(lab);
    let (from, to, uri) = match (outwards, method) {
        (true, "REGISTER") => (phone, pbx, format!("sip:{}", site::DOMAIN)),
        (true, _) => (phone, pbx, format!("sip:200@{}", site::DOMAIN)),
        (false, _) => (pbx, phone.clone(), lab.register(&phone, 600)),
    };
    let mut text = from.request_to(lab, method, &uri).with("Event", "presence");
    if method == "REGISTER" {
        text = text.set("To", format!("<{}>", from.aor())).with("Expires", "60");
    }
    text.body.clone_from(&b.text);
    for (name, value) in &b.rows {
        text = text.with(name, *value);
    }
    lab.send(from.at, text);
    let Some(got) = lab.next(to.at) else {
        let no = lab.take(from.at).pop().expect("an answer");
        return Err(Box::new(no));
    };
    lab.send(to.at, answer(&got, 481, "x"));
    lab.expect(from.at, "481");
    lab.nothing_left();
    Ok(got)
}

/// As [`sent`], in a lab of its own that is then at rest; the status of a refusal.
fn once(outwards: bool, method: &str, b: &Body) -> Result<Msg, u16> {
    let mut lab = Lab::edge();
    let got = sent(&mut lab, outwards, method, b);
    lab.end();
    got.map_err(|no| no.status())
}

const OUTSIDE: [&str; 6] = ["NOTIFY", "MESSAGE", "PUBLISH", "OPTIONS", "SUBSCRIBE", "PING"];

#[test]
fn from_outside_every_type_passes_as_it_came() {
    let odd = [
        body("application/x-as-feature-event+xml", "<FeatureEvent/>"),
        body("application/conference-info+xml", "<conference-info/>"),
        body("message/cpim", "From: <im:a@b>\r\n\r\nContent-Type: text/plain\r\n\r\nhi"),
        body("application/isup;version=ansi", "\u{1}\u{2}"),
        body("image/png", "PNG"),
        parts(&[("Content-Type: image/png", "PNG"), ("Content-Type: text/html", "<b>x</b>")]),
    ];
    for method in OUTSIDE {
        for b in &odd {
            let got = once(false, method, b).expect("it passes");
            assert_eq!(got.body, b.text, "{method}");
            assert_eq!(got.header("Content-Type"), b.rows[0].1);
        }
    }
}

#[test]
fn outwards_text_is_overwritten_where_it_names_the_inside() {
    for method in OUTSIDE.into_iter().chain(["REGISTER"]) {
        for kind in
            ["text/html", "text/plain", "message/cpim", "application/x-as-feature-event+xml"]
        {
            let b = body(kind, "<a>10.17.0.21</a> and <b>198.51.100.7</b>");
            let got = once(true, method, &b).unwrap_or_else(|s| panic!("{method} {kind}: {s}"));
            let want = "<a>203.0.113.1</a> and <b>198.51.100.7</b>";
            assert_eq!(got.body, want, "{method} {kind}");
        }
    }
}

#[test]
fn outwards_host_names_of_the_inside_go_too() {
    let mut lab = Lab::edge_with(|c| c.site.inside_domains = vec!["desk.lan".to_owned()]);
    lab.secrets.push("desk.lan");
    for (kind, text, want) in [
        ("text/html", "at p7.desk.lan!", "at 203.0.113.1!"),
        (
            "application/dialog-info+xml",
            "<t u=\"sip:1@p7.desk.lan\"/>",
            "<t u=\"sip:1@203.0.113.1\"/>",
        ),
        ("text/plain", "desk.lander stays", "desk.lander stays"),
    ] {
        let got = sent(&mut lab, true, "MESSAGE", &body(kind, text)).expect("it passes");
        assert_eq!(got.body, want);
    }
    let binary = body("application/octet-stream", "\u{1}p7.desk.lan\u{2}");
    assert_eq!(
        sent(&mut lab, true, "MESSAGE", &binary).expect_err("it names a host").status(),
        415
    );
    lab.end();
}

#[test]
fn outwards_what_is_no_text_passes_when_it_names_nothing_inside() {
    for method in OUTSIDE {
        let silent = body("application/octet-stream", "\u{1}\u{2}198.51.100.7\u{3}");
        assert_eq!(once(true, method, &silent).expect("it passes").body, silent.text);
        let telling = body("application/octet-stream", "\u{1}10.17.0.21\u{2}");
        assert_eq!(once(true, method, &telling).expect_err("it names a phone"), 415, "{method}");
    }
}

#[test]
fn with_refuse_a_rule_names_the_type_of_the_part_for_every_method() {
    let rule = "[[rule]]\nname = \"x\"\nside = \"inside\"\nallow = { bodies = [\"image/*\"] }\n";
    let mut lab = Lab::with(site::parse(&format!("{}\n{rule}", site::EDGE)), Users::None);
    lab.reload(|c| c.policy.unknown_bodies = UnknownBodies::Refuse);
    for method in OUTSIDE.into_iter().chain(["REGISTER"]) {
        let plain = ("Content-Type: text/plain", "x");
        for (b, passes) in [
            (body("image/png", "PNG"), true),
            (body("text/html", "<b/>"), false),
            (parts(&[plain, ("Content-Type: image/gif", "GIF")]), true),
            (parts(&[plain, ("Content-Type: text/html", "<b/>")]), false),
            (body("text/plain", "known"), true),
        ] {
            let got = sent(&mut lab, true, method, &b).map_err(|no| no.status());
            assert_eq!(got.as_ref().err(), (!passes).then_some(&415), "{method}: {}", b.text);
        }
    }
    let inwards = sent(&mut lab, false, "NOTIFY", &body("text/html", "<b/>"));
    assert_eq!(inwards.expect("inwards it passes").body, "<b/>");
    lab.end();
}

#[test]
fn what_may_be_left_out_is_left_out() {
    let gone = "Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\
                Content-Disposition: icon;handling=optional";
    for outwards in [true, false] {
        let two = parts(&[("Content-Type: text/plain", "stays"), (gone, "aGlkZGVu")]);
        let got = once(outwards, "MESSAGE", &two).expect("it passes without that part");
        assert!(got.body.contains("stays") && !got.body.contains("aGlkZGVu"), "{got}");
        for b in [
            parts(&[(gone, "aGlkZGVu")]),
            body("image/png", "gzipped")
                .with("Content-Encoding", "gzip")
                .with("Content-Disposition", "icon;handling=optional"),
        ] {
            let got = once(outwards, "MESSAGE", &b).expect("it passes without a body");
            assert!(got.body.is_empty(), "{got}");
            for name in ["Content-Type", "Content-Encoding", "Content-Disposition"] {
                assert!(!got.has(name), "{got}");
            }
        }
    }
}

#[test]
fn what_hides_its_octets_is_415_both_ways_and_what_has_no_type_400() {
    for outwards in [true, false] {
        for method in ["MESSAGE", "NOTIFY", "OPTIONS"] {
            for b in [
                body("text/plain", "x").with("Content-Encoding", "gzip"),
                body("text/plain", "eA==").with("Content-Transfer-Encoding", "base64"),
                parts(&[("Content-Type: text/html\r\nContent-Transfer-Encoding: base64", "eA==")]),
                parts(&[("Content-Transfer-Encoding: quoted-printable", "=78")]),
                parts(&[("Content-Type: text/html\r\nContent-Encoding: gzip", "x")]),
            ] {
                assert_eq!(once(outwards, method, &b).expect_err("hidden"), 415, "{}", b.text);
            }
            let mut lab = Lab::edge();
            let zipped = body("text/plain", "x").with("Content-Encoding", "gzip");
            let no = sent(&mut lab, outwards, method, &zipped).expect_err("hidden");
            assert_eq!(
                (no.header("Accept"), no.header("Accept-Encoding")),
                ("application/sdp", "identity")
            );
            let identity = body("text/plain", "x").with("Content-Encoding", "identity");
            assert_eq!(once(outwards, method, &identity).expect("it is plain").body, "x");
            let nameless = Body { rows: Vec::new(), text: "x".to_owned() };
            assert_eq!(once(outwards, method, &nameless).expect_err("no type"), 400);
        }
    }
}

#[test]
fn what_no_two_readers_split_alike_is_415_both_ways() {
    let text = "--a\r\nContent-Transfer-Encoding: base64\r\n\r\nMTAuMTcuMC4yMQ==\r\n--a--\r\n";
    for kind in
        ["multipart/mixed", "Multipart/Mixed;boundary=b;boundary=a", "multipart/x;boundary=\"a"]
    {
        for outwards in [true, false] {
            let refused = once(outwards, "MESSAGE", &body(kind, text)).expect_err("unclear");
            assert_eq!(refused, 415, "{kind}");
        }
    }
}

#[test]
fn a_message_within_the_body_hides_nothing_from_us_outwards() {
    let cpim = |row: &str| {
        body(
            "message/cpim",
            format!("From: <im:a@b>\r\n\r\nContent-Type: text/plain\r\n{row}\r\n\r\nhi"),
        )
    };
    for row in ["Content-Transfer-Encoding: base64", "content-encoding : gzip"] {
        assert_eq!(once(true, "MESSAGE", &cpim(row)).expect_err("hidden"), 415, "{row}");
        assert!(once(false, "MESSAGE", &cpim(row)).is_ok(), "inwards every type passes");
    }
    assert!(once(true, "MESSAGE", &cpim("Content-Transfer-Encoding: 8bit")).is_ok());
}

#[test]
fn a_description_is_judged_whatever_its_name() {
    for (kind, outwards) in
        [("text/plain", true), ("application/octet-stream", true), ("image/png", false)]
    {
        for (address, status) in [("127.0.0.1", "488"), ("", "")] {
            let mut lab = Lab::edge();
            let (phone, pbx) = parties(&lab);
            let (from, to, uri) = match outwards {
                true => (&phone, &pbx, format!("sip:200@{}", site::DOMAIN)),
                false => (&pbx, &phone, lab.register(&phone, 600)),
            };
            let own = from.ip().to_string();
            let at = if address.is_empty() { own.as_str() } else { address };
            let text = from.request_to(&mut lab, "INVITE", &uri);
            lab.send(from.at, text.typed(kind, sdp(at, 4000)));
            lab.expect(from.at, "100");
            if status.is_empty() {
                let got = lab.expect(to.at, "INVITE");
                let gate = if outwards { site::GATE_OUTSIDE } else { site::GATE_INSIDE };
                assert_eq!(got.media_address(), gate, "{kind}");
            } else {
                lab.expect(from.at, status);
            }
            lab.clear();
            lab.end();
        }
    }
}

#[test]
fn a_document_in_the_200_to_a_register_reaches_the_phone() {
    for kind in ["application/x-config+xml", "application/vnd.device", "text/html"] {
        let mut lab = Lab::edge();
        let (phone, pbx) = parties(&lab);
        let text = phone
            .request_to(&mut lab, "REGISTER", &format!("sip:{}", site::DOMAIN))
            .set("To", format!("<{}>", phone.aor()))
            .with("Expires", "600");
        lab.send(phone.at, text);
        let got = lab.expect(pbx.at, "REGISTER");
        let contact = format!("<{}>;expires=600", got.contact());
        let ok = answer(&got, 200, "r").with("Contact", contact).typed(kind, "document");
        lab.send(pbx.at, ok);
        let ok = lab.expect(phone.at, "200");
        assert_eq!((ok.header("Content-Type"), ok.body.as_str()), (kind, "document"));
        assert_eq!(lab.engine.bindings(lab.now).len(), 1);
        lab.end();
    }
}

#[test]
fn between_two_phones_of_a_site_nothing_is_overwritten() {
    let mut lab = Lab::site();
    let alice = lab.local_phone("101", "10.17.0.21:5060");
    let bob = lab.local_phone("102", "10.17.0.22:5060");
    let text = alice.request(&mut lab, "MESSAGE", "102").typed("text/html", "I am 10.17.0.21");
    lab.send(alice.at, text);
    let got = lab.expect(bob.at, "MESSAGE");
    assert_eq!(got.body, "I am 10.17.0.21");
    lab.send(bob.at, answer(&got, 200, "m").typed("image/png", "10.17.0.22"));
    assert_eq!(lab.expect(alice.at, "200").body, "10.17.0.22");
    lab.end();
}
