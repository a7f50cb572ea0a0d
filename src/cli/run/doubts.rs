//! Doubts that only this machine can raise, told at the start beside those of the configuration.
//! They refuse nothing: what is missing may come later.

use crate::config::{Config, Hop, Upstream};
use crate::driver::interfaces::{self, Attached};
use crate::ground::Transport;
use std::net::{SocketAddr, TcpListener, UdpSocket};

/// Those of the configuration and of this machine. Asked once everything of ours is bound.
pub(super) fn doubts(c: &Config) -> Vec<String> {
    let all = interfaces::attached();
    let nobody = c.upstreams.iter().flat_map(|u| u.fixed().map(move |hop| (u, hop)));
    let nobody = nobody.filter_map(|(u, hop)| deserted(u, hop, &all, is_free));
    c.doubts().into_iter().chain(nobody).collect()
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
