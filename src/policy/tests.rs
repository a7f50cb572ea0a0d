use super::*;
use crate::config::{Config, Environment, ServingFact};
use crate::ground::Wall;
use crate::wire::sip::Uri;
use std::time::Duration;

const BASE: &str = r#"
[[interface]]
name = "lan"
side = "inside"
address = "10.17.0.1"
[[interface]]
name = "wan"
side = "outside"
address = "10.99.0.1"
[[upstream]]
name = "pbx"
address = "10.99.0.2"
"#;

fn rules(extra: &str) -> Result<RuleSet, String> {
    let text = format!("{BASE}{extra}");
    let config = Config::parse("t", &text, &Environment::default())
        .map_err(|d| d.iter().map(ToString::to_string).collect::<String>())?;
    RuleSet::compile(&config).map_err(|d| d[0].what.clone())
}

/// A number that lives as long as the tests: facts only borrow.
fn number(text: &str) -> &'static Number {
    let config = Config::parse("t", BASE, &Environment::default()).unwrap();
    let plan = number::Plan::from(&config);
    Box::leak(Box::new(Number::called(&Uri::sip(Some(text), "x", None), &plan)))
}

fn facts<'a>(side: Side, user: Option<&'a str>, to: &str) -> Facts<'a> {
    Facts {
        side,
        interface: if side == Side::Inside { "lan" } else { "wan" },
        method: "INVITE",
        source: "10.17.0.21".parse().unwrap(),
        user: user.map(|text| &*Box::leak(Box::new(Aor::from(text)))),
        from: number("101"),
        to: number(to),
        domain: "pbx",
        upstream: (side == Side::Inside).then_some("pbx"),
        tls_subjects: &[],
        serving: ServingFact::Upstream,
        user_agent: "SMT-i5220",
        target: Target::Upstream,
        commands: false,
    }
}

fn said(set: &RuleSet, f: &Facts<'_>) -> (String, bool) {
    let v = set.evaluate(f, Wall::default());
    (v.rule.to_string(), matches!(v.action, Action::Allow(_)))
}

#[test]
fn the_default_lets_the_site_work_and_nothing_else() {
    let set = rules("").unwrap();
    let phones = said(&set, &facts(Side::Inside, Some("101"), "102"));
    assert_eq!(phones, ("default:phones".into(), true));
    assert_eq!(said(&set, &facts(Side::Inside, None, "102")), ("default:deny".into(), false));
    assert_eq!(said(&set, &facts(Side::Inside, None, "112")), ("default:emergency".into(), true));
    assert_eq!(said(&set, &facts(Side::Outside, None, "101")), ("default:deny".into(), false));
    let mut up = facts(Side::Outside, None, "101");
    up.upstream = Some("pbx");
    assert_eq!(said(&set, &up), ("default:upstream".into(), true));
}

#[test]
fn a_rule_may_ask_for_a_name_that_a_certificate_proved() {
    let set = rules(
        r#"
        [[rule]]
        name = "branch"
        side = "outside"
        tls_subject = ["branch-*", "sip:branch.example.net"]
        allow = {}
        [[rule]]
        name = "any certificate"
        side = "outside"
        tls_subject = ["*"]
        deny = { code = 480 }
        [[rule_test]]
        event = { side = "outside", tls_subject = "branch-7.example.net" }
        expect = "allow: branch"
        [[rule_test]]
        event = { side = "outside" }
        expect = "deny: default:deny"
        "#,
    )
    .unwrap();
    for (names, rule) in [
        (&["branch-7.example.net"][..], "branch"),
        (&["BRANCH-7.example.net"], "branch"),
        (&["other.example.net", "sip:branch.example.net"], "branch"),
        (&["xbranch-7.example.net"], "any certificate"),
        (&["branch"], "any certificate"),
        (&["sip:branch.example.net.evil"], "any certificate"),
        (&["\u{0}branch-7", "*"], "default:deny"),
        (&[], "default:deny"),
    ] {
        let names: Vec<Subject> = names.iter().filter_map(|n| Subject::written(n)).collect();
        let f = Facts { tls_subjects: &names, ..facts(Side::Outside, None, "101") };
        assert_eq!(said(&set, &f).0, rule, "{names:?}");
    }
}

#[test]
fn the_first_match_wins() {
    let set = rules(
        r#"
        [[rule]]
        name = "boss"
        user = ["101"]
        to = ["+1900*"]
        allow = { strip = ["X-*"] }
        [[rule]]
        name = "no premium"
        number = ["+1900*"]
        deny = { code = 603, reason = "Premium" }
        "#,
    )
    .unwrap();
    let premium = "+19005550100";
    assert_eq!(said(&set, &facts(Side::Inside, Some("101"), premium)), ("boss".into(), true));
    let v = set.evaluate(&facts(Side::Inside, Some("102"), premium), Wall::default());
    assert_eq!(v.action, Action::Deny { code: 603, reason: "Premium".into() });
    let why = set.explain(&facts(Side::Inside, Some("102"), premium), Wall::default());
    assert_eq!(why, [("boss".into(), "user"), ("no premium".into(), "matches")]);
}

