//! Who asks another to call: Refer-To and redirects are judged and recorded as dialled numbers, in
//! and out of dialogs, whoever asks.

use crate::lab::message::uri_of;
use crate::lab::script::{Text, answer};
use crate::lab::{Lab, Leg, Ua, site};
use portreeve::audit::{Asked, Record, Ruling};
use portreeve::engine::digest::Users;

const PREMIUM: &str = "[[rule]]\nname = \"no premium\"\nside = \"inside\"\nnumber = [\"+1900*\"]\n\
                       deny = { code = 603, reason = \"Premium\" }\n";

/// A gateway with the policy `site` and these lines behind it, a registered phone, the PBX; the
/// name by which the PBX calls the phone.
fn lab(lines: &str) -> (Lab, Ua, Ua, String) {
    let text =
        format!("{}\n{lines}", site::EDGE.replace("default = \"allow\"", "default = \"site\""));
    let mut lab = Lab::with(site::parse(&text), Users::None);
    let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
    let sealed = lab.register(&phone, 600);
    (lab, phone, pbx, sealed)
}

/// Records of references: how, from, to, rule, verdict.
fn references(lab: &Lab) -> Vec<(Asked, &str, &str, &str, Ruling)> {
    let mut all = Vec::new();
    for r in &lab.records {
        if let Record::Reference { by, from, to, rule, verdict, .. } = r {
            all.push((*by, from.as_str(), to.as_str(), rule.as_str(), *verdict));
        }
    }
    all
}

/// The PBX calls the phone; the PBX's leg and the phone's.
fn called(lab: &mut Lab, pbx: &Ua, phone: &Ua, sealed: &str) -> (Leg, Leg) {
    let invite = pbx.request_to(lab, "INVITE", sealed).sdp(pbx.sdp(6000));
    lab.send(pbx.at, invite.clone());
    let mut far = Leg::calling(pbx, &invite);
    lab.expect(pbx.at, "100");
    let got = lab.expect(phone.at, "INVITE");
    let near = Leg::called(phone, &got, "in");
    lab.send(phone.at, phone.answer(&got, 200, "in").sdp(phone.sdp(4000)));
    far.learn(&lab.expect(pbx.at, "200"));
    let ack = far.ack(lab);
    lab.send(pbx.at, ack);
    lab.expect(phone.at, "ACK");
    (far, near)
}

/// What a denied number may look like in a Refer-To.
const DENIED: [&str; 12] = [
    "<sip:+1900555@pbx.example.com>",
    "<sip:001900555@pbx.example.com;user=phone>",
    "<sip:%2B1900-555@far.example>",
    "sip:+1900555@pbx.example.com",
    "\"Help\" <tel:+1-900-555>",
    "<sip:102;rn=+1900555@pbx.example.com>",
    "<sip:+1900555@pbx.example.com?Replaces=a%40b%3Bto-tag%3D1%3Bfrom-tag%3D2>",
    "<sip:+1900555@pbx.example.com;method=REGISTER>",
    "<sip:+1900555@pbx.example.com;m%65thod=bye>",
    "<pres:001900555@pbx.example.com>",
    "<IM:+1-900-555@pbx.example.com?Subject=x>",
    "<sip:300&001900555@pbx.example.com>",
];

#[test]
fn a_phone_refers_nobody_to_a_number_that_it_may_not_dial() {
    let (mut lab, phone, pbx, sealed) = lab(PREMIUM);
    let (_, mut of_callee) = called(&mut lab, &pbx, &phone, &sealed);
    let (mut of_caller, _) = lab.establish(&phone, &pbx);
    for (n, value) in DENIED.into_iter().enumerate() {
        let before = references(&lab).len();
        let outside = phone.request(&mut lab, "REFER", "200").with("Refer-To", value);
        let first = of_callee.request(&mut lab, "REFER").with("Refer-To", value);
        let second = of_caller.request(&mut lab, "REFER").with("r", value);
        for refer in [outside, first, second] {
            lab.send(phone.at, refer);
            let no = lab.expect(phone.at, "603");
            assert!(no.start.ends_with(" Premium"), "{no}");
        }
        lab.nothing_left();
        let told = references(&lab);
        assert_eq!(told.len(), before + 3, "{value}");
        for (by, from, _, rule, verdict) in &told[before..] {
            let want = (Asked::Refer, "101", "no premium", Ruling::Deny);
            assert_eq!((*by, *from, *rule, *verdict), want, "{value}");
        }
        let denied = u64::try_from(3 * (n + 1)).unwrap();
        assert_eq!(lab.stats().decisions["no premium"], [0, denied]);
    }
    lab.end();
}

