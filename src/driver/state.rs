//! The state folder: entries that outlive a restart, sealing keys, the site's password, users.
//! Mode 0700 and 0600 throughout; every error names the file and what to do.

mod journal;
mod keys;
mod password;
mod permissions;
mod users;

pub use journal::{Health, JournalCounters};
pub use keys::random;
pub use password::site_password;
pub use users::users;

use super::clock::Clock;
use crate::engine::{Entry, Key};
use crate::ground::Mono;
use journal::Journal;
use permissions::tighten;
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
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

#[expect(clippy::wildcard_enum_match_arm, reason = "the rest is alike")]
fn fault(path: &Path, e: &io::Error) -> StateError {
    let what = match e.kind() {
        io::ErrorKind::PermissionDenied => format!("{e}; give it to the user that runs portreeve"),
        _ => e.to_string(),
    };
    StateError { path: path.display().to_string(), what, busy: false }
}

/// An open state folder; its lock is held until everything is written.
#[derive(Debug)]
pub struct State {
    dir: PathBuf,
    journal: Journal,
    stored: Vec<Entry>,
    tightened: Option<String>,
}

impl State {
    /// Opens (or makes) the folder and reads its journal. Write permission of others is taken away
    /// where the folder is ours.
    ///
    /// # Errors
    /// Not writable, writable by others and not ours, or held by another instance.
    pub fn open(dir: &Path, clock: Clock) -> Result<Self, StateError> {
        let told = |e: io::Error| fault(dir, &e);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(told)?;
        let tightened = tighten(dir)?;
        let lock = lock(dir)?;
        let (journal, stored) = Journal::open(dir, lock, clock).map_err(told)?;
        Ok(Self { dir: dir.to_owned(), journal, stored, tightened })
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

fn lock(dir: &Path) -> Result<File, StateError> {
    let path = dir.join("lock");
    let open = OpenOptions::new()
        .create(true)
        .read(true)
        .write(true)
        .truncate(false)
        .mode(0o600)
        .open(&path);
    let mut file = open.map_err(|e| fault(&path, &e))?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        let mut pid = String::new();
        let _ = file.read_to_string(&mut pid);
        let what = format!(
            "another portreeve (pid {}) uses this folder; stop it, or give this one its own with --data",
            pid.trim()
        );
        return Err(StateError { path: dir.display().to_string(), what, busy: true });
    }
    let _ = file.set_len(0);
    let _ = file.write_all(std::process::id().to_string().as_bytes());
    Ok(file)
}

#[cfg(test)]
mod tests;
