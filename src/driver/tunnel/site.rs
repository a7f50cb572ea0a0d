//! A site's end: it calls the head office, and calls again when the connection ends. Nothing of it
//! is open to the outside. Where the head office is, DNS is asked anew at each try.

use super::identity::Identity;
use super::link::{Link, Stream};
use super::{greeting, head_office};
use crate::config::{Host, Place};
use crate::driver::resolver::{RESOLV_CONF, ask_once};
use crate::engine::names::{Question, Record, Reply};
use quinn::{ClientConfig, Endpoint, EndpointConfig, TokioRuntime};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Waits between tries: the first, and the longest.
const WAIT: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// A handshake takes at most this.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// An answer of DNS takes at most this.
const NAMED: Duration = Duration::from_secs(5);

/// Keeps a tunnel up, for ever.
pub(super) async fn keep(link: Arc<Link>, identity: Identity, connect: Place, dscp: u8) {
    let mut wait = WAIT.0;
    loop {
        match once(&link, &identity, &connect, dscp).await {
            Ok((connection, control)) => {
                wait = WAIT.0;
                link.carry(connection, control).await;
            }
            Err(why) => {
                tracing::debug!("tunnel {}: {why}", link.name());
                link.fails(&why);
            }
        }
        sleep(wait).await;
        wait = (wait * 2).min(WAIT.1);
    }
}

/// One try at each of its addresses.
async fn once(
    link: &Arc<Link>,
    identity: &Identity,
    connect: &Place,
    dscp: u8,
) -> Result<(quinn::Connection, Stream), String> {
    let believed = link.clone();
    let crypto = identity.client(Arc::new(move |key| believed.believes(key)))?;
    let mut config = ClientConfig::new(Arc::new(crypto));
    config.transport_config(Arc::new(link.transport()));
    let mut last = format!("{connect}: no address is known");
    for at in addresses(connect).await? {
        let any: IpAddr = match at {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = head_office::socket(SocketAddr::new(any, 0), dscp);
        let socket = socket.map_err(|e| format!("no socket: {e}"))?;
        let runtime = Arc::new(TokioRuntime);
        let endpoint = Endpoint::new(EndpointConfig::default(), None, socket, runtime);
        let endpoint = endpoint.map_err(|e| format!("no socket: {e}"))?;
        // A name that says nothing of the site: the key is what is proved.
        let connecting = endpoint.connect_with(config.clone(), at, "tunnel.invalid");
        let connecting = connecting.map_err(|e| format!("{connect}: {e}"))?;
        match timeout(HANDSHAKE, connecting).await {
            Ok(Ok(connection)) => match greeting::begin(&connection, &link.site()).await {
                Ok(control) => return Ok((connection, control)),
                Err(why) => last = format!("{connect} ({at}): {why}"),
            },
            Ok(Err(e)) => last = format!("{connect} ({at}): {e}"),
            Err(_) => last = format!("{connect} ({at}) does not answer by UDP"),
        }
    }
    Err(last)
}

async fn addresses(connect: &Place) -> Result<Vec<SocketAddr>, String> {
    let name = match &connect.host {
        Host::Ip(ip) => return Ok(vec![SocketAddr::new(*ip, connect.port)]),
        Host::Name(name) => name.clone(),
    };
    match ask_once(Path::new(RESOLV_CONF), &Question::Hosts(name.clone()), NAMED).await {
        Reply::Records(records, _) => {
            let hosts = records.into_iter().filter_map(|record| match record {
                Record::Address(ip) => Some(SocketAddr::new(ip, connect.port)),
                Record::Naptr { .. } | Record::Srv { .. } => None,
            });
            Ok(hosts.collect())
        }
        Reply::Nothing(_) => Err(format!("{name}: no such host")),
        Reply::Failed(why) => Err(format!("{name}: {why}")),
    }
}
