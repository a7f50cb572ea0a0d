//! Names for what the engine counts: each thing its own type, so that none is taken for another.
//! They are local to a run and never leave it.

pub(crate) use crate::ground::UpstreamId;

/// Makes counters' types.
macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
            pub(crate) struct $name(u64);

            impl $name {
                /// Numbered by whoever keeps the table.
                pub(super) fn new(n: u64) -> Self {
                    Self(n)
                }
            }
        )+
    };
}

ids! {
    /// A server transaction.
    ServerId,
    /// A client transaction.
    ClientId,
    /// One crossing of the gateway by one request.
    PassId,
}

/// Hands out numbers from 1.
#[derive(Debug, Default)]
pub(crate) struct Counter(u64);

impl Counter {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }

    /// Numbers up to this one are taken.
    pub(crate) fn pass(&mut self, taken: u64) {
        self.0 = self.0.max(taken);
    }
}
