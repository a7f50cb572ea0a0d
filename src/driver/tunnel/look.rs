//! The ways of a site's tunnel, each tried once for who asks by hand. A try goes as far as the head
//! office's greeting and says that it is one: nothing is carried by it, and a tunnel that stands
//! meanwhile is not touched.

use super::bearer::Kind;
use super::files::needed;
use super::identity::Identity;
use super::ledger::Ledger;
use super::link::Link;
use super::ways::{self, Memory, Purpose, Ready, Site};
use super::words::{self, Sign, parted, told};
use crate::config::{BearerChoice, Config, End, Host, Place, Proxy, PublicKey};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// A name is looked for, and a way is tried, for so long at most.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(3), Duration::from_millis(6_500));
/// What says good-bye has left by then.
const LEAVES: Duration = Duration::from_millis(50);

/// What is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// DNS is asked for a name.
    Name,
    /// QUIC to the head office, to its greeting.
    Udp,
    /// A TCP connection to the head office.
    Tcp,
    /// TLS by that, to its greeting.
    TcpTls,
    /// A TCP connection to the proxy, and its answer to CONNECT.
    Proxy,
    /// TLS through that, to the head office's greeting.
    ProxyTls,
}

impl Step {
    /// With it a tunnel can be carried.
    #[must_use]
    pub fn is_whole(self) -> bool {
        match self {
            Self::Udp | Self::TcpTls | Self::ProxyTls => true,
            Self::Name | Self::Tcp | Self::Proxy => false,
        }
    }
}

/// What came of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// Which.
    pub step: Step,
    /// Where that is: a host, or a host and a port.
    pub place: String,
    /// Addresses, in words; or what was seen instead, and what to do (maybe empty).
    pub came: Result<String, (String, String)>,
    /// How long it took.
    pub after: Duration,
}

/// Our public key for the tunnel of an interface, by its place in the file, and what is to be said
/// of the files that it needs.
///
/// # Errors
/// In words: which of them cannot be used, and what to do. No start does without.
pub fn own_key(config: &Config, interface: usize) -> Result<(PublicKey, Vec<String>), String> {
    let i = config.interfaces.get(interface).ok_or("no such interface")?;
    let tunnel = i.link.tunnel().ok_or("it is no tunnel")?;
    let needed = needed(config, i, tunnel).map_err(|e| e.to_string())?;
    Ok((needed.0.public(), needed.1))
}

/// Tries all ways of a site's tunnel beside each other; an interface that is none has none. It
/// ends within 10 s.
pub async fn look(config: &Config, interface: usize) -> Vec<Tried> {
    let Some(site) = site(config, interface) else { return Vec::new() };
    let site = Arc::new(site);
    let proxy = site.proxy.as_ref().map(|proxy| &proxy.place);
    let (office, proxy) = tokio::join!(named(&site, Some(&site.connect)), named(&site, proxy));
    let mut all: Vec<Tried> = office.into_iter().chain(proxy).collect();
    let (udp, tcp, proxy) = tokio::join!(udp(&site), tcp(&site), by_proxy(&site));
    all.extend(udp);
    all.extend(tcp);
    all.extend(proxy);
    all
}

fn site(config: &Config, interface: usize) -> Option<Site> {
    let i = config.interfaces.get(interface)?;
    let tunnel = i.link.tunnel()?;
    let End::Site { connect, bearer, proxy, .. } = tunnel.end.clone() else { return None };
    let (own, _) = needed(config, i, tunnel).ok()?;
    let link = Arc::new(Link::new(&i.name, tunnel.clone(), Arc::default(), Ledger::unread()));
    let (identity, memory) = (Identity::new(own), Memory::default());
    Some(Site { link, identity, connect, bearer, proxy, dscp: i.dscp_media, memory })
}

async fn named(site: &Site, place: Option<&Place>) -> Option<Tried> {
    let place = place?;
    let Host::Name(name) = &place.host else { return None };
    let begun = Instant::now();
    let found = timeout(PATIENCE.0, site.memory.addresses(place)).await;
    let found = found.unwrap_or_else(|_| Err(told(name, Sign::NoDns, "")));
    let ips = |all: Vec<SocketAddr>| {
        all.iter().map(|at| at.ip().to_string()).collect::<Vec<_>>().join(", ")
    };
    Some(tried(Step::Name, name.clone(), begun, found.map(ips)))
}

fn tried(step: Step, place: String, begun: Instant, came: Result<String, String>) -> Tried {
    let came = came.map_err(|why| parted(&words::sentences(&why)));
    Tried { step, place, came, after: begun.elapsed() }
}

/// One step of a way, as long as somebody waits for it.
async fn within<T>(
    place: &str,
    left: Duration,
    work: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    let slow = || told(place, Sign::Silent, format!(" within {} s", PATIENCE.1.as_secs()));
    timeout(left, work).await.unwrap_or_else(|_| Err(slow()))
}

async fn udp(site: &Arc<Site>) -> Option<Tried> {
    (site.bearer != BearerChoice::Tcp).then_some(())?;
    let begun = Instant::now();
    let place = site.connect.to_string();
    let work = async {
        let ready = ways::one(site, Kind::Quic, Purpose::Trial).await;
        let Ready::Quic(connection, ..) = ready.map_err(|failure| failure.why)? else {
            return Err(told(&place, Sign::Other, ""));
        };
        let at = connection.remote_address().to_string();
        connection.close(0_u32.into(), b"only looked");
        Ok(at)
    };
    let came = within(&place, PATIENCE.1, work).await;
    let tried = tried(Step::Udp, place, begun, came);
    sleep(LEAVES).await;
    Some(tried)
}

async fn tcp(site: &Site) -> Vec<Tried> {
    if site.bearer == BearerChoice::Quic {
        return Vec::new();
    }
    let steps = (Step::Tcp, Step::TcpTls);
    both(site, steps, &site.connect, None, ways::direct(site)).await
}

async fn by_proxy(site: &Site) -> Vec<Tried> {
    let Some(proxy) = site.proxy.as_ref().filter(|_| site.bearer != BearerChoice::Quic) else {
        return Vec::new();
    };
    let steps = (Step::Proxy, Step::ProxyTls);
    both(site, steps, &proxy.place, Some(proxy), ways::through(site, proxy)).await
}

/// A connection, and TLS by it where it comes about.
async fn both(
    site: &Site,
    steps: (Step, Step),
    place: &Place,
    proxy: Option<&Proxy>,
    stream: impl Future<Output = Result<tokio::net::TcpStream, String>>,
) -> Vec<Tried> {
    let (begun, place) = (Instant::now(), place.to_string());
    let stream = match within(&place, PATIENCE.1, stream).await {
        Ok(stream) => stream,
        Err(why) => return vec![tried(steps.0, place, begun, Err(why))],
    };
    let peer = stream.peer_addr().map(|at| at.to_string()).unwrap_or_default();
    let mut all = vec![tried(steps.0, place, begun, Ok(peer.clone()))];
    let (again, to) = (Instant::now(), site.connect.to_string());
    let work = async {
        let (mut stream, ..) = ways::secure(site, stream, proxy).await?;
        ways::greet_only(site, &mut stream).await.map(|()| peer)
    };
    let came = within(&to, PATIENCE.1.saturating_sub(begun.elapsed()), work).await;
    all.push(tried(steps.1, to, again, came));
    all
}

#[cfg(test)]
mod tests;
