//! Registrations that nothing would end, and timers of nobody. It ends none.

use super::{Due, Phones};
use crate::engine::world::World;

impl Phones {
    /// All of them, in words.
    pub(crate) fn loose_ends(&self, w: &World) -> Vec<String> {
        let kept = |i: usize| w.net().interface_at(i).is_some_and(|i| i.keepalive.is_some());
        let owned = |due: &Due| match due {
            Due::Expiry => self.bindings.soonest().is_some(),
            Due::KeepAlive(index) => kept(*index),
        };
        let idle = self.timers.keys().filter(|due| !owned(due));
        let mut all: Vec<String> = idle.map(|due| format!("a timer of nobody: {due:?}")).collect();
        let endless = self.bindings.soonest().is_some() && !self.timers.is_armed(Due::Expiry);
        all.extend(endless.then(|| format!("{} bindings have no end", self.len())));
        all
    }
}
