//! Where a body would have media sent, as values for the engine to judge. It judges nothing itself.

use crate::wire::addresses::without_zone;
use std::fmt;
use std::net::IpAddr;

/// A host as a body names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A literal; mapped IPv4 addresses are unmapped.
    Ip(IpAddr),
    /// Anything else, as written (at most a line long); empty: no c= line at all.
    Name(String),
}

impl Host {
    /// Reads a word of a line.
    pub(super) fn read(word: &str) -> Self {
        without_zone(word)
            .parse::<IpAddr>()
            .map_or_else(|_| Self::Name(word.to_owned()), Self::from)
    }

    /// The address, unless it is a name.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Ip(ip) => Some(*ip),
            Self::Name(_) => None,
        }
    }

    /// 0.0.0.0 or ::, which mean "nowhere".
    pub(super) fn is_nowhere(&self) -> bool {
        self.ip().is_some_and(|ip| ip.is_unspecified())
    }
}

impl From<IpAddr> for Host {
    fn from(ip: IpAddr) -> Self {
        Self::Ip(ip.to_canonical())
    }
}

impl fmt::Display for Host {
    /// Names are shown escaped: they came from the network.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Name(name) => write!(f, "{}", name.escape_default()),
        }
    }
}

/// What would be sent to a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The stream itself (c= and m=).
    Rtp,
    /// Its RTCP (`a=rtcp`, else the port above RTP's).
    Rtcp,
    /// ICE checks, and then the stream (`a=candidate`).
    Candidate,
}

/// One place to which the peer would have media sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// 1-based line that names the port.
    pub line: usize,
    /// Index of the section in [`super::Sdp::media`].
    pub media: usize,
    /// What would be sent there.
    pub purpose: Purpose,
    /// The host.
    pub host: Host,
    /// The port, never 0.
    pub port: u16,
}
