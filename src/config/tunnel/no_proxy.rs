//! `NO_PROXY`: places that no proxy of the environment is asked for. There is no standard of it;
//! what common programs agree on is read: names, which stand for what is below them as well,
//! addresses, networks, each with a port or without, and `*`.

use super::{Host, Place};
use ipnet::IpNet;
use std::net::IpAddr;

/// Octets of the list that are read, and entries of it.
const LONGEST: usize = 64 * 1_024;
const MOST: usize = 4_096;

/// The entry that a place is one of; `None`: the proxy is asked. A name is compared as it is
/// written: what DNS says of it is not known here.
pub(super) fn entry<'l>(list: &'l str, place: &Place) -> Option<&'l str> {
    let list = if list.len() > LONGEST { "" } else { list };
    let all = list.split([',', ' ', '\t']).map(str::trim).filter(|entry| !entry.is_empty());
    all.take(MOST).find(|entry| is_of(entry, place))
}

fn is_of(entry: &str, place: &Place) -> bool {
    if entry == "*" {
        return true;
    }
    match &place.host {
        Host::Ip(ip) => has_address(entry, *ip, place.port),
        Host::Name(name) => {
            let (own, port) = split(entry);
            let own = own.trim_start_matches("*.").trim_start_matches('.');
            port.is_none_or(|port| port == place.port) && is_below(name, own)
        }
    }
}

fn has_address(entry: &str, ip: IpAddr, port: u16) -> bool {
    if let Ok(net) = entry.parse::<IpNet>() {
        return net.contains(&ip);
    }
    let bare = entry.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    if let Ok(one) = bare {
        return one == ip;
    }
    let (own, at) = split(entry);
    let own = own.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    own.is_ok_and(|own| own == ip) && at == Some(port)
}

fn split(entry: &str) -> (&str, Option<u16>) {
    let parts = entry.rsplit_once(':').and_then(|(own, port)| Some((own, port.parse().ok()?)));
    parts.map_or((entry, None), |(own, port)| (own, Some(port)))
}

/// The name itself, or one below it.
fn is_below(name: &str, own: &str) -> bool {
    let (name, own) = (name.trim_end_matches('.'), own.trim_end_matches('.'));
    let Some(head) = name.len().checked_sub(own.len()) else { return false };
    let (Some(above), Some(tail)) = (name.get(..head), name.get(head..)) else { return false };
    !own.is_empty() && tail.eq_ignore_ascii_case(own) && (above.is_empty() || above.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_suffixes_addresses_networks_and_all_are_known() {
        for (list, at, want) in [
            ("gate.example.net", "gate.example.net:443", Some("gate.example.net")),
            ("a.test, EXAMPLE.net", "gate.example.net:443", Some("EXAMPLE.net")),
            (".example.net", "gate.example.net:443", Some(".example.net")),
            ("*.example.net", "gate.example.net:443", Some("*.example.net")),
            ("ample.net", "gate.example.net:443", None),
            ("gate.example.net.evil", "gate.example.net:443", None),
            ("gate.example.net:443", "gate.example.net:443", Some("gate.example.net:443")),
            ("gate.example.net:8443", "gate.example.net:443", None),
            ("*", "gate.example.net:443", Some("*")),
            ("192.0.2.0/24", "192.0.2.7:443", Some("192.0.2.0/24")),
            ("192.0.2.7", "192.0.2.7:443", Some("192.0.2.7")),
            ("192.0.2.7:443", "192.0.2.7:443", Some("192.0.2.7:443")),
            ("192.0.2.7:80", "192.0.2.7:443", None),
            ("192.0.2.0/24", "198.51.100.7:443", None),
            ("2001:db8::/32", "[2001:db8::7]:443", Some("2001:db8::/32")),
            ("[2001:db8::7]", "[2001:db8::7]:443", Some("[2001:db8::7]")),
            ("[2001:db8::7]:443", "[2001:db8::7]:443", Some("[2001:db8::7]:443")),
            ("0.0.0.0/0", "gate.example.net:443", None),
            ("localhost,127.0.0.1,,.", "gate.example.net:443", None),
            ("", "gate.example.net:443", None),
            ("é", "gate.example.net:443", None),
        ] {
            assert_eq!(entry(list, &Place::parse(at).unwrap()), want, "{list} {at}");
        }
    }
}
