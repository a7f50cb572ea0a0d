//! The ways from a site to its head office, one try each: QUIC, or TLS by TCP, through a proxy
//! where there is one. A try makes a connection whose other end has proved its key; whether the
//! tunnel is then carried by it, whoever asked says. Which way is tried when is the ladder's, and
//! DNS is asked anew at each try.

mod address;
mod order;

pub(super) use address::Memory;

use self::order::in_order;
use super::bearer::{Bearer, Kind};
use super::by_tcp::{ByTcp, MEMBERS};
use super::greeting::{Control, Greeting};
use super::identity::{self, Identity, Shown, believing};
use super::ladder::{Order, Telling};
use super::link::Link;
use super::marked::Marked;
use super::proxy::{self, Challenge, Said};
use super::{greeting, head_office, reset, secured, words};
use crate::config::{BearerChoice, Host, Place, Proxy, PublicKey};
use crate::driver::state::random;
use quinn::{ClientConfig, Connection, Endpoint};
use rustls::pki_types::ServerName;
use socket2::SockRef;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A handshake takes at most this.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// By TCP, through a proxy, each step takes at most this.
const STEP: Duration = Duration::from_secs(8);
/// QUIC is tried out for so long before the tunnel moves to it: longer than it takes to find out
/// that nothing comes by it.
const TRIED_OUT: Duration = Duration::from_secs(15);
/// When a connection of several that is missing is asked for again: at first, and at most. One that
/// has lasted for so long is missed for the first time.
const MISSING: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// Octets of a segment of TCP where long packets are swallowed without a word.
const SHORT: u32 = 900;
/// A proxy that does not believe us locks an account that is tried too often.
const REFUSED: &str = "it does not believe user and password; so that the account is not locked, \
                       it is asked again after 5 minutes, at a reload, or when they are others";
/// Whom a site asks for: nobody whose name would tell anything.
const NAME: &str = "tunnel.invalid";

/// A site's tunnel, as the file has it, and what its tries remember.
pub(super) struct Site {
    pub(super) link: Arc<Link>,
    pub(super) identity: Identity,
    pub(super) connect: Place,
    pub(super) bearer: BearerChoice,
    pub(super) proxy: Option<Proxy>,
    pub(super) dscp: u8,
    pub(super) memory: Memory,
}

/// What a tunnel is carried by from now on.
pub(super) type Got = (Bearer, PublicKey, Option<Control>);

/// Why a try came to nothing.
#[derive(Debug)]
pub(super) struct Failure {
    /// In words.
    pub(super) why: String,
    /// QUIC shook hands, and no more came.
    pub(super) is_swallowed: bool,
}

impl From<String> for Failure {
    fn from(why: String) -> Self {
        Self { why, is_swallowed: false }
    }
}

/// A connection whose other end has proved its key; nothing is carried by it yet.
pub(super) enum Ready {
    Quic(Connection, PublicKey, Control),
    Tcp(Box<TlsStream<TcpStream>>, SocketAddr, PublicKey),
}

impl Ready {
    /// From now on the tunnel is carried by it.
    pub(super) async fn begin(self, site: &Arc<Site>) -> Result<Got, Failure> {
        match self {
            Self::Quic(connection, key, mut control) => {
                if !control.is_taken().await {
                    let why = "nothing came by QUIC after its handshake".to_owned();
                    return Err(Failure { why, is_swallowed: true });
                }
                Ok((Bearer::Quic(connection), key, Some(control)))
            }
            Self::Tcp(mut stream, peer, key) => {
                let number = u64::from_be_bytes(random());
                greet(site, &mut stream, number, 0).await?;
                let tcp = Arc::new(ByTcp::new(number, peer));
                spawn(&tcp, 0, *stream, &site.link);
                complete(site, &tcp);
                Ok((Bearer::Tcp(tcp), key, None))
            }
        }
    }
}

/// How a connection by QUIC is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Nothing carries: it does from its greeting on.
    Carries,
    /// Another one carries, and may go on.
    Trial,
}

/// The first that answers of the ways in this order; it carries at once.
pub(super) async fn first(site: &Arc<Site>, order: Order) -> Result<Got, Failure> {
    let by = |kind| async move {
        let ready = one(site, kind, Purpose::Carries).await?;
        ready.begin(site).await
    };
    in_order(order, by).await
}

/// The first that answers, beside what carries, which is silent.
pub(super) async fn rescue(site: Arc<Site>, order: Order) -> Result<Ready, Failure> {
    in_order(order, |kind| one(&site, kind, Purpose::Trial)).await
}

/// QUIC, beside TCP that carries: it has to carry for a while.
pub(super) async fn tried_out(site: Arc<Site>) -> Result<Ready, Failure> {
    match one(&site, Kind::Quic, Purpose::Trial).await? {
        Ready::Quic(connection, key, mut control) => {
            if control.carries_for(TRIED_OUT).await {
                return Ok(Ready::Quic(connection, key, control));
            }
            let why = "QUIC shakes hands, and is swallowed on the way then".to_owned();
            Err(Failure { why, is_swallowed: true })
        }
        ready @ Ready::Tcp(..) => Ok(ready),
    }
}

