//! Phones act for who sits before them: nobody afar restarts them, has them dial or listens into
//! their room, but for the upstream that registered them, in its own words, and who a rule names.

use crate::lab::script::{Text, answer};
use crate::lab::{Lab, Msg, Ua, site};
use portreeve::config::RemoteControl;
use portreeve::engine::digest::Users;

fn strict(rules: &str) -> Lab {
    let text = site::EDGE.replace("default = \"allow\"", "default = \"site\"");
    Lab::with(site::parse(&format!("{text}\n{rules}")), Users::None)
}

/// What it says, as somebody behind the upstream said it.
fn forwarded(text: Text) -> Text {
    let own = text.header("Via").to_owned();
    text.set("Via", format!("{own}, SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bKelse"))
}

fn notify(lab: &mut Lab, by: &Ua, uri: &str, event: &str) -> Text {
    let text = by.request_to(lab, "NOTIFY", uri);
    text.with("Event", event).with("Subscription-State", "terminated")
}

/// The phone gets it and its answer goes back (200), or what the sender is told.
fn told(lab: &mut Lab, by: &Ua, phone: &Ua, text: Text) -> u16 {
    lab.send(by.at, text);
    if let Some(got) = lab.next(phone.at) {
        lab.send(phone.at, answer(&got, 200, "t"));
    }
    let status = lab.take(by.at).last().map(Msg::status).unwrap_or_default();
    lab.nothing_left();
    status
}

const COMMANDS: [&str; 5] = ["check-sync;reboot=true", "ua-profile", "talk", "hold", "x-unknown"];

#[test]
fn the_upstream_that_registered_a_phone_commands_it_in_its_own_words_alone() {
    let mut lab = strict("");
    let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
    let sealed = lab.register(&phone, 600);
    let ask = |lab: &mut Lab, event: &str, afar: bool| {
        let text = notify(lab, &pbx, &sealed, event);
        told(lab, &pbx, &phone, if afar { forwarded(text) } else { text })
    };
    for event in COMMANDS {
        assert_eq!(
            [ask(&mut lab, event, false), ask(&mut lab, event, true)],
            [200, 403],
            "{event}"
        );
    }
    // What tells of messages that wait commands nothing.
    for afar in [false, true] {
        assert_eq!(ask(&mut lab, "message-summary", afar), 200);
    }
    lab.reload(|c| c.policy.remote_control = RemoteControl::Forwarded);
    assert_eq!([ask(&mut lab, "talk", false), ask(&mut lab, "talk", true)], [200, 200]);
    lab.reload(|c| c.policy.remote_control = RemoteControl::Refuse);
    assert_eq!([ask(&mut lab, "talk", false), ask(&mut lab, "talk", true)], [403, 403]);
    lab.reload(|c| {
        c.policy.remote_control = RemoteControl::Forwarded;
        c.upstreams[0].trust = false;
    });
    assert_eq!([ask(&mut lab, "talk", false), ask(&mut lab, "talk", true)], [403, 403]);
    assert_eq!(lab.stats().decisions["default:remote-control"][1], 5 + 2 + 2);
    lab.end();
}

#[test]
fn a_second_upstream_commands_no_phone_that_it_did_not_register() {
    let mut lab =
        strict("[[upstream]]\nname = \"trunk\"\naddress = \"203.0.113.20:5060\"\nprobe = \"0s\"\n");
    let phone = lab.phone("101", "10.17.0.21:5060");
    let sealed = lab.register(&phone, 600);
    let trunk = Ua::new(lab.outside("203.0.113.20:5060"), "200");
    for (event, status) in [("check-sync", 403), ("message-summary", 200)] {
        let text = notify(&mut lab, &trunk, &sealed, event);
        assert_eq!(told(&mut lab, &trunk, &phone, text), status, "{event}");
    }
    lab.end();
}

#[test]
fn what_a_phone_would_dial_or_play_needs_a_rule_that_names_the_method() {
    let rule = |method: &str| {
        format!(
            "[[rule]]\nname = \"cti\"\nside = \"outside\"\nupstream = [\"pbx\"]\n{method}allow = {{}}\n"
        )
    };
    for (rules, status) in [
        (String::new(), 403),
        (rule(""), 403),
        (rule("method = [\"INVITE\"]\n"), 403),
        (rule("method = [\"REFER\", \"INFO\", \"NOTIFY\"]\n"), 200),
    ] {
        let mut lab = strict(&rules);
        let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
        let sealed = lab.register(&phone, 600);
        for method in ["REFER", "INFO"] {
            let text = pbx.request_to(&mut lab, method, &sealed);
            let text = text.with("Refer-To", "<sip:900@pbx.example.com>");
            assert_eq!(told(&mut lab, &pbx, &phone, text), status, "{method} {rules}");
        }
        let text = notify(&mut lab, &pbx, &sealed, "check-sync");
        assert_eq!(told(&mut lab, &pbx, &phone, forwarded(text)), status, "{rules}");
        // A call needs none.
        let call = pbx.request_to(&mut lab, "INVITE", &sealed).sdp(pbx.sdp(6000));
        lab.send(pbx.at, call);
        lab.expect(phone.at, "INVITE");
        lab.clear();
    }
}

