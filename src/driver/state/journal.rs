//! The journal: what a restart must not lose, as lines in a file, written by a thread of its own.
//! Whoever hands over an entry never waits for the volume. What waits is kept by key: a newer entry
//! replaces the older one, and a write that failed is made again. It never judges what it keeps.

mod line;
mod volume;
mod writer;

#[cfg(test)]
mod tests;

use super::{StateError, fault};
use crate::driver::clock::Clock;
use crate::driver::folder::Folder;
use crate::driver::scribe::Scribe;
use crate::engine::{Entry, Key};
use crate::ground::Mono;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use volume::{FileVolume, Volume};
use writer::Writer;

/// Keys whose changes may wait for the writer, beside as many that it is writing.
const MOST: usize = 1 << 16;
/// A stop waits this long for what waits to be written.
const LAST_WRITES: Duration = Duration::from_secs(5);
/// A write that takes longer than this hangs.
const HANGS: Duration = Duration::from_secs(5);
const FILE: &str = "journal.jsonl";
/// Its name while it held bindings only.
const FORMER: &str = "bindings.jsonl";

/// What is to be done under a key.
#[derive(Clone, Debug)]
enum Change {
    Store(Box<Entry>),
    Forget,
}

/// What is counted.
#[derive(Debug, Default)]
pub struct JournalCounters {
    /// Writes that failed; each is tried again.
    pub write_failures: AtomicU64,
    /// Changes that found no place to wait.
    pub lost: AtomicU64,
    /// Changes that wait, or are being written.
    pub waiting: AtomicU64,
    /// The last write failed.
    failing: AtomicBool,
    /// When the write under way began, in nanoseconds of the monotonic clock; 0: none is.
    begun: AtomicU64,
}

impl JournalCounters {
    /// How things stand with the volume.
    #[must_use]
    pub fn health(&self, now: Mono) -> Health {
        let begun = self.begun.load(Relaxed);
        if begun != 0 && now.since(Mono(Duration::from_nanos(begun))) >= HANGS {
            Health::Hangs
        } else if self.failing.load(Relaxed) {
            Health::Fails
        } else {
            Health::Good
        }
    }
}

/// How things stand with the volume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// It takes what it is given.
    #[default]
    Good,
    /// The last write failed.
    Fails,
    /// A write has not come back for 5 s.
    Hangs,
}

#[derive(Debug, Default)]
struct Waiting {
    changes: BTreeMap<Key, Change>,
    /// The writer sleeps until it is woken.
    asleep: bool,
    closing: bool,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    bell: Condvar,
    counters: Arc<JournalCounters>,
}

impl Shared {
    /// Held for a look-up in memory, never for the volume.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The running journal. Dropping it writes what waits, for at most 5 s.
#[derive(Debug)]
pub(super) struct Journal {
    shared: Arc<Shared>,
    thread: Option<Scribe>,
}

impl Journal {
    /// Reads what the folder holds, then starts the writer, which holds `lock` until it has ended.
    pub(super) fn open(
        dir: &Arc<Folder>,
        lock: File,
        clock: Clock,
    ) -> Result<(Self, Vec<Entry>), StateError> {
        let path = dir.path().join(FILE);
        let told = |e| fault(&path, &e);
        let mut octets = dir.read(FILE).map_err(told)?;
        if octets.is_none() && dir.reading(FORMER).map_err(told)?.is_some() {
            dir.rename(FORMER, FILE).map_err(told)?;
            octets = dir.read(FILE).map_err(told)?;
        }
        let read = line::read(&octets.unwrap_or_default());
        if read.foreign > 0 {
            let (n, path) = (read.foreign, path.display());
            tracing::warn!("{path}: {n} lines cannot be read and are passed over");
        }
        let volume = FileVolume::open(dir, FILE).map_err(told)?;
        let journal = Self::start(Box::new(volume), &read, lock, clock).map_err(told)?;
        Ok((journal, read.live.into_values().collect()))
    }

    fn start(
        volume: Box<dyn Volume>,
        read: &line::Read,
        lock: impl Send + 'static,
        clock: Clock,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let mut writer = Writer::new(shared.clone(), volume, read, clock);
        let run = move || {
            writer.run();
            drop(lock);
        };
        let thread = Some(Scribe::start("journal", run)?);
        Ok(Self { shared, thread })
    }

    pub(super) fn counters(&self) -> Arc<JournalCounters> {
        self.shared.counters.clone()
    }

    pub(super) fn health(&self, now: Mono) -> Health {
        self.shared.counters.health(now)
    }

    pub(super) fn store(&self, entry: Entry) {
        self.put(entry.key(), Change::Store(Box::new(entry)));
    }

    pub(super) fn forget(&self, key: Key) {
        self.put(key, Change::Forget);
    }

    fn put(&self, key: Key, change: Change) {
        let mut waiting = self.shared.waiting();
        if waiting.changes.len() >= MOST && !waiting.changes.contains_key(&key) {
            if self.shared.counters.lost.fetch_add(1, Relaxed) == 0 {
                tracing::error!(
                    "{MOST} changes of registrations wait for the state volume: further ones are \
                     lost, and counted; a restart would not know them"
                );
            }
            return;
        }
        if waiting.changes.insert(key, change).is_none() {
            self.shared.counters.waiting.fetch_add(1, Relaxed);
        }
        // Whom the bell wakes wants the lock.
        let asleep = std::mem::take(&mut waiting.asleep);
        drop(waiting);
        if asleep {
            self.shared.bell.notify_one();
        }
    }

    fn close(&mut self, within: Duration) -> bool {
        self.shared.waiting().closing = true;
        self.shared.bell.notify_one();
        self.thread.take().is_none_or(|thread| thread.end(within))
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if !self.close(LAST_WRITES) {
            let n = self.shared.counters.waiting.load(Relaxed);
            tracing::error!("the state volume hangs: {n} changes of registrations are not written");
        }
    }
}
