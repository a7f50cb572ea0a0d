//! TLS (rustls with ring, 1.2 and 1.3): whose certificate we show, who has to prove what, and what
//! came of it. Files are read again when they change; connections that are open keep what they were
//! made with. It reads no SIP.

mod caller;
mod chain;
mod facts;
mod failure;
mod files;
mod own;
mod proof;
mod seen;
mod settings;
mod signature;

#[cfg(test)]
mod tests;

pub use facts::Facts;
pub use failure::Failure;

use crate::config::Config;
use crate::engine::Stats;
use crate::engine::stats::{CertificateView, TlsFailure};
use crate::ground::{Side, Subject};
use arc_swap::ArcSwap;
use caller::Asked;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};
use seen::Seen;
use settings::{Own, Settings};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, interval};

/// How often it is looked whether files have changed.
const WATCH: Duration = Duration::from_secs(5);
/// Failed handshakes of those who call us that are written a minute; all are counted.
const LINES: u32 = 6;
/// That minute.
const MINUTE: Duration = Duration::from_secs(60);

/// How a connection to an upstream is made.
#[derive(Clone, Debug)]
pub struct Dial {
    /// What we show, and what is believed.
    pub config: Arc<ClientConfig>,
    /// Whom we ask for (SNI, RFC 6066 §3).
    pub name: ServerName<'static>,
}

/// How who connects is received.
#[derive(Debug)]
pub struct Welcome {
    /// What we show.
    pub config: Arc<ServerConfig>,
    asked: Option<Arc<Asked>>,
}

impl Welcome {
    /// The names that he proved, once the handshake is done, or why none; `None`: he has shown no
    /// certificate.
    #[must_use]
    pub fn proved(&self) -> Option<Result<Vec<Subject>, Failure>> {
        Some(self.asked.as_ref()?.told()?.map(|proved| proved.names))
    }
}

#[derive(Debug)]
struct Inner {
    settings: ArcSwap<Settings>,
    seen: Seen,
    failures: [[AtomicU64; TlsFailure::ALL.len()]; 2],
    /// Since when lines are counted, and how many were written.
    lines: Mutex<(Option<Instant>, u32)>,
}

/// What is in force; one for all connections.
#[derive(Clone, Debug)]
pub struct Tls(Arc<Inner>);

impl Tls {
    /// Reads what the configuration names, and makes what it lets us make.
    ///
    /// # Errors
    /// Every file that cannot be used, and why; a line each.
    pub fn open(config: &Config) -> Result<Self, String> {
        let seen = Seen::default();
        let settings = Settings::read(config, &seen, None, Own::Made);
        if !settings.faults.is_empty() {
            return Err(settings.faults.join("\n  "));
        }
        Ok(Self::of(settings, seen))
    }

    /// Reads what can be read, and makes nothing; what cannot be used is told beside it.
    #[must_use]
    pub fn look(config: &Config) -> (Self, Vec<String>) {
        let seen = Seen::default();
        let settings = Settings::read(config, &seen, None, Own::LeftOut);
        let faults = settings.faults.clone();
        (Self::of(settings, seen), faults)
    }

    fn of(settings: Settings, seen: Seen) -> Self {
        Self(Arc::new(Inner {
            settings: ArcSwap::from_pointee(settings),
            seen,
            failures: Default::default(),
            lines: Mutex::default(),
        }))
    }

    /// Whether what a configuration names can be used.
    ///
    /// # Errors
    /// As [`Tls::open`].
    pub fn check(config: &Config) -> Result<(), String> {
        Self::open(config).map(drop)
    }

    /// From now on this configuration holds, for new connections. Where a file cannot be used, what
    /// it held before stays.
    pub fn follow(&self, config: &Config) {
        self.read_again(config);
    }

    /// False: something could not be used.
    fn read_again(&self, config: &Config) -> bool {
        let before = self.0.settings.load_full();
        let settings = Settings::read(config, &self.0.seen, Some(&before), Own::Made);
        settings.faults.iter().for_each(|what| {
            tracing::error!("TLS: {what}; what was read before stays");
        });
        let whole = settings.faults.is_empty();
        self.0.settings.store(Arc::new(settings));
        whole
    }

    /// Reads files again when they change, for as long as the runtime is there.
    pub async fn watch(self) {
        let mut every = interval(WATCH);
        loop {
            every.tick().await;
            let tls = self.clone();
            let look = move || {
                let now = tls.0.settings.load_full();
                if now.is_old() && tls.read_again(&now.config) {
                    tracing::info!("TLS: certificates were read again; new connections get them");
                }
            };
            let _ = tokio::task::spawn_blocking(look).await;
        }
    }

    /// What an interface shows, by its place in the file.
    #[must_use]
    pub fn server(&self, interface: usize) -> Option<Welcome> {
        self.0.settings.load().server(interface)
    }

    /// How an upstream is called, by its name; `None`: it has no TLS.
    #[must_use]
    pub fn dial(&self, upstream: &str) -> Option<Dial> {
        self.0.settings.load().dial(upstream)
    }

    /// TLS came to nothing. Of those who call us the log hears as much as it can bear.
    pub fn failed(&self, side: Side, failure: &Failure, caller: Option<std::net::SocketAddr>) {
        self.0.failures[side.index()][failure.kind as usize].fetch_add(1, Relaxed);
        let Some(peer) = caller else { return };
        let mut lines = self.0.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if lines.0.is_none_or(|since| now - since >= MINUTE) {
            *lines = (Some(now), 0);
        }
        lines.1 += 1;
        match lines.1 {
            ..=LINES => tracing::info!("TLS from {peer}: {failure}"),
            n if n == LINES + 1 => {
                tracing::info!("TLS from others fails, too: portreeve_tls_failures_total counts");
            }
            _ => {}
        }
    }

    /// Certificates in use.
    #[must_use]
    pub fn certificates(&self) -> Vec<CertificateView> {
        self.0.seen.view()
    }

    /// The same for the metrics, with what failed.
    pub fn count_into(&self, stats: &mut Stats) {
        stats.certificates = self.certificates();
        for (all, counts) in stats.tls_failures.iter_mut().zip(&self.0.failures) {
            for (n, count) in all.iter_mut().zip(counts) {
                *n = count.load(Relaxed);
            }
        }
    }
}