#[test]
fn a_rule_that_drops_leaves_no_refer_without_an_answer() {
    let rule = PREMIUM.replace("deny = { code = 603, reason = \"Premium\" }", "drop = true");
    let (mut lab, phone, pbx, _) = lab(&rule);
    let (mut a, _) = lab.establish(&phone, &pbx);
    let refer = a.request(&mut lab, "REFER").with("Refer-To", DENIED[0]);
    lab.send(phone.at, refer);
    lab.expect(phone.at, "403");
    assert_eq!(references(&lab), [(Asked::Refer, "101", "+1900555", "no premium", Ruling::Drop)]);
    lab.end();
}

#[test]
fn whom_a_phone_may_call_it_may_refer_to_and_the_number_is_recorded() {
    let (mut lab, phone, pbx, _) = lab(&format!("[numbers]\noutside_line = \"0\"\n{PREMIUM}"));
    let (mut a, b) = lab.establish(&phone, &pbx);
    for (value, sent, number) in [
        ("<sip:300@pbx.example.com>", "<sip:300@pbx.example.com>", "300"),
        ("<sip:+1800@far.example;x=y>;z=1", "<sip:+1800@far.example;x=y>;z=1", "+1800"),
        // What the file says of dialled numbers it says of these.
        ("<sip:0301@pbx.example.com>", "<sip:301@pbx.example.com>", "301"),
        ("<sip:300@10.17.0.1;method=BYE>", "<sip:300@pbx.example.com;method=BYE>", "300"),
        // Another host than the one that is judged.
        ("<sip:300@far.example;maddr=203.0.113.77>", "<sip:300@far.example>", "300"),
        ("<sip:300@far.example;MADDR=x;a=b>", "<sip:300@far.example;a=b>", "300"),
        ("<pres:301@far.example>", "<pres:301@far.example>", "301"),
        ("<https://far.example/call>", "<https://far.example/call>", "https://far.example/call"),
    ] {
        for leg in [None, Some(&mut a)] {
            let refer = match leg {
                Some(leg) => leg.request(&mut lab, "REFER"),
                None => phone.request(&mut lab, "REFER", "200"),
            };
            lab.send(phone.at, refer.with("Refer-To", value));
            let got = lab.expect(pbx.at, "REFER");
            assert_eq!(got.header("Refer-To"), sent);
            lab.send(pbx.at, answer(&got, 603, "t"));
            lab.expect(phone.at, "603");
            let told = references(&lab).pop();
            let want = (Asked::Refer, "101", number, "default:phones", Ruling::Allow);
            assert_eq!(told, Some(want), "{value}");
        }
    }
    // The other party of a call was judged when that began.
    let (mut c, d) = lab.establish(&phone, &pbx);
    let told = references(&lab).len();
    let refer = c.request(&mut lab, "REFER").with("Refer-To", format!("<{}>", a.target));
    lab.send(phone.at, refer);
    let got = lab.expect(pbx.at, "REFER");
    assert_eq!(uri_of(got.header("Refer-To")), uri_of(&b.ua.contact()));
    lab.send(pbx.at, answer(&got, 202, ""));
    lab.expect(phone.at, "202");
    assert_eq!(references(&lab).len(), told);
    lab.hang_up(&mut a, &b);
    lab.hang_up(&mut c, &d);
    lab.end();
}

