//! A way by TCP: to the head office, or to an HTTP proxy and through it, and TLS to the head
//! office's key behind that. Nothing is carried yet.

use super::address::race;
use super::{HANDSHAKE, NAME, STEP, Site, of, tell_stranger};
use crate::config::{Place, Proxy, PublicKey};
use crate::driver::state::random;
use crate::driver::tunnel::identity::Shown;
use crate::driver::tunnel::proxy::{self, Challenge, Said};
use crate::driver::tunnel::secured;
use crate::driver::tunnel::words::{self, Sign, told};
use rustls::pki_types::ServerName;
use socket2::SockRef;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Octets of a segment of TCP where long packets are swallowed without a word.
const SHORT: u32 = 900;

/// A connection whose other end has proved its key, and who is seen at its other end.
pub(in crate::driver::tunnel) type Proved = (TlsStream<TcpStream>, SocketAddr, PublicKey);

/// One of the connections by TCP, as far as the other end's key.
pub(in crate::driver::tunnel) async fn by_tcp(site: &Site) -> Result<Proved, String> {
    let stream = match &site.proxy {
        Some(proxy) => through(site, proxy).await?,
        None => direct(site).await?,
    };
    secure(site, stream, site.proxy.as_ref()).await
}

/// To the head office itself.
pub(in crate::driver::tunnel) async fn direct(site: &Site) -> Result<TcpStream, String> {
    let dialled = dial(site, &site.connect).await;
    dialled.map_err(|why| of(&site.connect, &why))
}

/// TLS, by a connection that leads there, through a proxy or not.
pub(in crate::driver::tunnel) async fn secure(
    site: &Site,
    stream: TcpStream,
    proxy: Option<&Proxy>,
) -> Result<Proved, String> {
    let (connect, shown) = (&site.connect, Shown::default());
    let believed = site.link.clone();
    let config = site.identity.client(shown.to(move |key| believed.believes(key)))?;
    let peer = stream.peer_addr().map_err(|e| e.to_string())?;
    let at = match proxy {
        Some(proxy) => format!("{connect} (tcp, by proxy {})", proxy.place),
        None => format!("{connect} (tcp)"),
    };
    let name = ServerName::try_from(NAME).map_err(|e| e.to_string())?;
    let shaken = timeout(STEP, TlsConnector::from(Arc::new(config)).connect(name, stream)).await;
    let shaken = shaken.map_err(|_| told(&at, Sign::Slow, ""))?;
    let stream = shaken.map_err(|e| match shown.key() {
        Some(key) if !site.link.believes(&key) => {
            tell_stranger(site, &shown, "tcp");
            words::wrong_key(&at, &key, site.link.peer().as_ref())
        }
        // A gateway, and it is the right one.
        Some(_) => format!("{at}: {}", words::ended(&e)),
        None => words::not_the_head_office(connect, proxy.map(|proxy| &proxy.place), &e),
    })?;
    let key = secured::proved(stream.get_ref().1.peer_certificates());
    Ok((stream, peer, key.ok_or_else(|| told(&at, Sign::NoGateway, ""))?))
}

/// The way through a proxy.
pub(in crate::driver::tunnel) async fn through(
    site: &Site,
    proxy: &Proxy,
) -> Result<TcpStream, String> {
    let place = format!("proxy {}", proxy.place);
    let told = |sign, detail: String| told(&place, sign, detail);
    let ours = |what: String| format!("{place}: {what}");
    let account = proxy::account(proxy);
    let account = account.map_err(|e| told(Sign::NoPassword, format!(" ({e})")))?;
    let (memory, reloads) = (&site.memory, site.link.follows());
    if memory.is_refused(account.as_ref(), reloads, Instant::now()) {
        return Err(told(Sign::NotBelieved, " (407)".to_owned()));
    }
    let mut credentials: Option<zeroize::Zeroizing<String>> = None;
    for _ in 0..3 {
        let mut stream = dial(site, &proxy.place).await.map_err(ours)?;
        let known = credentials.as_ref().map(|c| c.as_str());
        let said = timeout(STEP, proxy::ask(&mut stream, &site.connect, known)).await;
        match said.map_err(|_| told(Sign::Silent, " within 8 s".to_owned()))?.map_err(ours)? {
            Said::Open => return Ok(stream),
            Said::Refused(why) => return Err(ours(why)),
            Said::Challenges(all)
                if credentials.is_some() && !all.iter().any(Challenge::is_stale) =>
            {
                memory.refuses(account, reloads, Instant::now());
                return Err(told(Sign::NotBelieved, " (407)".to_owned()));
            }
            Said::Challenges(all) => {
                let schemes = || format!(" (407: {})", proxy::schemes(&all));
                let account = account.as_ref();
                let account = account.ok_or_else(|| told(Sign::WhoAreWe, schemes()))?;
                let has_digested = site.memory.has_digested();
                let challenge = proxy::chosen(&all, proxy.auth, has_digested).map_err(ours)?;
                if site.memory.answers(challenge.is("Basic")) {
                    tracing::warn!(
                        "tunnel {}: {place}: user and password go to it in clear (Basic)",
                        site.link.name()
                    );
                }
                let answer = proxy::credentials(account, challenge, &site.connect, random());
                let unknown = || told(Sign::UnknownWay, schemes());
                credentials = Some(answer.ok_or_else(unknown)?);
            }
        }
    }
    Err(told(Sign::NotBelieved, String::new()))
}

/// Who answers first of a place's addresses.
async fn dial(site: &Site, place: &Place) -> Result<TcpStream, String> {
    let all = site.memory.addresses(place).await?;
    let is_narrow = site.memory.is_narrow();
    let stream = race(all, move |at| async move {
        let place = format!("{at} (tcp)");
        let connected = async {
            let socket = if at.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
            if is_narrow {
                SockRef::from(&socket).set_tcp_mss(SHORT)?;
            }
            socket.connect(at).await
        };
        match timeout(HANDSHAKE, connected).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(e)) => Err(words::unreached(place, &e)),
            Err(_) => Err(told(place, Sign::Silent, "")),
        }
    });
    let stream = stream.await?;
    secured::set_up(&stream, site.dscp);
    Ok(stream)
}
