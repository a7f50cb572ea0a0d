//! The running gateway: binds, starts, owns the engine, stops. One event loop carries inputs in and
//! effects out; it decides nothing that the engine could decide.

mod act;
mod agents;
mod ask;
mod draining;
mod event_loop;
mod numbers;
mod recent;
mod refusals;
pub mod reload;
mod session_table;
mod sockets;
mod start_error;
mod teller;
mod trace;
mod tunnels;
mod volumes;

pub use crate::driver::tunnel::{MEDIA as TUNNEL_MEDIA, MOVES as TUNNEL_MOVES, View as TunnelView};
pub use ask::{Ask, Draining, Reload, Reloaded, Reloads, Report, StateReport};
pub use event_loop::{Observed, Observer};
pub use recent::EndedCall;
pub use refusals::Refusal;
pub use session_table::{RegistrationRow, STILL, SessionTable, Standing};
pub use start_error::StartError;
#[cfg(test)]
pub(crate) use trace::sample as sample_trace;
pub use trace::{Change, Hop, Note, TraceView, Window};

use crate::audit::Record;
use crate::config::{Config, Link, Listener, RegistrarMode, SurviveAuth};
use crate::driver::audit_log::AuditLog;
use crate::driver::clock::Clock;
use crate::driver::inlet::inlet;
use crate::driver::relay_worker::{Options as RelayOptions, Relay};
use crate::driver::resolver::{RESOLV_CONF, Resolver};
use crate::driver::service::Service;
use crate::driver::state::{self, State};
use crate::driver::stream::Streams;
use crate::driver::tls::Tls;
use crate::driver::tunnel::{Tunnels, can_listen as can_listen_for_tunnels};
use crate::driver::whereabouts;
use crate::driver::zone::Zones;
use crate::engine::digest::Users;
use crate::engine::{Engine, Health, Input, Seeds, Snapshot, Stats};
use crate::ground::Transport;
use crate::policy::RuleSet;
use event_loop::EventLoop;
use sockets::Sockets;
use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// A started gateway.
#[derive(Debug)]
pub struct Handle {
    asks: mpsc::Sender<Ask>,
    table: Arc<SessionTable>,
    tls: Tls,
    task: JoinHandle<()>,
}

impl Handle {
    /// The way to talk to the event loop.
    #[must_use]
    pub fn asks(&self) -> mpsc::Sender<Ask> {
        self.asks.clone()
    }

    /// What TLS has in force.
    #[must_use]
    pub fn tls(&self) -> &Tls {
        &self.tls
    }

    /// What is seen of the gateway without asking the event loop.
    #[must_use]
    pub fn table(&self) -> Arc<SessionTable> {
        self.table.clone()
    }

    /// Waits until the gateway has stopped.
    pub async fn stopped(self) {
        let _ = self.task.await;
    }

    /// Stops now; calls are hung up.
    pub async fn stop(self) {
        let _ = self.asks.send(Ask::StopNow).await;
        let _ = self.task.await;
    }
}

/// Secrets of local users, as the configuration names them.
///
/// # Errors
/// A file that cannot be read, that others can read, or that was made for another realm.
pub fn users(config: &Config) -> Result<Users, StartError> {
    users_by(config, state::site_password)
}

/// Whether [`users`] could be read; nothing is made, and a password that is not there yet will be.
///
/// # Errors
/// As [`users`].
pub fn check_users(config: &Config) -> Result<(), StartError> {
    users_by(config, |path| Ok(state::kept_password(path)?.unwrap_or_default())).map(drop)
}

fn users_by(
    config: &Config,
    password: impl Fn(&Path) -> Result<String, state::StateError>,
) -> Result<Users, StartError> {
    let r = &config.registrar;
    let alone = match (r.mode, config.survive.auth) {
        (RegistrarMode::Upstream, SurviveAuth::Users) => config.survive.users_file.as_ref(),
        (RegistrarMode::Upstream, SurviveAuth::Network | SurviveAuth::Off)
        | (RegistrarMode::Local, _) => None,
    };
    if let Some(file) = alone {
        return Ok(state::users(Path::new(file), &r.realm)?);
    }
    if let Some(file) = &r.users_file {
        return Ok(state::users(Path::new(file), &r.realm)?);
    }
    if let Some(file) = &r.password_file {
        return Ok(Users::Shared { password: password(Path::new(file))? });
    }
    Ok(Users::None)
}

