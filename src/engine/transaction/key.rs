//! Which transaction a message belongs to (RFC 3261 §17.1.3, §17.2.3).

use crate::wire::sip::{Message, Method, Name, Via};

/// Server side: branch + sent-by + method (ACK counts as INVITE), or for RFC 2543 requests the
/// fields of §17.2.3's second list. CANCEL has its own transaction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerKey(pub String);

/// What every RFC 3261 branch begins with.
const COOKIE: &str = "z9hG4bK";

impl ServerKey {
    /// The key of a request.
    #[must_use]
    pub fn of(request: &Message) -> Self {
        let method = match request.method() {
            Method::Ack => "INVITE",
            other => other.as_str(),
        };
        Self::with(request, method)
    }

    /// The key of the INVITE that this CANCEL is for (§9.2).
    #[must_use]
    pub fn cancelled_by(cancel: &Message) -> Self {
        Self::with(cancel, "INVITE")
    }

    fn with(request: &Message, method: &str) -> Self {
        let top = request.list(&Name::Via).next();
        let via = top.and_then(Via::parse);
        let branch = via.as_ref().and_then(Via::branch).unwrap_or_default();
        if let Some(via) = via.as_ref().filter(|_| branch.len() > COOKIE.len())
            && branch.get(..COOKIE.len()).is_some_and(|c| c.eq_ignore_ascii_case(COOKIE))
        {
            let host = via.host.to_ascii_lowercase();
            let port = via.port.unwrap_or(5060);
            return Self(format!("{branch}|{host}|{port}|{method}"));
        }
        // RFC 2543: To's tag is left out, for an ACK has the one that our answer added.
        Self(format!(
            "{}|{}|{}|{}|{}|{method}",
            request.uri(),
            request.from_tag().unwrap_or_default(),
            request.call_id(),
            request.cseq().seq,
            String::from_utf8_lossy(top.unwrap_or_default()),
        ))
    }
}
