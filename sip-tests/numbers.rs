//! Dialled numbers: what the PBX gets of them, and what rules make of them. Judging changes
//! nothing on the wire; `[numbers]` and a rule do.

use crate::lab::script::answer;
use crate::lab::{Lab, Msg, Ua, site};
use portreeve::audit::Record;
use portreeve::engine::digest::Users;

/// A gateway with the policy `site` and these lines behind it.
fn lab(lines: &str) -> Lab {
    let text =
        format!("{}\n{lines}", site::EDGE.replace("default = \"allow\"", "default = \"site\""));
    Lab::with(site::parse(&text), Users::None)
}

/// The Request-URI that the PBX gets when a phone calls `uri`.
#[track_caller]
fn got(lab: &mut Lab, phone: &Ua, uri: &str) -> Msg {
    let invite = phone.request_to(lab, "INVITE", uri).sdp(phone.sdp(4000));
    lab.send(phone.at, invite);
    lab.expect(phone.at, "100");
    let pbx = lab.pbx();
    let got = lab.expect(pbx, "INVITE");
    lab.send(pbx, answer(&got, 404, "t"));
    lab.expect(pbx, "ACK");
    lab.expect(phone.at, "404");
    got
}

/// The answer that a phone gets to a call, and the rule that said so.
#[track_caller]
fn said(lab: &mut Lab, phone: &Ua, uri: &str) -> (u16, String) {
    let invite = phone.request_to(lab, "INVITE", uri).sdp(phone.sdp(4000));
    let before = lab.records.len();
    lab.send(phone.at, invite);
    let status = lab.take(phone.at).last().map(Msg::status).unwrap_or_default();
    let rule = lab.records.iter().skip(before).find_map(|r| match r {
        Record::CallAttempt { rule, .. } => Some(rule.clone()),
        _ => None,
    });
    (status, rule.unwrap_or_default())
}

#[test]
fn what_is_dialled_goes_out_as_it_came() {
    let mut lab = lab("");
    let phone = lab.phone("101", "10.17.0.21:5060");
    lab.register(&phone, 600);
    for uri in [
        "sip:00301234567@pbx.example.com",
        "sip:55-1001@pbx.example.com",
        "sip:10.20@pbx.example.com",
        "sip:7042;phone-context=+4930@pbx.example.com;user=phone",
        "sip:7042;phone-context=pbx.example.com@pbx.example.com",
        "sip:*72%23@pbx.example.com",
        "sip:%2B49301234567@pbx.example.com",
        "sip:+49-30-(12)34@pbx.example.com",
        "sip:a%40b@pbx.example.com",
        "sip:al%69ce;day=tuesday@pbx.example.com",
        "sip:102:secret@pbx.example.com;x=y",
        "tel:+49-30-1234567",
        "tel:7042;phone-context=+4930",
        "tel:*72%23;phone-context=pbx.example.com",
    ] {
        assert_eq!(got(&mut lab, &phone, uri).uri(), uri);
    }
    lab.end();
}

#[test]
fn a_name_of_ours_becomes_the_pbxs_and_nothing_else_changes() {
    let mut lab = lab("");
    let phone = lab.phone("101", "10.17.0.21:5060");
    lab.register(&phone, 600);
    for user in ["00301234567", "55-1001", "10.20", "*72%23", "7042;phone-context=+4930", "a%40b"] {
        let uri = got(&mut lab, &phone, &format!("sip:{user}@10.17.0.1;user=phone"));
        assert_eq!(uri.uri(), format!("sip:{user}@pbx.example.com;user=phone"));
    }
    lab.end();
}

#[test]
fn the_file_rewrites_and_what_it_writes_is_escaped() {
    let plan = "[numbers]\noutside_line = \"0\"\nnational_prefix = \"0\"\ncountry = \"+49\"\n";
    let mut lab = lab(plan);
    let phone = lab.phone("101", "10.17.0.21:5060");
    lab.register(&phone, 600);
    for (dialled, sent) in [
        ("sip:00301234567@pbx.example.com", "sip:+49301234567@pbx.example.com"),
        ("sip:0-00(49)30-1234567@pbx.example.com", "sip:+49301234567@pbx.example.com"),
        ("sip:0102@pbx.example.com", "sip:102@pbx.example.com"),
        ("sip:102@pbx.example.com", "sip:102@pbx.example.com"),
        ("sip:0*72%23@pbx.example.com", "sip:*72%23@pbx.example.com"),
        (
            "sip:00301234567;isub=9@10.17.0.1;user=phone",
            "sip:+49301234567;isub=9@pbx.example.com;user=phone",
        ),
        ("tel:00301234567;phone-context=+4930;ext=1", "tel:+49301234567;ext=1"),
        ("tel:0102;phone-context=pbx.example.com", "tel:102;phone-context=pbx.example.com"),
        ("sip:0112@pbx.example.com", "sip:112@pbx.example.com"),
        ("sip:112@pbx.example.com", "sip:112@pbx.example.com"),
        ("sip:+1-900@pbx.example.com", "sip:+1-900@pbx.example.com"),
        ("sip:0alice@pbx.example.com", "sip:0alice@pbx.example.com"),
    ] {
        assert_eq!(got(&mut lab, &phone, dialled).uri(), sent, "{dialled}");
    }
    lab.end();
}

