//! A flow: the path a SIP message came by, and by which an answer goes back.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::SocketAddr;

/// Transport protocol of a SIP flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Datagrams: requests are retransmitted by us (RFC 3261 §17).
    Udp,
    /// Streams, framed by Content-Length (RFC 3261 §18.3).
    Tcp,
}

impl Transport {
    /// As in a URI's `transport=` parameter.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }

    /// As in a Via's sent-protocol.
    #[must_use]
    pub fn via(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
        }
    }

    /// Whether the transport itself delivers (so that retransmission timers are off).
    #[must_use]
    pub fn is_reliable(self) -> bool {
        matches!(self, Self::Tcp)
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One listening SIP socket: an index into the flattened `config.listeners()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenerId(pub u16);

/// One stream connection, numbered by the driver; never reused within a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId(pub u64);

/// The path of a message: our socket, the peer's address, and for streams the connection.
///
/// In an output a stream flow without `conn` (or with one that is closed) asks the driver to use
/// an open connection to `peer` or to make one from the listener's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// Our socket.
    pub listener: ListenerId,
    /// Its transport.
    pub transport: Transport,
    /// The other end, as seen on the wire.
    pub peer: SocketAddr,
    /// The stream connection, when there is one.
    pub conn: Option<ConnId>,
}
