//! One tunnel, whoever began its connection: what it carries, whom it believes, and how it stands.
//! It calls nobody and listens nowhere.

use super::identity;
use super::media::{Media, Port};
use super::rate::Rate;
use crate::config::{End, PublicKey, Tunnel};
use crate::ground::Subject;
use bytes::Bytes;
use quinn::{Connection, RecvStream, SendStream, TransportConfig, VarInt};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};

/// A stream of a tunnel: both ways.
pub type Stream = (RecvStream, SendStream);

/// A connection by which nothing came for so long is none. It is asked for a sign four times as
/// often.
const SILENT: Duration = Duration::from_secs(12);
/// Streams of the other end's that may be open at once: of SIP, and of long packets.
const STREAMS: (u32, u32) = (64, 64);
/// Streams that carry messages, so that one that was lost holds up a part of them only. The site
/// opens them, and says in the first octet which it is.
pub const GROUPS: usize = 4;
/// That octet comes at once, or never.
const NAMED: Duration = Duration::from_secs(5);
/// Octets that may wait for one stream's reader, and for all of a tunnel's.
const WINDOW: (u32, u32) = (128 * 1_024, 1 << 20);
/// Packets of media that may wait to be sent, in octets: older ones are dropped for new ones.
const QUEUE: usize = 48 * 1_024;
/// The longest packet of media.
const LONGEST: usize = 65_535;
/// Datagrams sent at once at most; whoever else works in this thread gets his turn.
const TOGETHER: usize = 256;

/// Why a connection is ended by us, as the other end reads it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Farewell {
    /// A newer one is there.
    Replaced,
    /// Its key was taken back.
    Revoked,
    /// This gateway stops.
    Over,
}

impl Farewell {
    fn told(self) -> (VarInt, &'static [u8]) {
        match self {
            Self::Replaced => (VarInt::from_u32(1), b"a newer connection is there"),
            Self::Revoked => (VarInt::from_u32(2), b"this key is believed no longer"),
            Self::Over => (VarInt::from_u32(3), b"this gateway stops"),
        }
    }
}

/// How a tunnel stands.
#[derive(Clone, Debug)]
pub enum State {
    /// There is no connection.
    Down {
        /// Since then.
        since: Instant,
        /// Why, in words.
        why: String,
    },
    /// There is one.
    Up {
        /// Since then.
        since: Instant,
        /// Where the other end is seen.
        peer: SocketAddr,
        /// How long there and back takes.
        trip: Duration,
        /// Packets of the connection that were sent, and those that were lost on their way.
        packets: (u64, u64),
        /// Octets that were sent, and that came, as UDP carries them.
        octets: (u64, u64),
    },
}

#[derive(Debug)]
enum Stands {
    Down { since: Instant, why: String },
    Up { since: Instant, connection: Connection },
}

/// One tunnel.
#[derive(Debug)]
pub struct Link {
    name: String,
    tunnel: Mutex<Tunnel>,
    media: Arc<Media>,
    /// For who sends it on; taken while a connection does.
    out: tokio::sync::Mutex<mpsc::Receiver<Bytes>>,
    stands: Mutex<Stands>,
    connection: watch::Sender<Option<Connection>>,
    /// A head office's: streams that the site has opened, by group.
    groups: [(mpsc::Sender<Stream>, tokio::sync::Mutex<mpsc::Receiver<Stream>>); GROUPS],
}

impl Link {
    pub(super) fn new(name: &str, tunnel: Tunnel) -> Self {
        let (media, out) = Media::new(tunnel.far());
        let group = |_| {
            let (opened, accepted) = mpsc::channel(1);
            (opened, tokio::sync::Mutex::new(accepted))
        };
        let why = "not tried yet".to_owned();
        Self {
            name: name.to_owned(),
            tunnel: Mutex::new(tunnel),
            media: Arc::new(media),
            out: tokio::sync::Mutex::new(out),
            stands: Mutex::new(Stands::Down { since: Instant::now(), why }),
            connection: watch::Sender::new(None),
            groups: std::array::from_fn(group),
        }
    }

