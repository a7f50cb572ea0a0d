//! The ways from a site to its head office, one try each: QUIC, or TLS by TCP, through a proxy
//! where there is one. A try makes a connection whose other end has proved its key; whether the
//! tunnel is then carried by it, whoever asked says. Which way is tried when is the ladder's, and
//! DNS is asked anew at each try.

mod address;
mod by_quic;
mod by_tcp;
mod order;

pub(super) use address::Memory;
pub(super) use by_tcp::{direct, secure, through};

use self::by_quic::by_quic;
use self::by_tcp::by_tcp;
use self::order::in_order;
use super::bearer::{Bearer, Kind};
use super::by_tcp::{ByTcp, MEMBERS};
use super::greeting::{Control, Greeting};
use super::identity::{Identity, Shown};
use super::ladder::{Order, Telling};
use super::link::Link;
use super::secured;
use super::words::{self, Sign};
use crate::config::{BearerChoice, Host, Place, Proxy, PublicKey};
use crate::driver::state::random;
use quinn::Connection;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};
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
                    let why = words::bare(Sign::Swallowed, "");
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
            let why = words::bare(Sign::Swallowed, "");
            Err(Failure { why, is_swallowed: true })
        }
        ready @ Ready::Tcp(..) => Ok(ready),
    }
}

pub(super) async fn one(site: &Arc<Site>, kind: Kind, purpose: Purpose) -> Result<Ready, Failure> {
    match kind {
        Kind::Quic => by_quic(site, purpose).await,
        Kind::Tcp => {
            let (stream, peer, key) = by_tcp(site).await?;
            Ok(Ready::Tcp(Box::new(stream), peer, key))
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
pub(super) fn of(place: &Place, why: &str) -> String {
    match &place.host {
        Host::Ip(_) => why.to_owned(),
        Host::Name(name) if why.starts_with(name.as_str()) => why.to_owned(),
        Host::Name(_) => format!("{place}: {why}"),
    }
}

/// Says that it is only looked, and hears whether we would be let in.
pub(super) async fn greet_only(
    site: &Site,
    stream: &mut TlsStream<TcpStream>,
) -> Result<(), String> {
    let member = MEMBERS;
    let own = Greeting { member, trial: true, ..Greeting::new(&site.link.site()) };
    greeted(site, stream, &own).await
}

async fn greet(
    site: &Arc<Site>,
    stream: &mut TlsStream<TcpStream>,
    number: u64,
    member: usize,
) -> Result<(), String> {
    let own = Greeting { number, member, ..Greeting::new(&site.link.site()) };
    greeted(site, stream, &own).await
}

async fn greeted(
    site: &Site,
    stream: &mut TlsStream<TcpStream>,
    own: &Greeting,
) -> Result<(), String> {
    let greeted = secured::greet(stream, own).await;
    let key = site.identity.key.public();
    greeted.map(drop).map_err(|e| {
        // The key's own line is of use only with the key.
        let why = if e == words::bare(Sign::NotKnown, "") { words::not_known(&key) } else { e };
        format!("{} (tcp): {why}", site.connect)
    })
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

#[cfg(test)]
mod tests;
