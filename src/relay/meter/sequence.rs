//! Which packets of one source came (RFC 3550 A.1, A.3): counts by sequence numbers, duplicates,
//! order, and losses told on in order. It knows no time and no payload.

use super::bursts::Losses;

/// A jump ahead further than this is not loss but another sequence (RFC 3550 A.1).
const MAX_DROPOUT: u16 = 3000;
/// A packet further behind than this is not late but of another sequence (RFC 3550 A.1); until then
/// a missing one may still come.
const MAX_MISORDER: u16 = 100;

/// Numbers whose arrival is remembered: more than `MAX_MISORDER`, a power of two.
const WINDOW: u64 = 256;
const WORDS: usize = 4;

/// What a packet's number says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Ahead of all before it, by so many.
    Ahead(u16),
    /// Late, but not seen before.
    Late,
    /// Seen before.
    Duplicate,
    /// Far from what was expected. Counts for nothing until a second one follows it.
    Stray,
    /// The second of a new sequence: the sender began anew.
    Restart,
}

/// Sums of one sequence, or of several one after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) expected: u64,
    /// Each once.
    pub(super) distinct: u64,
    pub(super) duplicated: u64,
    pub(super) reordered: u64,
}

impl Counts {
    pub(super) fn plus(&self, other: &Self) -> Self {
        self.with(other, u64::saturating_add)
    }

    pub(super) fn since(&self, before: &Self) -> Self {
        self.with(before, u64::saturating_sub)
    }

    fn with(&self, other: &Self, f: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            expected: f(self.expected, other.expected),
            distinct: f(self.distinct, other.distinct),
            duplicated: f(self.duplicated, other.duplicated),
            reordered: f(self.reordered, other.reordered),
        }
    }

    pub(super) fn lost(&self) -> u64 {
        self.expected.saturating_sub(self.distinct)
    }
}

/// One sequence. Numbers are extended to 64 bits; the first is `0x1_0000` + its 16 bits, so that
/// what precedes it has a number too.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sequence {
    base: u64,
    highest: u64,
    /// Numbers below are told to `losses`.
    settled: u64,
    seen: [u64; WORDS],
    counts: Counts,
    losses: Losses,
    /// What would follow the last stray.
    after_stray: Option<u16>,
}

impl Sequence {
    /// It begins with this packet.
    pub(super) fn new(first: u16) -> Self {
        let base = 0x1_0000 + u64::from(first);
        let mut s = Self {
            base,
            highest: base,
            settled: base,
            seen: [0; WORDS],
            counts: Counts { distinct: 1, ..Counts::default() },
            losses: Losses::default(),
            after_stray: None,
        };
        s.mark(base);
        s
    }

    /// Takes a packet's number.
    #[inline]
    pub(super) fn take(&mut self, number: u16) -> Place {
        #[expect(clippy::cast_possible_truncation, reason = "the 16 bits that were sent")]
        let last = self.highest as u16;
        let ahead = number.wrapping_sub(last);
        if ahead != 0 && ahead <= MAX_DROPOUT {
            self.advance(u64::from(ahead));
            self.counts.distinct += 1;
            self.after_stray = None;
            return Place::Ahead(ahead);
        }
        let behind = last.wrapping_sub(number);
        if behind <= MAX_MISORDER {
            return self.late(u64::from(behind));
        }
        if self.after_stray == Some(number) {
            return Place::Restart;
        }
        self.after_stray = Some(number.wrapping_add(1));
        Place::Stray
    }

    /// Counts so far; missing packets that may still come are lost until they do.
    pub(super) fn counts(&self) -> Counts {
        Counts { expected: self.highest - self.base + 1, ..self.counts }
    }

    /// Losses as if the stream ended here.
    pub(super) fn losses(&self) -> Losses {
        let mut end = *self;
        end.settle(self.highest + 1);
        end.losses
    }

    fn late(&mut self, behind: u64) -> Place {
        let number = self.highest - behind;
        if self.has(number) {
            self.counts.duplicated += 1;
            return Place::Duplicate;
        }
        self.mark(number);
        self.counts.distinct += 1;
        self.counts.reordered += 1;
        if number < self.base {
            // Sent before the first that came. Nothing is told on yet, unless time has passed.
            if self.settled == self.base {
                self.settled = number;
            }
            self.base = number;
        }
        Place::Late
    }

    #[inline]
    fn advance(&mut self, by: u64) {
        let highest = self.highest + by;
        // Whoever is not here now has missed its time. Before its place in `seen` is used anew.
        self.settle(highest.saturating_sub(u64::from(MAX_MISORDER)).max(self.settled));
        if by >= WINDOW {
            self.seen = [0; WORDS];
        } else {
            for n in self.highest + 1..highest {
                self.clear(n);
            }
        }
        self.highest = highest;
        self.mark(highest);
    }

    /// Tells `losses` of every number below `end`.
    fn settle(&mut self, end: u64) {
        while self.settled < end {
            if self.settled > self.highest {
                // A jump: none of these came.
                self.losses.lost(end - self.settled);
                self.settled = end;
                return;
            }
            if self.has(self.settled) {
                self.losses.received(1);
            } else {
                self.losses.lost(1);
            }
            self.settled += 1;
        }
    }

    fn has(&self, number: u64) -> bool {
        let (word, bit) = place(number);
        self.seen.get(word).is_some_and(|w| w & bit != 0)
    }

