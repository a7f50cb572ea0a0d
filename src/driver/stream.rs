//! SIP over TCP: accepts, connects, frames, writes. Bounded in connections, time and queues; it
//! never looks into a message beyond its length.

mod table;

#[cfg(test)]
mod tests;

use super::Arrival;
use super::udp::canonical;
use crate::config::{Limits, Listener};
use crate::ground::{ConnId, Flow, ListenerId, Transport};
use crate::wire::sip::{Framed, Framer};
use bytes::Bytes;
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use table::{Conn, Stage, Table};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// A message that has begun is complete within this, the first one and every other.
const COMPLETE: Duration = Duration::from_secs(10);
/// Nothing at all before the first message: closed after this.
const QUIET: Duration = Duration::from_secs(60);
/// Connecting takes at most this.
const CONNECT: Duration = Duration::from_secs(5);
/// A peer that is gone without a word is noticed after about two minutes.
const PROBE: Duration = Duration::from_secs(30);
/// Messages waiting to be written to one peer.
const QUEUE: usize = 64;

/// All stream connections.
#[derive(Clone, Debug)]
pub struct Streams {
    table: Arc<Mutex<Table>>,
    listeners: Arc<Vec<Listener>>,
    queue: mpsc::Sender<Arrival>,
}

impl Streams {
    /// None open yet.
    #[must_use]
    pub fn new(listeners: Vec<Listener>, limits: &Limits, queue: mpsc::Sender<Arrival>) -> Self {
        let (table, listeners) = (Arc::default(), Arc::new(listeners));
        let streams = Self { table, listeners, queue };
        streams.set_limits(limits);
        streams
    }

    /// How many may be open from now on; those that are stay.
    pub fn set_limits(&self, limits: &Limits) {
        let mut t = self.table();
        (t.total, t.per_source) = (limits.connections, limits.connections_per_source);
    }

