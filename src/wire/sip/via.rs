//! Via (RFC 3261 §20.42, RFC 3581).
use super::Params;
use std::fmt;

/// One Via value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via {
    /// Transport token of the sent-protocol, upper case as written (`UDP`).
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
    pub fn parse(_value: &[u8]) -> Option<Self> {
        todo!()
    }
    /// The branch, if any.
    #[must_use]
    pub fn branch(&self) -> Option<&str> {
        self.params.get("branch")
    }
}

impl fmt::Display for Via {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}
