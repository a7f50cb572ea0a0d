//! What each leg of a stream received, measured packet by packet: counts, jitter, bursts, round
//! trips, and every 10 s what it is worth (`relay::emodel`). `relay::stream` shows it what it has
//! accepted; it decides nothing, allocates nothing for a packet, and reads no clock.

mod bursts;
mod leg;
mod reports;
mod sequence;
mod timing;
mod types;

use super::command::Leg;
use super::content::Content;
use super::quality::{Codecs, Figures};
use crate::ground::Mono;
use crate::wire::rtcp;
use leg::LegMeter;
use std::time::Duration;

/// Length of a window.
pub const WINDOW: Duration = Duration::from_secs(10);

/// Both legs of a stream.
#[derive(Clone, Debug)]
pub struct Meter {
    legs: [LegMeter; 2],
    /// When the window that runs is over; `None`: nothing was received yet.
    window_end: Option<Mono>,
}

/// Figures of a leg: those of the window, and those since the beginning.
pub type Pair = [Figures; 2];

impl Default for Meter {
    fn default() -> Self {
        Self { legs: [LegMeter::new(), LegMeter::new()], window_end: None }
    }
}

impl Meter {
    /// A packet that came in on `leg` from its party.
    #[inline]
    pub fn take(&mut self, leg: Leg, content: &Content<'_>, now: Mono) {
        self.window_end.get_or_insert(now + WINDOW);
        match content {
            Content::Rtp(header) => self.legs[leg.index()].rtp(header, now),
            Content::Rtcp(packet) => self.rtcp(leg, packet, now),
        }
    }

    /// Both parties are to be heard from now on: silence is measured too.
    pub fn begin(&mut self, now: Mono) {
        self.window_end.get_or_insert(now + WINDOW);
    }

    /// When the window that runs is over; `None`: none runs yet.
    #[must_use]
    pub fn window_end(&self) -> Option<Mono> {
        self.window_end
    }

    /// What payload types on a leg mean from now on.
    pub fn set_codecs(&mut self, leg: Leg, codecs: &Codecs) {
        self.legs[leg.index()].set_codecs(codecs);
    }

    /// A leg's party was told to send otherwise: its next packet's time compares with nothing.
    pub fn moved(&mut self, leg: Leg) {
        self.legs[leg.index()].moved();
    }

    /// The window's figures by [`Leg::index`], when it is over; `strangers`: packets from elsewhere
    /// so far.
    pub fn window(&mut self, strangers: [u64; 2], now: Mono) -> Option<[Pair; 2]> {
        let end = self.window_end.filter(|end| now >= *end)?;
        // After a thread has slept, a whole window begins anew.
        let next = end + WINDOW;
        self.window_end = Some(if next > now { next } else { now + WINDOW });
        let figures = self.figures(strangers, now);
        for (leg, strangers) in self.legs.iter_mut().zip(strangers) {
            leg.begin_window(strangers);
        }
        Some(figures)
    }

    /// Figures now: of the window that runs, and since the beginning.
    #[must_use]
    pub fn figures(&self, strangers: [u64; 2], now: Mono) -> [Pair; 2] {
        let [a, b] = &self.legs;
        let encrypted = a.is_encrypted() || b.is_encrypted();
        let trips = [a, b].map(|l| l.reports.round_trips(encrypted, now));
        let delay = |i: usize| {
            // Half of each segment's round trip; one alone would make the delay look short.
            let both = trips[0][i].ok().zip(trips[1][i].ok());
            both.map(|(a, b)| Duration::from_micros(a.midpoint(b)))
        };
        [(a, b, 0), (b, a, 1)].map(|(leg, other, at)| {
            let mut pair = leg.figures(strangers[at], [delay(0), delay(1)]);
            for (figures, trip) in pair.iter_mut().zip(trips[at]) {
                figures.round_trip_us = trip;
                figures.reported = leg.reports.reported(other.clock_rate());
            }
            pair
        })
    }

    fn rtcp(&mut self, leg: Leg, packet: &[u8], now: Mono) {
        if self.legs.iter().any(LegMeter::is_encrypted) {
            return;
        }
        let [a, b] = &mut self.legs;
        let (from, to) = if leg == Leg::Caller { (a, b) } else { (b, a) };
        rtcp::reports(packet, |report| {
            from.reports.came_from(&report, now);
            to.reports.goes_to(&report, now);
        });
        from.reports.spoke();
    }
}

#[cfg(test)]
mod tests;
