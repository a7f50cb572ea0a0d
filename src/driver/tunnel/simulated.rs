//! Two ends of a connection by QUIC as a tunnel has them, and a way between them of a rate, a
//! length, a queue and a longest packet, in a time that is counted and not waited for. For tests
//! alone; it opens no socket.

mod tests;

use super::bearer::{QUEUE, WINDOW};
use super::identity::Identity;
use super::key::{self, Key};
use super::ledger::Ledger;
use super::link::Link;
use super::rate::{self, Known};
use super::reset;
use super::shares::Room;
use crate::config::{BearerChoice, End, Place, Tunnel};
use bytes::BytesMut;
use quinn_proto::{
    ClientConfig, Connection, ConnectionHandle, DatagramEvent, Endpoint, Event, ServerConfig,
};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// What IPv4 and UDP put around a packet.
const AROUND: usize = 28;
pub(super) const MS: Duration = Duration::from_millis(1);

/// A key that nobody else has.
pub(super) fn key() -> Key {
    static KEYS: AtomicU64 = AtomicU64::new(0);
    let name = format!("portreeve-simulated-{}-{}", std::process::id(), KEYS.fetch_add(1, Relaxed));
    let file = std::env::temp_dir().join(name);
    key::make(&file).expect("a key");
    let key = key::read(&file).expect("the key");
    std::fs::remove_file(&file).expect("it was there");
    key
}

/// A site's tunnel to there.
pub(super) fn tunnel(connect: &str, peer: Option<&Key>) -> Tunnel {
    let connect = Place::parse(connect).expect("a place");
    Tunnel {
        site: "berlin".to_owned(),
        end: End::Site { connect, bearer: BearerChoice::Auto, proxy: None, past: None },
        peer: peer.map(Key::public),
        key_file: None,
        gather: Duration::from_millis(5),
    }
}

/// One direction.
pub(super) struct Way {
    pub(super) takes: Duration,
    /// Octets a second, and octets that wait.
    pub(super) rate: f64,
    pub(super) queue: f64,
    /// The longest packet of IP.
    pub(super) longest: usize,
    is_busy_until: Instant,
}

impl Way {
    /// When it arrives; `None`: it does not.
    fn carry(&mut self, now: Instant, octets: usize) -> Option<Instant> {
        let from = self.is_busy_until.max(now);
        let waits = from.duration_since(now).as_secs_f64() * self.rate;
        let octets = octets + AROUND;
        if octets > self.longest || waits + octets as f64 > self.queue {
            return None;
        }
        self.is_busy_until = from + Duration::from_secs_f64(octets as f64 / self.rate);
        Some(self.is_busy_until + self.takes)
    }
}

pub(super) struct Gateway {
    endpoint: Endpoint,
    connection: Option<(ConnectionHandle, Connection)>,
    pub(super) at: SocketAddr,
    /// What is under way to it: when it comes, and from where.
    comes: VecDeque<(Instant, SocketAddr, SocketAddr, Vec<u8>)>,
    /// Why its connection has ended.
    pub(super) ended: Option<String>,
}

/// A site (0), a head office (1), and a way from each.
pub(super) struct World {
    pub(super) now: Instant,
    pub(super) gateways: [Gateway; 2],
    pub(super) ways: [Way; 2],
    office: (Identity, Key),
    pub(super) ports: Arc<AtomicUsize>,
}

fn listens(office: &(Identity, Key), ports: &Arc<AtomicUsize>, at: SocketAddr) -> Endpoint {
    let far = tunnel("192.0.2.1:443", Some(&office.1));
    let link = Link::new("berlin", far, ports.clone(), Ledger::unread());
    let crypto = office.0.quic_server(Arc::new(|_| true)).expect("a server");
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config.transport_config(Arc::new(link.transport()));
    let own = Arc::new(reset::endpoint(&office.0.key, at));
    Endpoint::new(own, Some(Arc::new(config)), true, None)
}

impl World {
    /// Both ends, connected, by a way of so many octets a second and so long.
    pub(super) fn new(rate: f64, takes: Duration) -> Self {
        let (site, office) = (key(), key());
        let office = (Identity::new(office), site.clone());
        let now = tokio::time::Instant::now().into_std();
        let ports = Arc::<AtomicUsize>::default();
        let (here, there) = ("192.0.2.7:5000".parse().unwrap(), "192.0.2.1:443".parse().unwrap());
        let far = tunnel("192.0.2.1:443", Some(&office.0.key));
        let link = Link::new("office", far, ports.clone(), Ledger::unread());
        let crypto = Identity::new(site).quic_client(Arc::new(|_| true)).expect("a client");
        let mut config = ClientConfig::new(Arc::new(crypto));
        config.transport_config(Arc::new(link.transport()));
        let mut endpoint = Endpoint::new(Arc::new(reset::of_site()), None, true, None);
        let connection = Some(endpoint.connect(now, config, there, "tunnel.invalid").unwrap());
        let gateway = |endpoint, connection, at| Gateway {
            endpoint,
            connection,
            at,
            comes: VecDeque::new(),
            ended: None,
        };
        let listens = listens(&office, &ports, there);
        let way = || Way { takes, rate, queue: 256_000.0, longest: 1_500, is_busy_until: now };
        let mut world = Self {
            now,
            gateways: [gateway(endpoint, connection, here), gateway(listens, None, there)],
            ways: [way(), way()],
            office,
            ports,
        };
        world.run(takes * 20 + 100 * MS, |_| {});
        assert!(world.gateways.iter().all(|g| g.connection.is_some() && g.ended.is_none()));
        world
    }

