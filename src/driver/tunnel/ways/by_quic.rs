//! A way by QUIC: a handshake with each address of the head office, each by a socket of its own,
//! and a greeting with the first that answers. Nothing is carried yet.

use super::address::race;
use super::{Failure, HANDSHAKE, NAME, Purpose, Ready, Site, of, tell_stranger};
use crate::config::PublicKey;
use crate::driver::tunnel::identity::{self, Shown};
use crate::driver::tunnel::link::Link;
use crate::driver::tunnel::words::{self, Sign, told};
use crate::driver::tunnel::{greeting, head_office, marked::Marked, pulse, reset};
use quinn::{ClientConfig, Connection, ConnectionError, Endpoint};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use tokio::time::timeout;

/// One try.
pub(super) async fn by_quic(site: &Arc<Site>, purpose: Purpose) -> Result<Ready, Failure> {
    let (link, connect) = (&site.link, &site.connect);
    let all = site.memory.addresses(connect).await?;
    let shaken = race(all, |at| {
        let site = site.clone();
        async move { shake(&site, at).await }
    });
    let connection = shaken.await.map_err(|why| of(connect, &why))?;
    let key = identity::proved(&connection);
    let key = key.ok_or_else(|| told(format!("{connect} (udp)"), Sign::NoGateway, ""))?;
    let is_trial = purpose == Purpose::Trial;
    match greeting::begin(&connection, &link.site(), is_trial).await {
        Ok(control) => Ok(Ready::Quic(connection, key, control)),
        Err(end) => {
            let why = refused(&site.identity.key.public(), end.as_ref());
            Err(Failure { why: format!("{connect} (udp): {why}"), is_swallowed: end.is_none() })
        }
    }
}

/// Why the other end, whose key is right, does not greet us.
fn refused(own: &PublicKey, end: Option<&ConnectionError>) -> String {
    match end {
        Some(end) if words::is_unbelieved_quic(end) => words::not_known(own),
        Some(end) => words::ended_quic(end),
        None => words::bare(Sign::Swallowed, ""),
    }
}

/// Shakes hands by a socket of its own.
async fn shake(site: &Site, at: SocketAddr) -> Result<Connection, String> {
    let place = format!("{at} (udp)");
    let (link, shown) = (site.link.clone(), Shown::default());
    let crypto = site.identity.quic_client(shown.to(move |key| link.believes(key)))?;
    let mut config = ClientConfig::new(Arc::new(crypto));
    config.transport_config(Arc::new(site.link.transport()));
    let any: IpAddr = match at {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let no_socket = |e: std::io::Error| told(&place, Sign::NoSocket, format!(" ({e})"));
    let socket = head_office::socket(SocketAddr::new(any, 0), site.dscp).map_err(no_socket)?;
    let endpoint = Endpoint::new(reset::of_site(), None, socket, Arc::new(Marked));
    let endpoint = endpoint.map_err(no_socket)?;
    // A name that says nothing of the site: the key is what is proved.
    let connecting = endpoint.connect_with(config, at, NAME).map_err(|e| e.to_string())?;
    match timeout(HANDSHAKE, connecting).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(e)) => {
            tell_stranger(site, &shown, "udp");
            Err(not_shaken(&site.link, &place, shown.key().as_ref(), &e))
        }
        // Nothing came: perhaps nothing goes.
        Err(_) => Err(match pulse::refusal(at).await {
            Some(e) => words::unreached(&place, &e),
            None => told(&place, Sign::Silent, ""),
        }),
    }
}

fn not_shaken(
    link: &Link,
    place: &str,
    shown: Option<&PublicKey>,
    error: &ConnectionError,
) -> String {
    match shown {
        Some(key) if !link.believes(key) => words::wrong_key(place, key, link.peer().as_ref()),
        Some(_) | None => format!("{place}: {}", words::ended_quic(error)),
    }
}
