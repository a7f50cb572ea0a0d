//! The stage: a second gateway on ephemeral loopback ports with its state in a temporary folder,
//! and two registered phones. Same code as the one that serves; nothing of it is seen outside.

use super::phone::{Phone, Step};
use super::voice::Voice;
use crate::config::{Config, Listen, Rule, RuleAction};
use crate::daemon::{self, Handle};
use crate::driver::service::Service;
use crate::driver::state::site_password;
use crate::ground::Transport;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Ports the second gateway relays with.
const MEDIA: u16 = 32;

/// Everything a scene needs.
pub(crate) struct Scene {
    pub(crate) phones: [Phone; 2],
    pub(crate) voices: [Voice; 2],
    pub(crate) folder: PathBuf,
    handle: Handle,
}

/// Where everything stands.
pub(crate) const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

impl Scene {
    /// Starts the gateway and registers both phones.
    pub(crate) async fn set() -> Step<Self> {
        let number = u64::from_be_bytes(crate::driver::state::random::<8>());
        let folder = std::env::temp_dir().join(format!("portreeve-selftest-{number:016x}"));
        let config = config(&folder)?;
        let first = config.interfaces.first().ok_or("no interface")?;
        let port = first.listen.first().map_or(5060, |l| l.port);
        let server = SocketAddr::new(LOOPBACK, port);
        let file = folder.join("site-password");
        let password = site_password(&file).map_err(|e| e.to_string())?;
        let handle =
            daemon::start(config, Arc::new(|_| ()), Service::none()).map_err(|e| e.to_string())?;
        let mut phones = [
            Phone::new(0, "101", &password, server).await?,
            Phone::new(1, "102", &password, server).await?,
        ];
        let voices =
            [Voice::new(LOOPBACK, 0x5101_0055).await?, Voice::new(LOOPBACK, 0x5102_00aa).await?];
        for phone in &mut phones {
            phone.register().await?;
            phone.seen.clear();
        }
        Ok(Self { phones, voices, folder, handle })
    }

    /// Stops the gateway; the audit log stays to be verified.
    pub(crate) async fn end(self) -> PathBuf {
        self.handle.stop().await;
        self.folder
    }
}

fn config(folder: &Path) -> Step<Config> {
    let nets = ["127.0.0.0/8".parse().map_err(|_| "network")?];
    let mut config = Config::site(LOOPBACK, &nets, &folder.display().to_string());
    let port = free_port()?;
    let first = free_range()?;
    config.media.ports = (first, first + MEDIA - 1);
    config.media.workers = 1;
    config.limits.calls = 8;
    config.http = None;
    config.control = None;
    if let Some(i) = config.interfaces.first_mut() {
        i.listen =
            [Transport::Udp, Transport::Tcp].map(|transport| Listen { transport, port }).to_vec();
        i.keepalive = None;
    }
    config.policy.rules.push(Rule {
        interface: Vec::new(),
        name: "no premium".to_owned(),
        side: None,
        method: Vec::new(),
        source: Vec::new(),
        user: Vec::new(),
        from: Vec::new(),
        to: vec!["+1900*".to_owned()],
        domain: Vec::new(),
        upstream: Vec::new(),
        tls_subject: Vec::new(),
        user_agent: Vec::new(),
        serving: None,
        hours: None,
        days: Vec::new(),
        action: RuleAction::Deny { code: 403, reason: Some("Premium".to_owned()) },
    });
    Ok(config)
}

/// A port that is free for UDP and TCP now.
fn free_port() -> Step<u16> {
    for _ in 0..50 {
        let udp = UdpSocket::bind(SocketAddr::new(LOOPBACK, 0)).map_err(|e| e.to_string())?;
        let at = udp.local_addr().map_err(|e| e.to_string())?;
        if TcpListener::bind(at).is_ok() {
            return Ok(at.port());
        }
    }
    Err("no loopback port is free".to_owned())
}

/// An even port with [`MEDIA`] free ones from it on.
fn free_range() -> Step<u16> {
    for first in (30_000..60_000).step_by(usize::from(MEDIA)) {
        let all =
            (first..first + MEDIA).all(|p| UdpSocket::bind(SocketAddr::new(LOOPBACK, p)).is_ok());
        if all {
            return Ok(first);
        }
    }
    Err("no range of media ports is free on loopback".to_owned())
}
