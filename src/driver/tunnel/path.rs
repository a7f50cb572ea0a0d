//! How the way to a tunnel's other end is: what its probes say, and what the bearers did that
//! carried it, one after the other. It sends nothing and waits for nothing; times are arguments.

use super::bearer::{Figures, Kind};
use crate::wire::tunnel::probe::{Echo, Probe};
use std::net::SocketAddr;
use std::time::Duration;

/// A round trip that was not measured for so long is not known.
const OLD: Duration = Duration::from_secs(10);
/// Steps of the filters: of the trip (RFC 6298 §2), of the jitter (RFC 3550 §6.4.1).
const TRIP: i64 = 8;
const JITTER: i64 = 16;

/// What the other end's probes say.
#[derive(Debug, Default)]
pub(super) struct Path {
    /// The number of our last one.
    number: u32,
    /// The other end's last one, and when it came, in microseconds of our clock.
    last: Option<(Probe, u64)>,
    /// There and back, in microseconds, and when that was learned.
    trip: Option<(i64, u64)>,
    /// How much the time on the way here varies; in microseconds, once there are two.
    jitter: Option<i64>,
    /// By how much the other end's calendar is ahead of ours, in milliseconds.
    ahead: Option<i64>,
    /// Packets of the other end's that were sent and lost.
    theirs: Option<(u64, u64)>,
}

/// What is known of a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) trip: Option<Duration>,
    pub(super) jitter: Option<Duration>,
    pub(super) ahead: Option<i64>,
    pub(super) theirs: Option<(u64, u64)>,
    /// Long packets of the other end's do not arrive here, and short ones do.
    pub(super) is_narrow: bool,
}

fn signed(micros: u64) -> i64 {
    i64::try_from(micros).unwrap_or(i64::MAX)
}

impl Path {
    /// Our next probe, at this moment (microseconds of our clock, milliseconds of the calendar).
    pub(super) fn probe(&mut self, at: u64, calendar: u64, packets: Option<(u64, u64)>) -> Probe {
        self.number = self.number.saturating_add(1);
        let echo = self.last.map(|(probe, came)| Echo {
            number: probe.number,
            at: probe.at,
            held: u32::try_from(at.saturating_sub(came)).unwrap_or(u32::MAX),
        });
        Probe { number: self.number, at, calendar, echo, packets, is_narrow: false }
    }

    /// One of the other end's has come. What was overtaken says nothing.
    pub(super) fn heard(&mut self, probe: Probe, at: u64, calendar: u64) {
        if let Some((before, came)) = self.last {
            let newer = probe.number > before.number;
            let back = Duration::from_micros(before.at.saturating_sub(probe.at));
            // Nothing is under way for so long: its clock began anew.
            let restarted = back > OLD || (newer && !back.is_zero());
            if !newer && !restarted {
                return;
            }
            if restarted {
                self.jitter = None;
            } else {
                let there = signed(probe.at.saturating_sub(before.at));
                let varied = (signed(at.saturating_sub(came)) - there).saturating_abs();
                let is = self.jitter.unwrap_or(0);
                self.jitter = Some(is.saturating_add((varied - is) / JITTER));
            }
            self.count(before.packets.filter(|_| !restarted), probe.packets);
        } else {
            self.count(None, probe.packets);
        }
        self.last = Some((probe, at));
        if let Some(echo) = probe.echo.filter(|e| e.number <= self.number && e.at <= at) {
            let trip = signed(at - echo.at).saturating_sub(i64::from(echo.held)).max(0);
            let is = self.trip.map_or(trip, |(is, _)| is);
            self.trip = Some((is.saturating_add((trip - is) / TRIP), at));
            let there = signed(probe.calendar).saturating_add(trip / 2_000);
            self.ahead = Some(there.saturating_sub(signed(calendar)));
        }
    }

    fn count(&mut self, before: Option<(u64, u64)>, now: Option<(u64, u64)>) {
        let Some(now) = now else { return };
        // Its next bearer counts from the beginning.
        let before = before.filter(|b| b.0 <= now.0 && b.1 <= now.1).unwrap_or_default();
        let (sent, lost) = self.theirs.unwrap_or_default();
        let more = (now.0 - before.0, now.1 - before.1);
        self.theirs = Some((sent.saturating_add(more.0), lost.saturating_add(more.1)));
    }

    /// At this moment.
    pub(super) fn known(&self, at: u64) -> Known {
        let micros = |n: i64| Duration::from_micros(n.unsigned_abs());
        let fresh = |came: u64| Duration::from_micros(at.saturating_sub(came)) < OLD;
        let heard = self.last.is_some_and(|(_, came)| fresh(came));
        Known {
            trip: self.trip.filter(|(_, came)| fresh(*came)).map(|(trip, _)| micros(trip)),
            jitter: self.jitter.filter(|_| heard).map(micros),
            ahead: self.ahead.filter(|_| heard),
            theirs: self.theirs,
            is_narrow: self.last.is_some_and(|(probe, came)| probe.is_narrow && fresh(came)),
        }
    }
}

/// What all bearers of a tunnel did so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// Of those that have ended.
    ended: Sums,
    /// Bearers that began.
    pub(super) connections: u64,
    /// Changes within a call's time: of an end's address, and of the kind of bearer.
    pub(super) moves: [u64; 2],
    last: Option<(Kind, SocketAddr)>,
}

/// Counters that only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    /// Packets sent, and lost; of bearers that say so.
    pub(super) packets: Option<(u64, u64)>,
    /// Octets sent and received.
    pub(super) octets: (u64, u64),
}

