//! Loss as bursts and gaps (RFC 3611 §4.7.2): a burst begins and ends with a lost packet and holds
//! no run of `GMIN` received ones; what stands between bursts is a gap. Each packet is told once,
//! in order of sequence; the machine keeps sums, never packets.

use crate::relay::quality::Bursts;

/// Received packets in a row that end a burst (RFC 3611 recommends 16).
const GMIN: u64 = 16;

/// The sums so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Losses {
    /// Packets received since the last lost one.
    received: u64,
    /// From the first lost packet of what may be a burst to its last.
    span: u64,
    /// Lost ones of those.
    lost: u64,
    done: Sums,
}

/// What is decided. Differences of two are the sums of the time between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    bursts: u64,
    burst_packets: u64,
    burst_lost: u64,
    gaps: u64,
    gap_packets: u64,
    gap_lost: u64,
    /// Packets of the gap that runs.
    gap_run: u64,
    /// Runs of lost packets in a row.
    runs: u64,
}

impl Losses {
    /// `n` packets in a row were received.
    #[inline]
    pub(super) fn received(&mut self, n: u64) {
        self.received += n;
    }

    /// `n` packets in a row were lost.
    pub(super) fn lost(&mut self, n: u64) {
        if n == 0 {
            return;
        }
        // At the beginning nothing is open, which is as good as a gap.
        if self.lost == 0 || self.received >= GMIN {
            self.close();
            self.gap(self.received, 0);
        } else {
            self.span += self.received;
        }
        self.done.runs += u64::from(self.received > 0 || self.lost == 0);
        self.span += n;
        self.lost += n;
        self.received = 0;
    }

    /// The sums as if the stream ended here.
    pub(super) fn sums(&self) -> Sums {
        let mut end = *self;
        end.close();
        end.gap(end.received, 0);
        end.done.end_gap();
        end.done
    }

    /// What was open is a burst, or, alone between long runs of received packets, part of a gap.
    fn close(&mut self) {
        match self.lost {
            0 => {}
            1 => self.gap(1, 1),
            _ => {
                self.done.end_gap();
                self.done.bursts += 1;
                self.done.burst_packets += self.span;
                self.done.burst_lost += self.lost;
            }
        }
        self.span = 0;
        self.lost = 0;
    }

    fn gap(&mut self, packets: u64, lost: u64) {
        self.done.gap_packets += packets;
        self.done.gap_lost += lost;
        self.done.gap_run += packets;
    }
}

impl Sums {
    fn end_gap(&mut self) {
        self.gaps += u64::from(self.gap_run > 0);
        self.gap_run = 0;
    }

    /// These and those of another stretch.
    pub(super) fn plus(&self, other: &Self) -> Self {
        self.with(other, u64::saturating_add)
    }

    /// What came since `before`. A burst that ran across belongs to the time in which it ended.
    pub(super) fn since(&self, before: &Self) -> Self {
        self.with(before, u64::saturating_sub)
    }

    fn with(&self, other: &Self, f: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            bursts: f(self.bursts, other.bursts),
            burst_packets: f(self.burst_packets, other.burst_packets),
            burst_lost: f(self.burst_lost, other.burst_lost),
            gaps: f(self.gaps, other.gaps),
            gap_packets: f(self.gap_packets, other.gap_packets),
            gap_lost: f(self.gap_lost, other.gap_lost),
            gap_run: 0,
            runs: f(self.runs, other.runs),
        }
    }

    /// As figures; durations need the time that a packet holds.
    pub(super) fn bursts(&self, packet_us: Option<u64>) -> Bursts {
        let mean_ms = |packets: u64, n: u64| Some(small(packets * packet_us? / n.max(1) / 1000));
        Bursts {
            count: small(self.bursts),
            burst_density_milli: milli(self.burst_lost, self.burst_packets),
            gap_density_milli: milli(self.gap_lost, self.gap_packets),
            burst_ms: mean_ms(self.burst_packets, self.bursts),
            gap_ms: mean_ms(self.gap_packets, self.gaps),
        }
    }

    /// BurstR of ITU-T G.107: the mean run of lost packets by what random loss would give. At
    /// least 1.
    #[expect(clippy::cast_precision_loss, reason = "counts of packets")]
    pub(super) fn burst_ratio(&self) -> f64 {
        let lost = self.burst_lost + self.gap_lost;
        let all = (self.burst_packets + self.gap_packets).max(1);
        let mean = lost as f64 / self.runs.max(1) as f64;
        (mean * (1.0 - lost as f64 / all as f64)).max(1.0)
    }
}

