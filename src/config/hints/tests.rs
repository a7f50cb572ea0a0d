use crate::config::{Config, Environment};
use crate::policy::RuleSet;

const MINIMAL: &str = include_str!("../../../configs/minimal.toml");

/// What is told of a text.
fn told(text: &str) -> String {
    let parsed = Config::parse("f", text, &Environment::default());
    let checked = parsed.and_then(|c| RuleSet::compile(&c));
    checked.err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

/// The same of the smallest file with one thing changed.
fn changed(from: &str, to: &str) -> String {
    assert!(MINIMAL.contains(from), "{from}");
    told(&MINIMAL.replacen(from, to, 1))
}

#[test]
fn a_value_without_quotes_is_shown_with_them() {
    let want = "error[syntax]: `address` must be a string in quotes\n --> f:4:11\n";
    for value in ["10.17.0.1", "10.17.0.1:5060", "2001:db8::1", "sip.example.net"] {
        let all = changed("\"10.17.0.1\"", value);
        assert!(all.starts_with(want), "{all}");
        let carets = "^".repeat(value.len());
        assert!(all.contains(&format!("{carets} write address = \"{value}\"\n")), "{all}");
        assert_eq!(all.matches("error[").count(), 1, "{all}");
    }
    let media = told(&format!("{MINIMAL}[media]\nidle = 60s\nports = 20000-20399\n"));
    assert!(media.contains("^^^ write idle = \"60s\""), "{media}");
    assert!(media.contains("^^^^^^^^^^^ write ports = \"20000-20399\""), "{media}");
    let number = told(&format!("{MINIMAL}[[rule]]\nname = \"x\"\nnumber = [1900]\ndrop = true\n"));
    assert!(number.contains("--> f:14:11\n") && number.contains("^^^^ write \"1900\""), "{number}");
    let event = "[[rule_test]]\nevent = { side = inside }\nexpect = \"deny\"\n";
    let event = told(&format!("{MINIMAL}{event}"));
    assert!(event.contains("^^^^^^ write \"inside\""), "{event}");
}

#[test]
fn brackets_that_are_too_few_or_too_many_are_named() {
    let once = changed("[[upstream]]", "[upstream]");
    assert!(
        once.contains("--> f:9:1\n9 | [upstream]\n  | ^^^^^^^^^^ write [[upstream]]"),
        "{once}"
    );
    let twice = told(&MINIMAL.replace("[[interface]]", "[interface]"));
    let want = "error[syntax]: [interface] stands here for the second time\n --> f:5:2\n";
    assert!(twice.starts_with(want), "{twice}");
    assert!(twice.contains("write [[interface]], in double brackets, at each"), "{twice}");
    assert_eq!(twice.matches("error[").count(), 1, "{twice}");
    let many = told(&format!("{MINIMAL}[[media]]\nidle = \"60s\"\n"));
    assert!(many.contains("--> f:12:1\n") && many.contains("^ write [media]\n"), "{many}");
}

#[test]
fn quotes_and_spaces_of_word_processors_are_pointed_at() {
    for (value, column, plain) in [
        ("\u{201c}10.17.0.1\u{201d}", 11, "\""),
        ("\"10.17.0.1\u{201d}", 21, "\""),
        ("\u{ab}10.17.0.1\u{bb}", 11, "\""),
        ("\u{2018}10.17.0.1\u{2019}", 11, "'"),
    ] {
        let all = changed("\"10.17.0.1\"", value);
        assert!(all.contains(&format!("--> f:4:{column}\n")), "{all}");
        assert!(all.contains(&format!("^ type {plain} in its place")), "{all}");
        assert_eq!(all.matches("error[").count(), 1, "{all}");
    }
    let space = changed("address = ", "address =\u{a0}");
    assert!(space.contains("(U+00A0)") && space.contains("--> f:4:10\n"), "{space}");
    // Within a string they are text, and in a comment nobody minds.
    assert_eq!(changed("# phones:", "# \u{201c}phones\u{201d}:"), "");
    assert_eq!(changed("\"lan\"", "\"\u{201c}lan\u{201d}\""), "");
}

#[test]
fn keys_of_other_products_are_led_to_ours() {
    for key in ["username", "password", "register", "auth-user"] {
        let all = told(&format!("{MINIMAL}{key} = \"101\"\n"));
        assert!(all.contains("--> f:12:1\n") && all.contains("no account there"), "{all}");
    }
    let trunk = told(&format!("{MINIMAL}[[trunk]]\nname = \"x\"\n"));
    assert!(trunk.contains("^^^^^ a PBX or a trunk is an [[upstream]]"), "{trunk}");
    let port = changed("address = \"10.17.0.1\"", "port = 5060\naddress = \"10.17.0.1\"");
    assert!(port.contains("^^^^ listen = [\"udp:5060\", \"tcp:5060\"]"), "{port}");
    let near = told(&format!("{MINIMAL}domian = \"x.example\"\n"));
    assert!(near.contains("did you mean `domain`?"), "{near}");
}

#[test]
fn a_unit_that_is_missing_is_named() {
    let all = told(&format!("{MINIMAL}[media]\nidle = 60\n"));
    let want = "error[duration]: `idle` has no unit\n  --> f:13:8\n";
    assert!(all.starts_with(want), "{all}");
    assert!(all.contains("^^ write idle = \"60s\" (or ms, m, h, d)"), "{all}");
    let quoted = told(&format!("{MINIMAL}[limits]\ncalls = \"50\"\n"));
    assert!(quoted.contains("^^^^ write calls = 50, without quotes"), "{quoted}");
}

#[test]
fn a_rule_test_that_fails_says_what_would_be_right() {
    let rule = "[[rule]]\nname = \"x\"\nnumber = [\"1*\"]\ndeny = {}\n";
    let test = "[[rule_test]]\nevent = { number = \"123\" }\nexpect = \"allow\"\n";
    let all = told(&format!("{MINIMAL}{rule}{test}"));
    let want = "^^^^^^^ the first rule that fits decides; or expect = \"deny: x\"";
    assert!(all.contains("--> f:18:10\n") && all.contains(want), "{all}");
}

#[test]
fn what_editors_put_into_a_file_is_no_fault_and_moves_no_caret() {
    assert_eq!(told(&MINIMAL.replace('\n', "\r\n")), "");
    assert_eq!(told(&format!("\u{feff}{MINIMAL}")), "");
    assert_eq!(told(&MINIMAL.replace(" = ", "\t=\t")), "");
    let all = changed("side = \"inside\"", "\tside\t=\t\"insde\"\r");
    assert!(all.contains("3 | \tside\t=\t\"insde\"\n  | \t    \t \t^^^^^^^ did you"), "{all}");
}

#[test]
fn a_variable_that_nobody_reads_is_told_with_the_nearest_that_is() {
    let told = |name: &str| super::variables(std::iter::once(name)).concat();
    let media = told("PORTREEVE_MEDIA_PORTS");
    assert_eq!(
        media,
        "PORTREEVE_MEDIA_PORTS is read by nobody: did you mean PORTREEVE__MEDIA__PORTS?"
    );
    assert!(told("PORTREEVE_MEDIA__PORTS").ends_with("did you mean PORTREEVE__MEDIA__PORTS?"));
    assert!(told("PORTREEVE_CONFG").ends_with("did you mean `PORTREEVE_CONFIG`?"));
    assert!(told("PORTREEVE_PASSWORD").ends_with(" and PORTREEVE__SECTION__KEY"));
    for name in
        ["PORTREEVE_DATA", "PORTREEVE__MEDIA__PORTS", "PORTREEVE_PORT_5060_UDP", "PATH", "HOME"]
    {
        assert_eq!(told(name), "", "{name}");
    }
}

#[test]
fn a_local_registrar_without_users_is_told_at_its_line() {
    let local = told(&format!("{MINIMAL}[registrar]\nmode = \"local\"\n"));
    let want = "error[no-registrar]: registrar.mode is \"local\", and no local user is there to \
                register\n  --> f:13:8\n";
    assert!(local.starts_with(want), "{local}");
    assert!(local.contains("and phones register at \"pbx\""), "{local}");
    let broken = changed("[[upstream]]", "[upstream]");
    assert_eq!(broken.matches("error[").count(), 1, "what is ill written is there: {broken}");
    let none = told(MINIMAL.split("[[upstream]]").next().unwrap());
    assert!(none.contains("there is neither an [[upstream]] nor a local user"), "{none}");
}
