//! What is right as written and yet hardly meant: told at the start, by `config check` and by
//! `status`, before it is a call that shows it. What can never work is a fault, and stands in
//! `checks`.

use super::{Config, End, Follow, Interface, Upstream};
use crate::ground::Side;
use ipnet::IpNet;

/// Networks that are a site's own (RFC 1918, RFC 6598, RFC 4193), however wide.
const PRIVATE: [&str; 7] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "fc00::/7",
    "fe80::/10",
];

impl Config {
    /// Every doubt, a sentence each.
    #[must_use]
    pub fn doubts(&self) -> Vec<String> {
        let others = self.loopback().into_iter().chain(self.no_trunk()).chain(self.never_banned());
        others.chain(self.unproved()).chain(self.away()).chain(self.uncalled()).collect()
    }

    /// Tunnels whose other end has no key here, nor any other that comes by the same port.
    fn uncalled(&self) -> impl Iterator<Item = String> {
        let all = || self.interfaces.iter().filter_map(|i| i.link.tunnel());
        let is_called = move |end: &End| all().any(|t| t.end == *end && t.peer.is_some());
        let is_of = move |i: &&Interface| {
            i.link.tunnel().is_some_and(|t| t.peer.is_none() && !is_called(&t.end))
        };
        self.interfaces.iter().filter(is_of).map(|i| {
            format!(
                "nobody may come by tunnel {}: [[peer]] with name and key lets a site in, as \
                 `portreeve tunnel keygen` prints it there",
                i.name
            )
        })
    }

    /// Interfaces without an address: what they follow has none, or is not here.
    fn away(&self) -> impl Iterator<Item = String> {
        let away = self.interfaces.iter().filter(|i| i.addresses.are_away());
        away.filter_map(|i| {
            let by = &i.addresses.following()?.by;
            let what = match by {
                Follow::DefaultRoute => "there is no default route now".to_owned(),
                Follow::Device(_) => format!("{by} has none now, or is not here"),
            };
            let name = &i.name;
            Some(format!("interface {name} has no address: {what}; it waits for one"))
        })
    }

    /// True when no phone of another machine can reach this: every inside address is loopback.
    #[must_use]
    pub fn is_loopback_only(&self) -> bool {
        let mut inside = self.interfaces.iter().filter(|i| i.side == Side::Inside);
        inside.all(|i| i.addresses.iter().all(|a| a.ip.is_loopback()))
    }

    fn loopback(&self) -> Option<String> {
        let inside = self.interfaces.iter().find(|i| i.side == Side::Inside)?;
        let pick = if self.is_site() { "--listen ADDRESS" } else { "its `address`" };
        self.is_loopback_only().then(|| {
            format!(
                "loopback only ({}): no phone on another machine can reach this; {pick} changes it",
                inside.addresses.listed()
            )
        })
    }

    /// Bans are wanted, and half of the Internet is a network of phones, where nobody is banned.
    fn never_banned(&self) -> Option<String> {
        let inside = self.interfaces.iter().filter(|i| i.side == Side::Inside);
        let wide = inside.flat_map(|i| &i.networks).find(|n| is_wide(n));
        wide.filter(|_| self.bans.enabled).map(|network| {
            format!("bans: nobody in {network} is ever banned, for it is a network of phones")
        })
    }

    /// Upstreams that have to prove themselves by TLS where we call them, and not where they call.
    fn unproved(&self) -> impl Iterator<Item = String> + '_ {
        let listed = |u: &&Upstream| u.is_tls_alone() && !u.sources.is_empty();
        self.upstreams.iter().filter(listed).map(|u| {
            let all: Vec<String> = u.sources.iter().map(ToString::to_string).collect();
            let (name, all) = (&u.name, all.join(", "));
            format!(
                "upstream \"{name}\" is reached by TLS alone, and yet who sends from {all} is \
                 taken for it without a proof; `tls_subject` asks for one"
            )
        })
    }

    /// Emergency numbers that nobody takes.
    fn no_trunk(&self) -> Option<String> {
        let numbers = self.policy.emergency.join(", ");
        let nobody =
            self.is_site() && !numbers.is_empty() && self.policy.emergency_target.is_none();
        nobody.then(|| {
            format!(
                "no trunk: {numbers} reach nobody; emergency.target = \"101\" would ring that phone"
            )
        })
    }
}

/// More than one office of public addresses: wider than a /24, or a /48 of IPv6.
fn is_wide(network: &IpNet) -> bool {
    let within = |private: &str| private.parse::<IpNet>().is_ok_and(|p| p.contains(network));
    let office = if network.network().is_ipv4() { 24 } else { 48 };
    network.prefix_len() < office && !PRIVATE.iter().any(|private| within(private))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    #[test]
    fn loopback_alone_is_told_and_chosen_addresses_are_not() {
        let site = |ip: &str| Config::site(ip.parse::<IpAddr>().unwrap(), &[], "x");
        let told = site("127.0.0.1").doubts().concat();
        assert!(told.starts_with("loopback only (127.0.0.1): no phone"), "{told}");
        assert!(told.contains("--listen ADDRESS"), "{told}");
        let reachable = site("192.168.1.10").doubts().concat();
        assert!(!reachable.contains("loopback"), "{reachable}");
    }

    #[test]
    fn bans_that_never_act_are_told() {
        let mut c = Config::site("192.168.1.10".parse().unwrap(), &[], "x");
        c.policy.emergency.clear();
        c.bans.enabled = true;
        for (network, told) in [
            ("0.0.0.0/0", true),
            ("::/0", true),
            ("198.51.0.0/16", true),
            ("2001:db8::/32", true),
            ("0.0.0.0/4", true),
            ("198.51.100.0/24", false),
            ("10.0.0.0/8", false),
            ("fd00::/8", false),
        ] {
            c.interfaces[0].networks = vec![network.parse().unwrap()];
            let all = c.doubts().concat();
            assert_eq!(all.starts_with(&format!("bans: nobody in {network} ")), told, "{all}");
        }
        c.interfaces[0].networks = vec!["0.0.0.0/0".parse().unwrap()];
        c.bans.enabled = false;
        assert_eq!(c.doubts(), [""; 0]);
    }

    #[test]
    fn sources_of_who_has_to_prove_himself_are_told() {
        let text = include_str!("../../configs/minimal.toml");
        let mut c = Config::parse("x", text, &crate::config::Environment::default()).unwrap();
        let u = &mut c.upstreams[0];
        u.sources = vec!["198.51.100.0/28".parse().unwrap()];
        assert_eq!(c.doubts(), [""; 0], "by UDP there is nothing else to know it by");
        c.upstreams[0].targets = vec![crate::config::Target::parse("sips:198.51.100.2").unwrap()];
        let told = c.doubts().concat();
        assert!(told.contains("who sends from 198.51.100.0/28 is taken for it"), "{told}");
        c.upstreams[0].sources.clear();
        assert_eq!(c.doubts(), [""; 0]);
    }

    #[test]
    fn emergency_numbers_that_reach_nobody_are_told() {
        let mut c = Config::site("192.168.1.10".parse().unwrap(), &[], "x");
        let told = c.doubts().concat();
        assert!(told.starts_with("no trunk: 112, 911, 999, 110 reach nobody"), "{told}");
        c.policy.emergency_target = Some("101".to_owned());
        assert_eq!(c.doubts(), [""; 0], "a phone gets them");
        c.policy.emergency_target = None;
        c.policy.emergency.clear();
        assert_eq!(c.doubts(), [""; 0], "there are none here");
    }
}
