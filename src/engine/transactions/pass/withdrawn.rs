//! A pass that is taken back, and one whose core has other ways than its branches. It sends
//! nothing.

use super::{BranchState, Pass, Spare};
use crate::engine::ids::ClientId;
use crate::ground::Flow;
use crate::wire::sip::Message;

impl Pass {
    /// The core has other ways than those that have failed, once. A challenge is the caller's to
    /// answer.
    pub(in crate::engine::transactions) fn wants_more(&mut self) -> bool {
        let status = self.best.as_ref().map_or(0, Message::status);
        let failed = !self.cancelled && !matches!(status, 0 | 401 | 407 | 487);
        failed && std::mem::take(&mut self.insists)
    }

    pub(in crate::engine::transactions) fn end(&mut self) {
        self.done = true;
    }

    pub(in crate::engine::transactions) fn insist(&mut self) {
        self.insists = true;
    }

    pub(in crate::engine::transactions) fn insists(&self) -> bool {
        self.insists
    }

    /// All its branches have failed.
    pub(in crate::engine::transactions) fn has_failed(&self) -> bool {
        self.best.is_some() && self.branches.iter().all(|b| b.state == BranchState::Final || b.left)
    }

    /// There is another way for this branch.
    pub(in crate::engine::transactions) fn has_spare(&self, client: ClientId) -> bool {
        self.branches.iter().any(|b| b.client == client && !b.spare.is_empty())
    }

    /// Its sender has no answer yet.
    pub(in crate::engine) fn waits(&self) -> bool {
        !self.done && (!self.branches.is_empty() || self.held.is_some())
    }

    /// Its failure is held back, or the whole of it: where it goes, or went; once. No two are asked
    /// of it where its core has other ways.
    pub(in crate::engine::transactions) fn hold(&mut self, flow: Flow) -> bool {
        let holds = !self.done && !self.cancelled && !self.insists && self.held.is_none();
        if holds {
            self.held = Some(flow);
        }
        holds
    }

    pub(in crate::engine::transactions) fn held(&self) -> Option<&Flow> {
        self.held.as_ref().filter(|_| !self.done && !self.cancelled)
    }

    /// It is held no more.
    pub(in crate::engine::transactions) fn let_go(&mut self) {
        self.held = None;
    }

    /// It was never sent.
    pub(in crate::engine::transactions) fn is_shelved(&self) -> bool {
        self.branches.is_empty() && self.held().is_some()
    }

    /// Those of whom an answer may come that counts.
    pub(in crate::engine::transactions) fn pending(&self) -> impl Iterator<Item = ClientId> + '_ {
        self.branches.iter().filter(|b| b.state == BranchState::Pending).map(|b| b.client)
    }

    /// Nobody has answered it, and nobody gave it up.
    pub(in crate::engine::transactions) fn is_open(&self) -> bool {
        !self.done && !self.cancelled && !self.branches.is_empty()
    }

    pub(in crate::engine::transactions) fn is_withdrawn(&self) -> bool {
        self.withdrawn
    }

    pub(in crate::engine::transactions) fn clients(&self) -> impl Iterator<Item = ClientId> + '_ {
        self.branches.iter().map(|b| b.client)
    }

    /// Nothing that its branches say counts any more; those that may ring yet are to be cancelled
    /// then. Those that were pending.
    pub(in crate::engine::transactions) fn withdraw(
        &mut self,
        reasons: &[Vec<u8>],
    ) -> Vec<ClientId> {
        (self.done, self.withdrawn) = (true, true);
        let mut pending = Vec::new();
        for b in self.branches.iter_mut().filter(|b| b.state == BranchState::Pending) {
            (b.state, b.given_up, b.left) = (BranchState::Final, true, true);
            b.spare = Spare::default();
            b.cancel = Some(reasons.to_vec());
            pending.push(b.client);
        }
        pending
    }
}
