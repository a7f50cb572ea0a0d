//! What a tunnel tells while it stands: the other end of the way and of our log, and the audit log
//! of what became of it. It decides nothing.

use super::Link;
use crate::audit::TunnelEvent;
use crate::config::PublicKey;
use crate::driver::tunnel::bearer::Bearer;
use crate::wire::tunnel::head::Head;
use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

/// How often the other end is told of the way.
const EACH: Duration = Duration::from_secs(1);
/// What is told of the way waits so long for a packet that it can go along with.
const RIDES: Duration = Duration::from_millis(45);
/// How often it is told where our log stands: what tells it may be lost.
const HEADS: Duration = Duration::from_secs(10);
/// How often it is noted where the other end's log stands, however often that is told.
const NOTED: Duration = Duration::from_secs(60);

/// What waits for so long to be acknowledged may be silent.
const DOUBTFUL: Duration = Duration::from_millis(500);
/// Another way is there within this, or none is: silence is seen, and whichever way is tried first
/// or second has shaken hands.
const LOOKED_FOR: Duration = Duration::from_secs(6);

/// What was noted last of the other end's log.
#[derive(Debug, Default)]
pub(super) struct Noted(Option<(Instant, Head)>);

impl Noted {
    /// Whether this is to be noted now.
    fn is_due(&mut self, now: Instant, head: Head) -> bool {
        let is_due = self.0.is_none_or(|(at, was)| {
            now.duration_since(at) >= NOTED && (was.number, was.hash) != (head.number, head.hash)
        });
        if is_due {
            self.0 = Some((now, head));
        }
        is_due
    }
}

impl Link {
    /// Has the other end told of the way, and sees where it is, while nothing newer carries.
    pub(super) async fn look(&self, (bearer, key): (&Bearer, &PublicKey)) {
        let mut each = interval(EACH);
        each.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = None::<Instant>;
        loop {
            each.tick().await;
            let is_old = |(now, _): &(Bearer, PublicKey)| now.id() != bearer.id();
            if self.bearer.borrow().as_ref().is_none_or(is_old) {
                continue;
            }
            let moved = self.tally().seen(bearer.kind(), bearer.peer());
            if let Some(was) = moved {
                let detail = format!("from {} {was}", bearer.kind().as_str());
                self.told(TunnelEvent::Moved, Some(bearer), (key, detail));
            }
            bearer.room();
            self.tells.store(true, Relaxed);
            sleep(RIDES).await;
            self.tell(bearer);
            let is_due = told.is_none_or(|at| at.elapsed() >= HEADS);
            if let Some(head) = self.ledger.head().filter(|_| is_due) {
                bearer.tell(head.write());
                told = Some(Instant::now());
            }
            let head = self.media.take_head();
            if let Some(head) = head.filter(|head| self.noted().is_due(Instant::now(), *head)) {
                self.ledger.notes(&self.name, &head);
            }
        }
    }

    /// It is carried by this from now on, and was by that.
    pub(super) fn rises(&self, (bearer, key): (&Bearer, &PublicKey), before: Option<&Bearer>) {
        let (event, detail) = match before {
            Some(was) => {
                (TunnelEvent::Moved, format!("from {} {}", was.kind().as_str(), was.peer()))
            }
            None => (TunnelEvent::Up, format!("site {}", self.site())),
        };
        self.told(event, Some(bearer), (key, detail));
    }

    /// The audit log hears of it.
    pub(super) fn told(
        &self,
        event: TunnelEvent,
        bearer: Option<&Bearer>,
        of: (&PublicKey, String),
    ) {
        self.ledger.tells(&self.name, event, bearer, of);
    }

    /// What goes by it has waited for so long to be acknowledged.
    pub(in crate::driver::tunnel) fn waits(&self, unanswered: Duration) {
        let since = (unanswered >= DOUBTFUL).then(|| Instant::now() - unanswered);
        *self.silent.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    /// It does, and another way is looked for: not for so long yet that there may be none.
    pub(super) fn is_moving(&self) -> bool {
        let since = *self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        since.is_some_and(|since| since.elapsed() < LOOKED_FOR)
    }

    /// Somebody else's key was shown where its other end should be.
    pub(in crate::driver::tunnel) fn refuses(&self, key: &PublicKey, at: &str) {
        self.ledger.refuses(None, key, &format!("tunnel {}: {at}", self.name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_a_minute_is_noted_whatever_the_other_end_sends() {
        let (mut noted, start) = (Noted::default(), Instant::now());
        let head = |number| Head { number, hash: [7; 32], calendar: number };
        let flood = (0..3_000_u64).filter(|n| {
            let now = start + Duration::from_millis(100) * u32::try_from(*n).unwrap_or(0);
            noted.is_due(now, head(n + 1))
        });
        let all: Vec<u64> = flood.collect();
        assert_eq!(all, [0, 600, 1_200, 1_800, 2_400], "in five minutes");
        let later = start + Duration::from_secs(3_600);
        let same = Head { calendar: 9, ..head(2_401) };
        assert!(!noted.is_due(later, same), "nothing was written there since");
        assert!(noted.is_due(later, head(2_402)));
    }
}
