use super::*;
use crate::config::Environment;

const EDGE: &str = r#"
[[interface]]
name = "lan"
side = "inside"
address = "10.17.0.1"
listen = ["udp:5070", "udp:5060", "tcp:5060"]
networks = ["10.17.0.0/24", "10.18.0.0/24", "10.17.0.128/25"]
[[interface]]
name = "w\"an; x"
side = "outside"
address = "203.0.113.7"
[[upstream]]
name = "pbx"
address = "198.51.100.2:5060"
sources = ["198.51.100.0/28"]
"#;

fn all(text: &str) -> Vec<Opening> {
    openings(&Config::parse("t", text, &Environment::default()).unwrap())
}

/// Reads a rule of [`nft`] back: address, sources, transport, ports.
fn read_nft(line: &str) -> Option<(String, String, String, String)> {
    let words = line.trim().strip_prefix("ip daddr ")?;
    let (address, rest) = words.split_once(' ')?;
    let (from, rest) = match rest.strip_prefix("ip saddr { ") {
        Some(r) => r.split_once(" } ")?,
        None => ("", rest),
    };
    let (transport, rest) = rest.split_once(" dport { ")?;
    let (ports, rest) = rest.split_once(" } accept comment \"")?;
    rest.strip_suffix('"').filter(|c| !c.contains(['"', '\'', '\n', ';']))?;
    Some((address.into(), from.into(), transport.into(), ports.into()))
}

#[test]
fn nft_opens_what_the_configuration_listens_on_and_no_more() {
    let text = nft(&all(EDGE));
    let rules: Vec<_> = text.lines().filter(|l| l.contains("dport")).collect();
    let read: Vec<_> = rules.iter().map(|l| read_nft(l).unwrap()).collect();
    let want = [
        ("10.17.0.1", "10.17.0.0/24, 10.18.0.0/24", "udp", "5060, 5070"),
        ("10.17.0.1", "10.17.0.0/24, 10.18.0.0/24", "tcp", "5060"),
        ("10.17.0.1", "10.17.0.0/24, 10.18.0.0/24", "udp", "20000-20399"),
        ("203.0.113.7", "198.51.100.0/28", "udp", "5060"),
        ("203.0.113.7", "198.51.100.0/28", "tcp", "5060"),
        ("203.0.113.7", "", "udp", "20000-20399"),
    ];
    assert_eq!(read, want.map(|(a, f, t, p)| (a.into(), f.into(), t.into(), p.into())));
    assert_eq!(text.matches('{').count(), text.matches('}').count());
}

#[test]
fn strangers_are_let_through_to_a_policy_that_may_want_them() {
    let open = |rule: &str| {
        let found = all(&(EDGE.to_owned() + rule));
        let sip = found.into_iter().find(|o| o.side == Side::Outside && o.what == "SIP").unwrap();
        sip.from.is_empty()
    };
    assert!(!open(""));
    assert!(open("[policy]\ndefault = \"allow\"\n"));
    assert!(open("[[rule]]\nname = \"x\"\nnumber = [\"100\"]\nallow = {}\n"));
    assert!(!open("[[rule]]\nname = \"x\"\nside = \"inside\"\nallow = {}\n"));
    assert!(!open("[[rule]]\nname = \"x\"\nupstream = [\"pbx\"]\nallow = {}\n"));
    assert!(!open("[[rule]]\nname = \"x\"\ndeny = {}\n"));
}

#[test]
fn ufw_gets_one_whole_command_a_source() {
    let text = ufw(&all(EDGE));
    for line in text.lines() {
        let words: Vec<&str> = line.splitn(12, ' ').collect();
        let [ufw, allow, proto, transport, from, source, to, address, port, ports, comment, label] =
            words[..]
        else {
            panic!("{line}");
        };
        assert_eq!(
            [ufw, allow, proto, from, to, port, comment],
            ["ufw", "allow", "proto", "from", "to", "port", "comment"]
        );
        assert!(["udp", "tcp"].contains(&transport), "{line}");
        assert!(source.parse::<IpNet>().is_ok() && address.parse::<IpAddr>().is_ok(), "{line}");
        assert!(ports.split([',', ':']).all(|p| p.parse::<u16>().is_ok()), "{line}");
        assert_eq!(label.matches('\'').count(), 2, "{line}");
    }
    assert_eq!(text.lines().count(), 9, "{text}");
    assert!(text.contains("from 0.0.0.0/0 to 203.0.113.7 port 20000:20399 "), "{text}");
}

