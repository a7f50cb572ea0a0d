//! An address of record (RFC 3261 §6): a user and a domain. They are kept apart from the URI on:
//! a user may hold an `@` of its own (`sip:a%40b@example.com`), and text cannot tell whose it is.

use super::Uri;
use super::uri::unescape;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A user of a domain.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
pub struct Aor {
    /// The user, escapes undone.
    pub user: String,
    /// The domain as written.
    pub domain: String,
}

impl Aor {
    /// A user (escapes undone) of a domain.
    #[must_use]
    pub fn new(user: impl Into<String>, domain: impl Into<String>) -> Self {
        Self { user: user.into(), domain: domain.into() }
    }
}

/// `user@domain`, the user escaped: the one `@` stands between them.
impl fmt::Display for Aor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", Uri::escape_user(&self.user), self.domain)
    }
}

impl From<Aor> for String {
    fn from(aor: Aor) -> Self {
        aor.to_string()
    }
}

/// Reads what [`Display`](fmt::Display) wrote. Earlier journals hold users that were not escaped:
/// there the last `@` is the domain's.
impl From<String> for Aor {
    fn from(text: String) -> Self {
        let (user, domain) = text.rsplit_once('@').unwrap_or((&text, ""));
        Self::new(unescape(user), domain)
    }
}

impl From<&str> for Aor {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_at_of_the_user_is_not_the_domains() {
        let aor = Aor::new("a@b", "example.com");
        assert_eq!(aor.to_string(), "a%40b@example.com");
        assert_eq!(Aor::from(aor.to_string()), aor);
        assert_eq!(Aor::from("a@b@example.com".to_owned()), aor, "an earlier journal");
        assert_eq!(serde_json::to_string(&aor).unwrap(), "\"a%40b@example.com\"");
        assert_eq!(Aor::from("101".to_owned()), Aor::new("101", ""));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_as_the_same(user in "\\PC{0,20}", domain in "[a-z0-9.\\[\\]:-]{0,20}") {
            let aor = Aor::new(user, domain);
            prop_assert_eq!(Aor::from(aor.to_string()), aor);
        }
    }
}
