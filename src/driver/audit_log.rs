//! The audit log's file: one writer thread, group commit, the chain carried over files and
//! restarts. It never blocks a caller; what it cannot write it counts, and says so when it can
//! again.

mod check;
mod tail;

use super::clock::Clock;
use super::folder::{Folder, is_told};
use super::scribe::Scribe;
use crate::audit::{Chain, Record, Summer, hash};
use crate::ground::Now;
pub use check::{Against, files_of, verify_path};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tail::{Tail, tail};

/// Records that may wait for the writer.
const QUEUE: usize = 8_192;
/// How long a commit waits for more: one sync then serves what a busy site records meanwhile.
const GATHER: Duration = Duration::from_millis(50);
/// Sums of floods are due at least this often.
const DUE: Duration = Duration::from_secs(1);
/// A stop waits this long for the last records to be written.
const LAST_WRITES: Duration = Duration::from_secs(5);

/// A record and its time.
pub type Dated = (Now, Record);

/// What is counted.
#[derive(Debug, Default)]
pub struct AuditCounters {
    /// Lines written.
    pub records: AtomicU64,
    /// Commits that failed.
    pub write_failures: AtomicU64,
    /// Records lost to a full volume or queue.
    pub suppressed: AtomicU64,
    /// The last commit failed, or the queue is full.
    pub full: AtomicBool,
    head: Mutex<Option<(u64, String)>>,
}

impl AuditCounters {
    /// Number and hash (hex) of the last record that the volume has; `None`: there is none yet.
    #[must_use]
    pub fn head(&self) -> Option<(u64, String)> {
        self.head.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn stands(&self, chain: &Chain) {
        let head = chain.head().map(|(number, hash)| (number, hash.to_owned()));
        *self.head.lock().unwrap_or_else(PoisonError::into_inner) = head;
    }
}

#[derive(Debug, Default)]
struct Waiting {
    records: Vec<Dated>,
    /// Records that found no place.
    lost: u64,
    /// The writer sleeps until it is woken.
    asleep: bool,
    closing: bool,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    bell: Condvar,
}

impl Queue {
    /// Held for a move in memory, never for the volume.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What has gathered, how many found no place, and whether it is the end.
    fn take(&self) -> (Vec<Dated>, u64, bool) {
        let mut waiting = self.waiting();
        waiting.asleep = true;
        let empty = |w: &mut Waiting| w.records.is_empty() && !w.closing;
        let slept = self.bell.wait_timeout_while(waiting, DUE, empty);
        (waiting, _) = slept.unwrap_or_else(PoisonError::into_inner);
        // Only the end rings now.
        waiting.asleep = false;
        if !waiting.records.is_empty() {
            let slept = self.bell.wait_timeout_while(waiting, GATHER, |w| !w.closing);
            (waiting, _) = slept.unwrap_or_else(PoisonError::into_inner);
        }
        let w = &mut *waiting;
        (std::mem::take(&mut w.records), std::mem::take(&mut w.lost), w.closing)
    }
}

/// The running log. Dropping it writes what waits, for at most 5 s.
#[derive(Debug)]
pub struct AuditLog {
    queue: Arc<Queue>,
    counters: Arc<AuditCounters>,
    thread: Option<Scribe>,
}

impl AuditLog {
    /// Opens the folder (made with mode 0700) and continues its chain. Write permission of others
    /// is taken away.
    ///
    /// # Errors
    /// The folder cannot be made, read or written, or is another user's, likewise the newest file;
    /// the message names it and says what to do.
    pub fn open(dir: &Path, site: &str, clock: Clock) -> io::Result<Self> {
        let told = |e: io::Error| {
            let more = if is_told(&e) { "" } else { "; give it to this user, or set audit.dir" };
            io::Error::new(e.kind(), format!("audit folder {}: {e}{more}", dir.display()))
        };
        let folder = Folder::open(dir).map_err(told)?;
        if let Some(what) = folder.tighten().map_err(told)? {
            tracing::warn!("{what}");
        }
        let opens = Box::new(|folder: &Folder, name: &str| folder.appending(name));
        let writer = Writer::resume(folder, site, opens).map_err(told)?;
        Self::start(writer, clock)
    }

    fn start(mut writer: Writer, clock: Clock) -> io::Result<Self> {
        let counters = Arc::new(AuditCounters::default());
        let queue = Arc::new(Queue::default());
        counters.stands(&writer.chain);
        let (records, counts) = (queue.clone(), counters.clone());
        let thread = Scribe::start("audit", move || writer.run(&records, &counts, clock))?;
        Ok(Self { queue, counters, thread: Some(thread) })
    }