    /// The head office is restarted without a word.
    pub(super) fn restart(&mut self) {
        let office = &mut self.gateways[1];
        office.endpoint = listens(&self.office, &self.ports, office.at);
        office.connection = None;
    }

    pub(super) fn connection(&mut self, end: usize) -> &mut Connection {
        &mut self.gateways[end].connection.as_mut().expect("a connection").1
    }

    /// What the controller of an end says.
    pub(super) fn known(&mut self, end: usize) -> Known {
        let now = self.now;
        rate::read(self.connection(end).congestion_state().clone_box(), now)
    }

    /// Octets of IP that an end has sent.
    pub(super) fn sent(&mut self, end: usize) -> u64 {
        let udp = self.connection(end).stats().udp_tx;
        udp.bytes + udp.datagrams * AROUND as u64
    }

    /// As [`super::bearer::Bearer::room`] says.
    pub(super) fn room(&mut self, end: usize) -> Room {
        let known = self.known(end);
        let connection = self.connection(end);
        connection.set_send_window(known.messages.min(WINDOW));
        Room::of(known, QUEUE - connection.datagrams().send_buffer_space())
    }

    /// So long goes by; at each millisecond somebody does something.
    pub(super) fn run(&mut self, lasts: Duration, mut does: impl FnMut(&mut Self)) {
        let over = self.now + lasts;
        while self.now < over {
            does(self);
            (0..2).for_each(|end| self.work(end));
            self.now += MS;
        }
    }

    fn work(&mut self, end: usize) {
        let (now, gateway) = (self.now, &mut self.gateways[end]);
        let mut out = Vec::new();
        while gateway.comes.front().is_some_and(|(at, ..)| *at <= now) {
            let (_, from, to, packet) = gateway.comes.pop_front().unwrap();
            if to == gateway.at {
                gateway.take(now, from, &packet, &mut out);
            }
        }
        gateway.drive(now, &mut out);
        let from = gateway.at;
        for (to, packet) in out {
            if let Some(at) = self.ways[end].carry(now, packet.len()) {
                self.gateways[1 - end].comes.push_back((at, from, to, packet));
            }
        }
    }
}

impl Gateway {
    fn take(
        &mut self,
        now: Instant,
        from: SocketAddr,
        packet: &[u8],
        out: &mut Vec<(SocketAddr, Vec<u8>)>,
    ) {
        let mut answer = Vec::new();
        let packet = BytesMut::from(packet);
        match self.endpoint.handle(now, from, None, None, packet, &mut answer) {
            Some(DatagramEvent::ConnectionEvent(handle, event)) => {
                if let Some((own, connection)) = &mut self.connection
                    && *own == handle
                {
                    connection.handle_event(event);
                }
            }
            Some(DatagramEvent::NewConnection(incoming)) => {
                let accepted = self.endpoint.accept(incoming, now, &mut answer, None);
                self.connection = Some(accepted.map_err(|e| e.cause).expect("it is let in"));
            }
            Some(DatagramEvent::Response(transmit)) => {
                answer.truncate(transmit.size);
                out.push((transmit.destination, answer));
            }
            None => {}
        }
    }

    fn drive(&mut self, now: Instant, out: &mut Vec<(SocketAddr, Vec<u8>)>) {
        let Some((handle, connection)) = &mut self.connection else { return };
        if connection.poll_timeout().is_some_and(|at| at <= now) {
            connection.handle_timeout(now);
        }
        loop {
            while let Some(event) = connection.poll_endpoint_events() {
                if let Some(event) = self.endpoint.handle_event(*handle, event) {
                    connection.handle_event(event);
                }
            }
            let mut packet = Vec::new();
            let Some(transmit) = connection.poll_transmit(now, 1, &mut packet) else { break };
            packet.truncate(transmit.size);
            out.push((transmit.destination, packet));
        }
        while let Some(event) = connection.poll() {
            if let Event::ConnectionLost { reason } = event {
                self.ended = Some(reason.to_string());
            }
        }
    }
}
