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
mod ledger;
mod link;
mod look;
mod losses;
mod marked;
mod media;
mod office;
mod path;
mod proxy;
mod pulse;
mod rate;
mod reset;
mod secured;
mod shares;
#[cfg(test)]
mod simulated;
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
use crate::driver::audit_log::{AuditCounters, Dated};
use crate::driver::clock::Clock;
use crate::engine::TunnelPath;
use crate::ground::Transport;
use arc_swap::ArcSwap;
use identity::Identity;
use ledger::Ledger;
use office::Office;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
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
        at: SocketAddr,
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
    links: Arc<ArcSwap<BTreeMap<usize, Arc<Link>>>>,
    begun: Option<Arc<Begun>>,
}

/// Where a head office listens: by UDP, and by TCP.
type Ports = (SocketAddr, Option<SocketAddr>);

/// The thread, which ends when this is dropped, and what tunnels share.
#[derive(Debug)]
struct Begun {
    sign: mpsc::Sender<()>,
    thread: Mutex<Option<JoinHandle<()>>>,
    offices: Vec<(Ports, Arc<Office>)>,
    shared: Shared,
}

/// What all tunnels have.
#[derive(Clone, Debug)]
struct Shared {
    ledger: Arc<Ledger>,
    /// Ports of the relay's that are open.
    ports: Arc<AtomicUsize>,
}

impl Shared {
    fn link(&self, name: &str, tunnel: Tunnel) -> Arc<Link> {
        Arc::new(Link::new(name, tunnel, self.ports.clone(), self.ledger.clone()))
    }
}

/// What the file asks for.
#[derive(Default)]
struct Asked {
    links: BTreeMap<usize, Arc<Link>>,
    sites: Vec<Site>,
    /// Whom a head office's ports are for, and their mark.
    offices: BTreeMap<Ports, (Identity, Vec<Arc<Link>>, u8)>,
}

/// A head office's port, open.
struct Open {
    at: Ports,
    socket: UdpSocket,
    listener: Option<TcpListener>,
    office: Arc<Office>,
    dscp: u8,
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

impl Asked {
    fn read(config: &Config, shared: &Shared) -> Result<Self, TunnelError> {
        let mut asked = Self::default();
        for (index, i) in config.interfaces.iter().enumerate() {
            let Some(tunnel) = i.link.tunnel() else { continue };
            let (own, doubts) = files::needed(config, i, tunnel)?;
            doubts.iter().for_each(|doubt| tracing::warn!("{doubt}"));
            let link = shared.link(&i.name, tunnel.clone());
            let identity = Identity::new(own);
            match tunnel.end.clone() {
                End::Site { connect, bearer, proxy, .. } => {
                    let (link, dscp) = (link.clone(), i.dscp_media);
                    let memory = Memory::default();
                    let site = Site { link, identity, connect, bearer, proxy, dscp, memory };
                    asked.sites.push(site);
                }
                End::HeadOffice { listen, tcp } => {
                    let at = (listen, tcp);
                    let new = || (identity, Vec::new(), i.dscp_media);
                    asked.offices.entry(at).or_insert_with(new).1.push(link.clone());
                }
            }
            asked.links.insert(index, link);
        }
        Ok(asked)
    }
}

/// Opens what a head office listens at.
fn open(
    at: Ports,
    (identity, all, dscp): (Identity, Vec<Arc<Link>>, u8),
    shared: &Shared,
) -> Result<Open, TunnelError> {
    let interface = all.first().map(|l| l.name().to_owned()).unwrap_or_default();
    let told = |at, transport, error| {
        let interface = interface.clone();
        TunnelError::Listen { interface, at, transport, error }
    };
    let socket = head_office::socket(at.0, dscp).map_err(|e| told(at.0, Transport::Udp, e))?;
    let listener = match at.1 {
        Some(at) => Some(gate::listen(at).map_err(|e| told(at, Transport::Tcp, e))?),
        None => None,
    };
    let office = Arc::new(Office::new(identity, all, shared.ledger.clone()));
    Ok(Open { at, socket, listener, office, dscp })
}

impl Tunnels {
    /// Opens what listens and begins to call; the thread ends with the last clone. `audit`: of the
    /// log that hears of them.
    ///
    /// # Errors
    /// A key that is not there or that others may read, a port that is taken.
    pub fn start(
        config: &Config,
        clock: Clock,
        audit: Option<Arc<AuditCounters>>,
    ) -> Result<Self, TunnelError> {
        let ledger = Arc::new(Ledger::new(clock, audit));
        let shared = Shared { ledger, ports: Arc::default() };
        let Asked { links, sites, offices } = Asked::read(config, &shared)?;
        if links.is_empty() {
            return Ok(Self::default());
        }
        let opened = offices.into_iter().map(|(at, office)| open(at, office, &shared));
        let opened: Vec<Open> = opened.collect::<Result<_, _>>()?;
        let offices = opened.iter().map(|open| (open.at, open.office.clone())).collect();
        let links = Arc::new(ArcSwap::from_pointee(links));
        let (sign, mut ended) = mpsc::channel(1);
        let leaving = links.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(TunnelError::Thread)?;
        let work = async move {
            for Open { socket, listener, office, dscp, .. } in opened {
                if let Some(listener) = listener {
                    tokio::spawn(gate::serve(listener, office.clone(), dscp));
                }
                tokio::spawn(head_office::serve(socket, office));
            }
            for site in sites {
                tokio::spawn(site::keep(site));
            }
            ended.recv().await;
            // Last messages are on their way; and nobody is to wait for who is gone.
            tokio::time::sleep(FAREWELL).await;
            leaving.load().values().for_each(|link| link.part(Farewell::Over));
            tokio::time::sleep(FAREWELL).await;
        };
        let thread = std::thread::Builder::new().name("tunnel".to_owned());
        let thread = thread.spawn(move || runtime.block_on(work)).map_err(TunnelError::Thread)?;
        let thread = Mutex::new(Some(thread));
        Ok(Self { links, begun: Some(Arc::new(Begun { sign, thread, offices, shared })) })
    }