    /// Hands a group of records over, with one wake-up at most; what finds no place is counted as
    /// suppressed. The group is empty then.
    pub fn append(&self, group: &mut Vec<Dated>) {
        let mut waiting = self.queue.waiting();
        let room = QUEUE.saturating_sub(waiting.records.len());
        let lost = group.len().saturating_sub(room) as u64;
        waiting.records.extend(group.drain(..).take(room));
        if lost > 0 {
            waiting.lost += lost;
            self.counters.suppressed.fetch_add(lost, Relaxed);
            self.counters.full.store(true, Relaxed);
        }
        // Whom the bell wakes wants the lock.
        let asleep = std::mem::take(&mut waiting.asleep);
        drop(waiting);
        if asleep {
            self.queue.bell.notify_one();
        }
    }

    /// What is counted.
    #[must_use]
    pub fn counters(&self) -> Arc<AuditCounters> {
        self.counters.clone()
    }

    fn close(&mut self, within: Duration) -> bool {
        self.queue.waiting().closing = true;
        self.queue.bell.notify_one();
        self.thread.take().is_none_or(|thread| thread.end(within))
    }
}

impl Drop for AuditLog {
    fn drop(&mut self) {
        if !self.close(LAST_WRITES) {
            tracing::error!("the audit volume hangs: the last records are not written");
        }
    }
}

/// Opens a day's file.
type Opens = Box<dyn Fn(&Folder, &str) -> io::Result<File> + Send>;

struct Writer {
    dir: Folder,
    opens: Opens,
    site: String,
    chain: Chain,
    file: Option<(String, File)>,
    summer: Summer,
    lost: u64,
    recovered: Option<u64>,
}

impl Writer {
    /// Where the newest file ends; a torn last line is cut.
    fn resume(dir: Folder, site: &str, opens: Opens) -> io::Result<Self> {
        let mut chain = Chain::default();
        let mut recovered = None;
        if let Some(last) = dir.names()?.into_iter().rfind(|name| is_ours(name)) {
            let named = |e: io::Error| io::Error::new(e.kind(), format!("{last}: {e}"));
            let Tail { line, torn } = match dir.reading(&last).map_err(named)? {
                Some(file) => tail(&file).map_err(named)?,
                None => Tail::default(),
            };
            if torn > 0 {
                let file = dir.writing(&last).map_err(named)?;
                file.set_len(file.metadata()?.len().saturating_sub(torn))?;
                recovered = Some(torn);
            }
            if let Some(line) = line {
                let line = String::from_utf8_lossy(&line);
                let value: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
                chain.seq = value.get("seq").and_then(serde_json::Value::as_u64).unwrap_or(0) + 1;
                chain.tip = hash(&line);
            }
        }
        let (site, summer) = (site.to_owned(), Summer::default());
        Ok(Self { dir, opens, site, chain, file: None, summer, lost: 0, recovered })
    }

    fn run(&mut self, queue: &Queue, counters: &AuditCounters, clock: Clock) {
        if let Some(cut) = self.recovered.take() {
            let detail = format!("{cut} octets of a torn last line were cut");
            let record = Record::System { event: "recovered", detail };
            let now = clock.now();
            self.commit(now, &[(now, record)], counters);
        }
        loop {
            let (records, lost, closing) = queue.take();
            self.lost += lost;
            let mut batch = Vec::with_capacity(records.len());
            for (now, record) in records {
                batch.extend(self.summer.take(now.mono, record).map(|r| (now, r)));
            }
            let now = clock.now();
            batch.extend(self.summer.due(now.mono, closing).into_iter().map(|r| (now, r)));
            // What was lost is told as soon as the volume takes records again.
            if !batch.is_empty() || self.lost > 0 {
                self.commit(now, &batch, counters);
            }
            if closing {
                return;
            }
        }
    }

    fn commit(&mut self, now: Now, batch: &[Dated], counters: &AuditCounters) {
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
                counters.stands(&self.chain);
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
            let file = (self.opens)(&self.dir, &format!("audit-{day}.jsonl"))?;
            self.file = Some((day.to_owned(), file));
        }
        let Some((_, file)) = &mut self.file else { return Ok(()) };
        let length = file.metadata()?.len();
        let written = file.write_all(bytes).and_then(|()| file.sync_data());
        if written.is_err() {
            let _ = file.set_len(length);
            // A file server that came back may know this handle no more.
            self.file = None;
        }
        written
    }
}

fn is_ours(name: &str) -> bool {
    name.starts_with("audit-") && name.ends_with(".jsonl")
}

