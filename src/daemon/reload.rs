//! A new configuration, by SIGHUP or by command: read, checked and compiled beside the event loop;
//! then swapped whole, or refused whole. A refused one changes nothing and says why. One at a time.

use super::{Ask, Reload, Reloaded, StartError, files_needed, users};
use crate::audit::Record;
use crate::config::{Changes, Config};
use crate::driver::interfaces::raise_open_files;
use crate::driver::service::Service;
use crate::driver::tls::Tls;
use crate::engine::Snapshot;
use crate::engine::digest::Users;
use crate::policy::RuleSet;
use serde::Serialize;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{Mutex, mpsc, oneshot};

/// Longest detail of a record, in characters.
const DETAIL: usize = 512;

/// Why a configuration was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Its hash, when it could be read at all.
    pub hash: String,
    /// Every fault, with place and hint.
    pub faults: String,
}

/// Reads the configuration anew. It may take its time: no call waits for it.
pub type Read = Arc<dyn Fn() -> Result<Config, Refusal> + Send + Sync>;

/// Told of every configuration that holds from now on.
pub type Applied = Box<dyn Fn(&Config) + Send + Sync>;

/// How a reload ended, for whoever asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// `applied`, `unchanged`, `refused`.
    pub result: &'static str,
    /// The file, or `site mode`.
    pub source: String,
    /// Hash of what held before; empty in site mode.
    pub old_hash: String,
    /// Hash of what was read.
    pub hash: String,
    /// What changed, by when it counts.
    #[serde(flatten)]
    pub changes: Changes,
    /// Certificates of ours that are shown from now on, for their files are others: whose, and
    /// until when they hold.
    pub certificates: Vec<String>,
    /// Every fault of a refused one.
    pub faults: String,
}

/// Reloads for one running gateway.
pub struct Reloader {
    asks: mpsc::Sender<Ask>,
    source: String,
    read: Read,
    applied: Applied,
    service: Service,
    tls: Option<Tls>,
    running: Mutex<Running>,
    audit_folder: Option<PathBuf>,
}

impl std::fmt::Debug for Reloader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reloader").field("source", &self.source).finish_non_exhaustive()
    }
}

/// What holds.
#[derive(Clone)]
struct Running {
    config: Config,
    users: Users,
}

struct Prepared {
    snapshot: Snapshot,
    hash: String,
    changes: Changes,
}

impl Reloader {
    /// For a gateway that was started with `config`; `source` names where `read` reads.
    ///
    /// # Errors
    /// The users' secrets cannot be read.
    pub fn new(
        asks: mpsc::Sender<Ask>,
        config: Config,
        source: String,
        read: Read,
        applied: Applied,
        service: Service,
    ) -> Result<Self, StartError> {
        let users = users(&config)?;
        let absolute = |dir: &String| std::path::absolute(dir).unwrap_or_else(|_| dir.into());
        let audit_folder = config.audit.dir.as_ref().map(absolute);
        let running = Mutex::new(Running { config, users });
        Ok(Self { asks, source, read, applied, service, tls: None, running, audit_folder })
    }

    /// Reads the files of these certificates, too.
    #[must_use]
    pub fn with_tls(self, tls: Tls) -> Self {
        Self { tls: Some(tls), ..self }
    }

    /// The file, or `site mode`.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Where the audit log is; `None`: there is none. Another one waits for a restart.
    #[must_use]
    pub fn audit_folder(&self) -> Option<&Path> {
        self.audit_folder.as_deref()
    }

    /// What holds; while it is read anew, what will hold.
    pub async fn config(&self) -> Config {
        self.running.lock().await.config.clone()
    }

    /// Reads anew; what came of it. Once begun it must not be dropped: give it a task of its own.
    /// `by`: who wants it, for the audit log.
    pub async fn reload(&self, by: &str) -> Outcome {
        let mut running = self.running.lock().await;
        self.service.reloading();
        let (read, before) = (self.read.clone(), running.clone());
        let prepared = tokio::task::spawn_blocking(move || prepare(&read, before)).await;
        let prepared = prepared.unwrap_or_else(|e| {
            let faults = format!("reading the configuration failed: {e}\n");
            Err(Refusal { hash: String::new(), faults })
        });
        let old_hash = running.config.hash.clone();
        let outcome = match prepared {
            Ok(p) => {
                let same = p.changes.is_empty();
                let result = if same { Reloaded::Unchanged } else { Reloaded::Applied };
                // A comment changes the hash, and that is what records name.
                let snapshot = (!same || p.hash != old_hash).then(|| Arc::new(p.snapshot));
                let certificates = self.certificates().await;
                let outcome = self.outcome(result, old_hash, p.hash, p.changes, String::new());
                let outcome = Outcome { certificates, ..outcome };
                self.hand_over(&outcome, result, snapshot.clone(), by).await;
                if let Some(s) = snapshot {
                    (self.applied)(&s.config);
                    *running = Running { config: s.config.clone(), users: s.users.clone() };
                }
                outcome
            }
            Err(r) => {
                let (result, changes) = (Reloaded::Refused, Changes::default());
                let outcome = self.outcome(result, old_hash, r.hash, changes, r.faults);
                self.hand_over(&outcome, result, None, by).await;
                outcome
            }
        };
        self.service.ready();
        outcome.log();
        outcome
    }

