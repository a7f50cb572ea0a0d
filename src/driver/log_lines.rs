//! Words for stderr, written by a thread of their own: whoever logs never waits for a terminal that
//! is paused or a pipe that nobody reads. What finds no place is counted, and said when there is
//! place again. It never changes a line.

use super::scribe::Scribe;
use std::io::{self, Write};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tracing_subscriber::fmt::MakeWriter;

/// Octets that may wait for the reader.
const MOST: usize = 1 << 20;
/// A stop waits this long for the last words to be read.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Lines of this process that found no place: it has one log.
static LOST: AtomicU64 = AtomicU64::new(0);

/// Lines that were lost because nobody read them in time.
#[must_use]
pub fn lost_lines() -> u64 {
    LOST.load(Relaxed)
}

#[derive(Debug, Default)]
struct Waiting {
    text: Vec<u8>,
    /// Lines lost since it was last said.
    lost: u64,
    /// The writer sleeps until it is woken.
    asleep: bool,
    closing: bool,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    bell: Condvar,
}

impl Shared {
    /// Held for a copy in memory, never for the reader.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What waits, and how many lines were lost; `None`: it was closed and nothing waits.
    fn take(&self) -> Option<(Vec<u8>, u64)> {
        let mut waiting = self.waiting();
        while waiting.text.is_empty() && waiting.lost == 0 {
            if waiting.closing {
                return None;
            }
            waiting.asleep = true;
            waiting = self.bell.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        waiting.asleep = false;
        Some((std::mem::take(&mut waiting.text), std::mem::take(&mut waiting.lost)))
    }

    fn write(&self, mut out: impl Write) {
        while let Some((text, lost)) = self.take() {
            // Nobody may be reading any more; the gateway works all the same.
            let _ = out.write_all(&text).and_then(|()| out.flush());
            if lost > 0 {
                tracing::warn!(
                    "{lost} log lines were lost: whoever reads them was too slow, or paused"
                );
            }
        }
    }
}

/// Where log lines go.
#[derive(Clone, Debug)]
pub struct LogLines {
    shared: Arc<Shared>,
}

/// Dropping it writes what waits, for at most 1 s.
#[derive(Debug)]
pub struct LogEnd {
    shared: Arc<Shared>,
    thread: Option<Scribe>,
}

impl LogLines {
    /// Begins to write to `out`, which may block.
    ///
    /// # Errors
    /// The kernel gives no thread.
    pub fn start(out: impl Write + Send + 'static) -> io::Result<(Self, LogEnd)> {
        let shared = Arc::new(Shared::default());
        let of_thread = shared.clone();
        let thread = Scribe::start("log", move || of_thread.write(out))?;
        Ok((Self { shared: shared.clone() }, LogEnd { shared, thread: Some(thread) }))
    }
}

impl Drop for LogEnd {
    fn drop(&mut self) {
        self.shared.waiting().closing = true;
        self.shared.bell.notify_one();
        // Where nobody reads, nobody misses the last words.
        let _ = self.thread.take().map(|thread| thread.end(LAST_WORDS));
    }
}

impl Write for LogLines {
    /// Takes a whole line, or counts it as lost.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut waiting = self.shared.waiting();
        if waiting.text.len() + line.len() > MOST {
            waiting.lost += 1;
            LOST.fetch_add(1, Relaxed);
            return Ok(line.len());
        }
        waiting.text.extend_from_slice(line);
        // Whom the bell wakes wants the lock.
        let asleep = std::mem::take(&mut waiting.asleep);
        drop(waiting);
        if asleep {
            self.shared.bell.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogLines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead as _, BufReader};

    #[test]
    fn who_logs_into_a_pipe_that_nobody_reads_goes_on_and_what_is_lost_is_said() {
        let (reader, writer) = io::pipe().unwrap();
        let (lines, end) = LogLines::start(writer).unwrap();
        let before = lost_lines();
        let subscriber =
            tracing_subscriber::fmt().json().without_time().with_writer(lines.clone()).finish();
        // More than pipe and queue hold.
        const SAID: u64 = 40_000;
        tracing::subscriber::with_default(subscriber, || {
            for n in 0..SAID {
                tracing::info!(n, "registered, from an address of the site");
            }
        });
        let lost = lost_lines() - before;
        assert!(lost > 0 && lost < SAID, "{lost}");
        let read = std::thread::spawn(move || {
            let numbers = BufReader::new(reader).lines().map(|line| {
                let line: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
                line["fields"]["n"].as_u64().unwrap()
            });
            numbers.collect::<Vec<_>>()
        });
        drop(end);
        drop(lines);
        let numbers = read.join().unwrap();
        assert_eq!(numbers.len() as u64, SAID - lost, "what was taken is read, whole");
        assert!(numbers.is_sorted());
    }
}
