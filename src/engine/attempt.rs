//! A request outside a dialog on its way to a decision: who sends it, who is meant, where it would
//! go and what policy says. One value, made step by step by the coordinator; the records of what
//! was decided are made from it.

use super::analysis::Incoming;
use super::ids::UpstreamId;
use super::outbox::Outbox;
use super::proxy_server;
use super::world::World;
use crate::audit::{CallEnd, Outcome, PartyView, Record, Ruling, Standing, UpstreamNo};
use crate::config::Allow;
use crate::ground::{CallDirection, CallNo, Side, Subject};
use crate::policy::quota::Holder;
use crate::policy::{Action, Number, Verdict};
use crate::wire::sip::{Aor, Method, Scheme};
use std::sync::Arc;

/// Who sent a request outside a dialog.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    pub(crate) side: Side,
    /// The registered user whose flow it came by, or whom digest proved: the whole address of
    /// record, since another domain may have a user of the same name.
    pub(crate) user: Option<Aor>,
    /// The upstream it is.
    pub(crate) upstream: Option<UpstreamId>,
    /// Names that the client certificate of its connection proved.
    pub(crate) subjects: Arc<[Subject]>,
    /// Who holds what it sends for such a name, where the file knows it.
    pub(crate) proved: Option<Holder>,
}

impl Sender {
    /// What it is to us.
    pub(crate) fn standing(&self) -> Standing {
        match (self.upstream, &self.user) {
            (Some(id), _) => Standing::Upstream(UpstreamNo(id.index())),
            (None, Some(_)) => Standing::Phone,
            (None, None) => Standing::Stranger,
        }
    }

    /// What its certificate proved, for records.
    fn names(&self) -> String {
        self.subjects.iter().map(Subject::as_str).collect::<Vec<_>>().join(" ")
    }

    /// Neither a registered phone nor an upstream, nor by a certificate anybody the file knows.
    pub(crate) fn is_stranger(&self) -> bool {
        self.user.is_none() && self.upstream.is_none() && self.proved.is_none()
    }
}

/// Where a request outside a dialog goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Upstream(UpstreamId),
    /// To phones, by binding key.
    Bindings(Vec<String>),
    /// It is for us.
    Gateway,
    /// Nobody known.
    Unknown,
}

/// A request's parties as policy sees them.
#[derive(Clone, Debug)]
pub(crate) struct Parties {
    pub(crate) from: Number,
    pub(crate) to: Number,
    pub(crate) domain: String,
}

/// Everything known of one request.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) incoming: Incoming,
    pub(crate) sender: Sender,
    pub(crate) parties: Parties,
    pub(crate) route: Route,
    pub(crate) verdict: Verdict,
    /// Name of where it goes, for records.
    pub(crate) target: String,
    /// We lead it ourselves, for its upstream does not answer.
    pub(crate) alone: bool,
    /// Ways that an emergency call has tried before.
    pub(crate) before: Vec<Route>,
}

impl Attempt {
    pub(crate) fn is_invite(&self) -> bool {
        self.incoming.is(&Method::Invite)
    }

    /// A call from inside to an emergency number.
    pub(crate) fn is_emergency(&self) -> bool {
        self.is_invite() && self.sender.side == Side::Inside && self.parties.to.is_emergency()
    }

    /// The ways that an emergency call has tried when this one fails, too; `None`: it is none.
    pub(crate) fn tried(&self) -> Option<Arc<[Route]>> {
        let all = || self.before.iter().cloned().chain([self.route.clone()]).collect();
        self.is_emergency().then(all)
    }

    /// The user whom it is counted for. By a tunnel all phones of a site come by one flow: who is
    /// none of its users by his From is not counted for any of them.
    pub(crate) fn payer(&self, w: &World) -> Option<&Aor> {
        let (i, user) = (&self.incoming, self.sender.user.as_ref()?);
        let is_one = !w.net().lasts(i.flow.listener);
        (is_one || i.from.uri.user_decoded().is_some_and(|from| from == user.user)).then_some(user)
    }

