//! Header names: known ones as an enum, compact forms folded in, unknown ones kept as written.

use std::fmt;

/// A header name. Compare with `==`; `Other` compares case-insensitively.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are the headers")]
pub enum Name {
    Via,
    From,
    To,
    CallId,
    CSeq,
    Contact,
    MaxForwards,
    Route,
    RecordRoute,
    ContentType,
    ContentLength,
    ContentEncoding,
    ContentDisposition,
    Expires,
    MinExpires,
    Authorization,
    ProxyAuthorization,
    WwwAuthenticate,
    ProxyAuthenticate,
    Allow,
    AllowEvents,
    Accept,
    Supported,
    Require,
    ProxyRequire,
    Unsupported,
    UserAgent,
    Server,
    Event,
    SubscriptionState,
    ReferTo,
    ReferredBy,
    Replaces,
    TargetDialog,
    InReplyTo,
    ReplyTo,
    Path,
    ServiceRoute,
    Privacy,
    PAssertedIdentity,
    PPreferredIdentity,
    RemotePartyId,
    Diversion,
    HistoryInfo,
    Reason,
    RetryAfter,
    Warning,
    SessionExpires,
    MinSe,
    RAck,
    RSeq,
    Subject,
    Organization,
    CallInfo,
    AlertInfo,
    ErrorInfo,
    Date,
    Timestamp,
    MimeVersion,
    Identity,
    /// Any other name, as written.
    Other(Box<str>),
}

/// Name, long form, compact form (RFC 3261 §7.3.3; empty: none).
const KNOWN: [(Name, &str, &str); 60] = [
    (Name::Via, "Via", "v"),
    (Name::From, "From", "f"),
    (Name::To, "To", "t"),
    (Name::CallId, "Call-ID", "i"),
    (Name::CSeq, "CSeq", ""),
    (Name::Contact, "Contact", "m"),
    (Name::MaxForwards, "Max-Forwards", ""),
    (Name::Route, "Route", ""),
    (Name::RecordRoute, "Record-Route", ""),
    (Name::ContentType, "Content-Type", "c"),
    (Name::ContentLength, "Content-Length", "l"),
    (Name::ContentEncoding, "Content-Encoding", "e"),
    (Name::ContentDisposition, "Content-Disposition", ""),
    (Name::Expires, "Expires", ""),
    (Name::MinExpires, "Min-Expires", ""),
    (Name::Authorization, "Authorization", ""),
    (Name::ProxyAuthorization, "Proxy-Authorization", ""),
    (Name::WwwAuthenticate, "WWW-Authenticate", ""),
    (Name::ProxyAuthenticate, "Proxy-Authenticate", ""),
    (Name::Allow, "Allow", ""),
    (Name::AllowEvents, "Allow-Events", "u"),
    (Name::Accept, "Accept", ""),
    (Name::Supported, "Supported", "k"),
    (Name::Require, "Require", ""),
    (Name::ProxyRequire, "Proxy-Require", ""),
    (Name::Unsupported, "Unsupported", ""),
    (Name::UserAgent, "User-Agent", ""),
    (Name::Server, "Server", ""),
    (Name::Event, "Event", "o"),
    (Name::SubscriptionState, "Subscription-State", ""),
    (Name::ReferTo, "Refer-To", "r"),
    (Name::ReferredBy, "Referred-By", "b"),
    (Name::Replaces, "Replaces", ""),
    (Name::TargetDialog, "Target-Dialog", ""),
    (Name::InReplyTo, "In-Reply-To", ""),
    (Name::ReplyTo, "Reply-To", ""),
    (Name::Path, "Path", ""),
    (Name::ServiceRoute, "Service-Route", ""),
    (Name::Privacy, "Privacy", ""),
    (Name::PAssertedIdentity, "P-Asserted-Identity", ""),
    (Name::PPreferredIdentity, "P-Preferred-Identity", ""),
    (Name::RemotePartyId, "Remote-Party-ID", ""),
    (Name::Diversion, "Diversion", ""),
    (Name::HistoryInfo, "History-Info", ""),
    (Name::Reason, "Reason", ""),
    (Name::RetryAfter, "Retry-After", ""),
    (Name::Warning, "Warning", ""),
    (Name::SessionExpires, "Session-Expires", "x"),
    (Name::MinSe, "Min-SE", ""),
    (Name::RAck, "RAck", ""),
    (Name::RSeq, "RSeq", ""),
    (Name::Subject, "Subject", "s"),
    (Name::Organization, "Organization", ""),
    (Name::CallInfo, "Call-Info", ""),
    (Name::AlertInfo, "Alert-Info", ""),
    (Name::ErrorInfo, "Error-Info", ""),
    (Name::Date, "Date", ""),
    (Name::Timestamp, "Timestamp", ""),
    (Name::MimeVersion, "MIME-Version", ""),
    (Name::Identity, "Identity", "y"),
];

