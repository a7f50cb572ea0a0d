//! Facts of a request outside a dialog, and what policy says of them. It never changes a message.

use crate::audit::Record;
use crate::engine::Engine;
use crate::engine::proxy_server::{Route, Sender};
use crate::ground::Flow;
use crate::policy::number::Plan;
use crate::policy::{Action, Facts, Number, Target, Verdict, number};
use crate::wire::sip::{Message, Name, NameAddr, Uri};

/// A request's parties as policy sees them.
#[derive(Clone, Debug)]
pub(crate) struct Parties {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) domain: String,
}

impl Engine {
    /// Normalises the parties once; what is judged here is what goes out. Who is proved stands for
    /// From, whatever a phone writes there.
    pub(crate) fn parties(&self, request: &Message, sender: &Sender) -> Parties {
        let numbers = &self.snap.config.numbers;
        let user = |uri: Option<Uri>| {
            uri.and_then(|u| u.user).map(|u| number::normalise(&u, numbers)).unwrap_or_default()
        };
        let from = request.first(&Name::From).and_then(NameAddr::parse).map(|n| n.uri);
        let uri = Uri::parse(request.uri().as_bytes());
        let domain = uri.as_ref().map(|u| u.host.to_ascii_lowercase()).unwrap_or_default();
        // A sealed contact is the gateway's own word; the number called stands in To.
        let sealed =
            uri.as_ref().and_then(|u| u.user.as_deref()).and_then(|u| self.bindings.get(u));
        let to = match sealed {
            Some(b) => b.user().to_owned(),
            None => user(uri),
        };
        let from = match self.proved_user(request, sender) {
            Some(proved) => number::normalise(proved, numbers),
            None => user(from),
        };
        Parties { from, to, domain }
    }

    /// Asks policy.
    pub(crate) fn judge(
        &mut self,
        request: &Message,
        flow: &Flow,
        sender: &Sender,
        parties: &Parties,
        route: &Route,
    ) -> Verdict {
        let (target, upstream) = match route {
            Route::Upstream(i) => (Target::Upstream, Some(*i)),
            Route::Bindings(_) => (Target::Binding, sender.upstream),
            Route::Gateway => (Target::Gateway, sender.upstream),
            Route::Unknown => (Target::Unknown, sender.upstream),
        };
        let name = upstream.and_then(|i| self.upstream(i)).map(|u| u.name.clone());
        let emergency = &self.snap.config.policy.emergency;
        let plan = Plan { emergency, ..Plan::default() };
        let to = Uri::sip(Some(&Uri::escape_user(&parties.to)), "x", None);
        let (from, to) = (Number::plain(&parties.from), Number::called(&to, &plan));
        let facts = Facts {
            side: sender.side,
            method: request.method().as_str(),
            source: flow.peer.ip(),
            user: sender.user.as_deref(),
            from: &from,
            to: &to,
            domain: &parties.domain,
            upstream: name.as_deref(),
            user_agent: request.text(&Name::UserAgent).unwrap_or_default(),
            target,
        };
        let verdict = self.snap.rules.evaluate(&facts, self.now.wall);
        let denied = usize::from(!matches!(verdict.action, Action::Allow(_)));
        let decisions = &mut self.stats.decisions;
        let label = if decisions.contains_key(&verdict.rule) { &*verdict.rule } else { "other" };
        if let Some(n) = decisions.get_mut(label) {
            n[denied] += 1;
        }
        verdict
    }

    /// Records a verdict on anything but a call (calls have their own records).
    pub(crate) fn record_verdict(
        &mut self,
        request: &Message,
        flow: &Flow,
        sender: &Sender,
        parties: &Parties,
        verdict: &Verdict,
    ) {
        let word = match verdict.action {
            Action::Allow(_) => return,
            Action::Deny { .. } => "deny",
            Action::Drop => "drop",
        };
        self.record(Record::Verdict {
            method: request.method().to_string(),
            side: sender.side,
            source: flow.peer,
            from: parties.from.clone(),
            to: parties.to.clone(),
            rule: verdict.rule.to_string(),
            verdict: word,
            stranger: sender.is_stranger(),
        });
    }
}
