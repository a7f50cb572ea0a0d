//! A head office's end: it listens for its sites. Who calls has to show that he gets what is sent
//! to where he says he is (Retry, RFC 9000 §8.1.2), then a key that a site of this port has. A
//! stranger learns nothing but that, and his next tries are slower.

use super::bearer::Bearer;
use super::greeting::Control;
use super::identity;
use super::link::Link;
use super::marked::Marked;
use super::office::Office;
use super::turns::{Turn, Turns};
use super::words::{self, Sign};
use super::{greeting, reset};
use crate::config::PublicKey;
use crate::policy::quota::Source;
use quinn::{Endpoint, Incoming, ServerConfig};
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
            let _ = socket.set_tos_v4(tos);
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
pub(super) async fn serve(socket: UdpSocket, office: Arc<Office>) {
    if let Err(why) = run(socket, &office).await {
        office.links().iter().for_each(|link| link.fails(&why));
        tracing::error!("tunnels: {why}");
    }
}

async fn run(socket: UdpSocket, office: &Arc<Office>) -> Result<(), String> {
    let crypto = office.identity.quic_server(office.judge().0)?;
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    let all = office.links();
    if let Some(first) = all.first() {
        config.transport_config(Arc::new(first.transport()));
    }
    let runtime = Arc::new(Marked);
    let at = socket.local_addr().map_err(|e| e.to_string())?;
    let own = reset::endpoint(&office.identity.key, at);
    let endpoint = Endpoint::new(own, Some(config.clone()), socket, runtime);
    let endpoint = endpoint.map_err(|e| e.to_string())?;
    let nobody = words::bare(Sign::NotCalled, "");
    all.iter().for_each(|link| link.fails(&nobody));
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
        let (office, turns, config) = (office.clone(), turns.clone(), config.clone());
        tokio::spawn(async move {
            let Some(turn) = turns.turn(source).await else { return incoming.ignore() };
            if let Some((link, connection, key, mut control)) =
                meet(incoming, &office, (config, turn)).await
                && link.tries(&mut control).await
            {
                link.carry(Bearer::Quic(connection), key, Some(control)).await;
            }
        });
    }
}

type Met = (Arc<Link>, quinn::Connection, PublicKey, Control);

/// Shakes hands as long as it has a turn; `None`: it came to nothing.
async fn meet(
    incoming: Incoming,
    office: &Arc<Office>,
    (config, turn): (ServerConfig, Turn),
) -> Option<Met> {
    let welcomed = tokio::select! {
        welcomed = welcome(incoming, office, config) => welcomed,
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
async fn welcome(
    incoming: Incoming,
    office: &Arc<Office>,
    mut config: ServerConfig,
) -> Option<Met> {
    let peer = incoming.remote_address();
    // Judged by itself, so that a key that nobody knows is told with where it came from.
    let (believed, shown) = office.judge();
    config.crypto = Arc::new(office.identity.quic_server(believed).ok()?);
    let connecting = incoming.accept_with(Arc::new(config)).ok()?;
    let connection = match timeout(HANDSHAKE, connecting).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(e)) => {
            if !office.refused((peer, "udp"), &shown, words::is_unbelieved_quic(&e)) {
                tracing::debug!(
                    "tunnel: no connection from {peer} (udp): {}",
                    words::ended_quic(&e)
                );
            }
            return None;
        }
        Err(_) => return None,
    };
    let key = identity::proved(&connection)?;
    let link = office.of(&key)?;
    let control = greeting::answer(&connection, &link.site()).await?;
    Some((link, connection, key, control))
}
