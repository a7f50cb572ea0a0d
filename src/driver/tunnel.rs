//! Tunnels to other gateways: one connection by QUIC (RFC 9000) carries a site's signalling, in
//! streams, and its media, in datagrams (RFC 9221). A tunnel is a link of an interface: SIP goes on
//! to `driver/stream`, which takes a stream of a tunnel for a connection by TLS, and media to the
//! relay, whose port it is. Nothing here reads a message or judges a packet of media, and nobody
//! but the other end's key is believed.
//!
//! The work is done by one thread of its own, so that no tunnel delays a message of another link.

mod bearer;
mod by_tcp;
mod comings;
mod files;
mod gate;
mod greeting;
mod head_office;
mod identity;
pub mod key;
mod ladder;
mod link;
mod look;
mod media;
mod path;
mod proxy;
mod pulse;
mod rate;
mod reset;
mod secured;
mod site;
mod strangers;
mod told;
mod turns;
mod ways;
mod words;

pub use bearer::Kind;
pub use files::check as check_files;
pub use link::{GROUPS, Link};
pub use look::{Step, Tried, look, own_key};
pub use media::Port;
pub use told::{MEDIA, MOVES, Stream, View};

use crate::config::{Config, End, Tunnel};
use crate::engine::TunnelPath;
use crate::ground::Transport;
use identity::Identity;
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use strangers::Strangers;
use tokio::sync::mpsc;
use told::Farewell;
use ways::{Memory, Site};

/// Our key, in the state folder, where the file does not say.
pub const KEY_FILE: &str = "tunnel.key";

/// Saying good-bye takes so long.
const FAREWELL: Duration = Duration::from_millis(50);

/// Why a tunnel cannot be begun; the text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum TunnelError {
    /// Our own key.
    #[error("interface \"{interface}\": {what}")]
    Key {
        /// Whose.
        interface: String,
        /// In words.
        what: String,
    },
    /// A head office's port.
    #[error("interface \"{interface}\" cannot listen at {at} ({transport}): {error}")]
    Listen {
        /// Whose.
        interface: String,
        /// Where.
        at: std::net::SocketAddr,
        /// By what.
        transport: Transport,
        /// What the kernel says.
        error: io::Error,
    },
    /// The thread.
    #[error("the tunnel's thread cannot be begun: {0}")]
    Thread(io::Error),
}

/// All tunnels of this gateway, by interface.
#[derive(Clone, Debug, Default)]
pub struct Tunnels {
    links: Arc<BTreeMap<usize, Arc<Link>>>,
    alive: Option<Arc<Alive>>,
}

