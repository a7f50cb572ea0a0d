//! What a tunnel shows of itself: its streams, how it stands, and why it ends a connection.

use super::bearer::Kind;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

/// A stream of a tunnel, both ways.
pub struct Stream {
    /// What comes.
    pub read: Box<dyn AsyncRead + Send + Unpin>,
    /// What goes.
    pub write: Box<dyn AsyncWrite + Send + Unpin>,
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
        Self { read: Box::new(read), write: Box::new(write) }
    }
}

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
    pub(super) fn told(self) -> (u32, &'static str) {
        match self {
            Self::Replaced => (1, "a newer connection is there"),
            Self::Revoked => (2, "this key is believed no longer"),
            Self::Over => (3, "this gateway stops"),
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
        /// By what.
        bearer: Kind,
        /// Where the other end is seen, or who is between.
        peer: SocketAddr,
        /// How long there and back takes; `None`: nobody knows.
        trip: Option<Duration>,
        /// Packets that were sent, and those that were lost on their way; `None`: nobody knows.
        packets: Option<(u64, u64)>,
        /// Octets that were sent, and that came.
        octets: (u64, u64),
    },
}
