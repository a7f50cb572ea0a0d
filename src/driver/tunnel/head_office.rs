//! A head office's end: it listens for its sites. Who calls has to show that he gets what is sent
//! to where he says he is (Retry, RFC 9000 §8.1.2), then a key that a site of this port has. A
//! stranger learns nothing but that, and his next tries are slower.

use super::bearer::Bearer;
use super::greeting::Control;
use super::identity::{self, Identity, Shown};
use super::link::Link;
use super::strangers::Strangers;
use super::turns::{Turn, Turns};
use super::words::{self, Sign};
use super::{greeting, reset};
use crate::config::PublicKey;
use crate::policy::quota::Source;
use quinn::{Endpoint, Incoming, ServerConfig, TokioRuntime};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// A handshake takes at most this.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Octets that the kernel may hold for the tunnels' socket each way.
const KERNEL: usize = 1 << 20;

/// A socket for a tunnel's packets.
pub(super) fn socket(at: SocketAddr, dscp: u8) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(at), Type::DGRAM, Some(Protocol::UDP))?;
    let tos = u32::from(dscp & 0x3f) << 2;
    match at {
        SocketAddr::V4(_) => socket.set_tos_v4(tos)?,
        // One socket for both IP versions, where it stands at no address in particular.
        SocketAddr::V6(v6) => {
            socket.set_only_v6(!v6.ip().is_unspecified())?;
            socket.set_tclass_v6(tos)?;
        }
    }
    // Best effort.
    let _ = socket.set_recv_buffer_size(KERNEL);
    let _ = socket.set_send_buffer_size(KERNEL);
    socket.set_nonblocking(true)?;
    socket.bind(&at.into())?;
    Ok(socket.into())
}

/// Serves the sites of one port, for ever.
pub(super) async fn serve(
    socket: UdpSocket,
    identity: Identity,
    links: Vec<Arc<Link>>,
    strangers: Arc<Strangers>,
) {
    if let Err(why) = run(socket, identity, &links, strangers).await {
        links.iter().for_each(|link| link.fails(&why));
        tracing::error!("tunnels: {why}");
    }
}

/// All that a handshake needs.
struct Door {
    links: Vec<Arc<Link>>,
    identity: Identity,
    config: ServerConfig,
    strangers: Arc<Strangers>,
}

impl Door {
    /// What is shown to one who calls; the key that he shows is seen.
    fn config(&self, shown: &Shown) -> Result<ServerConfig, String> {
        let mut config = self.config.clone();
        config.crypto = Arc::new(self.identity.quic_server(shown.to(believes(&self.links)))?);
        Ok(config)
    }
}

/// Whether a key is one of these tunnels'.
pub(super) fn believes(links: &[Arc<Link>]) -> impl Fn(&PublicKey) -> bool + use<> {
    let links = links.to_vec();
    move |key| links.iter().any(|link| link.believes(key))
}

/// Tells of somebody who came with a key that is no site's.
pub(super) fn tell_of(strangers: &Arc<Strangers>, from: &str, source: Source, key: &PublicKey) {
    let line =
        format!("a gateway at {from} showed the key {key}, {}", words::bare(Sign::Stranger, ""));
    strangers.tell(source, &key.to_string(), &line);
}

/// Tells of a site that does not believe us.
pub(super) fn tell_unbelieved(
    strangers: &Arc<Strangers>,
    from: &str,
    source: Source,
    own: &PublicKey,
) {
    let detail = format!(" ({own})");
    let line = format!("a gateway at {from} {}", words::bare(Sign::NotBelievedThere, detail));
    strangers.tell(source, "", &line);
}

async fn run(
    socket: UdpSocket,
    identity: Identity,
    links: &[Arc<Link>],
    strangers: Arc<Strangers>,
) -> Result<(), String> {
    let crypto = identity.quic_server(Arc::new(believes(links)))?;
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    if let Some(first) = links.first() {
        config.transport_config(Arc::new(first.transport()));
    }
    let door = Door { links: links.to_vec(), identity, config: config.clone(), strangers };
    let door = Arc::new(door);
    let runtime = Arc::new(TokioRuntime);
    let at = socket.local_addr().map_err(|e| e.to_string())?;
    let own = reset::endpoint(&door.identity.key, at);
    let endpoint = Endpoint::new(own, Some(config), socket, runtime);
    let endpoint = endpoint.map_err(|e| e.to_string())?;
    let nobody = words::bare(Sign::NotCalled, "");
    door.links.iter().for_each(|link| link.fails(&nobody));
    let turns = Arc::<Turns>::default();
    loop {
        let Some(incoming) = endpoint.accept().await else {
            return Err("the socket was closed".to_owned());
        };
        let source = Source::of(incoming.remote_address().ip().to_canonical());
        if !incoming.remote_address_validated() {
            let _ = incoming.retry();
            continue;
        }
        let (door, turns) = (door.clone(), turns.clone());
        tokio::spawn(async move {
            let Some(turn) = turns.turn(source).await else { return incoming.ignore() };
            if let Some((link, connection, key, mut control)) =
                meet(incoming, &door, turn, source).await
                && link.tries(&mut control).await
            {
                link.carry(Bearer::Quic(connection), key, Some(control)).await;
            }
        });
    }
}

type Met = (Arc<Link>, quinn::Connection, PublicKey, Control);

/// Shakes hands as long as it has a turn; `None`: it came to nothing.
async fn meet(incoming: Incoming, door: &Door, turn: Turn, source: Source) -> Option<Met> {
    let welcomed = tokio::select! {
        welcomed = welcome(incoming, door, source) => welcomed,
        () = turn.is_lost() => return None,
    };
    if welcomed.is_some() {
        turn.believed()
    } else {
        turn.failed()
    }
    welcomed
}

/// Shakes hands; `None`: it came to nothing.
async fn welcome(incoming: Incoming, door: &Door, source: Source) -> Option<Met> {
    let (peer, shown) = (incoming.remote_address(), Shown::default());
    let from = format!("{peer} (udp)");
    let config = door.config(&shown).ok()?;
    let connecting = incoming.accept_with(Arc::new(config)).ok()?;
    let connection = match timeout(HANDSHAKE, connecting).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(e)) => {
            let stranger = shown.key().filter(|key| !believes(&door.links)(key));
            if let Some(key) = stranger {
                tell_of(&door.strangers, &from, source, &key);
            } else if words::is_unbelieved_quic(&e) {
                tell_unbelieved(&door.strangers, &from, source, &door.identity.key.public());
            } else {
                tracing::debug!("tunnel: no connection from {from}: {}", words::ended_quic(&e));
            }
            return None;
        }
        Err(_) => return None,
    };
    let key = identity::proved(&connection)?;
    let link = door.links.iter().find(|link| link.believes(&key))?;
    let control = greeting::answer(&connection, &link.site()).await?;
    Some((link.clone(), connection, key, control))
}
