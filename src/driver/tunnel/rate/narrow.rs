//! Whether a way swallows long packets and lets short ones through. Whoever lowers what a way
//! carries has to say so, and many do not (RFC 8899 §4.3, RFC 2923); QUIC itself finds that out
//! down to 1,200 octets, which it needs, and no further: speech goes on then, and whatever is
//! longer stands still.

use std::time::{Duration, Instant};

/// A packet of so many octets is a long one.
const LONG: u64 = 1_000;
/// So many of them in a row, and for so long, while short ones come through, were swallowed
/// (RFC 8899 §5.1.2 takes three probes). Speech that shares a packet with them is lost as well.
const SWALLOWED: (u32, Duration) = (6, Duration::from_millis(1_200));
/// By then another short one has come through.
const SHORT: Duration = Duration::from_millis(500);
/// After so long without one, they are no row.
const ROW: Duration = Duration::from_secs(10);

/// Long packets that nothing was heard of.
#[derive(Clone, Copy, Debug)]
struct Row {
    since: Instant,
    last: Instant,
    sent: u32,
    /// When short ones came through that were sent after the first of them: at first, and last.
    short: Option<(Instant, Instant)>,
}

/// What came through of late.
#[derive(Clone, Debug, Default)]
pub(super) struct Narrow(Option<Row>);

impl Narrow {
    pub(super) fn sent(&mut self, now: Instant, octets: u64) {
        if octets < LONG {
            return;
        }
        let row = self.0.filter(|row| now.saturating_duration_since(row.last) < ROW);
        let row = row.unwrap_or(Row { since: now, last: now, sent: 0, short: None });
        self.0 = Some(Row { last: now, sent: row.sent.saturating_add(1), ..row });
    }

    /// One that was `sent` then has come through.
    pub(super) fn acknowledged(&mut self, now: Instant, sent: Instant, octets: u64) {
        if octets >= LONG {
            self.0 = None;
        } else if let Some(row) = self.0.as_mut().filter(|row| row.since < sent) {
            let first = row.short.map_or(now, |(first, _)| first);
            row.short = Some((first, now));
        }
    }

    /// Whether long ones are swallowed by now.
    pub(super) fn is(&self, now: Instant) -> bool {
        self.0.is_some_and(|row| {
            let since = |at| now.saturating_duration_since(at);
            let comes = |(first, last)| since(first) >= SWALLOWED.1 && since(last) < SHORT;
            row.sent >= SWALLOWED.0 && row.short.is_some_and(comes)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_packets_are_swallowed_where_some_in_a_row_vanish_while_short_ones_come_through() {
        let start = tokio::time::Instant::now().into_std();
        let at = |ms| start + Duration::from_millis(ms);
        let short = |narrow: &mut Narrow, from: u64, to: u64| {
            for ms in (from..to).step_by(20) {
                narrow.sent(at(ms), 230);
                narrow.acknowledged(at(ms + 40), at(ms), 230);
            }
        };
        let mut narrow = Narrow::default();
        narrow.sent(at(0), 1_200);
        short(&mut narrow, 10, 3_000);
        assert!(!narrow.is(at(3_000)), "one is lost now and then");
        (0..4).for_each(|_| narrow.sent(at(3_000), 1_200));
        assert!(!narrow.is(at(3_000)));
        narrow.sent(at(3_000), 1_000);
        assert!(narrow.is(at(3_000)));
        narrow.acknowledged(at(3_100), at(3_000), 1_000);
        assert!(!narrow.is(at(9_000)), "one came through");
        // A way by which nothing comes at all is another matter.
        (0..9).for_each(|n| narrow.sent(at(10_000 + n * 100), 1_200));
        assert!(!narrow.is(at(19_000)));
        // Nor are those a row that were sent at other times, by a handshake for one.
        let mut narrow = Narrow::default();
        (0..2).for_each(|_| narrow.sent(at(0), 1_200));
        short(&mut narrow, 10, 12_000);
        narrow.sent(at(12_000), 1_200);
        assert!(!narrow.is(at(12_010)));
        short(&mut narrow, 12_010, 16_000);
        (0..5).for_each(|n| narrow.sent(at(13_000 + n), 1_200));
        assert!(narrow.is(at(16_000)));
        assert!(!narrow.is(at(17_000)), "by then short ones do not come through either");
    }
}