#[test]
fn docker_publishes_each_port_once_and_says_what_else_it_takes() {
    let text = docker(&all(EDGE));
    let want = ["5070:5070/udp", "5060:5060/udp", "5060:5060/tcp", "20000-20399:20000-20399/udp"];
    let mut lines: Vec<&str> = text.lines().map(|l| l.strip_prefix("-p ").unwrap()).collect();
    lines.sort_unstable();
    let mut want = want.to_vec();
    want.sort_unstable();
    assert_eq!(lines, want);
    let config = Config::parse("t", EDGE, &Environment::default()).unwrap();
    let told = docker_advice(&config);
    assert!(told.contains("PORTREEVE__INTERFACE__LAN__ADVERTISE"), "{told}");
    assert!(told.contains("each of 400 published ports"), "{told}");
}

#[test]
fn the_table_has_a_line_for_each_opening() {
    let text = table(&all(EDGE));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 7);
    let words: Vec<&str> = lines[6].split_whitespace().collect();
    assert_eq!(words[3..], ["203.0.113.7", "udp", "20000-20399", "media", "anywhere"], "{text}");
    assert!(lines[1].ends_with("5060, 5070   SIP    10.17.0.0/24, 10.18.0.0/24"), "{text}");
}

#[test]
fn an_address_of_version_6_is_matched_as_such() {
    let text = EDGE
        .replace("203.0.113.7", "2001:db8::7")
        .replace("198.51.100.2:5060", "[2001:db8::2]:5060");
    let told = nft(&all(&text));
    assert!(
        told.contains("ip6 daddr 2001:db8::7 ip6 saddr { 2001:db8::2/128 } udp dport"),
        "{told}"
    );
}

#[test]
fn what_follows_a_device_is_let_in_by_the_device_and_not_by_its_address_of_today() {
    let mut env = Environment::default();
    env.devices.insert("ppp0".to_owned(), vec!["203.0.113.7/32".parse().unwrap()]);
    env.routes = ["203.0.113.7".parse().ok(), "2001:db8::7".parse().ok()];
    let found = |line: &str| {
        let text = EDGE.replace("address = \"203.0.113.7\"", line);
        openings(&Config::parse("t", &text, &env).unwrap())
    };
    let device = found("device = \"ppp0\"");
    let told = nft(&device);
    assert!(!told.contains("203.0.113.7"), "{told}");
    for want in [
        "iifname \"ppp0\" ip saddr { 198.51.100.0/28 } udp dport { 5060 } accept",
        "iifname \"ppp0\" meta nfproto ipv4 udp dport { 20000-20399 } accept",
    ] {
        assert!(told.contains(want), "{told}");
    }
    assert!(table(&device).contains("  ppp0  "), "{}", table(&device));
    let v4 = nft(&found("address = \"auto\""));
    assert!(v4.contains("        meta nfproto ipv4 udp") && !v4.contains("nfproto ipv6"), "{v4}");
    let any = found("address = \"auto\"\nip_version = \"both\"");
    assert!(
        nft(&any).contains("        meta nfproto ipv6 udp dport { 20000-20399 }"),
        "{}",
        nft(&any)
    );
    let told = ufw(&any);
    assert!(told.contains("from 0.0.0.0/0 to 0.0.0.0/0 port 20000:20399 "), "{told}");
    assert!(told.contains("from ::/0 to ::/0 port 20000:20399 "), "{told}");
}

const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