fn milli(part: u64, whole: u64) -> u32 {
    small((part * 1000 + whole / 2) / whole.max(1))
}

fn small(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `x` is lost, a number is that many received.
    fn told(pattern: &str) -> Bursts {
        let mut l = Losses::default();
        for word in pattern.split(' ') {
            match word.parse() {
                Ok(n) => l.received(n),
                Err(_) => word.chars().for_each(|_| l.lost(1)),
            }
        }
        l.sums().bursts(Some(20_000))
    }

    #[test]
    fn without_loss_there_is_one_gap() {
        let want = Bursts { burst_ms: Some(0), gap_ms: Some(2000), ..Bursts::default() };
        assert_eq!(told("100"), want);
    }

    #[test]
    fn a_single_loss_belongs_to_the_gap() {
        let b = told("49 x 50");
        assert_eq!((b.count, b.gap_density_milli, b.gap_ms), (0, 10, Some(2000)));
    }

    #[test]
    fn losses_closer_than_sixteen_are_one_burst() {
        // 3 lost of 3 + 15 + 2; then 16 received end it.
        let b = told("100 xx 15 x 16 x 99");
        assert_eq!(b.count, 1);
        assert_eq!(b.burst_density_milli, 167);
        assert_eq!(b.burst_ms, Some(18 * 20));
        assert_eq!(b.gap_density_milli, 5, "one of 216");
        assert_eq!(b.gap_ms, Some(216 * 20 / 2));
    }

    #[test]
    fn a_stream_may_begin_and_end_in_a_burst() {
        let b = told("xx 40 xxx");
        assert_eq!((b.count, b.burst_density_milli, b.gap_density_milli), (2, 1000, 0));
        assert_eq!((b.burst_ms, b.gap_ms), (Some(50), Some(800)));
    }

    #[test]
    fn durations_are_unknown_where_a_packet_s_time_is() {
        let mut l = Losses::default();
        l.lost(2);
        assert_eq!(l.sums().bursts(None).burst_ms, None);
    }

    #[test]
    fn runs_longer_than_chance_make_the_burst_ratio() {
        let ratio = |pattern: &[(u64, u64)]| {
            let mut l = Losses::default();
            for (received, lost) in pattern {
                l.received(*received);
                l.lost(*lost);
            }
            l.sums().burst_ratio()
        };
        assert_eq!(ratio(&[(90, 1), (8, 1)]), 1.0);
        let four = ratio(&[(46, 4), (46, 4)]);
        assert!((four - 4.0 * 0.92).abs() < 1e-9, "{four}");
    }

    /// The same by definition, over the whole pattern at once.
    fn by_definition(lost: &[bool]) -> (u64, u64, u64, u64, u64) {
        let at: Vec<usize> = (0..lost.len()).filter(|i| lost[*i]).collect();
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for i in at {
            match groups.last_mut() {
                Some(g) if i - g.last().unwrap() - 1 < GMIN as usize => g.push(i),
                _ => groups.push(vec![i]),
            }
        }
        let bursts: Vec<_> = groups.iter().filter(|g| g.len() > 1).collect();
        let span: usize = bursts.iter().map(|g| g.last().unwrap() - g[0] + 1).sum();
        let in_bursts: usize = bursts.iter().map(|g| g.len()).sum();
        let alone = groups.iter().filter(|g| g.len() == 1).count();
        let n = |x: usize| x as u64;
        (n(bursts.len()), n(span), n(in_bursts), n(lost.len() - span), n(alone))
    }

    proptest! {
        #[test]
        fn any_pattern_is_told_as_the_definition_tells_it(
            lost in proptest::collection::vec(prop::bool::weighted(0.15), 0..400)
        ) {
            let mut l = Losses::default();
            for x in &lost {
                if *x { l.lost(1) } else { l.received(1) }
            }
            let s = l.sums();
            let got = (s.bursts, s.burst_packets, s.burst_lost, s.gap_packets, s.gap_lost);
            prop_assert_eq!(got, by_definition(&lost));
            let runs = lost.iter().enumerate().filter(|(i, x)| **x && (*i == 0 || !lost[i - 1]));
            prop_assert_eq!(s.runs, runs.count() as u64);
        }
    }
}
