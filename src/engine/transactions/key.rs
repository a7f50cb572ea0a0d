//! Which transaction a message belongs to (RFC 3261 §17.2.3). It reads fields that
//! `wire::sip::Message::parse` has already checked; the engine looks the key up.
use crate::wire::sip::{Message, Method, Via};
use sha2::{Digest, Sha256};

/// Prefix of branches made by RFC 3261 elements; what follows it must not be empty.
const MAGIC_COOKIE: &str = "z9hG4bK";
/// Between fields; no header value that was let in holds it.
const BETWEEN: char = '\n';
/// Longer keys are kept as their hash, so that a table's entries stay small whatever is sent.
const LONGEST: usize = 192;

/// Server side: branch, sent-by, method (ACK counts as INVITE), Call-ID and CSeq number, or for RFC
/// 2543 requests the fields of §17.2.3's second list. CANCEL has its own transaction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerKey(pub String);

impl ServerKey {
    /// The key of a request with this top Via.
    #[must_use]
    pub fn of(request: &Message, via: &Via) -> Self {
        match request.method() == &Method::Ack {
            true => Self::with(request, via, Method::Invite.as_str()),
            false => Self::with(request, via, request.method().as_str()),
        }
    }

    /// The key of the INVITE that this CANCEL is for (nothing else can be cancelled, §9.1).
    #[must_use]
    pub fn cancelled_by(cancel: &Message, via: &Via) -> Self {
        Self::with(cancel, via, Method::Invite.as_str())
    }

    fn with(request: &Message, via: &Via, method: &str) -> Self {
        if is_unique(via.branch()) {
            Self::by_branch(request, via, method)
        } else {
            Self::by_fields(request, &via.to_string(), method)
        }
    }

    /// "1. the branch parameter in the request is the same …, 2. the sent-by value in the top Via
    /// …, and 3. the method of the request matches …, except for ACK". Call-ID and CSeq number are
    /// the same in whatever comes again, in an ACK and in a CANCEL; who gave the branch to another
    /// request is not answered with the first one's answer.
    fn by_branch(request: &Message, via: &Via, method: &str) -> Self {
        let host = via.host.to_ascii_lowercase();
        let port = via.port.unwrap_or(5060).to_string();
        let (branch, seq) = (via.branch().unwrap_or_default(), request.cseq().seq.to_string());
        Self(join(&[branch, &host, &port, method, request.call_id(), &seq]))
    }

    /// Request-URI, tags, Call-ID, CSeq number and top Via. The To tag of an INVITE is left out:
    /// its ACK carries the answer's tag instead. And that of a CANCEL: one INVITE has one.
    fn by_fields(request: &Message, via: &str, method: &str) -> Self {
        let to_tag = match [Method::Invite.as_str(), Method::Cancel.as_str()].contains(&method) {
            true => "",
            false => request.to_tag().unwrap_or_default(),
        };
        let fields = [
            request.uri(),
            to_tag,
            request.from_tag().unwrap_or_default(),
            request.call_id(),
            &request.cseq().seq.to_string(),
            via,
            method,
        ];
        Self(join(&fields))
    }
}

/// True when the branch promises to be unique (RFC 3261 §8.1.1.7); the bare cookie does not.
fn is_unique(branch: Option<&str>) -> bool {
    let Some(branch) = branch else { return false };
    let cookie = branch.as_bytes().get(..MAGIC_COOKIE.len());
    branch.len() > MAGIC_COOKIE.len()
        && cookie.is_some_and(|c| c.eq_ignore_ascii_case(MAGIC_COOKIE.as_bytes()))
}

