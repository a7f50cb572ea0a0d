//! What the default policy `site` and a file's own rules let through, as parties see it.

use crate::lab::script::answer;
use crate::lab::{Lab, Msg, Ua, site};
use portreeve::audit::Record;
use portreeve::audit::Ruling;
use portreeve::engine::Level;
use portreeve::engine::digest::Users;

fn strict(rules: &str) -> Lab {
    let text =
        format!("{}\n{rules}", site::EDGE.replace("default = \"allow\"", "default = \"site\""));
    Lab::with(site::parse(&text), Users::None)
}

fn last(lab: &mut Lab, ua: &Ua) -> u16 {
    lab.take(ua.at).last().map(Msg::status).unwrap_or_default()
}

#[test]
fn a_phone_registers_first() {
    let mut lab = strict("");
    let phone = lab.phone("101", "10.17.0.21:5060");
    lab.call(&phone, "200", 4000);
    assert_eq!(last(&mut lab, &phone), 403);
    lab.nothing_left();
    assert_eq!(lab.stats().now.transactions, [0, 0]);
    lab.register(&phone, 600);
    lab.call(&phone, "200", 4000);
    lab.expect(phone.at, "100");
    let pbx = lab.pbx();
    lab.expect(pbx, "INVITE");
    lab.end();
}

#[test]
fn the_policy_deny_lets_in_what_a_rule_names_and_nothing_else() {
    let rules = "[[rule]]\nname = \"registrations\"\nmethod = [\"REGISTER\"]\nallow = {}\n\
                 [[rule]]\nname = \"office\"\nuser = [\"101\"]\nnumber = [\"200\"]\nallow = {}\n";
    let text = site::EDGE.replace("default = \"allow\"", "default = \"deny\"");
    let mut lab = Lab::with(site::parse(&format!("{text}\n{rules}")), Users::None);
    let phone = lab.phone("101", "10.17.0.21:5060");
    let sealed = lab.register(&phone, 600);
    let pbx = lab.far("200");
    for number in ["112", "201"] {
        lab.call(&phone, number, 4000);
        assert_eq!(last(&mut lab, &phone), 403, "{number}: not even emergency numbers");
    }
    let incoming = pbx.request_to(&mut lab, "INVITE", &sealed).sdp(pbx.sdp(6000));
    lab.send(pbx.at, incoming);
    assert_eq!(last(&mut lab, &pbx), 403, "not even the upstream");
    lab.nothing_left();
    lab.establish(&phone, &pbx);
}

#[test]
fn emergency_calls_need_no_registration() {
    let mut lab = strict("");
    let phone = lab.phone("101", "10.17.0.21:5060");
    lab.call(&phone, "112", 4000);
    lab.expect(phone.at, "100");
    let pbx = lab.pbx();
    lab.expect(pbx, "INVITE");
    lab.end();
}

#[test]
fn an_emergency_call_that_nobody_takes_is_told_and_counted_each_time() {
    let mut lab = Lab::site();
    let phone = lab.local_phone("101", "10.17.0.21:5060");
    for (n, number) in [(1, "112"), (2, "110")] {
        lab.call(&phone, number, 4000);
        assert_eq!(last(&mut lab, &phone), 404, "{number}");
        assert_eq!(lab.stats().emergency_unrouted, n);
        let (level, said) = lab.notices.last().expect("a line");
        assert_eq!(*level, Level::Error);
        assert_eq!(
            *said,
            format!(
                "EMERGENCY CALL to {number} reaches nobody, from 10.17.0.21: there is no trunk, and \
                 emergency.target names no phone"
            )
        );
    }
    lab.call(&phone, "250", 4000);
    assert_eq!(last(&mut lab, &phone), 404, "an extension that nobody has");
    assert_eq!(lab.stats().emergency_unrouted, 2, "is no emergency");
    lab.advance(std::time::Duration::from_secs(40));
    lab.clear();
    lab.end();
}

#[test]
fn an_emergency_call_without_a_trunk_rings_the_phone_that_is_named_for_it() {
    let mut lab = Lab::site_with(|c| c.policy.emergency_target = Some("102".to_owned()));
    let phone = lab.local_phone("101", "10.17.0.21:5060");
    lab.call(&phone, "112", 4000);
    assert_eq!(last(&mut lab, &phone), 404, "nobody is registered as 102");
    let (_, said) = lab.notices.last().expect("a line");
    assert!(said.ends_with("emergency.target 102 is not registered"), "{said}");
    let desk = lab.local_phone("102", "10.17.0.22:5060");
    lab.call(&phone, "112", 4000);
    lab.expect(phone.at, "100");
    lab.expect(desk.at, "INVITE");
    assert_eq!(lab.stats().emergency_unrouted, 1);
    lab.clear();
    lab.end();
}

#[test]
fn emergency_calls_pass_every_cap() {
    let mut lab = strict("[limits]\ncalls = 1\n");
    let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
    lab.register(&phone, 600);
    lab.establish(&phone, &pbx);
    lab.call(&phone, "200", 4000);
    lab.expect(phone.at, "503");
    lab.call(&phone, "112", 4000);
    lab.expect(phone.at, "100");
    lab.expect(pbx.at, "INVITE");
    lab.end();
}

