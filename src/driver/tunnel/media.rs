//! The relay's ports at a tunnel. A relay thread sends by a queue that the tunnel's thread empties,
//! and receives by a pair of sockets, so that it waits for a tunnel's packets as it does for all
//! others. What came through a tunnel came from its other end, whose key was proved: only the port
//! that it was sent to says which flow it is of, and a port is one of this tunnel's or of nobody.

use super::path::{Known, Path};
use super::shares::{Room, Shares};
use crate::driver::clock::Clock;
use crate::driver::media_socket::Received;
use crate::ground::Now;
use crate::relay::flow::Source;
use crate::wire::tunnel;
use crate::wire::tunnel::head::Head;
use crate::wire::tunnel::probe::{self, Probe};
use bytes::Bytes;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio::time::Instant;

/// What was carried.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Packets that came and went.
    pub(super) received: AtomicU64,
    pub(super) sent: AtomicU64,
    /// Went by a stream of their own, being too long for a datagram; and those that do now.
    pub(super) long: AtomicU64,
    pub(super) under_way: AtomicUsize,
    /// Came for a port that is none of this tunnel's.
    pub(super) astray: AtomicU64,
    /// Could not be sent, or could not be given to the relay: there was no room.
    pub(super) lost: AtomicU64,
    /// Not sent, for it would have come too late to be heard, or was more than its flow's share.
    pub(super) late: AtomicU64,
}

impl Counts {
    /// Packets that were given to a bearer or were too late for it, and those that were.
    pub(super) fn sent_and_late(&self) -> (u64, u64) {
        let late = self.late.load(Relaxed);
        (self.sent.load(Relaxed) + late, late)
    }
}

/// Ports of one tunnel.
#[derive(Debug)]
pub(super) struct Media {
    /// Where the other end stands.
    far: IpAddr,
    ports: Mutex<HashMap<u16, UnixDatagram>>,
    open: Arc<AtomicUsize>,
    /// For whoever carries the tunnel.
    waiting: Mutex<Shares>,
    news: Notify,
    pub(super) counts: Arc<Counts>,
    path: Mutex<Path>,
    /// Where the other end's log stands, as it said last.
    head: Mutex<Option<Head>>,
    clock: Clock,
}

impl Media {
    /// `open` counts the ports of all tunnels that share a rate.
    pub(super) fn new(far: IpAddr, open: Arc<AtomicUsize>) -> Self {
        let (ports, counts) = (Mutex::default(), Arc::default());
        let (path, head, clock) = (Mutex::default(), Mutex::default(), Clock::start());
        let (waiting, news) = (Mutex::default(), Notify::new());
        Self { far, ports, open, waiting, news, counts, path, head, clock }
    }

    fn waiting(&self) -> MutexGuard<'_, Shares> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until packets wait.
    pub(super) async fn some(&self) {
        while self.waiting().is_empty() {
            self.news.notified().await;
        }
    }

    /// Those that go now, so many at most, and as there is room; each is in its turn.
    pub(super) fn take(&self, most: usize, mut room: Room, to: &mut Vec<(u16, Bytes)>) {
        let (now, mut waiting) = (Instant::now(), self.waiting());
        while to.len() < most {
            let Some((port, packet)) = waiting.next(now, &mut room) else { break };
            to.push((port, packet));
        }
        self.counts.late.fetch_add(waiting.late(), Relaxed);
    }

    /// A packet for a port of the other end's waits from now on.
    fn send(&self, port: u16, packet: &[u8]) {
        let packet = tunnel::pack(port, packet);
        let mut waiting = self.waiting();
        waiting.push(Instant::now(), port, packet);
        self.counts.late.fetch_add(waiting.late(), Relaxed);
        drop(waiting);
        self.news.notify_one();
    }

