//! Every key of the reference file, changed: when does it count?

use crate::config::{Changes, Config, Environment, INIT};

fn parse(text: &str) -> Config {
    let read = Config::parse("t", text, &Environment::default());
    match read {
        Ok(c) => c,
        Err(all) => panic!("{}", all.iter().map(ToString::to_string).collect::<String>()),
    }
}

/// What changes when a line of the reference file is written otherwise.
fn changed(from: &str, to: &str) -> (Config, Changes) {
    assert!(INIT.contains(from), "{from}");
    parse(&INIT.replacen(from, to, 1)).following(&parse(INIT))
}

fn only(list: &[&str]) -> Vec<String> {
    list.iter().map(|s| (*s).to_owned()).collect()
}

const EMERGENCY: &str = "# emergency = { target = \"101\", upstream = \"pbx\" }";

#[test]
fn what_counts_at_once() {
    for (from, to, key) in [
        ("drain = \"60s\"", "drain = \"9s\"", "drain"),
        ("Europe/Berlin", "Asia/Seoul", "site.timezone"),
        ("[\"corp.example\"]", "[]", "site.inside_domains"),
        ("rport = true", "rport = false", "interface.phones.rport"),
        ("# strangers = \"answer\"", "strangers = \"silent\"", "interface.phones.strangers"),
        ("# strangers = \"silent\"", "strangers = \"answer\"", "interface.wan.strangers"),
        ("keepalive = \"25s\"", "keepalive = \"9s\"", "interface.phones.keepalive"),
        ("198.51.100.0/28", "198.51.100.0/27", "upstream.pbx.sources"),
        ("trust = true", "trust = false", "upstream.pbx.trust"),
        ("probe = \"30s\"", "probe = \"0s\"", "upstream.pbx.probe"),
        ("digest = true", "digest = false", "registrar.digest"),
        ("# users =", "users =", "registrar.users"),
        ("# password_file =", "password_file =", "registrar.password_file"),
        ("calls = 100", "calls = 99", "limits.calls"),
        ("calls_per_user = 8", "calls_per_user = 9", "limits.calls_per_user"),
        ("transactions = 20000", "transactions = 2", "limits.transactions"),
        ("per_source = 2000", "per_source = 2", "limits.transactions_per_source"),
        ("dialogs = 10000", "dialogs = 1", "limits.dialogs"),
        ("bindings = 10000", "bindings = 1", "limits.bindings"),
        ("bindings_per_user = 8", "bindings_per_user = 1", "limits.bindings_per_user"),
        ("connections = 2000", "connections = 1", "limits.connections"),
        ("source = 64", "source = 1", "limits.connections_per_source"),
        ("enabled = false", "enabled = true", "bans.enabled"),
        ("threshold = 100 ", "threshold = 99 ", "bans.threshold"),
        ("ttl = \"1h\"", "ttl = \"2h\"", "bans.ttl"),
        ("# never =", "never =", "bans.never"),
        ("# agents =", "agents =", "bans.agents"),
        ("# outside_line", "outside_line", "numbers.outside_line"),
        ("# inter", "inter", "numbers.international_prefixes"),
        ("# national_prefix", "national_prefix", "numbers.national_prefix"),
        ("# country", "country", "numbers.country"),
        ("default = \"site\"", "default = \"deny\"", "policy.default"),
        ("\"999\", ", "", "policy.emergency"),
        (EMERGENCY, "emergency = { target = \"101\" }", "emergency.target"),
        (EMERGENCY, "emergency = { upstream = \"pbx\" }", "emergency.upstream"),
        ("agent = \"pass\"", "agent = \"remove\"", "hide.user_agent"),
        ("auth = \"network\"", "auth = \"off\"", "survive.auth"),
        (
            "# users = \"/etc/portreeve/users\"       # for",
            "users = \"/x\"       # for",
            "survive.users",
        ),
        ("after = \"2s\"", "after = \"3s\"", "survive.after"),
        ("hold = \"5s\"", "hold = \"9s\"", "survive.hold"),
        ("bodies = \"scrub\"", "bodies = \"refuse\"", "policy.unknown_bodies"),
        ("control = \"registrar\"", "control = \"refuse\"", "policy.remote_control"),
        ("+44909*", "+44908*", "rule"),
        ("strip = [\"X-*\"]", "strip = [\"Y-*\"]", "rule"),
        ("900 555 0100", "900 555 0101", "rule_test"),
        ("refuse-calls\"", "count-and-go\"", "audit.on_full"),
        ("level = \"info\"", "level = \"debug\"", "log.level"),
    ] {
        let (_, c) = changed(from, to);
        let want = Changes { now: only(&[key]), ..Changes::default() };
        assert_eq!(c, want, "{from}");
    }
}

#[test]
fn what_counts_for_new_calls() {
    for (from, to, key) in [
        ("learn = \"same-ip\"", "learn = \"strict\"", "interface.phones.learn"),
        ("loopback = false", "loopback = true", "interface.phones.allow_loopback"),
        ("dscp_media = 46", "dscp_media = 0", "interface.phones.dscp_media"),
        ("transport = \"udp\"", "transport = \"tcp\"", "upstream.pbx.transport"),
        ("\"pbx.example.com\"", "\"x.example.com\"", "upstream.pbx.domain"),
        ("[\"example.com\"]", "[]", "upstream.pbx.domains"),
        ("numbers = []", "numbers = [\"+49\"]", "upstream.pbx.numbers"),
        ("min_expires = \"60s\"", "min_expires = \"61s\"", "registrar.min_expires"),
        ("max_expires = \"1h\"", "max_expires = \"2h\"", "registrar.max_expires"),
        ("silent_call = \"4h\"", "silent_call = \"1h\"", "limits.silent_call"),
        ("trace = 100", "trace = 50", "limits.trace"),
        ("idle = \"60s\"", "idle = \"0s\"", "media.idle"),
        ("t1 = \"500ms\"", "t1 = \"501ms\"", "timers.t1"),
        ("t2 = \"4s\"", "t2 = \"5s\"", "timers.t2"),
        ("t4 = \"5s\"", "t4 = \"6s\"", "timers.t4"),
        ("c = \"185s\"", "c = \"186s\"", "timers.c"),
    ] {
        let (_, c) = changed(from, to);
        let want = Changes { new_calls: only(&[key]), ..Changes::default() };
        assert_eq!(c, want, "{from}");
    }
    let (_, moved) = changed("198.51.100.2:5060\"   ", "198.51.100.3:5060\"   ");
    assert_eq!(moved.new_calls, ["upstream.pbx.address"]);
    assert_eq!(moved.now, ["upstream.pbx.sources"]);
}

