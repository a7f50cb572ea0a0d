//! What the file says of TLS, with its files read: made whole, and swapped whole.

use super::caller::{Asked, Callers};
use super::facts::Facts;
use super::files::{self, Identity, Mark, mark};
use super::own::{self, Wanted};
use super::proof::{Asking, Proof, Trust, server_name};
use super::roots::Roots;
use super::seen::Seen;
use super::{Dial, Welcome};
use crate::config::{
    Certificate, ClientCertificate, ClientTls, Config, Host, Interface, ServerTls, Strangers,
    TlsVersion, Upstream, Verify,
};
use crate::driver::clock::Clock;
use crate::engine::stats::CertificateOf;
use crate::ground::{Side, Wall};
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::ServerName;
use rustls::server::NoServerSessionStorage;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ServerConfig, SupportedProtocolVersion};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// One configuration's.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) config: Config,
    /// By interface's name.
    servers: BTreeMap<String, Arc<Shown>>,
    /// By upstream's name; a way for each host that it is called as, in the order of the file.
    dials: BTreeMap<String, Vec<Called>>,
    /// Files that it was made of, as they were.
    files: BTreeMap<String, Mark>,
    /// What could not be used.
    pub(super) faults: Vec<String>,
}

/// What an interface shows, and whom it asks.
#[derive(Debug)]
struct Shown {
    config: Arc<ServerConfig>,
    asks: Option<Arc<Callers>>,
    versions: &'static [&'static SupportedProtocolVersion],
}

impl Shown {
    /// For one who connects. Who is asked is so by a configuration of his own, which keeps what he
    /// proved; and he proves himself anew each time: what an authority took back, or what has
    /// expired meanwhile, is not believed for having been.
    fn welcome(&self, interface: usize) -> Option<Welcome> {
        let Some(callers) = &self.asks else {
            return Some(Welcome { config: self.config.clone(), interface, asked: None });
        };
        let asked = Arc::new(Asked::new(callers.clone()));
        let made = ServerConfig::builder_with_provider(self.config.crypto_provider().clone());
        let mut made = made
            .with_protocol_versions(self.versions)
            .ok()?
            .with_client_cert_verifier(asked.clone())
            .with_cert_resolver(self.config.cert_resolver.clone());
        made.session_storage = Arc::new(NoServerSessionStorage {});
        made.send_tls13_tickets = 0;
        Some(Welcome { config: Arc::new(made), interface, asked: Some(asked) })
    }
}

/// What an upstream is called with, as one of its hosts.
#[derive(Clone, Debug)]
struct Called {
    config: ClientConfig,
    name: ServerName<'static>,
    proof: Arc<Proof>,
}

impl Called {
    /// For one connection: a configuration of its own keeps what was proved there.
    fn dial(&self) -> Dial {
        let asking = Arc::new(Asking::new(self.proof.clone()));
        let mut config = self.config.clone();
        config.dangerous().set_certificate_verifier(asking.clone());
        let (name, proof) = (self.name.clone(), self.proof.clone());
        Dial { config: Arc::new(config), name, proof, asking }
    }
}

/// What is done where a certificate of our own making is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Own {
    /// It is read, or made and kept.
    Made,
    /// Nothing: somebody only looks.
    LeftOut,
}

/// Who is there to be read for.
struct Reader<'a> {
    config: &'a Config,
    provider: Arc<CryptoProvider>,
    seen: &'a Seen,
    system: Option<Result<Arc<Roots>, String>>,
    now: Wall,
}

impl Settings {
    /// Reads it all. Where something cannot be used, that of `before` is kept.
    pub(super) fn read(config: &Config, seen: &Seen, before: Option<&Self>, own: Own) -> Self {
        let mut new = Self {
            config: config.clone(),
            servers: BTreeMap::new(),
            dials: BTreeMap::new(),
            files: named(config).into_iter().map(|f| (f.clone(), mark(&f))).collect(),
            faults: Vec::new(),
        };
        let provider = Arc::new(default_provider());
        let mut reader =
            Reader { config, provider, seen, system: None, now: Clock::start().now().wall };
        for i in &config.interfaces {
            let Some(tls) = &i.tls else { continue };
            if own == Own::LeftOut && tls.certificate == Certificate::SelfSigned {
                let broken = own::broken(Path::new(&config.state_dir), &i.name);
                let what = broken.or_else(|| reader.asks(i, tls).err());
                new.faults.extend(what.map(|what| format!("interface \"{}\": {what}", i.name)));
                continue;
            }
            match reader.server(i, tls) {
                Ok(made) => drop(new.servers.insert(i.name.clone(), made)),
                Err(what) => {
                    new.faults.push(format!("interface \"{}\": {what}", i.name));
                    let old = before.and_then(|b| b.servers.get(&i.name));
                    new.servers.extend(old.map(|old| (i.name.clone(), old.clone())));
                }
            }
        }
        for u in config.upstreams.iter().filter(|u| is_called(config, u)) {
            match reader.dials(u) {
                Ok(made) => drop(new.dials.insert(u.name.clone(), made)),
                // What NAPTR may name is no reason not to start.
                Err(_) if !u.needs_tls() && u.tls == ClientTls::default() => {}
                Err(what) => {
                    new.faults.push(format!("upstream \"{}\": {what}", u.name));
                    let old = before.and_then(|b| b.dials.get(&u.name));
                    new.dials.extend(old.map(|old| (u.name.clone(), old.clone())));
                }
            }
        }
        seen.keep(|of, name| match of {
            CertificateOf::Interface => new.servers.contains_key(name),
            CertificateOf::Upstream => new.dials.contains_key(name),
            CertificateOf::Client => {
                config.upstreams.iter().any(|u| u.name == name && u.tls.certificate.is_some())
            }
        });
        new
    }

