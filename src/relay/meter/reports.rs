//! RTCP on its way through: what a party says of the stream that we send it, and the round trip to
//! it (RFC 3550 §6.4.1). A sender report that goes out to the party is remembered by its NTP stamp;
//! the party's report block names the stamp and how long ago it came. It changes no packet.

use crate::ground::Mono;
use crate::relay::quality::{NoRoundTrip, Reported};
use crate::wire::rtcp::{Report, ReportBlock, VoipMetrics};
use std::time::Duration;

/// Sender reports that may still be answered: some seconds' worth.
const REMEMBERED: usize = 8;
/// A round trip longer than this is a party whose clock is wrong.
const LONGEST: Duration = Duration::from_secs(30);
/// A party that counts its delay in ticks may say a little too much of it.
const SLACK: Duration = Duration::from_millis(5);
/// After this long without an answer, the last round trip says nothing about now.
const STALE: Duration = Duration::from_secs(60);

/// The RTCP of one party.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reports {
    /// Sender reports sent to it: source, middle of the NTP stamp, when.
    sent: [Option<(u32, u32, Mono)>; REMEMBERED],
    next: usize,
    heard: bool,
    last: Option<(Mono, Duration)>,
    sum: Duration,
    count: u32,
    block: Option<ReportBlock>,
    voip: Option<VoipMetrics>,
}

impl Reports {
    /// The other party's report goes out to this one.
    pub(super) fn goes_to(&mut self, report: &Report, now: Mono) {
        if let Report::Sent(s) = report
            && let Some(place) = self.sent.get_mut(self.next)
        {
            *place = Some((s.ssrc, middle(s.ntp), now));
            self.next = (self.next + 1) % REMEMBERED;
        }
    }

    /// This party sends RTCP at all.
    pub(super) fn spoke(&mut self) {
        self.heard = true;
    }

    /// This party reports.
    pub(super) fn came_from(&mut self, report: &Report, now: Mono) {
        match report {
            Report::Received(block) => {
                self.block = Some(*block);
                self.answer(block, now);
            }
            Report::Voip(metrics) => self.voip = Some(*metrics),
            Report::Sent(_) | Report::Bye(_) => {}
        }
    }

    fn answer(&mut self, block: &ReportBlock, now: Mono) {
        if block.last_sender_report == 0 {
            return;
        }
        let is = |s: &&(u32, u32, Mono)| s.0 == block.ssrc && s.1 == block.last_sender_report;
        let Some((_, _, at)) = self.sent.iter().flatten().find(is) else { return };
        let held = Duration::from_nanos((u64::from(block.delay) * 1_000_000_000) >> 16);
        let whole = now.since(*at);
        if held > whole + SLACK {
            return;
        }
        let trip = whole.saturating_sub(held);
        if trip <= LONGEST {
            self.last = Some((now, trip));
            self.sum += trip;
            self.count = self.count.saturating_add(1);
        }
    }

    /// The round trip now, and its mean since the beginning.
    pub(super) fn round_trips(&self, encrypted: bool, now: Mono) -> [Result<u64, NoRoundTrip>; 2] {
        if encrypted {
            return [Err(NoRoundTrip::Encrypted); 2];
        }
        let why = if self.heard { NoRoundTrip::NoReport } else { NoRoundTrip::NoRtcp };
        let recent = self.last.filter(|(at, _)| now.since(*at) < STALE);
        let mean = self.sum.checked_div(self.count);
        [recent.map(|(_, t)| t), mean].map(|t| t.map_or(Err(why), |t| Ok(micros(t))))
    }

    /// What it says of what it hears; `clock_rate`: of the stream that it hears.
    pub(super) fn reported(&self, clock_rate: Option<u32>) -> Option<Reported> {
        if self.block.is_none() && self.voip.is_none() {
            return None;
        }
        let jitter =
            |b: ReportBlock| Some(u64::from(b.jitter) * 1_000_000 / u64::from(clock_rate?));
        Some(Reported {
            lost: self.block.map(|b| b.lost).unwrap_or_default(),
            fraction_lost: self.block.map(|b| b.fraction_lost).unwrap_or_default(),
            jitter_us: self.block.and_then(jitter),
            voip: self.voip,
        })
    }
}

/// The middle 32 of 64 bits.
#[expect(clippy::cast_possible_truncation, reason = "the middle 32 bits")]
fn middle(ntp: u64) -> u32 {
    (ntp >> 16) as u32
}

fn micros(d: Duration) -> u64 {
    u64::try_from(d.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::rtcp::SenderInfo;

    fn at(ms: u64) -> Mono {
        Mono(Duration::from_millis(ms))
    }

    fn sent(second: u64) -> Report {
        Report::Sent(SenderInfo { ssrc: 7, ntp: second << 32, timestamp: 0, packets: 1, octets: 1 })
    }

    fn block(second: u32, delay_ms: u32) -> Report {
        Report::Received(ReportBlock {
            reporter: 9,
            ssrc: 7,
            fraction_lost: 3,
            lost: -2,
            highest: 0,
            jitter: 80,
            last_sender_report: second << 16,
            delay: delay_ms * 65_536 / 1000,
        })
    }

    #[test]
    fn a_round_trip_is_what_is_left_of_the_time_without_the_wait() {
        let mut r = Reports::default();
        assert_eq!(r.round_trips(false, at(0)), [Err(NoRoundTrip::NoRtcp); 2]);
        r.goes_to(&sent(1), at(1000));
        r.spoke();
        r.came_from(&block(1, 2000), at(3080));
        let [now, mean] = r.round_trips(false, at(3080)).map(Result::unwrap);
        assert!((79_900..=80_100).contains(&now) && now == mean, "{now} {mean}");
        r.goes_to(&sent(6), at(6000));
        r.came_from(&block(6, 500), at(6540));
        let [now, mean] = r.round_trips(false, at(6540)).map(Result::unwrap);
        assert!((39_900..=40_100).contains(&now) && (59_900..=60_100).contains(&mean));
        assert_eq!(r.round_trips(false, at(70_000))[0], Err(NoRoundTrip::NoReport));
        assert_eq!(r.round_trips(true, at(6540)), [Err(NoRoundTrip::Encrypted); 2]);
    }

    #[test]
    fn answers_to_nothing_are_no_round_trip() {
        let mut r = Reports::default();
        r.spoke();
        r.came_from(&block(0, 0), at(1000));
        r.came_from(&block(5, 0), at(1000));
        // It says it waited longer than the report is old.
        r.goes_to(&sent(2), at(2000));
        r.came_from(&block(2, 900), at(2500));
        assert_eq!(r.round_trips(false, at(2500)), [Err(NoRoundTrip::NoReport); 2]);
        let told = r.reported(Some(8000)).unwrap();
        assert_eq!((told.lost, told.jitter_us), (-2, Some(10_000)));
        assert_eq!(r.reported(None).unwrap().jitter_us, None);
    }

    #[test]
    fn only_the_last_sender_reports_are_remembered() {
        let mut r = Reports::default();
        r.spoke();
        for second in 1..=20 {
            r.goes_to(&sent(second), at(second * 1000));
        }
        r.came_from(&block(12, 0), at(20_500));
        assert_eq!(r.round_trips(false, at(20_500))[0], Err(NoRoundTrip::NoReport));
        r.came_from(&block(13, 7450), at(20_500));
        assert!(r.round_trips(false, at(20_500))[0].is_ok());
    }
}