    /// Who holds what it takes.
    pub(crate) fn holder(&self, w: &World) -> Holder {
        let (sender, from) = (&self.sender, w.net().source(&self.incoming.flow));
        let holder = w.holder(self.payer(w), sender.upstream.is_some(), from);
        let holder = match (holder, &sender.proved) {
            (Holder::Unproved(_), Some(proved)) => proved.clone(),
            (holder, _) => holder,
        };
        match holder {
            Holder::Unproved(_) if self.is_urgent() => Holder::Emergency(from),
            // A party of the outside is not its upstream.
            Holder::Upstream => match self.route {
                Route::Bindings(_) => Holder::Brought(format!("to {}", self.parties.to.result())),
                Route::Unknown | Route::Upstream(_) => Holder::Brought("to nobody here".to_owned()),
                Route::Gateway => holder,
            },
            Holder::Unproved(_)
            | Holder::Emergency(_)
            | Holder::User(_)
            | Holder::Shared(..)
            | Holder::Brought(_) => holder,
        }
    }

    /// It goes by TLS alone, hop by hop (RFC 5630): its Request-URI is `sips:`. Who calls for help
    /// is not asked for that.
    pub(crate) fn is_secure(&self) -> bool {
        self.is_sips() && !self.is_emergency()
    }

    /// Its Request-URI is `sips:`.
    pub(crate) fn is_sips(&self) -> bool {
        self.incoming.uri.scheme == Scheme::Sips
    }

    /// An emergency call that passes every cap.
    pub(crate) fn is_urgent(&self) -> bool {
        self.is_emergency() && self.allow().is_some_and(|allow| allow.bypass_limits)
    }

    /// In whose name a target is drawn: always the same one for the same user, so that credentials
    /// go where they were asked for, and calls where the phone is registered.
    pub(crate) fn whom(&self) -> String {
        match &self.sender.user {
            Some(user) => user.user.clone(),
            None => self.incoming.from.uri.user.clone().unwrap_or_default(),
        }
    }

    /// An emergency call of nobody known: nothing of it goes out but the number.
    pub(crate) fn is_cry(&self) -> bool {
        self.is_urgent() && self.sender.is_stranger()
    }

    /// OPTIONS for us from nobody we know: answered without a transaction, so that a flood of them
    /// takes no place from calls.
    pub(crate) fn is_strangers_ping(&self) -> bool {
        self.route == Route::Gateway
            && self.incoming.is(&Method::Options)
            && self.sender.is_stranger()
    }

    /// A stranger asks for somebody who is not there, or wants to be somebody from outside.
    pub(crate) fn is_probe(&self) -> bool {
        let i = &self.incoming;
        let register = i.is(&Method::Register) && i.side == Side::Outside;
        self.sender.is_stranger()
            && (register || self.route == Route::Unknown && i.uri.user.is_some())
    }

    /// It reaches nobody: we say what there is to say. What we collect is taken.
    pub(crate) fn ends_here(&self, w: &World) -> bool {
        match self.route {
            Route::Gateway => !proxy_server::is_collected(w, &self.incoming.message),
            Route::Unknown => true,
            Route::Upstream(_) | Route::Bindings(_) => false,
        }
    }

    /// What the rule that let it pass allows; `None`: none did.
    pub(crate) fn allow(&self) -> Option<Arc<Allow>> {
        match &self.verdict.action {
            Action::Allow(allow) => Some(allow.clone()),
            Action::Deny { .. } | Action::Drop => None,
        }
    }

    pub(crate) fn direction(&self) -> CallDirection {
        match (self.sender.side, &self.route) {
            (Side::Outside, _) => CallDirection::Inbound,
            (Side::Inside, Route::Bindings(_)) => CallDirection::Internal,
            (Side::Inside, Route::Upstream(_) | Route::Gateway | Route::Unknown) => {
                CallDirection::Outbound
            }
        }
    }