    /// A file is another than it was.
    pub(super) fn is_old(&self) -> bool {
        self.files.iter().any(|(file, was)| mark(file) != *was)
    }

    /// Files were other ones when this was read.
    pub(super) fn is_other(&self, before: &Self) -> bool {
        self.files != before.files
    }

    pub(super) fn server(&self, interface: usize) -> Option<Welcome> {
        let name = &self.config.interfaces.get(interface)?.name;
        self.servers.get(name)?.welcome(interface)
    }

    /// How an upstream is called as this host; as the first one, where nobody knows which.
    pub(super) fn dial(&self, upstream: &str, host: Option<&Host>) -> Option<Dial> {
        let all = self.dials.get(upstream)?;
        let meant = all.iter().find(|called| Some(&called.proof.host) == host);
        meant.or(all.first()).map(Called::dial)
    }

    /// Whom an interface believes now.
    pub(super) fn callers(&self, interface: usize) -> Option<Arc<Callers>> {
        let name = &self.config.interfaces.get(interface)?.name;
        self.servers.get(name)?.asks.clone()
    }

    /// What an upstream has to prove now as this host.
    pub(super) fn proof(&self, upstream: &str, host: &Host) -> Option<Arc<Proof>> {
        let mut all = self.dials.get(upstream)?.iter().map(|called| &called.proof);
        all.find(|proof| proof.host == *host).cloned()
    }
}

/// Whether strangers see what it shows who are to learn nothing of the inside: what is advertised
/// is all that it tells then.
fn is_seen_by_strangers(i: &Interface) -> bool {
    i.side == Side::Outside && i.strangers == Strangers::Silent
}

/// Somebody may be called by TLS who is this upstream.
fn is_called(config: &Config, u: &Upstream) -> bool {
    let i = config.interfaces.get(u.interface);
    u.speaks_tls() && i.is_some_and(|i| i.tls.is_some())
}

/// Files that a configuration names, and those of this machine's authorities where it means them.
fn named(config: &Config) -> Vec<String> {
    let mut all: Vec<String> = config.tls_files().map(str::to_owned).collect();
    let mut called = config.upstreams.iter().filter(|u| is_called(config, u));
    if called.any(|u| u.tls.verify == Verify::System) {
        all.extend(files::system_places());
    }
    all
}

const FROM_12: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
const FROM_13: &[&SupportedProtocolVersion] = &[&TLS13];

fn versions(oldest: TlsVersion) -> &'static [&'static SupportedProtocolVersion] {
    match oldest {
        TlsVersion::V12 => FROM_12,
        TlsVersion::V13 => FROM_13,
    }
}

