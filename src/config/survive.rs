//! `[survive]`: what the site does while no target of an upstream answers. Read and checked here;
//! what it means stands in `engine::alone`.

use super::parse::section;
use super::reader::{Section, Source};
use crate::ground::words;
use std::time::Duration;

/// Nothing heard for so long, after something should have been.
const AFTER: Duration = Duration::from_secs(2);
/// It has to answer for so long before it is relied on again.
const HOLD: Duration = Duration::from_secs(5);

words! {
    /// How a phone is proved while who knows its password cannot be asked.
    pub enum SurviveAuth {
        /// By the network: only an address, Contact and user that the upstream confirmed before.
        Network = "network",
        /// By digest, against a file of users, whatever `registrar.digest` says.
        Users = "users",
        /// No phone is: the site does not survive alone.
        Off = "off",
    }
}

/// `[survive]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survive {
    /// How phones are proved.
    pub auth: SurviveAuth,
    /// File of `user:realm:HA1[:HA1-SHA-256]` lines, for [`SurviveAuth::Users`].
    pub users_file: Option<String>,
    /// An upstream that should have answered and of which nothing is heard for so long is alone
    /// from then on, 1 s to 60 s.
    pub after: Duration,
    /// It has to answer for so long before it serves again, 1 s to 10 min.
    pub hold: Duration,
}

impl Default for Survive {
    fn default() -> Self {
        Self { auth: SurviveAuth::Network, users_file: None, after: AFTER, hold: HOLD }
    }
}

impl Survive {
    /// The site survives alone.
    #[must_use]
    pub fn is_on(&self) -> bool {
        match self.auth {
            SurviveAuth::Network | SurviveAuth::Users => true,
            SurviveAuth::Off => false,
        }
    }
}

pub(super) fn survive(top: &mut Section<'_, '_>, src: &mut Source<'_>) -> Survive {
    let mut survive = Survive::default();
    section(top, "survive", "[survive]", src, |s, src| {
        let words = SurviveAuth::ALL.map(|word| (word.as_str(), word));
        survive.auth = s.word("auth", &words, src).unwrap_or(survive.auth);
        // `enabled = false` says the same as `auth = "off"`.
        if s.boolean("enabled", src) == Some(false) {
            survive.auth = SurviveAuth::Off;
        }
        survive.users_file = s.string("users", src);
        survive.after = s.duration("after", src).unwrap_or(survive.after);
        survive.hold = s.duration("hold", src).unwrap_or(survive.hold);
        for (key, value, most) in [("after", survive.after, 60), ("hold", survive.hold, 600)] {
            if !(Duration::from_secs(1)..=Duration::from_secs(most)).contains(&value) {
                let what = format!("`{key}` is not between 1s and {most}s");
                src.fault("out-of-range", s.span_of(key), what, None);
            }
        }
        if survive.auth == SurviveAuth::Users && survive.users_file.is_none() {
            s.missing("users", "the file of users, as \"/etc/portreeve/users\"", src);
        }
    });
    survive
}

/// The section as `config show` writes it.
pub(super) fn show(survive: &Survive) -> String {
    let Survive { auth, users_file, after, hold } = survive;
    let users = users_file.as_ref().map(|f| format!("users = {f:?}\n")).unwrap_or_default();
    let (after, hold) = (after.as_millis(), hold.as_millis());
    format!("\n[survive]\nauth = \"{auth}\"\n{users}after = \"{after}ms\"\nhold = \"{hold}ms\"\n")
}
