//! Who a request from inside is, where we are the registrar: the user whose flow it came by or whom
//! digest proved, never what From says alone. It judges no call; `judge` asks policy about the user
//! found here. In front of an upstream that one authenticates, and nothing here applies.

use super::digest::Check;
use super::proxy_server::{Route, Sender};
use super::transaction::ServerKey;
use super::{Engine, bindings::Binding};
use crate::ground::{Flow, Side};
use crate::policy::{Action, Verdict};
use crate::wire::sip::{Message, Method, Name, NameAddr, Uri};
use std::collections::BTreeSet;

/// The answer to a caller who writes another's number.
const FALSE_FROM: &str = "From Names Another User";
/// Characters of a written name that a record shows.
const SHOWN: usize = 64;

impl Engine {
    /// The user that policy judges and the audit log names; `None`: what From says.
    pub(crate) fn proved_user<'a>(&self, request: &Message, sender: &'a Sender) -> Option<&'a str> {
        sender.user.as_deref().filter(|_| self.is_identified(request, sender))
    }

    /// We say who calls. A REGISTER proves itself, whoever else registered by its flow.
    fn is_identified(&self, request: &Message, sender: &Sender) -> bool {
        sender.side == Side::Inside
            && self.is_local_registrar()
            && *request.method() != Method::Register
    }

    /// The user in From when it is none of those known at the sender's flow or, for a flow nobody
    /// registered by, at its address.
    pub(crate) fn false_from(
        &self,
        request: &Message,
        flow: &Flow,
        sender: &Sender,
        route: &Route,
    ) -> Option<String> {
        // A ping of the gateway itself calls nobody.
        let ping = *route == Route::Gateway && *request.method() == Method::Options;
        if ping || !self.is_identified(request, sender) {
            return None;
        }
        let claimed = claimed(request)?;
        if let Some(user) = &sender.user {
            // `admit_inside` took the line that From names if the flow has it.
            return (*user != claimed).then_some(claimed);
        }
        let known = self.users_at(flow);
        (!known.is_empty() && !known.contains(claimed.as_str())).then_some(claimed)
    }

    /// Users registered from the flow's address, by whatever port.
    fn users_at(&self, flow: &Flow) -> BTreeSet<&str> {
        let alive = |b: &&Binding| b.expires > self.now.wall;
        self.bindings.of_address(flow.peer.ip()).filter(alive).map(Binding::user).collect()
    }

    /// 403 to a caller who writes another's number.
    pub(crate) fn refuse_false_from(
        &mut self,
        key: ServerKey,
        request: Message,
        flow: Flow,
        reply: Flow,
        sender: &Sender,
        claimed: &str,
    ) {
        let who = match &sender.user {
            Some(user) => user.clone(),
            None => self.users_at(&flow).into_iter().next().unwrap_or_default().to_owned(),
        };
        let written: String = claimed.chars().take(SHOWN).collect();
        let detail = format!("{who} wrote {written} in the From of {}", request.method());
        self.security("false_from", flow, detail);
        if sender.is_stranger() {
            self.refuse(&request, reply, 403, FALSE_FROM, None);
            return;
        }
        let mut response = Message::response(&request, 403, FALSE_FROM);
        self.tag_response(&mut response);
        let server = self.accept(key, request, reply);
        self.respond(server, &response);
    }

    /// Judges the credentials of a request, and whether they were made for it (RFC 3261 §22.4).
    pub(crate) fn authenticate(&mut self, request: &Message, header: &Name) -> Check {
        let method = request.method().as_str();
        match self.auth.check(method, request.rows(header), self.now.wall) {
            Check::Proved { uri, .. } if !self.is_made_for(&uri, request.uri()) => {
                Check::Wrong("uri")
            }
            check @ (Check::Proved { .. } | Check::Challenge { .. } | Check::Wrong(_)) => check,
        }
    }

    /// The digest's `uri` means the Request-URI: the same user at the same host. A phone behind an
    /// outbound proxy may write any name of ours; ports and parameters do not count.
    fn is_made_for(&self, uri: &str, asked: &str) -> bool {
        if uri == asked {
            return true;
        }
        let read = |text: &str| Uri::parse(text.as_bytes());
        let (Some(theirs), Some(asked)) = (read(uri), read(asked)) else { return false };
        theirs.user_decoded() == asked.user_decoded()
            && (theirs.host.eq_ignore_ascii_case(&asked.host) || self.is_local_domain(&theirs))
    }
}

/// Whether a false From is answered: an emergency call is put through whatever its From says, and
/// what a rule drops hears nothing.
pub(crate) fn tells_false_from(verdict: &Verdict) -> bool {
    match &verdict.action {
        Action::Allow(allow) => !allow.bypass_limits,
        Action::Deny { .. } => true,
        Action::Drop => false,
    }
}

/// The user that From claims to be, whatever the domain: a registrar of one site has one of each.
/// `None`: nobody, or RFC 3323's anonymous.
fn claimed(request: &Message) -> Option<String> {
    let user = request.first(&Name::From).and_then(NameAddr::parse)?.uri.user_decoded()?;
    (!user.eq_ignore_ascii_case("anonymous")).then_some(user)
}
