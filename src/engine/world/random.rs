//! Unguessable names (branches, tags) from one seed: a SHA-256 counter stream. The seed is an
//! argument, so a simulation repeats itself.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use std::cell::Cell;

/// A deterministic stream of names.
pub(crate) struct Random {
    seed: [u8; 32],
    /// Blocks taken.
    counter: Cell<u64>,
}

impl Random {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self { seed, counter: Cell::new(0) }
    }

    fn block(&self) -> [u8; 32] {
        self.counter.set(self.counter.get() + 1);
        let mut h = Sha256::new();
        h.update(self.seed);
        h.update(self.counter.get().to_be_bytes());
        h.finalize().into()
    }

    /// 72 bits as twelve characters that are safe in every SIP token but `-` and `_`, which are
    /// too.
    pub(crate) fn name(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.block().get(..9).unwrap_or_default())
    }

    pub(crate) fn number(&self) -> u64 {
        let b = self.block();
        u64::from_be_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]])
    }

    /// A name derived from `parts` and the seed: equal parts give equal names (stateless tags,
    /// loop detection).
    pub(crate) fn derived(&self, parts: &[&[u8]]) -> String {
        let mut h = Sha256::new();
        h.update(self.seed);
        for p in parts {
            h.update(p.len().to_be_bytes());
            h.update(p);
        }
        let b: [u8; 32] = h.finalize().into();
        URL_SAFE_NO_PAD.encode(b.get(..9).unwrap_or_default())
    }
}