#[test]
fn a_rule_keeps_what_the_file_would_rewrite() {
    let mut lab = lab(
        "[numbers]\noutside_line = \"0\"\n[[rule]]\nname = \"as dialled\"\nside = \"inside\"\n\
         allow = { keep_number = true }\n",
    );
    let phone = lab.phone("101", "10.17.0.21:5060");
    lab.register(&phone, 600);
    let uri = "sip:0-30%231@pbx.example.com";
    assert_eq!(got(&mut lab, &phone, uri).uri(), uri);
    lab.end();
}

const PREMIUM: &str = "[[rule]]\nname = \"no premium\"\nside = \"inside\"\nnumber = [\"+1900*\"]\n\
                       deny = { code = 603 }\n";

#[test]
fn a_deny_reads_a_number_in_every_form() {
    let mut lab = lab(PREMIUM);
    let phone = lab.phone("101", "10.17.0.21:5060");
    lab.register(&phone, 600);
    for uri in [
        "sip:+1900555@pbx.example.com",
        "sip:%2b1%39-00.555@pbx.example.com",
        "sip:001900555@pbx.example.com",
        "sip:555;phone-context=+1900@pbx.example.com",
        "sip:555;phone-context=%2B1-900@pbx.example.com",
        "sip:102;rn=+1-900-555@pbx.example.com",
        "sip:102;npdi;rn=555;rn-context=+1900@pbx.example.com",
        "sip:102@pbx.example.com;rn=+1900555",
        "sip:+1900555%3Bx=y@pbx.example.com",
        "sip:555;phone%2Dcontext=+1900@pbx.example.com",
        "sip:555%3Bphone-context%3D%2B1900@pbx.example.com",
        "sip:102;r%6E=+1900555@pbx.example.com",
        "sip:102%3Brn=+1900555@pbx.example.com",
        "sip:102@pbx.example.com;r%6e=+1900555",
        "tel:102;r%6e=+1900555",
        "tel:+1-900-555",
        "tel:555;phone-context=+1900",
    ] {
        assert_eq!(said(&mut lab, &phone, uri), (603, "no premium".to_owned()), "{uri}");
    }
    assert_eq!(said(&mut lab, &phone, "sip:1900@pbx.example.com").1, "default:phones");
}

/// Numbers among signs, words, letters and codes; each goes to who dials it where no rule reads it.
const AMONG: [&str; 22] = [
    "101&001900555",
    "101|001900555",
    "101%2C001900555",
    "101/001900555",
    "SIP%2Ftrunk%2F001900555",
    "Local%2F001900555%40x",
    "x001900555",
    "T+1900555",
    "ext.001900555",
    "tel%3A+1900555",
    "tel:+1900555",
    "sip%3A001900555%40pbx.example.com",
    "%22+1900555%22",
    "*1001900555",
    "*1470001900555",
    "*%32001900555",
    "101*001900555%23",
    "900555;phone-context=1",
    "+1w00555",
    "100:+1900555",
    "+1;x=900;900",
    "102;postd=p001900555",
];

