//! What carries a tunnel at a time: a connection by QUIC, or some by TCP where nothing else gets
//! through. Whatever it is, messages go by streams and media by datagrams.

use super::by_tcp::ByTcp;
use super::link::GROUPS;
use super::media::Counts;
use super::rate;
use super::shares::Room;
use super::told::{Farewell, Stream};
use super::words;
pub use crate::ground::Bearer as Kind;
use crate::wire::tunnel::probe;
use bytes::Bytes;
use quinn::{Connection, VarInt};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::time::timeout;

/// A packet that goes by a stream of its own is written within this, or lost.
const WRITTEN: Duration = Duration::from_secs(2);

/// Octets that QUIC may hold of media: half of that is packets, and the rest what it keeps of each.
pub(super) const QUEUE: usize = 96 * 1_024;
/// Octets of messages that it may hold at most.
pub(super) const WINDOW: u64 = 1 << 20;
/// Packets of one tunnel that go by streams of their own at once.
const LONG: usize = 64;

/// One of them.
#[derive(Clone, Debug)]
pub(super) enum Bearer {
    Quic(Connection),
    Tcp(Arc<ByTcp>),
}

/// What it has carried, and how long there and back takes, where that is known.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Figures {
    pub(super) trip: Option<Duration>,
    /// Packets sent, and lost on their way; of TCP nobody says.
    pub(super) packets: Option<(u64, u64)>,
    /// Octets sent and received.
    pub(super) octets: (u64, u64),
}

impl Room {
    /// What the rate has room for, where so much waits in quinn.
    pub(super) fn of(known: rate::Known, waits: usize) -> Self {
        let octets = |n: u64| usize::try_from(n).unwrap_or(QUEUE).min(QUEUE / 2);
        let sure = octets(known.room.0).saturating_sub(waits);
        Self { sure, beyond: octets(known.room.1).saturating_sub(waits).min(sure) }
    }
}

impl Bearer {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Quic(_) => Kind::Quic,
            Self::Tcp(_) => Kind::Tcp,
        }
    }

    /// Tells it from others.
    pub(super) fn id(&self) -> (Kind, usize) {
        match self {
            Self::Quic(connection) => (Kind::Quic, connection.stable_id()),
            Self::Tcp(tcp) => (Kind::Tcp, Arc::as_ptr(tcp).addr()),
        }
    }

    pub(super) fn peer(&self) -> SocketAddr {
        match self {
            Self::Quic(connection) => connection.remote_address(),
            Self::Tcp(tcp) => tcp.peer(),
        }
    }

    pub(super) fn close(&self, farewell: Farewell) {
        match self {
            Self::Quic(connection) => {
                let (code, why) = farewell.told();
                connection.close(VarInt::from_u32(code), why.as_bytes());
            }
            Self::Tcp(tcp) => tcp.close(farewell.told().1),
        }
    }

    /// Waits for its end; why, in words.
    pub(super) async fn ended(&self) -> String {
        match self {
            Self::Quic(connection) => words::ended_quic(&connection.closed().await),
            Self::Tcp(tcp) => tcp.ended().await,
        }
    }

    pub(super) fn figures(&self) -> Figures {
        match self {
            Self::Quic(connection) => {
                let stats = connection.stats();
                Figures {
                    trip: Some(connection.rtt()),
                    packets: Some((stats.path.sent_packets, stats.path.lost_packets)),
                    octets: (stats.udp_tx.bytes, stats.udp_rx.bytes),
                }
            }
            Self::Tcp(tcp) => tcp.figures(),
        }
    }

    /// How much of media may be given to it now; messages are told what may be under way of them.
    /// By TCP there is always room: what waits there waits here as well.
    pub(super) fn room(&self) -> Room {
        let Self::Quic(connection) = self else { return Room::ANY };
        let known = rate::known(connection);
        connection.set_send_window(known.messages.min(WINDOW));
        Room::of(known, QUEUE.saturating_sub(connection.datagram_send_buffer_space()))
    }

    /// Whether long packets are swallowed on the way there, and short ones are not.
    pub(super) fn is_narrow(&self) -> bool {
        match self {
            Self::Quic(connection) => rate::known(connection).is_narrow,
            Self::Tcp(_) => false,
        }
    }

    /// Sends a datagram of media to a port of the other end's.
    pub(super) fn send(&self, port: u16, packet: Bytes, counts: &Arc<Counts>) {
        match self {
            Self::Quic(connection) => by_quic(connection, packet, counts),
            Self::Tcp(tcp) => tcp.send(port, packet, counts),
        }
    }

    /// Sends what is told of the way; what does not get through is told by its absence.
    pub(super) fn tell(&self, probe: Bytes) {
        match self {
            Self::Quic(connection) => drop(connection.send_datagram(probe)),
            Self::Tcp(tcp) => tcp.send(probe::PORT, probe, &Counts::default()),
        }
    }

    /// A stream for each group, in their order: the site's end opens them.
    pub(super) async fn streams(&self, opens: bool) -> Option<Vec<(usize, Stream)>> {
        match self {
            Self::Quic(connection) if opens => {
                let mut all = Vec::with_capacity(GROUPS);
                for group in 0..GROUPS {
                    all.push((group, open(connection, group).await?));
                }
                Some(all)
            }
            Self::Quic(_) => Some(Vec::new()),
            Self::Tcp(tcp) => Some(tcp.streams()),
        }
    }

    /// Another stream for a group whose own has ended. Of QUIC the site's end opens it; by TCP the
    /// streams are of the connection, which ends with any of them.
    pub(super) async fn renewed(&self, opens: bool, group: usize) -> Option<Stream> {
        match self {
            Self::Quic(connection) if opens => open(connection, group).await.map(Stream::again),
            Self::Quic(_) => None,
            Self::Tcp(_) => {
                self.close(Farewell::Still);
                None
            }
        }
    }
}

/// A stream that says which group it is of.
async fn open(connection: &Connection, group: usize) -> Option<Stream> {
    let (mut send, receive) = connection.open_bi().await.ok()?;
    send.write_all(&[u8::try_from(group).ok()?]).await.ok()?;
    Some(Stream::new(receive, send))
}

fn by_quic(connection: &Connection, packet: Bytes, counts: &Arc<Counts>) {
    let fits = connection.max_datagram_size().is_some_and(|most| packet.len() <= most);
    if fits {
        let count = match connection.send_datagram(packet) {
            Ok(()) => &counts.sent,
            Err(_) => &counts.lost,
        };
        count.fetch_add(1, Relaxed);
        return;
    }
    if counts.under_way.load(Relaxed) >= LONG {
        counts.lost.fetch_add(1, Relaxed);
        return;
    }
    counts.under_way.fetch_add(1, Relaxed);
    let (connection, counts) = (connection.clone(), counts.clone());
    tokio::spawn(async move {
        let sent = async {
            let mut stream = connection.open_uni().await.ok()?;
            stream.write_all(&packet).await.ok()?;
            stream.finish().ok()
        };
        let sent = timeout(WRITTEN, sent).await.ok().flatten();
        let count = if sent.is_some() { &counts.long } else { &counts.lost };
        count.fetch_add(1, Relaxed);
        counts.under_way.fetch_sub(1, Relaxed);
    });
}
