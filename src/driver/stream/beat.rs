//! Whether a peer that we have pinged is there (RFC 5626 §4.4.1): anything that it sends says so.
//! It writes nothing and closes nothing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::timeout;

/// A ping of ours.
const PING: &[u8] = b"\r\n\r\n";
/// How long its answer may take.
const PONG: Duration = Duration::from_secs(10);

/// One connection's.
#[derive(Debug, Default)]
pub(super) struct Beat {
    /// A ping was written, and nothing has come since.
    waits: AtomicBool,
    asked: Notify,
    heard: Notify,
}

impl Beat {
    /// This was written.
    pub(super) fn wrote(&self, bytes: &[u8]) {
        if bytes == PING && !self.waits.swap(true, Ordering::Relaxed) {
            self.asked.notify_one();
        }
    }

    /// Something came.
    pub(super) fn heard(&self) {
        if self.waits.swap(false, Ordering::Relaxed) {
            self.heard.notify_one();
        }
    }

    /// Ends when a ping was not answered.
    pub(super) async fn missed(&self) {
        loop {
            self.asked.notified().await;
            if timeout(PONG, self.heard.notified()).await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::{Instant, pause};

    #[tokio::test]
    async fn a_ping_without_an_answer_is_missed_after_ten_seconds_and_others_are_not() {
        pause();
        let beat = Beat::default();
        let none = timeout(Duration::from_secs(3_600), beat.missed()).await;
        assert!(none.is_err(), "nobody was pinged");
        for _ in 0..3 {
            beat.wrote(b"OPTIONS");
            beat.wrote(PING);
            beat.heard();
            beat.heard();
            assert!(timeout(Duration::from_secs(60), beat.missed()).await.is_err());
        }
        let began = Instant::now();
        beat.wrote(PING);
        beat.wrote(PING);
        beat.missed().await;
        assert_eq!(began.elapsed().as_secs(), PONG.as_secs());
    }
}
