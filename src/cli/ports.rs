//! `ports`: what a firewall must open for a configuration, as a table, as nftables, ufw commands or
//! `docker run` arguments; and what it must let out for a tunnel. It reads the configuration and
//! changes nothing on this machine.

mod out;

use super::{PortsArgs, PortsForm, config, gateway, run};
use crate::config::{
    Config, DefaultPolicy, End, Follow, Interface, Link, RuleAction, Tunnel, Versions,
};
use crate::ground::{Side, Transport};
use ipnet::IpNet;
use std::fmt::{self, Write as _};
use std::net::IpAddr;

/// Where it comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum To {
    Address(IpAddr),
    /// Wherever an interface stands, in this IP version: its address may be another tomorrow.
    Following {
        device: Option<String>,
        is_ipv4: bool,
    },
}

impl To {
    fn is_ipv4(&self) -> bool {
        match self {
            Self::Address(ip) => ip.is_ipv4(),
            Self::Following { is_ipv4, .. } => *is_ipv4,
        }
    }
}

impl fmt::Display for To {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(ip) => write!(f, "{ip}"),
            Self::Following { device: Some(device), is_ipv4: true } => write!(f, "{device}"),
            Self::Following { device: Some(device), is_ipv4: false } => {
                write!(f, "{device} (IPv6)")
            }
            Self::Following { device: None, is_ipv4: true } => f.write_str("any"),
            Self::Following { device: None, is_ipv4: false } => f.write_str("any (IPv6)"),
        }
    }
}

/// Where an interface takes what comes. What follows a device, or the default route, speaks IPv4,
/// and the other version where it does now.
fn places(i: &Interface) -> Vec<To> {
    let Some(following) = i.addresses.following() else {
        return i.addresses.iter().map(|a| To::Address(a.ip)).collect();
    };
    let device = match &following.by {
        Follow::Device(device) => Some(device.clone()),
        Follow::DefaultRoute => None,
    };
    let has_six = || i.addresses.iter().any(|a| a.ip.is_ipv6());
    let (four, six) = match following.versions {
        Versions::V4 => (true, false),
        Versions::V6 => (false, true),
        Versions::Both => (true, has_six()),
    };
    let versions = [four.then_some(true), six.then_some(false)];
    versions
        .into_iter()
        .flatten()
        .map(|is_ipv4| To::Following { device: device.clone(), is_ipv4 })
        .collect()
}

/// One kind of traffic that must come in at one interface.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Opening {
    interface: String,
    side: Side,
    to: To,
    /// As packet filters call it.
    protocol: &'static str,
    /// First and last port of each range.
    ports: Vec<(u16, u16)>,
    /// Where it comes from; empty: anywhere.
    from: Vec<IpNet>,
    what: &'static str,
}

pub(super) fn ports(args: &PortsArgs) -> u8 {
    let env = run::environment(&args.set);
    let loaded = match gateway::file(args.config.as_deref()) {
        Some(file) => config::load(&file, &env),
        None => run::site_config(args.listen.as_deref(), &env),
    };
    let c = match loaded {
        Ok(c) => c,
        Err(code) => return code,
    };
    let (all, ways) = (openings(&c), out::ways(&c));
    match args.form {
        None => print!("{}{}", table(&all), out::table(&ways)),
        Some(PortsForm::Nft) => print!("{}{}", nft(&all), out::remarks(&ways)),
        Some(PortsForm::Ufw) => print!("{}{}", ufw(&all), out::remarks(&ways)),
        Some(PortsForm::Docker) => {
            print!("{}", docker(&all));
            eprint!("{}", docker_advice(&c));
        }
    }
    0
}

