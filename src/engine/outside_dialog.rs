//! Requests outside a dialog: admitted by a face, judged, then sent on. Transactions begin after
//! admission and a verdict; everyone else gets one stateless answer.

use super::analysis::answer::{self, Answer, challenge};
use super::analysis::check::{check, unroutable};
use super::analysis::{ALLOW, Incoming, Leaving, Veil, commands, facts, headers, strip};
use super::attempt::{Attempt, Route, Sender, follow_rule, target};
use super::digest::Check;
use super::guard::Signal;
use super::ids::{PassId, ServerId};
use super::outbox::Outbox;
use super::phones::{own, tells_false_from};
use super::proxy_client::is_silent_to;
use super::response::{follow_asker, is_answer};
use super::strangers::tell_unproved;
use super::transactions::{CancelFault, Event};
use super::watch::{Entrance, unheard};
use super::world::World;
use super::{Engine, Output, alone, proxy_client, proxy_server};
use crate::audit::{Outcome, SecurityClass};
use crate::config::Allow;
use crate::ground::{CallNo, Flow, Side};
use crate::policy::Action;
use crate::wire::sip::{Message, Method, Name, Refusal, RejectReason};

/// The answer to a caller who writes another's number.
pub(super) const FALSE_FROM: Answer<'static> =
    Answer { status: 403, phrase: "From Names Another User", rows: Vec::new() };
/// … and to who begins something where what he proved has ended: it goes by another connection.
const DISPROVED: &str = "Certificate No Longer Believed, Connect Anew";
/// Characters of a written name that a record shows.
const SHOWN: usize = 64;

impl Engine {
    /// A request of so many octets that the wire accepted (RFC 3261 §16.2).
    pub(super) fn receive_request(&mut self, flow: Flow, message: Message, octets: usize) {
        self.out.count_request(self.world.side(flow.listener), message.method());
        let incoming = match Incoming::read(&self.world, flow, message, octets) {
            Ok(incoming) => incoming,
            Err(unread) => {
                let objection = unroutable();
                self.out.count_rejected(self.world.side(flow.listener), objection.reason);
                let (w, out) = (&self.world, &mut self.out);
                if is_silent_to(w, &self.upstreams, &self.phones, &flow) {
                    self.strangers.silence(w, out, &flow, Some(unread.message.method()));
                    return;
                }
                let asked = (&unread.message, octets);
                answer::send(w, out, asked, unread.reply, &objection.answer);
                return;
            }
        };
        self.upstreams.hear_alias(&incoming);
        let known = self.transactions.find(&self.world, &incoming.key, &incoming.reply);
        let (w, out) = (&self.world, &mut self.out);
        match (incoming.method(), known) {
            (Method::Ack, Some(id)) if self.transactions.was_refused(id) => {
                self.transactions.repeat(w, out, id, (Event::Ack, incoming.octets));
            }
            (Method::Ack, _) => self.receive_ack(&incoming),
            (_, Some(id)) => {
                let again = (Event::Retransmission, incoming.octets);
                self.transactions.repeat(w, out, id, again);
            }
            (Method::Cancel, None) => self.receive_cancel(&incoming),
            (_, None) => self.begin(incoming),
        }
    }

    /// A request that was not here before.
    fn begin(&mut self, i: Incoming) {
        if let Some(objection) = check(&self.world, &i) {
            self.out.count_rejected(i.side, objection.reason);
            self.refuse(&i, &objection.answer);
        } else if !i.is(&Method::Register)
            && (i.message.to_tag().is_some() || self.calls.is_untagged(&self.world, &i))
        {
            self.within_dialog(&i);
        } else {
            self.outside_dialog(i);
        }
    }

    /// One stateless answer, or silence, to who is not admitted.
    pub(super) fn refuse(&mut self, i: &Incoming, answer: &Answer<'_>) {
        let (w, out) = (&self.world, &mut self.out);
        if is_silent_to(w, &self.upstreams, &self.phones, &i.flow) {
            self.strangers.silence(w, out, &i.flow, Some(i.method()));
        } else {
            answer::send(w, out, (&i.message, i.octets), i.reply, answer);
        }
    }

