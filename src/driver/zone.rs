//! Which device an address of ours is at: the kernel asks that of link-local addresses, which each
//! link has anew (RFC 4007 §6). No message names it, so the engine knows none. It sends nothing.

use crate::config::{Address, Config};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// What the kernel says of its IPv6 addresses.
const TABLE: &str = "/proc/net/if_inet6";
/// Addresses that come and go by themselves (RFC 8981), are another machine's or not known to be
/// ours yet (RFC 4862 §5.4): linux/if_addr.h.
const PASSING: u32 = 0x01 | 0x08 | 0x40;
/// One that is given up, and holds for what was begun with it (§5.5.4).
const DEPRECATED: u32 = 0x20;
/// One that no router gave, and none takes away.
const PERMANENT: u32 = 0x80;

/// An IPv6 address of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Own {
    pub(super) ip: Ipv6Addr,
    device: String,
    index: u32,
    flags: u32,
}

impl Own {
    /// One line of the kernel's table.
    fn read(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let ip = u128::from_str_radix(words.next()?, 16).ok()?;
        let mut hex = || u32::from_str_radix(words.next()?, 16).ok();
        let [index, _prefix, _scope, flags] = [hex()?, hex()?, hex()?, hex()?];
        let device = words.next()?.to_owned();
        Some(Self { ip: ip.into(), device, index, flags })
    }

    /// It may be another one soon: nobody is to be told.
    pub(super) fn is_passing(&self) -> bool {
        self.flags & PASSING != 0
    }

    pub(super) fn is_deprecated(&self) -> bool {
        self.flags & DEPRECATED != 0
    }

    pub(super) fn is_permanent(&self) -> bool {
        self.flags & PERMANENT != 0
    }
}

/// All of them; none where the kernel has no IPv6.
pub(super) fn own() -> Vec<Own> {
    let table = std::fs::read_to_string(TABLE).unwrap_or_default();
    table.lines().filter_map(Own::read).collect()
}

/// The devices of the addresses that a configuration names.
#[derive(Clone, Debug, Default)]
pub struct Zones {
    all: Vec<(IpAddr, u32)>,
}

impl Zones {
    /// As this machine has them now.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        Self::among(config, &own())
    }

    fn among(config: &Config, own: &[Own]) -> Self {
        let index = |a: &Address| {
            let named = |o: &&Own| a.zone.as_ref().is_none_or(|zone| *zone == o.device);
            let found = own.iter().filter(|o| IpAddr::V6(o.ip) == a.ip).find(named);
            found.map(|o| (a.ip, o.index))
        };
        let addresses = config.interfaces.iter().flat_map(|i| i.addresses.iter());
        Self { all: addresses.filter_map(index).collect() }
    }

    /// The device of an address of ours; 0: nobody knows, or it needs none.
    #[must_use]
    pub fn of_own(&self, own: IpAddr) -> u32 {
        self.all.iter().find(|(ip, _)| *ip == own).map_or(0, |(_, index)| *index)
    }

    /// An address of ours, as the kernel wants it to bind it.
    #[must_use]
    pub fn placed(&self, at: SocketAddr) -> SocketAddr {
        towards(at, self.of_own(at.ip()))
    }
}

/// A peer as the kernel wants it, from a socket at this device.
#[inline]
pub(crate) fn towards(peer: SocketAddr, device: u32) -> SocketAddr {
    match peer {
        SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() && v6.scope_id() == 0 => {
            SocketAddrV6::new(*v6.ip(), v6.port(), v6.flowinfo(), device).into()
        }
        SocketAddr::V4(_) | SocketAddr::V6(_) => peer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = "\
00000000000000000000000000000001 01 80 10 80       lo
20010db8001700000000000000000001 04 40 00 80     eth0
20010db80017000011112222aaaabbbb 04 40 00 01     eth0
fe800000000000000000000000000001 04 40 20 80     eth0
fe800000000000000000000000000001 07 40 20 80     eth1
fd000000000000000000000000000009 07 40 00 40     eth1
20010db8001800000000000000000001 07 40 00 20     eth1
not a line
";

    fn table() -> Vec<Own> {
        LINES.lines().filter_map(Own::read).collect()
    }

    #[test]
    fn the_kernels_table_is_read_and_what_passes_is_told_from_what_stays() {
        let all = table();
        assert_eq!(all.len(), 7);
        let passing: Vec<bool> = all.iter().map(Own::is_passing).collect();
        assert_eq!(passing, [false, false, true, false, false, true, false]);
        assert!(all[6].is_deprecated() && !all[6].is_permanent());
        assert!(all[0].is_permanent() && !all[0].is_deprecated());
        assert_eq!((all[1].ip.to_string(), all[1].index), ("2001:db8:17::1".to_owned(), 4));
    }

    #[test]
    fn a_link_local_address_is_bound_at_the_device_that_is_named_else_where_it_is() {
        let edge = include_str!("../../configs/minimal.toml");
        let zones = |address: &str| {
            let text = edge.replacen("10.17.0.1", address, 1);
            let config = Config::parse("t", &text, &crate::config::Environment::default()).unwrap();
            Zones::among(&config, &table())
        };
        let at: SocketAddr = "[fe80::1]:5060".parse().unwrap();
        for (address, index) in [("fe80::1%eth1", 7), ("fe80::1", 4), ("fe80::1%eth9", 0)] {
            let SocketAddr::V6(placed) = zones(address).placed(at) else { panic!("{at}") };
            assert_eq!((placed.scope_id(), placed.port()), (index, 5060), "{address}");
        }
        // From an address that every link knows link-local peers are reached all the same.
        let global = zones("2001:db8:17::1");
        let own: IpAddr = "2001:db8:17::1".parse().unwrap();
        let phone: SocketAddr = "[fe80::9]:5060".parse().unwrap();
        assert_eq!(towards(phone, global.of_own(own)).to_string(), "[fe80::9%4]:5060");
        for plain in ["[2001:db8::9]:5060", "10.17.0.9:5060"] {
            let plain: SocketAddr = plain.parse().unwrap();
            assert_eq!(towards(plain, 4), plain);
            assert_eq!(global.placed(plain), plain);
        }
    }
}