#[test]
fn a_phone_commands_no_other_neither_straight_nor_by_way_of_the_upstream() {
    let mut lab = strict("");
    let (phone, other) = (lab.phone("101", "10.17.0.21:5060"), lab.phone("102", "10.17.0.22:5060"));
    lab.register(&phone, 600);
    lab.register(&other, 600);
    let pbx = lab.pbx();
    for event in ["check-sync", "Talk", "resync"] {
        let text = notify(&mut lab, &phone, "sip:102@pbx.example.com", event);
        lab.send(phone.at, text);
        lab.expect(phone.at, "403");
    }
    lab.nothing_left();
    // What phones tell their PBX unasked goes on.
    let text = notify(&mut lab, &phone, "sip:102@pbx.example.com", "dialog");
    lab.send(phone.at, text);
    lab.expect(pbx, "NOTIFY");
    lab.clear();

    let mut lab = Lab::site();
    let phone = lab.local_phone("101", "10.17.0.21:5060");
    let other = lab.local_phone("102", "10.17.0.22:5060");
    for (method, event) in [("NOTIFY", "check-sync"), ("REFER", "refer"), ("INFO", "x")] {
        let text = phone.request(&mut lab, method, "102").with("Event", event);
        let text = text.with("Refer-To", "<sip:102@10.17.0.1>");
        assert_eq!(told(&mut lab, &phone, &other, text), 403, "{method}");
    }
    let text = phone.request(&mut lab, "MESSAGE", "102");
    assert_eq!(told(&mut lab, &phone, &other, text), 200);
    lab.end();
}

fn intercom(text: Text) -> Text {
    text.with("Call-Info", "<sip:x>;answer-after=0")
        .with("Alert-Info", "<http://x>;info=alert-autoanswer, <http://x>;info=alert-external")
        .with("Answer-Mode", "Auto")
        .with("Priv-Answer-Mode", "Auto")
        .with("P-Auto-Answer", "normal")
        .with("X-Auto-Answer", "1")
}

/// Headers of the INVITE that the phone got.
fn left(got: &Msg) -> Vec<&'static str> {
    let names = [
        "Call-Info",
        "Alert-Info",
        "Answer-Mode",
        "Priv-Answer-Mode",
        "P-Auto-Answer",
        "X-Auto-Answer",
    ];
    names.into_iter().filter(|name| !got.all(name).is_empty()).collect()
}

#[test]
fn a_phone_answers_by_itself_for_the_upstream_that_registered_it_or_by_a_rule() {
    let keep = "[[rule]]\nname = \"paging\"\nside = \"outside\"\nmethod = [\"INVITE\"]\n\
                allow = { keep = [\"Call-Info\", \"Answer-Mode\"] }\n";
    for (rules, afar, want) in [("", false, 6), ("", true, 1), (keep, true, 3)] {
        let mut lab = strict(rules);
        let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
        let sealed = lab.register(&phone, 600);
        let call = pbx.request_to(&mut lab, "INVITE", &sealed).sdp(pbx.sdp(6000));
        let call = intercom(call);
        lab.send(pbx.at, if afar { forwarded(call) } else { call });
        let got = lab.expect(phone.at, "INVITE");
        assert_eq!(left(&got).len(), want, "{:?}", left(&got));
        assert_eq!(got.to_string().contains("autoanswer"), !afar, "{got}");
        assert!(got.to_string().contains("alert-external"), "how it rings is the caller's word");
        lab.clear();
    }
}

#[test]
fn phones_of_a_site_answer_each_other_by_themselves_only_by_a_rule() {
    let keep = "[[rule]]\nname = \"intercom\"\nside = \"inside\"\nuser = [\"*\"]\n\
                allow = { keep = [\"Call-Info\"] }\n";
    for (rules, want) in [("", vec!["Alert-Info"]), (keep, vec!["Call-Info", "Alert-Info"])] {
        let text = format!("{}\n{rules}", site::SITE);
        let users = Users::Shared { password: site::PASSWORD.to_owned() };
        let mut lab = Lab::with(site::parse(&text), users);
        let phone = lab.local_phone("101", "10.17.0.21:5060");
        let other = lab.local_phone("102", "10.17.0.22:5060");
        let call = phone.request(&mut lab, "INVITE", "102").sdp(phone.sdp(4000));
        lab.send(phone.at, intercom(call));
        let got = lab.expect(other.at, "INVITE");
        assert_eq!(left(&got), want);
        lab.clear();
    }
}

#[test]
fn within_a_call_the_other_party_commands_no_phone() {
    let mut lab = strict("");
    let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
    lab.register(&phone, 600);
    let (mut a, mut b) = lab.establish(&phone, &pbx);
    for (event, afar, status) in
        [("talk", false, 200), ("talk", true, 403), ("hold", true, 403), ("x-own", true, 200)]
    {
        let text = b.request(&mut lab, "NOTIFY").with("Event", event);
        let text = text.with("Subscription-State", "active");
        let text = if afar { forwarded(text) } else { text };
        assert_eq!(told(&mut lab, &pbx, &phone, text), status, "{event} {afar}");
    }
    // What the phone asked for, it gets.
    let subscribe = a.request(&mut lab, "SUBSCRIBE").with("Event", "ua-profile");
    lab.send(phone.at, subscribe);
    let got = lab.expect(pbx.at, "SUBSCRIBE");
    lab.send(pbx.at, answer(&got, 200, "t").with("Expires", "600"));
    lab.expect(phone.at, "200");
    let text = b.request(&mut lab, "NOTIFY").with("Event", "ua-profile");
    let text = forwarded(text.with("Subscription-State", "active"));
    assert_eq!(told(&mut lab, &pbx, &phone, text), 200);
    let text = b.request(&mut lab, "NOTIFY").with("Event", "ua-profile");
    let text = forwarded(text.with("Event", "check-sync").with("Subscription-State", "active"));
    assert_eq!(told(&mut lab, &pbx, &phone, text), 403, "and nothing beside it");
    lab.hang_up(&mut a, &b);
    lab.end();
}
