//! A thread that writes to something slow (a volume, a terminal) so that nobody else waits for it.
//! At its end it is waited for, but not for ever: a volume that hangs must not hold up a stop.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// A running thread.
#[derive(Debug)]
pub struct Scribe {
    thread: JoinHandle<()>,
    over: Receiver<()>,
}

impl Scribe {
    /// Starts it.
    ///
    /// # Errors
    /// The kernel gives no thread.
    pub fn start(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let (alive, over): (SyncSender<()>, _) = sync_channel(1);
        let run = move || {
            work();
            drop(alive);
        };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run)?;
        Ok(Self { thread, over })
    }

    /// Waits for its end at most `within`; false: it hangs, and is left behind.
    #[must_use]
    pub fn end(self, within: Duration) -> bool {
        if self.over.recv_timeout(within) == Err(RecvTimeoutError::Timeout) {
            return false;
        }
        // A panic has been told already.
        let _ = self.thread.join();
        true
    }
}