    fn ruling(&self) -> Ruling {
        ruling(&self.verdict.action)
    }

    /// The verdict is acted on: now it counts.
    pub(crate) fn count_verdict(&self, out: &mut Outbox) {
        count_decision(out, &self.verdict.rule, self.ruling());
    }

    /// An INVITE was judged.
    pub(crate) fn record_call(&self, out: &mut Outbox, call: CallNo) {
        let ruling = self.ruling();
        out.record(Record::CallAttempt {
            call,
            call_id: self.incoming.call_id().to_owned(),
            side: self.sender.side,
            source: self.incoming.flow.peer,
            from: self.parties.from.result().to_owned(),
            to: self.parties.to.result().to_owned(),
            rule: self.verdict.rule.to_string(),
            verdict: ruling,
            target: if ruling == Ruling::Deny { String::new() } else { self.target.clone() },
            tls_subject: self.sender.names(),
            sender: self.sender.standing(),
            emergency: self.is_emergency(),
        });
    }

    /// Anything but an INVITE was not let pass (calls have their own records).
    pub(crate) fn record_refusal(&self, out: &mut Outbox) {
        out.record(Record::Verdict {
            method: self.incoming.method().to_string(),
            side: self.sender.side,
            source: self.incoming.flow.peer,
            from: self.parties.from.result().to_owned(),
            to: self.parties.to.result().to_owned(),
            rule: self.verdict.rule.to_string(),
            verdict: self.ruling(),
            tls_subject: self.sender.names(),
            sender: self.sender.standing(),
        });
    }

    /// The call never began: its outcome and the end of its records.
    pub(crate) fn record_end(&self, out: &mut Outbox, call: CallNo, status: u16, outcome: Outcome) {
        out.count_outcome(self.direction(), outcome);
        out.record(Record::CallEnd(CallEnd {
            call,
            call_id: self.incoming.call_id().to_owned(),
            from: self.parties.from.result().to_owned(),
            to: self.parties.to.result().to_owned(),
            outcome,
            status,
            ended_by: None,
            ring_ms: None,
            setup_ms: None,
            duration_ms: None,
            media: Vec::new(),
            findings: Vec::new(),
            segments: Vec::new(),
            direction: self.direction(),
            parties: vec![PartyView {
                side: self.sender.side,
                transport: self.incoming.flow.transport,
                address: self.incoming.flow.peer,
                upstream: None,
                call_id: self.incoming.call_id().to_owned(),
            }],
        }));
    }
}

/// What records say of an action.
pub(crate) fn ruling(action: &Action) -> Ruling {
    match action {
        Action::Allow(_) => Ruling::Allow,
        Action::Deny { .. } => Ruling::Deny,
        Action::Drop => Ruling::Drop,
    }
}

/// A rule decided.
pub(crate) fn count_decision(out: &mut Outbox, rule: &str, ruling: Ruling) {
    let denied = usize::from(ruling != Ruling::Allow);
    let decisions = &mut out.stats_mut().decisions;
    let label = if decisions.contains_key(rule) { rule } else { "other" };
    if let Some(n) = decisions.get_mut(label) {
        n[denied] += 1;
    }
}

/// The name of where a request goes, for records.
pub(crate) fn target(w: &World, route: &Route) -> String {
    match route {
        Route::Upstream(id) => w.upstream_name(*id).unwrap_or_default().to_owned(),
        Route::Bindings(_) => "phone".to_owned(),
        Route::Gateway => "gateway".to_owned(),
        Route::Unknown => String::new(),
    }
}

/// By the upstream that the rule names, whichever the number leads by.
pub(super) fn follow_rule(w: &World, a: &mut Attempt, allow: &Allow) {
    if let Some(name) = &allow.upstream
        && let Some(named) = w.upstream_named(name)
        && !matches!(a.route, Route::Bindings(_) | Route::Gateway)
    {
        a.route = Route::Upstream(named);
        a.target = target(w, &a.route);
    }
}