/// How it goes, in the words of the service manager: `12 calls, 41 phones, pbx up`.
fn service_status(stats: &Stats) -> String {
    let n = |count: u64, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let mut words =
        vec![n(stats.now.calls.iter().sum(), "call"), n(stats.now.registrations, "phone")];
    let known = stats.upstreams.iter().filter(|u| u.health != Health::Unknown);
    words.extend(known.map(|u| match u.alone {
        Some(_) => format!("alone without {}", u.name),
        None => format!("{} {}", u.name, u.health),
    }));
    if stats.now.draining {
        words.push("draining".to_owned());
    }
    words.join(", ")
}

/// Files that may have to be open: four sockets a call, connections, and our own.
#[must_use]
pub fn files_needed(config: &Config) -> u64 {
    // While a call rings, its media are offered once for each IP version that it is asked by.
    let both = config.interfaces.iter().any(|i| i.addresses.places().count() > 1);
    let sockets = if both { 8 } else { 4 };
    config.limits.calls as u64 * sockets + config.limits.connections as u64 + 256
}

/// Whether each socket can be had: it is opened once and let go. Where one cannot, whoever holds
/// its port is named by [`start`], as long as other processes can be looked at.
#[must_use]
pub fn can_listen(config: &Config) -> bool {
    let zones = Zones::of(config);
    let can = |l: Listener| can_bind(&l, &zones).is_ok();
    let http = config.http.is_none_or(|at| std::net::TcpListener::bind(at).is_ok());
    let sip = || config.listeners().into_iter().filter(|l| is_here(config, l)).all(can);
    http && can_listen_for_tunnels(config) && sip()
}

/// Starts a gateway on the current runtime; `observer` hears of every measured value, `service`
/// that the event loop turns.
///
/// # Errors
/// What could not be opened, with what to do about it.
pub fn start(config: Config, observer: Observer, service: Service) -> Result<Handle, StartError> {
    let clock = Clock::start();
    let rules = RuleSet::compile(&config).map_err(StartError::Rules)?;
    let users = users(&config)?;
    let mut state = State::open(Path::new(&config.state_dir), clock)?;
    if let Some(what) = state.tightened() {
        tracing::warn!("{what}");
    }
    let audit = match &config.audit.dir {
        Some(dir) => Some(
            AuditLog::open(Path::new(dir), &config.site.name, clock).map_err(StartError::Audit)?,
        ),
        None => None,
    };
    let (inlet, arrivals) = inlet();
    let tls = Tls::open(&config).map_err(StartError::Tls)?;
    // Where it follows a device, the engine says where it stands; that can be had as well.
    let follows = whereabouts::following(&config);
    probe(&config)?;
    let config = config.unsettled();
    let counters = audit.as_ref().map(AuditLog::counters);
    let tunnels = Tunnels::start(&config, clock, counters).map_err(StartError::Tunnel)?;
    let streams = Streams::new(&config, inlet.clone(), tls.clone()).through(tunnels.clone());
    tokio::spawn(streams.clone().watch_proofs());
    let resolver = Resolver::new(Path::new(RESOLV_CONF), inlet.clone());
    let mut sockets = Sockets::new(inlet.clone(), streams.clone(), tunnels.clone());
    for l in config.listeners() {
        sockets.bind(l, &config).map_err(|error| StartError::Bind { listener: l, error })?;
    }
    let options = RelayOptions::new(&config, state::random());
    let relay = Relay::start(&options).map_err(StartError::Relay)?;
    let relay = relay.at_devices(Zones::of(&config)).through(tunnels.clone());
    let relay = Arc::new(relay);
    let stored = state.take_stored();
    let seeds = Seeds { keys: state.keys()?, nonce: state::random(), random: state::random() };
    let snapshot = Arc::new(Snapshot { config: config.clone(), rules, users });
    let engine = Engine::new(snapshot, seeds, clock.now());
    let (asks, questions) = mpsc::channel(64);
    let mut event_loop = EventLoop::new(
        engine,
        config.clone(),
        clock,
        sockets,
        streams,
        resolver,
        relay,
        state,
        audit,
        observer,
        service,
    );
    let seen = whereabouts::look(&follows);
    for ((interface, _), own) in follows.iter().zip(&seen) {
        event_loop.begin(vec![Input::Addresses { interface: *interface, own: own.clone() }]);
    }
    event_loop.sockets.watch(follows, seen);
    event_loop.begin(vec![Input::Restore(stored)]);
    for at in busy_ports(&config) {
        event_loop.begin(vec![Input::ExcludePort(at)]);
    }
    event_loop.record(Record::System {
        event: "start",
        detail: format!("portreeve {}, configuration {}", env!("CARGO_PKG_VERSION"), config.hash),
    });
    event_loop.open();
    let table = event_loop.table.clone();
    let task = tokio::spawn(event_loop.run(arrivals, questions));
    Ok(Handle { asks, table, tls, task })
}

