//! Strangers on a leg, gathered into one event a burst. It counts and waits; it never sees time by
//! itself and never judges a packet.

use super::command::{Event, Leg, StreamId};
use super::flow::Lane;
use crate::ground::Mono;
use std::net::SocketAddr;
use std::time::Duration;

/// At most one event a leg in this time.
pub(super) const STRANGER_INTERVAL: Duration = Duration::from_secs(10);

/// How long an event gathers what else comes of the same burst.
const GATHER: Duration = Duration::from_secs(1);

/// How long an event waits for a source to name: the socket filter lets only a sample through.
const NAMING_WAIT: Duration = Duration::from_secs(3);

/// What has not been reported yet.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Burst {
    count: u64,
    since: Mono,
    /// The flow that saw them first, for the expected address.
    rtcp: bool,
    from: Option<SocketAddr>,
    /// No event before this.
    not_before: Mono,
}

impl Burst {
    /// `count` packets that were not expected; `from`: the source, where one reached us.
    pub(super) fn add(&mut self, count: u64, lane: Lane, from: Option<SocketAddr>, now: Mono) {
        if count == 0 {
            return;
        }
        if self.count == 0 {
            self.since = now;
            self.rtcp = lane == Lane::Rtcp;
        }
        self.count = self.count.saturating_add(count);
        if self.from.is_none() && from.is_some() {
            self.from = from;
            self.rtcp = lane == Lane::Rtcp;
        }
    }

    /// Whether strangers wait to be reported and none of them has a name yet.
    pub(super) fn is_nameless(&self) -> bool {
        self.count > 0 && self.from.is_none()
    }

    /// The flow whose expected address belongs into the event.
    pub(super) fn lane(&self) -> Lane {
        if self.rtcp { Lane::Rtcp } else { Lane::Rtp }
    }

    /// When the next event is due; `None`: there is nothing to tell.
    pub(super) fn due_at(&self) -> Option<Mono> {
        let wait = if self.from.is_some() { GATHER } else { NAMING_WAIT };
        (self.count > 0).then(|| (self.since + wait).max(self.not_before))
    }

    /// The event that is due, if one is; `last`: the stream closes, so waiting has no use.
    pub(super) fn due(
        &mut self,
        stream: StreamId,
        leg: Leg,
        expected: Option<SocketAddr>,
        now: Mono,
        last: bool,
    ) -> Option<Event> {
        let at = self.due_at()?;
        // Not even the end makes two events of ten seconds.
        if now < self.not_before || (now < at && !last) {
            return None;
        }
        let (count, from) = (self.count, self.from);
        *self = Self { not_before: now + STRANGER_INTERVAL, ..Self::default() };
        Some(Event::Stranger { stream, leg, from, expected, count })
    }
}
