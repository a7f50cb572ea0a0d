//! Passes that are held back: one that was refused by who may serve nobody, until that is known,
//! and one that no way leads from until there is. Nothing is held for longer than its sender waits.
//! It knows no upstream.

use super::{Due, Heard, Transactions};
use crate::engine::ids::{PassId, ServerId};
use crate::engine::outbox::Outbox;
use crate::engine::purpose::Purpose;
use crate::engine::world::World;
use crate::ground::Flow;

impl Transactions {
    /// Whoever was asked there may serve nobody: what fails is not told before that is known.
    pub(crate) fn hold(&mut self, w: &World, pass: PassId, flow: Flow) {
        if self.passes.get_mut(&pass).is_some_and(|p| p.hold(flow)) {
            let decided = w.config().survive.after + w.config().timers.t1 * 2;
            self.timers.set(Due::Held(pass), w.now().mono + decided);
        }
    }

    /// No way leads there yet: it waits for one as long as for an answer. `came`: by which flow.
    pub(crate) fn shelve(&mut self, w: &World, server: ServerId, came: Flow) {
        let pass = self.open_pass(server, came.listener, Purpose::Other);
        if self.passes.get_mut(&pass).is_some_and(|p| p.hold(came)) {
            self.timers.set(Due::Held(pass), w.now().mono + w.timing(&came).give_up());
        }
    }

    /// A pass is over.
    pub(super) fn forget_pass(&mut self, pass: PassId) {
        self.timers.stop(Due::Held(pass));
        self.passes.remove(&pass);
    }

    /// Passes that wait for any way, oldest first.
    pub(crate) fn shelved(&self) -> Vec<PassId> {
        let mut all: Vec<PassId> =
            self.passes.iter().filter(|(_, p)| p.is_shelved()).map(|(id, _)| *id).collect();
        all.sort_unstable();
        all
    }

    /// Passes that have failed at whom `there` means, of which nobody was told; oldest first.
    pub(crate) fn held_at(&self, there: impl Fn(&Flow) -> bool) -> Vec<PassId> {
        let held = |p: &super::Pass| p.has_failed() && p.held().is_some_and(&there);
        let mut all: Vec<PassId> =
            self.passes.iter().filter(|(_, p)| held(p)).map(|(id, _)| *id).collect();
        all.sort_unstable();
        all
    }

    /// Whoever is asked there serves: what failed, has.
    pub(crate) fn release(&mut self, w: &World, out: &mut Outbox, there: impl Fn(&Flow) -> bool) {
        for pass in self.held_at(there) {
            self.timers.stop(Due::Held(pass));
            self.held_for_long(w, out, pass);
        }
    }

    pub(super) fn held_for_long(&mut self, w: &World, out: &mut Outbox, pass: PassId) {
        let Some(p) = self.passes.get_mut(&pass).filter(|p| p.held().is_some()) else { return };
        if p.is_shelved() {
            self.heard.push_back(Heard::Stranded(pass));
            return;
        }
        p.let_go();
        if p.has_failed() {
            self.conclude(w, out, pass);
        }
    }
}
