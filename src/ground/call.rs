//! Words for calls that every layer speaks: a call's number, and which end of it is meant.

use super::words::words;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The gateway's number of a call, as in records and commands. Counted from 1; never reused as long
/// as the state folder is the same.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct CallNo(pub u64);

impl fmt::Display for CallNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

words! {
    /// The two legs of a call and of its streams.
    pub enum Leg {
        /// The leg towards the caller of the pass.
        Caller = "caller",
        /// The leg towards the callee of the pass.
        Callee = "callee",
    }
}

impl Leg {
    /// The opposite leg.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Caller => Self::Callee,
            Self::Callee => Self::Caller,
        }
    }

    /// 0 for the caller, 1 for the callee.
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }
}

words! {
    /// Which way a call goes, as seen from the site.
    pub enum CallDirection {
        /// A phone calls the outside.
        Outbound = "outbound",
        /// The outside calls a phone.
        Inbound = "inbound",
        /// A phone calls a phone, and nobody outside is asked.
        Internal = "internal",
    }
}
