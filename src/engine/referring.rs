//! Who asks another to call somebody: the Refer-To of a REFER, the Contacts of a redirect. The
//! number is judged and recorded as if it were dialled by the party inside: by the phone that asks,
//! or by the phone that somebody outside asks. It never says who may ask, and sends nothing.

mod asked;

use super::analysis::Incoming;
use super::analysis::facts::destination;
use super::analysis::lists::names_many;
use super::attempt::{Attempt, count_decision, ruling};
use super::calls::{Asker, Call, Calls, LegState, Place};
use super::ids::ServerId;
use super::outbox::Outbox;
use super::phones::Phones;
use super::proxy_server;
use super::purpose::Purpose;
use super::transactions::{Answer, Transactions};
use super::upstreams::{Upstreams, are_kin};
use super::world::World;
use crate::audit::{Asked, Record};
use crate::config::ServingFact;
use crate::ground::{CallNo, Flow, Leg, Side};
use crate::policy::number::Plan;
use crate::policy::{Action, Facts, Number, Verdict};
use crate::wire::sip::{Aor, Message, Method, Name, NameAddr, RejectReason, Uri};
use asked::{as_sip, harmless, is_known, methods};
use std::sync::Arc;

/// Why a REFER goes no further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    status: u16,
    phrase: Arc<str>,
}

impl Refused {
    /// Who asked is told.
    pub(super) fn answer(
        &self,
        w: &World,
        out: &mut Outbox,
        transactions: &mut Transactions,
        server: ServerId,
    ) {
        let Some(asked) = transactions.server(server).map(|t| t.request()) else { return };
        let response = w.answer(asked, self.status, &self.phrase);
        transactions.respond(w, out, server, &response);
    }
}

fn refused(status: u16, phrase: &str) -> Refused {
    Refused { status, phrase: phrase.into() }
}

/// Who would dial: the party inside.
#[derive(Clone, Debug)]
struct Dialler {
    flow: Flow,
    user: Option<Aor>,
    from: Number,
    user_agent: String,
}

/// Who asks, for what call, and where what he asks for goes.
#[derive(Clone, Debug)]
struct Ask {
    flow: Flow,
    call: Option<CallNo>,
    to: Side,
}

/// What referring needs of the engine.
pub(super) struct Referring<'a> {
    w: &'a World,
    phones: &'a Phones,
    upstreams: &'a Upstreams,
    calls: &'a Calls,
    out: &'a mut Outbox,
}

impl<'a> Referring<'a> {
    pub(super) fn new(
        w: &'a World,
        phones: &'a Phones,
        upstreams: &'a Upstreams,
        calls: &'a Calls,
        out: &'a mut Outbox,
    ) -> Self {
        Self { w, phones, upstreams, calls, out }
    }

    /// The Refer-To of a request outside a dialog that goes to these legs.
    pub(super) fn outside_dialog(
        &mut self,
        a: &Attempt,
        legs: &[LegState],
        request: &mut Message,
    ) -> Result<(), Refused> {
        let i = &a.incoming;
        let Some(far) = legs.first() else { return Ok(()) };
        let by = match a.sender.side {
            Side::Inside => Dialler {
                flow: i.flow,
                user: a.sender.user.clone(),
                from: a.parties.from.clone(),
                user_agent: agent(&i.message),
            },
            Side::Outside => self.phone(far.flow, leg_user(far), &far.to, String::new()),
        };
        let ask = Ask { flow: i.flow, call: None, to: far.side };
        self.refer(request, &ask, &by)
    }

    /// The Refer-To of a request within a dialog.
    pub(super) fn within_dialog(
        &mut self,
        i: &Incoming,
        place: &Place,
        request: &mut Message,
    ) -> Result<(), Refused> {
        let value = |name| i.message.first(name).unwrap_or_default();
        let call = self.calls.get(place.call);
        let by = match (i.side, place.leg) {
            (Side::Inside, leg) => {
                let user = user_of(call, &place.near, leg);
                self.phone(i.flow, user, value(&Name::From), agent(&i.message))
            }
            (Side::Outside, leg) => {
                let user = user_of(call, &place.far, leg.other());
                self.phone(place.far.flow, user, value(&Name::To), String::new())
            }
        };
        let ask = Ask { flow: i.flow, call: Some(place.call), to: place.far.side };
        self.refer(request, &ask, &by)
    }

