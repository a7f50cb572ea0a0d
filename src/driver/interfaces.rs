//! This machine's addresses, and the descriptors it may open.

use super::zone;
use crate::config::{Found, Here, is_of_link};
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// What stands behind the device of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// A network where phones may be.
    Network,
    /// One other machine: a tunnel or a modem.
    Peer,
    /// Containers and virtual machines of this host, or the host itself.
    Host,
    /// Nothing: the device is switched off.
    Down,
}

/// An address of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// The device that has it.
    pub device: String,
    /// The address, with its prefix length.
    pub net: IpNet,
    /// What is behind the device.
    pub link: Link,
}

impl Attached {
    /// The address alone.
    #[must_use]
    pub fn ip(&self) -> IpAddr {
        self.net.addr()
    }
}

/// The addresses of this machine that stay, as they are now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Of every device, with prefix lengths, in the order in which they are to be taken: of IPv6
    /// those that no router gave before others, what was there before what came later (the kernel
    /// lists it the other way round), what is given up last.
    pub devices: BTreeMap<String, Vec<IpNet>>,
    /// Those that are given up.
    pub deprecated: BTreeSet<IpAddr>,
    /// What it sends from by its default routes.
    pub routes: Found,
}

impl Machine {
    /// Asks the kernel.
    #[must_use]
    pub fn look() -> Self {
        let (mut machine, own) = (Self::default(), zone::own());
        let known = |ip: IpAddr| own.iter().find(|own| IpAddr::V6(own.ip) == ip);
        let mut all = attached();
        all.retain(|a| known(a.ip()).is_none_or(|own| !own.is_passing()));
        for a in &all {
            if known(a.ip()).is_some_and(zone::Own::is_deprecated) {
                machine.deprecated.insert(a.ip());
            }
        }
        let is_given = |ip: IpAddr| known(ip).is_none_or(|own| !own.is_permanent());
        let (v4, mut v6): (Vec<Attached>, Vec<Attached>) =
            all.into_iter().partition(|a| a.ip().is_ipv4());
        v6.reverse();
        v6.sort_by_key(|a| (machine.deprecated.contains(&a.ip()), is_given(a.ip())));
        for a in v4.into_iter().chain(v6) {
            machine.devices.entry(a.device).or_default().push(a.net);
        }
        machine.routes = [default_source(), machine.default_source_v6()];
        machine
    }

    /// The same, for who chooses among them.
    #[must_use]
    pub fn here(&self) -> Here<'_> {
        Here { devices: &self.devices, deprecated: &self.deprecated, routes: self.routes }
    }

    /// By the default route of IPv6: what the kernel sends from there (the route may say it), if
    /// that stays; else an address of the same network, or of its device.
    fn default_source_v6(&self) -> Option<IpAddr> {
        let table = std::fs::read_to_string("/proc/net/ipv6_route").unwrap_or_default();
        let device = self.devices.get(default_device(&table)?)?;
        let all = || device.iter().filter(|n| n.addr().is_ipv6() && !is_of_link(n.addr()));
        let sends = source_towards(beyond_v6(&table));
        let same = |sends: IpAddr| all().find(|n| n.addr() == sends);
        let beside = |sends: IpAddr| all().find(|n| n.contains(&sends));
        let known = sends.and_then(|ip| same(ip).or_else(|| beside(ip)));
        known.or_else(|| all().next()).map(IpNet::addr)
    }
}

