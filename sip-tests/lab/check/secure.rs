//! What began by `sips:` never leaves TLS (RFC 5630 §5.3), whatever of it is sent on. It learns that
//! from what callers ask for, not from what the gateway makes of it.

use super::super::{Msg, message};
use super::row;
use std::collections::BTreeSet;

/// Whoever calls for help is put through by any way.
const HELP: &str = "sips:112@";

/// Calls that began so.
#[derive(Debug, Default)]
pub(super) struct Secure {
    /// Tags of their callers: those cross as they are.
    callers: BTreeSet<String>,
    /// The answer that came in this step, by its caller's tag and CSeq.
    answer: Option<(String, String)>,
}

impl Secure {
    /// Something is given to the gateway.
    pub(super) fn came(&mut self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        let head = text.split("\r\n\r\n").next().unwrap_or_default();
        let tag = |names| {
            let value = row(head, names)?;
            message::param(&value, "tag").map(str::to_owned)
        };
        let (from, to) = (tag(["from", "f"]), tag(["to", "t"]));
        let cseq = row(head, ["cseq", "cseq"]).unwrap_or_default();
        if head.starts_with("SIP/2.0") {
            self.answer = from.map(|from| (from, cseq));
            return;
        }
        self.answer = None;
        let uri = head.split(' ').nth(1).unwrap_or_default();
        let begins = cseq.ends_with(" INVITE") || cseq.ends_with(" SUBSCRIBE");
        if begins && to.is_none() && uri.starts_with("sips:") && !uri.starts_with(HELP) {
            self.callers.extend(from);
        }
    }

    /// Nothing came that causes what is sent now.
    pub(super) fn step_is_over(&mut self) {
        self.answer = None;
    }

    /// Requests, and answers that are passed on, go by TLS. A refusal of ours goes back to whoever
    /// asked, for he may be nobody of the call.
    pub(super) fn stays(&mut self, msg: &Msg) {
        let tag = |name| {
            let value = msg.all(name).first().copied().unwrap_or_default();
            message::param(value, "tag").unwrap_or_default().to_owned()
        };
        let (from, to) = (tag("From"), tag("To"));
        if msg.is_request() && to.is_empty() && msg.uri().starts_with("sips:") {
            self.callers.insert(from.clone());
        }
        let is_theirs = self.callers.contains(&from) || self.callers.contains(&to);
        let cseq = msg.all("CSeq").first().copied().unwrap_or_default();
        let passes = || self.answer.as_ref().is_some_and(|(f, c)| *f == from && c == cseq);
        let by = msg.flow.transport;
        let may = by.is_secure() || !is_theirs || !msg.is_request() && !passes();
        assert!(may, "of a secure call, by {by}:\n{msg}");
    }
}
