//! A site's end: it calls the head office, and calls again when the connection ends. Nothing of it
//! is open to the outside. It tries the best bearer first, takes what gets through, and goes on
//! asking whether a better one does. Where the head office is, DNS is asked anew at each try.

use super::bearer::{Bearer, Kind};
use super::by_tcp::{ByTcp, MEMBERS};
use super::greeting::{Control, Greeting};
use super::identity::{self, Identity};
use super::link::Link;
use super::proxy::{self, Said};
use super::{greeting, head_office, secured};
use crate::config::{BearerChoice, Host, Place, Proxy, PublicKey};
use crate::driver::resolver::{RESOLV_CONF, ask_once};
use crate::driver::state::random;
use crate::engine::names::{Question, Record, Reply};
use quinn::{ClientConfig, Endpoint, EndpointConfig, TokioRuntime};
use rustls::pki_types::ServerName;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Waits between tries: the first, and the longest.
const WAIT: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// A handshake takes at most this.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// By TCP, through a proxy, each step takes at most this.
const STEP: Duration = Duration::from_secs(8);
/// An answer of DNS takes at most this.
const NAMED: Duration = Duration::from_secs(5);
/// How often it is asked whether a better bearer gets through.
const BETTER: Duration = Duration::from_secs(30);

/// A site's tunnel, as the file has it.
pub(super) struct Site {
    pub(super) link: Arc<Link>,
    pub(super) identity: Identity,
    pub(super) connect: Place,
    pub(super) bearer: BearerChoice,
    pub(super) proxy: Option<Proxy>,
    pub(super) dscp: u8,
}

type Got = (Bearer, PublicKey, Option<Control>);

/// Keeps a tunnel up, for ever.
pub(super) async fn keep(site: Site) {
    let site = Arc::new(site);
    tokio::spawn(better(site.clone()));
    let mut wait = WAIT.0;
    loop {
        match first(&site).await {
            Ok((bearer, key, control)) => {
                wait = WAIT.0;
                site.link.carry(bearer, key, control).await;
                // A better one may have come meanwhile.
                site.link.is_down().await;
            }
            Err(why) => {
                tracing::debug!("tunnel {}: {why}", site.link.name());
                site.link.fails(&why);
            }
        }
        sleep(wait).await;
        wait = (wait * 2).min(WAIT.1);
    }
}

/// Asks for a better bearer as long as a worse one carries; calls move to it as they are.
async fn better(site: Arc<Site>) {
    if site.bearer != BearerChoice::Auto {
        return;
    }
    loop {
        sleep(BETTER).await;
        if site.link.kind() != Some(Kind::Tcp) {
            continue;
        }
        if let Ok((bearer, key, control)) = by_quic(&site).await {
            site.link.carry(bearer, key, control).await;
        }
    }
}

/// The first bearer that gets through.
async fn first(site: &Site) -> Result<Got, String> {
    match site.bearer {
        BearerChoice::Quic => by_quic(site).await,
        BearerChoice::Tcp => by_tcp(site).await,
        BearerChoice::Auto => {
            // QUIC has a moment's lead; where it is not let through, nobody waits for it.
            let quic = by_quic(site);
            let tcp = async {
                sleep(LEAD).await;
                by_tcp(site).await
            };
            tokio::pin!(quic, tcp);
            tokio::select! {
                quic = &mut quic => match quic {
                    Ok(got) => Ok(got),
                    Err(why) => tcp.await.map_err(|also| format!("{why}; {also}")),
                },
                tcp = &mut tcp => match tcp {
                    Ok(got) => Ok(got),
                    Err(why) => quic.await.map_err(|also| format!("{also}; {why}")),
                },
            }
        }
    }
}

/// How long QUIC is tried alone.
const LEAD: Duration = Duration::from_millis(1_500);

