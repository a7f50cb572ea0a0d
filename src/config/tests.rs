use super::*;
use crate::ground::Side;
use proptest::prelude::*;

const MINIMAL: &str = include_str!("../../configs/minimal.toml");
const SITE: &str = include_str!("../../configs/site.toml");

fn faults(text: &str) -> String {
    match Config::parse("portreeve.toml", text, &Environment::default()) {
        Ok(_) => String::new(),
        Err(all) => all.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn the_shipped_files_work_and_the_smallest_has_twelve_lines() {
    for (name, text) in [("minimal", MINIMAL), ("site", SITE), ("edge", INIT)] {
        assert_eq!(faults(text), "", "{name}");
        let config = Config::parse(name, text, &Environment::default()).unwrap();
        assert!(crate::policy::RuleSet::compile(&config).is_ok(), "{name}");
        let shown = show(&config);
        assert_eq!(faults(&shown), "", "{name}: {shown}");
    }
    assert!(MINIMAL.lines().count() <= 12);
}

#[test]
fn site_mode_is_what_the_site_file_says() {
    let mut file = Config::parse("site", SITE, &Environment::default()).unwrap();
    let nets = ["192.168.1.0/24".parse().unwrap()];
    let built = Config::site("192.168.1.10".parse().unwrap(), &nets, "/var/lib/portreeve");
    file.hash.clear();
    assert_eq!(file, built);
    let mut env = Environment::default();
    env.devices.insert("eth0".into(), vec!["192.168.1.10/24".parse().unwrap()]);
    assert_eq!(Config::site_mode("192.168.1.10".parse().unwrap(), 5060, &env), Ok(built));
}

#[test]
fn site_mode_obeys_the_environment_and_flags_like_a_file() {
    let mut env = Environment::default();
    for (name, value) in [
        ("PORTREEVE_DATA", "/data"),
        ("PORTREEVE__INTERFACE__LAN__ADVERTISE", "192.0.2.9"),
        ("PORTREEVE__INTERFACE__LAN__NETWORKS", "[\"192.0.2.0/24\"]"),
        ("PORTREEVE__MEDIA__PORTS", "20000-20019"),
        ("PORTREEVE__LIMITS__CALLS", "5"),
    ] {
        env.variables.insert(name.into(), value.into());
    }
    env.overrides.push(("http.listen".into(), "127.0.0.1:9".into()));
    let c = Config::site_mode("172.17.0.2".parse().unwrap(), 5062, &env).unwrap();
    let lan = &c.interfaces[0];
    assert_eq!(lan.addresses.first().unwrap().advertise, "192.0.2.9".parse().ok());
    assert_eq!(lan.networks, ["192.0.2.0/24".parse().unwrap()]);
    assert_eq!(lan.listen[0].port, 5062);
    assert_eq!((c.media.ports, c.limits.calls), ((20_000, 20_019), 5));
    assert_eq!((c.state_dir.as_str(), c.audit.dir.as_deref()), ("/data", Some("/data/audit")));
    assert_eq!(c.registrar.password_file.as_deref(), Some("/data/site-password"));
    assert_eq!(c.http, "127.0.0.1:9".parse().ok());
    env.variables.insert("PORTREEVE__LIMITS__CALLS".into(), "50".into());
    let told = Config::site_mode("172.17.0.2".parse().unwrap(), 5062, &env).unwrap_err();
    let told = told[0].to_string();
    assert!(told.contains("PORTREEVE__INTERFACE__LAN__ADVERTISE and 4 more"), "{told}");
}

#[test]
fn site_mode_with_users_of_its_own_has_no_password_for_all() {
    let mut env = Environment::default();
    env.overrides.push(("registrar.users".into(), "/data/users".into()));
    let by_flag = Config::site_mode("172.17.0.2".parse().unwrap(), 5060, &env).unwrap();
    assert_eq!(by_flag.registrar.users_file.as_deref(), Some("/data/users"));
    assert_eq!(by_flag.registrar.password_file, None);
    let name = "PORTREEVE__REGISTRAR__USERS";
    let variables = [(name.to_owned(), "/data/users".to_owned())].into();
    let env = Environment { variables, ..Environment::default() };
    let by_variable = Config::site_mode("172.17.0.2".parse().unwrap(), 5060, &env).unwrap();
    assert_eq!(by_variable.registrar, by_flag.registrar);
}

#[test]
fn a_file_that_names_no_folder_takes_the_data_folder() {
    let mut env = Environment::default();
    let usual = Config::parse("t", MINIMAL, &env).unwrap();
    assert_eq!(usual.state_dir, "/var/lib/portreeve");
    env.variables.insert("PORTREEVE_DATA".into(), "/data".into());
    let moved = Config::parse("t", MINIMAL, &env).unwrap();
    assert_eq!(moved.state_dir, "/data");
    assert_eq!(moved.audit.dir.as_deref(), Some("/data/audit"));
    let named = MINIMAL.to_owned() + "[state]\ndir = \"/srv/x\"\n";
    assert_eq!(Config::parse("t", &named, &env).unwrap().state_dir, "/srv/x");
}

#[test]
fn every_fault_is_told_at_once_with_its_place() {
    let text = "[[interface]]\nname = \"lan\"\nside = \"insde\"\naddress = \"10.0.0.300\"\n\
                advertize = \"10.0.0.1\"\n[media]\nidle = \"60\"\n[limit]\n";
    let told = faults(text);
    for want in [
        "error[bad-value]: `side` cannot be \"insde\"",
        " --> portreeve.toml:3:8\n3 | side = \"insde\"\n  |        ^^^^^^^ did you mean `inside`?",
        "error[address]: `address` is no IP address",
        "error[unknown-key]: `advertize` is not a key of [[interface]]",
        "5 | advertize = \"10.0.0.1\"\n  | ^^^^^^^^^ did you mean `advertise`?",
        "error[duration]: `idle` is no duration: \"60\"",
        "error[unknown-key]: `limit` is not a key of the configuration",
        "did you mean `limits`?",
    ] {
        assert!(told.contains(want), "missing: {want}\nin: {told}");
    }
}

#[test]
fn what_does_not_fit_together_says_what_would() {
    let ports = MINIMAL.to_owned() + "[media]\nports = \"20000-20009\"\n";
    let told = faults(&ports);
    assert!(told.contains("10 ports carry 5 calls, limits.calls is 100"), "{told}");
    assert!(told.contains("\"20000-20199\" would do"), "{told}");
    let dns = MINIMAL.replace("198.51.100.2:5060", "pbx example.com");
    assert!(faults(&dns).contains("\"pbx example.com\" is no address and no name"));
    let named = MINIMAL.replace("198.51.100.2:5060", "pbx.example.com");
    let read = Config::parse("x", &named, &Environment::default()).unwrap();
    assert_eq!(read.upstreams[0].domain, "pbx.example.com");
    assert!(read.upstreams[0].sources.is_empty() && read.upstreams[0].fixed().next().is_none());
    // Who may call from anywhere is answered, but for who is listed, or where the file says so.
    let strangers = |text: &str| {
        let read = Config::parse("x", text, &Environment::default()).unwrap();
        read.interfaces.iter().find(|i| i.side == Side::Outside).unwrap().strangers
    };
    assert_eq!(strangers(MINIMAL), Strangers::Silent);
    assert_eq!(strangers(&named), Strangers::Answer);
    assert_eq!(strangers(&format!("{named}sources = [\"192.0.2.0/24\"]\n")), Strangers::Silent);
    let said = named.replace("side = \"outside\"", "side = \"outside\"\nstrangers = \"silent\"");
    assert_eq!(strangers(&said), Strangers::Silent);
    let twice = MINIMAL.replace("203.0.113.7", "10.17.0.1");
    assert!(faults(&twice).contains("is listened on twice"), "{}", faults(&twice));
    let syntax = faults("[[interface\nname = 1");
    assert!(syntax.contains("error[syntax]") && syntax.contains("portreeve.toml:1:"), "{syntax}");
    let rule = MINIMAL.to_owned() + "[[rule]]\nname = \"x\"\nallow = { upstream = \"pbz\" }\n";
    assert!(faults(&rule).contains("did you mean `pbx`?"));
    assert!(
        faults(&(MINIMAL.to_owned() + "[http]\nlisten = \"0.0.0.0:8060\"\n"))
            .contains("error[http-listen]")
    );
}

/// The minimal file with one thing changed.
fn changed(from: &str, to: &str) -> String {
    assert!(MINIMAL.contains(from), "{from}");
    faults(&MINIMAL.replacen(from, to, 1))
}

#[test]
fn an_address_nobody_could_use_is_a_fault() {
    for ip in ["0.0.0.0", "224.0.0.1", "255.255.255.255", "::"] {
        let told = changed("10.17.0.1", ip);
        let want =
            format!("`address` {ip} is not the address of one machine\n --> portreeve.toml:4:11");
        assert!(told.contains(&want), "{ip}: {told}");
    }
    for (at, want) in [
        ("0.0.0.0:5060", "is not the address of one machine"),
        ("198.51.100.2:0", "is not the address of one machine"),
        ("203.0.113.7:5060", "is where \"wan\" itself listens"),
        ("10.17.0.1:5060", "is where \"lan\" itself listens"),
        ("10.17.0.1", "is where \"lan\" itself listens"),
        ("[::ffff:203.0.113.7]:5060", "is where \"wan\" itself listens"),
        ("[::ffff:10.17.0.1]:5060", "is where \"lan\" itself listens"),
        ("[::ffff:0.0.0.0]:5060", "is not the address of one machine"),
        ("10.17.0.1:20010", "lies within media.ports of this gateway"),
        ("[2001:db8::2]:5060", "cannot be reached from 203.0.113.7"),
    ] {
        let told = changed("198.51.100.2:5060", at);
        assert!(told.contains("error[upstream-address]") && told.contains(want), "{at}: {told}");
    }
    let deaf =
        changed("address = \"203.0.113.7\"", "address = \"203.0.113.7\"\nlisten = [\"tcp:5060\"]");
    assert!(deaf.contains("is reached by udp, and \"wan\" has no such socket"), "{deaf}");
    let behind_nat = MINIMAL
        .replace(
            "address = \"203.0.113.7\"",
            "address = \"10.99.0.1\"\nadvertise = \"203.0.113.7\"",
        )
        .replace("198.51.100.2:5060", "203.0.113.7:5060");
    let told = faults(&behind_nat);
    assert!(told.contains("203.0.113.7:5060 is where \"wan\" itself listens"), "{told}");
    let web = changed("198.51.100.2:5060\"", "127.0.0.1:8060\"\ntransport = \"tcp\"");
    assert!(web.contains("127.0.0.1:8060 is this gateway's http.listen"), "{web}");
    let mapped = MINIMAL.replace("198.51.100.2:5060", "[::ffff:198.51.100.2]:5060");
    let read = Config::parse("x", &mapped, &Environment::default()).unwrap();
    let hop = read.upstreams[0].fixed().next().unwrap();
    assert_eq!(hop.peer, "198.51.100.2:5060".parse().unwrap());
    let near = changed("198.51.100.2:5060", "203.0.113.7:5070");
    assert_eq!(near, "", "a PBX on the same machine has a port of its own");
    for listen in ["[]", "[\"udp:0\"]", "[\"udp:65536\"]", "[\"sctp:5060\"]"] {
        let told = changed(
            "address = \"10.17.0.1\"",
            &format!("address = \"10.17.0.1\"\nlisten = {listen}"),
        );
        assert!(told.contains("error[listen]") && told.contains("portreeve.toml:5:1"), "{told}");
    }
}

#[test]
fn what_goes_into_messages_and_logs_is_printable() {
    let told = changed("\"lan\"", "\"la\\nn\"");
    assert!(told.contains("error[name]") && told.contains("portreeve.toml:2:8"), "{told}");
    for domain in ["a b", "a\\r\\nX: y", "x@y", "a:5060", ""] {
        let told = faults(&format!("{MINIMAL}domain = \"{domain}\"\n"));
        assert!(told.contains("error[domain]"), "{domain}: {told}");
        let told = faults(&format!("{MINIMAL}domains = [\"{domain}\"]\n"));
        assert!(told.contains("error[domain]"), "{domain}: {told}");
    }
    for domain in ["pbx.example.com", "192.0.2.1", "[2001:db8::1]", "PBX"] {
        assert_eq!(faults(&format!("{MINIMAL}domain = \"{domain}\"\n")), "");
    }
    let told = faults(&format!("site = {{ inside_domains = [\"a b\"] }}\n{MINIMAL}"));
    assert!(told.contains("error[domain]: \"a b\" is no domain"), "{told}");
    let hidden = format!("site = {{ inside_domains = [\"Example\"] }}\n{MINIMAL}");
    assert_eq!(faults(&hidden), "");
    let told = faults(&(hidden + "domain = \"pbx.example\"\n"));
    assert!(told.contains("pbx.example of \"pbx\" stands in site.inside_domains"), "{told}");
    let reason = "[[rule]]\nname = \"x\"\ndeny = { code = 403, reason = \"a\\r\\nX: y\" }\n";
    let told = faults(&(MINIMAL.to_owned() + reason));
    assert!(told.contains("error[name]: `reason`"), "{told}");
    let told = faults(&(MINIMAL.to_owned() + "[registrar]\nrealm = \"a\\\"b\"\n"));
    assert!(told.contains("`realm` cannot be quoted"), "{told}");
}

#[test]
fn a_registrar_nobody_can_register_at_is_a_fault_beside_the_others() {
    let alone = MINIMAL.split("[[upstream]]").next().unwrap();
    let told = faults(&format!("{alone}[limits]\ncals = 5\n"));
    assert!(told.contains("error[no-registrar]: no phone can register"), "{told}");
    assert!(told.contains("did you mean `calls`?"), "{told}");
    let told = faults(&format!("{alone}[registrar]\nmode = \"upstream\"\n"));
    assert!(told.contains("error[no-upstream]"), "{told}");
    let told = faults(&format!("{MINIMAL}[registrar]\nmode = \"local\"\n"));
    assert!(told.contains("error[no-registrar]"), "{told}");
    for fine in ["digest = false", "password_file = \"p\"", "users = \"u\""] {
        let told = faults(&format!("{alone}[registrar]\nmode = \"local\"\n{fine}\n"));
        assert_eq!(told, "", "{fine}");
    }
    let both = format!("{alone}[registrar]\nusers = \"u\"\npassword_file = \"p\"\n");
    assert!(faults(&both).contains("exclude each other"));
    let brief = format!("{MINIMAL}[registrar]\nmin_expires = \"2h\"\n");
    assert!(faults(&brief).contains("longer than `max_expires`"));
}

#[test]
fn places_are_those_of_the_value_at_fault() {
    let zone = format!("site = {{ timezone = \"Mars/Phobos\" }}\n{MINIMAL}");
    let told = faults(&zone);
    assert!(told.contains("portreeve.toml:1:21\n"), "{told}");
    assert!(told.contains("^^^^^^^^^^^^^ such as"), "{told}");
    let timers = format!("{MINIMAL}[timers]\nt1 = \"0s\"\n");
    assert!(faults(&timers).contains("`t1` is below 10ms\n  --> portreeve.toml:13:6"));
    let ports = faults(&format!("{MINIMAL}[media]\nports = \"5000-6000\"\n"));
    assert_eq!(ports.matches("SIP port 5060 lies within").count(), 1, "{ports}");
    assert!(ports.contains("a range apart from every listen"), "{ports}");
}

#[test]
fn a_failed_rule_test_names_file_line_and_expectation() {
    let text = format!(
        "{MINIMAL}[[rule]]\nname = \"x\"\nnumber = [\"1*\"]\ndeny = {{ code = 403 }}\n[[rule_test]]\n\
         event = {{ side = \"inside\", user = \"1\", number = \"123\" }}\nexpect = \"allow\"\n"
    );
    let mut env = Environment::default();
    let config = Config::parse("portreeve.toml", &text, &env).unwrap();
    let told = crate::policy::RuleSet::compile(&config).unwrap_err()[0].to_string();
    let want = "the rules say \"deny: x\"\n  --> portreeve.toml:18:10\n\
                18 | expect = \"allow\"\n   |          ^^^^^^^";
    assert!(told.contains(want), "{told}");
    // With overrides the places would be those of a text that nobody has seen.
    env.overrides.push(("limits.calls".into(), "7".into()));
    let config = Config::parse("portreeve.toml", &text, &env).unwrap();
    let told = crate::policy::RuleSet::compile(&config).unwrap_err()[0].to_string();
    assert!(told.contains("portreeve.toml with --set limits.calls"), "{told}");
}

#[test]
fn one_address_serves_both_sides_on_different_ports() {
    let text = MINIMAL.replace("203.0.113.7\"", "10.17.0.1\"\nlisten = [\"udp:5080\"]");
    let text = text + "[limits]\ncalls = 50\n[media]\nports = \"30000-30399\"\n";
    let config = Config::parse("t", &text, &Environment::default()).unwrap();
    assert_eq!(config.listeners().len(), 3);
    assert_eq!(config.interfaces[1].side, Side::Outside);
}

#[test]
fn the_environment_and_flags_override_and_unknown_ones_are_told() {
    let mut env = Environment::default();
    env.variables.insert("PORTREEVE__MEDIA__PORTS".into(), "30000-30999".into());
    env.variables.insert("PORTREEVE__INTERFACE__WAN__ADVERTISE".into(), "192.0.2.9".into());
    env.overrides.push(("limits.calls".into(), "7".into()));
    let config = Config::parse("t", MINIMAL, &env).unwrap();
    assert_eq!(config.media.ports, (30_000, 30_999));
    assert_eq!(config.interfaces[1].addresses.first().unwrap().advertise, "192.0.2.9".parse().ok());
    assert_eq!(config.limits.calls, 7);
    env.variables.insert("PORTREEVE__MEDIA__PORT".into(), "1".into());
    let told = Config::parse("t", MINIMAL, &env).unwrap_err()[0].to_string();
    assert!(told.contains("`port` is not a key of [media]"), "{told}");
}

#[test]
fn a_dial_plan_is_made_of_what_can_be_dialled_and_warned_of_where_phones_sign() {
    let with = |lines: &str| format!("{MINIMAL}[numbers]\n{lines}\n");
    for (line, told) in [
        ("outside_line = \"\"", "`outside_line` must be 1 to 8 digits"),
        ("outside_line = \"+9\"", "`outside_line` must be 1 to 8 digits"),
        ("country = \"49\"", "`country` must be a plus and 1 to 3 digits"),
        ("country = \"+4;x\"", "`country` must be a plus and 1 to 3 digits"),
        ("international_prefixes = [\"\"]", "`international_prefixes` must be at most 8"),
        ("international_prefixes = [\"+\"]", "`international_prefixes` must be at most 8"),
        ("international_prefixes = [\"*0\"]", "`international_prefixes` must be at most 8"),
        ("national_prefix = \"0x\"", "`national_prefix` must be 1 to 8 digits"),
    ] {
        let said = faults(&with(line));
        assert!(said.contains("error[number]") && said.contains(told), "{line}: {said}");
    }
    let warned =
        |text: &str| Config::parse("t", text, &Environment::default()).unwrap().warnings().len();
    assert_eq!(warned(MINIMAL), 0);
    assert_eq!(warned(&with("outside_line = \"9\"")), 1);
    assert_eq!(warned(&with("country = \"+49\"\nnational_prefix = \"0\"")), 1);
    let local = with("outside_line = \"*9\"") + "[registrar]\nmode = \"local\"\ndigest = false\n";
    assert_eq!(warned(&local), 0, "we ask for the digest ourselves, of what was dialled");
    let ours = local.clone() + "realm = \"198.51.100.2\"\n";
    assert_eq!(warned(&ours), 1, "the upstream's own challenges would be refused");
}

#[test]
fn prefixes_of_international_calls_are_the_countrys_unless_the_file_says_others() {
    for (lines, want) in [
        ("", &["00"][..]),
        ("[numbers]\n", &["00"]),
        ("[numbers]\ncountry = \"+49\"\n", &["00"]),
        ("[numbers]\ncountry = \"+1\"\n", &["00", "011"]),
        ("[numbers]\ncountry = \"+1\"\ninternational_prefixes = [\"010\"]\n", &["010"]),
        ("[numbers]\ninternational_prefixes = []\n", &[]),
    ] {
        let text = format!("{MINIMAL}{lines}");
        let config = Config::parse("t", &text, &Environment::default()).unwrap();
        assert_eq!(config.numbers.international_prefixes, want, "{lines}");
        let shown = format!("\n[numbers]\ninternational_prefixes = {want:?}\n");
        assert!(show(&config).contains(&shown), "{}", show(&config));
    }
}

#[test]
fn a_rules_method_is_written_as_requests_write_it() {
    let with = |method: &str| {
        format!("{MINIMAL}[[rule]]\nname = \"x\"\nmethod = [\"{method}\"]\ndrop = true\n")
    };
    let said = faults(&with("invite"));
    assert!(
        said.contains("\"invite\" is no method") && said.contains("write \"INVITE\""),
        "{said}"
    );
    for method in ["INVITE", "WIBBLE", "wibble"] {
        assert!(Config::parse("t", &with(method), &Environment::default()).is_ok(), "{method}");
    }
}

#[test]
fn strangers_are_silenced_outside_and_answered_inside_unless_the_file_says_otherwise() {
    let said = |text: &str| -> Vec<Strangers> {
        let config = Config::parse("t", text, &Environment::default()).unwrap();
        config.interfaces.iter().map(|i| i.strangers).collect()
    };
    assert_eq!(said(MINIMAL), [Strangers::Answer, Strangers::Silent]);
    let turned = MINIMAL
        .replace("10.17.0.1\"", "10.17.0.1\"\nstrangers = \"silent\"")
        .replace("203.0.113.7\"", "203.0.113.7\"\nstrangers = \"answer\"");
    assert_eq!(said(&turned), [Strangers::Silent, Strangers::Answer]);
    let told = changed("10.17.0.1\"", "10.17.0.1\"\nstrangers = \"silence\"");
    assert!(told.contains("`strangers` cannot be \"silence\""), "{told}");
    let bodies = |line: &str| {
        let text = format!("{MINIMAL}[policy]\n{line}\n");
        Config::parse("t", &text, &Environment::default()).map(|c| c.policy.unknown_bodies)
    };
    assert_eq!(bodies(""), Ok(UnknownBodies::Scrub));
    assert_eq!(bodies("unknown_bodies = \"refuse\""), Ok(UnknownBodies::Refuse));
    assert_eq!(bodies("unknown_bodies = \"deny\"").unwrap_err()[0].code, "bad-value");
    assert_eq!(bodies("remote_control = \"upstream\"").unwrap_err()[0].code, "bad-value");
}

#[test]
fn a_file_that_cannot_be_loaded_still_tells_where_the_gateway_answers() {
    let usual = "127.0.0.1:8060".parse().ok();
    let mut env = Environment::default();
    assert_eq!(http_listener("t", "", &env), Ok(usual));
    let broken = "[http]\nlisten = \"127.0.0.1:9\"\n[media]\nport = 3\n[[interface\n";
    assert_eq!(http_listener("t", broken, &env), Ok("127.0.0.1:9".parse().ok()));
    assert_eq!(http_listener("t", "http = { listen = \"off\" }", &env), Ok(None));
    let open = http_listener("t", "http = { listen = \"0.0.0.0:1\" }", &env).unwrap_err();
    assert!(open[0].to_string().contains("error[http-listen]"));
    env.variables.insert("PORTREEVE__HTTP__LISTEN".into(), "127.0.0.1:7".into());
    env.variables.insert("PORTREEVE__INTERFACE__LAN__ADVERTISE".into(), "192.0.2.1".into());
    assert_eq!(http_listener("t", "", &env), Ok("127.0.0.1:7".parse().ok()));
}

#[test]
fn the_control_socket_stands_where_it_can_be_written_and_found() {
    let mut env = Environment::default();
    let socket = |text: &str, env: &Environment| {
        Config::parse("t", &(MINIMAL.to_owned() + text), env).map(|c| c.control)
    };
    let at = |path: &str| Ok(Some(path.to_owned()));
    let find = |text: &str, env: &Environment| control_sockets("t", text, "./portreeve-data", env);
    let service = "/run/portreeve/control.sock";
    assert_eq!(socket("", &env), at("/var/lib/portreeve/control.sock"));
    assert_eq!(socket("[control]\nsocket = \"/x/c\"\n", &env), at("/x/c"));
    assert_eq!(socket("[control]\nsocket = \"off\"\n", &env), Ok(None));
    assert_eq!(find("", &env).unwrap(), ["./portreeve-data/control.sock", service]);
    assert_eq!(find("[control]\nsocket = \"/x/c\"\n[[broken", &env).unwrap(), ["/x/c"]);
    assert_eq!(find("control = { socket = \"off\" }", &env).unwrap(), [""; 0]);
    env.variables.insert("PORTREEVE_DATA".into(), "/data/".into());
    assert_eq!(socket("", &env), at("/data/control.sock"));
    env.variables.insert("RUNTIME_DIRECTORY".into(), "/run/portreeve:/run/other".into());
    assert_eq!(socket("", &env), at(service));
    assert_eq!(find("", &env).unwrap(), [service, "/data/control.sock", service]);
    let named = "[state]\ndir = \"/srv\"\n";
    assert_eq!(find(named, &env).unwrap()[1], "/srv/control.sock");
    env.variables.insert("PORTREEVE__CONTROL__SOCKET".into(), "/y/c".into());
    assert_eq!((socket("", &env), find("", &env).unwrap()), (at("/y/c"), vec!["/y/c".to_owned()]));
    let long = format!("control = {{ socket = \"/{}\" }}", "x".repeat(107));
    assert!(faults(&(long + "\n" + MINIMAL)).contains("error[control-socket]"));
}

#[test]
fn every_key_is_explained_in_the_reference() {
    // `config show` prints every key it knows; each must stand in the reference file.
    let config = Config::parse("edge", INIT, &Environment::default()).unwrap();
    for line in show(&config).lines().filter(|l| !l.starts_with(['#', '['])) {
        if let Some((key, _)) = line.split_once(" =") {
            assert!(INIT.contains(&format!("{key} =")), "{key} is not explained");
        }
    }
}

proptest! {
    #[test]
    fn no_text_panics(cut in 0usize..4000, junk in "[ -~\n]{0,30}") {
        let mut text = INIT.to_owned();
        let at = cut.min(text.len());
        if text.is_char_boundary(at) {
            text.insert_str(at, &junk);
        }
        let _ = Config::parse("t", &text, &Environment::default());
    }
}

#[test]
fn the_phone_for_emergency_calls_is_one_word_and_no_emergency_number() {
    let with =
        |target: &str| faults(&format!("emergency = {{ target = \"{target}\" }}\n{MINIMAL}"));
    assert_eq!(with("101"), "");
    assert_eq!(with("front-desk"), "");
    for (target, want) in [
        ("112", "is itself an emergency number"),
        ("", "is no extension"),
        ("101@example.com", "is no extension"),
        ("10 1", "is no extension"),
    ] {
        assert!(with(target).contains(want), "{target}: {}", with(target));
    }
}

#[test]
fn names_of_certificates_have_a_star_at_one_end_at_most() {
    for (key, wrong) in [
        ("*.example.net", false),
        ("branch-*", false),
        ("*", false),
        ("sip:trunk.example.net", false),
        ("branch-*.example.net", true),
        ("*branch*", true),
        ("**", true),
        ("", true),
    ] {
        let upstream =
            MINIMAL.replace("[[upstream]]", &format!("[[upstream]]\ntls_subject = [{key:?}]"));
        let rule = format!("[[rule]]\nname = \"x\"\ntls_subject = [{key:?}]\nallow = {{}}\n");
        for text in [upstream, format!("{MINIMAL}\n{rule}")] {
            let told = faults(&text);
            assert_eq!(told.contains("is no name of a certificate"), wrong, "{key}: {told}");
            assert_eq!(told.is_empty(), !wrong, "{key}: {told}");
        }
    }
}

#[test]
fn a_rule_says_whose_word_a_name_is_where_there_are_two() {
    let tls = |file: &str| {
        format!(
            "listen = [\"udp:5060\", \"tls:5061\"]\ntls = {{ certificate = \"self-signed\", \
             client = \"ask\", client_ca = \"{file}\" }}\n"
        )
    };
    let both = |lan: &str, wan: &str| {
        let text =
            MINIMAL.replacen("side = \"inside\"\n", &format!("side = \"inside\"\n{}", tls(lan)), 1);
        text.replacen("side = \"outside\"\n", &format!("side = \"outside\"\n{}", tls(wan)), 1)
    };
    for (lan, wan, at, words) in [
        ("/a.pem", "/b.pem", "", "believes a name whoever signed for it"),
        ("/a.pem", "/a.pem", "", ""),
        ("/a.pem", "/b.pem", "side = \"outside\"\n", ""),
        ("/a.pem", "/b.pem", "interface = [\"lan\"]\n", ""),
        ("/a.pem", "/b.pem", "interface = [\"lam\"]\n", "which is not there"),
    ] {
        let rule = format!(
            "[[rule]]\nname = \"x\"\n{at}tls_subject = [\"*.example.net\"]\nallow = {{}}\n"
        );
        let told = faults(&format!("{}\n{rule}", both(lan, wan)));
        assert!(told.contains(words) && told.is_empty() == words.is_empty(), "{at}: {told}");
    }
}

#[test]
fn a_name_by_a_transport_without_a_socket_is_told_at_once() {
    let listen = "side = \"outside\"\nlisten = [\"udp:5060\"]";
    let udp = MINIMAL.replace("side = \"outside\"", listen);
    let line = MINIMAL.lines().rfind(|l| l.starts_with("address = ")).unwrap();
    let at = udp.rfind(line).unwrap();
    for (target, told) in [
        ("sip:pbx.example.net;transport=tcp", "is reached by tcp"),
        ("sips:pbx.example.net", "is reached by tls"),
        ("sip:pbx.example.net;transport=udp", ""),
        ("pbx.example.net", ""),
    ] {
        let text = format!("{}address = \"{target}\"{}", &udp[..at], &udp[at + line.len()..]);
        let said = faults(&text);
        assert!(said.contains(told) && said.is_empty() == told.is_empty(), "{target}: {said}");
    }
}