    /// Its interface's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn tunnel(&self) -> MutexGuard<'_, Tunnel> {
        self.tunnel.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stands(&self) -> MutexGuard<'_, Stands> {
        self.stands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What both ends call the site.
    #[must_use]
    pub fn site(&self) -> String {
        self.tunnel().site.clone()
    }

    /// Where this end stands in it.
    #[must_use]
    pub fn own(&self) -> IpAddr {
        self.tunnel().own()
    }

    /// Where the other end does.
    #[must_use]
    pub fn far(&self) -> IpAddr {
        self.tunnel().far()
    }

    /// What the other end proves by its key.
    #[must_use]
    pub fn proof(&self) -> Option<Subject> {
        self.tunnel().proof()
    }

    /// Whether this is the other end's key.
    pub(super) fn believes(&self, key: &PublicKey) -> bool {
        self.tunnel().peer.as_ref() == Some(key)
    }

    /// From now on this holds.
    pub(super) fn follow(&self, tunnel: &Tunnel) {
        self.tunnel().clone_from(tunnel);
        let proved = self.connection.borrow().as_ref().and_then(identity::proved);
        if !proved.is_some_and(|key| self.believes(&key)) {
            self.part(Farewell::Revoked);
        }
    }

    /// Ends its connection, if there is one.
    pub(super) fn part(&self, farewell: Farewell) {
        let connection = self.connection.borrow().clone();
        if let Some(connection) = connection {
            let (code, why) = farewell.told();
            connection.close(code, why);
        }
    }

    /// How it stands.
    #[must_use]
    pub fn state(&self) -> State {
        match &*self.stands() {
            Stands::Down { since, why } => State::Down { since: *since, why: why.clone() },
            Stands::Up { since, connection } => {
                let stats = connection.stats();
                State::Up {
                    since: *since,
                    peer: connection.remote_address(),
                    trip: connection.rtt(),
                    packets: (stats.path.sent_packets, stats.path.lost_packets),
                    octets: (stats.udp_tx.bytes, stats.udp_rx.bytes),
                }
            }
        }
    }

    /// Packets of media that went, came, went by streams, came for nobody, and were lost here.
    #[must_use]
    pub fn media(&self) -> [u64; 5] {
        let c = &self.media.counts;
        [&c.sent, &c.received, &c.long, &c.astray, &c.lost].map(|count| count.load(Relaxed))
    }

    /// A port of the relay's.
    ///
    /// # Errors
    /// It is open already, or there are no more descriptors.
    pub fn port(&self, port: u16) -> io::Result<Port> {
        Port::open(self.media.clone(), port)
    }