#[test]
fn a_deny_reads_numbers_among_signs_and_words_and_names_pass() {
    let mut lab = lab(PREMIUM);
    let phone = lab.phone("101", "10.17.0.21:5060");
    lab.register(&phone, 600);
    for user in AMONG {
        let uri = format!("sip:{user}@pbx.example.com");
        assert_eq!(said(&mut lab, &phone, &uri), (603, "no premium".to_owned()), "{uri}");
    }
    for user in [
        "alice",
        "sales-2",
        "conf:12",
        "*72%23",
        "*720301234567",
        "j.smith",
        "101&102",
        "alice1900",
        "gr=aB3/x9+Zk==/0QwErTy:7uI9oP2",
        "a3f81c92-7b1d-4e0a-9c55-0d1e2f3a4b5c",
        "+1800FLOWERS",
        "102;isub=9;postd=p1",
        "conf%2F12%40x",
    ] {
        let uri = format!("sip:{user}@pbx.example.com");
        assert_eq!(got(&mut lab, &phone, &uri).uri(), uri);
    }
    let many = format!("sip:{}@pbx.example.com", "1/2&3|".repeat(30));
    assert_eq!(said(&mut lab, &phone, &many).0, 400, "more than are read");
    let mut open = self::lab("");
    let phone = open.phone("101", "10.17.0.21:5060");
    open.register(&phone, 600);
    for uri in AMONG.map(|user| format!("sip:{user}@pbx.example.com")).into_iter().chain([many]) {
        assert_eq!(got(&mut open, &phone, &uri).uri(), uri, "no rule reads it");
    }
    open.end();
}

#[test]
fn an_allow_reads_what_the_number_means() {
    let rules = "[[rule]]\nname = \"house\"\nside = \"inside\"\nnumber = [\"10*\"]\nallow = {}\n\
                 [[rule]]\nname = \"nothing else\"\nside = \"inside\"\nmethod = [\"INVITE\"]\ndrop = true\n";
    let mut lab = lab(&format!("[numbers]\noutside_line = \"9\"\n{rules}"));
    let phone = lab.phone("101", "10.17.0.21:5060");
    lab.register(&phone, 600);
    for (uri, rule) in [
        ("sip:102@pbx.example.com", "house"),
        ("sip:1-0.2@pbx.example.com", "house"),
        ("sip:9102@pbx.example.com", "house"),
        ("tel:102", "house"),
        ("sip:+49;phone-context=102@pbx.example.com", "nothing else"),
        ("sip:55;rn=102@pbx.example.com", "nothing else"),
        ("sip:91-900@pbx.example.com", "nothing else"),
    ] {
        assert_eq!(said(&mut lab, &phone, uri).1, rule, "{uri}");
    }
}

#[test]
fn nothing_leads_an_emergency_call_elsewhere() {
    let mut lab = lab("[limits]\nemergency_per_source = 100\n");
    let nobody = lab.phone("199", "10.17.0.29:5060");
    for uri in ["sip:112@pbx.example.com", "tel:112", "sip:1-1-2;phone-context=x.example@10.17.0.1"]
    {
        assert_eq!(said(&mut lab, &nobody, uri), (100, "default:emergency".to_owned()), "{uri}");
    }
    for uri in [
        "sip:112;phone-context=+1900@pbx.example.com",
        "sip:112;rn=+1900555@pbx.example.com",
        "sip:112@pbx.example.com;rn=+1900555",
        "sip:112%3Brn=5@pbx.example.com",
        "sip:112;r%6E=+1900555@pbx.example.com",
        "sip:112@pbx.example.com;r%6e=+1900555",
        "sip:112;phone%2Dcontext=+1900@pbx.example.com",
        "sip:112;phone-context=1900@pbx.example.com",
        "sip:112:+1900555@pbx.example.com",
        "tel:112;r%6e=+1900555",
    ] {
        assert_eq!(said(&mut lab, &nobody, uri), (403, "default:deny".to_owned()), "{uri}");
    }
}

#[test]
fn what_no_dial_plan_knows_is_refused_where_a_number_rule_stands() {
    let strange = [
        "1900%00555",
        "+1900%0A",
        "+1%E2%80%8B900",
        "%EF%BC%8B1900",
        "+%EF%BC%91900",
        "%D9%A1900",
        "1900%FF",
        "102;rn=1;rn=2;rn=3;rn=4;rn=+1900555",
    ];
    let mut lab = lab(PREMIUM);
    let phone = lab.phone("101", "10.17.0.21:5060");
    lab.register(&phone, 600);
    for user in strange {
        let uri = format!("sip:{user}@pbx.example.com");
        assert_eq!(said(&mut lab, &phone, &uri).0, 400, "{user}");
        let message = phone.request_to(&mut lab, "MESSAGE", &uri).typed("text/plain", "x");
        lab.send(phone.at, message);
        assert_eq!(lab.take(phone.at).last().map(Msg::status), Some(400), "{user}");
    }
    lab.nothing_left();
    let mut open = self::lab("");
    let phone = open.phone("101", "10.17.0.21:5060");
    open.register(&phone, 600);
    for user in strange {
        let uri = format!("sip:{user}@pbx.example.com");
        assert_eq!(got(&mut open, &phone, &uri).uri(), uri, "no rule reads it");
    }
    open.end();
}

