//! A head office's port by TCP, for sites that nothing else gets through from. A tunnel has some
//! connections there, which say which one they are of. Who shows no key that is known gets no
//! further, and waits longer each time.

use super::bearer::Bearer;
use super::by_tcp::{ByTcp, MEMBERS};
use super::greeting::Greeting;
use super::link::Link;
use super::office::Office;
use super::turns::Turns;
use super::words::words;
use super::{secured, ways, words};
use crate::policy::quota::Source;
use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

/// A handshake takes at most this.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Connections that the kernel may hold until they are accepted.
const BACKLOG: i32 = 128;

/// Listens.
///
/// # Errors
/// What the kernel says.
pub(super) fn listen(at: SocketAddr) -> io::Result<StdListener> {
    let domain = socket2::Domain::for_address(at);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
    if let SocketAddr::V6(v6) = at {
        socket.set_only_v6(!v6.ip().is_unspecified())?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&at.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// What all connections of a port share.
struct Gate {
    office: Arc<Office>,
    /// The newest tunnel by TCP of each, to which more connections may come, by its name.
    joined: Mutex<BTreeMap<String, Arc<ByTcp>>>,
    dscp: u8,
    turns: Arc<Turns>,
}

/// Serves the sites of one port, for ever.
pub(super) async fn serve(listener: StdListener, office: Arc<Office>, dscp: u8) {
    if let Err(why) = run(listener, office, dscp).await {
        tracing::error!("tunnels by TCP: {why}");
    }
}

async fn run(listener: StdListener, office: Arc<Office>, dscp: u8) -> Result<(), String> {
    let (joined, turns) = (Mutex::default(), Arc::default());
    let gate = Arc::new(Gate { office, joined, dscp, turns });
    let listener = TcpListener::from_std(listener).map_err(|e| e.to_string())?;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => gate.clone().take(stream, peer),
            // Out of descriptors, most likely: wait instead of spinning.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

impl Gate {
    fn take(self: Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        let source = Source::of(peer.ip().to_canonical());
        secured::set_up(&stream, self.dscp);
        tokio::spawn(async move {
            let Some(turn) = self.turns.turn(source).await else { return };
            let welcomed = tokio::select! {
                welcomed = timeout(HANDSHAKE * 2, self.welcome(stream, peer)) => welcomed,
                () = turn.is_lost() => return,
            };
            match welcomed {
                Ok(Ok(met)) => {
                    turn.believed();
                    if let Some((link, tcp, key)) = met {
                        link.carry(Bearer::Tcp(tcp), key, None).await;
                    }
                }
                Ok(Err(why)) => {
                    let why = words(&why);
                    tracing::debug!("tunnel: no connection from {peer} (tcp): {why}");
                    turn.failed();
                }
                Err(_) => turn.failed(),
            }
        });
    }

    /// Shakes hands; a tunnel that has come with its first connection is what is to be carried by.
    async fn welcome(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
    ) -> Result<Option<(Arc<Link>, Arc<ByTcp>, crate::config::PublicKey)>, String> {
        let (believed, shown) = self.office.judge();
        let tls = TlsAcceptor::from(Arc::new(self.office.identity.server(believed)?));
        let shaken = timeout(HANDSHAKE, tls.accept(stream)).await;
        let shaken = shaken.map_err(|_| "no handshake within 5 s".to_owned())?;
        let mut stream = shaken.map_err(|e| {
            self.office.refused((peer, "tcp"), &shown, words::is_unbelieved(&e));
            words::not_a_site(&e)
        })?;
        let key = secured::proved(stream.get_ref().1.peer_certificates());
        let key = key.ok_or("no key")?;
        let link = self.office.of(&key).ok_or("no site")?;
        // A site that has found a better way meanwhile leaves without a word.
        let Ok(heard) = secured::hear(&mut stream).await else { return Ok(None) };
        let mut own = Greeting::new(&link.site());
        own.refused = heard.refusal(&link.site());
        secured::say(&mut stream, &own).await?;
        if let Some(why) = own.refused {
            return Err(why);
        }
        // It only looked.
        if heard.trial {
            return Ok(None);
        }
        let mut joined = self.joined.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.member == 0 {
            let tcp = Arc::new(ByTcp::new(heard.number, peer));
            joined.insert(link.name().to_owned(), tcp.clone());
            drop(joined);
            ways::spawn(&tcp, 0, stream, &link);
            return Ok(Some((link, tcp, key)));
        }
        let of = joined.get(link.name()).cloned().filter(|tcp| tcp.number() == heard.number);
        drop(joined);
        let tcp = of.filter(|_| heard.member < MEMBERS).ok_or("a connection of no tunnel")?;
        ways::spawn(&tcp, heard.member, stream, &link);
        Ok(None)
    }
}