#[test]
fn the_upstream_reaches_phones_and_nobody_else_does() {
    let mut lab = strict("");
    let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
    let sealed = lab.register(&phone, 600);
    let stranger = Ua::new(lab.outside("198.51.100.66:5060"), "x");
    let invite = stranger.request_to(&mut lab, "INVITE", &sealed).sdp(stranger.sdp(6000));
    lab.send(stranger.at, invite);
    lab.nothing_left();
    let denied = |r: &Record| matches!(r, Record::CallAttempt { verdict: Ruling::Deny, .. });
    assert!(lab.records.iter().any(denied));
    let invite = pbx.request_to(&mut lab, "INVITE", &sealed).sdp(pbx.sdp(6000));
    lab.send(pbx.at, invite);
    lab.expect(pbx.at, "100");
    lab.expect(phone.at, "INVITE");
    lab.end();
}

#[test]
fn a_rule_denies_by_the_number_as_it_is_meant() {
    let mut lab = strict(
        "[numbers]\noutside_line = \"0\"\n[[rule]]\nname = \"no premium\"\nside = \"inside\"\n\
         number = [\"+1900*\"]\ndeny = { code = 403, reason = \"Premium\" }\n",
    );
    let phone = lab.phone("101", "10.17.0.21:5060");
    lab.register(&phone, 600);
    for dialled in ["+1900555", "%2B1900555", "+1-900-555", "0001900555", "+1%39005550100"] {
        let a = lab.call(&phone, dialled, 4000);
        let answers = lab.take(phone.at);
        let no = answers.last().expect("an answer");
        assert_eq!((no.status(), no.start.ends_with("Premium")), (403, true), "{dialled}: {no}");
        lab.send(phone.at, a.ack_refusal(no));
    }
    lab.nothing_left();
    let judged = lab.records.iter().filter(
        |r| matches!(r, Record::CallAttempt { verdict: Ruling::Deny, rule, .. } if rule == "no premium"),
    );
    assert_eq!(judged.count(), 5, "each with its rule");
    assert_eq!(lab.stats().decisions["no premium"], [0, 5]);
    lab.end();
}

#[test]
fn what_was_judged_is_what_goes_out() {
    let numbers = "[numbers]\nnational_prefix = \"0\"\ncountry = \"+49\"\n";
    let keep =
        "[[rule]]\nname = \"as dialled\"\nside = \"inside\"\nallow = { keep_number = true }\n";
    for (rules, sent) in
        [(numbers.to_owned(), "+4930123456"), (format!("{numbers}{keep}"), "030123456")]
    {
        let mut lab = strict(&rules);
        let phone = lab.phone("101", "10.17.0.21:5060");
        lab.register(&phone, 600);
        lab.call(&phone, "030123456", 4000);
        lab.expect(phone.at, "100");
        let pbx = lab.pbx();
        let got = lab.expect(pbx, "INVITE");
        assert_eq!(got.uri(), format!("sip:{sent}@pbx.example.com"));
        lab.end();
    }
}

#[test]
fn a_drop_is_silence() {
    let mut lab = strict(
        "[[rule]]\nname = \"scanners\"\nside = \"outside\"\nuser_agent = [\"friendly-scanner*\"]\n\
         drop = true\n",
    );
    let scanner = Ua::new(lab.outside("198.51.100.66:5060"), "x");
    let options =
        scanner.request(&mut lab, "OPTIONS", "100").with("User-Agent", "friendly-scanner");
    lab.send(scanner.at, options);
    lab.nothing_left();
    let verdicts =
        lab.records.iter().filter(|r| matches!(r, Record::Verdict { verdict: Ruling::Drop, .. }));
    assert_eq!(verdicts.count(), 1);
    lab.end();
}

#[test]
fn a_rule_keeps_and_strips_headers_and_allows_bodies() {
    let mut lab = strict(
        "[[rule]]\nname = \"lab\"\nside = \"inside\"\n\
         allow = { keep = [\"Diversion\"], strip = [\"Subject\", \"X-Other\"], bodies = [\"application/x-new\"] }\n",
    );
    let (phone, pbx) = (lab.phone("101", "10.17.0.21:5060"), lab.far("200"));
    lab.register(&phone, 600);
    let message = phone
        .request(&mut lab, "MESSAGE", "200")
        .with("X-Room", "12")
        .with("X-Other", "13")
        .with("Diversion", "<sip:300@pbx.example.com>")
        .with("Subject", "secret")
        .typed("application/x-new", "anything");
    lab.send(phone.at, message);
    let got = lab.expect(pbx.at, "MESSAGE");
    assert_eq!((got.has("X-Room"), got.has("X-Other"), got.has("Subject")), (true, false, false));
    assert!(got.has("Diversion"), "a rule keeps what is removed by default");
    assert_eq!(got.body, "anything");
    lab.send(pbx.at, answer(&got, 200, "m"));
    lab.expect(phone.at, "200");
    lab.end();
}
