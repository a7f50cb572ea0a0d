use super::*;

fn at(device: &str, net: &str, link: Link) -> Attached {
    Attached { device: device.to_owned(), net: net.parse().unwrap(), link }
}

fn here(ip: &str) -> Place {
    Place::Here(ip.parse().unwrap())
}

fn lo() -> Attached {
    at("lo", "127.0.0.1/8", Link::Host)
}

fn nothing() -> Machine {
    Machine { default: None, all: vec![lo()] }
}

fn lan() -> Attached {
    at("eth0", "192.168.1.10/24", Link::Network)
}

#[test]
fn the_default_route_chooses_and_without_it_the_only_address_is_taken() {
    let second = at("eth1", "10.0.0.5/24", Link::Network);
    let dmz = "10.0.0.5".parse().ok();
    assert_eq!(choose(dmz, &[lo(), lan(), second.clone()]), here("10.0.0.5"));
    assert_eq!(choose(None, &[lo(), lan()]), here("192.168.1.10"));
    let several = ["192.168.1.10", "10.0.0.5"].map(|ip| ip.parse().unwrap()).to_vec();
    assert_eq!(choose(None, &[lo(), lan(), second]), Place::Several(several));
    assert_eq!(choose(None, &[lo(), lan(), lan()]), here("192.168.1.10"), "one is no choice");
    let vpn = at("wg0", "10.8.0.1/32", Link::Peer);
    assert_eq!(choose(None, &[vpn.clone(), lan()]), here("192.168.1.10"));
    assert_eq!(choose(None, &[lo(), vpn]), here("10.8.0.1"));
}

#[test]
fn what_no_phone_reaches_is_no_address() {
    let docker = at("docker0", "172.17.0.1/16", Link::Host);
    assert_eq!(choose(None, &[lo(), docker.clone(), lan()]), here("192.168.1.10"));
    let zeroconf = "169.254.3.4".parse().ok();
    assert_eq!(choose(zeroconf, &[lo(), lan()]), here("192.168.1.10"));
    for (one, want) in [
        (lo(), "there is loopback alone"),
        (docker, "docker0 172.17.0.1 (this machine only)"),
        (at("eth0", "192.168.1.10/24", Link::Down), "eth0 192.168.1.10 (is down)"),
        (
            at("eth0", "169.254.3.4/16", Link::Network),
            "eth0 169.254.3.4 (link-local: no DHCP answered)",
        ),
        (at("eth0", "2001:db8::5/64", Link::Network), "eth0 2001:db8::5 (calls need IPv4 for now)"),
        (at("eth0", "fe80::1/64", Link::Network), "there is loopback alone"),
    ] {
        assert_eq!(choose(None, &[lo(), one]), Place::Nowhere(want.to_owned()));
    }
}

#[test]
fn several_are_listed_as_one_would_type_them() {
    let text = ambiguous(&["10.0.0.5".parse().unwrap(), "192.168.1.10".parse().unwrap()]);
    for want in ["no default route", "\n    --listen 10.0.0.5\n", "--listen 192.168.1.10\n"] {
        assert!(text.contains(want), "{want} in {text}");
    }
}

#[test]
fn a_named_address_is_taken_whatever_the_machine_has() {
    let mut env = Environment::default();
    let stand = |env: &Environment, listen| {
        let found = find(&nothing(), listen, env, None).unwrap().unwrap();
        let i = found.config.interfaces.first().unwrap().clone();
        (i.addresses.listed(), i.listen.first().unwrap().port)
    };
    assert_eq!(stand(&env, Some("127.0.0.1")), ("127.0.0.1".to_owned(), 5060));
    assert_eq!(stand(&env, Some("127.0.0.1:5070")), ("127.0.0.1".to_owned(), 5070));
    env.overrides.push(("interface.lan.address".into(), "127.0.0.9".into()));
    assert_eq!(stand(&env, None), ("127.0.0.9".to_owned(), 5060));
    assert_eq!(find(&nothing(), Some("lan"), &env, None).unwrap_err().0, exit::USAGE);
}

#[test]
fn where_the_machine_does_not_tell_the_fallback_counts() {
    let env = Environment::default();
    let stood: IpAddr = "192.0.2.77".parse().unwrap();
    let place = |all: Vec<Attached>| {
        let machine = Machine { default: None, all };
        let found = find(&machine, None, &env, Some(stood)).unwrap().unwrap();
        found.config.interfaces.first().unwrap().addresses.listed()
    };
    let second = at("eth1", "10.0.0.5/24", Link::Network);
    assert_eq!(place(vec![lo()]), "192.0.2.77");
    assert_eq!(place(vec![lan(), second]), "192.0.2.77");
    assert_eq!(place(vec![lo(), lan()]), "192.168.1.10");
    assert_eq!(find(&nothing(), None, &env, None).unwrap().unwrap_err(), "there is loopback alone");
}

#[test]
fn a_public_address_is_taken_by_name_only() {
    let env = Environment::default();
    let wan = at("eth0", "203.0.114.7/24", Link::Network);
    let machine = Machine { default: wan.ip().into(), all: vec![wan, lan()] };
    let (code, text) = find(&machine, None, &env, None).unwrap_err();
    assert_eq!(code, exit::CONFIG);
    assert!(text.contains("--listen ADDRESS (192.168.1.10)"), "{text}");
    assert!(find(&machine, Some("203.0.114.7"), &env, None).unwrap().is_ok());
}
