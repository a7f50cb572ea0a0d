//! The journal's thread: takes what waits, writes it, tries again what failed. It alone waits for
//! the volume.

use super::line::{self, Read};
use super::{Change, Shared, Volume};
use crate::driver::clock::Clock;
use crate::engine::Key;
use crate::ground::Mono;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// How long a write waits for more: one sync then serves what a busy site changes meanwhile.
const GATHER: Duration = Duration::from_millis(50);
/// What failed is tried again after this.
const AGAIN: Duration = Duration::from_secs(1);
/// Failures are told at once, then their sum this often.
const TELL: Duration = Duration::from_secs(600);

pub(super) struct Writer {
    shared: Arc<Shared>,
    volume: Box<dyn Volume>,
    clock: Clock,
    /// What the file must hold, for the day when it is written anew.
    live: BTreeMap<Key, Box<str>>,
    lines: usize,
    /// Lines from which on it may be written anew.
    rewrite_from: usize,
    /// The last line may have no end.
    torn: bool,
    trouble: Option<Trouble>,
}

/// Writes that fail.
struct Trouble {
    failures: u64,
    told: Mono,
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        volume: Box<dyn Volume>,
        read: &Read,
        clock: Clock,
    ) -> Self {
        let kept = read.live.iter().filter_map(|(key, entry)| {
            let line = line::write(key, &Change::Store(Box::new(entry.clone()))).ok()?;
            Some((key.clone(), line.into()))
        });
        let live = kept.collect();
        let (lines, torn) = (read.lines, read.torn);
        Self { shared, volume, clock, live, lines, rewrite_from: 0, torn, trouble: None }
    }

    /// Until the journal is closed and everything is written, or cannot be.
    pub(super) fn run(&mut self) {
        loop {
            let (changes, closing) = self.take();
            if !changes.is_empty() {
                self.commit(changes);
            }
            if closing && (self.trouble.is_some() || self.shared.waiting().changes.is_empty()) {
                return;
            }
        }
    }

    /// Sleeps until there is something to do; what there is, and whether the journal is closed.
    fn take(&self) -> (BTreeMap<Key, Change>, bool) {
        let mut waiting = self.shared.waiting();
        while waiting.changes.is_empty() && !waiting.closing {
            waiting.asleep = true;
            waiting = self.shared.bell.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        // Only the end rings now.
        waiting.asleep = false;
        let pause = if self.trouble.is_some() { AGAIN } else { GATHER };
        let slept = self.shared.bell.wait_timeout_while(waiting, pause, |w| !w.closing);
        let (mut waiting, _) = slept.unwrap_or_else(PoisonError::into_inner);
        (std::mem::take(&mut waiting.changes), waiting.closing)
    }

    fn commit(&mut self, changes: BTreeMap<Key, Change>) {
        let begun = u64::try_from(self.clock.now().mono.0.as_nanos()).unwrap_or(u64::MAX).max(1);
        self.shared.counters.begun.store(begun, Relaxed);
        let result = self.write(&changes);
        self.shared.counters.begun.store(0, Relaxed);
        match result {
            Ok(()) => {
                self.shared.counters.waiting.fetch_sub(changes.len() as u64, Relaxed);
                self.recovered();
            }
            Err(e) => {
                self.put_back(changes);
                self.failed(&e);
            }
        }
    }

    /// What failed waits again, unless something newer does.
    fn put_back(&self, changes: BTreeMap<Key, Change>) {
        let mut waiting = self.shared.waiting();
        for (key, change) in changes {
            match waiting.changes.entry(key) {
                Slot::Vacant(free) => drop(free.insert(change)),
                Slot::Occupied(_) => drop(self.shared.counters.waiting.fetch_sub(1, Relaxed)),
            }
        }
    }

    fn write(&mut self, changes: &BTreeMap<Key, Change>) -> io::Result<()> {
        let mut text = String::new();
        let mut lines = Vec::with_capacity(changes.len());
        for (key, change) in changes {
            let line = match change {
                // Not in the file, and so nothing to take back; a failed write may have left it.
                Change::Forget if !self.live.contains_key(key) && !self.torn => continue,
                Change::Store(_) | Change::Forget => line::write(key, change)?,
            };
            text.push_str(&line);
            lines.push((key, change, line));
        }
        if lines.is_empty() {
            return Ok(());
        }
        if self.torn {
            text.insert(0, '\n');
        }
        self.torn = true;
        self.volume.append(&text)?;
        self.torn = false;
        self.lines += lines.len();
        for (key, change, line) in lines {
            match change {
                Change::Store(_) => drop(self.live.insert(key.clone(), line.into())),
                Change::Forget => drop(self.live.remove(key)),
            }
        }
        self.rewrite();
        Ok(())
    }

    /// A file that holds mostly what is no longer true is written anew. Where that fails, the old
    /// one holds all the same.
    fn rewrite(&mut self) {
        if self.lines < self.rewrite_from || self.lines <= 1_000 + 4 * self.live.len() {
            return;
        }
        match self.volume.replace(&self.live.values().map(|l| &**l).collect::<String>()) {
            Ok(()) => {
                self.lines = self.live.len();
                self.rewrite_from = 0;
            }
            Err(e) => {
                self.shared.counters.write_failures.fetch_add(1, Relaxed);
                tracing::warn!(
                    "the journal of registrations cannot be written anew, and grows: {e}"
                );
                self.rewrite_from = self.lines + 1_000;
            }
        }
    }

    fn failed(&mut self, error: &io::Error) {
        let counters = &self.shared.counters;
        counters.write_failures.fetch_add(1, Relaxed);
        counters.failing.store(true, Relaxed);
        let now = self.clock.now().mono;
        let waiting = counters.waiting.load(Relaxed);
        let Some(trouble) = &mut self.trouble else {
            self.trouble = Some(Trouble { failures: 1, told: now });
            tracing::error!(
                "registrations cannot be stored: {error}; free space on the state volume, or \
                 mend it: {waiting} changes wait and are written then, calls go on meanwhile"
            );
            return;
        };
        trouble.failures += 1;
        if now.since(trouble.told) >= TELL {
            trouble.told = now;
            let failures = trouble.failures;
            tracing::error!(
                "registrations still cannot be stored: {error}; {failures} writes failed, \
                 {waiting} changes wait"
            );
        }
    }

    fn recovered(&mut self) {
        self.shared.counters.failing.store(false, Relaxed);
        if let Some(trouble) = self.trouble.take() {
            let failures = trouble.failures;
            tracing::info!("registrations are stored again, after {failures} writes that failed");
        }
    }
}