    /// A message that could not be read: answered if that is possible, always counted. `octets`:
    /// how many came; `None`: at least those of what an answer echoes.
    pub(super) fn refuse_unread(&mut self, flow: Flow, refusal: &Refusal, octets: Option<usize>) {
        let (w, upstreams) = (&self.world, &mut self.upstreams);
        if is_answer(w, &mut self.out, (&mut self.transactions, upstreams), flow, refusal) {
            return;
        }
        self.watch().unread(flow, refusal);
        let (w, out) = (&self.world, &mut self.out);
        if is_silent_to(w, &self.upstreams, &self.phones, &flow) {
            let method = refusal.answerable.as_ref().map(|r| r.method());
            self.strangers.silence(w, out, &flow, method);
            return;
        }
        let Some(request) = &refusal.answerable else { return };
        let octets = octets.unwrap_or_else(|| request.to_bytes().len());
        let mut request = (**request).clone();
        let reply = answer::way(w, &mut request, flow);
        let refused = Answer::new(refusal.status, &refusal.phrase);
        answer::send(w, out, (&request, octets), reply, &refused);
    }

    fn receive_cancel(&mut self, i: &Incoming) {
        if let Some(pass) = self.transactions.cancelled_by(&self.world, i) {
            let (calls, phones) = (&self.calls, &self.phones);
            follow_asker(&self.world, calls, phones, &mut self.transactions, pass);
        }
        let seat = self.seat_cancel(i);
        let fault = match self.transactions.cancel(&self.world, &mut self.out, i, seat) {
            Ok(None) => return,
            Ok(Some(pass)) => {
                let call = self.transactions.pass(pass).and_then(|p| p.purpose().call());
                call.iter().for_each(|no| self.calls.calm(*no));
                let reasons = self.reasons(i, pass);
                alone::Within::of(self).cancelled(pass, &reasons);
                return;
            }
            Err(fault) => fault,
        };
        match fault {
            CancelFault::Unknown => self.out.count_rejected(i.side, RejectReason::NoDialog),
            CancelFault::Foreign => {
                let detail = "CANCEL from another source".to_owned();
                self.out.security(SecurityClass::InDialogSource, i.reply, detail);
            }
        }
        self.refuse(i, &Answer::new(481, "Call/Transaction Does Not Exist"));
    }

    /// Why the caller cancels (RFC 3326), as the far side may read it.
    fn reasons(&mut self, cancel: &Incoming, pass: PassId) -> Vec<Vec<u8>> {
        let w = &self.world;
        let call = self.transactions.pass(pass).and_then(|p| p.purpose().call());
        let mut told = Message::request(Method::Cancel, cancel.message.uri());
        for row in cancel.message.rows(&Name::Reason) {
            told.push_back(Name::Reason, row);
        }
        let far = call.and_then(|no| self.calls.opposite(no, cancel.side));
        let (to, by) =
            far.map_or((Side::Outside, cancel.flow.listener), |l| (l.side, l.listener()));
        strip::strip(w, &mut told, cancel.side, to, &self.calls.allow(call), false);
        if to == Side::Outside {
            let how = Leaving { egress: by, near: cancel.flow.peer.ip(), theirs: &[] };
            Veil::new(w, &self.phones).hide(&mut self.out, &mut told, &how);
        }
        told.rows(&Name::Reason).map(<[u8]>::to_vec).collect()
    }

    fn outside_dialog(&mut self, i: Incoming) {
        if self.streams.is_ending(&i.flow) && !facts::is_urgent(&self.world, &i) {
            self.out.count_rejected(i.side, RejectReason::Source);
            return self.refuse(&i, &Answer::new(503, DISPROVED));
        }
        match self.watch().entrance(&i) {
            Entrance::Open => {}
            Entrance::Later => {
                self.refuse(&i, &Answer::busy("Too Many Requests"));
                return;
            }
            Entrance::Shut => return,
        }
        // A Route from outside steers nobody; ours was popped with the dialog it belongs to.
        if i.side == Side::Outside && headers::names_foreign_route(&self.world, &i.message) {
            self.out.count_rejected(i.side, RejectReason::Source);
            self.refuse(&i, &Answer::new(403, "Route Not Allowed"));
            return;
        }
        if proxy_server::is_between_gateways(&self.world, &i) {
            return answer_ping(&self.world, &mut self.out, &i);
        }
        let Some(attempt) = self.attempt(i) else { return };
        if attempt.is_probe() {
            self.watch().accuse(&attempt.incoming.flow, Signal::UnknownUser);
        }
        attempt.count_verdict(&mut self.out);
        match &attempt.verdict.action {
            Action::Allow(allow) => {
                let allow = allow.clone();
                self.admitted(attempt, &allow);
            }
            Action::Deny { code, reason } => {
                let (code, reason) = (*code, reason.clone());
                self.deny(&attempt, code, &reason);
            }
            Action::Drop => {
                if attempt.is_invite() {
                    attempt.record_call(&mut self.out, CallNo(0));
                }
                attempt.record_refusal(&mut self.out);
            }
        }
    }