/// One try by QUIC at each of its addresses.
async fn by_quic(site: &Site) -> Result<Got, String> {
    let (link, connect) = (&site.link, &site.connect);
    let believed = link.clone();
    let crypto = site.identity.quic_client(Arc::new(move |key| believed.believes(key)))?;
    let mut config = ClientConfig::new(Arc::new(crypto));
    config.transport_config(Arc::new(link.transport()));
    let mut last = format!("{connect}: no address is known");
    for at in addresses(connect).await? {
        let any: IpAddr = match at {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = head_office::socket(SocketAddr::new(any, 0), site.dscp);
        let socket = socket.map_err(|e| format!("no socket: {e}"))?;
        let runtime = Arc::new(TokioRuntime);
        let endpoint = Endpoint::new(EndpointConfig::default(), None, socket, runtime);
        let endpoint = endpoint.map_err(|e| format!("no socket: {e}"))?;
        // A name that says nothing of the site: the key is what is proved.
        let connecting = endpoint.connect_with(config.clone(), at, NAME);
        let connecting = connecting.map_err(|e| format!("{connect}: {e}"))?;
        match timeout(HANDSHAKE, connecting).await {
            Ok(Ok(connection)) => {
                let key = identity::proved(&connection).ok_or("it has proved no key")?;
                match greeting::begin(&connection, &link.site()).await {
                    Ok(control) => return Ok((Bearer::Quic(connection), key, Some(control))),
                    Err(why) => last = format!("{connect} ({at}): {why}"),
                }
            }
            Ok(Err(e)) => last = format!("{connect} ({at}): {e}"),
            Err(_) => last = format!("{connect} ({at}) does not answer by UDP"),
        }
    }
    Err(last)
}

/// Whom a site asks for: nobody whose name would tell anything.
const NAME: &str = "tunnel.invalid";

/// One try by TCP, with all its connections.
async fn by_tcp(site: &Site) -> Result<Got, String> {
    let number = u64::from_be_bytes(random());
    let (stream, peer) = one(site, number, 0).await?;
    let key = secured::proved(stream.get_ref().1.peer_certificates());
    let key = key.ok_or("it has proved no key")?;
    let tcp = Arc::new(ByTcp::new(number, peer));
    spawn(&tcp, 0, stream, &site.link);
    for member in 1..MEMBERS {
        match one(site, number, member).await {
            Ok((stream, _)) => spawn(&tcp, member, stream, &site.link),
            Err(why) => {
                tcp.close(&why);
                return Err(why);
            }
        }
    }
    Ok((Bearer::Tcp(tcp), key, None))
}

pub(super) fn spawn<S>(tcp: &Arc<ByTcp>, member: usize, stream: S, link: &Arc<Link>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + 'static,
{
    let (tcp, link) = (tcp.clone(), link.clone());
    tokio::spawn(async move { tcp.carry(member, stream, link.carries()).await });
}

/// One of its connections.
async fn one(
    site: &Site,
    number: u64,
    member: usize,
) -> Result<(TlsStream<TcpStream>, SocketAddr), String> {
    let connect = &site.connect;
    let believed = site.link.clone();
    let config = site.identity.client(Arc::new(move |key| believed.believes(key)))?;
    let stream = match &site.proxy {
        Some(proxy) => through(proxy, connect, site.dscp).await?,
        None => dial(connect, site.dscp).await.map_err(|e| format!("{connect} (tcp): {e}"))?,
    };
    let peer = stream.peer_addr().map_err(|e| e.to_string())?;
    let name = ServerName::try_from(NAME).map_err(|e| e.to_string())?;
    let shaken = timeout(STEP, TlsConnector::from(Arc::new(config)).connect(name, stream)).await;
    let shaken = shaken.map_err(|_| format!("{connect} (tcp): no handshake within 8 s"))?;
    let mut stream = shaken.map_err(|e| format!("{connect} (tcp): {}", inspected(&e)))?;
    let own = Greeting { number, member, ..Greeting::new(&site.link.site()) };
    secured::greet(&mut stream, &own).await.map_err(|e| format!("{connect} (tcp): {e}"))?;
    Ok((stream, peer))
}

/// Somebody between who shows a certificate of his own is told as what he is.
fn inspected(error: &std::io::Error) -> String {
    let text = error.to_string();
    if text.contains("certificate") || text.contains("raw public key") {
        return format!(
            "{text} (does a proxy look into TLS? It has to let this host through as it is)"
        );
    }
    text
}

/// The way through a proxy.
async fn through(proxy: &Proxy, connect: &Place, dscp: u8) -> Result<TcpStream, String> {
    let told = |what: String| format!("proxy {}: {what}", proxy.place);
    let account = proxy::account(proxy).map_err(told)?;
    let mut credentials = None;
    for _ in 0..2 {
        let mut stream = dial(&proxy.place, dscp).await.map_err(told)?;
        let said = proxy::ask(
            &mut stream,
            connect,
            credentials.as_ref().map(|c: &zeroize::Zeroizing<String>| c.as_str()),
        );
        let said = timeout(STEP, said).await;
        match said.map_err(|_| told("no answer within 8 s".to_owned()))?.map_err(told)? {
            Said::Open => return Ok(stream),
            Said::Refused(why) => return Err(told(why)),
            Said::Challenge(_) if credentials.is_some() => {
                return Err(told("it does not believe user and password".to_owned()));
            }
            Said::Challenge(challenge) => {
                let account = account.as_ref().ok_or_else(|| {
                    told("it asks who we are: set proxy_user and proxy_password_file".to_owned())
                })?;
                let answer = proxy::credentials(account, &challenge, connect, random());
                let scheme = || told(format!("its challenge is not known here: {challenge}"));
                credentials = Some(answer.ok_or_else(scheme)?);
            }
        }
    }
    Err(told("it does not open the way".to_owned()))
}

async fn dial(place: &Place, dscp: u8) -> Result<TcpStream, String> {
    let mut last = "no address is known".to_owned();
    for at in addresses(place).await? {
        match timeout(HANDSHAKE, TcpStream::connect(at)).await {
            Ok(Ok(stream)) => {
                secured::set_up(&stream, dscp);
                return Ok(stream);
            }
            Ok(Err(e)) => last = format!("{at}: {e}"),
            Err(_) => last = format!("{at} does not answer"),
        }
    }
    Err(last)
}

async fn addresses(place: &Place) -> Result<Vec<SocketAddr>, String> {
    let name = match &place.host {
        Host::Ip(ip) => return Ok(vec![SocketAddr::new(*ip, place.port)]),
        Host::Name(name) => name.clone(),
    };
    match ask_once(Path::new(RESOLV_CONF), &Question::Hosts(name.clone()), NAMED).await {
        Reply::Records(records, _) => {
            let hosts = records.into_iter().filter_map(|record| match record {
                Record::Address(ip) => Some(SocketAddr::new(ip, place.port)),
                Record::Naptr { .. } | Record::Srv { .. } => None,
            });
            Ok(hosts.collect())
        }
        Reply::Nothing(_) => Err(format!("{name}: no such host")),
        Reply::Failed(why) => Err(format!("{name}: {why}")),
    }
}