    /// The next stream of a group, when there is a connection. `None`: there will be none.
    pub async fn stream(&self, group: usize) -> Option<Stream> {
        let is_site = matches!(self.tunnel().end, End::Site { .. });
        if !is_site {
            return self.groups.get(group)?.1.lock().await.recv().await;
        }
        let mut connection = self.connection.subscribe();
        loop {
            let there = connection.wait_for(Option::is_some).await.ok()?.clone()?;
            if let Ok((mut send, receive)) = there.open_bi().await
                && let Ok(name) = u8::try_from(group)
                && send.write_all(&[name]).await.is_ok()
            {
                return Some((receive, send));
            }
            // It has just ended: the next one.
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// There has been no connection for so long.
    #[must_use]
    pub fn is_lost(&self, lasts: Duration) -> bool {
        match &*self.stands() {
            Stands::Down { since, .. } => since.elapsed() >= lasts,
            Stands::Up { .. } => false,
        }
    }

    /// How its connections behave.
    pub(super) fn transport(&self) -> TransportConfig {
        let mut t = TransportConfig::default();
        t.max_concurrent_bidi_streams(STREAMS.0.into())
            .max_concurrent_uni_streams(STREAMS.1.into())
            .stream_receive_window(WINDOW.0.into())
            .receive_window(WINDOW.1.into())
            .send_window(WINDOW.1.into())
            .datagram_receive_buffer_size(Some(QUEUE * 4))
            .datagram_send_buffer_size(QUEUE)
            .keep_alive_interval(Some(SILENT / 4))
            // Segments that leave as one burst are lost as one.
            .enable_segmentation_offload(false)
            .congestion_controller_factory(Arc::new(Rate { ports: self.media.open_count() }));
        t.max_idle_timeout(SILENT.try_into().ok());
        t
    }

    /// There is no connection.
    pub(super) fn fails(&self, why: &str) {
        let mut stands = self.stands();
        match &mut *stands {
            Stands::Down { why: before, .. } => why.clone_into(before),
            Stands::Up { .. } => {
                *stands = Stands::Down { since: Instant::now(), why: why.to_owned() };
            }
        }
    }

    /// Carries by a connection until it ends. Both ends keep the stream of the greeting open.
    pub(super) async fn carry(&self, connection: Connection, _control: Stream) {
        let before = self.connection.send_replace(Some(connection.clone()));
        if let Some(before) = before {
            let (code, why) = Farewell::Replaced.told();
            before.close(code, why);
        }
        let peer = connection.remote_address();
        *self.stands() = Stands::Up { since: Instant::now(), connection: connection.clone() };
        tracing::info!("tunnel {}: connected to {peer}", self.name);
        let why = tokio::select! {
            why = connection.closed() => why.to_string(),
            () = self.accept(&connection) => "no more streams".to_owned(),
            () = self.receive(&connection) => "no more datagrams".to_owned(),
            () = self.receive_long(&connection) => "no more packets".to_owned(),
            () = self.send(&connection) => "nobody sends".to_owned(),
        };
        let why = connection.close_reason().map_or(why, |why| why.to_string());
        let is_last = self.connection.send_if_modified(|now| {
            let same = now.as_ref().is_some_and(|c| c.stable_id() == connection.stable_id());
            if same {
                *now = None;
            }
            same
        });
        if is_last {
            self.fails(&why);
            tracing::warn!("tunnel {}: the connection to {peer} has ended: {why}", self.name);
        }
    }

    /// Streams of the site's; of a head office's there are none.
    async fn accept(&self, connection: &Connection) {
        while let Ok((send, mut receive)) = connection.accept_bi().await {
            let mut name = [0];
            let named = timeout(NAMED, receive.read_exact(&mut name)).await;
            let group =
                self.groups.get(usize::from(name[0])).filter(|_| matches!(named, Ok(Ok(()))));
            if let Some((opened, _)) = group
                && opened.send((receive, send)).await.is_err()
            {
                return;
            }
        }
    }

    async fn receive(&self, connection: &Connection) {
        while let Ok(datagram) = connection.read_datagram().await {
            self.media.deliver(datagram);
        }
    }

    /// Packets too long for a datagram come by streams of their own.
    async fn receive_long(&self, connection: &Connection) {
        while let Ok(mut stream) = connection.accept_uni().await {
            let media = self.media.clone();
            tokio::spawn(async move {
                let all = timeout(SILENT, stream.read_to_end(LONGEST)).await;
                if let Ok(Ok(packet)) = all {
                    media.deliver(packet.into());
                }
            });
        }
    }

    /// Sends what the relay gives, gathered.
    async fn send(&self, connection: &Connection) {
        let mut out = self.out.lock().await;
        let mut together = Vec::with_capacity(TOGETHER);
        loop {
            let Some(first) = out.recv().await else { return };
            together.push(first);
            let gather = self.tunnel().gather;
            if !gather.is_zero() {
                sleep(gather).await;
            }
            while together.len() < TOGETHER {
                let Ok(next) = out.try_recv() else { break };
                together.push(next);
            }
            for packet in together.drain(..) {
                self.send_one(connection, packet);
            }
        }
    }

    fn send_one(&self, connection: &Connection, packet: Bytes) {
        let counts = &self.media.counts;
        let fits = connection.max_datagram_size().is_some_and(|most| packet.len() <= most);
        if fits {
            let count = match connection.send_datagram(packet) {
                Ok(()) => &counts.sent,
                Err(_) => &counts.lost,
            };
            count.fetch_add(1, Relaxed);
            return;
        }
        counts.long.fetch_add(1, Relaxed);
        let connection = connection.clone();
        tokio::spawn(async move {
            let Ok(Ok(mut stream)) = timeout(SILENT, connection.open_uni()).await else { return };
            if stream.write_all(&packet).await.is_ok() {
                let _ = stream.finish();
            }
        });
    }
}