fn openings(c: &Config) -> Vec<Opening> {
    let mut all = Vec::new();
    for (index, i) in c.interfaces.iter().enumerate() {
        if let Link::Tunnel(tunnel) = &i.link {
            // One port is for all sites.
            let key = |o: &Opening| (o.to.clone(), o.protocol, o.ports.clone());
            for new in of_tunnel(i, tunnel) {
                if all.iter().all(|o| key(o) != key(&new)) {
                    all.push(new);
                }
            }
            continue;
        }
        let mut open = |protocol, ports: Vec<(u16, u16)>, from: Vec<IpNet>, what| {
            let from = IpNet::aggregate(&from);
            let places = places(i);
            for to in &places {
                let alike = |n: &&IpNet| n.addr().is_ipv4() == to.is_ipv4();
                let callers: Vec<IpNet> = from.iter().filter(alike).copied().collect();
                // Where all callers speak the other IP version, nobody may come.
                if callers.is_empty() != from.is_empty() && places.len() > 1 {
                    continue;
                }
                all.push(Opening {
                    interface: i.name.clone(),
                    side: i.side,
                    to: to.clone(),
                    protocol,
                    ports: ports.clone(),
                    from: callers,
                    what,
                });
            }
        };
        for transport in [Transport::Udp, Transport::Tcp, Transport::Tls] {
            let own = i.listen.iter().filter(|l| l.transport == transport);
            let mut ports: Vec<(u16, u16)> = own.map(|l| (l.port, l.port)).collect();
            ports.sort_unstable();
            if !ports.is_empty() {
                let what = if transport.is_secure() { "SIP by TLS" } else { "SIP" };
                open(transport.carrier(), ports, callers(c, index, i), what);
            }
        }
        // Outside, media may come from wherever an SDP says; inside, from the phones.
        let from = if i.side == Side::Inside { i.networks.clone() } else { Vec::new() };
        open("udp", vec![c.media.ports], from, "media");
    }
    all
}

/// All that a head office has to open for its sites; a site opens nothing.
fn of_tunnel(i: &Interface, tunnel: &Tunnel) -> Vec<Opening> {
    let End::HeadOffice { listen, tcp } = tunnel.end else { return Vec::new() };
    let any = |is_ipv4| To::Following { device: None, is_ipv4 };
    let places = match listen.ip() {
        ip if !ip.is_unspecified() => vec![To::Address(ip)],
        IpAddr::V4(_) => vec![any(true)],
        // It is one for both.
        IpAddr::V6(_) => vec![any(true), any(false)],
    };
    let carriers = [Some(("udp", listen.port())), tcp.map(|at| ("tcp", at.port()))];
    let opening = |to: &To, (protocol, port)| Opening {
        interface: i.name.clone(),
        side: Side::Outside,
        to: to.clone(),
        protocol,
        ports: vec![(port, port)],
        from: Vec::new(),
        what: "tunnels",
    };
    let carriers = carriers.into_iter().flatten();
    carriers.flat_map(|carrier| places.iter().map(move |to| opening(to, carrier))).collect()
}

/// Who may begin to talk SIP to an interface; empty: anyone.
fn callers(c: &Config, index: usize, i: &Interface) -> Vec<IpNet> {
    if i.side == Side::Inside {
        return i.networks.clone();
    }
    let welcome = |r: &crate::config::Rule| {
        matches!(r.action, RuleAction::Allow(_))
            && r.side != Some(Side::Inside)
            && r.upstream.is_empty()
    };
    if c.policy.default == DefaultPolicy::Allow || c.policy.rules.iter().any(welcome) {
        return Vec::new();
    }
    let here = c.upstreams.iter().filter(|u| u.interface == index);
    let mut all: Vec<IpNet> = Vec::new();
    for u in here {
        // Who is known by proof alone comes from where it is as well.
        let fixed = u.fixed().map(|hop| IpNet::from(hop.peer.ip()));
        for one in fixed.chain(u.sources.iter().copied()) {
            if !all.contains(&one) {
                all.push(one);
            }
        }
    }
    all
}

/// `5060, 20000-20399`.
fn ranges(ports: &[(u16, u16)], dash: char, comma: &str) -> String {
    let one = |(a, b): &(u16, u16)| if a == b { a.to_string() } else { format!("{a}{dash}{b}") };
    ports.iter().map(one).collect::<Vec<_>>().join(comma)
}

fn networks(from: &[IpNet]) -> String {
    from.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn table(all: &[Opening]) -> String {
    let mut rows =
        vec![["INTERFACE", "SIDE", "ADDRESS", "", "PORTS", "FOR", "FROM"].map(String::from)];
    rows.extend(all.iter().map(|o| {
        let from = if o.from.is_empty() { "anywhere".to_owned() } else { networks(&o.from) };
        [
            o.interface.clone(),
            o.side.to_string(),
            o.to.to_string(),
            o.protocol.to_owned(),
            ranges(&o.ports, '-', ", "),
            o.what.to_owned(),
            from,
        ]
    }));
    columns(&rows)
}

/// Rows in columns of one width each.
fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        rows.iter().filter_map(|r| r.get(column)).map(|t| t.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let padded = row.iter().zip(&widths).map(|(t, w)| format!("{t:<w$}"));
        let _ = writeln!(out, "{}", padded.collect::<Vec<_>>().join("  ").trim_end());
    }
    out
}

