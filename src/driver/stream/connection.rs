//! The tasks of one connection: it reads, frames and writes, each with a deadline, and ends when
//! its place is taken. It never decides who gives way.

use super::Streams;
use super::beat::Beat;
use super::bells::Bells;
use super::table::Next;
use crate::driver::Arrival;
use crate::driver::tls::Dial;
use crate::driver::zone::towards;
use crate::ground::{Flow, ListenerId};
use crate::wire::sip::{Framed, Framer};
use bytes::Bytes;
use socket2::{SockRef, TcpKeepalive};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// A message that has begun is complete within this, the first one and every other.
pub(super) const COMPLETE: Duration = Duration::from_secs(10);
/// A message of a tunnel, which outlives a cut of its way, is written within this: whatever carries
/// it ends sooner.
pub(super) const WRITTEN_BY_TUNNEL: Duration = Duration::from_secs(20);
/// A message is written within this, or its peer does not read.
pub(super) const WRITTEN: Duration = Duration::from_secs(10);
/// The first message of who has called us is complete within this, whatever else he sends.
pub(super) const QUIET: Duration = Duration::from_secs(60);
/// So often an upstream that is heard is known anew.
const AGAIN: Duration = Duration::from_secs(3_600);
/// Connecting takes at most this.
const CONNECT: Duration = Duration::from_secs(5);
/// Saying good-bye takes at most this.
const FAREWELL: Duration = Duration::from_millis(500);
/// The kernel asks so often whether a peer is there, where the interface's `keepalive` is off.
const PROBE: Duration = Duration::from_secs(30);
/// What a peer's kernel does not acknowledge for so long ends the connection: who is gone without a
/// word is found out by the first message, or by the second time that the kernel asks.
const GONE: Duration = Duration::from_secs(10);
/// Messages of one connection that wait for the event loop; it reads on when that has done one.
const AHEAD: usize = 8;
/// Octets read at once.
const CHUNK: usize = 16 * 1024;
/// Octets that the kernel may hold for one connection each way, before it doubles them. What a peer
/// does not read is our memory, too.
const KERNEL: u32 = 64 * 1024;

/// Whose octets are read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Whose {
    /// Of who has called us: his first message has to be complete by then.
    Caller(Instant),
    /// Of whom we have called.
    Called,
    /// Of a gateway at the other end of a tunnel, whose messages are of many: none of them may end
    /// the way of all others, and none is late while that way is cut.
    Tunnel,
}

impl Whose {
    fn first(self) -> Option<Instant> {
        match self {
            Self::Caller(until) => Some(until),
            Self::Called | Self::Tunnel => None,
        }
    }

    fn is_tunnel(self) -> bool {
        matches!(self, Self::Tunnel)
    }

    fn framer(self) -> Framer {
        if self.is_tunnel() { Framer::shared() } else { Framer::default() }
    }
}

