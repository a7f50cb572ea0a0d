//! `link = "tunnel"`: an interface whose other end is another gateway, reached through whatever
//! lets one connection out. What both ends call the site gives it its addresses, so that nobody
//! has to plan any, and no two sites can have the same. It reads what the file says of a tunnel;
//! keys are files that the driver opens, and nobody is called here.

mod no_proxy;
mod proxy;
mod public_key;
mod section;

pub use proxy::{Proxy, ProxyAuth, Secret};
pub use public_key::PublicKey;
pub(super) use section::{Peer, is_tunnel, peer, written};

use super::{Address, Host, Listen, Target};
use crate::ground::{Subject, Transport};
use sha2::{Digest, Sha256};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// The port of SIP within a tunnel, at both ends.
pub const PORT: u16 = 5061;

/// What an interface is a link of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// A network of this machine's.
    Local,
    /// A tunnel to another gateway.
    Tunnel(Box<Tunnel>),
}

impl Link {
    /// The tunnel, where it is one.
    #[must_use]
    pub fn tunnel(&self) -> Option<&Tunnel> {
        match self {
            Self::Local => None,
            Self::Tunnel(tunnel) => Some(tunnel),
        }
    }
}

/// One tunnel, as seen from one of its ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// What both ends call the site.
    pub site: String,
    /// Which end this is.
    pub end: End,
    /// The other end's public key; `None`: it was taken back, and nobody is believed to be there.
    pub peer: Option<PublicKey>,
    /// The file with our own key; `None`: `tunnel.key` in the state folder.
    pub key_file: Option<String>,
    /// How long a packet of media waits for others to leave with, 0 to 20 ms.
    pub gather: Duration,
}

/// What a site's tunnel is carried by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BearerChoice {
    /// QUIC where it gets through, else TCP.
    Auto,
    /// QUIC alone.
    Quic,
    /// TCP alone.
    Tcp,
}

/// An end of a tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The site's: it calls, so that nothing of it is open to the outside.
    Site {
        /// Where the head office listens.
        connect: Place,
        /// By what.
        bearer: BearerChoice,
        /// Through which proxy, by TCP; `None`: none.
        proxy: Option<Proxy>,
        /// The entry of `NO_PROXY` for which no proxy of the environment is asked; `None`: there is
        /// none.
        past: Option<String>,
    },
    /// The head office's: it is called.
    HeadOffice {
        /// Where it listens by UDP.
        listen: SocketAddr,
        /// Where it listens by TCP; `None`: nowhere.
        tcp: Option<SocketAddr>,
    },
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Site { connect, proxy: None, past: Some(past), .. } => {
                write!(f, "to {connect}, past the proxy (NO_PROXY: {past})")
            }
            Self::Site { connect, proxy: None, past: None, .. } => write!(f, "to {connect}"),
            Self::Site { connect, proxy: Some(proxy), .. } => {
                write!(f, "to {connect}, by TCP through {}", proxy.place)
            }
            Self::HeadOffice { listen, tcp: None } => write!(f, "at {listen} (udp)"),
            Self::HeadOffice { listen, tcp: Some(_) } => write!(f, "at {listen} (udp, tcp)"),
        }
    }
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its address or name.
    pub host: Host,
    /// Its port.
    pub port: u16,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Ip(ip) => SocketAddr::new(*ip, self.port).fmt(f),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

impl Place {
    /// `None`: it is no host with a port.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let target = Target::parse(text).filter(|t| t.transport.is_none())?;
        Some(Self { host: target.host, port: target.port? })
    }
}

impl Tunnel {
    /// Where this end stands within the tunnel.
    #[must_use]
    pub fn own(&self) -> IpAddr {
        match self.end {
            End::Site { .. } => address(&self.site, "site"),
            End::HeadOffice { .. } => address(&self.site, "head office"),
        }
    }

    /// Where the other end stands.
    #[must_use]
    pub fn far(&self) -> IpAddr {
        match self.end {
            End::Site { .. } => address(&self.site, "head office"),
            End::HeadOffice { .. } => address(&self.site, "site"),
        }
    }