    fn mark(&mut self, number: u64) {
        let (word, bit) = place(number);
        if let Some(w) = self.seen.get_mut(word) {
            *w |= bit;
        }
    }

    fn clear(&mut self, number: u64) {
        let (word, bit) = place(number);
        if let Some(w) = self.seen.get_mut(word) {
            *w &= !bit;
        }
    }
}

fn place(number: u64) -> (usize, u64) {
    let at = number % WINDOW;
    ((at / 64) as usize, 1 << (at % 64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn take(first: u16, rest: &[u16]) -> (Sequence, Vec<Place>) {
        let mut s = Sequence::new(first);
        let places = rest.iter().map(|n| s.take(*n)).collect();
        (s, places)
    }

    fn counts(expected: u64, distinct: u64, duplicated: u64, reordered: u64) -> Counts {
        Counts { expected, distinct, duplicated, reordered }
    }

    #[test]
    fn numbers_wrap() {
        let (s, _) = take(65_533, &[65_534, 65_535, 0, 1]);
        assert_eq!(s.counts(), counts(5, 5, 0, 0));
        let (s, _) = take(65_535, &[1]);
        assert_eq!(s.counts(), counts(3, 2, 0, 0));
        assert_eq!(s.counts().lost(), 1);
    }

    #[test]
    fn a_late_packet_is_not_lost_and_a_second_one_is_a_duplicate() {
        let (s, places) = take(10, &[12, 11, 11, 12]);
        use Place::{Ahead, Duplicate, Late};
        assert_eq!(places, [Ahead(2), Late, Duplicate, Duplicate]);
        assert_eq!(s.counts(), counts(3, 3, 2, 1));
    }

    #[test]
    fn what_was_sent_before_the_first_to_come_moves_the_beginning() {
        let (s, _) = take(0, &[65_534, 1]);
        assert_eq!(s.counts(), counts(4, 3, 0, 1));
    }

    #[test]
    fn a_jump_is_loss_and_a_further_one_waits_for_a_second_packet() {
        let (s, places) = take(1, &[3001, 6002, 6003]);
        assert_eq!(places, [Place::Ahead(3000), Place::Stray, Place::Restart]);
        assert_eq!(s.counts().lost(), 2999);
        let (s, places) = take(1000, &[899, 1001, 899]);
        assert_eq!(places, [Place::Stray, Place::Ahead(1), Place::Stray]);
        assert_eq!(s.counts(), counts(2, 2, 0, 0));
    }

    #[test]
    fn losses_come_in_order_however_packets_came() {
        let (s, _) = take(1, &[4, 2, 3, 6]);
        let mut want = Losses::default();
        want.received(4);
        want.lost(1);
        want.received(1);
        assert_eq!(s.losses(), want);
    }

    proptest! {
        /// A plan of losses, duplicates and swaps is counted as it was made.
        #[test]
        fn every_plan_is_counted_as_it_was_made(
            first: u16,
            plan in proptest::collection::vec((0_u8..20, 0_u16..90), 1..1500),
        ) {
            let mut s = None;
            let mut lost = Vec::new();
            let mut sent: Vec<(usize, u16)> = Vec::new();
            for (i, (what, delay)) in plan.iter().enumerate() {
                let number = first.wrapping_add(u16::try_from(i).unwrap());
                // The first and the last arrive in time, so that what was expected is known.
                let edge = i == 0 || i + 1 == plan.len();
                match what {
                    0 | 1 if !edge => lost.push(true),
                    2 if !edge => { lost.push(false); sent.push((i + usize::from(*delay), number)); }
                    3 => { lost.push(false); sent.push((i, number)); sent.push((i, number)); }
                    _ => { lost.push(false); sent.push((i, number)); }
                }
            }
            sent.sort_by_key(|(at, _)| *at);
            let mut highest = 0;
            let (mut late, mut duplicated) = (0, 0);
            let mut got = std::collections::HashSet::new();
            for (_, number) in &sent {
                let i = u64::from(number.wrapping_sub(first));
                let new = got.insert(i);
                duplicated += u64::from(!new);
                late += u64::from(new && i < highest);
                highest = highest.max(i);
                match &mut s {
                    None => s = Some(Sequence::new(*number)),
                    Some(s) => { s.take(*number); }
                }
            }
            let s = s.unwrap();
            let c = s.counts();
            prop_assert_eq!(c.expected, highest + 1);
            prop_assert_eq!(c.distinct, got.len() as u64);
            prop_assert_eq!(c.duplicated, duplicated);
            prop_assert_eq!(c.reordered, late);
            let mut want = Losses::default();
            for x in lost.iter().take(usize::try_from(highest + 1).unwrap()) {
                if *x { want.lost(1) } else { want.received(1) }
            }
            prop_assert_eq!(s.losses().sums(), want.sums());
        }

        #[test]
        fn no_numbers_break_the_sums(numbers in proptest::collection::vec(any::<u16>(), 1..300)) {
            let (s, _) = take(numbers[0], &numbers[1..]);
            let c = s.counts();
            prop_assert!(c.distinct <= c.expected);
            prop_assert!(c.distinct + c.duplicated <= numbers.len() as u64);
            let _ = s.losses().sums().bursts(Some(20_000));
        }
    }
}