#[test]
fn an_at_of_a_user_is_not_the_domains() {
    let open = site::SITE.replace("password_file", "digest = false\npassword_file");
    let mut lab = Lab::with(site::parse(&open), Users::None);
    let [other, meant, caller] = [("a", 21), ("a%40b", 22), ("103", 23)].map(|(user, host)| {
        let mut phone = lab.phone(user, &format!("10.17.0.{host}:5060"));
        site::GATE_INSIDE.clone_into(&mut phone.domain);
        let register = lab.local_register(&phone, 600);
        lab.send(phone.at, register);
        lab.expect(phone.at, "200");
        phone
    });
    lab.call(&caller, "a%40b", 4000);
    lab.expect(caller.at, "100");
    let got = lab.expect(meant.at, "INVITE");
    lab.send(meant.at, answer(&got, 486, "t"));
    lab.expect(meant.at, "ACK");
    lab.expect(caller.at, "486");
    assert!(lab.take(other.at).is_empty(), "nobody else's phone rings");
    lab.end();
}

#[test]
fn a_binding_of_a_user_with_an_at_is_told_kept_and_reached_as_his() {
    let mut lab = lab("");
    let phone = lab.phone("a%40b", "10.17.0.21:5060");
    let sealed = lab.register(&phone, 600);
    let kept = lab.kept_bindings();
    let aor = &kept.first().expect("a binding").aor;
    assert_eq!((aor.user.as_str(), aor.domain.as_str()), ("a@b", "pbx.example.com"));
    assert_eq!(aor.to_string(), "a%40b@pbx.example.com");
    let pbx = lab.far("200");
    let invite = pbx.request_to(&mut lab, "INVITE", &sealed).sdp(pbx.sdp(6000));
    lab.send(pbx.at, invite);
    lab.expect(pbx.at, "100");
    let got = lab.expect(phone.at, "INVITE");
    assert!(got.uri().starts_with("sip:a%40b@10.17.0.21"), "{got}");
    lab.send(phone.at, answer(&got, 486, "t"));
    lab.expect(phone.at, "ACK");
    lab.expect(pbx.at, "486");
    let judged = lab.records.iter().find_map(|r| match r {
        Record::CallAttempt { to, .. } => Some(to.as_str()),
        _ => None,
    });
    assert_eq!(judged, Some("a@b"));
    lab.end();
}

#[test]
fn a_phone_of_the_site_is_reached_by_its_number_however_it_is_written() {
    let mut lab = Lab::site();
    let caller = lab.local_phone("101", "10.17.0.21:5060");
    let callee = lab.local_phone("102", "10.17.0.22:5060");
    for uri in ["sip:1-02@10.17.0.1", "tel:102", "sip:102;phone-context=x.example@10.17.0.1"] {
        let invite = caller.request_to(&mut lab, "INVITE", uri).sdp(caller.sdp(4000));
        lab.send(caller.at, invite);
        lab.expect(caller.at, "100");
        let got = lab.expect(callee.at, "INVITE");
        lab.send(callee.at, answer(&got, 486, "t"));
        lab.expect(callee.at, "ACK");
        lab.expect(caller.at, "486");
    }
    lab.end();
}

#[test]
fn an_escape_in_a_tel_uri_makes_no_other_host_of_it() {
    let mut lab = lab("[numbers]\noutside_line = \"0\"\n");
    let phone = lab.phone("101", "10.17.0.21:5060");
    lab.register(&phone, 600);
    for uri in [
        "tel:200%40far.example",
        "tel:200%3Bphone-context=+1900",
        "tel:0%2A72%40far.example;phone-context=pbx.example.com",
        "tel:200;x=%40far.example",
    ] {
        assert_eq!(got(&mut lab, &phone, uri).uri(), uri);
    }
    let rewritten = got(&mut lab, &phone, "tel:0%2A72%23;phone-context=pbx.example.com");
    assert_eq!(rewritten.uri(), "tel:*72%23;phone-context=pbx.example.com");
    for uri in ["tel:200@far.example", "tel:200?Route=x", "tel:200%4", "tel:1;x=a@far.example"] {
        assert_eq!(said(&mut lab, &phone, uri).0, 400, "{uri}");
    }
    lab.end();
}

