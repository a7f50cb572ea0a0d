//! Headers by which networks tell each other who asks, who pays and where he is attached. From a
//! phone, a stranger or an upstream that is not trusted nobody reads them; a trusted upstream's pass.

use crate::lab::script::{Text, answer};
use crate::lab::{Lab, Msg, Ua, site};
use portreeve::engine::digest::Users;

const HEADERS: [&str; 32] = [
    "P-Asserted-Identity",
    "P-Preferred-Identity",
    "Remote-Party-ID",
    "P-Asserted-Service",
    "P-Preferred-Service",
    "P-Served-User",
    "P-Profile-Key",
    "P-User-Database",
    "P-Private-Network-Indication",
    "P-Associated-URI",
    "Identity",
    "Identity-Info",
    "Attestation-Info",
    "Origination-Id",
    "Diversion",
    "History-Info",
    "P-Called-Party-ID",
    "P-DCS-Redirect",
    "P-Charge-Info",
    "P-Charging-Vector",
    "P-Charging-Function-Addresses",
    "P-DCS-Billing-Info",
    "P-Access-Network-Info",
    "P-Visited-Network-ID",
    "Cellular-Network-Info",
    "P-Media-Authorization",
    "P-DCS-Trace-Party-ID",
    "P-DCS-OSPS",
    "P-DCS-LAES",
    "Additional-Identity",
    "Relayed-Charge",
    "p-asserted-service",
];

fn telling(mut text: Text) -> Text {
    for name in HEADERS {
        text = text.with(name, "<sip:100@pbx.example.com>");
    }
    text.with("y", "eyJ;info=<https://a.example>").with("P-Early-Media", "supported")
}

/// The headers that are left of them.
fn told(got: &Msg) -> Vec<&'static str> {
    HEADERS.into_iter().filter(|name| got.has(name)).collect()
}

const METHODS: [&str; 7] =
    ["INVITE", "MESSAGE", "SUBSCRIBE", "PUBLISH", "REFER", "OPTIONS", "REGISTER"];

#[test]
fn of_phones_none_goes_out_nor_in_an_answer_or_a_dialog() {
    let mut lab = Lab::edge();
    let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
    let sealed = lab.register(&phone, 600);
    for method in METHODS {
        let text = telling(phone.request(&mut lab, method, "200"));
        lab.send(phone.at, text.set("To", format!("<{}>", phone.aor())));
        let got = lab.take(pbx.at).pop().expect("it passes");
        assert_eq!(told(&got), Vec::<&str>::new(), "{method}");
        assert!(got.has("P-Early-Media"), "{method}: anybody may ask for it");
        lab.send(pbx.at, answer(&got, 486, "x"));
        lab.clear();
    }
    let message = pbx.request_to(&mut lab, "MESSAGE", &sealed);
    lab.send(pbx.at, message);
    let got = lab.expect(phone.at, "MESSAGE");
    lab.send(phone.at, telling(answer(&got, 200, "m")));
    assert_eq!(told(&lab.expect(pbx.at, "200")), Vec::<&str>::new());
    let (mut a, b) = lab.establish(&phone, &pbx);
    let info = telling(a.request(&mut lab, "INFO"));
    lab.send(phone.at, info);
    let got = lab.expect(pbx.at, "INFO");
    assert_eq!(told(&got), Vec::<&str>::new());
    lab.send(pbx.at, answer(&got, 200, ""));
    lab.expect(phone.at, "200");
    lab.hang_up(&mut a, &b);
    lab.end();
}

#[test]
fn a_trusted_upstream_tells_all_of_it_and_others_nothing() {
    for (trust, from) in [(true, site::PBX), (false, site::PBX), (true, "198.51.100.66:5060")] {
        let mut lab = Lab::edge_with(|c| c.upstreams[0].trust = trust);
        let phone = lab.phone("101", "10.17.0.21:5060");
        let sealed = lab.register(&phone, 600);
        let who = Ua::new(lab.outside(from), "200");
        let believed = trust && from == site::PBX;
        let text = telling(who.request_to(&mut lab, "MESSAGE", &sealed)).with("P-Odd", "1");
        lab.send(who.at, text);
        let got = lab.expect(phone.at, "MESSAGE");
        assert_eq!(told(&got).len(), if believed { HEADERS.len() } else { 0 }, "{got}");
        assert_eq!(got.has("P-Odd"), believed, "{got}");
        lab.send(phone.at, answer(&got, 200, "m"));
        lab.expect(who.at, "200");
        lab.end();
    }
}

#[test]
fn between_phones_of_a_site_only_that_a_call_was_forwarded_is_told() {
    let mut lab = Lab::site();
    let (alice, bob) =
        (lab.local_phone("101", "10.17.0.21:5060"), lab.local_phone("102", "10.17.0.22:5060"));
    let text = telling(alice.request(&mut lab, "MESSAGE", "102"));
    lab.send(alice.at, text);
    let got = lab.expect(bob.at, "MESSAGE");
    let forwarded = ["Diversion", "History-Info", "P-Called-Party-ID", "P-DCS-Redirect"];
    assert_eq!(told(&got), forwarded, "{got}");
    lab.send(bob.at, answer(&got, 200, "m"));
    lab.expect(alice.at, "200");
    lab.end();
}

#[test]
fn a_rule_keeps_what_it_names() {
    let rule =
        "[[rule]]\nname = \"x\"\nside = \"inside\"\nallow = { keep = [\"P-Charge-Info\"] }\n";
    let mut lab = Lab::with(site::parse(&format!("{}\n{rule}", site::EDGE)), Users::None);
    let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
    let text = telling(phone.request(&mut lab, "MESSAGE", "200"));
    lab.send(phone.at, text);
    let got = lab.expect(pbx.at, "MESSAGE");
    assert_eq!(told(&got), ["P-Charge-Info"]);
    lab.send(pbx.at, answer(&got, 200, "m"));
    lab.expect(phone.at, "200");
    lab.end();
}

#[test]
fn whoever_asks_for_privacy_is_named_to_no_phone() {
    for (privacy, names, history) in [
        ("id", false, true),
        ("ID; critical", false, true),
        ("user,id", false, true),
        ("history", true, false),
        ("none", true, true),
    ] {
        let mut lab = Lab::edge();
        let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
        let sealed = lab.register(&phone, 600);
        let text = telling(pbx.request_to(&mut lab, "MESSAGE", &sealed)).with("Privacy", privacy);
        lab.send(pbx.at, text);
        let got = lab.expect(phone.at, "MESSAGE");
        for name in ["P-Asserted-Identity", "Remote-Party-ID", "Identity"] {
            assert_eq!(got.has(name), names, "{privacy}: {name}");
        }
        assert_eq!(got.has("History-Info"), history, "{privacy}");
        lab.send(phone.at, answer(&got, 200, "m"));
        lab.expect(pbx.at, "200");
        lab.end();
    }
}