/// Every address of this machine, in the kernel's order.
#[must_use]
#[expect(unsafe_code, reason = "getifaddrs has no safe form in the standard library")]
pub fn attached() -> Vec<Attached> {
    let mut all = Vec::new();
    let mut head: *mut libc::ifaddrs = std::ptr::null_mut();
    // SAFETY: getifaddrs writes one pointer, checked below; the list is freed once, after use.
    if unsafe { libc::getifaddrs(&raw mut head) } != 0 {
        return all;
    }
    let mut at = head;
    while !at.is_null() {
        // SAFETY: `at` is a node of the list that getifaddrs made and nobody has freed.
        let node = unsafe { &*at };
        at = node.ifa_next;
        if node.ifa_addr.is_null() || node.ifa_name.is_null() {
            continue;
        }
        // SAFETY: ifa_name is a NUL-terminated string that lives as long as the list.
        let name = unsafe { std::ffi::CStr::from_ptr(node.ifa_name) };
        // SAFETY: both point to socket addresses (the mask may be null) owned by the list.
        if let Some(net) = unsafe { network(node.ifa_addr, node.ifa_netmask) } {
            let device = name.to_string_lossy().into_owned();
            let link = link(&device, node.ifa_flags);
            all.push(Attached { device, net, link });
        }
    }
    // SAFETY: `head` came from getifaddrs and is not used afterwards.
    unsafe { libc::freeifaddrs(head) };
    all
}

/// Bridges that container engines and hypervisors make for themselves.
const OWN_BRIDGES: [&str; 6] = ["docker", "podman", "cni", "virbr", "lxcbr", "lxdbr"];

/// Reads a device's name and flags (netdevice(7)).
fn link(device: &str, flags: libc::c_uint) -> Link {
    let has = |flag: libc::c_int| flags & flag.unsigned_abs() != 0;
    // `br-lan` is a router's; an engine's network has twelve hexadecimal digits for a name.
    let digits = |r: &str| r.len() == 12 && r.bytes().all(|b| b.is_ascii_hexdigit());
    let by_engine = OWN_BRIDGES.iter().any(|p| device.starts_with(p))
        || device.strip_prefix("br-").is_some_and(digits);
    if !has(libc::IFF_UP) {
        Link::Down
    } else if has(libc::IFF_LOOPBACK) || by_engine {
        Link::Host
    } else if has(libc::IFF_POINTOPOINT) {
        Link::Peer
    } else {
        Link::Network
    }
}

/// Reads an address with its mask.
///
/// # Safety
/// `address` points to a socket address; `mask` too, or is null.
#[expect(unsafe_code, reason = "socket addresses of the C library")]
unsafe fn network(address: *const libc::sockaddr, mask: *const libc::sockaddr) -> Option<IpNet> {
    // SAFETY: by this function's contract.
    let ip = unsafe { ip(address) }?;
    let prefix = if mask.is_null() {
        if ip.is_ipv4() { 32 } else { 128 }
    } else {
        // SAFETY: by this function's contract; the mask has its address's family.
        match unsafe { self::ip(mask) } {
            Some(IpAddr::V4(m)) => u32::from(m).leading_ones(),
            Some(IpAddr::V6(m)) => u128::from(m).leading_ones(),
            None if ip.is_ipv4() => 32,
            None => 128,
        }
    };
    IpNet::new(ip, u8::try_from(prefix).ok()?).ok()
}

/// Reads an address.
///
/// # Safety
/// `address` points to a socket address of the family that it names.
#[expect(unsafe_code, reason = "socket addresses of the C library")]
unsafe fn ip(address: *const libc::sockaddr) -> Option<IpAddr> {
    // SAFETY: by this function's contract every socket address begins with its family.
    match i32::from(unsafe { (*address).sa_family }) {
        libc::AF_INET => {
            // SAFETY: the family says that it is a sockaddr_in.
            let v4 = unsafe { &*address.cast::<libc::sockaddr_in>() };
            Some(IpAddr::V4(Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr))))
        }
        libc::AF_INET6 => {
            // SAFETY: the family says that it is a sockaddr_in6.
            let v6 = unsafe { &*address.cast::<libc::sockaddr_in6>() };
            Some(IpAddr::V6(Ipv6Addr::from(v6.sin6_addr.s6_addr)))
        }
        _ => None,
    }
}

/// The device of the best default route in this table (as in /proc/net/ipv6_route).
fn default_device(table: &str) -> Option<&str> {
    let routes = table.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [to, length, .., device] = words.as_slice() else { return None };
        let metric = u32::from_str_radix(words.get(5)?, 16).ok()?;
        let is_default = *length == "00" && to.bytes().all(|b| b == b'0') && *device != "lo";
        is_default.then_some((metric, *device))
    });
    routes.min().map(|(_, device)| device)
}

