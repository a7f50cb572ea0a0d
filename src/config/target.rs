//! Where an upstream is: an address, or a name that DNS knows (RFC 3263). It reads and writes the
//! text of the file; it never asks anybody.

use crate::ground::Transport;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// The longest name that DNS knows (RFC 1035 §2.3.4), and the longest label of one.
const LONGEST: (usize, usize) = (253, 63);

/// An address and port, with the transport it is reached by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hop {
    /// Where.
    pub peer: SocketAddr,
    /// By which transport.
    pub transport: Transport,
}

/// A host as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// By address; one that is mapped is the IPv4 address in it.
    Ip(IpAddr),
    /// By name, in small letters, without a dot at its end.
    Name(String),
}

/// One target of an upstream, as the file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its host.
    pub host: Host,
    /// Its port; `None`: what SRV says, else the transport's own.
    pub port: Option<u16>,
    /// Its transport; `None`: what NAPTR or SRV say, else UDP. A `sips:` URI's is TLS.
    pub transport: Option<Transport>,
}

impl Target {
    /// `10.99.0.2:5060`, `sip.example.net`, `sip:sip.example.net:5060;transport=tcp` or
    /// `sips:sip.example.net`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (bare, secure) = match text.strip_prefix("sips:") {
            Some(bare) => (bare, true),
            None => (text.strip_prefix("sip:").unwrap_or(text), false),
        };
        let (place, params) = bare.split_once(';').unwrap_or((bare, ""));
        let transport = match (params, secure) {
            ("", false) => None,
            ("transport=udp", false) => Some(Transport::Udp),
            ("transport=tcp", false) => Some(Transport::Tcp),
            // RFC 3261 §26.2.2: in a SIPS URI, TCP is what TLS runs over.
            ("transport=tls", _) | ("" | "transport=tcp", true) => Some(Transport::Tls),
            _ => return None,
        };
        if let Ok(at) = place.parse::<SocketAddr>() {
            let host = Host::Ip(at.ip().to_canonical());
            return Some(Self { host, port: Some(at.port()), transport });
        }
        if let Ok(ip) = place.trim_matches(['[', ']']).parse::<IpAddr>() {
            return Some(Self { host: Host::Ip(ip.to_canonical()), port: None, transport });
        }
        let (name, port) = match place.split_once(':') {
            Some((name, port)) => (name, Some(port.parse().ok().filter(|p| *p > 0)?)),
            None => (place, None),
        };
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        is_name(&name).then_some(Self { host: Host::Name(name), port, transport })
    }

    /// Where it is, when its address is written.
    #[must_use]
    pub fn fixed(&self) -> Option<Hop> {
        let Host::Ip(ip) = &self.host else { return None };
        let transport = self.transport.unwrap_or(Transport::Udp);
        Some(Hop { peer: SocketAddr::new(*ip, self.port_or_default()), transport })
    }

    /// Its port, or its transport's own.
    fn port_or_default(&self) -> u16 {
        self.port.unwrap_or(self.transport.unwrap_or(Transport::Udp).port())
    }

    /// It is a host, and says nothing of port and transport.
    pub(super) fn is_host(&self) -> bool {
        self.port.is_none() && self.transport.is_none()
    }

    /// TLS, or what NAPTR says.
    pub(super) fn may_be_tls(&self) -> bool {
        match self.transport {
            Some(transport) => transport == Transport::Tls,
            None => self.name().is_some() && self.port.is_none(),
        }
    }

    /// Its name, when DNS has to be asked.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match &self.host {
            Host::Ip(_) => None,
            Host::Name(name) => Some(name),
        }
    }
}

/// A name of labels that a host may have (RFC 1123 §2.1): no address that was mistyped.
fn is_name(text: &str) -> bool {
    let label = |l: &str| {
        !l.is_empty()
            && l.len() <= LONGEST.1
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    text.len() <= LONGEST.0
        && text.split('.').all(label)
        && last.bytes().any(|b| b.is_ascii_alphabetic())
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.host, self.port) {
            (Host::Ip(ip), _) => SocketAddr::new(*ip, self.port_or_default()).fmt(f)?,
            (Host::Name(name), Some(port)) => write!(f, "{name}:{port}")?,
            (Host::Name(name), None) => f.write_str(name)?,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_an_address_or_a_name_with_port_and_transport() {
        let read = |text: &str| Target::parse(text).unwrap_or_else(|| panic!("{text}"));
        let hop = |text: &str| read(text).fixed().expect("an address");
        assert_eq!(hop("10.99.0.2").peer, "10.99.0.2:5060".parse().unwrap());
        assert_eq!(hop("::ffff:10.99.0.2").peer, "10.99.0.2:5060".parse().unwrap());
        assert_eq!(hop("[2001:db8::2]:5070").peer, "[2001:db8::2]:5070".parse().unwrap());
        assert_eq!(hop("sip:10.99.0.2;transport=tcp").transport, Transport::Tcp);
        for tls in ["sips:10.99.0.2", "sip:10.99.0.2;transport=tls", "sips:10.99.0.2;transport=tcp"]
        {
            let at = "10.99.0.2:5061".parse().unwrap();
            assert_eq!(hop(tls), Hop { peer: at, transport: Transport::Tls }, "{tls}");
            assert_eq!(read(tls).to_string(), "10.99.0.2:5061");
        }
        assert_eq!(hop("sips:10.99.0.2:5060").peer.port(), 5060, "as written");
        assert_eq!(read("sips:pbx.example.net").transport, Some(Transport::Tls));
        let name = read("sip:SIP.Example.net.:5070;transport=tcp");
        assert_eq!((name.name(), name.port), (Some("sip.example.net"), Some(5070)));
        assert_eq!(name.to_string(), "sip.example.net:5070");
        assert_eq!(read("pbx").to_string(), "pbx");
        for wrong in [
            "",
            "10.99.0",
            "10.99.0.2.3",
            "pbx:",
            "pbx:70000",
            "-pbx",
            "a..b",
            "sip:pbx;transport=sctp",
            "sips:pbx;transport=udp",
            "sips:pbx;transport=sctp",
            "sips:",
            "pbx example",
            "pbx/24",
            &"a.".repeat(130),
        ] {
            assert_eq!(Target::parse(wrong), None, "{wrong}");
        }
    }
}
