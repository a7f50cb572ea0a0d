//! `link = "tunnel"`: an interface whose other end is another gateway, reached through whatever
//! lets one connection out. What both ends call the site gives it its addresses, so that nobody
//! has to plan any, and no two sites can have the same. It reads what the file says of a tunnel;
//! keys are files that the driver opens, and nobody is called here.

use super::reader::{Section, Source};
use super::{Address, Environment, Host, Listen, Target};
use crate::ground::{Subject, Transport};
use crate::wire::sip::unescape;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
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

/// The HTTP proxy that a site's tunnel goes through where it goes by TCP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// `HTTPS_PROXY` says it.
    pub is_of_environment: bool,
    /// Where it is.
    pub place: Place,
    /// Who we are to it.
    pub user: Option<String>,
    /// From `HTTPS_PROXY`.
    pub password: Option<Secret>,
    /// The file whose first line it is.
    pub password_file: Option<String>,
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Proxy {
    /// `http://[USER[:PASSWORD]@]HOST[:PORT]`; `None`: it is none.
    fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("http://")?.trim_end_matches('/');
        let (account, place) = match rest.rsplit_once('@') {
            Some((account, place)) => (Some(account), place),
            None => (None, rest),
        };
        let target = Target::parse(place).filter(|t| t.transport.is_none())?;
        let place = Place { host: target.host, port: target.port.unwrap_or(3128) };
        let (user, password) = match account.map(|a| a.split_once(':').unwrap_or((a, ""))) {
            Some((user, password)) => (Some(unescape(user)), Some(Secret(unescape(password)))),
            None => (None, None),
        };
        Some(Self { is_of_environment: false, place, user, password, password_file: None })
    }
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
            Self::Site { connect, proxy: None, .. } => write!(f, "to {connect}"),
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

/// A gateway's public key (Ed25519, RFC 8032): 32 octets, written in base64.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// From its octets.
    #[must_use]
    pub fn new(octets: [u8; 32]) -> Self {
        Self(octets)
    }

    /// Its octets.
    #[must_use]
    pub fn octets(&self) -> &[u8; 32] {
        &self.0
    }

    /// `None`: it is not 32 octets in base64 (RFC 4648 §4).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        STANDARD.decode(text).ok()?.try_into().ok().map(Self)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
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

/// `[[peer]]`: a site of a head office that listens for several.
pub(super) struct Peer {
    pub(super) name: String,
    key: Option<PublicKey>,
    interface: Option<String>,
}

impl Peer {
    /// It comes by the listening interface of this name, or by the only one.
    pub(super) fn is_of(&self, interface: &str) -> bool {
        self.interface.as_deref().is_none_or(|name| name == interface)
    }
}

/// One site; `None`: its faults are told.
pub(super) fn peer(mut s: Section<'_, '_>, src: &mut Source<'_>) -> Option<Peer> {
    let name = s.string("name", src);
    let key = key(&mut s, "key", src);
    let interface = s.string("interface", src);
    if name.is_none() {
        s.missing("name", "what that site calls itself: its site.name", src);
    }
    super::values::name(&s, "name", name.as_deref(), src);
    if !s.has("key") {
        s.missing("key", "the site's public key, as `portreeve tunnel keygen` prints it", src);
    }
    s.finish(src);
    Some(Peer { name: name?, key: Some(key?), interface })
}

fn key(s: &mut Section<'_, '_>, name: &'static str, src: &mut Source<'_>) -> Option<PublicKey> {
    let text = s.string(name, src)?;
    let read = PublicKey::parse(&text);
    if read.is_none() {
        let hint = Some("44 characters, as `portreeve tunnel keygen` prints them".to_owned());
        src.fault("tunnel", s.span_of(name), format!("`{name}` is no public key"), hint);
    }
    read
}

/// What `link = "tunnel"` says besides what every interface says.
pub(super) struct Written {
    end: End,
    peer: Option<PublicKey>,
    key_file: Option<String>,
    gather: Duration,
    site: Option<String>,
}

/// Longest wait for company, and the usual one.
const GATHER: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(5));