    /// Files of certificates may be others although nothing else has changed: they are read then
    /// and there, for whoever put them in place looks at once.
    async fn certificates(&self) -> Vec<String> {
        let Some(tls) = self.tls.clone() else { return Vec::new() };
        tokio::task::spawn_blocking(move || tls.renew()).await.unwrap_or_default()
    }

    fn outcome(
        &self,
        result: Reloaded,
        old_hash: String,
        hash: String,
        changes: Changes,
        faults: String,
    ) -> Outcome {
        let (result, source) = (result.as_str(), self.source.clone());
        Outcome { result, source, old_hash, hash, changes, certificates: Vec::new(), faults }
    }

    async fn hand_over(
        &self,
        outcome: &Outcome,
        result: Reloaded,
        snapshot: Option<Arc<Snapshot>>,
        by: &str,
    ) {
        let (done, taken) = oneshot::channel();
        let detail: String = outcome.detail(by).chars().take(DETAIL).collect();
        let record = Record::Admin { action: "reload", result: result.as_str(), detail };
        let pending = outcome.changes.restart.clone();
        let reload = Box::new(Reload { snapshot, result, pending, record, done });
        // A gateway that has stopped takes nothing, and nobody misses it.
        let _ = self.asks.send(Ask::Reload(reload)).await;
        let _ = taken.await;
    }
}

/// Everything that may take time or fail.
fn prepare(read: &Read, before: Running) -> Result<Prepared, Refusal> {
    let config = read()?;
    let hash = config.hash.clone();
    let refused = |faults: String| Refusal { hash: hash.clone(), faults };
    let (config, mut changes) = config.following(&before.config);
    let rules = RuleSet::compile(&config)
        .map_err(|all| refused(all.iter().map(ToString::to_string).collect()))?;
    let users = users(&config).map_err(|e| refused(format!("error: {e}\n")))?;
    if users != before.users && !changes.now.iter().any(|k| k.starts_with("registrar.")) {
        changes.now.push("registrar.users (contents)".to_owned());
    }
    Tls::check(&config).map_err(|e| refused(format!("error: {}\n", StartError::Tls(e))))?;
    let need = files_needed(&config);
    if need > files_needed(&before.config) {
        let have = raise_open_files(need);
        if have < need {
            return Err(refused(format!("error: {}\n", StartError::Files { need, have })));
        }
    }
    Ok(Prepared { snapshot: Snapshot { config, rules, users }, hash, changes })
}

impl Outcome {
    /// For the audit log: who, from what to what, and which keys.
    fn detail(&self, by: &str) -> String {
        let name = |hash: &str| if hash.is_empty() { "-".to_owned() } else { hash.to_owned() };
        let mut text = format!("by {by}: {} -> {}", name(&self.old_hash), name(&self.hash));
        for (when, keys) in self.sections() {
            let _ = write!(text, "; {when}: {}", keys.join(", "));
        }
        for certificate in &self.certificates {
            let _ = write!(text, "; {certificate}");
        }
        if !self.faults.is_empty() {
            let _ = write!(text, "; {}", self.faults);
        }
        text
    }

    /// Changed keys under the words for when they count; nothing for what did not change.
    fn sections(&self) -> impl Iterator<Item = (&'static str, &Vec<String>)> {
        let c = &self.changes;
        let all = [("now", &c.now), ("new calls", &c.new_calls), ("needs a restart", &c.restart)];
        all.into_iter().filter(|(_, keys)| !keys.is_empty())
    }

    /// One line for the log.
    fn log(&self) {
        let source = &self.source;
        if !self.faults.is_empty() {
            tracing::error!("reload refused, nothing changed: {}", self.faults);
            return;
        }
        let mut sections: Vec<String> =
            self.sections().map(|(when, keys)| format!("{when}: {}", keys.join(", "))).collect();
        sections.extend(self.certificates.iter().cloned());
        if sections.is_empty() {
            tracing::info!("reloaded {source}: nothing changed");
        } else {
            tracing::info!("reloaded {source}; {}", sections.join("; "));
        }
    }
}

#[cfg(test)]
mod tests;
