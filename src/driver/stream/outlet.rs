//! What waits to be written to one peer, bounded in octets. Of a peer that does not read, the
//! oldest answers go first (who waits for one asks again), then the oldest requests. It writes
//! nothing.

use crate::wire::limits;
use bytes::Bytes;
use std::collections::VecDeque;

/// Octets that may wait for one peer, what is being written included: two of the longest messages.
pub(super) const EACH: usize = 2 * (limits::STREAM_MESSAGE + MESSAGE);
/// What a message costs beside its octets.
const MESSAGE: usize = 64;

fn cost(bytes: &Bytes) -> usize {
    bytes.len() + MESSAGE
}

#[derive(Debug, Default)]
pub(super) struct Outlet {
    waiting: VecDeque<Bytes>,
    /// Cost of what waits.
    octets: usize,
    /// Cost of what is being written.
    writing: usize,
    /// Something was lost since the connection is there.
    lost: bool,
}

impl Outlet {
    /// Adds a message; returns how many were lost for it, or with it.
    pub(super) fn push(&mut self, bytes: Bytes) -> usize {
        let mut lost = 0;
        while self.held() + cost(&bytes) > EACH && self.drop_oldest() {
            lost += 1;
        }
        if self.held() + cost(&bytes) > EACH {
            lost += 1;
        } else {
            self.octets += cost(&bytes);
            self.waiting.push_back(bytes);
        }
        self.lost |= lost > 0;
        lost
    }

    /// What a further message would make it hold more than now.
    pub(super) fn growth(&self, bytes: &Bytes) -> usize {
        cost(bytes).min(EACH.saturating_sub(self.held()))
    }

    fn drop_oldest(&mut self) -> bool {
        let answer = self.waiting.iter().position(|bytes| bytes.starts_with(b"SIP/2.0 "));
        let oldest = self.waiting.remove(answer.unwrap_or(0));
        self.octets -= oldest.as_ref().map_or(0, cost);
        oldest.is_some()
    }

    /// The next to be written; what was before it has been.
    pub(super) fn take(&mut self) -> Option<Bytes> {
        self.writing = 0;
        let bytes = self.waiting.pop_front()?;
        self.writing = cost(&bytes);
        self.octets -= self.writing;
        Some(bytes)
    }

    /// Forgets what waits: whoever sent it was told that it has failed.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        self.octets = 0;
    }

    /// Something waits for what is being written.
    pub(super) fn has_more(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// A message was lost without being asked for room.
    pub(super) fn lose(&mut self) {
        self.lost = true;
    }

    /// Octets held.
    pub(super) fn held(&self) -> usize {
        self.octets + self.writing
    }

    /// Whether anything was not written, should the connection end now.
    pub(super) fn is_unwritten(&self) -> bool {
        self.lost || self.held() > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_full_outlet_the_oldest_answers_go_first_then_the_oldest_requests() {
        let mut outlet = Outlet::default();
        let message = |first: &str, n: u8| {
            let mut bytes = first.as_bytes().to_vec();
            bytes.resize(EACH / 4 - MESSAGE, n);
            Bytes::from(bytes)
        };
        assert_eq!(outlet.push(message("BYE ", 1)), 0);
        let written = outlet.take().unwrap();
        assert!(written.starts_with(b"BYE "));
        for n in 2..5 {
            let first = if n == 2 { "NOTIFY " } else { "SIP/2.0 200" };
            assert_eq!(outlet.push(message(first, n)), 0, "what is being written counts");
        }
        assert_eq!(outlet.push(message("SIP/2.0 200", 5)), 1);
        assert_eq!(outlet.push(message("INVITE ", 6)), 1);
        assert_eq!(outlet.push(message("INVITE ", 7)), 1);
        // Now without an answer.
        assert_eq!(outlet.push(message("INVITE ", 8)), 1);
        let left: Vec<u8> =
            std::iter::from_fn(|| outlet.take()).map(|b| *b.last().unwrap()).collect();
        assert_eq!(left, [6, 7, 8]);
        assert_eq!(outlet.held(), 0);
        assert!(outlet.is_unwritten(), "what was lost is remembered");
    }

    #[test]
    fn what_was_told_to_have_failed_is_not_sent_later() {
        let mut outlet = Outlet::default();
        for n in 0..3 {
            outlet.push(Bytes::from(format!("INVITE sip:{n} SIP/2.0")));
        }
        outlet.take().unwrap();
        outlet.clear();
        assert!(!outlet.has_more() && outlet.take().is_none());
        assert_eq!(outlet.held(), 0);
        outlet.push(Bytes::from_static(b"INVITE sip:new SIP/2.0"));
        assert_eq!(outlet.take().unwrap(), "INVITE sip:new SIP/2.0");
    }

    #[test]
    fn two_of_the_longest_messages_have_room_and_what_is_longer_is_lost() {
        let mut outlet = Outlet::default();
        for _ in 0..2 {
            assert_eq!(outlet.push(vec![b'x'; EACH / 2 - MESSAGE].into()), 0);
        }
        let mut outlet = Outlet::default();
        assert_eq!(outlet.push(vec![b'x'; EACH].into()), 1);
        assert_eq!(outlet.held(), 0);
    }
}