/// True where the section is of a tunnel. Its faults are told.
pub(super) fn is_tunnel(s: &mut Section<'_, '_>, src: &mut Source<'_>) -> bool {
    s.word("link", &[("local", false), ("tunnel", true)], src).unwrap_or(false)
}

/// The keys of a tunnel; `None`: faults are told.
pub(super) fn written(
    s: &mut Section<'_, '_>,
    env: &Environment,
    src: &mut Source<'_>,
) -> Option<Written> {
    let connect = s.string("connect", src);
    let listen = s.strings("listen", src);
    let address = s.string("address", src);
    let site = s.string("site", src);
    super::values::name(s, "site", site.as_deref(), src);
    let peer = key(s, "peer_key", src);
    let key_file = s.string("key_file", src);
    let gather = s.duration("gather", src).unwrap_or(GATHER.1);
    if gather > GATHER.0 {
        let what = "`gather` is longer than 20ms: everybody would hear it";
        src.fault("out-of-range", s.span_of("gather"), what, None);
    }
    let words =
        [("auto", BearerChoice::Auto), ("quic", BearerChoice::Quic), ("tcp", BearerChoice::Tcp)];
    let bearer = s.word("bearer", &words, src);
    let proxy = proxy(s, env, src)?;
    if connect.is_none() && (bearer.is_some() || proxy.is_some()) {
        let key = if bearer.is_some() { "bearer" } else { "proxy" };
        let what = format!("`{key}` is of a site: a head office is called");
        src.fault("tunnel", s.span_of(key), what, None);
    }
    let end = match (connect, listen) {
        (Some(text), None) => {
            if address.is_some() {
                let what = "a site's tunnel goes by whatever way leads to the head office";
                src.fault("tunnel", s.span_of("address"), what, Some("leave it out".to_owned()));
            }
            if peer.is_none() && !s.has("peer_key") {
                s.missing("peer_key", "the head office's public key", src);
            }
            let place = Place::parse(&text);
            if place.is_none() {
                let hint = Some("a host and a port, as gate.example.net:443".to_owned());
                let what = format!("\"{text}\" is no place to connect to");
                src.fault("tunnel", s.span_of("connect"), what, hint);
            }
            End::Site { connect: place?, bearer: bearer.unwrap_or(BearerChoice::Auto), proxy }
        }
        (None, Some(all)) => listens(s, &all, address.as_deref(), src)?,
        (Some(_), Some(_)) => {
            let what = "`connect` is of a site, `listen` of a head office: one of them";
            src.fault("tunnel", s.span_of("listen"), what, None);
            return None;
        }
        (None, None) => {
            let hint = "connect = \"gate.example.net:443\" at a site; at the head office \
                        listen = \"udp:443\"";
            s.missing("connect", hint, src);
            return None;
        }
    };
    Some(Written { end, peer, key_file, gather, site })
}