async fn one(site: &Arc<Site>, kind: Kind, purpose: Purpose) -> Result<Ready, Failure> {
    match kind {
        Kind::Quic => by_quic(site, purpose).await,
        Kind::Tcp => {
            let (stream, peer, key) = by_tcp(site).await?;
            Ok(Ready::Tcp(Box::new(stream), peer, key))
        }
    }
}

/// One try by QUIC.
async fn by_quic(site: &Arc<Site>, purpose: Purpose) -> Result<Ready, Failure> {
    let (link, connect) = (&site.link, &site.connect);
    let believed = link.clone();
    let (believed, shown) = believing(move |key| believed.believes(key));
    let crypto = site.identity.quic_client(believed)?;
    let mut config = ClientConfig::new(Arc::new(crypto));
    config.transport_config(Arc::new(link.transport()));
    let all = site.memory.addresses(connect).await?;
    let dscp = site.dscp;
    let shaken = address::race(all, move |at| {
        let config = config.clone();
        async move { shake(config, at, dscp).await.map_err(|why| format!("{at} (udp): {why}")) }
    });
    let connection = shaken.await.map_err(|why| {
        tell_stranger(site, &shown, "udp");
        of(connect, &why)
    })?;
    let key = identity::proved(&connection).ok_or_else(|| "it has proved no key".to_owned())?;
    let is_trial = purpose == Purpose::Trial;
    match greeting::begin(&connection, &link.site(), is_trial).await {
        Ok(control) => Ok(Ready::Quic(connection, key, control)),
        Err(why) => {
            let is_swallowed = connection.close_reason().is_none();
            Err(Failure { why: format!("{connect} (udp): {why}"), is_swallowed })
        }
    }
}

/// Where the head office should be somebody else is.
fn tell_stranger(site: &Site, shown: &Shown, way: &str) {
    if let Some(key) = shown.stranger() {
        site.link.refuses(&key, &format!("{} ({way})", site.connect));
    }
}

/// What is said of one of its addresses, with its name where it has one.
fn of(place: &Place, why: &str) -> String {
    match &place.host {
        Host::Ip(_) => why.to_owned(),
        Host::Name(name) if why.starts_with(name.as_str()) => why.to_owned(),
        Host::Name(_) => format!("{place}: {why}"),
    }
}

