//! Interarrival jitter of one source (RFC 3550 A.8), in nanoseconds so that a change of clock rate
//! changes nothing, and how much time a packet holds. Arrival times are arguments.

use crate::ground::Mono;
use std::time::Duration;

/// A step between packets beyond this is no network but a sender that began anew.
const STEP: i64 = 5_000_000_000;
/// A pause after which a talkspurt may have an own media time.
const PAUSE: Duration = Duration::from_millis(300);
/// Beyond this after a pause, it has.
const PAUSE_STEP: i64 = 100_000_000;
/// Differences below which jitter is no estimate: A.8 averages over 16.
const LEAST: u32 = 16;
/// The longest that one packet of speech holds, in microseconds.
const LONGEST_PACKET: u64 = 200_000;

/// The last packet and the estimate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Timing {
    last: Option<Last>,
    /// Times 16, as in A.8.
    scaled: u64,
    differences: u32,
    /// The highest estimate, and since the last window.
    highest: [u64; 2],
    packet_us: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Last {
    arrival: Mono,
    timestamp: u32,
    clock_rate: u32,
}

/// A packet as timing sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timed {
    pub(super) arrival: Mono,
    pub(super) timestamp: u32,
    /// Ticks a second; not 0.
    pub(super) clock_rate: u32,
    pub(super) marker: bool,
    /// It follows the one before it by sequence number.
    pub(super) next: bool,
}

impl Timing {
    /// A packet of speech (or video) arrived for the first time.
    #[inline]
    pub(super) fn take(&mut self, p: &Timed) {
        let Timed { arrival, timestamp, clock_rate, .. } = *p;
        let before = self.last.replace(Last { arrival, timestamp, clock_rate });
        let Some(last) = before.filter(|l| l.clock_rate == clock_rate) else { return };
        let ticks = i64::from(timestamp.wrapping_sub(last.timestamp).cast_signed());
        let sent = ticks * 1_000_000_000 / i64::from(clock_rate);
        let waited = nanos(arrival) - nanos(last.arrival);
        let difference = (waited - sent).abs();
        let paused = p.marker || arrival.since(last.arrival) >= PAUSE;
        if difference >= STEP || (paused && difference >= PAUSE_STEP) {
            return;
        }
        if p.next {
            let us = u64::try_from(sent / 1000).unwrap_or_default();
            if (1..=LONGEST_PACKET).contains(&us) {
                self.packet_us = Some(us);
            }
        }
        // A.8: J += |D| − (J + 8) / 16, J being 16 times the estimate.
        self.scaled = (self.scaled + difference.unsigned_abs()) - ((self.scaled + 8) >> 4);
        self.differences = self.differences.saturating_add(1);
        for highest in &mut self.highest {
            *highest = (*highest).max(self.scaled);
        }
    }

    /// The next packet's time says nothing about the network: the sender was told to change.
    pub(super) fn restart(&mut self) {
        self.last = None;
    }

    /// The estimate, in microseconds.
    pub(super) fn jitter_us(&self) -> Option<u64> {
        (self.differences >= LEAST).then_some((self.scaled >> 4) / 1000)
    }

    /// The highest since the beginning (0) or since the last window (1), in microseconds.
    pub(super) fn highest_us(&self, window: usize) -> Option<u64> {
        let scaled = self.highest.get(window)?;
        (self.differences >= LEAST).then_some((scaled >> 4) / 1000)
    }

    /// A window begins.
    pub(super) fn begin_window(&mut self) {
        self.highest[1] = self.scaled;
    }

    /// What a packet holds, in microseconds.
    pub(super) fn packet_us(&self) -> Option<u64> {
        self.packet_us
    }
}

fn nanos(t: Mono) -> i64 {
    i64::try_from(t.0.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timed(ms: f64, timestamp: u32) -> Timed {
        let arrival = Mono(Duration::from_secs_f64(ms / 1000.0));
        Timed { arrival, timestamp, clock_rate: 8000, marker: false, next: true }
    }

    #[test]
    fn even_packets_have_no_jitter_and_a_known_length() {
        let mut t = Timing::default();
        for i in 0..100_u32 {
            t.take(&timed(f64::from(i) * 20.0, 160 * i));
        }
        assert_eq!(t.jitter_us(), Some(0));
        assert_eq!(t.packet_us(), Some(20_000));
    }

    /// A.8 in floating point, as the text has it.
    #[test]
    fn the_estimate_is_that_of_the_rfc() {
        let mut t = Timing::default();
        let mut jitter = 0.0;
        let mut last: Option<f64> = None;
        for i in 0..400_u32 {
            let delay = f64::from((i * 7919) % 23) * 0.7;
            let ms = f64::from(i) * 20.0 + delay;
            t.take(&timed(ms, 160 * i));
            if let Some(before) = last {
                jitter += ((delay - before).abs() - jitter) / 16.0;
            }
            last = Some(delay);
        }
        let got = t.jitter_us().unwrap() as f64 / 1000.0;
        assert!((got - jitter).abs() < 0.01, "{got} is not {jitter}");
        assert!(t.highest_us(0) >= t.jitter_us());
    }

    #[test]
    fn few_packets_are_no_estimate() {
        let mut t = Timing::default();
        for i in 0..16_u32 {
            t.take(&timed(f64::from(i) * 20.0, 160 * i));
        }
        assert_eq!(t.jitter_us(), None);
    }

    #[test]
    fn media_time_that_wraps_or_runs_on_in_silence_is_no_jitter() {
        let mut t = Timing::default();
        for i in 0..50_u32 {
            // Silence of 3 s after half of it, during which media time ran on.
            let ticks = if i < 25 { 160 * i } else { 160 * i + 24_000 };
            let ms = f64::from(ticks) / 8.0;
            t.take(&timed(ms, 0_u32.wrapping_sub(2000).wrapping_add(ticks)));
        }
        assert_eq!(t.jitter_us(), Some(0));
    }

    #[test]
    fn a_sender_whose_clock_stood_still_in_the_pause_is_no_jitter() {
        let mut t = Timing::default();
        for i in 0..50_u32 {
            let pause = if i < 25 { 0.0 } else { 2000.0 };
            t.take(&timed(f64::from(i) * 20.0 + pause, 160 * i));
        }
        assert_eq!(t.jitter_us(), Some(0));
        // Nor is another clock rate, nor a new beginning of media time.
        t.take(&Timed { clock_rate: 16_000, ..timed(3020.0, 9) });
        t.take(&Timed { clock_rate: 16_000, ..timed(3040.0, 1_900_000_000) });
        assert_eq!(t.highest_us(0), Some(0));
    }
}
