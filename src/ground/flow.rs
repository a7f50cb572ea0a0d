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
    /// The same within TLS 1.2 or 1.3, over TCP (RFC 3261 §26.2.1, RFC 5922).
    Tls,
}

impl Transport {
    /// As in a URI's `transport=` parameter.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }

    /// As in a Via's sent-protocol.
    #[must_use]
    pub fn via(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
        }
    }

    /// Whether the transport itself delivers (so that retransmission timers are off).
    #[must_use]
    pub fn is_reliable(self) -> bool {
        match self {
            Self::Udp => false,
            Self::Tcp | Self::Tls => true,
        }
    }

    /// Whether who is at the other end can be proved, and nobody between reads along.
    #[must_use]
    pub fn is_secure(self) -> bool {
        match self {
            Self::Udp | Self::Tcp => false,
            Self::Tls => true,
        }
    }

    /// Where it is listened for when nothing says where (RFC 3261 §18.1.1, §19.1.2).
    #[must_use]
    pub fn port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => 5060,
            Self::Tls => 5061,
        }
    }

    /// Protocol of the ports it listens at, as the kernel and packet filters call it.
    #[must_use]
    pub fn carrier(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp | Self::Tls => "tcp",
        }
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

/// An upstream, as long as the process runs: the name decides, wherever it stands in the file.
/// Local to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UpstreamId(u64);

impl UpstreamId {
    /// Numbered by whoever keeps the table.
    #[must_use]
    pub fn new(n: u64) -> Self {
        Self(n)
    }

    /// Its place in that table.
    #[must_use]
    pub fn index(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

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
    /// The upstream that has to prove itself there: a TLS connection that was opened to one is no
    /// other's, at the same address and port neither. `None`: no upstream, or no TLS.
    pub upstream: Option<UpstreamId>,
}
