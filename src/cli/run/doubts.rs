//! Doubts that only this machine can raise, told at the start beside those of the configuration.
//! They refuse nothing: what is missing may come later.

use crate::config::{Config, Hop, Link, Upstream};
use crate::driver::interfaces::{self, Attached};
use crate::ground::Transport;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};

/// Those of the configuration and of this machine. Asked once everything of ours is bound.
pub(super) fn doubts(c: &Config) -> Vec<String> {
    let all = interfaces::attached();
    let nobody = c.upstreams.iter().flat_map(|u| u.fixed().map(move |hop| (u, hop)));
    let nobody = nobody.filter_map(|(u, hop)| deserted(u, hop, &all, is_free));
    c.doubts().into_iter().chain(nobody).collect()
}

/// Written addresses that no socket of this machine can stand at, each with words that say so.
pub(in crate::cli) fn lacking(c: &Config) -> Vec<(IpAddr, String)> {
    let mut all: Vec<(IpAddr, String)> = Vec::new();
    for l in c.listeners() {
        let Some(i) = c.interfaces.get(l.interface) else { continue };
        let is_written = i.addresses.following().is_none() && i.link == Link::Local;
        let mut at = l.bind;
        at.set_port(0);
        let away =
            || UdpSocket::bind(at).is_err_and(|e| e.kind() == io::ErrorKind::AddrNotAvailable);
        if is_written && all.iter().all(|(ip, _)| *ip != at.ip()) && away() {
            let (name, ip) = (&i.name, at.ip());
            let what = format!("interface {name}: {ip} is not an address of this machine");
            all.push((ip, what));
        }
    }
    all
}

/// An upstream on this very machine, where nothing listens.
fn deserted(
    u: &Upstream,
    hop: Hop,
    all: &[Attached],
    is_free: impl Fn(SocketAddr, Transport) -> bool,
) -> Option<String> {
    let ip = hop.peer.ip();
    let device = all.iter().find(|a| a.ip() == ip).map(|a| a.device.as_str());
    let device = device.or(ip.is_loopback().then_some("lo"))?;
    is_free(hop.peer, hop.transport).then(|| {
        format!(
            "upstream \"{}\": {} is this machine's own address ({device}) and nothing listens \
             there: write the PBX's, or start it",
            u.name, hop.peer
        )
    })
}

/// Nobody holds this socket.
fn is_free(at: SocketAddr, transport: Transport) -> bool {
    match transport {
        Transport::Udp => UdpSocket::bind(at).is_ok(),
        Transport::Tcp | Transport::Tls => TcpListener::bind(at).is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Environment;
    use crate::driver::interfaces::Link;

    const EDGE: &str = include_str!("../../../configs/minimal.toml");

    #[test]
    fn an_address_that_this_machine_lacks_is_told_once_and_its_own_is_not() {
        let env = Environment::default();
        let text = EDGE.replace("10.17.0.1\"", "127.0.0.1\"\nallow_loopback = true");
        let away = text.replace("203.0.113.7", "192.0.2.231");
        let told = lacking(&Config::parse("x", &away, &env).unwrap());
        let want = "interface wan: 192.0.2.231 is not an address of this machine";
        assert_eq!(told, [("192.0.2.231".parse().unwrap(), want.to_owned())]);
        let here = text.replace("203.0.113.7\"", "127.0.0.2\"");
        assert_eq!(lacking(&Config::parse("x", &here, &env).unwrap()), []);
    }

    #[test]
    fn an_upstream_on_this_machine_where_nobody_listens_is_told() {
        let mut edge = Config::parse("x", EDGE, &Environment::default()).unwrap();
        let upstream = edge.upstreams.remove(0);
        let hop = upstream.fixed().next().unwrap();
        let net = format!("{}/24", hop.peer.ip()).parse().unwrap();
        let own = Attached { device: "eth1".to_owned(), net, link: Link::Network };
        let all = std::slice::from_ref(&own);
        let told = deserted(&upstream, hop, all, |_, _| true).unwrap();
        assert!(told.contains("198.51.100.2:5060 is this machine's own address (eth1)"), "{told}");
        assert_eq!(deserted(&upstream, hop, all, |_, _| false), None, "a PBX is there");
        assert_eq!(deserted(&upstream, hop, &[], |_, _| true), None, "another machine");
    }
}
