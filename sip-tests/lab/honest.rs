//! Honest calls among adversaries: each message that a party of one sends bears its mark, in Subject,
//! and it must hear nothing but what the other party marked, or what a proxy says of its own.

use super::adversary::DENIED;
use super::{Msg, message, s};
use bytes::Bytes;
use portreeve::ground::{Flow, Mono};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

/// What an adversary writes where honest parties write their mark.
pub(crate) const EVIL: &str = "evil";
/// Messages of honest parties that are remembered.
const OVERHEARD: usize = 60;

/// A party's mark: the call, and which of the two it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    call: usize,
    caller: bool,
}

impl Mark {
    fn text(self) -> String {
        format!("h{}{}", self.call, if self.caller { "a" } else { "b" })
    }

    fn of_the_other(self) -> Self {
        Self { caller: !self.caller, ..self }
    }
}

/// One call, as far as a CANCEL may be right.
#[derive(Clone, Copy, Debug)]
struct Call {
    impatient: bool,
    began: Mono,
}

#[derive(Debug, Default)]
pub(crate) struct Honest {
    marks: BTreeMap<String, Mark>,
    calls: Vec<Call>,
    /// Addresses of adversaries.
    pub(crate) foes: BTreeSet<SocketAddr>,
    /// The gateway itself ends calls and gives up branches: it fares badly, or is told to.
    pub(crate) stormy: bool,
    /// What was sent to them.
    pub(crate) foreign: Vec<Msg>,
    /// What honest parties have sent of late: adversaries may know it all.
    pub(crate) overheard: VecDeque<Msg>,
    /// Branches of requests that adversaries began: their CANCEL and ACK bear no Subject.
    theirs: BTreeSet<String>,
    /// Branches of requests in calls of adversaries: a phone cannot know whose call it takes.
    taken: BTreeSet<String>,
}

impl Honest {
    /// A message for an adversary: at his address, or in a call of his behind the PBX.
    pub(crate) fn is_foes(&self, msg: &Msg) -> bool {
        let call_id = msg.all("Call-ID").first().copied().unwrap_or_default();
        self.foes.contains(&msg.flow.peer) || call_id.starts_with(EVIL)
    }

    /// What leaves the site names no host of it, and no number that a rule denies.
    #[track_caller]
    pub(crate) fn leaves(msg: &Msg) {
        let text = msg.to_string();
        assert!(!text.contains("corp.test"), "a host of the inside leaves:\n{text}");
        let called = msg.is_request() && msg.uri().contains(DENIED);
        assert!(!called, "a denied number is dialled:\n{text}");
    }

    /// Remembers what an adversary began outside of dialogs.
    pub(crate) fn sees(&mut self, msg: &Msg) {
        let within = msg.all("To").iter().any(|to| message::param(to, "tag").is_some());
        let honest = self.marks.values().any(|m| m.text() == subject(msg));
        let own = msg.method() == "CANCEL" || msg.method() == "ACK";
        if msg.is_request() && !within && !honest && !own {
            self.theirs.insert(msg.branch().to_owned());
        }
    }

    /// A request of an adversary's own making, though it bears an honest call's Call-ID and tag. So
    /// does the ACK in a call of his that was answered without a tag: honest parties write one, and
    /// know no dialog without.
    pub(crate) fn is_anothers(&self, msg: &Msg) -> bool {
        let tagged = || msg.all("To").iter().any(|to| message::param(to, "tag").is_some());
        let alien = || msg.method() == "ACK" && !tagged();
        msg.is_request() && (self.theirs.contains(msg.branch()) || alien())
    }

    /// An honest party calls.
    pub(crate) fn begins(&mut self, id: &str, impatient: bool, began: Mono) {
        self.marks.insert(id.to_owned(), Mark { call: self.calls.len(), caller: true });
        self.calls.push(Call { impatient, began });
    }

    /// Somebody is called: he belongs to an honest call if its caller is honest.
    pub(crate) fn is_called(&mut self, id: &str, invite: &Msg) {
        let subject = subject(invite);
        let caller = self.marks.values().find(|m| m.caller && m.text() == subject).copied();
        if let Some(mark) = caller {
            self.marks.insert(id.to_owned(), mark.of_the_other());
        }
    }

    /// A party's message with its mark.
    pub(crate) fn marked(&mut self, id: &str, flow: Flow, bytes: &Bytes) -> Bytes {
        let mark = self.marks.get(id).map_or("nobody".to_owned(), |m| m.text());
        let text =
            String::from_utf8_lossy(bytes).replacen("\r\n", &format!("\r\nSubject: {mark}\r\n"), 1);
        if !self.marks.contains_key(id) {
            self.taken.insert(Msg::read(flow, text.as_bytes()).branch().to_owned());
        } else {
            self.overheard.push_back(Msg::read(flow, text.as_bytes()));
            if self.overheard.len() > OVERHEARD {
                self.overheard.pop_front();
            }
        }
        text.into()
    }

    /// A party of an honest call hears the other party, or a proxy's own word.
    #[track_caller]
    pub(crate) fn hears(&self, id: &str, msg: &Msg, now: Mono) {
        let Some(own) = self.marks.get(id) else { return };
        let (subject, theirs) = (subject(msg), own.of_the_other().text());
        if !msg.is_request() && self.taken.contains(msg.branch()) {
            return;
        }
        let call = self.calls[own.call];
        let right = match (msg.is_request(), msg.is_request().then(|| msg.method())) {
            // Hop by hop: of a caller who gave up, or of one who waited too long (timer C).
            (true, Some("CANCEL" | "BYE")) if self.stormy && subject.is_empty() => true,
            // Whom an adversary has called in another's name speaks to that other.
            (true, _) if self.stormy && subject == "nobody" => true,
            (true, Some("CANCEL")) => call.impatient || now.since(call.began) > s(170),
            (true, Some("ACK")) => subject.is_empty() || subject == theirs,
            (true, _) => subject == theirs,
            (false, _) if subject.is_empty() => {
                // A BYE for who is gone is answered in his place.
                let own = self.stormy && msg.header("CSeq").ends_with("BYE");
                let hop = msg.header("CSeq").ends_with("CANCEL") || own;
                msg.status() == 100 || msg.status() >= 300 || hop
            }
            (false, _) => subject == theirs,
        };
        assert!(right, "{} of an honest call hears somebody else:\n{msg}", own.text());
    }
}

fn subject(msg: &Msg) -> &str {
    msg.all("Subject").first().copied().unwrap_or_default()
}