fn join(fields: &[&str]) -> String {
    let mut key = String::new();
    for (n, field) in fields.iter().enumerate() {
        if n > 0 {
            key.push(BETWEEN);
        }
        key.push_str(field);
    }
    if key.len() <= LONGEST {
        return key;
    }
    let hash = Sha256::digest(key.as_bytes());
    hash.iter().map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::sip::{Framing, Name};
    use bytes::Bytes;

    fn request(method: &str, via: &str, to: &str) -> Message {
        let text = format!(
            "{method} sip:bob@example.net SIP/2.0\r\nVia: {via}\r\nMax-Forwards: 70\r\n\
             From: <sip:alice@example.com>;tag=a1\r\nTo: <sip:bob@example.net>{to}\r\n\
             Call-ID: c1\r\nCSeq: 7 {method}\r\nContent-Length: 0\r\n\r\n"
        );
        Message::parse(Bytes::from(text), Framing::Datagram).expect("well formed")
    }

    fn key_of(request: &Message) -> ServerKey {
        ServerKey::of(request, &top(request))
    }

    fn top(request: &Message) -> Via {
        request.list(&Name::Via).next().and_then(Via::parse).expect("a Via")
    }

    const VIA: &str = "SIP/2.0/UDP Host.example.com;branch=z9hG4bKx1";
    const OLD: &str = "SIP/2.0/UDP host.example.com";

    #[test]
    fn a_retransmission_has_the_key_of_the_request() {
        for via in [VIA, OLD] {
            let once = key_of(&request("BYE", via, ";tag=b1"));
            assert_eq!(once, key_of(&request("BYE", via, ";tag=b1")));
        }
    }

    #[test]
    fn sent_by_compares_without_case_and_with_the_default_port() {
        let same = "SIP/2.0/UDP host.EXAMPLE.com:5060;branch=z9hG4bKx1";
        assert_eq!(key_of(&request("BYE", VIA, "")), key_of(&request("BYE", same, "")));
        let other = "SIP/2.0/UDP host.example.com:5062;branch=z9hG4bKx1";
        assert_ne!(key_of(&request("BYE", VIA, "")), key_of(&request("BYE", other, "")));
    }

    #[test]
    fn an_ack_to_a_refusal_has_the_key_of_its_invite() {
        for via in [VIA, OLD] {
            let invite = key_of(&request("INVITE", via, ""));
            assert_eq!(invite, key_of(&request("ACK", via, ";tag=answer")));
        }
    }

    #[test]
    fn a_cancel_has_its_own_key_and_names_its_invite() {
        for via in [VIA, OLD] {
            let invite = key_of(&request("INVITE", via, ""));
            let cancel = request("CANCEL", via, "");
            assert_ne!(invite, key_of(&cancel));
            assert_eq!(invite, ServerKey::cancelled_by(&cancel, &top(&cancel)));
            assert_eq!(key_of(&cancel), key_of(&request("CANCEL", via, ";tag=x")));
        }
    }

    #[test]
    fn requests_of_different_branches_or_methods_differ() {
        let key = |method, via| key_of(&request(method, via, ""));
        assert_ne!(
            key("INVITE", VIA),
            key("INVITE", "SIP/2.0/UDP host.example.com;branch=z9hG4bKx2")
        );
        assert_ne!(key("OPTIONS", VIA), key("INFO", VIA));
        assert_ne!(key("OPTIONS", OLD), key("INFO", OLD));
        let bare = "SIP/2.0/UDP host.example.com;branch=z9hG4bK";
        assert_ne!(key("BYE", OLD), key("BYE", bare), "the whole Via counts without a cookie");
    }

    #[test]
    fn a_branch_is_unique_only_with_something_after_the_cookie() {
        assert!(is_unique(Some("z9hG4bKnashds8")));
        assert!(is_unique(Some("Z9HG4BKnashds8")), "tokens compare without case");
        assert!(!is_unique(Some("z9hG4bK")), "RFC 4475's badbranch");
        assert!(!is_unique(Some("1")));
        assert!(!is_unique(Some("")));
        assert!(!is_unique(None));
    }

    #[test]
    fn a_long_key_is_kept_as_its_hash() {
        let long = "x".repeat(8000);
        assert_eq!(join(&[&long, "INVITE"]).len(), 64);
        assert_ne!(join(&[&long, "INVITE"]), join(&[&long, "BYE"]));
        assert_eq!(join(&["a", "b"]), "a\nb");
    }
}
