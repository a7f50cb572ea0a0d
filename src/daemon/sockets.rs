//! The SIP sockets that are open. Those of an interface that follows a device are opened where it
//! stands, and closed with their connections where it has left; what cannot be opened yet is tried
//! again. It reads no message.

use super::event_loop::EventLoop;
use super::{busy_ports_at, can_bind};
use crate::config::{Addresses, Config, Follow, Listener, Own, version};
use crate::driver::holders::{Process, holder, owner};
use crate::driver::inlet::Inlet;
use crate::driver::stream::{self, Streams};
use crate::driver::tunnel::Tunnels;
use crate::driver::udp::SipSocket;
use crate::driver::whereabouts;
use crate::driver::zone::Zones;
use crate::engine::Input;
use crate::ground::{ListenerId, Mono, Transport};
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// What could not be opened is tried again this often: an address may need to be checked first, and
/// a socket that closes takes its time.
const AGAIN: Duration = Duration::from_secs(1);

/// One that is open; it closes when it is dropped.
#[derive(Debug)]
struct Open {
    /// `None`: its connections are written to.
    udp: Option<SipSocket>,
    reader: JoinHandle<()>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Sockets by number.
#[derive(Debug)]
pub(super) struct Sockets {
    open: BTreeMap<ListenerId, Open>,
    /// Those that could not be opened yet, and when they are tried again.
    waiting: Vec<Listener>,
    next: Mono,
    inlet: Inlet,
    streams: Streams,
    tunnels: Tunnels,
    /// Who looks where this machine stands waits for it.
    looks: Arc<Notify>,
    /// Datagrams that those dropped which are closed.
    dropped: u64,
}

impl Sockets {
    pub(super) fn new(inlet: Inlet, streams: Streams, tunnels: Tunnels) -> Self {
        Self {
            open: BTreeMap::new(),
            waiting: Vec::new(),
            next: Mono::default(),
            inlet,
            streams,
            tunnels,
            looks: Arc::default(),
            dropped: 0,
        }
    }

    /// Begins to look where this machine stands; it was `seen` last.
    pub(super) fn watch(&self, follows: Vec<(usize, Follow)>, seen: Vec<Vec<Own>>) {
        let (looks, inlet) = (self.looks.clone(), self.inlet.clone());
        tokio::spawn(whereabouts::watch(follows, seen, looks, inlet));
    }

    /// Looks at once.
    pub(super) fn look(&self) {
        self.looks.notify_one();
    }

    /// Binds one, and begins to read it.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) fn bind(&mut self, l: Listener, config: &Config) -> io::Result<()> {
        let dscp = config.interfaces.get(l.interface).map_or(24, |i| i.dscp_sip);
        let zones = Zones::of(config);
        if let Some(link) = self.tunnels.of_interface(l.interface) {
            let reader = self.streams.clone().tunnelled(link, l.id);
            self.open.insert(l.id, Open { udp: None, reader: tokio::spawn(reader) });
            return Ok(());
        }
        let open = match l.transport {
            Transport::Udp => {
                let socket = SipSocket::bind(l, dscp, &zones)?;
                let reader = tokio::spawn(socket.clone().read(self.inlet.clone()));
                Open { udp: Some(socket), reader }
            }
            Transport::Tcp | Transport::Tls => {
                let socket = stream::listen(zones.placed(l.bind))?;
                let reader = tokio::spawn(self.streams.clone().accept(socket, l.id));
                Open { udp: None, reader }
            }
        };
        self.open.insert(l.id, open);
        Ok(())
    }

    /// The socket for datagrams of this number, if it is open.
    pub(super) fn udp(&self, id: ListenerId) -> Option<&SipSocket> {
        self.open.get(&id)?.udp.as_ref()
    }

    /// Datagrams dropped at all of them.
    pub(super) fn dropped(&self) -> u64 {
        let now = self.open.values().filter_map(|open| open.udp.as_ref());
        self.dropped + now.map(SipSocket::dropped).sum::<u64>()
    }

    fn close(&mut self, id: ListenerId) {
        self.waiting.retain(|l| l.id != id);
        if let Some(open) = self.open.remove(&id) {
            self.dropped += open.udp.as_ref().map_or(0, SipSocket::dropped);
        }
    }

    fn open_all(&mut self, all: Vec<Listener>, config: &Config) {
        for l in all {
            if let Err(e) = self.bind(l, config) {
                let (transport, at) = (l.transport, l.bind);
                tracing::warn!("{transport} {at} cannot be listened at yet: {e}; tried again");
                self.waits(l, &e);
            }
        }
    }

    /// What another program holds is no place to stand at: who looks says so.
    fn waits(&mut self, l: Listener, e: &io::Error) {
        self.waiting.push(l);
        if e.kind() == io::ErrorKind::AddrInUse {
            self.look();
        }
    }

    fn is_open(&self, id: ListenerId) -> bool {
        self.open.contains_key(&id)
    }

    /// Tries again what could not be opened, once a second.
    pub(super) fn try_again(&mut self, config: &Config, now: Mono) {
        if self.waiting.is_empty() || now < self.next {
            return;
        }
        self.next = now + AGAIN;
        for l in std::mem::take(&mut self.waiting) {
            match self.bind(l, config) {
                Ok(()) => tracing::info!("{} {} is listened at", l.transport, l.bind),
                Err(e) => self.waits(l, &e),
            }
        }
    }
}

