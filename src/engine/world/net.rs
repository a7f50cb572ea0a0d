//! Where the gateway stands: its sockets, its names on each of them, and what counts as inside.
//! Derived from one configuration; it never changes a message.

use crate::config::{Address, Config, Hop, Interface, Link, Listener};
use crate::ground::{Flow, ListenerId, Side, Transport, UpstreamId};
use crate::wire::addresses::is_local;
use crate::wire::sip::Uri;
use ipnet::IpNet;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Answers "who are we, and who is that?" for one configuration.
#[derive(Debug)]
pub(crate) struct Net {
    /// Those that are there, by number.
    listeners: Vec<Listener>,
    /// The interface of each that may be, by its number.
    places: Vec<usize>,
    interfaces: Vec<Interface>,
    upstreams: BTreeSet<IpAddr>,
    /// Where upstreams send from.
    sources: Vec<IpNet>,
}

impl Net {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            listeners: config.listeners(),
            places: config.listener_interfaces(),
            interfaces: config.interfaces.clone(),
            upstreams: BTreeSet::new(),
            sources: config.upstreams.iter().flat_map(|u| u.sources.iter().copied()).collect(),
        }
    }

    /// Where upstreams are.
    pub(crate) fn follow(&mut self, upstreams: impl Iterator<Item = IpAddr>) {
        self.upstreams = upstreams.collect();
    }

    /// A socket; `None`: its interface has no address of that IP version now.
    pub(crate) fn listener(&self, id: ListenerId) -> Option<&Listener> {
        let at = self.listeners.binary_search_by_key(&id, |l| l.id).ok()?;
        self.listeners.get(at)
    }

    /// The place of a socket's interface, whether it stands anywhere now or not.
    pub(crate) fn interface_of(&self, id: ListenerId) -> Option<usize> {
        self.places.get(usize::from(id.0)).copied()
    }

    pub(crate) fn interface(&self, id: ListenerId) -> Option<&Interface> {
        self.interface_of(id).and_then(|at| self.interfaces.get(at))
    }

    pub(crate) fn interface_at(&self, index: usize) -> Option<&Interface> {
        self.interfaces.get(index)
    }

    pub(crate) fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    /// The name of its interface.
    pub(crate) fn interface_name(&self, id: ListenerId) -> &str {
        self.interface(id).map_or("", |i| i.name.as_str())
    }

    pub(crate) fn side(&self, id: ListenerId) -> Side {
        self.interface(id).map_or(Side::Outside, |i| i.side)
    }

    /// The address of its interface that a socket is bound to.
    pub(crate) fn address(&self, id: ListenerId) -> Option<&Address> {
        self.interface(id)?.addresses.bound(self.listener(id)?.bind.ip())
    }

    /// The address and port others reach this socket by.
    pub(crate) fn advertised(&self, id: ListenerId) -> SocketAddr {
        let Some(l) = self.listener(id) else {
            return SocketAddr::from(([127, 0, 0, 1], 5060));
        };
        let own = self.address(id).map_or(l.bind.ip(), Address::advertised);
        SocketAddr::new(own, l.bind.port())
    }

    /// Others are told an address there that comes and goes: no name, and none of the file's.
    pub(crate) fn is_told_anew(&self, id: ListenerId) -> bool {
        let Some(i) = self.interface(id).filter(|i| i.advertise_name.is_none()) else {
            return false;
        };
        let told = self.address(id).and_then(|a| a.advertise);
        i.addresses.following().is_some() && told.is_none()
    }

    /// The host that others know this socket by, as a URI has it: its name, else its address.
    pub(crate) fn host_name(&self, id: ListenerId) -> String {
        let name = self.interface(id).and_then(|i| i.advertise_name.clone());
        name.unwrap_or_else(|| host_text(self.advertised(id).ip()))
    }

    /// Our URI on a socket, with `transport` where it is not UDP.
    pub(crate) fn uri(&self, id: ListenerId, user: Option<&str>) -> Uri {
        let at = self.advertised(id);
        let mut uri = Uri::sip(user, &self.host_name(id), Some(at.port()));
        match self.listener(id).map(|l| l.transport) {
            None | Some(Transport::Udp) => {}
            Some(t @ (Transport::Tcp | Transport::Tls)) => {
                uri.params.set("transport", Some(t.as_str()));
            }
        }
        uri
    }

    /// True when host and port are one of our own sockets (bound or advertised).
    pub(crate) fn is_us(&self, ip: IpAddr, port: u16) -> bool {
        self.listeners.iter().any(|l| {
            l.bind.port() == port
                && (l.bind.ip() == ip || self.address(l.id).is_some_and(|a| a.advertised() == ip))
        })
    }

    /// True for an address of ours on any interface, whatever the port.
    pub(crate) fn is_our_address(&self, ip: IpAddr) -> bool {
        self.interfaces.iter().any(|i| i.addresses.hold(ip))
    }

    /// True when a URI names this gateway.
    pub(crate) fn names_us(&self, uri: &Uri) -> bool {
        self.address_in(uri).is_some_and(|ip| match uri.port {
            Some(p) => self.is_us(ip, p),
            None => self.is_our_address(ip),
        })
    }

    /// The address that a URI writes, or means by a name of ours.
    pub(crate) fn address_in(&self, uri: &Uri) -> Option<IpAddr> {
        let is_named =
            |i: &&Interface| i.advertise_name.as_ref().is_some_and(|n| same(n, &uri.host));
        let named = || self.interfaces.iter().find(is_named).and_then(|i| i.addresses.first());
        uri.host_ip().or_else(|| named().map(Address::advertised))
    }

    /// True for an address that must not be shown outside: our own inside addresses and the
    /// networks of the inside interfaces. What an outside interface advertises, an upstream's own
    /// address and a network that is as closely listed outside are not.
    pub(crate) fn is_inside(&self, ip: IpAddr) -> bool {
        if self.is_shown(ip) {
            return false;
        }
        let bound = |i: &Interface| i.side == Side::Inside && i.addresses.bound(ip).is_some();
        let own = self.interfaces.iter().any(bound);
        own || self.closest(Side::Inside, ip) > self.closest(Side::Outside, ip)
    }

    /// True for an address that means something within a site only, unless the outside is where it
    /// is known to mean something: what outside interfaces and upstreams list, and the neighbours
    /// of their own addresses, where the outside is a private network, too.
    pub(crate) fn is_local(&self, ip: IpAddr) -> bool {
        let outside = || {
            self.sources.iter().any(|n| n.contains(&ip))
                || self.is_listed_outside(ip)
                || self.is_beside(ip)
        };
        is_local(ip) && !self.is_shown(ip) && !outside()
    }

    /// In one subnet, of the usual length, with an upstream or an outside interface.
    fn is_beside(&self, ip: IpAddr) -> bool {
        let outside = self.interfaces.iter().filter(|i| i.side == Side::Outside);
        let own = outside.flat_map(|i| i.addresses.iter()).flat_map(|a| [a.ip, a.advertised()]);
        own.chain(self.upstreams.iter().copied()).any(|known| match (known, ip) {
            (IpAddr::V4(a), IpAddr::V4(b)) => a.octets()[..3] == b.octets()[..3],
            (IpAddr::V6(a), IpAddr::V6(b)) => a.segments()[..4] == b.segments()[..4],
            (IpAddr::V4(_) | IpAddr::V6(_), _) => false,
        })
    }

    /// A default route lists nothing.
    fn is_listed_outside(&self, ip: IpAddr) -> bool {
        self.closest(Side::Outside, ip) > 1
    }

    /// True for an address that outsiders know anyway.
    pub(crate) fn is_shown(&self, ip: IpAddr) -> bool {
        let advertised = |i: &Interface| {
            i.side == Side::Outside && i.addresses.iter().any(|a| a.advertised() == ip)
        };
        self.upstreams.contains(&ip) || self.interfaces.iter().any(advertised)
    }

    /// Prefix length of the closest network that a side lists, plus one; 0: none.
    fn closest(&self, side: Side, ip: IpAddr) -> u16 {
        let nets = self.interfaces.iter().filter(|i| i.side == side).flat_map(|i| &i.networks);
        nets.filter(|n| n.contains(&ip)).map(|n| u16::from(n.prefix_len()) + 1).max().unwrap_or(0)
    }

    /// It came by a connection that is gone. Those of a tunnel are of whoever is at its other end,
    /// who is there by the next one, too.
    pub(crate) fn is_cut_off(&self, flow: &Flow) -> bool {
        flow.transport.is_reliable() && flow.conn.is_none() && !self.lasts(flow.listener)
    }

    /// Nobody but its other end can be there: it is a tunnel's.
    pub(crate) fn lasts(&self, id: ListenerId) -> bool {
        self.interface(id).is_some_and(|i| i.link != Link::Local)
    }

    /// The way from an interface to a place of an upstream.
    pub(crate) fn towards(&self, interface: usize, id: UpstreamId, hop: Hop) -> Option<Flow> {
        let upstream = hop.transport.is_secure().then_some(id);
        Some(Flow { upstream, ..self.way(interface, hop)? })
    }

    /// The way from an interface to there: by a socket of that transport and IP version.
    pub(crate) fn way(&self, interface: usize, hop: Hop) -> Option<Flow> {
        let Hop { peer, transport } = hop;
        let fits = |l: &&Listener| {
            l.interface == interface
                && l.transport == transport
                && l.bind.is_ipv4() == peer.is_ipv4()
        };
        let listener = self.listeners.iter().find(fits)?;
        Some(Flow { listener: listener.id, transport, peer, conn: None, upstream: None })
    }

    /// The socket bound to `local`.
    pub(crate) fn bound_exactly(
        &self,
        local: SocketAddr,
        transport: Transport,
    ) -> Option<ListenerId> {
        let same = |l: &&Listener| l.transport == transport && l.bind == local;
        self.listeners.iter().find(same).map(|l| l.id)
    }

    /// The socket bound to `local`, or any of that transport and IP version inside.
    pub(crate) fn bound_to(&self, local: SocketAddr, transport: Transport) -> Option<ListenerId> {
        let same = |l: &&Listener| l.transport == transport && l.bind == local;
        let other = |l: &&Listener| {
            l.transport == transport
                && l.bind.is_ipv4() == local.is_ipv4()
                && self.interfaces.get(l.interface).is_some_and(|i| i.side == Side::Inside)
        };
        let found = self.listeners.iter().find(same);
        found.or_else(|| self.listeners.iter().find(other)).map(|l| l.id)
    }

    /// The way there from the interface of a socket.
    pub(crate) fn beside(&self, id: ListenerId, hop: Hop) -> Option<Flow> {
        self.way(self.interface_of(id)?, hop)
    }
}

/// Keep-alives that a new configuration changes: the interface's place, and how often from now on
/// (`None`: no longer). Those that run on are not named.
pub(crate) fn changed_keepalives(
    old: Option<&Config>,
    new: &Config,
) -> Vec<(usize, Option<Duration>)> {
    let before = old.map_or(&[][..], |o| &o.interfaces);
    let every = |all: &[Interface], index: usize| all.get(index).and_then(|i| i.keepalive);
    let places = 0..new.interfaces.len().max(before.len());
    let changed = places.filter_map(|index| {
        let (was, is) = (every(before, index), every(&new.interfaces, index));
        (was != is).then_some((index, is))
    });
    changed.collect()
}

/// A host name may end in a dot, and is of no case.
fn same(name: &str, host: &str) -> bool {
    name.eq_ignore_ascii_case(host.strip_suffix('.').unwrap_or(host))
}

/// An address as a URI host: IPv6 in brackets.
pub(crate) fn host_text(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    }
}
