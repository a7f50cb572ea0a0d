//! Flows that must not fall silent, for a NAT on the way forgets a mapping that nothing leaves by
//! (RFC 6263). It counts and says which flows are owed a packet; it makes and sends none.

use super::PLACES;
use crate::relay::flow::Lane;
use crate::relay::{Counters, Leg};
use std::time::Duration;

/// What one stream keeps alive.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct KeepAlive {
    /// By [`Leg::index`]: something leaves by each flow at least this often.
    every: [Option<Duration>; 2],
    /// Sent out of each flow when it was looked at last, as in [`PLACES`].
    seen: [u64; 4],
    /// A bit for each flow that is owed a packet.
    owed: u8,
}

impl KeepAlive {
    /// From now on for one leg.
    pub(super) fn set(&mut self, leg: Leg, every: Option<Duration>, counters: &Counters) {
        self.every[leg.index()] = every;
        self.owed = 0;
        self.seen = sent(counters);
    }

    /// How long until the next look: half the time, so that a packet just after a look and the
    /// second look after it are no further apart than was asked.
    pub(super) fn beat(&self) -> Option<Duration> {
        let shortest = self.every.iter().flatten().min()?;
        Some((*shortest / 2).max(Duration::from_millis(100)))
    }

    /// A look: what sent nothing since the last one is owed a packet.
    pub(super) fn look(&mut self, counters: &Counters) {
        let now = sent(counters);
        for (i, (leg, _)) in PLACES.into_iter().enumerate() {
            if self.every[leg.index()].is_some() && self.seen[i] == now[i] {
                self.owed |= 1 << i;
            }
        }
        self.seen = now;
    }

    /// A flow that is owed a packet; it is, once.
    pub(super) fn next(&mut self) -> Option<(Leg, Lane)> {
        let i = self.owed.trailing_zeros();
        let place = PLACES.get(i as usize)?;
        self.owed &= self.owed - 1;
        Some(*place)
    }
}

fn sent(counters: &Counters) -> [u64; 4] {
    PLACES.map(|(leg, lane)| counters.legs[leg.index()].sent[lane.index()])
}
