//! Where a storm passes: the site that a seed draws, and what DNS says of its PBX.

use super::super::talker::Dice;
use super::super::{Lab, Ua, site};
use crate::upstream_names::Dns;
use portreeve::config::{Config, Own, SurviveAuth};
use portreeve::engine::digest::Users;
use portreeve::engine::names::{Question, Record};
use portreeve::ground::{Side, Transport};
use std::net::{IpAddr, SocketAddr};

/// The gateway's addresses of IPv6.
pub(crate) const GATE6_INSIDE: &str = "2001:db8:17::1";
/// … and outside.
pub(crate) const GATE6_OUTSIDE: &str = "2001:db8:cafe::1";
/// Where the outside stands in turn, if it follows a device: by IP version.
pub(super) const GATES: [[&str; 3]; 2] = [
    ["203.0.113.177", "203.0.113.178", "198.51.100.177"],
    ["2001:db8:cafe::177", "2001:db8:cafe::178", "2001:db8:beef::177"],
];
/// What the certificate of the PBX says where it calls.
pub(super) const PROVED: &str = "sip.example.net";

/// What is drawn of a site.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// How the PBX is spoken to.
    pub(super) by: Transport,
    /// Phones speak by TLS.
    tls: bool,
    /// The PBX proves itself by a certificate where it calls.
    pub(super) proof: bool,
    /// Both IP versions.
    six: bool,
    survive: SurviveAuth,
    /// An upstream for emergencies.
    trunk_helps: bool,
    /// The outside stands where a device does.
    pub(super) follows: bool,
}

impl Place {
    /// With adversaries about, the PBX is spoken to by UDP: one of them speaks from there.
    pub(super) fn draw(dice: &mut Dice, foes: bool) -> Self {
        let all = [Transport::Udp, Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Tls];
        let by = if foes { Transport::Udp } else { dice.pick(&all) };
        let modes = [SurviveAuth::Network, SurviveAuth::Network, SurviveAuth::Users];
        let survive = if dice.percent(15) { SurviveAuth::Off } else { dice.pick(&modes) };
        Self {
            by,
            tls: by.is_secure() || dice.percent(30),
            proof: by.is_secure() && dice.percent(60),
            six: dice.percent(40),
            survive,
            trunk_helps: !foes && dice.percent(30),
            follows: dice.percent(40),
        }
    }

    /// What the machine has where the outside stands, in its place of so many.
    pub(super) fn own(self, at: usize) -> Vec<Own> {
        let versions = if self.six { 2 } else { 1 };
        let ips = GATES.iter().take(versions).map(|gates| gates[at]);
        ips.map(|ip| Own::new(ip.parse().expect("an address"))).collect()
    }

    /// All that the outside ever has; none: it stands still.
    pub(super) fn gates(self) -> Vec<IpAddr> {
        let all = GATES.iter().flatten().filter(|_| self.follows);
        all.map(|ip| ip.parse().expect("an address")).collect()
    }

    /// The file.
    pub(super) fn config(self) -> Config {
        let mut text = super::FILE.to_owned();
        let mut put = |from: &str, to: &str| {
            assert!(text.contains(from), "{from}");
            text = text.replace(from, to);
        };
        let address = match self.by {
            Transport::Udp => "sip.example.net",
            Transport::Tcp => "sip:sip.example.net;transport=tcp",
            Transport::Tls => "sips:sip.example.net",
        };
        put("\"sip.example.net\"", &format!("\"{address}\""));
        if self.follows {
            put("address = \"203.0.113.1\"", "device = \"wan0\"");
            put("probe =", "interface = \"wan\"\nprobe =");
        }
        if self.tls {
            put("\"tcp:5060\"]", "\"tcp:5060\", \"tls:5061\"]\ntls = \"self-signed\"");
        }
        if self.proof {
            put("domain = \"pbx", &format!("tls_subject = [\"{PROVED}\"]\ndomain = \"pbx"));
        }
        if self.six {
            put("\"10.17.0.1\"", &format!("[\"10.17.0.1\", \"{GATE6_INSIDE}\"]"));
            put("[\"10.17.0.0/16\"]", "[\"10.17.0.0/16\", \"2001:db8:17::/64\"]");
        }
        if self.six && !self.follows {
            put("\"203.0.113.1\"", &format!("[\"203.0.113.1\", \"{GATE6_OUTSIDE}\"]"));
        }
        let auth = self.survive.as_str();
        let users = if self.survive == SurviveAuth::Users { "users = \"/unread\"\n" } else { "" };
        text.push_str(&format!("[survive]\nauth = \"{auth}\"\n{users}"));
        if self.trunk_helps {
            text.push_str("[emergency]\nupstream = \"trunk\"\n");
        }
        site::parse(&text)
    }

