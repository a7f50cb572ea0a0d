//! The two sides of the gate.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Where a party stands, as seen from the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The trusted site: phones. The proxy server faces it.
    Inside,
    /// PBX, trunk, Internet. The proxy client faces it.
    Outside,
}

impl Side {
    /// Both sides, in the order of metric labels.
    pub const ALL: [Self; 2] = [Self::Inside, Self::Outside];

    /// The word used in configuration, metrics and records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inside => "inside",
            Self::Outside => "outside",
        }
    }

    /// Position in [`Side::ALL`].
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }

    /// The other side.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Inside => Self::Outside,
            Self::Outside => Self::Inside,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
