//! Where the lab's gateway stands: addresses, sockets, configurations.

use portreeve::config::{Address, Config, Environment, Interface};
use portreeve::ground::ListenerId;

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

/// The IP version of everybody in a lab. Tests write addresses as IPv4 has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Four,
    Six,
}

impl Version {
    pub(crate) const ALL: [Self; 2] = [Self::Four, Self::Six];

    /// `10.17.0.21`, or `203.0.113.10`.
    pub(crate) fn ip(self, four: &str) -> String {
        let last = |start: &str| four.strip_prefix(start).filter(|_| self == Self::Six);
        match (last("10.17.0."), last("203.0.113.")) {
            (Some(host), _) => format!("2001:db8:17::{host}"),
            (_, Some(host)) => format!("2001:db8:cafe::{host}"),
            (None, None) => four.to_owned(),
        }
    }

    /// The same, where a URI has its host.
    pub(crate) fn host(self, four: &str) -> String {
        let ip = self.ip(four);
        if ip.contains(':') { format!("[{ip}]") } else { ip }
    }

    /// `10.17.0.21:5060`.
    pub(crate) fn at(self, four: &str) -> String {
        let (ip, port) = four.split_once(':').expect("a port");
        format!("{}:{port}", self.host(ip))
    }

    /// A file such as [`EDGE`].
    pub(crate) fn file(self, text: &str) -> String {
        let own = |ip: &str| format!("\"{}\"", self.ip(ip));
        let networks = if self == Self::Six { "2001:db8:17::/64" } else { "10.17.0.0/16" };
        text.replace("10.17.0.0/16", networks)
            .replace("\"10.17.0.1\"", &own(GATE_INSIDE))
            .replace("\"203.0.113.1\"", &own(GATE_OUTSIDE))
            .replace(PBX, &self.at(PBX))
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
    let own = i.addresses.first().clone();
    i.addresses = Address { advertise: told.parse().ok(), ..own }.into();
}

/// Where an upstream is, as a file writes it.
pub(crate) fn target(text: &str) -> portreeve::config::Target {
    portreeve::config::Target::parse(text).expect("a target")
}