/// Compact forms of names that need no variant: a rule that strips the long form must find them.
const COMPACT: [(&str, &str); 4] = [
    ("a", "Accept-Contact"),
    ("d", "Request-Disposition"),
    ("j", "Reject-Contact"),
    ("n", "Identity-Info"),
];

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Other(a), Self::Other(b)) => a.eq_ignore_ascii_case(b),
            (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b),
        }
    }
}
impl Eq for Name {}

impl Name {
    /// Reads a name (long or compact form, any case).
    #[must_use]
    pub fn parse(name: &str) -> Self {
        let hit = |long: &str, compact: &str| {
            if name.len() == 1 {
                compact.eq_ignore_ascii_case(name)
            } else {
                long.eq_ignore_ascii_case(name)
            }
        };
        if let Some((known, _, _)) = KNOWN.iter().find(|(_, long, compact)| hit(long, compact)) {
            return known.clone();
        }
        let long = COMPACT.iter().find(|(compact, _)| compact.eq_ignore_ascii_case(name));
        Self::Other(long.map_or(name, |(_, long)| long).into())
    }

    /// The long form as the RFCs write it; an unknown name as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Via => "Via",
            Self::From => "From",
            Self::To => "To",
            Self::CallId => "Call-ID",
            Self::CSeq => "CSeq",
            Self::Contact => "Contact",
            Self::MaxForwards => "Max-Forwards",
            Self::Route => "Route",
            Self::RecordRoute => "Record-Route",
            Self::ContentType => "Content-Type",
            Self::ContentLength => "Content-Length",
            Self::ContentEncoding => "Content-Encoding",
            Self::ContentDisposition => "Content-Disposition",
            Self::Expires => "Expires",
            Self::MinExpires => "Min-Expires",
            Self::Authorization => "Authorization",
            Self::ProxyAuthorization => "Proxy-Authorization",
            Self::WwwAuthenticate => "WWW-Authenticate",
            Self::ProxyAuthenticate => "Proxy-Authenticate",
            Self::Allow => "Allow",
            Self::AllowEvents => "Allow-Events",
            Self::Accept => "Accept",
            Self::Supported => "Supported",
            Self::Require => "Require",
            Self::ProxyRequire => "Proxy-Require",
            Self::Unsupported => "Unsupported",
            Self::UserAgent => "User-Agent",
            Self::Server => "Server",
            Self::Event => "Event",
            Self::SubscriptionState => "Subscription-State",
            Self::ReferTo => "Refer-To",
            Self::ReferredBy => "Referred-By",
            Self::Replaces => "Replaces",
            Self::TargetDialog => "Target-Dialog",
            Self::InReplyTo => "In-Reply-To",
            Self::ReplyTo => "Reply-To",
            Self::Path => "Path",
            Self::ServiceRoute => "Service-Route",
            Self::Privacy => "Privacy",
            Self::PAssertedIdentity => "P-Asserted-Identity",
            Self::PPreferredIdentity => "P-Preferred-Identity",
            Self::RemotePartyId => "Remote-Party-ID",
            Self::Diversion => "Diversion",
            Self::HistoryInfo => "History-Info",
            Self::Reason => "Reason",
            Self::RetryAfter => "Retry-After",
            Self::Warning => "Warning",
            Self::SessionExpires => "Session-Expires",
            Self::MinSe => "Min-SE",
            Self::RAck => "RAck",
            Self::RSeq => "RSeq",
            Self::Subject => "Subject",
            Self::Organization => "Organization",
            Self::CallInfo => "Call-Info",
            Self::AlertInfo => "Alert-Info",
            Self::ErrorInfo => "Error-Info",
            Self::Date => "Date",
            Self::Timestamp => "Timestamp",
            Self::MimeVersion => "MIME-Version",
            Self::Identity => "Identity",
            Self::Other(name) => name,
        }
    }

    /// For phrases and records: an endless name is not repeated.
    pub(super) fn for_people(&self) -> &str {
        Some(self.as_str()).filter(|name| name.len() <= 64).unwrap_or("Header")
    }

    /// Headers that may stand once only; a second one is ambiguous and refused.
    #[must_use]
    pub(crate) fn is_single(&self) -> bool {
        matches!(
            self,
            Self::To
                | Self::From
                | Self::CallId
                | Self::CSeq
                | Self::MaxForwards
                | Self::ContentLength
                | Self::ContentType
        )
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_compact_and_odd_case_mean_the_same() {
        for (name, long, compact) in &KNOWN {
            assert_eq!(Name::parse(&long.to_uppercase()), *name);
            assert_eq!(name.as_str(), *long);
            if !compact.is_empty() {
                assert_eq!(Name::parse(&compact.to_uppercase()), *name);
            }
        }
        assert_eq!(Name::parse("x-Thing"), Name::Other("X-THING".into()));
        assert_ne!(Name::parse("q"), Name::Via);
    }
}
