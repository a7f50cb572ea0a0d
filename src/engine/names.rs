//! What DNS is asked and says, as the engine sees it: questions are effects, replies are inputs.
//! No packet of DNS is read or written here.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// Records of one reply that are read; more are left.
pub const RECORDS: usize = 32;

/// A question. Names are in small letters, without a dot at the end.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Question {
    /// Which transports a domain offers (RFC 3263 §4.1).
    Naptr(String),
    /// Which hosts serve it by one transport (RFC 2782).
    Srv(String),
    /// A host's addresses: A and AAAA.
    Hosts(String),
}

impl Question {
    /// The name that is asked for.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Naptr(name) | Self::Srv(name) | Self::Hosts(name) => name,
        }
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Naptr(name) => write!(f, "NAPTR {name}"),
            Self::Srv(name) => write!(f, "SRV {name}"),
            Self::Hosts(name) => write!(f, "A/AAAA {name}"),
        }
    }
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Record {
    /// RFC 2915; `replacement` is the name of an SRV record where `flags` is "s".
    Naptr {
        /// The lowest is asked first.
        order: u16,
        /// Among those of one order, the lowest first.
        preference: u16,
        /// "s", "a", "u" or nothing.
        flags: String,
        /// As "SIP+D2U".
        service: String,
        /// The next name.
        replacement: String,
    },
    /// RFC 2782.
    Srv {
        /// The lowest is tried first.
        priority: u16,
        /// A share among those of one priority.
        weight: u16,
        /// Port.
        port: u16,
        /// A host; empty: there is no such service.
        target: String,
    },
    /// An address.
    Address(IpAddr),
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Records, good for so long.
    Records(Vec<Record>, Duration),
    /// There is none, for so long.
    Nothing(Duration),
    /// Nobody could be asked, or who was did not know.
    Failed(String),
}
