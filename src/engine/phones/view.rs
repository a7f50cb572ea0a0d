//! Bindings for whoever keeps or shows them: read when asked, changed never.

use super::{Binding, Phones};
use crate::engine::entry::StoredBinding;
use crate::engine::world::World;
use crate::ground::Now;

impl Phones {
    /// Live bindings as they are kept.
    pub(crate) fn stored(&self, w: &World, now: Now) -> Vec<StoredBinding> {
        let live = |b: &&Binding| b.expires > w.steady_at(now);
        self.bindings.all().into_iter().filter(live).map(|b| b.stored(w, now)).collect()
    }
}