/// The thread, which ends when this is dropped.
#[derive(Debug)]
struct Alive {
    sign: mpsc::Sender<()>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// The file with our key.
#[must_use]
pub fn key_file(config: &Config, tunnel: &Tunnel) -> PathBuf {
    match &tunnel.key_file {
        Some(file) => PathBuf::from(file),
        None => Path::new(&config.state_dir).join(KEY_FILE),
    }
}

/// Whether the ports of all head offices are free.
#[must_use]
pub fn can_listen(config: &Config) -> bool {
    let tunnels = config.interfaces.iter().filter_map(|i| i.link.tunnel());
    let mut all: Vec<_> = tunnels
        .filter_map(|tunnel| match tunnel.end {
            End::Site { .. } => None,
            End::HeadOffice { listen, tcp } => Some((listen, tcp)),
        })
        .collect();
    // Sites share a port.
    all.dedup();
    all.into_iter().all(|(udp, tcp)| {
        head_office::socket(udp, 0).is_ok() && tcp.is_none_or(|at| gate::listen(at).is_ok())
    })
}

impl Tunnels {
    /// Opens what listens and begins to call; the thread ends with the last clone.
    ///
    /// # Errors
    /// A key that is not there or that others may read, a port that is taken.
    pub fn start(config: &Config) -> Result<Self, TunnelError> {
        let (mut links, ports) = (BTreeMap::new(), Arc::<AtomicUsize>::default());
        let (mut sites, mut offices) = (Vec::new(), BTreeMap::new());
        for (index, i) in config.interfaces.iter().enumerate() {
            let Some(tunnel) = i.link.tunnel() else { continue };
            let (own, doubts) = files::needed(config, i, tunnel)?;
            doubts.iter().for_each(|doubt| tracing::warn!("{doubt}"));
            let link = Arc::new(Link::new(&i.name, tunnel.clone(), ports.clone()));
            let identity = Identity::new(own);
            match tunnel.end.clone() {
                End::Site { connect, bearer, proxy, .. } => {
                    let (link, dscp) = (link.clone(), i.dscp_media);
                    let memory = Memory::default();
                    let site = Site { link, identity, connect, bearer, proxy, dscp, memory };
                    sites.push(site);
                }
                End::HeadOffice { listen, tcp } => {
                    let at = (listen, tcp);
                    let new = || (identity, Vec::new(), i.dscp_media);
                    offices.entry(at).or_insert_with(new).1.push(link.clone());
                }
            }
            links.insert(index, link);
        }
        if links.is_empty() {
            return Ok(Self::default());
        }
        let mut sockets = Vec::new();
        for ((at, tcp), (identity, all, dscp)) in offices {
            let interface = all.first().map(|l: &Arc<Link>| l.name().to_owned());
            let told = |at, transport, error| {
                let interface = interface.clone().unwrap_or_default();
                TunnelError::Listen { interface, at, transport, error }
            };
            let udp = Transport::Udp;
            let socket = head_office::socket(at, dscp).map_err(|e| told(at, udp, e))?;
            let listener = match tcp {
                Some(at) => Some(gate::listen(at).map_err(|e| told(at, Transport::Tcp, e))?),
                None => None,
            };
            sockets.push((socket, listener, identity, all, dscp));
        }
        let (alive, mut ended) = mpsc::channel(1);
        let leaving: Vec<Arc<Link>> = links.values().cloned().collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(TunnelError::Thread)?;
        let work = async move {
            for (socket, listener, identity, all, dscp) in sockets {
                let strangers = Arc::<Strangers>::default();
                if let Some(listener) = listener {
                    let (identity, all) = (identity.clone(), all.clone());
                    let told = strangers.clone();
                    tokio::spawn(gate::serve(listener, identity, all, dscp, told));
                }
                tokio::spawn(head_office::serve(socket, identity, all, strangers));
            }
            for site in sites {
                tokio::spawn(site::keep(site));
            }
            ended.recv().await;
            // Last messages are on their way; and nobody is to wait for who is gone.
            tokio::time::sleep(FAREWELL).await;
            leaving.iter().for_each(|link| link.part(Farewell::Over));
            tokio::time::sleep(FAREWELL).await;
        };
        let thread = std::thread::Builder::new().name("tunnel".to_owned());
        let thread = thread.spawn(move || runtime.block_on(work)).map_err(TunnelError::Thread)?;
        let alive = Alive { sign: alive, thread: Mutex::new(Some(thread)) };
        Ok(Self { links: Arc::new(links), alive: Some(Arc::new(alive)) })
    }

    /// Says good-bye to all other ends, and stops.
    pub fn end(&self) {
        let Some(alive) = &self.alive else { return };
        let _ = alive.sign.try_send(());
        let thread = alive.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(thread.map(JoinHandle::join));
    }

    /// From now on this configuration holds: a key that it knows no longer is believed no longer.
    pub fn follow(&self, config: &Config) {
        for (index, link) in self.links.iter() {
            let tunnel = config.interfaces.get(*index).and_then(|i| i.link.tunnel());
            if let Some(tunnel) = tunnel {
                link.follow(tunnel);
            }
        }
    }

    /// That of an interface.
    #[must_use]
    pub fn of_interface(&self, index: usize) -> Option<&Arc<Link>> {
        self.links.get(&index)
    }

    /// The one in which this end stands at that address.
    #[must_use]
    pub fn at(&self, own: IpAddr) -> Option<&Arc<Link>> {
        self.links.values().find(|link| link.own() == own)
    }

    /// How they stand, in the file's order.
    #[must_use]
    pub fn views(&self) -> Vec<View> {
        self.links.values().map(|link| link.view()).collect()
    }

    /// How their ways are, for the engine.
    pub fn paths(&self) -> impl Iterator<Item = TunnelPath> {
        self.links.iter().map(|(interface, link)| link.view().path(*interface))
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Link>> {
        self.links.values()
    }
}
