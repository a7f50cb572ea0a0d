//! Whether too much of what is sent is lost, for so long that it is the way and no moment of it:
//! some providers let so much of UDP through and no more. It counts what it is told; what follows
//! from that is the ladder's.

use std::time::Duration;
use tokio::time::Instant;

/// What was lost is looked at so often, and so many looks in a row have to be bad.
const LOOK: (Duration, u32) = (Duration::from_secs(2), 5);
/// The share that is too much: with a fifth of that speech is poor, with this it is hard to follow.
const MUCH: f64 = 0.1;
/// Of fewer packets nothing is said.
const FEW: u64 = 40;

/// Packets of one direction.
#[derive(Debug, Default)]
pub(super) struct Losses {
    /// When it was looked at last, and what had been sent and lost by then.
    last: Option<(Instant, (u64, u64))>,
    bad: u32,
}

impl Losses {
    /// So many were sent and lost by now, of counters that only grow. Whether too much is lost.
    pub(super) fn are_lasting(&mut self, now: Instant, packets: Option<(u64, u64)>) -> bool {
        let Some((sent, lost)) = packets else { return false };
        let Some((since, before)) = self.last else {
            self.last = Some((now, (sent, lost)));
            return false;
        };
        if now.duration_since(since) >= LOOK.0 {
            let (sent_now, lost_now) =
                (sent.saturating_sub(before.0), lost.saturating_sub(before.1));
            let is_bad = sent_now >= FEW && lost_now as f64 > sent_now as f64 * MUCH;
            self.bad = if is_bad { self.bad + 1 } else { 0 };
            self.last = Some((now, (sent, lost)));
        }
        self.bad >= LOOK.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_that_is_lost_for_ten_seconds_is_the_way_and_a_moment_is_none() {
        let (mut losses, start) = (Losses::default(), Instant::now());
        let (mut second, mut sums) = (0, (1_000, 900));
        let mut seconds = |losses: &mut Losses, n: u64, sent: u64, lost: u64| {
            let mut is = false;
            for _ in 0..n * 4 {
                sums = (sums.0 + sent, sums.1 + lost);
                second += 250;
                is = losses.are_lasting(start + Duration::from_millis(second), Some(sums));
            }
            is
        };
        assert!(!seconds(&mut losses, 20, 25, 2), "8 %");
        assert!(!seconds(&mut losses, 9, 25, 4), "not yet");
        assert!(seconds(&mut losses, 3, 25, 4));
        assert!(!seconds(&mut losses, 4, 25, 0), "it has ended");
        assert!(!seconds(&mut losses, 6, 25, 25) && !seconds(&mut losses, 4, 25, 0), "a cut");
        assert!(!seconds(&mut losses, 20, 4, 4), "hardly anything was sent");
        assert!(!losses.are_lasting(start, None));
    }
}
