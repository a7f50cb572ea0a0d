//! When a connection that we opened ends by itself: who it leads to has proved nothing, and is not
//! there to hold places by being called. It ends no connection.

use std::time::Duration;
use tokio::time::Instant;

/// After an answer: as long as a transaction is repeated (64 * T1, RFC 3261 §17.1.1.2).
pub(super) const ANSWERED: Duration = Duration::from_secs(32);
/// After a request, or what the peer sent: longer than a phone may ring (Timer C, §16.6).
pub(super) const ASKED: Duration = Duration::from_secs(200);

/// How long nobody may use it.
#[derive(Debug)]
pub(super) struct Lapse {
    since: Instant,
    after: Duration,
}

impl Lapse {
    pub(super) fn new() -> Self {
        Self { since: Instant::now(), after: ANSWERED }
    }

    /// We write something by it.
    pub(super) fn wrote(&mut self, bytes: &[u8]) {
        self.since = Instant::now();
        if !bytes.starts_with(b"SIP/2.0 ") {
            self.after = ASKED;
        }
    }

    /// Its peer has sent something.
    pub(super) fn heard(&mut self) {
        (self.since, self.after) = (Instant::now(), ASKED);
    }

    /// When it is over.
    pub(super) fn until(&self) -> Instant {
        self.since + self.after
    }
}