#[test]
fn a_referenced_uri_asks_for_no_route_no_sender_and_no_body() {
    let (mut lab, phone, pbx, _) = lab(PREMIUM);
    let (mut a, b) = lab.establish(&phone, &pbx);
    for (headers, left) in [
        ("Route=%3Csip:far.example%3E", ""),
        ("body=v%3D0&Content-Type=application%2Fsdp", ""),
        ("To=%3Csip:%2B1900%40x%3E&From=sip:102%40x&t=1&f=2&i=3", ""),
        ("P-Asserted-Identity=sip:102%40x&Refer-To=sip:1%40x&r=x", ""),
        ("R%6fute=x&Subject=hi&v=x", "?Subject=hi"),
        ("Require=replaces&X-Any=1&BODY=2", "?Require=replaces&X-Any=1"),
    ] {
        let value = format!("<sip:300@pbx.example.com?{headers}>");
        let refer = a.request(&mut lab, "REFER").with("Refer-To", value);
        lab.send(phone.at, refer);
        let got = lab.expect(pbx.at, "REFER");
        assert_eq!(got.header("Refer-To"), format!("<sip:300@pbx.example.com{left}>"));
        lab.send(pbx.at, answer(&got, 603, ""));
        lab.expect(phone.at, "603");
    }
    lab.hang_up(&mut a, &b);
    lab.end();
}

#[test]
fn a_refer_names_one_party_that_can_be_judged() {
    let (mut lab, phone, pbx, _) = lab(PREMIUM);
    let (mut a, b) = lab.establish(&phone, &pbx);
    for values in [
        &["<sip:300@pbx.example.com>", "<sip:+1900555@pbx.example.com>"][..],
        &["<sip:300@pbx.example.com>, <sip:+1900555@pbx.example.com>"],
        &["sip:300@pbx.example.com?Replaces=x"],
        &["nobody"],
        &["<sip:300@pbx.example.com;method=BYE;m%65thod=INVITE>"],
        &["<sip:+%EF%BC%91900555@pbx.example.com>"],
        &["<cid:list@pbx.example.com>"],
        &["<h323:+1900555@pbx.example.com>"],
        &["<callto:+1900555>"],
        &["<IM:+%EF%BC%91900555@pbx.example.com>"],
    ] {
        for leg in [None, Some(&mut a)] {
            let refer = match leg {
                Some(leg) => leg.request(&mut lab, "REFER"),
                None => phone.request(&mut lab, "REFER", "200"),
            };
            let refer = values.iter().fold(refer, |text, v| text.with("Refer-To", *v));
            lab.send(phone.at, refer);
            lab.expect(phone.at, "400");
            lab.nothing_left();
        }
    }
    lab.hang_up(&mut a, &b);
    lab.end();
}

const LIST: &str = "<resource-lists><list><entry uri=\"sip:+1900555@x\"/></list></resource-lists>";

#[test]
fn a_list_of_parties_goes_nowhere_where_a_rule_reads_numbers() {
    let listed = "application/resource-lists+xml";
    let part = |head: &str| format!("--b\r\n{head}\r\n\r\n{LIST}\r\n--b--\r\n");
    let mixed = "multipart/mixed;boundary=b";
    let [typed, told, history] = [
        part("Content-Type: Application/Resource-Lists+xml"),
        part("Content-Type: text/xml\r\nContent-Disposition: Recipient-List;handling=optional"),
        part(&format!("Content-Type: {listed}\r\nContent-Disposition: recipient-list-history")),
    ];
    let bodies = [(listed, LIST), (mixed, typed.as_str()), (mixed, &told)];
    let (mut lab, phone, pbx, sealed) = lab(PREMIUM);
    let (mut a, b) = lab.establish(&phone, &pbx);
    for method in ["INVITE", "MESSAGE", "SUBSCRIBE", "INFO", "REFER"] {
        let asked = |text: Text| match method {
            "REFER" => text.with("Refer-To", "<sip:300@pbx.example.com>"),
            "SUBSCRIBE" => text.with("Event", "presence"),
            _ => text,
        };
        for (content_type, body) in bodies {
            let outside = asked(phone.request(&mut lab, method, "200"));
            let inwards = asked(pbx.request_to(&mut lab, method, &sealed));
            for (at, request) in [(phone.at, outside), (pbx.at, inwards)] {
                lab.send(at, request.typed(content_type, body));
                assert_eq!(lab.take(at).last().map(|m| m.status()), Some(400), "{method}");
            }
            if method != "INVITE" {
                let within = asked(a.request(&mut lab, method));
                lab.send(phone.at, within.typed(content_type, body));
                lab.expect(phone.at, "400");
            }
        }
        let required = asked(phone.request(&mut lab, method, "200"));
        lab.send(phone.at, required.with("Require", "x, Recipient-List-Invite"));
        assert_eq!(lab.take(phone.at).last().map(|m| m.status()), Some(400), "{method}");
    }
    lab.nothing_left();
    // What tells of a list asks for nobody.
    let message = phone.request(&mut lab, "MESSAGE", "200").typed(mixed, &history);
    lab.send(phone.at, message);
    let got = lab.expect(pbx.at, "MESSAGE");
    lab.send(pbx.at, answer(&got, 200, "t"));
    lab.expect(phone.at, "200");
    lab.hang_up(&mut a, &b);
    lab.end();
}

