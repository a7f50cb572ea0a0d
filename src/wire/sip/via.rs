//! Via (RFC 3261 §20.42, RFC 3581).

use super::Params;
use super::text::{is_host, is_token, trim};
use super::uri::split_port;
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
        let value = trim(value);
        let semi = value.iter().position(|b| *b == b';').unwrap_or(value.len());
        let (head, params) = value.split_at_checked(semi)?;
        let head = std::str::from_utf8(head).ok()?;
        let (name, rest) = head.split_once('/')?;
        let (version, rest) = rest.split_once('/')?;
        let blank = [' ', '\t'];
        if !name.trim().eq_ignore_ascii_case("SIP") || version.trim() != "2.0" {
            return None;
        }
        let rest = rest.trim_start_matches(blank);
        let (transport, sent_by) = rest.split_once(blank)?;
        let sent_by = sent_by.trim_matches(blank);
        let (host, port) = split_port(sent_by)?;
        let host = host.trim_end_matches(blank);
        let fine = is_token(transport.as_bytes()) && is_host(host.as_bytes());
        fine.then_some(())?;
        Some(Self {
            transport: transport.to_owned(),
            host: host.to_owned(),
            port,
            params: Params::parse(params, true)?,
        })
    }

    /// The branch, if any.
    #[must_use]
    pub fn branch(&self) -> Option<&str> {
        self.params.get("branch")
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SIP/2.0/{} {}", self.transport, self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        write!(f, "{}", self.params)
    }
}