impl Reader<'_> {
    fn server(&self, i: &Interface, tls: &ServerTls) -> Result<Arc<Shown>, String> {
        let (chain, key) = self.shown(i, tls)?;
        let first = chain.first().and_then(|first| Facts::of(first));
        let facts = first.ok_or_else(|| "its certificate cannot be read".to_owned())?;
        let versions = versions(tls.min_version);
        let made = ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(versions)
            .map_err(|e| e.to_string())?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|e| unfit(&e))?;
        let asks = self.asks(i, tls)?;
        let kept = match &tls.certificate {
            Certificate::SelfSigned => Some(own::place(Path::new(&self.config.state_dir), &i.name)),
            Certificate::Files(_) => None,
        };
        self.seen.put(CertificateOf::Interface, &i.name, &facts, kept);
        Ok(Arc::new(Shown { config: Arc::new(made), asks, versions }))
    }

    /// Whom it believes of those who connect.
    fn asks(&self, i: &Interface, tls: &ServerTls) -> Result<Option<Arc<Callers>>, String> {
        let algorithms = self.provider.signature_verification_algorithms;
        let believed = |must: bool| {
            let read = tls.client_ca.as_deref().map(files::authorities).transpose()?;
            let tells = !is_seen_by_strangers(i);
            let callers = |roots| Arc::new(Callers::new(roots, algorithms, (must, tells)));
            Ok::<_, String>(read.map(callers))
        };
        match tls.client {
            ClientCertificate::Off => Ok(None),
            ClientCertificate::Ask => believed(false),
            ClientCertificate::Require => believed(true),
        }
    }

    fn shown(&self, i: &Interface, tls: &ServerTls) -> Result<Identity, String> {
        match &tls.certificate {
            Certificate::Files(pair) => files::identity(pair),
            Certificate::SelfSigned => {
                let is_plain = is_seen_by_strangers(i);
                let mut ips = Vec::new();
                for own in i.addresses.iter() {
                    let ip = Some(own.ip).filter(|_| !is_plain || own.advertise.is_none());
                    ips.extend([ip, own.advertise].into_iter().flatten());
                }
                ips.dedup();
                let site = &self.config.site.domain;
                let domain = if is_plain { &i.advertise_name } else { site }.as_deref();
                let wanted = Wanted { interface: &i.name, ips, domain, is_plain };
                own::identity(Path::new(&self.config.state_dir), &wanted, self.now)
            }
        }
    }

    fn dials(&mut self, u: &Upstream) -> Result<Vec<Called>, String> {
        let trust = match &u.tls.verify {
            Verify::System => Trust::Roots(self.system()?),
            Verify::CaFile(file) => Trust::Roots(Arc::new(files::authorities(file)?)),
            Verify::Pinned(pins) => Trust::Pins(pins.clone()),
        };
        hosts(u).into_iter().map(|host| self.dial(u, host, trust.clone())).collect()
    }

    fn dial(&self, u: &Upstream, host: Host, trust: Trust) -> Result<Called, String> {
        let tls = &u.tls;
        let name = server_name(&host).ok_or("it has no name that can be asked for")?;
        let proof = Arc::new(Proof {
            upstream: u.name.clone(),
            trust,
            host,
            algorithms: self.provider.signature_verification_algorithms,
            seen: self.seen.clone(),
        });
        let made = ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(versions(tls.min_version))
            .map_err(|e| e.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Asking::new(proof.clone())));
        let mut made = match &tls.certificate {
            None => made.with_no_client_auth(),
            Some(pair) => {
                let (chain, key) = files::identity(pair)?;
                if let Some(facts) = chain.first().and_then(|first| Facts::of(first)) {
                    self.seen.put(CertificateOf::Client, &u.name, &facts, None);
                }
                made.with_client_auth_cert(chain, key).map_err(|e| unfit(&e))?
            }
        };
        // Each connection proves anew who is there.
        made.resumption = Resumption::disabled();
        Ok(Called { config: made, name, proof })
    }

    /// Read once, where anybody asks.
    fn system(&mut self) -> Result<Arc<Roots>, String> {
        self.system.get_or_insert_with(|| files::system().map(Arc::new)).clone()
    }
}

/// Hosts that an upstream is called as: its targets' in the file, never what SRV leads to (RFC 5922
/// §4), or what the file says instead.
fn hosts(u: &Upstream) -> Vec<Host> {
    if let Some(name) = &u.tls.name {
        return crate::config::Target::parse(name).map(|t| t.host).into_iter().collect();
    }
    let mut hosts: Vec<Host> = Vec::new();
    for target in &u.targets {
        if !hosts.contains(&target.host) {
            hosts.push(target.host.clone());
        }
    }
    hosts
}

fn unfit(error: &rustls::Error) -> String {
    format!(
        "its certificate and its key do not fit: {error}; `key` is the private key that \
         `certificate` was made for"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Environment;

    #[test]
    fn this_machine_s_authorities_are_looked_at_where_somebody_is_believed_by_them() {
        let edge = include_str!("../../../configs/minimal.toml");
        let text = |verify: &str| {
            edge.replace(
                "address = \"203.0.113.7\"",
                "address = \"203.0.113.7\"\nlisten = [\"udp:5060\", \"tls:5061\"]\n\
                 tls = \"self-signed\"",
            )
            .replace(
                "address = \"198.51.100.2:5060\"",
                &format!("address = \"sips:sip.example.net\"\n{verify}"),
            )
        };
        let pin = format!("sha-256:{}", "ab".repeat(32));
        let pinned = format!("tls = {{ verify = \"pinned\", pins = [\"{pin}\"] }}");
        for (verify, looked) in [("", true), (pinned.as_str(), false)] {
            let config = Config::parse("x", &text(verify), &Environment::default()).unwrap();
            let all = named(&config);
            assert_eq!(!all.is_empty(), looked, "{all:?}");
            assert_eq!(all, if looked { files::system_places() } else { Vec::new() });
        }
    }
}