#[test]
fn a_list_passes_where_no_rule_reads_numbers() {
    let (mut lab, phone, pbx, _) = lab("");
    let message = phone.request(&mut lab, "MESSAGE", "200");
    lab.send(phone.at, message.typed("application/resource-lists+xml", LIST));
    let got = lab.expect(pbx.at, "MESSAGE");
    lab.send(pbx.at, answer(&got, 200, "t"));
    lab.expect(phone.at, "200");
    lab.end();
}

#[test]
fn nothing_but_a_refer_refers() {
    let (mut lab, phone, pbx, sealed) = lab(PREMIUM);
    let (mut a, _) = lab.establish(&phone, &pbx);
    let also = "<sip:+1900555@pbx.example.com>";
    let with = |text: Text| text.with("Refer-To", also).with("Also", also);
    let invite = with(phone.request(&mut lab, "INVITE", "200")).sdp(phone.sdp(4000));
    let message = with(phone.request(&mut lab, "MESSAGE", "200"));
    let [info, bye] = ["INFO", "BYE"].map(|m| with(a.request(&mut lab, m)));
    for (request, method) in
        [(invite, "INVITE"), (message, "MESSAGE"), (info, "INFO"), (bye, "BYE")]
    {
        lab.send(phone.at, request);
        let got = lab.expect(pbx.at, method);
        assert!(!got.has("Also") && !got.has("Refer-To"), "{got}");
        lab.send(pbx.at, answer(&got, 404, "t"));
        lab.take(phone.at);
        lab.take(pbx.at);
    }
    let message = with(pbx.request_to(&mut lab, "MESSAGE", &sealed));
    lab.send(pbx.at, message);
    let got = lab.expect(phone.at, "MESSAGE");
    assert!(!got.has("Also") && !got.has("Refer-To"), "{got}");
    lab.send(phone.at, answer(&got, 200, "t"));
    lab.expect(pbx.at, "200");
    lab.end();
}

#[test]
fn a_phone_is_referred_only_where_it_may_call() {
    let refers =
        "[[rule]]\nname = \"refers\"\nside = \"outside\"\nmethod = [\"REFER\"]\nallow = {}\n";
    let (mut lab, phone, pbx, sealed) = lab(&format!("{PREMIUM}{refers}"));
    let (mut caller, _) = called(&mut lab, &pbx, &phone, &sealed);
    let (_, mut callee) = lab.establish(&phone, &pbx);
    let denied = [
        pbx.request_to(&mut lab, "REFER", &sealed),
        caller.request(&mut lab, "REFER"),
        callee.request(&mut lab, "REFER"),
    ];
    for refer in denied {
        lab.send(pbx.at, refer.with("Refer-To", DENIED[0]));
        lab.expect(pbx.at, "603");
    }
    lab.nothing_left();
    for (by, from, to, rule, verdict) in references(&lab) {
        let want = (Asked::Refer, "101", "+1900555", "no premium", Ruling::Deny);
        assert_eq!((by, from, to, rule, verdict), want);
    }
    assert_eq!(references(&lab).len(), 3);
    let refer = caller.request(&mut lab, "REFER").with("Refer-To", "<sip:0301@pbx.example.com>");
    lab.send(pbx.at, refer);
    let got = lab.expect(phone.at, "REFER");
    assert_eq!(got.header("Refer-To"), "<sip:0301@pbx.example.com>");
    lab.send(phone.at, answer(&got, 603, ""));
    lab.expect(pbx.at, "603");
    lab.end();
}

