//! Numbers of calls over restarts: records of one state folder never have the same number twice.
//! What is kept runs ahead of what is given, so that a crash skips numbers and repeats none.

use crate::engine::{Entry, StoredNumbers};
use crate::ground::CallNo;

/// So many numbers are taken at once.
const BLOCK: u64 = 128;
/// The next ones are taken while so many are left: long enough for a slow volume.
const LEFT: u64 = 64;

/// Numbers that this run gave, and those that are kept as given.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    last: u64,
    kept: u64,
}

impl Numbers {
    /// A call has this number; what is to be kept now, if anything is.
    pub(super) fn give(&mut self, call: CallNo) -> Option<Entry> {
        self.last = self.last.max(call.0);
        if self.last + LEFT <= self.kept {
            return None;
        }
        self.kept = self.last + BLOCK;
        Some(Entry::Numbers(StoredNumbers { calls: self.kept }))
    }

    /// The gateway stops: what is kept for the next run, which then goes on without a gap.
    pub(super) fn last(&self) -> Option<Entry> {
        (self.last > 0).then_some(Entry::Numbers(StoredNumbers { calls: self.last }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_kept_are_ahead_of_those_given_and_a_stop_leaves_no_gap() {
        let mut n = Numbers::default();
        assert_eq!(n.last(), None, "a run without calls keeps what is there");
        let kept = |calls| Some(Entry::Numbers(StoredNumbers { calls }));
        assert_eq!(n.give(CallNo(41)), kept(169));
        for call in 42..=105 {
            assert_eq!(n.give(CallNo(call)), None, "{call}");
        }
        assert_eq!(n.give(CallNo(106)), kept(234));
        assert_eq!(n.last(), kept(106));
    }
}