/// Whether the sockets of interfaces that follow a device can be had where they stand now.
fn probe(config: &Config) -> Result<(), StartError> {
    let moves = |l: &Listener| {
        let i = config.interfaces.get(l.interface);
        i.is_some_and(|i| i.addresses.following().is_some())
    };
    let zones = Zones::of(config);
    for l in config.listeners().into_iter().filter(moves) {
        can_bind(&l, &zones).map_err(|error| StartError::Bind { listener: l, error })?;
    }
    Ok(())
}

/// Opens a socket once, and lets it go.
fn can_bind(l: &Listener, zones: &Zones) -> io::Result<()> {
    match l.transport {
        Transport::Udp => UdpSocket::bind(zones.placed(l.bind)).map(drop),
        Transport::Tcp | Transport::Tls => {
            std::net::TcpListener::bind(zones.placed(l.bind)).map(drop)
        }
    }
}

/// It is a socket of this machine's: a tunnel's is none.
fn is_here(config: &Config, l: &Listener) -> bool {
    config.interfaces.get(l.interface).is_none_or(|i| i.link == Link::Local)
}

/// Relay ports that somebody else holds, at all addresses.
fn busy_ports(config: &Config) -> Vec<SocketAddr> {
    let here = config.interfaces.iter().filter(|i| i.link == Link::Local);
    let all = here.flat_map(|i| i.addresses.iter().map(|a| a.ip));
    let all: BTreeSet<IpAddr> = all.collect();
    all.into_iter().flat_map(|ip| busy_ports_at(config, ip)).collect()
}

/// The same at one: found by binding each once. Our own streams' are among them, which the engine
/// knows. Of an address that is not there yet no port is anybody's.
fn busy_ports_at(config: &Config, ip: IpAddr) -> Vec<SocketAddr> {
    let (zones, (first, last)) = (Zones::of(config), config.media.ports);
    let all = (first..=last).map(|port| SocketAddr::new(ip, port));
    let is_held = |e: io::Error| e.kind() == io::ErrorKind::AddrInUse;
    all.filter(|at| UdpSocket::bind(zones.placed(*at)).is_err_and(is_held)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_busy_that_somebody_holds_and_none_of_an_address_that_is_not_here() {
        let held = UdpSocket::bind("127.0.0.9:0").unwrap();
        let at = held.local_addr().unwrap();
        let text = include_str!("../configs/minimal.toml");
        let environment = crate::config::Environment::default();
        let mut config = Config::parse("t", text, &environment).unwrap();
        config.media.ports = (at.port(), at.port());
        assert_eq!(busy_ports_at(&config, at.ip()), [at]);
        // One for documentation (RFC 5737): no machine has it.
        assert_eq!(busy_ports_at(&config, "192.0.2.9".parse().unwrap()), []);
        drop(held);
        assert_eq!(busy_ports_at(&config, at.ip()), []);
    }

    #[test]
    fn a_call_that_rings_by_both_ip_versions_has_its_sockets_twice() {
        let edge = include_str!("../configs/minimal.toml");
        let need = |own: &str| {
            let text = edge.replacen("\"10.17.0.1\"", own, 1);
            let config = Config::parse("t", &text, &crate::config::Environment::default()).unwrap();
            (files_needed(&config), config.limits.calls as u64 * 4)
        };
        let (one, calls) = need("\"10.17.0.1\"");
        assert_eq!(need("[\"10.17.0.1\", \"2001:db8:17::1\"]"), (one + calls, calls));
    }
}