#[test]
fn a_redirect_of_a_phone_names_nobody_that_it_may_not_call() {
    for status in [300, 301, 302, 305, 380, 485] {
        for (contacts, left, number) in [
            ("<sip:+1900555@pbx.example.com>", &[][..], "+1900555"),
            ("<sip:001900555@10.17.0.1>;q=1, tel:+1-900-555", &[], "+1900555"),
            (
                "<sip:+1900555@far.example>;q=1, <sip:300@far.example?Route=x>;q=0.5",
                &["<sip:300@far.example>;q=0.5"],
                "+1900555",
            ),
            ("<sip:+1900555@far.example;method=REGISTER>", &[], "+1900555"),
        ] {
            let (mut lab, phone, pbx, sealed) = lab(PREMIUM);
            let invite = pbx.request_to(&mut lab, "INVITE", &sealed).sdp(pbx.sdp(6000));
            lab.send(pbx.at, invite.clone());
            lab.expect(pbx.at, "100");
            let got = lab.expect(phone.at, "INVITE");
            lab.send(phone.at, answer(&got, status, "m").with("Contact", contacts));
            lab.expect(phone.at, "ACK");
            let what = if left.is_empty() { 480 } else { status };
            let moved = lab.expect(pbx.at, &what.to_string());
            let shown = if moved.has("Contact") { moved.list("Contact") } else { Vec::new() };
            assert_eq!(shown, left, "{contacts}");
            lab.send(pbx.at, Leg::calling(&pbx, &invite).ack_refusal(&moved));
            let first = references(&lab)[0];
            let want = (Asked::Redirect, "101", number, "no premium", Ruling::Deny);
            assert_eq!(first, want, "{contacts}");
            lab.end();
        }
    }
}

#[test]
fn redirects_of_other_requests_and_within_dialogs_are_judged_alike() {
    let (mut lab, phone, pbx, sealed) = lab(PREMIUM);
    let (mut far, mut near) = called(&mut lab, &pbx, &phone, &sealed);
    for method in ["MESSAGE", "INFO", "UPDATE"] {
        let outside = pbx.request_to(&mut lab, "MESSAGE", &sealed);
        let request = if method == "MESSAGE" { outside } else { far.request(&mut lab, method) };
        lab.send(pbx.at, request);
        let got = lab.expect(phone.at, method);
        lab.send(phone.at, answer(&got, 302, "m").with("Contact", DENIED[0]));
        let failed = lab.expect(pbx.at, "480");
        assert!(!failed.has("Contact"), "{failed}");
        let back = near.request(&mut lab, if method == "MESSAGE" { "INFO" } else { method });
        lab.send(phone.at, back);
        let got = lab.next(pbx.at).expect("a request");
        lab.send(pbx.at, answer(&got, 302, "m").with("Contact", DENIED[0]));
        assert!(!lab.expect(phone.at, "603").has("Contact"));
    }
    let told = references(&lab);
    assert_eq!(told.len(), 6);
    let want = (Asked::Redirect, "101", "+1900555", "no premium", Ruling::Deny);
    assert!(told.iter().all(|one| *one == want), "{told:?}");
    lab.end();
}