impl Sums {
    pub(super) fn add(&mut self, f: &Figures) {
        if let Some((sent, lost)) = f.packets {
            let before = self.packets.unwrap_or_default();
            self.packets = Some((before.0 + sent, before.1 + lost));
        }
        self.octets = (self.octets.0 + f.octets.0, self.octets.1 + f.octets.1);
    }
}

impl Tally {
    /// A bearer begins; `beside`: another one still carries.
    pub(super) fn begins(&mut self, kind: Kind, peer: SocketAddr, beside: bool) {
        self.connections += 1;
        if beside && self.last.is_some_and(|(before, _)| before != kind) {
            self.moves[1] += 1;
        }
        self.last = Some((kind, peer));
    }

    /// Where the newest one's other end is seen now; where it was, if that is elsewhere.
    pub(super) fn seen(&mut self, kind: Kind, peer: SocketAddr) -> Option<SocketAddr> {
        let (_, was) = self.last.filter(|(before, at)| *before == kind && *at != peer)?;
        self.moves[0] += 1;
        self.last = Some((kind, peer));
        Some(was)
    }

    pub(super) fn ended(&mut self, figures: &Figures) {
        self.ended.add(figures);
    }

    /// With what those have done that carry now.
    pub(super) fn sums<'a>(&self, now: impl Iterator<Item = &'a Figures>) -> Sums {
        let mut sums = self.ended;
        now.for_each(|f| sums.add(f));
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000;

    /// Two ends, `way` microseconds apart, whose clocks differ.
    fn exchange(ours: &mut Path, theirs: &mut Path, at: u64, way: u64, sent: (u64, u64)) {
        let calendar = at / 1_000 + 5_000;
        let probe = theirs.probe(at + 77 * S, calendar + 3_000, Some(sent));
        ours.heard(probe, at + way, calendar + way / 1_000);
        let probe = ours.probe(at + way + S / 2, 0, None);
        theirs.heard(probe, at + 77 * S + way + S / 2 + way, 0);
    }

    #[test]
    fn the_way_is_measured_by_both_whatever_their_clocks() {
        let (mut ours, mut theirs) = (Path::default(), Path::default());
        assert_eq!(ours.known(0), Known::default(), "nothing is known, and nothing is shown");
        for n in 1..20 {
            exchange(&mut ours, &mut theirs, n * S, 30_000, (n * 50, n));
        }
        let known = ours.known(19 * S + 30_000);
        assert_eq!(known.trip, Some(Duration::from_millis(60)));
        assert_eq!(known.jitter, Some(Duration::ZERO));
        assert_eq!(known.ahead, Some(3_000));
        assert_eq!(known.theirs, Some((950, 19)));
        for n in 20..120 {
            exchange(&mut ours, &mut theirs, n * S, 30_000 + 20_000 * (n % 2), (n * 50, n));
        }
        let jitter = ours.known(119 * S + S / 2).jitter.expect("two came");
        assert!((18_000..=20_000).contains(&jitter.as_micros()), "{jitter:?}");
        let late = ours.known(140 * S);
        assert_eq!((late.trip, late.jitter, late.ahead), (None, None, None), "too old");
        assert_eq!(late.theirs, Some((5_950, 119)), "what was counted stays");
    }

    #[test]
    fn an_end_that_begins_anew_counts_on_and_what_was_overtaken_says_nothing() {
        let mut path = Path::default();
        let probe =
            |number, at, sent| Probe { number, at, packets: Some((sent, 0)), ..Probe::default() };
        path.heard(probe(7, 70 * S, 100), S, 0);
        path.heard(probe(8, 71 * S, 150), 2 * S, 0);
        path.heard(probe(7, 70 * S, 100), 2 * S, 0);
        assert_eq!(path.known(2 * S).theirs, Some((150, 0)));
        path.heard(probe(1, S, 20), 3 * S, 0);
        assert_eq!(path.known(3 * S).theirs, Some((170, 0)));
        // Another bearer of the same end.
        path.heard(probe(2, 2 * S, 5), 4 * S, 0);
        assert_eq!(path.known(4 * S).theirs, Some((175, 0)));
        // What nobody sent is echoed by a liar only; and the largest numbers do no harm.
        let liar = Probe {
            number: u32::MAX,
            at: u64::MAX,
            calendar: u64::MAX,
            echo: Some(Echo { number: 9, at: 0, held: u32::MAX }),
            packets: Some((u64::MAX - 1, u64::MAX - 1)),
            is_narrow: false,
        };
        path.heard(liar, 5 * S, 0);
        assert_eq!(path.known(5 * S).trip, None);
    }

    #[test]
    fn bearers_one_after_the_other_are_one_tunnel() {
        let at = |s: &str| s.parse().expect("an address");
        let mut tally = Tally::default();
        tally.begins(Kind::Tcp, at("192.0.2.1:443"), false);
        tally.begins(Kind::Quic, at("192.0.2.1:443"), true);
        assert_eq!(tally.seen(Kind::Tcp, at("192.0.2.7:443")), None);
        let moved = tally.seen(Kind::Quic, at("192.0.2.7:443"));
        assert_eq!(moved, Some(at("192.0.2.1:443")));
        assert_eq!(tally.seen(Kind::Quic, at("192.0.2.7:443")), None);
        tally.begins(Kind::Tcp, at("192.0.2.1:443"), false);
        assert_eq!((tally.connections, tally.moves), (3, [1, 1]));
        let quic = Figures { packets: Some((10, 1)), octets: (5, 6), ..Figures::default() };
        tally.ended(&Figures { octets: (100, 200), ..Figures::default() });
        assert_eq!(tally.sums([].iter()).packets, None, "of TCP alone nobody says");
        let sums = tally.sums([quic].iter());
        assert_eq!((sums.packets, sums.octets), (Some((10, 1)), (105, 206)));
    }
}