    /// The proxy before the head office, where there is one.
    #[must_use]
    pub fn proxy(&self) -> Option<&Proxy> {
        match &self.end {
            End::Site { proxy, .. } => proxy.as_ref(),
            End::HeadOffice { .. } => None,
        }
    }

    /// Names that have to be asked for on the way to the other end.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let connect = match &self.end {
            End::Site { connect, .. } => Some(connect),
            End::HeadOffice { .. } => None,
        };
        let places = connect.into_iter().chain(self.proxy().map(|proxy| &proxy.place));
        places.filter_map(|place| match &place.host {
            Host::Ip(_) => None,
            Host::Name(name) => Some(name.as_str()),
        })
    }

    /// The other end's SIP, as an upstream of this one is reached.
    #[must_use]
    pub fn target(&self) -> Target {
        let transport = Some(Transport::Tls);
        Target { host: Host::Ip(self.far()), port: Some(PORT), transport }
    }

    /// The name that whoever is at the other end proves by its key, as rules know it.
    #[must_use]
    pub fn subject(&self) -> String {
        format!("tunnel:{}", self.site)
    }

    /// The same as what a connection proved.
    #[must_use]
    pub fn proof(&self) -> Option<Subject> {
        Subject::uri(&self.subject())
    }

    pub(super) fn listen() -> Vec<Listen> {
        vec![Listen { transport: Transport::Tls, port: PORT }]
    }
}

/// An address of a kind that no network routes: a hash under the prefix of cryptographic hash
/// identifiers (RFC 7343 §2, 2001:20::/28). It never stands in a packet of IP.
fn address(site: &str, end: &str) -> IpAddr {
    let hash = Sha256::new().chain_update(end).chain_update([0]).chain_update(site).finalize();
    let mut octets = [0; 16];
    octets.iter_mut().zip(hash).for_each(|(octet, hashed)| *octet = hashed);
    (octets[0], octets[1], octets[2]) = (0x20, 0x01, 0x00);
    octets[3] = 0x20 | octets[3] & 0x0f;
    IpAddr::V6(Ipv6Addr::from(octets))
}

/// Where an interface of a tunnel stands.
pub(super) fn stands(tunnel: &Tunnel) -> Address {
    Address::new(tunnel.own())
}

/// The keys of a section for `config show`, as the file could have them.
pub(super) fn show(tunnel: &Tunnel) -> String {
    let mut lines = vec!["link = \"tunnel\"".to_owned(), format!("site = {:?}", tunnel.site)];
    match &tunnel.end {
        End::Site { connect, bearer, proxy, past } => {
            lines.extend(past.iter().map(|_| "proxy = \"env\"".to_owned()));
            lines.push(format!("connect = \"{connect}\""));
            let bearer = match bearer {
                BearerChoice::Auto => "auto",
                BearerChoice::Quic => "quic",
                BearerChoice::Tcp => "tcp",
            };
            lines.push(format!("bearer = \"{bearer}\""));
            if let Some(proxy) = proxy {
                let place = format!("http://{}", proxy.place);
                let place = if proxy.is_of_environment { "env" } else { &place };
                lines.push(format!("proxy = \"{place}\""));
                let user = proxy.user.as_ref().filter(|_| !proxy.is_of_environment);
                lines.extend(user.map(|user| format!("proxy_user = {user:?}")));
                let file = proxy.password_file.as_ref();
                lines.extend(file.map(|file| format!("proxy_password_file = {file:?}")));
                let auth = proxy.auth.map(|auth| format!("proxy_auth = \"{}\"", auth.as_str()));
                lines.extend(auth);
            }
        }
        End::HeadOffice { listen, tcp } => {
            lines.push(format!("address = \"{}\"", listen.ip()));
            let tcp = tcp.map(|at| format!(", \"tcp:{}\"", at.port())).unwrap_or_default();
            lines.push(format!("listen = [\"udp:{}\"{tcp}]", listen.port()));
        }
    }
    lines.extend(tunnel.peer.map(|key| format!("peer_key = \"{key}\"")));
    lines.extend(tunnel.key_file.as_ref().map(|file| format!("key_file = {file:?}")));
    lines.push(format!("gather = \"{}ms\"", tunnel.gather.as_millis()));
    lines.join("\n")
}

#[cfg(test)]
mod tests;
