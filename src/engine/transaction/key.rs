//! Which transaction a message belongs to (RFC 3261 §17.1.3, §17.2.3).
use crate::wire::sip::Message;

/// Server side: branch + sent-by + method (ACK counts as INVITE), or for RFC 2543 requests the
/// fields of §17.2.3's second list. CANCEL has its own transaction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerKey(pub String);

/// Client side: our branch and the method of CSeq (ACK never).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientKey(pub String);

impl ServerKey {
    /// The key of a request.
    #[must_use]
    pub fn of(_request: &Message) -> Self {
        todo!()
    }
    /// The key of the INVITE (or other request) that this CANCEL is for.
    #[must_use]
    pub fn cancelled_by(_cancel: &Message) -> Self {
        todo!()
    }
}
