//! The state folder: entries that outlive a restart, sealing keys, the site's password, users.
//! Mode 0700 and 0600 throughout; every error names the file and what to do.

mod journal;
mod keys;
mod page_token;
mod password;
mod users;

pub use journal::{Health, JournalCounters};
pub use keys::random;
pub use page_token::page_token;
pub use password::{kept_password, site_password};
pub use users::users;

use super::clock::Clock;
use super::folder::{Folder, is_told};
use super::sandbox::holds;
use crate::engine::{Entry, Key};
use crate::ground::Mono;
use journal::Journal;
use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;

/// What went wrong, in words that say what to do.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {what}")]
pub struct StateError {
    /// The file or folder.
    pub path: String,
    /// What, and what to do.
    pub what: String,
    /// True when another process holds the folder.
    pub busy: bool,
}

fn fault(path: &Path, e: &io::Error) -> StateError {
    StateError { path: path.display().to_string(), what: why(e), busy: false }
}

/// What the kernel says of a file, with what to do where that does not say it.
#[expect(clippy::wildcard_enum_match_arm, reason = "the rest is alike")]
pub(super) fn why(e: &io::Error) -> String {
    match e.kind() {
        _ if is_told(e) => e.to_string(),
        io::ErrorKind::PermissionDenied if holds() => format!(
            "{e}; a running gateway reaches only the folders that it was started with: restart it, \
             or give the file to its user"
        ),
        io::ErrorKind::PermissionDenied => format!("{e}; give it to the user that runs portreeve"),
        _ => e.to_string(),
    }
}

/// An open state folder; its lock is held until everything is written.
#[derive(Debug)]
pub struct State {
    dir: Arc<Folder>,
    journal: Journal,
    stored: Vec<Entry>,
    tightened: Option<String>,
}

impl State {
    /// Opens (or makes) the folder and reads its journal. Write permission of others is taken away.
    ///
    /// # Errors
    /// Another user's, reached by another user's link, not writable, meant for everybody, or held
    /// by another instance; likewise its files.
    pub fn open(dir: &Path, clock: Clock) -> Result<Self, StateError> {
        let told = |e: io::Error| fault(dir, &e);
        let folder = Folder::open(dir).map_err(told)?;
        let tightened = folder.tighten().map_err(told)?;
        let lock = lock(&folder)?;
        let folder = Arc::new(folder);
        let (journal, stored) = Journal::open(&folder, lock, clock)?;
        Ok(Self { dir: folder, journal, stored, tightened })
    }

    /// What was stored when the folder was opened; told once.
    #[must_use]
    pub fn take_stored(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.stored)
    }

    /// Keeps an entry; it is written soon, and waits for no volume here.
    pub fn store(&self, entry: Entry) {
        self.journal.store(entry);
    }

    /// Forgets what is kept under a key, as [`State::store`] does.
    pub fn forget(&self, key: Key) {
        self.journal.forget(key);
    }

    /// How things stand with the volume.
    #[must_use]
    pub fn health(&self, now: Mono) -> Health {
        self.journal.health(now)
    }

    /// What the journal counts.
    #[must_use]
    pub fn counters(&self) -> Arc<JournalCounters> {
        self.journal.counters()
    }

    /// What was done about others' permission to write, for the log.
    #[must_use]
    pub fn tightened(&self) -> Option<&str> {
        self.tightened.as_deref()
    }
}

fn lock(dir: &Folder) -> Result<File, StateError> {
    const NAME: &str = "lock";
    let mut file = dir.writing(NAME).map_err(|e| fault(&dir.path().join(NAME), &e))?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        let mut pid = String::new();
        let _ = file.read_to_string(&mut pid);
        let what = format!(
            "another portreeve (pid {}) uses this folder; stop it, or give this one its own with --data",
            pid.trim()
        );
        return Err(StateError { path: dir.path().display().to_string(), what, busy: true });
    }
    let _ = file.set_len(0);
    let _ = file.write_all(std::process::id().to_string().as_bytes());
    Ok(file)
}

#[cfg(test)]
mod tests;