#[test]
fn a_head_office_is_open_by_udp_and_by_tcp_in_both_ip_versions_once_for_all_sites() {
    let office = |lines: &str| {
        let other = KEY.replace("MDEy", "MDEz");
        all(&format!(
            "[[interface]]\nname = \"sites\"\nside = \"inside\"\nlink = \"tunnel\"\n{lines}\n\
             [[peer]]\nname = \"berlin\"\nkey = \"{KEY}\"\n[[peer]]\nname = \"seoul\"\n\
             key = \"{other}\"\n[[interface]]\nname = \"wan\"\nside = \"outside\"\n\
             address = \"192.0.2.1\"\n[[upstream]]\nname = \"pbx\"\naddress = \"192.0.2.2:5060\"\n\
             interface = \"wan\"\n"
        ))
    };
    let of_tunnels = |all: Vec<Opening>| -> Vec<String> {
        let own = all.into_iter().filter(|o| o.what == "tunnels");
        own.map(|o| format!("{} {} {}", o.protocol, o.to, ranges(&o.ports, '-', ","))).collect()
    };
    let both = office("listen = [\"udp:443\", \"tcp:8443\"]");
    let told = nft(&both);
    for want in [
        "meta nfproto ipv4 udp dport { 443 } accept",
        "meta nfproto ipv6 udp dport { 443 } accept",
        "meta nfproto ipv4 tcp dport { 8443 } accept",
        "meta nfproto ipv6 tcp dport { 8443 } accept",
    ] {
        assert!(told.contains(want), "{want} in {told}");
    }
    let want = ["udp any 443", "udp any (IPv6) 443", "tcp any 8443", "tcp any (IPv6) 8443"];
    assert_eq!(of_tunnels(both), want);
    let one = office("address = \"192.0.2.1\"\nlisten = [\"udp:443\", \"tcp:443\"]");
    assert_eq!(of_tunnels(one), ["udp 192.0.2.1 443", "tcp 192.0.2.1 443"]);
    assert_eq!(of_tunnels(office("listen = \"udp:443\"\naddress = \"0.0.0.0\"")), ["udp any 443"]);
}

#[test]
fn a_site_opens_nothing_and_its_ways_out_are_listed() {
    let site = |more: &str| {
        let text = format!(
            "site = {{ name = \"berlin\" }}\n[[interface]]\nname = \"lan\"\nside = \"inside\"\n\
             address = \"10.17.0.1\"\n[[interface]]\nname = \"office\"\nside = \"outside\"\n\
             link = \"tunnel\"\nconnect = \"gate.test:443\"\npeer_key = \"{KEY}\"\n{more}\n\
             [[upstream]]\nname = \"pbx\"\ndomain = \"pbx.test\"\n"
        );
        let c = Config::parse("t", &text, &Environment::default()).unwrap();
        assert!(openings(&c).iter().all(|o| o.interface == "lan"));
        out::ways(&c)
    };
    let lines = |more: &str| -> Vec<String> {
        let text = out::table(&site(more));
        let rows = text.lines().skip(2);
        rows.map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    };
    let udp = "office gate.test udp 443 tunnel";
    let auto = ["office gate.test tcp 443 tunnel, where UDP does not get out"];
    assert_eq!(lines(""), [udp, auto[0]]);
    assert_eq!(lines("bearer = \"quic\""), [udp]);
    assert_eq!(lines("bearer = \"tcp\""), ["office gate.test tcp 443 tunnel"]);
    let proxy = "proxy = \"http://[2001:db8::9]:3128\"";
    let by = "office 2001:db8::9 tcp 3128 tunnel by CONNECT gate.test:443";
    assert_eq!(lines(proxy), [udp.to_owned(), format!("{by}, where UDP does not get out")]);
    assert_eq!(lines(&format!("{proxy}\nbearer = \"tcp\"")), [by]);
    let remarks = out::remarks(&site(""));
    assert!(remarks.starts_with("# out: udp to gate.test port 443 (tunnel)\n"), "{remarks}");
    assert_eq!(out::table(&[]), "");
}
