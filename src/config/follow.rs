//! An outside interface that stands wherever a device stands, or the device of the default route:
//! its addresses come and go while the gateway runs. It says which of a machine's addresses may be
//! meant, and asks no kernel.

use super::reader::{Section, Source};
use crate::ground::words;
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

/// Addresses of the two IP versions, IPv4 first.
pub type Found = [Option<IpAddr>; 2];

/// Where an IP version stands in [`Found`].
#[must_use]
pub const fn version(ip: IpAddr) -> usize {
    ip.is_ipv6() as usize
}

/// Of the link alone: it is no address of the outside (RFC 3927, RFC 4291 §2.5.6).
#[must_use]
pub fn is_of_link(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

/// Whose addresses an interface has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Follow {
    /// `address = "auto"`: what this machine sends from by its default route.
    DefaultRoute,
    /// `device = "eth0"`: what this device has.
    Device(String),
}

words! {
    /// The IP versions that an interface which follows something is meant to have.
    pub enum Versions {
        /// IPv4 alone.
        V4 = "ipv4",
        /// IPv6 alone.
        V6 = "ipv6",
        /// Each that is there.
        Both = "both",
    }
}

impl Versions {
    /// An address of this version is meant.
    #[must_use]
    pub const fn has(self, ip: IpAddr) -> bool {
        match self {
            Self::V4 => ip.is_ipv4(),
            Self::V6 => ip.is_ipv6(),
            Self::Both => true,
        }
    }
}

/// The addresses of this machine, as they are now.
#[derive(Clone, Copy, Debug)]
pub struct Here<'a> {
    /// Of every device, in the order in which they are to be taken.
    pub devices: &'a BTreeMap<String, Vec<IpNet>>,
    /// Those that are given up, and hold for what was begun with them (RFC 4862 §5.5.4).
    pub deprecated: &'a BTreeSet<IpAddr>,
    /// What it sends from by its default routes.
    pub routes: Found,
}

/// An address that the machine has where an interface may stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// The address.
    pub ip: IpAddr,
    /// It is given up: it is taken where there is no other.
    pub deprecated: bool,
    /// What else its device has, where no file names the device.
    pub beside: Vec<IpAddr>,
    /// Which port that we would listen at there another program holds, in words.
    pub held: Option<String>,
}

impl Own {
    /// One that stays, alone at its device.
    #[must_use]
    pub const fn new(ip: IpAddr) -> Self {
        Self { ip, deprecated: false, beside: Vec::new(), held: None }
    }
}

impl Follow {
    /// The IP versions that are meant where the file names none. Any router of any network here can
    /// say of itself that it leads everywhere by IPv6 (RFC 4861 §6.2.3); it does so at a device
    /// that is named, too, but that is the one that is meant.
    #[must_use]
    pub const fn usual(&self) -> Versions {
        match self {
            Self::DefaultRoute => Versions::V4,
            Self::Device(_) => Versions::Both,
        }
    }

    /// The addresses that may be meant, the best first.
    #[must_use]
    pub fn look(&self, here: Here<'_>) -> Vec<Own> {
        let own = |ip: IpAddr| Own { deprecated: here.deprecated.contains(&ip), ..Own::new(ip) };
        let mut all: Vec<Own> = match self {
            Self::DefaultRoute => {
                here.routes.into_iter().flatten().flat_map(|ip| by_route(here, ip, own)).collect()
            }
            Self::Device(device) => addresses(here.devices.get(device)).map(own).collect(),
        };
        all.retain(|own| !is_of_link(own.ip));
        let is_route = |own: &Own| here.routes.contains(&Some(own.ip));
        let first = |own: &Own| *self == Self::DefaultRoute && is_route(own);
        all.sort_by_key(|own| (own.deprecated, !first(own), is_local(own.ip)));
        all
    }
}

fn addresses(nets: Option<&Vec<IpNet>>) -> impl Iterator<Item = IpAddr> {
    nets.map(Vec::as_slice).unwrap_or_default().iter().map(IpNet::addr)
}

/// Those of the device of a default route, and of its IP version.
fn by_route(here: Here<'_>, ip: IpAddr, own: impl Fn(IpAddr) -> Own) -> Vec<Own> {
    let is_there = |nets: &&Vec<IpNet>| addresses(Some(nets)).any(|other| other == ip);
    let device = here.devices.values().find(is_there);
    let all = addresses(device).filter(|other| !is_of_link(*other));
    let beside: Vec<IpAddr> = all.collect();
    if beside.is_empty() {
        return vec![own(ip)];
    }
    let same = beside.iter().filter(|other| other.is_ipv4() == ip.is_ipv4());
    same.map(|ip| Own { beside: beside.clone(), ..own(*ip) }).collect()
}