    /// The Contacts of an answer that redirects, on its way to `near`.
    pub(super) fn answered(
        &mut self,
        transactions: &Transactions,
        answer: &Answer,
        purpose: &Purpose,
        near: &mut Message,
    ) {
        let Some(pass) = transactions.pass(answer.pass) else { return };
        let Some(asking) = transactions.server(pass.server()) else { return };
        let (reply, request) = (asking.reply(), asking.request());
        let value = |name| request.first(name).unwrap_or_default();
        let call = purpose.call().and_then(|no| self.calls.get(no));
        let (to, from) = (self.w.side(pass.ingress()), self.w.side(answer.flow.listener));
        let by = match from {
            Side::Inside => {
                let leg = transactions.branch_leg(answer.pass, answer.client);
                let user = match purpose {
                    Purpose::InDialog(d) => call.and_then(|c| party(c, d.leg.other(), &d.tag)),
                    Purpose::Invite { .. }
                    | Purpose::Subscribe { .. }
                    | Purpose::Register(_)
                    | Purpose::Other => leg.and_then(leg_user),
                };
                self.phone(answer.flow, user, value(&Name::To), agent(&answer.response))
            }
            Side::Outside => {
                let user = match purpose {
                    Purpose::InDialog(d) => call.and_then(|c| party(c, d.leg, &d.tag)),
                    Purpose::Invite { .. } | Purpose::Subscribe { .. } => {
                        call.and_then(|c| user_of(Some(c), &c.caller, Leg::Caller))
                    }
                    Purpose::Register(_) | Purpose::Other => None,
                };
                self.phone(reply, user, value(&Name::From), agent(request))
            }
        };
        let ask = Ask { flow: answer.flow, call: purpose.call(), to };
        self.redirect(near, &ask, &by);
    }

    /// The phone that would dial; by its flow where nothing else says who it is.
    fn phone(&self, flow: Flow, user: Option<Aor>, written: &[u8], user_agent: String) -> Dialler {
        let plan = Plan::from(self.w.config());
        let user = user.or_else(|| self.phones.user_of_flow(self.w, &flow).cloned());
        let named = || NameAddr::parse(written).map(|n| Number::calling(&n.uri, &plan));
        let from = user.as_ref().map(|aor| Number::of_user(&aor.user, &plan));
        let from = from.or_else(named).unwrap_or_default();
        Dialler { flow, user, from, user_agent }
    }

    /// The Refer-To of a REFER, as it may go on; no other request has one that crosses. A list of
    /// parties goes nowhere where a rule reads numbers.
    fn refer(&mut self, request: &mut Message, ask: &Ask, by: &Dialler) -> Result<(), Refused> {
        if self.w.rules().judges_numbers() && names_many(request) {
            return Err(self.broken(ask, "Number Cannot Be Judged"));
        }
        let rows: Vec<Vec<u8>> = request.rows(&Name::ReferTo).map(<[u8]>::to_vec).collect();
        if *request.method() != Method::Refer || rows.is_empty() {
            return Ok(());
        }
        // RFC 3515 §2.4.2: exactly one.
        let value = (rows.len() == 1).then(|| rows.first()).flatten();
        let addr = value.and_then(|v| NameAddr::parse(v));
        let mut addr = addr.ok_or_else(|| self.broken(ask, "Broken Refer-To"))?;
        self.judge(&mut addr.uri, (Asked::Refer, request.call_id()), ask, by)?;
        request.set(Name::ReferTo, addr.to_string());
        Ok(())
    }

    /// The Contacts of a redirect, as the asker may see them. What he may not call is taken away;
    /// where nothing is left, the answer is a failure of ours.
    fn redirect(&mut self, near: &mut Message, ask: &Ask, by: &Dialler) {
        let values: Vec<Vec<u8>> = near.list(&Name::Contact).map(<[u8]>::to_vec).collect();
        let (mut left, mut why) = (Vec::new(), None);
        for value in &values {
            let Some(mut addr) = NameAddr::parse(value) else { continue };
            match self.judge(&mut addr.uri, (Asked::Redirect, near.call_id()), ask, by) {
                Ok(()) => left.push(addr.to_string()),
                Err(refusal) => why = Some(refusal),
            }
        }
        if left.is_empty()
            && let Some(refusal) = why
        {
            // To who called from outside the phone is just not there.
            let plain = refused(480, "Temporarily Unavailable");
            let said = if ask.to == Side::Inside { refusal } else { plain };
            near.set_status(said.status, &said.phrase);
        }
        near.remove(&Name::Contact);
        for value in left {
            near.push_back(Name::Contact, value);
        }
    }