    pub(super) fn users(self) -> Users {
        Users::Shared { password: site::PASSWORD.to_owned() }
    }

    /// Where the PBX may be.
    pub(super) fn hosts(self) -> [SocketAddr; 3] {
        let port = self.by.port();
        let third = if self.six { "2001:db8:cafe::33" } else { "203.0.113.33" };
        let at = |ip: &str| SocketAddr::new(ip.parse().expect("an address"), port);
        [at("203.0.113.31"), at("203.0.113.32"), at(third)]
    }

    /// Its host as a party.
    pub(super) fn host(self, lab: &Lab, at: SocketAddr) -> Ua {
        let at = at.to_string();
        match self.by {
            Transport::Udp => Ua::new(lab.outside(&at), "200"),
            by @ (Transport::Tcp | Transport::Tls) => {
                Ua::new(lab.by_stream(Side::Outside, by, &at), "200")
            }
        }
    }

    /// Phones besides those that every site has; some of these speak IPv6.
    pub(super) fn phones(self, lab: &Lab, dice: &mut Dice, phones: &mut Vec<Ua>) {
        if self.six {
            for phone in phones.iter_mut().filter(|p| matches!(p.user.as_str(), "102" | "103")) {
                *phone = lab.phone(&phone.user, &format!("[2001:db8:17::{}]:5060", phone.user));
            }
        }
        let ips = ["10.17.0.25", "[2001:db8:17::26]"];
        let more = if self.tls { 1 + usize::from(self.six) } else { 0 };
        for (user, ip) in ["105", "106"].iter().zip(ips).take(more) {
            let at = lab.by_stream(Side::Inside, Transport::Tls, &format!("{ip}:41000"));
            let mut phone = Ua::new(at, user);
            phone.secure = self.by.is_secure() && dice.percent(60);
            phones.push(phone);
        }
    }

    /// Names of the PBX that stand for these hosts.
    pub(super) fn zone(self, hosts: &[SocketAddr]) -> Dns {
        let mut dns = Dns { ttl: 20, ..Dns::default() };
        let name = |n: usize| format!("host{n}.example.net");
        let service = match self.by {
            Transport::Udp => "_sip._udp",
            Transport::Tcp => "_sip._tcp",
            Transport::Tls => "_sips._tcp",
        };
        let srv = |(n, at): (usize, &SocketAddr)| {
            let (priority, weight) = (10, 1);
            Record::Srv { priority, weight, port: at.port(), target: name(n) }
        };
        let all = hosts.iter().enumerate().map(srv).collect();
        dns.records.insert(Question::Srv(format!("{service}.sip.example.net")), all);
        for (n, at) in hosts.iter().enumerate() {
            dns.records.insert(Question::Hosts(name(n)), vec![Record::Address(at.ip())]);
        }
        dns
    }

    /// What else the file may name as the PBX.
    pub(super) fn other_targets(self) -> [&'static str; 3] {
        match self.by {
            Transport::Udp => ["203.0.113.32:5060", "host1.example.net", "sip.example.net"],
            Transport::Tcp => [
                "sip:203.0.113.32;transport=tcp",
                "sip:host1.example.net:5060;transport=tcp",
                "sip:sip.example.net;transport=tcp",
            ],
            Transport::Tls => {
                ["sips:203.0.113.32", "sips:host1.example.net:5061", "sips:sip.example.net"]
            }
        }
    }
}