/// What may stand in a comment of a firewall.
fn label(o: &Opening) -> String {
    let plain = |c: &char| c.is_ascii_alphanumeric() || "-_.".contains(*c);
    let name: String = o.interface.chars().filter(plain).take(40).collect();
    format!("portreeve {name} {}", o.what)
}

/// A chain to jump to; loading it again replaces it.
fn nft(all: &[Opening]) -> String {
    let mut out = "\
# Load:  portreeve ports --as nft | nft -f -
# Use:   nft insert rule inet filter input jump portreeve      (once, in the chain that drops)
table inet filter {
    chain portreeve {
    }
}
flush chain inet filter portreeve
table inet filter {
    chain portreeve {
"
    .to_owned();
    for o in all {
        let ip = if o.to.is_ipv4() { "ip" } else { "ip6" };
        let _ = match &o.to {
            To::Address(own) => write!(out, "        {ip} daddr {own} "),
            To::Following { device: Some(device), .. } => {
                write!(out, "        iifname {device:?} ")
            }
            To::Following { device: None, .. } => write!(out, "        "),
        };
        if o.from.is_empty() {
            let version = if o.to.is_ipv4() { "ipv4" } else { "ipv6" };
            if matches!(o.to, To::Following { .. }) {
                let _ = write!(out, "meta nfproto {version} ");
            }
        } else {
            let _ = write!(out, "{ip} saddr {{ {} }} ", networks(&o.from));
        }
        let ports = ranges(&o.ports, '-', ", ");
        let _ = writeln!(out, "{} dport {{ {ports} }} accept comment \"{}\"", o.protocol, label(o));
    }
    out.push_str("    }\n}\n");
    out
}

/// One command a line; ufw itself skips a rule that is already there.
fn ufw(all: &[Opening]) -> String {
    let mut out = String::new();
    for o in all {
        let any = if o.to.is_ipv4() { "0.0.0.0/0" } else { "::/0" };
        let to = match &o.to {
            To::Address(own) => own.to_string(),
            To::Following { .. } => any.to_owned(),
        };
        let from: Vec<String> = if o.from.is_empty() {
            vec![any.to_owned()]
        } else {
            o.from.iter().map(ToString::to_string).collect()
        };
        for source in from {
            let _ = writeln!(
                out,
                "ufw allow proto {} from {source} to {to} port {} comment '{}'",
                o.protocol,
                ranges(&o.ports, ':', ","),
                label(o)
            );
        }
    }
    out
}

/// Arguments of `docker run`, each port once.
fn docker(all: &[Opening]) -> String {
    let mut out = String::new();
    let mut seen = Vec::new();
    for o in all {
        for ports in &o.ports {
            if !seen.contains(&(o.protocol, *ports)) {
                seen.push((o.protocol, *ports));
                let ports = ranges(&[*ports], '-', "");
                let _ = writeln!(out, "-p {ports}:{ports}/{}", o.protocol);
            }
        }
    }
    out
}

/// Ports of a range from which on Docker's own cost is worth a word.
const MANY: usize = 100;

fn docker_advice(c: &Config) -> String {
    let mut out = String::new();
    for i in c.interfaces.iter().filter(|i| i.addresses.iter().all(|a| a.advertise.is_none())) {
        let _ = writeln!(
            out,
            "note: behind published ports, interface \"{}\" must advertise the host's address: \
             PORTREEVE__INTERFACE__{}__ADVERTISE",
            i.name,
            i.name.to_ascii_uppercase()
        );
    }
    let (first, last) = c.media.ports;
    let count = usize::from(last - first) + 1;
    if count > MANY {
        let _ = writeln!(
            out,
            "note: Docker keeps a process for each of {count} published ports: use the host's \
             network, or fewer (media.ports, limits.calls)"
        );
    }
    out
}

#[cfg(test)]
mod tests;