/// The source address of the default route; `None` without one.
#[must_use]
pub fn default_source() -> Option<IpAddr> {
    let far = beyond(&std::fs::read_to_string("/proc/net/route").ok()?)?;
    source_towards(IpAddr::V4(far))
}

/// What the kernel would send from to there. No packet is sent to find it.
fn source_towards(far: IpAddr) -> Option<IpAddr> {
    let any = if far.is_ipv4() { IpAddr::from([0; 4]) } else { IpAddr::from([0; 16]) };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).ok()?;
    socket.connect(SocketAddr::new(far, 9)).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_unspecified()).then_some(ip)
}

/// An address of IPv6 that, as far as this table goes (as in /proc/net/ipv6_route), only the
/// default route leads to.
fn beyond_v6(table: &str) -> IpAddr {
    let is_attached = |ip: &Ipv6Addr| {
        table.lines().any(|line| {
            let mut words = line.split_ascii_whitespace();
            let to = words.next().and_then(|to| u128::from_str_radix(to, 16).ok());
            let length = words.next().and_then(|n| u32::from_str_radix(n, 16).ok());
            let Some((to, length @ 1..=128)) = to.zip(length) else { return false };
            (to ^ u128::from(*ip)) >> (128 - length) == 0
        })
    };
    // Documentation networks first: nobody lives there, though a laboratory may.
    let far = [[0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1], [0x3fff, 0xfff, 0, 0, 0, 0, 0, 1]];
    let far = far.into_iter().chain([[0x2620, 0xfe, 0, 0, 0, 0, 0, 0xfe]]).map(Ipv6Addr::from);
    let mut far = far.into_iter().peekable();
    let first = far.peek().copied().unwrap_or(Ipv6Addr::UNSPECIFIED);
    IpAddr::V6(far.find(|ip| !is_attached(ip)).unwrap_or(first))
}

/// An address that only the default route of this table (as in /proc/net/route) leads to.
fn beyond(table: &str) -> Option<Ipv4Addr> {
    let hex = |word: &str| u32::from_str_radix(word, 16).ok().map(u32::swap_bytes);
    let routes: Vec<(u32, u32)> = table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            Some((hex(words.get(1)?)?, hex(words.get(7)?)?))
        })
        .collect();
    // Tunnels write the default route as two halves, to stand before the one that is there.
    let is_default = |mask: u32| mask.leading_ones() <= 1;
    if !routes.iter().any(|(_, mask)| is_default(*mask)) {
        return None;
    }
    let attached = |ip: Ipv4Addr| {
        let within = |(net, mask): &(u32, u32)| u32::from(ip) & mask == *net && !is_default(*mask);
        routes.iter().any(within)
    };
    // Documentation networks first: nobody lives there, though a laboratory may.
    let far = [[192, 0, 2, 1], [198, 51, 100, 1], [203, 0, 113, 1], [240, 0, 0, 1], [9, 9, 9, 9]];
    far.map(Ipv4Addr::from).into_iter().find(|ip| !attached(*ip))
}

/// Raises the limit of open files to `want`, or as far as allowed; the limit now.
#[must_use]
pub fn raise_open_files(want: u64) -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let now = getrlimit(Resource::Nofile);
    let current = now.current.unwrap_or(u64::MAX);
    if current >= want {
        return current;
    }
    let ceiling = now.maximum.unwrap_or(u64::MAX);
    // Root may raise the ceiling too.
    let tries = [(want, ceiling.max(want)), (want.min(ceiling), ceiling)];
    for (soft, hard) in tries {
        let limit = Rlimit { current: Some(soft), maximum: Some(hard) };
        if setrlimit(Resource::Nofile, limit).is_ok() {
            return soft;
        }
    }
    current
}

/// How many files a process may open: now, and as far as it may raise that itself.
#[must_use]
pub fn open_files() -> (u64, u64) {
    let now = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    (now.current.unwrap_or(u64::MAX), now.maximum.unwrap_or(u64::MAX))
}

