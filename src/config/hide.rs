//! `[hide]`: what of a phone's own words about itself outsiders see.

use super::parse::section;
use super::reader::{Section, Source};
use crate::ground::words;

words! {
    /// What becomes of User-Agent and Server outwards.
    pub enum AgentShown {
        /// They pass without MAC addresses and serial numbers.
        Pass = "pass",
        /// They are removed.
        Remove = "remove",
    }
}

/// `[hide]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hide {
    /// User-Agent and Server outwards.
    pub user_agent: AgentShown,
}

impl Default for Hide {
    fn default() -> Self {
        Self { user_agent: AgentShown::Pass }
    }
}

pub(super) fn hide(top: &mut Section<'_, '_>, src: &mut Source<'_>) -> Hide {
    let read = section(top, "hide", "[hide]", src, |s, src| {
        let words = AgentShown::ALL.map(|word| (word.as_str(), word));
        s.word("user_agent", &words, src)
    });
    read.flatten().map_or_else(Hide::default, |user_agent| Hide { user_agent })
}
