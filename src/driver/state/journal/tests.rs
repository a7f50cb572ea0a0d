use super::*;
use crate::engine::{Reach, StoredBinding};
use crate::ground::Transport;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};

/// Whatever has not happened after this does not happen.
const PATIENCE: Duration = Duration::from_secs(20);

fn folder(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("portreeve-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir(&dir).unwrap();
    dir
}

fn binding(key: &str, cseq: u32) -> Entry {
    Entry::Binding(StoredBinding {
        key: key.into(),
        aor: serde_json::from_str("\"101@x\"").unwrap(),
        contact: "sip:101@10.0.0.1".into(),
        local: "10.0.0.9:5060".parse().unwrap(),
        transport: Transport::Udp,
        peer: "10.0.0.1:5060".parse().unwrap(),
        source: None,
        expires: 99,
        call_id: "c".into(),
        cseq,
        upstream: String::new(),
        service_route: Vec::new(),
        instance: None,
        edge: false,
        reach: Reach::Unknown,
    })
}

fn key(name: &str) -> Key {
    Key::Binding(name.to_owned())
}

fn open(dir: &Path) -> (Journal, Vec<Entry>) {
    let lock = File::create(dir.join("lock")).unwrap();
    Journal::open(&Arc::new(Folder::open(dir).unwrap()), lock, Clock::start()).unwrap()
}

fn add(dir: &Path, octets: &[u8]) {
    let file = OpenOptions::new().create(true).append(true).open(dir.join(FILE));
    file.unwrap().write_all(octets).unwrap();
}

/// A volume that hangs in every write until it is told how that ends.
struct Slow {
    begun: Sender<String>,
    ends: Receiver<io::Result<()>>,
}

impl Volume for Slow {
    fn append(&mut self, lines: &str) -> io::Result<()> {
        self.begun.send(lines.to_owned()).unwrap();
        self.ends.recv().unwrap_or(Ok(()))
    }

    fn replace(&mut self, _: &str) -> io::Result<()> {
        Ok(())
    }
}

/// The journal, what it writes, and how each write shall end.
fn slow() -> (Journal, Receiver<String>, Sender<io::Result<()>>) {
    let ((begun, writes), (end, ends)) = (channel(), channel());
    let volume = Box::new(Slow { begun, ends });
    let journal = Journal::start(volume, &line::Read::default(), (), Clock::start()).unwrap();
    (journal, writes, end)
}

fn full() -> io::Result<()> {
    Err(io::ErrorKind::StorageFull.into())
}

fn waiting(journal: &Journal) -> u64 {
    journal.counters().waiting.load(Relaxed)
}

fn lines(text: &str) -> Vec<(Key, Option<u32>)> {
    let value = |l: &str| serde_json::from_str::<serde_json::Value>(l).unwrap();
    let parsed = text.lines().filter(|l| !l.is_empty()).map(value).map(|v| {
        let forgotten = v.get("forget").map(|k| serde_json::from_value(k.clone()).unwrap());
        let kept = || key(v["key"].as_str().unwrap());
        let cseq = v.get("cseq").map(|n| u32::try_from(n.as_u64().unwrap()).unwrap());
        (forgotten.unwrap_or_else(kept), cseq)
    });
    parsed.collect()
}

#[test]
fn entries_outlive_a_restart_and_the_file_stays_short() {
    let dir = folder("journal-long");
    let (journal, stored) = open(&dir);
    assert_eq!(stored, []);
    for round in 0..3_u32 {
        for i in 0..1_000 {
            journal.store(binding(&format!("k{i}"), round));
        }
        while waiting(&journal) > 0 {
            std::thread::yield_now();
        }
    }
    for i in 2..1_000 {
        journal.forget(key(&format!("k{i}")));
    }
    while waiting(&journal) > 0 {
        std::thread::yield_now();
    }
    journal.store(binding("k0", 7));
    drop(journal);
    let (journal, stored) = open(&dir);
    assert_eq!(stored, [binding("k0", 7), binding("k1", 2)]);
    drop(journal);
    let text = std::fs::read_to_string(dir.join(FILE)).unwrap();
    assert!(text.len() < 2_000, "{} octets", text.len());
    assert_eq!(lines(&text), [(key("k0"), Some(2)), (key("k1"), Some(2)), (key("k0"), Some(7))]);
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_journal_of_the_first_format_is_read_under_its_former_name() {
    let dir = folder("journal-former");
    let line = |key: &str| {
        format!(
            "{{\"key\":\"{key}\",\"aor\":\"101@x\",\"contact\":\"sip:101@10.0.0.1\",\
             \"local\":\"10.0.0.9:5060\",\"transport\":\"udp\",\"peer\":\"10.0.0.1:5060\",\
             \"expires\":99,\"call_id\":\"c\",\"cseq\":1,\"upstream\":\"\"}}\n"
        )
    };
    let former = line("k0") + &line("k1") + "{\"removed\":\"k1\"}\n";
    std::fs::write(dir.join(FORMER), former).unwrap();
    let (journal, stored) = open(&dir);
    assert_eq!(stored, [binding("k0", 1)]);
    journal.forget(key("k0"));
    journal.store(binding("k2", 1));
    drop(journal);
    assert!(!dir.join(FORMER).exists());
    assert_eq!(open(&dir).1, [binding("k2", 1)]);
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_broken_line_costs_no_other_entry() {
    let dir = folder("journal-broken");
    let (journal, _) = open(&dir);
    journal.store(binding("k0", 1));
    drop(journal);
    add(&dir, b"\xff\xfe\0\0{\"key\":\n{}\n[1]\n{\"v\":2,\"kind\":\"binding\"}\n");
    let (journal, _) = open(&dir);
    journal.store(binding("k1", 1));
    drop(journal);
    add(&dir, b"{\"v\":1,\"key\":\"k2");
    let (journal, stored) = open(&dir);
    assert_eq!(stored.len(), 2);
    journal.store(binding("k3", 1));
    drop(journal);
    assert_eq!(open(&dir).1.len(), 3, "a torn line takes no other");
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_journal_cut_anywhere_costs_its_last_line_at_most() {
    let dir = folder("journal-cut");
    let changes = [
        (key("k0"), Change::Store(Box::new(binding("k0", 1)))),
        (key("k1"), Change::Store(Box::new(binding("k1", 1)))),
        (key("k0"), Change::Forget),
    ];
    let whole: Vec<String> = changes.iter().map(|(k, c)| line::write(k, c).unwrap()).collect();
    let text = whole.concat();
    let (first, second) = (whole[0].len(), whole[0].len() + whole[1].len());
    for end in 0..=text.len() {
        std::fs::write(dir.join(FILE), &text[..end]).unwrap();
        let read = line::read(&std::fs::read(dir.join(FILE)).unwrap());
        let names: Vec<Key> = read.live.into_keys().collect();
        // A line that lacks nothing but its end is whole.
        let want = match end {
            _ if end + 1 < first => vec![],
            _ if end + 1 < second => vec![key("k0")],
            _ if end + 1 < text.len() => vec![key("k0"), key("k1")],
            _ => vec![key("k1")],
        };
        assert_eq!(names, want, "{end} octets");
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn whoever_stores_does_not_wait_for_a_volume_that_hangs_and_the_newest_is_written() {
    let (journal, writes, end) = slow();
    journal.store(binding("k0", 1));
    assert_eq!(lines(&writes.recv_timeout(PATIENCE).unwrap()), [(key("k0"), Some(1))]);
    // It hangs from here on; all of this comes back at once.
    for cseq in 2..10_000 {
        journal.store(binding("k0", cseq));
    }
    journal.store(binding("k1", 1));
    journal.store(binding("k2", 1));
    journal.forget(key("k2"));
    assert_eq!(waiting(&journal), 4);
    let later = Clock::start().now().mono + PATIENCE;
    assert_eq!(journal.health(later), Health::Hangs);
    end.send(Ok(())).unwrap();
    // What never stood in the file is not taken back there.
    let second = lines(&writes.recv_timeout(PATIENCE).unwrap());
    assert_eq!(second, [(key("k0"), Some(9_999)), (key("k1"), Some(1))]);
    end.send(Ok(())).unwrap();
    drop(end);
    drop(journal);
    assert_eq!(writes.try_iter().count(), 0);
}

#[test]
fn what_failed_is_counted_and_written_again_unless_something_newer_waits() {
    let (journal, writes, end) = slow();
    let counters = journal.counters();
    journal.store(binding("k0", 1));
    journal.store(binding("k1", 1));
    let first = writes.recv_timeout(PATIENCE).unwrap();
    assert_eq!(lines(&first).len(), 2);
    journal.forget(key("k1"));
    end.send(full()).unwrap();
    let second = writes.recv_timeout(PATIENCE).unwrap();
    assert!(second.starts_with('\n'), "what a failed write left is no part of the next line");
    // The first write may have left its lines all the same: what is forgotten is taken back.
    assert_eq!(lines(&second), [(key("k0"), Some(1)), (key("k1"), None)]);
    assert_eq!(counters.write_failures.load(Relaxed), 1);
    assert_eq!(journal.health(Mono::default()), Health::Fails);
    end.send(full()).unwrap();
    assert_eq!(lines(&writes.recv_timeout(PATIENCE).unwrap()), lines(&second));
    end.send(Ok(())).unwrap();
    drop(end);
    drop(journal);
    assert_eq!((counters.waiting.load(Relaxed), counters.lost.load(Relaxed)), (0, 0));
    assert_eq!(counters.write_failures.load(Relaxed), 2);
    assert_eq!(counters.health(Mono::default()), Health::Good);
}

#[test]
fn more_keys_than_may_wait_are_counted_and_known_ones_still_change() {
    let (journal, writes, end) = slow();
    journal.store(binding("first", 1));
    writes.recv_timeout(PATIENCE).unwrap();
    for i in 0..MOST {
        journal.store(binding(&i.to_string(), 1));
    }
    let counters = journal.counters();
    assert_eq!(counters.lost.load(Relaxed), 0);
    journal.store(binding("one more", 1));
    journal.store(binding("7", 2));
    assert_eq!(counters.lost.load(Relaxed), 1);
    assert_eq!(counters.waiting.load(Relaxed), MOST as u64 + 1);
    end.send(Ok(())).unwrap();
    let written = lines(&writes.recv_timeout(PATIENCE).unwrap());
    assert_eq!(written.len(), MOST);
    assert!(written.contains(&(key("7"), Some(2))));
    drop(end);
}

#[test]
fn a_stop_writes_what_waits_and_leaves_a_volume_that_hangs() {
    let (mut journal, writes, end) = slow();
    journal.store(binding("k0", 1));
    writes.recv_timeout(PATIENCE).unwrap();
    journal.store(binding("k1", 1));
    assert!(!journal.close(Duration::from_millis(10)), "it hangs");
    // It goes on all the same, should the volume come back in time.
    end.send(Ok(())).unwrap();
    assert_eq!(lines(&writes.recv_timeout(PATIENCE).unwrap()), [(key("k1"), Some(1))]);
    let (journal, writes, end) = slow();
    journal.store(binding("k0", 1));
    drop(end);
    drop(journal);
    assert_eq!(lines(&writes.try_recv().unwrap()), [(key("k0"), Some(1))]);
}
