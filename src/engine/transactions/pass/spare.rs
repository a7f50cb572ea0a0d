//! Other ways to whom a branch asks, and how long each is waited for. It knows no upstream: ways
//! are handed to it.

use crate::config::Timers;
use crate::ground::Flow;
use std::time::Duration;

/// Ways that are not tried yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spare {
    /// The next one last.
    ways: Vec<Flow>,
    /// Nothing was ever heard of who is asked by IPv4, by IPv6: it may not lead there at all.
    unheard: [bool; 2],
}

impl Spare {
    /// In the order in which they are tried.
    pub(crate) fn new(mut ways: Vec<Flow>, unheard: [bool; 2]) -> Self {
        ways.reverse();
        Self { ways, unheard }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ways.is_empty()
    }

    /// The way that is tried next.
    pub(super) fn next(&self) -> Option<Flow> {
        self.ways.last().copied()
    }

    pub(super) fn take(&mut self) -> Option<Flow> {
        self.ways.pop()
    }

    /// A stream to the same host as this way, which is tried after it.
    pub(super) fn swap_for_stream(&mut self, flow: Flow) -> Option<Flow> {
        let leads = |s: &Flow| s.transport.is_reliable() && s.peer.ip() == flow.peer.ip();
        let at = self.ways.iter().rposition(leads)?;
        let stream = self.ways.remove(at);
        self.ways.push(flow);
        Some(stream)
    }

    /// How long who is asked by `flow` may say nothing. An IP version that was never heard is left
    /// soon for the other one (as RFC 8305 has it for connections). Whoever sent a request other
    /// than INVITE waits 64·T1 for all of them together (RFC 4320 §4.2), of which `waited` is over:
    /// each has its share.
    pub(super) fn patience(
        &self,
        flow: &Flow,
        timers: &Timers,
        waited: Option<Duration>,
    ) -> Duration {
        let six = flow.peer.is_ipv6();
        let other = self.ways.iter().any(|way| way.peer.is_ipv6() != six);
        let soon = (other && self.unheard[usize::from(six)]).then_some(timers.t1);
        let share = waited.map(|waited| {
            let shares = u32::try_from(self.ways.len()).unwrap_or(u32::MAX).saturating_add(1);
            (64 * timers.t1).saturating_sub(waited) / shares
        });
        [soon, share].into_iter().flatten().fold(timers.next_target, Duration::min)
    }
}
