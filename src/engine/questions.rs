//! What others may ask of the engine: counters, lists, one call. Nothing of it changes anything.

use super::calls::{CallDetail, CallRow};
use super::guard::SuspectView;
use super::stats::Stats;
use super::{Engine, LIST, StoredBinding};
use crate::ground::{CallNo, Mono, Now};
use crate::policy::quota::ShareView;

impl Engine {
    /// Counters and gauges.
    #[must_use]
    pub fn stats(&self, now: Now) -> Stats {
        let mut stats = self.out.stats().clone();
        stats.upstreams = self.upstreams.view(&self.world);
        stats.interfaces = self.moving.view(&self.world);
        stats.now.calls = self.calls.counts().map(|n| n as u64);
        stats.now.registrations = self.phones.len() as u64;
        stats.now.transactions = self.transactions.counts();
        stats.now.bans = self.guard.bans() as u64;
        stats.now.dialogs = self.calls.len() as u64;
        stats.now.streams = self.calls.streams() as u64;
        stats.now.ports = self.calls.ports(now.mono);
        stats.now.places = self.places();
        stats.now.draining = self.gate.draining;
        stats
    }

    /// Bindings now, oldest first.
    #[must_use]
    pub fn bindings(&self, now: Now) -> Vec<StoredBinding> {
        self.phones.stored(&self.world, now)
    }

    /// The banned, and who is nearest to it.
    #[must_use]
    pub fn suspects(&self, now: Mono) -> Vec<SuspectView> {
        self.guard.suspects(now)
    }

    /// Answered and early calls.
    #[must_use]
    pub fn active_calls(&self) -> usize {
        self.calls.active()
    }

    /// Media streams that the relay has not reported as closed.
    #[must_use]
    pub fn open_streams(&self) -> usize {
        self.calls.streams()
    }

    /// Calls by number, oldest first, at most [`LIST`]; how many were left off.
    #[must_use]
    pub fn calls(&self, now: Now) -> (Vec<CallRow>, usize) {
        self.calls.rows(now, LIST)
    }

    /// One call; `None`: there is no call of this number.
    #[must_use]
    pub fn call(&self, no: CallNo, now: Now) -> Option<CallDetail> {
        self.calls.detail(&self.world, no, now)
    }

    /// How the engine's tables are held.
    #[must_use]
    pub fn shares(&self) -> Vec<ShareView> {
        let mut all = Vec::from(self.transactions.share_views());
        all.extend(self.calls.share_views());
        all.push(self.phones.share_view());
        all
    }
}
