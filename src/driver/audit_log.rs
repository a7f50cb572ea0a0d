//! The audit log's file: one writer thread, group commit, the chain carried over files and
//! restarts. It never blocks a caller; what it cannot write it counts, and says so when it can
//! again.

use super::clock::Clock;
use crate::audit::{Chain, Record, Summary, Summer, hash, verify};
use crate::ground::Now;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Records that may wait for the writer.
const QUEUE: usize = 8_192;
/// Records of one commit.
const BATCH: usize = 512;
/// How long a commit waits for more: one sync then serves what a busy site records meanwhile.
const GATHER: Duration = Duration::from_millis(50);

/// What is counted.
#[derive(Debug, Default)]
pub struct AuditCounters {
    /// Lines written.
    pub records: AtomicU64,
    /// Commits that failed.
    pub write_failures: AtomicU64,
    /// Records lost to a full volume or queue.
    pub suppressed: AtomicU64,
    /// The last commit failed.
    pub full: AtomicBool,
}

/// The running log. Dropping it writes what waits.
#[derive(Debug)]
pub struct AuditLog {
    queue: Option<SyncSender<(Now, Record)>>,
    counters: Arc<AuditCounters>,
    thread: Option<JoinHandle<()>>,
}

impl AuditLog {
    /// Opens the folder (made with mode 0700) and continues its chain.
    ///
    /// # Errors
    /// The folder cannot be made, read or written; the message names it.
    pub fn open(dir: &Path, site: &str, clock: Clock) -> io::Result<Self> {
        let told = |e: io::Error| {
            let text = format!(
                "audit folder {}: {e}; give it to this user, or set audit.dir",
                dir.display()
            );
            io::Error::new(e.kind(), text)
        };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(told)?;
        let mut writer = Writer::resume(dir, site).map_err(told)?;
        let counters = Arc::new(AuditCounters::default());
        let (queue, records) = sync_channel(QUEUE);
        let shared = counters.clone();
        let run = move || writer.run(&records, &shared, clock);
        let thread = std::thread::Builder::new().name("audit".to_owned()).spawn(run)?;
        Ok(Self { queue: Some(queue), counters, thread: Some(thread) })
    }

    /// Hands a record over; counted as suppressed when the queue is full.
    pub fn append(&self, now: Now, record: Record) {
        let Some(queue) = &self.queue else { return };
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
            queue.try_send((now, record))
        {
            self.counters.suppressed.fetch_add(1, Relaxed);
        }
    }

    /// What is counted.
    #[must_use]
    pub fn counters(&self) -> Arc<AuditCounters> {
        self.counters.clone()
    }
}

impl Drop for AuditLog {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Writer {
    dir: PathBuf,
    site: String,
    chain: Chain,
    file: Option<(String, File)>,
    summer: Summer,
    lost: u64,
    recovered: Option<usize>,
}

impl Writer {
    /// Where the newest file ends; a torn last line is cut.
    fn resume(dir: &Path, site: &str) -> io::Result<Self> {
        let mut chain = Chain::default();
        let mut recovered = None;
        if let Some(last) = files(dir)?.pop() {
            let text = fs::read(&last)?;
            let end = text.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
            if end < text.len() {
                OpenOptions::new().write(true).open(&last)?.set_len(end as u64)?;
                recovered = Some(text.len() - end);
            }
            let whole = String::from_utf8_lossy(text.get(..end).unwrap_or_default()).into_owned();
            if let Some(line) = whole.lines().last() {
                let value: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
                chain.seq = value.get("seq").and_then(serde_json::Value::as_u64).unwrap_or(0) + 1;
                chain.tip = hash(line);
            }
        }
        let (dir, site) = (dir.to_owned(), site.to_owned());
        Ok(Self { dir, site, chain, file: None, summer: Summer::default(), lost: 0, recovered })
    }

    fn run(&mut self, records: &Receiver<(Now, Record)>, counters: &AuditCounters, clock: Clock) {
        if let Some(cut) = self.recovered.take() {
            let detail = format!("{cut} octets of a torn last line were cut");
            let record = Record::System { event: "recovered", detail };
            let now = clock.now();
            self.commit(now, &[(now, record)], counters);
        }
        loop {
            let mut batch = Vec::new();
            let open = match records.recv_timeout(Duration::from_secs(1)) {
                Ok((now, record)) => {
                    self.gather(&mut batch, now, record, records);
                    true
                }
                Err(RecvTimeoutError::Timeout) => true,
                Err(RecvTimeoutError::Disconnected) => false,
            };
            let now = clock.now();
            batch.extend(self.summer.due(now.mono, !open).into_iter().map(|r| (now, r)));
            // What was lost is told as soon as the volume takes records again.
            if !batch.is_empty() || self.lost > 0 {
                self.commit(now, &batch, counters);
            }
            if !open {
                return;
            }
        }
    }

    fn gather(
        &mut self,
        batch: &mut Vec<(Now, Record)>,
        now: Now,
        first: Record,
        records: &Receiver<(Now, Record)>,
    ) {
        batch.extend(self.summer.take(now.mono, first).map(|r| (now, r)));
        std::thread::sleep(GATHER);
        for (now, record) in records.try_iter().take(BATCH) {
            batch.extend(self.summer.take(now.mono, record).map(|r| (now, r)));
        }
    }