    /// Who asks for what, and what policy says; `None`: it was answered here, by a challenge or
    /// because its From is another's.
    fn attempt(&mut self, i: Incoming) -> Option<Attempt> {
        let sender = match i.side {
            Side::Inside => proxy_server::admit(&self.world, &self.phones, &self.upstreams, &i),
            Side::Outside => proxy_client::admit(&self.world, &self.upstreams, &self.phones, &i),
        };
        let unproved = self.upstreams.unproved_at(&self.world, &i.flow);
        if let Some(id) = unproved.filter(|_| i.side == Side::Outside) {
            tell_unproved(&self.world, &mut self.out, &i, id);
        }
        let mut attempt = self.judged(i, sender);
        if let Some(phrase) = facts::cannot_be_judged(&self.world, &attempt) {
            self.out.count_rejected(attempt.incoming.side, RejectReason::Malformed);
            self.refuse_known(&attempt, &Answer::new(400, phrase));
            return None;
        }
        let mut borrowed = self.borrowed(&attempt);
        if proxy_server::may_prove(&self.world, &attempt, borrowed.is_some()) {
            let proved = self.prove(&attempt.incoming)?;
            let user = own(&self.world, &proved);
            if let Some(conn) = attempt.incoming.flow.conn {
                let from = self.world.net().source(&attempt.incoming.flow);
                let holder = self.world.holder(Some(&user), false, from);
                self.out.emit(Output::KeepConnection(conn, holder));
            }
            let sender = Sender { user: Some(user), ..attempt.sender };
            attempt = self.judged(attempt.incoming, sender);
            borrowed = self.borrowed(&attempt);
        }
        if let Some(claimed) = borrowed.filter(|_| tells_false_from(&attempt.verdict)) {
            self.refuse_false_from(&attempt, &claimed);
            return None;
        }
        Some(attempt)
    }

    pub(super) fn judged(&self, incoming: Incoming, sender: Sender) -> Attempt {
        let (w, phones, upstreams) = (&self.world, &self.phones, &self.upstreams);
        let parties = facts::parties(w, phones, &incoming, &sender);
        let route = match sender.side {
            Side::Inside => {
                proxy_server::route(w, phones, upstreams, &incoming, parties.to.result())
            }
            Side::Outside => {
                let (number, upstream) = (parties.to.result(), sender.upstream);
                proxy_client::route(w, (upstreams, phones), &incoming, number, upstream)
            }
        };
        let known = (phones, upstreams);
        let (route, alone) = alone::choose(w, known, &incoming, (&sender, &parties), route);
        let by = (&sender, upstreams.is_trusted(w, sender.upstream));
        let commands = commands::needs_rule(w, phones, &incoming, by, &route);
        let verdict = facts::judge(w, &incoming, &sender, &parties, &route, (commands, alone));
        let target = target(&self.world, &route);
        Attempt { incoming, sender, parties, route, verdict, target, alone, before: Vec::new() }
    }

    /// The user whose number stands in From, when it is another's.
    pub(super) fn borrowed(&self, a: &Attempt) -> Option<String> {
        self.phones.false_from(&self.world, &a.incoming, &a.sender, (&a.route, a.alone))
    }

    /// Whom the credentials prove; without proof it is answered here.
    fn prove(&mut self, i: &Incoming) -> Option<String> {
        let fault = match self.watch().check_digest(i, &Name::ProxyAuthorization) {
            Check::Proved { user, .. } => return Some(user),
            Check::Paused => {
                unheard(i).iter().for_each(|answer| self.refuse(i, answer));
                return None;
            }
            Check::Challenge { stale } => {
                let rows = self.phones.challenge(&self.world, i, stale).into_iter();
                let rows = rows.map(|v| (Name::ProxyAuthenticate, v)).collect();
                let phrase = "Proxy Authentication Required";
                self.refuse(i, &challenge(&i.message, 407, phrase, rows));
                return None;
            }
            Check::Wrong(fault) => fault,
        };
        self.out.security(fault.class(), i.flow, fault.to_string());
        let (status, phrase) = fault.answer();
        self.refuse(i, &Answer::new(status, phrase));
        None
    }

    /// 403 to a caller who writes another's number.
    fn refuse_false_from(&mut self, a: &Attempt, claimed: &str) {
        self.tell_false_from(a, claimed);
        self.refuse_known(a, &FALSE_FROM);
    }