    fn table(&self) -> std::sync::MutexGuard<'_, Table> {
        // A panic while holding it cannot leave the maps half-written in a way that matters.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Open connections.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table().open.len()
    }

    /// True when none is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Accepts until the event loop is gone.
    pub async fn accept(self, socket: TcpListener, listener: ListenerId) {
        loop {
            match socket.accept().await {
                Ok((stream, peer)) => self.take(stream, canonical(peer), listener),
                // Out of descriptors, most likely: wait instead of spinning.
                Err(_) => sleep(Duration::from_millis(100)).await,
            }
            if self.queue.is_closed() {
                return;
            }
        }
    }

    fn take(&self, stream: TcpStream, peer: SocketAddr, listener: ListenerId) {
        let Some((conn, writes)) = self.register(peer, listener, true) else { return };
        let flow = Flow { listener, transport: Transport::Tcp, peer, conn: Some(conn) };
        tokio::spawn(self.clone().run(stream, flow, writes, true));
    }

    fn register(
        &self,
        peer: SocketAddr,
        listener: ListenerId,
        accepted: bool,
    ) -> Option<(ConnId, mpsc::Receiver<Bytes>)> {
        let mut t = self.table();
        if !t.make_room(peer.ip(), accepted) {
            return None;
        }
        t.next += 1;
        let conn = ConnId(t.next);
        let (writer, rx) = mpsc::channel(QUEUE);
        let stage = if accepted { Stage::Silent } else { Stage::Kept };
        t.insert(conn, Conn { writer, listener, peer, stage });
        Some((conn, rx))
    }

    fn opened(&self, flow: &Flow) {
        if let Some(conn) = flow.conn {
            self.table().promote(conn, Stage::Heard);
        }
    }

    /// A registered phone or an upstream speaks by this connection: it gives way to nobody.
    pub fn keep(&self, conn: ConnId) {
        self.table().promote(conn, Stage::Kept);
    }

    /// Sends by the flow's connection, another open one to the peer, or a new one. Where the flow's
    /// own has gone, its peer's port was that connection's and nobody listens there: the engine is
    /// told, who knows where the peer does (RFC 3261 §18.2.2).
    pub fn send(&self, flow: Flow, bytes: Bytes) {
        let writer = {
            let t = self.table();
            let own = flow.conn.and_then(|c| t.open.get(&c));
            let other = || t.by_peer.get(&(flow.listener, flow.peer)).and_then(|c| t.open.get(c));
            own.or_else(other).map(|c| c.writer.clone())
        };
        if let Some(writer) = writer {
            // A peer that does not read loses messages, not us memory.
            let _ = writer.try_send(bytes);
            return;
        }
        if flow.conn.is_some() {
            self.report(Arrival::Failed(flow));
            return;
        }
        match self.register(flow.peer, flow.listener, false) {
            Some((conn, writes)) => {
                if let Some(c) = self.table().open.get(&conn) {
                    let _ = c.writer.try_send(bytes);
                }
                let flow = Flow { conn: Some(conn), ..flow };
                tokio::spawn(self.clone().connect(flow, writes));
            }
            None => self.report(Arrival::Failed(flow)),
        }
    }

    /// Closes after what is queued was written.
    pub fn close(&self, conn: ConnId) {
        self.table().remove(conn);
    }

    fn forget(&self, flow: &Flow) {
        if let Some(conn) = flow.conn {
            self.table().remove(conn);
        }
    }

    fn report(&self, arrival: Arrival) {
        let queue = self.queue.clone();
        tokio::spawn(async move {
            let _ = queue.send(arrival).await;
        });
    }

    async fn connect(self, flow: Flow, writes: mpsc::Receiver<Bytes>) {
        let local = self.listeners.iter().find(|l| l.id == flow.listener).map(|l| l.bind.ip());
        match timeout(CONNECT, dial(flow.peer, local)).await {
            Ok(Ok(stream)) => self.run(stream, flow, writes, false).await,
            Ok(Err(_)) | Err(_) => {
                self.forget(&flow);
                let _ = self.queue.send(Arrival::Failed(flow)).await;
            }
        }
    }

    async fn run(
        self,
        stream: TcpStream,
        flow: Flow,
        mut writes: mpsc::Receiver<Bytes>,
        new: bool,
    ) {
        let _ = stream.set_nodelay(true);
        let probes = TcpKeepalive::new().with_time(PROBE).with_interval(PROBE).with_retries(3);
        let _ = SockRef::from(&stream).set_tcp_keepalive(&probes);
        let (read, write) = stream.into_split();
        let mut half = new;
        tokio::select! {
            () = self.read(read, flow, &mut half) => {}
            () = write_all(write, &mut writes) => {}
        }
        self.forget(&flow);
        // What was not written any more is not lost without a word.
        if writes.try_recv().is_ok() {
            let _ = self.queue.send(Arrival::Failed(flow)).await;
        }
        if let Some(conn) = flow.conn {
            let _ = self.queue.send(Arrival::Closed(conn)).await;
        }
    }

    async fn read(&self, mut read: OwnedReadHalf, flow: Flow, half: &mut bool) {
        let mut framer = Framer::default();
        let mut buffer = vec![0_u8; 16 * 1024];
        let mut deadline = None;
        loop {
            let quiet = half.then(|| Instant::now() + QUIET);
            let size = match deadline.or(quiet) {
                Some(until) => timeout_at(until, read.read(&mut buffer)).await.unwrap_or(Ok(0)),
                None => read.read(&mut buffer).await,
            };
            let size = size.unwrap_or(0);
            if size == 0 {
                return;
            }
            framer.push(buffer.get(..size).unwrap_or_default());
            while let Some(item) = framer.next() {
                match item {
                    Framed::Message(bytes) => {
                        if std::mem::take(half) {
                            self.opened(&flow);
                        }
                        deadline = None;
                        if self.queue.send(Arrival::Message { flow, bytes }).await.is_err() {
                            return;
                        }
                    }
                    Framed::Ping => self.send(flow, Bytes::from_static(b"\r\n")),
                    Framed::Refused(refusal) => {
                        let _ = self.queue.send(Arrival::Refused { flow, refusal }).await;
                        // Time for the answer to be queued and written.
                        sleep(Duration::from_millis(200)).await;
                        return;
                    }
                }
            }
            if framer.is_partial() {
                deadline.get_or_insert_with(|| Instant::now() + COMPLETE);
            }
        }
    }
}

async fn dial(peer: SocketAddr, local: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = if peer.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(ip) = local {
        socket.bind(SocketAddr::new(ip, 0))?;
    }
    socket.connect(peer).await
}

async fn write_all(mut write: OwnedWriteHalf, writes: &mut mpsc::Receiver<Bytes>) {
    while let Some(bytes) = writes.recv().await {
        if write.write_all(&bytes).await.is_err() {
            return;
        }
    }
}