/// Of a site (RFC 4193): a provider gives another one.
fn is_local(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(v6) if v6.is_unique_local())
}

/// The best of each IP version.
#[must_use]
pub fn best(all: &[Own]) -> Found {
    let of = |v4: bool| all.iter().map(|own| own.ip).find(|ip| ip.is_ipv4() == v4);
    [of(true), of(false)]
}

impl fmt::Display for Follow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DefaultRoute => f.write_str("the default route"),
            Self::Device(device) => write!(f, "device {device}"),
        }
    }
}

/// What the file says of an interface whose addresses change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Following {
    /// Whose addresses it has.
    pub by: Follow,
    /// Which IP versions it is meant to have.
    pub versions: Versions,
    /// What others are told instead, by IP version: that stays.
    pub told: Found,
}

impl Following {
    /// Where it stands, if it stands nowhere yet.
    #[must_use]
    pub fn first(&self, here: Here<'_>) -> Found {
        best(&self.by.look(here)).map(|ip| ip.filter(|ip| self.versions.has(*ip)))
    }
}

/// `ip_version`, of an interface that follows something.
pub(super) fn versions(s: &mut Section<'_, '_>, by: &Follow, src: &mut Source<'_>) -> Versions {
    let words = Versions::ALL.map(|v| (v.as_str(), v));
    s.word("ip_version", &words, src).unwrap_or(by.usual())
}

/// The same of one whose addresses the file writes: they say it.
pub(super) fn no_versions(s: &mut Section<'_, '_>, src: &mut Source<'_>) {
    if s.has("ip_version") {
        let what = "`ip_version` is of an outside interface that follows a device or \"auto\"";
        let hint = "leave it out: written addresses say of which IP version they are".to_owned();
        src.fault("address", s.span_of("ip_version"), what, Some(hint));
        s.string("ip_version", src);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nets(all: &[&str]) -> Vec<IpNet> {
        all.iter().map(|n| n.parse().unwrap()).collect()
    }

    fn ips(all: &[Own]) -> Vec<String> {
        all.iter().map(|own| own.ip.to_string()).collect()
    }

    #[test]
    fn what_a_provider_gives_comes_first_what_is_given_up_last_and_nothing_is_of_the_link() {
        let eth0 = nets(&[
            "169.254.1.1/16",
            "192.0.2.7/24",
            "192.0.2.8/24",
            "fe80::1/64",
            "2001:db8::9/64",
            "fd00::7/64",
            "2001:db8::7/64",
        ]);
        let devices =
            BTreeMap::from([("eth0".to_owned(), eth0), ("eth1".to_owned(), nets(&["fe80::1/64"]))]);
        let deprecated = BTreeSet::from(["2001:db8::9".parse().unwrap()]);
        let here = Here { devices: &devices, deprecated: &deprecated, routes: [None; 2] };
        let device = |name: &str| ips(&Follow::Device(name.to_owned()).look(here));
        let want = ["192.0.2.7", "192.0.2.8", "2001:db8::7", "fd00::7", "2001:db8::9"];
        assert_eq!(device("eth0"), want);
        assert_eq!(device("eth1"), [""; 0]);
        assert_eq!(device("ppp0"), [""; 0], "a device that is not here");
    }

    #[test]
    fn by_the_default_route_the_address_of_the_route_comes_first_and_its_device_is_known() {
        let devices = BTreeMap::from([
            ("lan".to_owned(), nets(&["10.17.0.1/24", "2001:db8:bad::1/64"])),
            ("wan".to_owned(), nets(&["192.0.2.7/24", "192.0.2.9/24"])),
        ]);
        let found = |v4: &str, v6: &str| [v4, v6].map(|text| text.parse().ok());
        let look = |v4: &str, v6: &str| {
            let (deprecated, routes) = (BTreeSet::new(), found(v4, v6));
            Follow::DefaultRoute.look(Here { devices: &devices, deprecated: &deprecated, routes })
        };
        let all = look("192.0.2.9", "2001:db8:bad::1");
        assert_eq!(ips(&all), ["192.0.2.9", "2001:db8:bad::1", "192.0.2.7"]);
        assert!(all[1].beside.contains(&"10.17.0.1".parse().unwrap()));
        assert!(!all[0].beside.contains(&"10.17.0.1".parse().unwrap()));
        assert_eq!(ips(&look("192.0.2.9", "fe80::1")), ["192.0.2.9", "192.0.2.7"]);
        assert_eq!(ips(&look("198.51.100.1", "")), ["198.51.100.1"], "a device that is gone since");
        let usual = [Follow::DefaultRoute.usual(), Follow::Device("wan".to_owned()).usual()];
        assert_eq!(usual, [Versions::V4, Versions::Both]);
    }
}
