//! Bindings for whoever keeps or shows them: read when asked, changed never.

use super::{Binding, Phones};
use crate::engine::entry::StoredBinding;
use crate::ground::Wall;

impl Phones {
    /// Live bindings as they are kept.
    pub(crate) fn stored(&self, now: Wall) -> Vec<StoredBinding> {
        let all = self.bindings.all().into_iter().filter(|b| b.expires > now);
        all.map(Binding::stored).collect()
    }
}