    pub(super) fn tell_false_from(&mut self, a: &Attempt, claimed: &str) {
        let i = &a.incoming;
        let at = self.phones.user_at(&self.world, &i.flow).unwrap_or_default();
        let who = a.sender.user.as_ref().map_or(at, |aor| &aor.user);
        let written: String = claimed.chars().take(SHOWN).collect();
        let detail = format!("{who} wrote {written} in the From of {}", i.method());
        self.out.security(SecurityClass::FalseFrom, i.flow, detail);
        self.watch().accuse(&i.flow, Signal::FalseFrom);
    }

    /// Known senders get a transaction, so that the answer survives loss; strangers one answer.
    pub(super) fn refuse_known(&mut self, a: &Attempt, answer: &Answer<'_>) {
        let holder = a.holder(&self.world);
        let seat = if a.sender.is_stranger() { None } else { self.seat(&a.incoming, holder) };
        let Some(seat) = seat else {
            self.refuse(&a.incoming, answer);
            return;
        };
        let response = answer.to(&self.world, &a.incoming.message);
        self.transactions.answer(&self.world, &mut self.out, &a.incoming, seat, &response);
    }

    fn deny(&mut self, a: &Attempt, code: u16, reason: &str) {
        if a.is_invite() {
            let no = self.calls.next_number();
            a.record_call(&mut self.out, no);
            self.out.count_outcome(a.direction(), Outcome::Denied);
        } else {
            a.record_refusal(&mut self.out);
        }
        self.refuse_known(a, &Answer::new(code, reason));
    }

    fn admitted(&mut self, mut a: Attempt, allow: &Allow) {
        follow_rule(&self.world, &mut a, allow);
        if a.incoming.is(&Method::Register) && self.world.is_registrar() {
            self.register_here(&a.incoming);
        } else if a.is_strangers_ping() {
            answer_ping(&self.world, &mut self.out, &a.incoming);
        } else if a.ends_here(&self.world) && a.sender.is_stranger() {
            self.answer_unknown(&a, None);
        } else if let Some(seat) = self.admit(&a, allow) {
            let server = self.transactions.accept(&self.world, &mut self.out, &a.incoming, seat);
            self.dispatch(&a, allow, server);
        }
    }

    /// Sends a request on that has its transaction, or answers it.
    pub(super) fn dispatch(&mut self, a: &Attempt, allow: &Allow, server: ServerId) {
        if alone::News::of(self).shelve(a, server) {
            return;
        }
        match &a.route {
            Route::Upstream(id) if self.upstreams.is_alone(&self.world, *id) => {
                let register = a.incoming.is(&Method::Register);
                if a.is_emergency() || register && alone::News::of(self).tries(a, *id) {
                    self.go_on(a, server, allow);
                } else if register {
                    self.register_edge(a, server, *id);
                } else {
                    self.cut_off(a, server);
                }
            }
            Route::Upstream(_) | Route::Bindings(_) | Route::Gateway | Route::Unknown => {
                self.go_on(a, server, allow);
            }
        }
    }

    /// By its route, whether anybody answers there or not.
    pub(super) fn go_on(&mut self, a: &Attempt, server: ServerId, allow: &Allow) {
        alone::count(&mut self.out, a);
        let ours = a.sender.side == Side::Inside
            && proxy_server::is_collected(&self.world, &a.incoming.message);
        match (&a.route, a.incoming.method()) {
            (Route::Gateway, Method::Options) => {
                let pong = pong().to(&self.world, &a.incoming.message);
                self.transactions.say(&self.world, &mut self.out, server, pong);
            }
            (Route::Gateway, Method::Publish | Method::Notify) if ours => self.collect(a, server),
            (Route::Gateway | Route::Unknown, _) => self.answer_unknown(a, Some(server)),
            (Route::Upstream(id), Method::Register) => self.register_there(a, server, *id, allow),
            (Route::Upstream(_) | Route::Bindings(_), Method::Invite) => {
                self.invite(a, server, allow);
            }
            (Route::Upstream(_) | Route::Bindings(_), Method::Subscribe | Method::Refer) => {
                self.subscribe(a, server, allow);
            }
            (Route::Upstream(_) | Route::Bindings(_), _) => self.plain(a, server, allow),
        }
    }
}

/// OPTIONS for us, answered without a transaction.
fn answer_ping(w: &World, out: &mut Outbox, i: &Incoming) {
    answer::send(w, out, (&i.message, i.octets), i.reply, &pong());
}

/// The answer to OPTIONS for us (RFC 3261 §11.2).
fn pong() -> Answer<'static> {
    Answer::new(200, "OK").row(Name::Allow, ALLOW).row(Name::Accept, "application/sdp")
}