/// The log's files, oldest first.
fn files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let named = |p: &PathBuf| p.file_name().is_some_and(|name| is_ours(&name.to_string_lossy()));
    let mut all: Vec<PathBuf> =
        fs::read_dir(dir)?.filter_map(|e| e.ok().map(|e| e.path())).filter(named).collect();
    all.sort();
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::OpenOptions;

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
            log.append(&mut vec![(clock.now(), record)]);
        }
    }

    #[test]
    fn the_chain_goes_on_over_restarts_and_torn_lines() {
        let dir = folder("audit");
        write(&dir, 100);
        let first = verify_path(&dir, &Against::default()).unwrap();
        assert_eq!(first.records, 100);
        let file = files(&dir).unwrap().pop().unwrap();
        OpenOptions::new().append(true).open(&file).unwrap().write_all(b"{\"torn").unwrap();
        assert!(verify_path(&dir, &Against::default()).is_err());
        write(&dir, 3);
        // 100, the note of the cut, and 3 more.
        assert_eq!(verify_path(&dir, &Against::default()).unwrap().records, 104);
        let text = fs::read_to_string(&file).unwrap().replace("\"42\"", "\"43\"");
        fs::write(&file, text).unwrap();
        let broken = verify_path(&dir, &Against::default()).unwrap_err();
        assert!(broken.starts_with("line 44:"), "{broken}");
        fs::write(&file, "").unwrap();
        assert!(
            verify_path(&dir, &Against::default()).unwrap_err().contains("no record"),
            "an emptied log"
        );
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn every_octet_of_a_record_counts() {
        let dir = folder("octets");
        write(&dir, 1);
        let tip = verify_path(&dir, &Against::default()).unwrap().tip;
        let file = files(&dir).unwrap().pop().unwrap();
        let whole = fs::read(&file).unwrap();
        for at in 0..whole.len() {
            for changed in [whole[at] ^ 1, b'\r', 0xff] {
                let mut text = whole.clone();
                text[at] = changed;
                fs::write(&file, &text).unwrap();
                let told = verify_path(&dir, &Against { tip: Some(&tip), ..Against::default() });
                assert_eq!(told.is_ok(), text == whole, "{changed:#x} at {at}: {told:?}");
            }
            let mut text = whole.clone();
            text.insert(at, b'\r');
            fs::write(&file, &text).unwrap();
            assert!(
                verify_path(&dir, &Against { tip: Some(&tip), ..Against::default() }).is_err(),
                "a carriage return at {at}"
            );
        }
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_volume_that_hangs_holds_up_nobody_and_what_finds_no_place_is_told() {
        let dir = folder("audit-hangs");
        let clock = Clock::start();
        // To open it takes until somebody reads, were it not refused.
        let opens = |folder: &Folder, name: &str| {
            OpenOptions::new().create(true).append(true).open(folder.path().join(name))
        };
        let writer = Writer::resume(Folder::open(&dir).unwrap(), "test", Box::new(opens)).unwrap();
        let mut log = AuditLog::start(writer, clock).unwrap();
        let now = clock.now();
        let day = crate::audit::timestamp(now.wall)[..10].replace('-', "");
        let path = dir.join(format!("audit-{day}.jsonl"));
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, 0o600.into()).unwrap();
        let record =
            |n: usize| Record::Admin { action: "reload", result: "applied", detail: n.to_string() };
        log.append(&mut vec![(now, record(0))]);
        while !log.queue.waiting().records.is_empty() {
            std::thread::yield_now();
        }
        let counters = log.counters();
        let mut group: Vec<Dated> = (1..QUEUE).map(|n| (now, record(n))).collect();
        log.append(&mut group);
        assert_eq!((group.len(), counters.suppressed.load(Relaxed)), (0, 0));
        assert!(!counters.full.load(Relaxed));
        log.append(&mut (0..8).map(|n| (now, record(n))).collect());
        assert_eq!(counters.suppressed.load(Relaxed), 7);
        assert!(counters.full.load(Relaxed));
        assert!(!log.close(Duration::from_millis(10)), "a stop does not wait for ever");
        // The volume comes back, without what it was given last.
        let reader = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        fs::remove_file(&path).unwrap();
        while counters.full.load(Relaxed) {
            std::thread::yield_now();
        }
        drop(reader);
        let whole = verify_path(&dir, &Against::default()).unwrap();
        assert_eq!(whole.records as usize, QUEUE + 1, "all that waited, and the gap");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.lines().next().unwrap().contains("8 records could not be written"));
        fs::remove_dir_all(&dir).unwrap();
    }
}