    fn path(&self) -> MutexGuard<'_, Path> {
        self.path.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ports(&self) -> MutexGuard<'_, HashMap<u16, UnixDatagram>> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the other end is to be told of the way now.
    pub(super) fn probe(&self, packets: Option<(u64, u64)>, is_narrow: bool) -> Bytes {
        let (at, calendar) = read(self.clock.now());
        Probe { is_narrow, ..self.path().probe(at, calendar, packets) }.write()
    }

    /// Where the other end's log stands, if it said so since it was asked last.
    pub(super) fn take_head(&self) -> Option<Head> {
        self.head.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// What is known of the way now.
    pub(super) fn known(&self) -> Known {
        self.path().known(read(self.clock.now()).0)
    }

    /// How many are open: a pair for each stream of a call.
    pub(super) fn open_count(&self) -> Arc<AtomicUsize> {
        self.open.clone()
    }

    /// A datagram has come.
    pub(super) fn deliver(&self, datagram: Bytes) {
        let Some((port, packet)) = tunnel::unpack(datagram) else {
            self.counts.astray.fetch_add(1, Relaxed);
            return;
        };
        if port == probe::PORT {
            if let Some(probe) = Probe::read(packet.clone()) {
                let (at, calendar) = read(self.clock.now());
                self.path().heard(probe, at, calendar);
            } else if let Some(head) = Head::read(packet) {
                *self.head.lock().unwrap_or_else(PoisonError::into_inner) = Some(head);
            }
            return;
        }
        // A full socket is a thread that does not read: as in the kernel, the newest is lost.
        let sent = self.ports().get(&port).map(|socket| socket.send(&packet));
        let count = match sent {
            Some(Ok(_)) => &self.counts.received,
            Some(Err(_)) => &self.counts.lost,
            None => &self.counts.astray,
        };
        count.fetch_add(1, Relaxed);
    }
}

/// Microseconds of the clock, and milliseconds since 1970.
fn read(now: Now) -> (u64, u64) {
    let whole = |n: u128| u64::try_from(n).unwrap_or(u64::MAX);
    (whole(now.mono.0.as_micros()), whole(now.wall.0.as_millis()))
}

/// One port of the relay at a tunnel.
#[derive(Debug)]
pub struct Port {
    socket: UnixDatagram,
    port: u16,
    /// What is taken for the sender of all that comes.
    from: SocketAddr,
    media: Arc<Media>,
}

impl Port {
    /// Opens one.
    ///
    /// # Errors
    /// It is open already, or there are no more descriptors.
    pub(super) fn open(media: Arc<Media>, port: u16) -> io::Result<Self> {
        let (ours, theirs) = UnixDatagram::pair()?;
        ours.set_nonblocking(true)?;
        theirs.set_nonblocking(true)?;
        let mut ports = media.ports();
        if ports.contains_key(&port) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        ports.insert(port, theirs);
        media.open.fetch_add(1, Relaxed);
        drop(ports);
        let from = SocketAddr::new(media.far, 0);
        Ok(Self { socket: ours, port, from, media })
    }

    /// One packet, if one waits.
    ///
    /// # Errors
    /// `WouldBlock`: none does.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        let len = self.socket.recv(buffer)?;
        Ok(Received { len, from: self.from, stamp: None })
    }

    /// Sends a packet to that port of the other end's, whatever the address. There is always room:
    /// where a flow has sent more than its share, its oldest packet gives way.
    pub fn send(&self, packet: &[u8], to: SocketAddr) {
        self.media.send(to.port(), packet);
    }

    /// Whom the stream expects here is who sends here.
    pub fn expect(&mut self, source: Source) {
        self.from = match source {
            Source::Exactly(at) => at,
            Source::Host(host) | Source::Neighbour(host, _) => {
                SocketAddr::new(host, self.from.port())
            }
            Source::Unknown => self.from,
        };
    }

    /// What is to be watched for packets.
    #[must_use]
    pub fn readiness(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        let mut ports = self.media.ports();
        if ports.remove(&self.port).is_some() {
            self.media.open.fetch_sub(1, Relaxed);
        }
    }
}
