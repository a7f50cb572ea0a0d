//! Methods: an open set (RFC 3261 §7.1); names are case-sensitive tokens.
use std::fmt;

/// A request method.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the methods")]
pub enum Method {
    Invite,
    Ack,
    Bye,
    Cancel,
    Register,
    Options,
    Prack,
    Subscribe,
    Notify,
    Publish,
    Info,
    Refer,
    Message,
    Update,
    /// Any other token.
    Other(Box<str>),
}

impl Method {
    /// From a token already known to be valid.
    #[must_use]
    pub fn from_token(_token: &str) -> Self {
        todo!()
    }
    /// The token.
    #[must_use]
    pub fn as_str(&self) -> &str {
        todo!()
    }
    /// Metric label: the lower-case... the method's own name, or `other`.
    #[must_use]
    pub fn label(&self) -> &'static str {
        todo!()
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
