//! How much may be under way of what is no speech, while there is some: messages, and media beyond
//! what a flow is sure of. All share a way, and what a burst of them puts before a slow link speech
//! waits behind; so they keep to windows of their own, which shrink while there and back takes
//! longer than it needs (as LEDBAT does, RFC 6817).

use std::time::{Duration, Instant};

/// Octets of messages at least, and at most: what a connection by TCP may begin with, or a little
/// more.
pub(super) const MESSAGES: (u64, u64) = (4 * 1_200, super::LEAST);
/// Octets of all where media are beyond what they are sure of: at least, and at most.
pub(super) const BEYOND: (u64, u64) = (8 * 1_200, 1 << 20);
/// More of them in each round without a queue: so many, or such a part.
const STEP: (u64, u64) = (1_200, 8);
/// What there and back takes longer than it needs, before that is a queue.
const QUEUE: Duration = Duration::from_millis(25);
/// How long there and back needs is the shortest of so long a time, and of the one before: routes
/// change.
const SHORTEST: Duration = Duration::from_secs(60);

/// One such window.
#[derive(Clone, Debug)]
pub(super) struct Gentle {
    /// At least, and at most.
    bounds: (u64, u64),
    octets: u64,
    /// When it was last changed: once a round.
    changed: Instant,
    trip: Duration,
    /// When a time began, and the shortest trips of it and of the one before.
    began: Instant,
    shortest: [Duration; 2],
}

impl Gentle {
    pub(super) fn new(now: Instant, bounds: (u64, u64)) -> Self {
        let (octets, shortest) = (bounds.1.min(super::LEAST), [Duration::MAX; 2]);
        Self { bounds, octets, changed: now, trip: Duration::ZERO, began: now, shortest }
    }

    pub(super) fn octets(&self) -> u64 {
        self.octets
    }

    /// Something was lost.
    pub(super) fn lost(&mut self, now: Instant) {
        if now.saturating_duration_since(self.changed) >= self.trip {
            self.changed = now;
            self.octets = (self.octets / 2).max(self.bounds.0);
        }
    }

    /// There and back takes so long now.
    pub(super) fn heard(&mut self, now: Instant, trip: Duration) {
        if now.saturating_duration_since(self.began) >= SHORTEST {
            (self.began, self.shortest) = (now, [trip, self.shortest[0]]);
        }
        self.shortest[0] = self.shortest[0].min(trip);
        self.trip = trip;
        if now.saturating_duration_since(self.changed) < trip {
            return;
        }
        self.changed = now;
        let needs = self.shortest[0].min(self.shortest[1]);
        self.octets = if trip.saturating_sub(needs) > QUEUE {
            (self.octets / 2).max(self.bounds.0)
        } else {
            (self.octets + STEP.0.max(self.octets / STEP.1)).min(self.bounds.1)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_give_way_while_a_queue_grows_and_a_longer_route_is_none_for_ever() {
        let start = tokio::time::Instant::now().into_std();
        let mut gentle = Gentle::new(start, MESSAGES);
        let mut now = start;
        let mut rounds = |gentle: &mut Gentle, rounds: u32, trip: u64| {
            let trip = Duration::from_millis(trip);
            for _ in 0..rounds {
                now += trip;
                gentle.heard(now, trip);
                gentle.heard(now, trip);
            }
            gentle.octets()
        };
        assert_eq!(rounds(&mut gentle, 9, 40), MESSAGES.1);
        assert_eq!(rounds(&mut gentle, 1, 66), MESSAGES.1 / 2, "once a round");
        assert_eq!(rounds(&mut gentle, 9, 80), MESSAGES.0);
        assert_eq!(rounds(&mut gentle, 2, 64), MESSAGES.0 + 2 * STEP.0);
        assert_eq!(rounds(&mut gentle, 100, 100), MESSAGES.0);
        assert_eq!(rounds(&mut gentle, 1_200, 100), MESSAGES.1, "it is the route now");
        let later = start + Duration::from_secs(1_000);
        (0..3).for_each(|_| gentle.lost(later));
        assert_eq!(gentle.octets(), MESSAGES.1 / 2, "once a round");
    }
}