#[test]
fn hours_wrap_midnight_in_site_time() {
    let set = rules(
        r#"
        site = { timezone = "Europe/Berlin" }
        "#,
    );
    assert!(set.is_err(), "a key after a table belongs to that table");
    let text = format!(
        "site = {{ timezone = \"Europe/Berlin\" }}\n{BASE}[[rule]]\nname = \"night\"\n\
         hours = \"18:00-06:00\"\ndeny = {{ code = 480 }}\n"
    );
    let config = Config::parse("t", &text, &Environment::default()).unwrap();
    let set = RuleSet::compile(&config).unwrap();
    let at = |hour: u64| {
        // 2026-01-05 was a Monday; Berlin is UTC+1 in winter.
        let wall = Wall(Duration::from_secs(1_767_571_200 + hour * 3600));
        set.evaluate(&facts(Side::Inside, Some("101"), "102"), wall).rule.to_string()
    };
    assert_eq!(at(17), "night");
    assert_eq!(at(16), "default:phones");
    assert_eq!(at(4), "night");
    assert_eq!(at(5), "default:phones");
}

#[test]
fn a_failing_rule_test_refuses_the_file() {
    let rule = "[[rule]]\nname = \"no premium\"\nside = \"inside\"\nnumber = [\"+1900*\"]\n\
                deny = { code = 403 }\n";
    let test = |expect: &str| {
        format!(
            "{rule}[[rule_test]]\nevent = {{ side = \"inside\", number = \"%2B1 900 555 0100\" }}\n\
             expect = \"{expect}\"\n"
        )
    };
    assert!(rules(&test("deny: no premium")).is_ok());
    let failed = rules(&test("allow: default:phones")).unwrap_err();
    assert!(failed.contains("the rules say \"deny: no premium\""), "{failed}");
    for (typo, told) in [
        ("side = \"insde\"", "\"insde\" is no side"),
        ("target = \"phone\"", "\"phone\" is no target"),
        ("day = \"someday\"", "\"someday\" is no day"),
        ("time = \"25:00\"", "\"25:00\" is no time"),
        ("source = \"x\"", "\"x\" is no address"),
        ("sid = \"inside\"", "has no `sid`"),
    ] {
        let failed = rules(&format!("[[rule_test]]\nevent = {{ {typo} }}\nexpect = \"deny\"\n"));
        let failed = failed.unwrap_err();
        assert!(failed.contains(told), "{failed}");
    }
}

#[test]
fn a_deny_takes_an_emergency_number_along_only_where_it_names_it() {
    let deny = |to: &str| format!("[[rule]]\nname = \"toll\"\n{to}deny = {{ code = 403 }}\n");
    let emergency = ("default:emergency".to_owned(), true);
    for to in [
        "to = [\"1*\", \"9*\", \"0*\"]\n",
        "to = [\"*\"]\n",
        "to = [\"*12\"]\n",
        "",
        "side = \"inside\"\n",
        "user = [\"101\"]\n",
        "hours = \"00:00-00:00\"\n",
    ] {
        for default in ["site", "allow"] {
            let text = format!("[policy]\ndefault = \"{default}\"\n{}", deny(to));
            let set = rules(&text).unwrap();
            for user in [Some("101"), None] {
                assert_eq!(said(&set, &facts(Side::Inside, user, "112")), emergency, "{text}");
            }
            let v = set.evaluate(&facts(Side::Inside, None, "112"), Wall::default());
            assert!(matches!(v.action, Action::Allow(a) if a.bypass_limits), "{text}");
        }
    }
    // Who names it, means it; of other methods and of the other side nothing is an emergency.
    let set = rules(&deny("to = [\"112\"]\n")).unwrap();
    assert_eq!(said(&set, &facts(Side::Inside, Some("101"), "112")), ("toll".into(), false));
    let set = rules(&deny("to = [\"1*\"]\n")).unwrap();
    let mut message = facts(Side::Inside, Some("101"), "112");
    message.method = "MESSAGE";
    assert_eq!(said(&set, &message), ("toll".into(), false));
    assert_eq!(said(&set, &facts(Side::Outside, None, "112")), ("toll".into(), false));
    assert_eq!(said(&set, &facts(Side::Inside, Some("101"), "1120")), ("toll".into(), false));
    let why = set.explain(&facts(Side::Inside, Some("101"), "112"), Wall::default());
    assert_eq!(why[0], ("toll".into(), "emergency"));
    // The file says which numbers these are.
    let set = rules(&format!("[policy]\nemergency = []\n{}", deny("to = [\"1*\"]\n"))).unwrap();
    let config =
        Config::parse("t", &format!("{BASE}[policy]\nemergency = []\n"), &Environment::default());
    let config = config.unwrap();
    let plain = Number::called(&Uri::sip(Some("112"), "x", None), &number::Plan::from(&config));
    let f = Facts { to: &plain, ..facts(Side::Inside, Some("101"), "112") };
    assert_eq!(said(&set, &f), ("toll".into(), false));
}

#[test]
fn what_a_rule_allows_of_an_emergency_passes_every_cap() {
    let rule = "[[rule]]\nname = \"all\"\nside = \"inside\"\nallow = { strip = [\"X-*\"] }\n";
    let set = rules(rule).unwrap();
    for (to, bypass) in [("112", true), ("1120", false)] {
        let v = set.evaluate(&facts(Side::Inside, None, to), Wall::default());
        let Action::Allow(allow) = v.action else { panic!("{to} is denied") };
        assert_eq!((allow.bypass_limits, &*allow.strip), (bypass, &["X-*".to_owned()][..]));
    }
}