fn listens(
    s: &Section<'_, '_>,
    all: &[(String, std::ops::Range<usize>)],
    address: Option<&str>,
    src: &mut Source<'_>,
) -> Option<End> {
    let hint = || Some("listen = [\"udp:443\", \"tcp:443\"]".to_owned());
    let port = |text: &str, kind: &str| {
        let port = text.strip_prefix(kind)?.parse::<u16>().ok();
        port.filter(|p| *p > 0)
    };
    let (mut udp, mut tcp) = (None, None);
    for (text, span) in all {
        let place = match (port(text, "udp:"), port(text, "tcp:")) {
            (Some(found), _) => Some((&mut udp, found)),
            (None, Some(found)) => Some((&mut tcp, found)),
            (None, None) => None,
        };
        match place {
            Some((slot @ None, found)) => *slot = Some(found),
            Some((Some(_), _)) => {
                let what = "a tunnel listens at one port by UDP, and one by TCP";
                src.fault("listen", span.clone(), what, hint());
            }
            None => {
                let what = format!("\"{text}\" is no port of a tunnel");
                src.fault("listen", span.clone(), what, hint());
            }
        }
    }
    if udp.is_none() && !all.is_empty() && src.faults.is_empty() {
        let what = "a tunnel listens by UDP, and by TCP beside it where that is wanted";
        src.fault("listen", s.span_of("listen"), what, hint());
    }
    let ip = match address.map(str::parse::<IpAddr>) {
        None => Some(IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
        Some(Ok(ip)) => Some(ip),
        Some(Err(_)) => {
            let what = "`address` is no IP address";
            src.fault("address", s.span_of("address"), what, None);
            None
        }
    };
    let at = |port: u16| ip.map(|ip| SocketAddr::new(ip, port));
    Some(End::HeadOffice { listen: at(udp?)?, tcp: tcp.and_then(at) })
}

/// `proxy`, and who we are to it; `None`: faults are told.
#[expect(clippy::option_option, reason = "no fault, and no proxy")]
fn proxy(
    s: &mut Section<'_, '_>,
    env: &Environment,
    src: &mut Source<'_>,
) -> Option<Option<Proxy>> {
    let text = s.string("proxy", src);
    let user = s.string("proxy_user", src);
    let password_file = s.string("proxy_password_file", src);
    let Some(text) = text else {
        if user.is_some() || password_file.is_some() {
            s.missing("proxy", "proxy = \"http://proxy.example.net:3128\", or \"env\"", src);
            return None;
        }
        return Some(None);
    };
    let from_env = text == "env";
    let variable = || {
        let all = ["HTTPS_PROXY", "https_proxy"].into_iter();
        all.filter_map(|name| env.variables.get(name)).find(|value| !value.is_empty())
    };
    let text = if from_env { variable().cloned() } else { Some(text) };
    let Some(text) = text else {
        let what = "`proxy` is \"env\", and there is no HTTPS_PROXY";
        src.fault("tunnel", s.span_of("proxy"), what, None);
        return None;
    };
    let Some(mut proxy) = Proxy::parse(&text) else {
        let hint = Some("as http://proxy.example.net:3128".to_owned());
        src.fault("tunnel", s.span_of("proxy"), "`proxy` is no HTTP proxy", hint);
        return None;
    };
    if !from_env && proxy.password.is_some() {
        let hint = "proxy_user, and proxy_password_file with the password in its first line";
        let what = "a password does not stand in this file";
        src.fault("tunnel", s.span_of("proxy"), what, Some(hint.to_owned()));
        return None;
    }
    proxy.is_of_environment = from_env;
    proxy.user = user.or(proxy.user);
    proxy.password_file = password_file;
    Some(Some(proxy))
}

impl Written {
    /// It listens, and names nobody: it is there for every `[[peer]]` that comes by it.
    pub(super) fn is_for_peers(&self) -> bool {
        self.peer.is_none() && matches!(self.end, End::HeadOffice { .. })
    }

    /// The tunnel of the section itself.
    pub(super) fn tunnel(&self, interface: &str, site: &str) -> Tunnel {
        let usual = match self.end {
            End::Site { .. } => site,
            End::HeadOffice { .. } => interface,
        };
        let site = self.site.clone().unwrap_or_else(|| usual.to_owned());
        let Self { end, peer, key_file, gather, .. } = self;
        let (end, key_file) = (end.clone(), key_file.clone());
        Tunnel { site, end, peer: *peer, key_file, gather: *gather }
    }

    /// That of one of its peers.
    pub(super) fn of_peer(&self, peer: &Peer) -> Tunnel {
        Tunnel { site: peer.name.clone(), peer: peer.key, ..self.tunnel("", "") }
    }
}

/// Where an interface of a tunnel stands.
pub(super) fn stands(tunnel: &Tunnel) -> Address {
    Address::new(tunnel.own())
}

/// The keys of a section for `config show`, as the file could have them.
pub(super) fn show(tunnel: &Tunnel) -> String {
    let mut lines = vec!["link = \"tunnel\"".to_owned(), format!("site = {:?}", tunnel.site)];
    match &tunnel.end {
        End::Site { connect, bearer, proxy } => {
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
