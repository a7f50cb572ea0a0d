//! Where the lab's gateway stands: addresses, sockets, configurations.

use portreeve::config::{Address, Config, Environment, Interface};
use portreeve::ground::ListenerId;
use std::net::IpAddr;

/// Inside address of the gateway.
pub(crate) const GATE_INSIDE: &str = "10.17.0.1";
/// Outside address of the gateway.
pub(crate) const GATE_OUTSIDE: &str = "203.0.113.1";
/// The PBX.
pub(crate) const PBX: &str = "203.0.113.10:5060";
/// Its address.
pub(crate) const PBX_IP: &str = "203.0.113.10";
/// Its domain.
pub(crate) const DOMAIN: &str = "pbx.example.com";
/// Of every extension in site mode.
pub(crate) const PASSWORD: &str = "correct-horse";

/// Sockets in file order.
pub(crate) const INSIDE_UDP: ListenerId = ListenerId(0);
/// The second inside socket: a phone profile with another port.
pub(crate) const INSIDE_UDP_5070: ListenerId = ListenerId(1);
/// For phones that speak TCP.
pub(crate) const INSIDE_TCP: ListenerId = ListenerId(2);
/// Towards the PBX.
pub(crate) const OUTSIDE_UDP: ListenerId = ListenerId(3);

/// True for a socket of the outside interface.
pub(crate) fn is_outside(listener: ListenerId) -> bool {
    listener >= OUTSIDE_UDP
}

pub(crate) const EDGE: &str = r#"
[[interface]]
name = "phones"
side = "inside"
address = "10.17.0.1"
listen = ["udp:5060", "udp:5070", "tcp:5060"]
networks = ["10.17.0.0/16"]
keepalive = "0s"

[[interface]]
name = "wan"
side = "outside"
address = "203.0.113.1"
listen = ["udp:5060", "tcp:5060"]
keepalive = "0s"

[[upstream]]
name = "pbx"
address = "203.0.113.10:5060"
domain = "pbx.example.com"
probe = "0s"

[media]
ports = "20000-20999"

[survive]
auth = "off"

[policy]
default = "allow"
"#;

pub(crate) const SITE: &str = r#"
[[interface]]
name = "phones"
side = "inside"
address = "10.17.0.1"
listen = ["udp:5060", "udp:5070", "tcp:5060"]
networks = ["10.17.0.0/16"]
keepalive = "0s"

[registrar]
mode = "local"
realm = "portreeve"
password_file = "/unread"

[media]
ports = "20000-20999"
"#;

/// True for an address of the lab's site.
pub(crate) fn is_inside(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.octets()[..2] == [10, 17],
        IpAddr::V6(v6) => v6.segments()[..3] == [0x2001, 0xdb8, 0x17],
    }
}

/// In front of a PBX; everything that can be routed is allowed.
pub(crate) fn edge() -> Config {
    parse(EDGE)
}

/// The site's own phone system.
pub(crate) fn site() -> Config {
    parse(SITE)
}

/// A configuration from a file's text.
pub(crate) fn parse(text: &str) -> Config {
    match Config::parse("lab.toml", text, &Environment::default()) {
        Ok(config) => config,
        Err(faults) => panic!("{}", faults.iter().map(ToString::to_string).collect::<String>()),
    }
}

/// An interface behind a NAT tells others this address.
pub(crate) fn advertise(i: &mut Interface, told: &str) {
    let own = i.addresses.first().expect("an address").clone();
    i.addresses = Address { advertise: told.parse().ok(), ..own }.into();
}

/// Where an upstream is, as a file writes it.
pub(crate) fn target(text: &str) -> portreeve::config::Target {
    portreeve::config::Target::parse(text).expect("a target")
}