/// Shakes hands by a socket of its own.
async fn shake(config: ClientConfig, at: SocketAddr, dscp: u8) -> Result<Connection, String> {
    let any: IpAddr = match at {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let no_socket = |e| format!("no socket: {e}");
    let socket = head_office::socket(SocketAddr::new(any, 0), dscp).map_err(no_socket)?;
    let runtime = Arc::new(Marked);
    let endpoint = Endpoint::new(reset::of_site(), None, socket, runtime);
    let endpoint = endpoint.map_err(no_socket)?;
    // A name that says nothing of the site: the key is what is proved.
    let connecting = endpoint.connect_with(config, at, NAME).map_err(|e| e.to_string())?;
    let shaken = timeout(HANDSHAKE, connecting).await;
    shaken.map_err(|_| "no answer".to_owned())?.map_err(|e| e.to_string())
}

/// One of the connections by TCP, as far as the other end's key.
async fn by_tcp(site: &Arc<Site>) -> Result<(TlsStream<TcpStream>, SocketAddr, PublicKey), String> {
    let connect = &site.connect;
    let believed = site.link.clone();
    let (believed, shown) = believing(move |key| believed.believes(key));
    let config = site.identity.client(believed)?;
    let stream = match &site.proxy {
        Some(proxy) => through(site, proxy).await?,
        None => {
            let dialled = dial(site, connect).await;
            dialled.map_err(|why| of(connect, &why))?
        }
    };
    let peer = stream.peer_addr().map_err(|e| e.to_string())?;
    let name = ServerName::try_from(NAME).map_err(|e| e.to_string())?;
    let shaken = timeout(STEP, TlsConnector::from(Arc::new(config)).connect(name, stream)).await;
    let shaken = shaken.map_err(|_| format!("{connect} (tcp): no handshake within 8 s"))?;
    let stream = shaken.map_err(|e| {
        tell_stranger(site, &shown, "tcp");
        if shown.is_there() {
            // It has shown a key like ours: a gateway, and the wrong one.
            return format!("{connect} (tcp): {}", words::ended(&e));
        }
        let proxy = site.proxy.as_ref().map(|proxy| &proxy.place);
        words::not_the_head_office(connect, proxy, &e)
    })?;
    let key = secured::proved(stream.get_ref().1.peer_certificates());
    Ok((stream, peer, key.ok_or("it has proved no key")?))
}

async fn greet(
    site: &Arc<Site>,
    stream: &mut TlsStream<TcpStream>,
    number: u64,
    member: usize,
) -> Result<(), String> {
    let own = Greeting { number, member, ..Greeting::new(&site.link.site()) };
    let greeted = secured::greet(stream, &own).await;
    greeted.map(drop).map_err(|e| format!("{} (tcp): {e}", site.connect))
}

pub(super) fn spawn<S>(tcp: &Arc<ByTcp>, member: usize, stream: S, link: &Arc<Link>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + 'static,
{
    let (tcp, link) = (tcp.clone(), link.clone());
    tokio::spawn(async move { tcp.carry(member, stream, link.carries()).await });
}

/// Asks for its other connections, all at once, and again for one that is missing: with the first
/// one everything goes, if not so well.
fn complete(site: &Arc<Site>, tcp: &Arc<ByTcp>) {
    let telling = Arc::<Mutex<Telling>>::default();
    for member in 1..MEMBERS {
        let (site, tcp, telling) = (site.clone(), tcp.clone(), telling.clone());
        tokio::spawn(async move {
            let over = tcp.ended();
            tokio::select! {
                _ = over => {}
                () = keep_member(&site, &tcp, member, &telling) => {}
            }
        });
    }
}

async fn keep_member(site: &Arc<Site>, tcp: &Arc<ByTcp>, member: usize, telling: &Mutex<Telling>) {
    let telling = || telling.lock().unwrap_or_else(PoisonError::into_inner);
    let mut wait = MISSING.0;
    loop {
        let begun = Instant::now();
        match joined(site, tcp, member).await {
            Ok(stream) => {
                telling().is_over();
                tcp.carry(member, stream, site.link.carries()).await;
            }
            Err(why) => {
                let name = site.link.name();
                if telling().is_told(Instant::now(), &why) {
                    tracing::warn!(
                        "tunnel {name}: not all of its {MEMBERS} connections by TCP are there, and \
                         the others carry alone: {why}"
                    );
                }
            }
        }
        let (now, next) = missed(wait, begun.elapsed());
        wait = next;
        sleep(now).await;
    }
}

/// How long one that has lasted so long is waited for now, and the next time.
fn missed(wait: Duration, lasted: Duration) -> (Duration, Duration) {
    let now = if lasted >= MISSING.1 { MISSING.0 } else { wait };
    (now, (now * 2).min(MISSING.1))
}

/// One more connection of a tunnel that there is.
async fn joined(
    site: &Arc<Site>,
    tcp: &ByTcp,
    member: usize,
) -> Result<TlsStream<TcpStream>, String> {
    let (mut stream, ..) = by_tcp(site).await?;
    greet(site, &mut stream, tcp.number(), member).await?;
    Ok(stream)
}

/// The way through a proxy.
async fn through(site: &Arc<Site>, proxy: &Proxy) -> Result<TcpStream, String> {
    let told = |what: String| format!("proxy {}: {what}", proxy.place);
    let account = proxy::account(proxy).map_err(told)?;
    let (memory, reloads) = (&site.memory, site.link.follows());
    if memory.is_refused(account.as_ref(), reloads, Instant::now()) {
        return Err(told(REFUSED.to_owned()));
    }
    let mut credentials: Option<zeroize::Zeroizing<String>> = None;
    for _ in 0..3 {
        let mut stream = dial(site, &proxy.place).await.map_err(told)?;
        let known = credentials.as_ref().map(|c| c.as_str());
        let said = timeout(STEP, proxy::ask(&mut stream, &site.connect, known)).await;
        match said.map_err(|_| told("no answer within 8 s".to_owned()))?.map_err(told)? {
            Said::Open => return Ok(stream),
            Said::Refused(why) => return Err(told(why)),
            Said::Challenges(all)
                if credentials.is_some() && !all.iter().any(Challenge::is_stale) =>
            {
                memory.refuses(account, reloads, Instant::now());
                return Err(told(REFUSED.to_owned()));
            }
            Said::Challenges(all) => {
                let account = account.as_ref().ok_or_else(|| {
                    told("it asks who we are: set proxy_user and proxy_password_file".to_owned())
                })?;
                let has_digested = site.memory.has_digested();
                let challenge = proxy::chosen(&all, proxy.auth, has_digested).map_err(told)?;
                if site.memory.answers(challenge.is("Basic")) {
                    tracing::warn!(
                        "tunnel {}: {}",
                        site.link.name(),
                        told("user and password go to it in clear (Basic)".to_owned())
                    );
                }
                let answer = proxy::credentials(account, challenge, &site.connect, random());
                let unknown = || told("its challenge is not known here".to_owned());
                credentials = Some(answer.ok_or_else(unknown)?);
            }
        }
    }
    Err(told("it does not open the way".to_owned()))
}

async fn dial(site: &Arc<Site>, place: &Place) -> Result<TcpStream, String> {
    let all = site.memory.addresses(place).await?;
    let is_narrow = site.memory.is_narrow();
    let stream = address::race(all, move |at| async move {
        let connected = async {
            let socket = if at.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
            if is_narrow {
                SockRef::from(&socket).set_tcp_mss(SHORT)?;
            }
            socket.connect(at).await
        };
        match timeout(HANDSHAKE, connected).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(e)) => Err(format!("{at} (tcp): {e}")),
            Err(_) => Err(format!("{at} (tcp): no answer")),
        }
    });
    let stream = stream.await?;
    secured::set_up(&stream, site.dscp);
    Ok(stream)
}

#[cfg(test)]
mod tests;
