//! An outside interface that stands wherever a device stands, or the device of the default route:
//! its addresses come and go while the gateway runs. It says which of a machine's addresses are
//! meant, and asks no kernel.

use std::collections::BTreeMap;
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
    /// `address = "auto"`: what this machine sends from by its default route, in each IP version.
    DefaultRoute,
    /// `device = "eth0"`: the first of each IP version that this device has.
    Device(String),
}

impl Follow {
    /// The addresses that are meant, of those that this machine has now. `routes`: what it sends
    /// from by its default routes.
    #[must_use]
    pub fn look(&self, devices: &BTreeMap<String, Vec<ipnet::IpNet>>, routes: Found) -> Found {
        match self {
            Self::DefaultRoute => routes.map(|ip| ip.filter(|ip| !is_of_link(*ip))),
            Self::Device(device) => {
                let nets = devices.get(device).map(Vec::as_slice).unwrap_or_default();
                let all = || nets.iter().map(ipnet::IpNet::addr).filter(|ip| !is_of_link(*ip));
                [all().find(IpAddr::is_ipv4), all().find(IpAddr::is_ipv6)]
            }
        }
    }
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
    /// What others are told instead, by IP version: that stays.
    pub told: Found,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(v4: &str, v6: &str) -> Found {
        [v4, v6].map(|text| text.parse().ok())
    }

    #[test]
    fn the_first_address_of_each_version_is_meant_and_none_of_the_link() {
        let nets = |all: &[&str]| all.iter().map(|n| n.parse().unwrap()).collect();
        let devices = BTreeMap::from([
            (
                "eth0".to_owned(),
                nets(&[
                    "169.254.1.1/16",
                    "192.0.2.7/24",
                    "192.0.2.8/24",
                    "fe80::1/64",
                    "2001:db8::7/64",
                ]),
            ),
            ("eth1".to_owned(), nets(&["fe80::1/64"])),
        ]);
        let device = |name: &str| Follow::Device(name.to_owned()).look(&devices, [None; 2]);
        assert_eq!(device("eth0"), found("192.0.2.7", "2001:db8::7"));
        assert_eq!(device("eth1"), [None; 2]);
        assert_eq!(device("ppp0"), [None; 2], "a device that is not here");
        let routes = |v4: &str, v6: &str| Follow::DefaultRoute.look(&devices, found(v4, v6));
        assert_eq!(routes("192.0.2.9", "fe80::1"), found("192.0.2.9", ""));
    }
}
