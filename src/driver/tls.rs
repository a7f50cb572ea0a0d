//! TLS (rustls with ring, 1.2 and 1.3): whose certificate we show, who has to prove what, and what
//! came of it. Files are read again when they change; connections that are open keep what they were
//! made with. It reads no SIP.

mod caller;
mod chain;
mod facts;
mod failure;
mod files;
mod held;
mod news;
mod own;
mod proof;
mod roots;
mod seen;
mod settings;
mod signature;

#[cfg(test)]
mod tests;

pub use facts::Facts;
pub use failure::Failure;
pub use held::{Doubt, Ended};

use super::clock::Clock;
use crate::config::{Config, Host};
use crate::engine::Stats;
use crate::engine::stats::{CertificateView, TlsFailure};
use crate::ground::{Flow, Side, Subject};
use arc_swap::ArcSwap;
use caller::Asked;
use held::{By, Proofs};
use news::news;
use proof::{Asking, Proof};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};
use seen::Seen;
use settings::{Own, Settings};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Failed handshakes of those who call us that are written a minute, of each side and of strangers
/// and others apart: who sends garbage hides nobody else's. All are counted.
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
    proof: Arc<Proof>,
    asking: Arc<Asking>,
}

impl Dial {
    /// Who is there has proved himself: what he shows is seen from now on.
    pub fn done(&self) {
        self.asking.done();
    }
}

/// How who connects is received.
#[derive(Debug)]
pub struct Welcome {
    /// What we show.
    pub config: Arc<ServerConfig>,
    interface: usize,
    asked: Option<Arc<Asked>>,
}

/// Since when lines are counted, and how many were written.
#[derive(Debug, Default)]
struct Lines(Option<Instant>, u32);

#[derive(Debug)]
struct Inner {
    settings: ArcSwap<Settings>,
    /// Held while files are read again.
    reading: Mutex<()>,
    seen: Seen,
    held: Proofs,
    followed: Notify,
    failures: [[AtomicU64; TlsFailure::ALL.len()]; 2],
    /// By side, of strangers and of who is known.
    lines: Mutex<[[Lines; 2]; 2]>,
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
            reading: Mutex::default(),
            seen,
            held: Proofs::default(),
            followed: Notify::new(),
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
        let reading = self.0.reading.lock().unwrap_or_else(PoisonError::into_inner);
        self.read_again(config);
        drop(reading);
        self.0.followed.notify_one();
    }

    /// Reads all files again that the configuration in force names, at once: which certificates of
    /// ours are others than before, and until when they hold.
    #[must_use]
    pub fn renew(&self) -> Vec<String> {
        let _reading = self.0.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let config = self.0.settings.load_full().config.clone();
        self.read_again(&config)
    }

    fn read_again(&self, config: &Config) -> Vec<String> {
        let (before, shown) = (self.0.settings.load_full(), self.certificates());
        let settings = Settings::read(config, &self.0.seen, Some(&before), Own::Made);
        settings.faults.iter().for_each(|what| {
            tracing::error!("TLS: {what}; what was read before stays");
        });
        let whole = settings.faults.is_empty();
        let others = settings.is_other(&before);
        self.0.settings.store(Arc::new(settings));
        let news = news(&shown, &self.certificates(), Clock::start().now().wall);
        for new in &news {
            match new.expired {
                true => tracing::warn!("TLS: {}; new connections get it all the same", new.text),
                false => tracing::info!("TLS: {}; new connections get it", new.text),
            }
        }
        if whole && others && news.is_empty() {
            tracing::info!("TLS: certificates were read again; new connections get them");
        }
        news.into_iter().map(|new| new.text).collect()
    }

    /// Another configuration is in force since the last time.
    pub(super) async fn followed(&self) {
        self.0.followed.notified().await;
    }

    /// Reads files again that have changed; which open connections have to be proved anew.
    pub(super) fn look_again(&self) -> Vec<Doubt> {
        if self.0.settings.load().is_old() {
            drop(self.renew());
        }
        self.0.held.doubts(&self.0.settings.load(), Clock::start().now().wall)
    }

    /// Which of these are proved no longer.
    pub(super) fn prove_again(&self, doubts: &[Doubt]) -> Vec<Ended> {
        let (settings, now) = (self.0.settings.load(), Clock::start().now().wall);
        doubts.iter().filter_map(|doubt| self.0.held.look(doubt, &settings, now)).collect()
    }

    /// The names that who called us has proved, now that the handshake is done, or why none; `None`:
    /// he has shown no certificate.
    #[must_use]
    pub fn caller(&self, flow: Flow, welcome: &Welcome) -> Option<Result<Vec<Subject>, Failure>> {
        let asked = welcome.asked.as_ref()?;
        Some(asked.told()?.map(|proved| {
            let by = By::Interface(welcome.interface, asked.callers(), proved.names.clone());
            self.0.held.hold(flow, by, proved.chain, Some(proved.until));
            proved.names
        }))
    }

    /// Whom we called has proved himself.
    pub fn called(&self, flow: Flow, dial: &Dial) {
        let Some(shown) = dial.asking.done() else { return };
        let by = By::Upstream(dial.proof.upstream.clone(), dial.proof.clone());
        self.0.held.hold(flow, by, shown.chain, shown.until);
    }

    /// A connection is gone.
    pub(super) fn release(&self, flow: &Flow) {
        if let Some(conn) = flow.conn {
            self.0.held.release(conn);
        }
    }

    /// What an interface shows, by its place in the file.
    #[must_use]
    pub fn server(&self, interface: usize) -> Option<Welcome> {
        self.0.settings.load().server(interface)
    }

    /// How an upstream is called, by its name, at the host of one of its targets (`None`: nobody
    /// knows which; the first). `None`: it has no TLS.
    #[must_use]
    pub fn dial(&self, upstream: &str, host: Option<&Host>) -> Option<Dial> {
        self.0.settings.load().dial(upstream, host)
    }

    /// TLS came to nothing. Of those who call us, who are known or not, the log hears as much as it
    /// can bear.
    pub fn failed(
        &self,
        side: Side,
        failure: &Failure,
        caller: Option<(std::net::SocketAddr, bool)>,
    ) {
        self.0.failures[side.index()][failure.kind as usize].fetch_add(1, Relaxed);
        let Some((peer, is_known)) = caller else { return };
        let (who, others) = match is_known {
            true => ("TLS from", "other phones and upstreams"),
            false => ("TLS of a stranger from", "other strangers"),
        };
        match self.line(side, is_known) {
            ..=LINES => tracing::info!("{who} {peer}: {failure}"),
            n if n == LINES + 1 => tracing::info!(
                "TLS of {others} {} fails, too: portreeve_tls_failures_total counts",
                side.as_str()
            ),
            _ => {}
        }
    }

    /// Which line of this minute the next one of these would be, from 1.
    fn line(&self, side: Side, is_known: bool) -> u32 {
        let mut lines = self.0.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let Lines(since, written) = &mut lines[side.index()][usize::from(is_known)];
        let now = Instant::now();
        if since.is_none_or(|since| now - since >= MINUTE) {
            (*since, *written) = (Some(now), 0);
        }
        *written += 1;
        *written
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
