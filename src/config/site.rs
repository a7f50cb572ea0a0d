//! Site mode: the configuration when there is no file.

use super::overlay::{self, Override};
use super::{
    Address, Audit, Bans, Config, DefaultPolicy, Diagnostic, Environment, Hide, Interface, Learn,
    Limits, Link, Listen, Log, Media, Numbers, Policy, Registrar, RegistrarMode, RemoteControl,
    Site, Strangers, Survive, Timers, UnknownBodies, parse,
};
use crate::ground::{Side, Transport};
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Site mode as a file: what `run` reads when there is none.
const SITE: &str = include_str!("../../configs/site.toml");

/// The key of the one password for all.
const PASSWORD: &str = "password_file";

impl Config {
    /// Site mode as it runs: the shipped file with this address, port and folder in it, and the
    /// environment over that. `PORTREEVE_DATA` names the folder; default `/var/lib/portreeve`.
    ///
    /// # Errors
    /// Every fault of the environment and the overrides.
    pub fn site_mode(
        address: IpAddr,
        port: u16,
        env: &Environment,
    ) -> Result<Self, Vec<Diagnostic>> {
        let data = env.data().unwrap_or("/var/lib/portreeve");
        let base = [
            ("interface.lan.address", address.to_string()),
            ("interface.lan.listen", format!("[\"udp:{port}\", \"tcp:{port}\"]")),
            // None: those attached to the address that holds in the end.
            ("interface.lan.networks", "[]".to_owned()),
            ("registrar.password_file", format!("{data}/site-password")),
            ("state.dir", data.to_owned()),
            ("audit.dir", format!("{data}/audit")),
        ];
        let mut base: Vec<Override> =
            base.map(|(path, value)| Override::preset(path, &value)).into();
        // Who names users of their own wants no password for all.
        let key = ["registrar", "users"];
        let mut text = SITE.to_owned();
        if overlay::collect(env).iter().any(|o| o.path == key) {
            base.retain(|o| o.path.last().is_none_or(|key| key != PASSWORD));
            let kept = SITE.lines().filter(|line| !line.starts_with(PASSWORD));
            text = kept.flat_map(|line| [line, "\n"]).collect();
        }
        let mut config = parse::parse_over("site mode", &text, base, env)?;
        config.hash.clear();
        for i in config.interfaces.iter_mut() {
            if !i.addresses.iter().all(|a| a.ip.is_loopback()) {
                continue;
            }
            i.allow_loopback = true;
            if i.networks.is_empty() {
                i.networks = i.addresses.iter().map(|a| IpNet::from(a.ip)).collect();
            }
        }
        Ok(config)
    }

    /// The configuration of site mode (no file): registrar at `address`, phones in `networks`,
    /// state under `data`.
    #[must_use]
    pub fn site(address: IpAddr, networks: &[IpNet], data: &str) -> Self {
        let port = 5060;
        Self {
            site: Site {
                name: "site".to_owned(),
                domain: None,
                timezone: "UTC".to_owned(),
                inside_domains: Vec::new(),
            },
            interfaces: vec![Interface {
                name: "lan".to_owned(),
                side: Side::Inside,
                link: Link::Local,
                addresses: Address::new(address).into(),
                advertise_name: None,
                listen: vec![
                    Listen { transport: Transport::Udp, port },
                    Listen { transport: Transport::Tcp, port },
                ],
                tls: None,
                learn: Learn::SameIp,
                networks: networks.to_vec(),
                allow_loopback: address.is_loopback(),
                force_rport: true,
                strangers: Strangers::Answer,
                keepalive: Some(Duration::from_secs(25)),
                dscp_sip: 24,
                dscp_media: 46,
            }],
            upstreams: Vec::new(),
            registrar: Registrar {
                mode: RegistrarMode::Local,
                realm: "portreeve".to_owned(),
                min_expires: Duration::from_secs(60),
                max_expires: Duration::from_secs(3600),
                users_file: None,
                password_file: Some(format!("{data}/site-password")),
                digest: true,
            },
            media: Media {
                ports: (20_000, 20_199),
                idle: Some(Duration::from_secs(60)),
                quarantine: Duration::from_secs(30),
                workers: 0,
            },
            limits: Limits { calls: 50, ..Limits::default() },
            bans: Bans::default(),
            timers: Timers::default(),
            numbers: Numbers::default(),
            policy: Policy {
                default: DefaultPolicy::Site,
                emergency_target: None,
                emergency_upstream: None,
                emergency: ["112", "911", "999", "110"].map(str::to_owned).to_vec(),
                unknown_bodies: UnknownBodies::Scrub,
                remote_control: RemoteControl::Registrar,
                rules: Vec::new(),
                tests: Vec::new(),
            },
            hide: Hide::default(),
            survive: Survive::default(),
            audit: Audit { dir: Some(format!("{data}/audit")), refuse_when_full: true },
            state_dir: data.to_owned(),
            http: Some(SocketAddr::from(([127, 0, 0, 1], 8060))),
            page: true,
            control: Some(format!("{data}/control.sock")),
            log: Log { level: "info".to_owned(), format: "auto".to_owned() },
            drain: Duration::from_secs(60),
            hash: String::new(),
        }
    }
}