#[test]
fn a_method_in_other_letters_case_reaches_nobody() {
    let mut lab = lab("");
    let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
    lab.register(&phone, 600);
    for method in ["invite", "Invite", "iNVITE", "message", "Refer"] {
        let request = phone.request(&mut lab, method, "200").sdp(phone.sdp(4000));
        lab.send(phone.at, request);
        lab.expect(phone.at, "400");
    }
    let of_the_other = phone.request(&mut lab, "MESSAGE", "200").set("CSeq", "1 message");
    lab.send(phone.at, of_the_other);
    lab.expect(phone.at, "400");
    let (mut a, mut b) = lab.establish(&phone, &pbx);
    for leg in [&mut a, &mut b] {
        for method in ["bye", "invite", "Refer"] {
            let request = leg.request(&mut lab, method);
            lab.send(leg.ua.at, request);
            lab.expect(leg.ua.at, "400");
        }
    }
    // Nor does an answer to it.
    let info = a.request(&mut lab, "INFO");
    lab.send(phone.at, info);
    let got = lab.expect(pbx.at, "INFO");
    let cseq = got.header("CSeq").to_lowercase();
    lab.send(pbx.at, answer(&got, 200, "").set("CSeq", cseq));
    lab.expect(phone.at, "502");
    lab.send(pbx.at, answer(&got, 200, ""));
    lab.nothing_left();
    lab.hang_up(&mut a, &b);
    lab.end();
}

/// Forms of a number, and what each means by the plan of [`each_form`].
const FORMS: [(&str, &str); 17] = [
    // As written, decoded, without separators.
    ("+1900555", "+1900555"),
    ("%2B1%3900555", "+1900555"),
    ("+1-(900).5%205-5", "+1900555"),
    // The international prefix, a country's own way, the outside line before each.
    ("001900555", "+1900555"),
    ("0111900555", "+1900555"),
    ("9001900555", "+1900555"),
    ("90111900555", "+1900555"),
    // Of a context, or where it is routed.
    ("555;phone-context=+1900", "555"),
    ("9555;phone-context=+1900", "555"),
    ("102;rn=+1900555", "102"),
    ("102;rn=001900555", "102"),
    // What somebody behind us may read, and what is no number to the plan.
    ("++1900555", "++1900555"),
    ("9+1900555", "9+1900555"),
    ("+1(0)900555", "+10900555"),
    ("+1/900_555", "+1/900_555"),
    ("*72001900555", "*72001900555"),
    ("*21*+1900555%23", "*21*+1900555#"),
];

/// The rule that says what a phone's call gets, by the number it dials.
fn each_form(rules: &str, dialled: &str) -> (u16, String) {
    let plan = "[numbers]\noutside_line = \"9\"\ninternational_prefixes = [\"00\", \"011\"]\n";
    let mut lab = lab(&format!("{plan}{rules}"));
    let phone = lab.phone("101", "10.17.0.21:5060");
    lab.register(&phone, 600);
    said(&mut lab, &phone, &format!("sip:{dialled}@pbx.example.com"))
}

#[test]
fn each_form_is_denied_and_allowed_and_left_to_the_default() {
    let allow = "[[rule]]\nname = \"premium\"\nnumber = [\"+1900*\"]\nallow = {}\n\
                 [[rule]]\nname = \"nothing else\"\nmethod = [\"INVITE\"]\ndrop = true\n";
    let drop = PREMIUM.replace("deny = { code = 603 }", "drop = true");
    for (dialled, means) in FORMS {
        let denied = (603, "no premium".to_owned());
        assert_eq!(each_form(PREMIUM, dialled), denied, "{dialled}");
        assert_eq!(each_form(&drop, dialled), (0, "no premium".to_owned()), "{dialled}");
        let by = if means.starts_with("+1900") { "premium" } else { "nothing else" };
        assert_eq!(each_form(allow, dialled).1, by, "{dialled}");
        assert_eq!(each_form("", dialled), (100, "default:phones".to_owned()), "{dialled}");
        let exact = format!("[[rule]]\nname = \"exact\"\nnumber = [\"{means}\"]\nallow = {{}}\n");
        assert_eq!(each_form(&exact, dialled), (100, "exact".to_owned()), "{dialled}");
    }
    for other in ["1900", "*72%23", "90102", "+491900555", "alice1900", "001900"] {
        assert_eq!(each_form(PREMIUM, other).1, "default:phones", "{other}");
    }
}