    /// Whether this URI may be called; what it may not ask for besides is taken off it.
    fn judge(
        &mut self,
        uri: &mut Uri,
        (asked, call_id): (Asked, &str),
        ask: &Ask,
        by: &Dialler,
    ) -> Result<(), Refused> {
        uri.headers = uri.headers.as_deref().and_then(harmless);
        // A party of a call was judged when that began.
        let (w, at) = (self.w, ask.flow.peer.ip());
        let is_kin = |ip| are_kin(w, at, ip);
        let who = Asker { side: w.side(ask.flow.listener), at, is_kin: &is_kin };
        if self.calls.open_contact(w, uri, &who).is_some() {
            return Ok(());
        }
        // It would lead to another host than the one that is judged.
        uri.params.remove("maddr");
        let methods = methods(uri).ok_or_else(|| self.broken(ask, "Broken Method In URI"))?;
        let plan = Plan::from(self.w.config());
        let sealed = uri.user.as_deref().and_then(|u| self.phones.binding(u));
        let number = match sealed {
            Some(b) => Number::of_user(b.user(), &plan),
            None => Number::called(as_sip(uri).as_ref().unwrap_or(uri), &plan),
        };
        if self.w.rules().judges_numbers() && !(is_known(&uri.scheme) && number.is_clear()) {
            return Err(self.broken(ask, "Number Cannot Be Judged"));
        }
        let verdicts: Vec<Verdict> =
            methods.iter().map(|m| self.verdict(m, uri, &number, by)).collect();
        let allowed = |v: &&Verdict| matches!(v.action, Action::Allow(_));
        let Some(verdict) = verdicts.iter().find(|v| !allowed(v)).or(verdicts.first()) else {
            return Ok(());
        };
        let said = ruling(&verdict.action);
        count_decision(self.out, &verdict.rule, said);
        self.out.record(Record::Reference {
            call: ask.call,
            call_id: call_id.to_owned(),
            by: asked,
            side: self.w.side(ask.flow.listener),
            source: ask.flow.peer,
            from: by.from.result().to_owned(),
            to: number.result().to_owned(),
            rule: verdict.rule.to_string(),
            verdict: said,
        });
        match &verdict.action {
            Action::Deny { code, reason } => Err(refused(*code, reason)),
            Action::Drop => Err(refused(403, "Denied By Policy")),
            Action::Allow(allow) => {
                let kept = allow.keep_number || ask.to == Side::Inside;
                if let Some(sent) = number.rewritten().filter(|_| !kept) {
                    uri.set_number(sent);
                }
                Ok(())
            }
        }
    }

    fn verdict(&self, method: &Method, uri: &Uri, number: &Number, by: &Dialler) -> Verdict {
        let w = self.w;
        let route = proxy_server::called(w, self.phones, self.upstreams, uri, number.result());
        let (target, upstream) = destination(&route, None);
        let facts = Facts {
            side: Side::Inside,
            interface: w.net().interface_name(by.flow.listener),
            method: method.as_str(),
            source: by.flow.peer.ip(),
            user: by.user.as_ref(),
            from: &by.from,
            to: number,
            domain: &uri.host.to_ascii_lowercase(),
            upstream: upstream.and_then(|id| w.upstream_name(id)),
            tls_subjects: &[],
            serving: match upstream {
                Some(id) if self.upstreams.is_alone(w, id) => ServingFact::Alone,
                Some(_) | None => ServingFact::Upstream,
            },
            user_agent: &by.user_agent,
            target,
            commands: false,
        };
        w.rules().evaluate(&facts, w.wall())
    }

    fn broken(&mut self, ask: &Ask, phrase: &str) -> Refused {
        self.out.count_rejected(self.w.side(ask.flow.listener), RejectReason::Malformed);
        refused(400, phrase)
    }
}

fn agent(message: &Message) -> String {
    message.text(&Name::UserAgent).unwrap_or_default().to_owned()
}

/// The user whose registration a leg is reached by.
fn leg_user(leg: &LegState) -> Option<Aor> {
    leg.home.as_ref().map(|home| home.aor().clone())
}

/// The user of a leg of a call: its registration's, else who was proved when the call began.
fn user_of(call: Option<&Call>, state: &LegState, leg: Leg) -> Option<Aor> {
    let proved = || call.filter(|_| leg == Leg::Caller)?.user();
    leg_user(state).or_else(proved)
}

/// The same, by the callee's tag.
fn party(call: &Call, leg: Leg, tag: &str) -> Option<Aor> {
    match leg {
        Leg::Caller => user_of(Some(call), &call.caller, leg),
        Leg::Callee => call.fork(tag).and_then(|f| leg_user(&f.callee)),
    }
}