impl EventLoop {
    /// The same, with what another program holds at addresses that the machine has.
    pub(super) fn seen(&self, input: Input) -> Input {
        let Input::Addresses { interface, mut own } = input else { return input };
        for own in &mut own {
            own.held = self.held_at(interface, own.ip);
        }
        Input::Addresses { interface, own }
    }

    /// Which port that an interface would listen at there another program holds, in words.
    fn held_at(&self, interface: usize, ip: IpAddr) -> Option<String> {
        let mut config = self.config.clone();
        let i = config.interfaces.get_mut(interface)?;
        let mut found = [None; 2];
        *found.get_mut(version(ip))? = Some(ip);
        i.addresses = i.addresses.at(found);
        let (zones, running) = (Zones::of(&config), self.config.listeners());
        let is_ours = |l: &Listener| running.contains(l) && self.sockets.is_open(l.id);
        let all = config.listeners().into_iter().filter(|l| l.interface == interface);
        all.filter(|l| !is_ours(l)).find_map(|l| held(&l, &zones))
    }

    /// Sockets of interfaces that were not there before this configuration.
    pub(super) fn open_new(&mut self, before: &[Listener]) {
        let after = self.config.listeners().into_iter();
        let new: Vec<Listener> = after.filter(|l| !before.contains(l)).collect();
        self.sockets.open_all(new, &self.config);
    }

    /// An interface stands there from now on; what the engine is to hear of it.
    pub(super) fn stand(&mut self, interface: usize, addresses: Addresses) -> Vec<Input> {
        let before = self.config.listeners();
        let Some(i) = self.config.interfaces.get_mut(interface) else { return Vec::new() };
        i.addresses = addresses;
        self.tracer.follow(&self.config);
        let Some(i) = self.config.interfaces.get(interface) else { return Vec::new() };
        let signs_itself = i.tls.is_some() && !i.addresses.are_away();
        let after = self.config.listeners();
        let gone: Vec<ListenerId> =
            before.iter().filter(|l| !after.contains(l)).map(|l| l.id).collect();
        gone.iter().for_each(|id| self.sockets.close(*id));
        self.streams.stand(&self.config, &gone);
        let new: Vec<Listener> = after.into_iter().filter(|l| !before.contains(l)).collect();
        let mut ips: Vec<_> = new.iter().map(|l| l.bind.ip()).collect();
        ips.dedup();
        self.sockets.open_all(new, &self.config);
        if signs_itself {
            // A certificate of our own making names where we stand.
            let (tls, config) = (self.streams.tls().clone(), self.config.clone());
            tokio::task::spawn_blocking(move || tls.follow(&config));
        }
        let busy = ips.into_iter().flat_map(|ip| busy_ports_at(&self.config, ip));
        busy.map(Input::ExcludePort).collect()
    }
}

/// Another program has this socket's port, in words.
fn held(l: &Listener, zones: &Zones) -> Option<String> {
    let busy = can_bind(l, zones).is_err_and(|e| e.kind() == io::ErrorKind::AddrInUse);
    let (transport, port) = (l.transport.carrier(), l.bind.port());
    let uid = || owner(l.bind, l.transport);
    busy.then(|| match (holder(l.bind, l.transport), uid()) {
        (Some(Process { pid, name, .. }), _) => {
            format!("{transport} port {port} is held by {name} (pid {pid})")
        }
        // Confined, we see whose it is and not which.
        (None, Some(uid)) => {
            format!("{transport} port {port} is held by another program (uid {uid})")
        }
        (None, None) => format!("{transport} port {port} is held by another program"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{SocketAddr, TcpListener, UdpSocket};

    #[test]
    fn who_holds_a_port_that_we_would_have_is_named_and_a_free_one_is_nobodys() {
        let (udp, tcp) =
            (UdpSocket::bind("127.0.0.8:0").unwrap(), TcpListener::bind("127.0.0.8:0").unwrap());
        let listener = |transport, bind: SocketAddr| {
            let (id, interface) = (ListenerId(0), 0);
            Listener { id, interface, transport, bind }
        };
        let all = [
            (Transport::Udp, udp.local_addr().unwrap(), "udp"),
            (Transport::Tcp, tcp.local_addr().unwrap(), "tcp"),
            (Transport::Tls, tcp.local_addr().unwrap(), "tcp"),
        ];
        for (transport, at, word) in all {
            let text = held(&listener(transport, at), &Zones::default()).expect("it is held");
            let port = at.port();
            assert!(text.starts_with(&format!("{word} port {port} is held by ")), "{text}");
            assert!(text.contains(&format!("(pid {})", std::process::id())), "{text}");
        }
        let (udp, tcp) = (drop_at(udp.local_addr(), udp), drop_at(tcp.local_addr(), tcp));
        for (transport, at) in [(Transport::Udp, udp), (Transport::Tcp, tcp)] {
            assert_eq!(held(&listener(transport, at), &Zones::default()), None);
        }
        // An address that is not here yet (RFC 5737) has no port that is held.
        let away = "192.0.2.9:5060".parse().unwrap();
        assert_eq!(held(&listener(Transport::Udp, away), &Zones::default()), None);
    }

    fn drop_at<T>(at: io::Result<SocketAddr>, socket: T) -> SocketAddr {
        drop(socket);
        at.unwrap()
    }
}