/// Whether a device that is up has a link behind it; `None`: the kernel does not tell.
#[must_use]
pub fn has_carrier(device: &str) -> Option<bool> {
    // A name of the kernel's, and no path.
    let device = Some(device).filter(|d| !d.contains('/') && !d.starts_with('.'))?;
    let said = std::fs::read_to_string(format!("/sys/class/net/{device}/carrier")).ok()?;
    Some(said.trim() != "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_told_by_its_name_and_flags() {
        let up = libc::IFF_UP.unsigned_abs();
        let peer = up | libc::IFF_POINTOPOINT.unsigned_abs();
        let own = up | libc::IFF_LOOPBACK.unsigned_abs();
        for (device, flags, want) in [
            ("eth0", up, Link::Network),
            ("eth0", 0, Link::Down),
            ("docker0", up, Link::Host),
            ("br-0123456789ab", up, Link::Host),
            ("br-lan", up, Link::Network),
            ("vmbr0", up, Link::Network),
            ("virbr0", up, Link::Host),
            ("wg0", peer, Link::Peer),
            ("lo", own, Link::Host),
        ] {
            assert_eq!(link(device, flags), want, "{device} {flags:x}");
        }
        let lo = attached().into_iter().find(|a| a.ip().is_loopback());
        assert!(lo.is_none_or(|a| a.link != Link::Network), "loopback is no network");
    }

    #[test]
    fn the_way_to_the_default_route_of_ipv6_is_asked_beyond_attached_networks() {
        let row = |to: &str, length: &str| format!("{to} {length} 00 00 00 00000100 1 0 3 eth0\n");
        let ask = |rows: &[String]| beyond_v6(&rows.concat()).to_string();
        let default = row("00000000000000000000000000000000", "00");
        assert_eq!(ask(std::slice::from_ref(&default)), "2001:db8:ffff::1");
        let lab = row("20010db8000000000000000000000000", "20");
        assert_eq!(ask(&[default, lab, "x\n".to_owned()]), "3fff:fff::1");
    }

    const HEAD: &str = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n";

    #[test]
    fn the_default_route_of_ipv6_is_the_best_one_of_a_device() {
        let zero = "00000000000000000000000000000000";
        let route = |to: &str, length: &str, metric: &str, device: &str| {
            format!(
                "{to} {length} {zero} 00 {zero} {metric} 00000001 00000000 00000003     {device}\n"
            )
        };
        let own = route("20010db8001700000000000000000000", "40", "00000100", "eth0");
        let none = route(zero, "00", "ffffffff", "lo");
        let slow = route(zero, "00", "00000400", "wwan0");
        let fast = route(zero, "00", "00000100", "ppp0");
        let ask = |rows: &[&str]| default_device(&rows.concat()).map(str::to_owned);
        assert_eq!(ask(&[&own, &none]), None);
        assert_eq!(ask(&[&slow, &none]).as_deref(), Some("wwan0"));
        assert_eq!(ask(&[&own, &slow, &fast, "x\n"]).as_deref(), Some("ppp0"));
    }

    #[test]
    fn the_way_to_the_default_route_is_asked_beyond_attached_networks() {
        let lan = "eth0 0011110A 00000000 0001 0 0 0 00FFFFFF 0 0 0\n";
        let default = "eth0 00000000 0111110A 0003 0 0 0 00000000 0 0 0\n";
        let lab = "eth1 000200C0 00000000 0001 0 0 0 00FFFFFF 0 0 0\n";
        let half = "tun0 00000000 0100080A 0003 0 0 0 00000080 0 0 0\n";
        let ask = |rows: &[&str]| beyond(&(HEAD.to_owned() + &rows.concat()));
        assert_eq!(ask(&[]), None);
        assert_eq!(ask(&[lan, lab]), None, "attached networks are no default route");
        assert_eq!(ask(&[default, lan]), Some(Ipv4Addr::new(192, 0, 2, 1)));
        assert_eq!(ask(&[default, lan, lab]), Some(Ipv4Addr::new(198, 51, 100, 1)));
        assert_eq!(ask(&[half]), Some(Ipv4Addr::new(192, 0, 2, 1)));
    }
}