/// A socket that holds no more of a peer that does not read than it must.
pub(super) fn socket(v4: bool) -> io::Result<TcpSocket> {
    let socket = if v4 { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Best effort; accepted connections inherit it.
    let _ = socket.set_send_buffer_size(KERNEL);
    let _ = socket.set_recv_buffer_size(KERNEL);
    Ok(socket)
}

pub(super) async fn dial(peer: SocketAddr, local: Option<SocketAddr>) -> io::Result<TcpStream> {
    let socket = socket(peer.is_ipv4())?;
    if let Some(at) = local {
        socket.bind(at)?;
    }
    socket.connect(peer).await
}

impl Streams {
    /// What the kernel does with it.
    pub(super) fn set_up(&self, stream: &TcpStream, listener: ListenerId) {
        let every = self.callers().keepalive(listener).unwrap_or(PROBE);
        let _ = stream.set_nodelay(true);
        let probes = TcpKeepalive::new().with_time(every).with_interval(every).with_retries(3);
        let socket = SockRef::from(stream);
        let _ = socket.set_tcp_keepalive(&probes);
        let _ = socket.set_tcp_user_timeout(Some(GONE));
    }

    pub(super) async fn connect(
        self,
        flow: Flow,
        local: Option<SocketAddr>,
        bells: Arc<Bells>,
        dial_tls: Option<Dial>,
    ) {
        let device = local.map_or(0, |at| self.zones.of_own(at.ip()));
        let local = local.map(|at| towards(at, device));
        match (timeout(CONNECT, dial(towards(flow.peer, device), local)).await, dial_tls) {
            (Ok(Ok(stream)), None) => self.run(stream, flow, bells, None).await,
            (Ok(Ok(stream)), Some(dial)) => self.introduce(stream, flow, bells, dial).await,
            (Ok(Err(_)) | Err(_), _) => {
                self.forget(&flow);
                self.inlet.tell(Arrival::Failed(flow)).await;
            }
        }
    }

    pub(super) async fn run(
        self,
        stream: TcpStream,
        flow: Flow,
        bells: Arc<Bells>,
        until: Option<Instant>,
    ) {
        self.set_up(&stream, flow.listener);
        let (read, write) = stream.into_split();
        self.serve(read, write, flow, bells, until).await;
    }

    /// Reads and writes until one of the two ends, or its place is taken. `until`: the peer has
    /// opened it, and has to have said something by then.
    pub(super) async fn serve<R, W>(
        self,
        read: R,
        write: W,
        flow: Flow,
        bells: Arc<Bells>,
        until: Option<Instant>,
    ) where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let whose = until.map_or(Whose::Called, Whose::Caller);
        let silent = tokio::select! {
            () = self.read(read, flow, (whose, &bells.beat)) => false,
            () = self.write(write, flow, &bells, WRITTEN) => false,
            () = bells.gone.notified() => false,
            () = bells.beat.missed() => true,
        };
        if silent {
            self.inlet.tell(Arrival::Failed(flow)).await;
        }
        self.ended(flow, until.is_none() && !silent).await;
    }

    /// It came to nothing.
    pub(super) async fn over(&self, flow: Flow) {
        self.ended(flow, false).await;
    }

    /// It is gone. What was not written any more is not lost without a word, nor what was written
    /// by one that we opened (`ours`), for who was to read it may never have.
    async fn ended(&self, flow: Flow, ours: bool) {
        let broken = ours && self.table().carrier(&flow) == flow.conn;
        let replaced = flow.conn.is_some_and(|conn| self.table().is_replaced(conn));
        let unwritten = self.forget(&flow) && !replaced;
        if replaced {
            self.inlet.tell(Arrival::Replaced(flow)).await;
        } else if broken {
            self.inlet.tell(Arrival::Broken(flow)).await;
        }
        if unwritten {
            self.inlet.tell(Arrival::Failed(flow)).await;
        }
        if let Some(conn) = flow.conn {
            self.inlet.tell(Arrival::Closed(conn)).await;
        }
    }

    /// Reads until its end, or that of its deadline.
    pub(super) async fn read<R: AsyncRead + Unpin>(
        &self,
        mut read: R,
        flow: Flow,
        (whose, beat): (Whose, &Beat),
    ) {
        let (mut framer, first) = (whose.framer(), whose.first());
        let turns = Arc::new(Semaphore::new(AHEAD));
        let (mut half, mut deadline, mut counted) = (true, None, 0);
        let mut known = Instant::now();
        loop {
            let quiet = first.filter(|_| half);
            let receive = poll_fn(|cx| receive(Pin::new(&mut read), cx, &mut framer));
            let received = match [deadline, quiet].into_iter().flatten().min() {
                Some(until) => timeout_at(until, receive).await,
                None => Ok(receive.await),
            };
            if let Ok(Err(e)) = &received
                && half
                && matches!(whose, Whose::Called)
            {
                self.refused(flow, e).await;
            }
            if !matches!(received, Ok(Ok(1..))) {
                return;
            }
            beat.heard();
            if known.elapsed() > AGAIN {
                known = Instant::now();
                self.know_again(&flow);
            }
            while let Some(item) = framer.next() {
                match item {
                    Framed::Message(bytes) => {
                        // One that we opened lapses, but not while it is used.
                        if std::mem::take(&mut half) || first.is_none() {
                            self.heard(&flow);
                        }
                        deadline = None;
                        let held = (framer.held(), &mut counted);
                        if !self.hand_over(flow, bytes, held, (whose, &turns)).await {
                            return;
                        }
                    }
                    Framed::Ping if self.hears_nothing(&flow, first) => {}
                    Framed::Ping => self.send(flow, Bytes::from_static(b"\r\n"), None),
                    Framed::Refused(refusal) => {
                        self.inlet.tell(Arrival::Refused { flow, refusal }).await;
                        if !framer.is_dead() {
                            deadline = None;
                            continue;
                        }
                        // Time for the answer to be queued and written.
                        sleep(Duration::from_millis(200)).await;
                        return;
                    }
                }
            }
            if !self.holds(&flow, framer.held(), &mut counted) && !whose.is_tunnel() {
                return;
            }
            if framer.is_partial() && !whose.is_tunnel() {
                deadline.get_or_insert_with(|| Instant::now() + COMPLETE);
            }
        }
    }

    /// A stranger where strangers hear nothing, a ping's answer included.
    fn hears_nothing(&self, flow: &Flow, first: Option<Instant>) -> bool {
        let is_kept = || flow.conn.is_some_and(|conn| self.table().is_kept(conn));
        let side = self.side(flow.listener);
        let callers = self.callers();
        let is_known = callers.is_known(side, flow.peer.ip());
        let is_silent = callers.is_silent(flow.listener);
        drop(callers);
        first.is_some() && is_silent && !is_known && !is_kept()
    }

    /// Gives a message to the event loop. Where it has to wait for that, it is counted with what
    /// the framer holds. False: there is no room for it, or nobody reads any more.
    async fn hand_over(
        &self,
        flow: Flow,
        bytes: Bytes,
        (held, counted): (usize, &mut usize),
        (whose, turns): (Whose, &Arc<Semaphore>),
    ) -> bool {
        if let Ok(turn) = turns.clone().try_acquire_owned()
            && self.inlet.hand_over_now(flow, bytes.clone(), turn)
        {
            return true;
        }
        if !self.holds(&flow, held + bytes.len(), counted) && !whose.is_tunnel() {
            return false;
        }
        let Ok(turn) = turns.clone().acquire_owned().await else { return false };
        self.inlet.hand_over(flow, bytes, turn).await
    }

    /// Counts the octets that are held, where they are others than before. False: there is no room
    /// for them.
    fn holds(&self, flow: &Flow, held: usize, counted: &mut usize) -> bool {
        let before = std::mem::replace(counted, held);
        before == held || flow.conn.is_some_and(|conn| self.table().hold(conn, held))
    }

    /// Writes what waits, until the connection is to be closed, or its peer does not read: a
    /// message is not written `within` that time.
    pub(super) async fn write<W: AsyncWrite + Unpin>(
        &self,
        mut write: W,
        flow: Flow,
        bells: &Bells,
        within: Duration,
    ) {
        let Some(conn) = flow.conn else { return };
        loop {
            let next = self.table().take(conn);
            match next {
                Next::Write(bytes, until) => {
                    let own = Instant::now() + within;
                    let until = until.map_or(own, |until| until.min(own));
                    let all = async {
                        write.write_all(&bytes).await?;
                        write.flush().await
                    };
                    let written = timeout_at(until, all).await;
                    if !matches!(written, Ok(Ok(()))) {
                        return;
                    }
                    bells.beat.wrote(&bytes);
                }
                Next::Wait(None) => bells.news.notified().await,
                Next::Wait(Some(until)) => drop(timeout_at(until, bells.news.notified()).await),
                Next::End => {
                    // By TLS this says that nothing was cut off (RFC 8446 §6.1).
                    let _ = timeout(FAREWELL, write.shutdown()).await;
                    return;
                }
            }
        }
    }
}

/// Reads once what is there. No memory is kept for a connection that says nothing.
fn receive<R: AsyncRead>(
    read: Pin<&mut R>,
    cx: &mut Context<'_>,
    framer: &mut Framer,
) -> Poll<io::Result<usize>> {
    let mut chunk = [0_u8; CHUNK];
    let mut chunk = ReadBuf::new(&mut chunk);
    match read.poll_read(cx, &mut chunk) {
        Poll::Pending => Poll::Pending,
        Poll::Ready(Err(e)) => Poll::Ready(Err(e)),
        Poll::Ready(Ok(())) => {
            framer.push(chunk.filled());
            Poll::Ready(Ok(chunk.filled().len()))
        }
    }
}
