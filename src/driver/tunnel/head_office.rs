//! A head office's end: it listens for its sites. Who calls has to show that he gets what is sent
//! to where he says he is (Retry, RFC 9000 §8.1.2), then a key that a site of this port has. A
//! stranger learns nothing but that, and his next tries are slower.

use super::bearer::Bearer;
use super::greeting::Control;
use super::identity::{self, Identity};
use super::link::Link;
use super::{greeting, reset};
use crate::config::PublicKey;
use crate::policy::quota::Source;
use quinn::{Endpoint, Incoming, ServerConfig, TokioRuntime};
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

/// A handshake takes at most this.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Handshakes at once.
const AT_ONCE: usize = 32;
/// Sources whose failures are remembered.
const SOURCES: usize = 4_096;
/// After a failure, and at most: how long the next handshake of that source is not begun.
const SLOWER: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
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

/// Who failed, and until when his next handshake is not begun.
#[derive(Debug, Default)]
pub(super) struct Failures(HashMap<Source, (Instant, Duration)>);

impl Failures {
    pub(super) fn may(&self, source: Source) -> bool {
        self.0.get(&source).is_none_or(|(until, _)| *until <= Instant::now())
    }

    pub(super) fn failed(&mut self, source: Source) {
        let now = Instant::now();
        if self.0.len() >= SOURCES {
            // A wait that is over for as long as it lasted is forgotten.
            self.0.retain(|_, (until, wait)| *until + *wait > now);
        }
        let before = self.0.get(&source).filter(|(until, wait)| *until + *wait * 2 > now);
        let wait = before.map_or(SLOWER.0, |(_, wait)| (*wait * 2).min(SLOWER.1));
        if before.is_some() || self.0.len() < SOURCES {
            self.0.insert(source, (now + wait, wait));
        }
    }
}

/// Serves the sites of one port, for ever.
pub(super) async fn serve(socket: UdpSocket, identity: Identity, links: Vec<Arc<Link>>) {
    if let Err(why) = run(socket, identity, &links).await {
        links.iter().for_each(|link| link.fails(&why));
        tracing::error!("tunnels: {why}");
    }
}

async fn run(socket: UdpSocket, identity: Identity, links: &[Arc<Link>]) -> Result<(), String> {
    let all: Arc<[Arc<Link>]> = links.into();
    let known = all.clone();
    let crypto =
        identity.quic_server(Arc::new(move |key| known.iter().any(|l| l.believes(key))))?;
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    if let Some(first) = all.first() {
        config.transport_config(Arc::new(first.transport()));
    }
    let runtime = Arc::new(TokioRuntime);
    let endpoint = Endpoint::new(reset::endpoint(&identity.key), Some(config), socket, runtime);
    let endpoint = endpoint.map_err(|e| e.to_string())?;
    all.iter().for_each(|link| link.fails("nobody has called yet"));
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let (report, mut failed) = mpsc::unbounded_channel();
    let mut failures = Failures::default();
    loop {
        let incoming = tokio::select! {
            incoming = endpoint.accept() => incoming,
            Some(source) = failed.recv() => {
                failures.failed(source);
                continue;
            }
        };
        let Some(incoming) = incoming else { return Err("the socket was closed".to_owned()) };
        let source = Source::of(incoming.remote_address().ip().to_canonical());
        if !incoming.remote_address_validated() {
            let _ = incoming.retry();
            continue;
        }
        let turn = turns.clone().try_acquire_owned();
        let (Ok(turn), true) = (turn, failures.may(source)) else {
            incoming.ignore();
            continue;
        };
        let (all, report) = (all.clone(), report.clone());
        tokio::spawn(async move {
            let welcomed = welcome(incoming, &all).await;
            drop(turn);
            match welcomed {
                Some((link, connection, key, mut control)) => {
                    if link.tries(&mut control).await {
                        link.carry(Bearer::Quic(connection), key, Some(control)).await;
                    }
                }
                None => drop(report.send(source)),
            }
        });
    }
}

/// Shakes hands; `None`: it came to nothing.
async fn welcome(
    incoming: Incoming,
    links: &[Arc<Link>],
) -> Option<(Arc<Link>, quinn::Connection, PublicKey, Control)> {
    let peer = incoming.remote_address();
    let connection = match timeout(HANDSHAKE, incoming).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(e)) => {
            tracing::debug!("tunnel: no connection from {peer}: {e}");
            return None;
        }
        Err(_) => return None,
    };
    let key = identity::proved(&connection)?;
    let link = links.iter().find(|link| link.believes(&key))?;
    let control = greeting::answer(&connection, &link.site()).await?;
    Some((link.clone(), connection, key, control))
}