    fn commit(&mut self, now: Now, batch: &[(Now, Record)], counters: &AuditCounters) {
        let before = self.chain.clone();
        let mut text = String::new();
        let mut count = batch.len() as u64;
        if self.lost > 0 {
            let detail = format!("{} records could not be written", self.lost);
            let gap = Record::System { event: "gap", detail };
            text.push_str(&self.chain.append(now, &self.site, &gap));
            text.push('\n');
            count += 1;
        }
        for (at, record) in batch {
            text.push_str(&self.chain.append(*at, &self.site, record));
            text.push('\n');
        }
        let day = crate::audit::timestamp(now.wall).get(..10).unwrap_or("0").replace('-', "");
        match self.write(&day, text.as_bytes()) {
            Ok(()) => {
                self.lost = 0;
                counters.records.fetch_add(count, Relaxed);
                counters.full.store(false, Relaxed);
            }
            Err(_) => {
                self.chain = before;
                self.lost += batch.len() as u64;
                counters.write_failures.fetch_add(1, Relaxed);
                counters.suppressed.fetch_add(batch.len() as u64, Relaxed);
                counters.full.store(true, Relaxed);
            }
        }
    }

    /// Appends whole or not at all.
    fn write(&mut self, day: &str, bytes: &[u8]) -> io::Result<()> {
        if self.file.as_ref().is_none_or(|(d, _)| d != day) {
            let path = self.dir.join(format!("audit-{day}.jsonl"));
            let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
            self.file = Some((day.to_owned(), file));
        }
        let Some((_, file)) = &mut self.file else { return Ok(()) };
        let length = file.metadata()?.len();
        let written = file.write_all(bytes).and_then(|()| file.sync_data());
        if written.is_err() {
            let _ = file.set_len(length);
        }
        written
    }
}

/// The log's files, oldest first.
fn files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let named = |p: &PathBuf| {
        let name = p.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        name.starts_with("audit-") && name.ends_with(".jsonl")
    };
    let mut all: Vec<PathBuf> =
        fs::read_dir(dir)?.filter_map(|e| e.ok().map(|e| e.path())).filter(named).collect();
    all.sort();
    Ok(all)
}

/// Verifies a file or a folder of files.
///
/// # Errors
/// In words: not readable, or the first broken line.
pub fn verify_path(path: &Path, tip: Option<&str>) -> Result<Summary, String> {
    let told = |e: io::Error| format!("{}: {e}", path.display());
    let all = if path.is_dir() { files(path).map_err(told)? } else { vec![path.to_owned()] };
    if all.is_empty() {
        return Err(format!("{}: no audit-*.jsonl in this folder", path.display()));
    }
    let mut text = String::new();
    for file in &all {
        text.push_str(&fs::read_to_string(file).map_err(told)?);
    }
    if text.is_empty() {
        return Err(format!("{}: no record, not even of the start", path.display()));
    }
    // Not `lines`: that would forgive carriage returns.
    verify(text.split_terminator('\n'), tip).map_err(|b| b.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("portreeve-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        dir
    }

    fn write(dir: &Path, n: usize) {
        let clock = Clock::start();
        let log = AuditLog::open(dir, "test", clock).unwrap();
        for i in 0..n {
            let record =
                Record::Admin { action: "reload", result: "applied", detail: i.to_string() };
            log.append(clock.now(), record);
        }
    }

    #[test]
    fn the_chain_goes_on_over_restarts_and_torn_lines() {
        let dir = folder("audit");
        write(&dir, 100);
        let first = verify_path(&dir, None).unwrap();
        assert_eq!(first.records, 100);
        let file = files(&dir).unwrap().pop().unwrap();
        OpenOptions::new().append(true).open(&file).unwrap().write_all(b"{\"torn").unwrap();
        assert!(verify_path(&dir, None).is_err());
        write(&dir, 3);
        // 100, the note of the cut, and 3 more.
        assert_eq!(verify_path(&dir, None).unwrap().records, 104);
        let text = fs::read_to_string(&file).unwrap().replace("\"42\"", "\"43\"");
        fs::write(&file, text).unwrap();
        let broken = verify_path(&dir, None).unwrap_err();
        assert!(broken.starts_with("line 44:"), "{broken}");
        fs::write(&file, "").unwrap();
        assert!(verify_path(&dir, None).unwrap_err().contains("no record"), "an emptied log");
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn every_octet_of_a_record_counts() {
        let dir = folder("octets");
        write(&dir, 1);
        let tip = verify_path(&dir, None).unwrap().tip;
        let file = files(&dir).unwrap().pop().unwrap();
        let whole = fs::read(&file).unwrap();
        for at in 0..whole.len() {
            for changed in [whole[at] ^ 1, b'\r', 0xff] {
                let mut text = whole.clone();
                text[at] = changed;
                fs::write(&file, &text).unwrap();
                let told = verify_path(&dir, Some(&tip));
                assert_eq!(told.is_ok(), text == whole, "{changed:#x} at {at}: {told:?}");
            }
            let mut text = whole.clone();
            text.insert(at, b'\r');
            fs::write(&file, &text).unwrap();
            assert!(verify_path(&dir, Some(&tip)).is_err(), "a carriage return at {at}");
        }
        fs::remove_dir_all(&dir).unwrap();
    }
}