#[test]
fn a_redirect_towards_a_phone_says_why_it_may_not_be_followed() {
    let (mut lab, phone, pbx, _) = lab(PREMIUM);
    let a = lab.call(&phone, "200", 4000);
    lab.expect(phone.at, "100");
    let got = lab.expect(pbx.at, "INVITE");
    lab.send(pbx.at, answer(&got, 302, "m").with("Contact", DENIED[0]));
    lab.expect(pbx.at, "ACK");
    let denied = lab.expect(phone.at, "603");
    assert!(denied.start.ends_with(" Premium") && !denied.has("Contact"), "{denied}");
    lab.send(phone.at, a.ack_refusal(&denied));
    assert_eq!(lab.ends(), [("declined", 603, "")]);
    lab.end();
}

#[test]
fn in_site_mode_the_phone_that_asks_is_judged() {
    let text = site::SITE.replace("password_file", "digest = false\npassword_file");
    let rule = "[[rule]]\nname = \"lobby\"\nuser = [\"103\"]\nnumber = [\"104\"]\ndeny = {}\n\
                [[rule]]\nname = \"refers\"\nmethod = [\"REFER\"]\nallow = {}\n";
    let mut lab = Lab::with(site::parse(&format!("{text}\n{rule}")), Users::None);
    let [caller, lobby, other] = [("102", 22), ("103", 23), ("104", 24)].map(|(user, host)| {
        let mut phone = lab.phone(user, &format!("10.17.0.{host}:5060"));
        site::GATE_INSIDE.clone_into(&mut phone.domain);
        let register = lab.local_register(&phone, 600);
        lab.send(phone.at, register);
        lab.expect(phone.at, "200");
        phone
    });
    let invite = lab.call(&caller, "103", 4000);
    lab.expect(caller.at, "100");
    let got = lab.expect(lobby.at, "INVITE");
    lab.send(lobby.at, answer(&got, 302, "m").with("Contact", "<sip:104@10.17.0.1>"));
    lab.expect(lobby.at, "ACK");
    let denied = lab.expect(caller.at, "403");
    lab.send(caller.at, invite.ack_refusal(&denied));
    let refer = |lab: &mut Lab, ua: &Ua, to: &str| {
        let refer = ua.request(lab, "REFER", to);
        lab.send(ua.at, refer.with("Refer-To", "<sip:104@10.17.0.1>"));
    };
    refer(&mut lab, &lobby, "102");
    lab.expect(lobby.at, "403");
    refer(&mut lab, &caller, "104");
    let got = lab.expect(other.at, "REFER");
    lab.send(other.at, answer(&got, 603, "t"));
    lab.expect(caller.at, "603");
    lab.end();
}

#[test]
fn a_failure_that_is_no_redirect_names_nobody_to_call() {
    for status in [404, 480, 486, 503, 603, 606] {
        let (mut lab, phone, pbx, _) = lab(PREMIUM);
        let a = lab.call(&phone, "200", 4000);
        lab.expect(phone.at, "100");
        let got = lab.expect(pbx.at, "INVITE");
        let failure = answer(&got, status, "m")
            .with("Contact", DENIED[0])
            .with("Error-Info", "<sip:+1900555@pbx.example.com>, <https://pbx.example.com/busy>")
            .with("Error-Info", "<tel:+1900555>");
        lab.send(pbx.at, failure);
        lab.expect(pbx.at, "ACK");
        let told = lab.next(phone.at).expect("an answer");
        assert!(!told.has("Contact") && !told.to_string().contains("1900555"), "{told}");
        assert_eq!(told.all("Error-Info"), ["<https://pbx.example.com/busy>"]);
        lab.send(phone.at, a.ack_refusal(&told));
        lab.end();
    }
}

#[test]
fn a_maddr_of_what_is_dialled_leads_nowhere() {
    let (mut lab, phone, pbx, _) = lab(PREMIUM);
    for method in ["INVITE", "MESSAGE", "SUBSCRIBE"] {
        let uri = "sip:200@pbx.example.com;maddr=198.51.100.66;user=phone";
        let text = phone.request_to(&mut lab, method, uri);
        lab.send(phone.at, if method == "INVITE" { text.sdp(phone.sdp(4000)) } else { text });
        let got = lab.expect(pbx.at, method);
        assert_eq!(got.start, format!("{method} sip:200@pbx.example.com;user=phone SIP/2.0"));
    }
    lab.clear();
}
