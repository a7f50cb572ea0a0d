//! Via (RFC 3261 §20.42, RFC 3581).

use super::Params;
use super::raw::RawVia;
use std::fmt;

/// One Via value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via {
    /// Transport token of the sent-protocol as written (`UDP`).
    pub transport: String,
    /// sent-by host as written.
    pub host: String,
    /// sent-by port.
    pub port: Option<u16>,
    /// `branch`, `received`, `rport` …
    pub params: Params,
}

impl Via {
    /// Reads one value (no list); `None` when it is broken.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        RawVia::read(value).map(|via| via.owned())
    }

    /// The branch, if any.
    #[must_use]
    pub fn branch(&self) -> Option<&str> {
        self.params.get("branch")
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in ["SIP/2.0/", &self.transport, " ", &self.host] {
            f.write_str(part)?;
        }
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        self.params.fmt(f)
    }
}
