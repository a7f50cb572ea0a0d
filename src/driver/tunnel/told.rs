//! What a tunnel shows of itself: its streams, how it stands, and why it ends a connection.

use super::bearer::Kind;
use crate::engine::TunnelPath;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// A stream of a tunnel, both ways.
pub struct Stream {
    /// What comes.
    pub read: Box<dyn AsyncRead + Send + Unpin>,
    /// What goes.
    pub write: Box<dyn AsyncWrite + Send + Unpin>,
    /// It stands for one that has ended, of the same connection.
    pub again: bool,
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream")
    }
}

impl Stream {
    pub(super) fn new(
        read: impl AsyncRead + Send + Unpin + 'static,
        write: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Self {
        Self { read: Box::new(read), write: Box::new(write), again: false }
    }

    pub(super) fn again(self) -> Self {
        Self { again: true, ..self }
    }
}

/// Why a connection is ended by us, as the other end reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Farewell {
    /// A newer one is there.
    Replaced,
    /// Its key was taken back.
    Revoked,
    /// This gateway stops.
    Over,
    /// It carries no messages.
    Still,
}

impl Farewell {
    pub(super) fn told(self) -> (u32, &'static str) {
        match self {
            Self::Replaced => (1, "a newer connection is there"),
            Self::Revoked => (2, "this key is believed no longer"),
            Self::Over => (3, "this gateway stops"),
            // 4 is a greeting's that is refused.
            Self::Still => (5, "messages stand still there"),
        }
    }
}

/// How a tunnel stands, and what it has done since the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Its interface.
    pub name: String,
    /// What both ends call the site.
    pub site: String,
    /// Whether this is the site's end.
    pub is_site: bool,
    /// Where it leads, or listens, as the file and the environment have it.
    pub way: String,
    /// By what it is carried, and where the other end is seen, or who is between; `None`: there is
    /// no connection.
    pub bearer: Option<(Kind, SocketAddr)>,
    /// For how long it has stood so.
    pub lasts: Duration,
    /// Why there is none, in words.
    pub why: String,
    /// Nobody is let in: its key was taken back, or there never was one.
    pub revoked: bool,
    /// How long there and back takes; `None`: nobody knows.
    pub trip: Option<Duration>,
    /// By how much the time on the way here varies from one second to the next (RFC 3550 §6.4.1);
    /// `None`: nobody knows.
    pub jitter: Option<Duration>,
    /// By how many milliseconds the other end's calendar is ahead; `None`: nobody knows.
    pub clock_ahead: Option<i64>,
    /// Packets sent to the other end, and those of them that were lost on their way; `None`: the
    /// bearer does not say.
    pub sent: Option<(u64, u64)>,
    /// Those of the other end's, as it says.
    pub received: Option<(u64, u64)>,
    /// Octets sent and received, without heads of UDP, TCP and IP.
    pub octets: (u64, u64),
    /// Connections that were made.
    pub connections: u64,
    /// How often it went on by another address of an end, and by another bearer.
    pub moves: [u64; 2],
    /// Packets of media by what became of them.
    pub media: [u64; 6],
    /// What goes by it is not acknowledged, and another way is looked for.
    pub is_moving: bool,
}

impl View {
    /// For the engine; `interface`: its place in the file.
    #[must_use]
    pub fn path(&self, interface: usize) -> TunnelPath {
        TunnelPath {
            interface,
            bearer: self.bearer.map(|(kind, _)| kind),
            trip: self.trip,
            jitter: self.jitter,
            sent: self.sent,
            received: self.received,
            connections: self.connections,
            moves: self.moves.iter().sum(),
            is_moving: self.is_moving,
        }
    }
}

/// What became of a packet of media.
pub const MEDIA: [&str; 6] = ["sent", "received", "long", "astray", "lost", "late"];
/// How a tunnel goes on.
pub const MOVES: [&str; 2] = ["address", "bearer"];