#[test]
fn what_needs_a_restart_keeps_its_old_value() {
    let old = parse(INIT);
    for (from, to, key) in [
        ("name = \"branch-17\"", "name = \"x\"", "site.name"),
        ("10.17.0.1", "10.17.0.2", "interface.phones.address"),
        ("\"udp:5070\", ", "", "interface.phones.listen"),
        ("# advertise =", "advertise =", "interface.wan.advertise"),
        ("# advertise_name", "advertise_name", "interface.wan.advertise_name"),
        ("10.17.0.0/24", "10.17.0.0/23", "interface.phones.networks"),
        ("dscp_sip = 24", "dscp_sip = 0", "interface.phones.dscp_sip"),
        ("realm = \"portreeve\"", "realm = \"x\"", "registrar.realm"),
        ("20000-20399", "20000-20499", "media.ports"),
        ("quarantine = \"30s\"", "quarantine = \"9s\"", "media.quarantine"),
        ("workers = 0", "workers = 2", "media.workers"),
        ("127.0.0.1:8060", "127.0.0.1:8061", "http.listen"),
        ("page = \"on\"", "page = \"off\"", "http.page"),
        ("# socket =", "socket =", "control.socket"),
        ("format = \"auto\"", "format = \"json\"", "log.format"),
        ("# dir = \"/var/lib/portreeve/audit\"", "dir = \"/x\"", "audit.dir"),
    ] {
        let (merged, c) = changed(from, to);
        assert_eq!(c, Changes { restart: only(&[key]), ..Changes::default() }, "{from}");
        let merged = Config { hash: old.hash.clone(), ..merged };
        assert_eq!(merged, old, "{from}");
    }
    // A registrar of our own needs users.
    let users = INIT.replacen("# password_file =", "password_file =", 1);
    let local = users.replacen("mode = \"upstream\"", "mode = \"local\"", 1);
    assert_eq!(parse(&local).following(&parse(&users)).1.restart, ["registrar.mode"]);
    let (_, c) = changed("# dir = \"/var/lib/portreeve\"", "dir = \"/x\"");
    assert_eq!(c.restart, ["state.dir", "control.socket"]);
}

#[test]
fn the_same_file_changes_nothing() {
    let (merged, c) = parse(INIT).following(&parse(INIT));
    assert!(c.is_empty(), "{c:?}");
    assert_eq!(merged, parse(INIT));
}

#[test]
fn more_calls_than_the_ports_at_hand_wait_for_the_restart_too() {
    let text = INIT.replace("20000-20399", "20000-20999").replace("\ncalls = 100", "\ncalls = 150");
    let (merged, c) = parse(&text).following(&parse(INIT));
    assert_eq!(c.restart, ["limits.calls", "media.ports"]);
    assert_eq!(merged.limits.calls, 100);
    let fewer = INIT.replace("20000-20399", "20000-20999").replace("\ncalls = 100", "\ncalls = 50");
    let (merged, c) = parse(&fewer).following(&parse(INIT));
    assert_eq!((c.now, merged.limits.calls), (only(&["limits.calls"]), 50));
}

#[test]
fn another_interface_waits_and_upstreams_keep_theirs() {
    let more = format!(
        "{}[[interface]]\nname = \"attic\"\nside = \"inside\"\naddress = \"10.18.0.1\"\n",
        INIT.replacen(
            "[[interface]]",
            "[[interface]]\nname = \"dmz\"\nside = \"outside\"\naddress = \"192.0.2.1\"\n\
             [[interface]]",
            1
        )
    );
    let old = parse(INIT);
    let (merged, c) = parse(&more).following(&old);
    assert_eq!(c.restart, ["interface"]);
    assert_eq!(merged.interfaces, old.interfaces);
    assert_eq!(merged.upstreams, old.upstreams, "the place of `wan` is the old one");
    let there = more.replace("interface = \"wan\"", "interface = \"dmz\"");
    let (merged, c) = parse(&there).following(&old);
    assert_eq!(c.restart, ["interface", "upstream"]);
    assert_eq!(merged.upstreams, old.upstreams);
}

#[test]
fn upstreams_come_go_and_change_places() {
    let second = "[[upstream]]\nname = \"trunk\"\naddress = \"192.0.2.9:5060\"\n\
                  interface = \"wan\"\n";
    let two = format!("{INIT}{second}");
    let swapped = INIT.replacen("[[upstream]]", &format!("{second}[[upstream]]"), 1);
    let names = |from: &str, to: &str| parse(to).following(&parse(from)).1.new_calls;
    assert_eq!(names(INIT, &two), ["upstream.trunk (added)"]);
    assert_eq!(names(&two, INIT), ["upstream.trunk (removed)"]);
    assert_eq!(names(&two, &swapped), ["upstream (order)"]);
}
