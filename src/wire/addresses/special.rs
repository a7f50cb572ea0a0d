//! Addresses that mean something within a site only.

use std::net::IpAddr;

/// Private (RFC 1918), carrier-grade NAT (RFC 6598), DS-Lite (RFC 6333), link-local, loopback,
/// unique local (RFC 4193) and site-local (RFC 3879) addresses. Who writes one outside tells how
/// the inside is made.
#[must_use]
pub fn is_local(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            v4.is_private()
                || v4.is_link_local()
                || v4.is_loopback()
                || (a == 100 && (64..128).contains(&b))
                || [a, b, c] == [192, 0, 0]
        }
        IpAddr::V6(v6) => {
            let site_local = v6.segments().first().is_some_and(|s| s & 0xffc0 == 0xfec0);
            v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local() || site_local
        }
    }
}

/// The IPv4 address that an IPv6 one wraps for a translator or a tunnel on the way (NAT64, 6to4,
/// ISATAP, mapped, compatible, RFC 2765), or itself.
#[must_use]
pub fn unwrapped(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(v6) => super::unwrapped(v6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_a_site_knows_is_local_and_its_neighbours_are_not() {
        for (ip, local) in [
            ("10.0.0.1", true),
            ("11.0.0.1", false),
            ("172.16.0.1", true),
            ("172.32.0.1", false),
            ("192.168.0.1", true),
            ("192.169.0.1", false),
            ("100.64.0.1", true),
            ("100.128.0.1", false),
            ("169.254.7.7", true),
            ("127.0.0.53", true),
            ("192.0.0.2", true),
            ("192.0.2.1", false),
            ("::ffff:10.0.0.1", true),
            ("::1", true),
            ("fd00::1", true),
            ("fe80::1", true),
            ("febf::1", true),
            ("fec0::1", true),
            ("ff02::1", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_local(ip.parse().expect("an address")), local, "{ip}");
        }
    }
}
