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
    pub fn from_token(token: &str) -> Self {
        match token {
            "INVITE" => Self::Invite,
            "ACK" => Self::Ack,
            "BYE" => Self::Bye,
            "CANCEL" => Self::Cancel,
            "REGISTER" => Self::Register,
            "OPTIONS" => Self::Options,
            "PRACK" => Self::Prack,
            "SUBSCRIBE" => Self::Subscribe,
            "NOTIFY" => Self::Notify,
            "PUBLISH" => Self::Publish,
            "INFO" => Self::Info,
            "REFER" => Self::Refer,
            "MESSAGE" => Self::Message,
            "UPDATE" => Self::Update,
            other => Self::Other(other.into()),
        }
    }

    /// The token.
    #[must_use]
    #[expect(clippy::wildcard_enum_match_arm, reason = "the rest is alike")]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Other(token) => token,
            known => known.label(),
        }
    }

    /// The known method that this one is but for the case of its letters. Names are case-sensitive
    /// (RFC 3261 §7.1), so it is another one to us, and may be the known one to who is behind us.
    #[must_use]
    pub fn in_other_case(&self) -> Option<Self> {
        let Self::Other(token) = self else { return None };
        let known = Self::from_token(&token.to_ascii_uppercase());
        (!matches!(known, Self::Other(_))).then_some(known)
    }

    /// Metric label: the method's own name, or `other`.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Invite => "INVITE",
            Self::Ack => "ACK",
            Self::Bye => "BYE",
            Self::Cancel => "CANCEL",
            Self::Register => "REGISTER",
            Self::Options => "OPTIONS",
            Self::Prack => "PRACK",
            Self::Subscribe => "SUBSCRIBE",
            Self::Notify => "NOTIFY",
            Self::Publish => "PUBLISH",
            Self::Info => "INFO",
            Self::Refer => "REFER",
            Self::Message => "MESSAGE",
            Self::Update => "UPDATE",
            Self::Other(_) => "other",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