    /// Says good-bye to all other ends, and stops.
    pub fn end(&self) {
        let Some(begun) = &self.begun else { return };
        let _ = begun.sign.try_send(());
        let thread = begun.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(thread.map(JoinHandle::join));
    }

    /// From now on this configuration holds: a key that it knows no longer is believed no longer,
    /// and a site that it did not know may come.
    pub fn follow(&self, config: &Config) {
        let Some(begun) = &self.begun else { return };
        let mut links = (**self.links.load()).clone();
        for (index, i) in config.interfaces.iter().enumerate() {
            let Some(tunnel) = i.link.tunnel() else { continue };
            match links.get(&index) {
                Some(link) => link.follow(tunnel),
                None => {
                    let new = begun.admit(&i.name, tunnel);
                    links.extend(new.map(|link| (index, link)));
                }
            }
        }
        self.links.store(Arc::new(links));
    }

    /// That of an interface.
    #[must_use]
    pub fn of_interface(&self, index: usize) -> Option<Arc<Link>> {
        self.links.load().get(&index).cloned()
    }

    /// The one in which this end stands at that address.
    #[must_use]
    pub fn at(&self, own: IpAddr) -> Option<Arc<Link>> {
        self.links.load().values().find(|link| link.own() == own).cloned()
    }

    /// There is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.links.load().is_empty()
    }

    /// How they stand, in the file's order; those that came later behind the others.
    #[must_use]
    pub fn views(&self) -> Vec<View> {
        self.links.load().values().map(|link| link.view()).collect()
    }

    /// How their ways are, for the engine.
    #[must_use]
    pub fn paths(&self) -> Vec<TunnelPath> {
        let links = self.links.load();
        links.iter().map(|(interface, link)| link.view().path(*interface)).collect()
    }

    /// What the audit log has to hear of them since it did last.
    #[must_use]
    pub fn news(&self) -> Vec<Dated> {
        self.begun.as_ref().map_or_else(Vec::new, |begun| begun.shared.ledger.take())
    }
}

impl Begun {
    /// One more site of a port that is open; `None`: there is no such port.
    fn admit(&self, name: &str, tunnel: &Tunnel) -> Option<Arc<Link>> {
        let End::HeadOffice { listen, tcp } = tunnel.end else { return None };
        let office = self.offices.iter().find(|(at, _)| *at == (listen, tcp));
        let (_, office) = office?;
        let mut tunnel = tunnel.clone();
        if tunnel.peer == Some(office.identity.key.public()) {
            tracing::error!("tunnel {name}: {}", files::OWN_KEY);
            tunnel.peer = None;
        }
        let link = self.shared.link(name, tunnel);
        link.fails(&words::bare(words::Sign::NotCalled, ""));
        office.admit(link.clone());
        Some(link)
    }
}
