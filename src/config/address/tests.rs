use super::super::{Config, Environment, show};
use super::*;

const EDGE: &str = include_str!("../../../configs/minimal.toml");

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The smallest file, with these lines instead of the inside address.
fn parse(lines: &str, env: &Environment) -> Result<Config, String> {
    assert!(EDGE.contains("address = \"10.17.0.1\""));
    let text = EDGE.replacen("address = \"10.17.0.1\"", lines, 1);
    let read = Config::parse("t", &text, env);
    read.map_err(|all| all.iter().map(ToString::to_string).collect())
}

fn read(lines: &str) -> Result<Config, String> {
    parse(lines, &Environment::default())
}

#[test]
fn an_interface_has_one_address_or_one_of_each_ip_version() {
    let both = read("address = [\"10.17.0.1\", \"2001:db8:17::1\"]").unwrap();
    let own = &both.interfaces[0].addresses;
    assert_eq!(own.listed(), "10.17.0.1, 2001:db8:17::1");
    assert_eq!(own.towards(ip("2001:db8::9")).unwrap().ip, ip("2001:db8:17::1"));
    assert_eq!(own.towards(ip("192.0.2.9")).unwrap().ip, ip("10.17.0.1"));
    let here = both.listeners().into_iter().filter(|l| l.interface == 0);
    let binds: Vec<String> = here.map(|l| format!("{} {}", l.transport, l.bind)).collect();
    let want = ["10.17.0.1:5060", "[2001:db8:17::1]:5060"];
    assert_eq!(binds, want.map(|at| [format!("udp {at}"), format!("tcp {at}")]).concat());
    let shown = Config::parse("t", &show(&both), &Environment::default()).unwrap();
    assert_eq!(shown.interfaces, both.interfaces);
    let one = read("address = [\"10.17.0.1\"]").unwrap();
    assert_eq!(one.interfaces, read("address = \"10.17.0.1\"").unwrap().interfaces);
}

#[test]
fn addresses_that_make_no_interface_are_refused() {
    for (lines, told) in [
        ("address = [\"10.17.0.1\", \"10.17.0.2\"]", "two addresses of one IP version"),
        ("address = [\"fd00::1\", \"::ffff:10.17.0.2\", \"fd00::2\"]", "or one of each IP version"),
        ("address = []", "names none"),
        ("address = [\"10.17.0.1\", \"::\"]", "`address` :: is not the address of one machine"),
        ("address = \"10.17.0\"", "`address` is no IP address: \"10.17.0\""),
        ("address = \"10.17.0.1%eth0\"", "names a device, and only a link-local address has one"),
        ("address = \"fe80::1%\"", "names no device"),
        ("address = \"10.17.0.1\"\nadvertise = [\"192.0.2.1\", \"192.0.2.2\"]", "stands for no"),
        (
            "address = [\"10.17.0.1\", \"fd00::1\"]\nadvertise = [\"192.0.2.1\", \"192.0.2.2\"]",
            "192.0.2.2 stands for no address of this interface",
        ),
        ("address = \"10.17.0.1\"\nadvertise = \"ff02::1\"", "`advertise` ff02::1 is not"),
        ("address = \"10.17.0.1\"\nadvertise = \"sbc.example.com\"", "is `advertise_name`"),
        ("address = \"10.17.0.1\"\nadvertise_name = \"192.0.2.1\"", "192.0.2.1\" is no host name"),
        ("address = \"10.17.0.1\"\nadvertise_name = \"sbc:5061\"", "is no host name"),
        ("address = \"10.17.0.1\"\nadvertise_name = \"a b\"", "is no host name"),
    ] {
        let faults = read(lines).unwrap_err();
        assert!(faults.contains(told), "{lines}: {faults}");
    }
}

#[test]
fn each_address_is_told_as_it_is_or_as_the_file_says() {
    let told = |lines: &str| -> Vec<IpAddr> {
        let config = read(lines).unwrap();
        config.interfaces[0].addresses.iter().map(Address::advertised).collect()
    };
    let both = "address = [\"10.17.0.1\", \"fd00::1\"]\n";
    let of = |more: &str| told(&(both.to_owned() + more));
    assert_eq!(of(""), [ip("10.17.0.1"), ip("fd00::1")]);
    assert_eq!(of("advertise = \"192.0.2.1\""), [ip("192.0.2.1"), ip("fd00::1")]);
    assert_eq!(of("advertise = \"2001:db8::1\""), [ip("10.17.0.1"), ip("2001:db8::1")]);
    let two = of("advertise = [\"2001:db8::1\", \"192.0.2.1\"]");
    assert_eq!(two, [ip("192.0.2.1"), ip("2001:db8::1")]);
    // A translator on the way: the only address may be told as one of the other version.
    let one = told("address = \"fd00::1\"\nadvertise = \"192.0.2.1\"");
    assert_eq!(one, [ip("192.0.2.1")]);
    let config = read(&format!("{both}advertise = [\"192.0.2.1\", \"2001:db8::1\"]")).unwrap();
    let shown = Config::parse("t", &show(&config), &Environment::default()).unwrap();
    assert_eq!(shown.interfaces, config.interfaces);
}

#[test]
fn a_device_gives_one_address_of_each_version_and_the_networks_of_both() {
    let mut env = Environment::default();
    let nets = ["10.17.0.1/24", "10.17.1.1/24", "fe80::7/64", "2001:db8:17::1/64", "fd00::1/64"];
    env.devices.insert("lan".into(), nets.map(|n| n.parse().unwrap()).into());
    env.devices.insert("p2p".into(), vec!["fe80::9/64".parse().unwrap()]);
    let lan = &parse("device = \"lan\"", &env).unwrap().interfaces[0];
    assert_eq!(lan.addresses.listed(), "10.17.0.1, 2001:db8:17::1");
    let networks: Vec<String> = lan.networks.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["10.17.0.0/24", "2001:db8:17::/64"]);
    let link = &parse("device = \"p2p\"", &env).unwrap().interfaces[0];
    assert_eq!(link.addresses.listed(), "fe80::9%p2p");
    assert_eq!(link.networks, ["fe80::/64".parse().unwrap()]);
    let none = parse("device = \"eth9\"", &env).unwrap_err();
    assert!(none.contains("no address on this machine") && none.contains("lan, p2p"), "{none}");
    assert!(parse("device = \"lan\"\naddress = \"10.17.0.1\"", &env).is_err());
}

#[test]
fn an_upstream_is_reached_by_either_version_that_its_interface_has() {
    let wan = |own: &str, at: &str| {
        let (near, far) = EDGE.split_once("[[upstream]]").unwrap();
        let near = near.replace("address = \"203.0.113.7\"", &format!("address = {own}"));
        let far = far.replacen("198.51.100.2:5060", at, 1);
        let text = format!("{near}[[upstream]]{far}");
        Config::parse("t", &text, &Environment::default()).is_ok()
    };
    let both = "[\"203.0.113.7\", \"2001:db8:99::1\"]";
    assert!(wan(both, "198.51.100.2:5060") && wan(both, "[2001:db8:99::2]:5060"));
    assert!(!wan("\"203.0.113.7\"", "[2001:db8:99::2]:5060"));
    assert!(!wan("\"2001:db8:99::1\"", "10.99.0.2:5060"));
    assert!(!wan(both, "[2001:db8:99::1]:5060"), "where it listens itself");
}
