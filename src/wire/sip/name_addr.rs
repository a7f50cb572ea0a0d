//! name-addr and addr-spec values: From, To, Contact, Route … (RFC 3261 §20.10).

use super::raw::RawNameAddr;
use super::{Params, Uri};
use std::fmt;

/// `"Display" <uri>;params`, or `uri;params` (then parameters are the header's, §20.10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameAddr {
    /// Display name as written (with its quotes), without trailing space; Latin-1 became UTF-8.
    pub display: Option<String>,
    /// The URI.
    pub uri: Uri,
    /// Header parameters (`tag`, `expires`, `q` …).
    pub params: Params,
}

impl NameAddr {
    /// Reads one value (no list); `None` when it is broken. `Contact: *` is not one.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        RawNameAddr::read(value).map(|name| name.owned())
    }

    /// `<uri>` without display name and parameters.
    #[must_use]
    pub fn of(uri: Uri) -> Self {
        Self { display: None, uri, params: Params::default() }
    }

    /// The `tag` parameter.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.params.get("tag")
    }
}

/// Always prints the bracketed form.
impl fmt::Display for NameAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(display) = &self.display {
            f.write_str(display)?;
            f.write_str(" ")?;
        }
        f.write_str("<")?;
        self.uri.fmt(f)?;
        f.write_str(">")?;
        self.params.fmt(f)
    }
}
