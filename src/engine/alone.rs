//! The site alone: while no target of an upstream answers, phones that are registered call each
//! other, register here for a minute at a time, and emergency calls find another way; everything
//! else is told why not. When the upstream is back, phones go back to it in turn. Whether an
//! upstream serves, `upstreams` says; who is a phone, `phones`.

mod news;
mod refused;
mod ways;
mod within;

use super::Engine;
use super::analysis::Incoming;
use super::analysis::answer::Answer;
use super::attempt::{Attempt, Route, follow_rule, target};
use super::digest::Check;
use super::ids::{PassId, ServerId, UpstreamId};
use super::outbox::Outbox;
use super::output::Level;
use super::outside_dialog::FALSE_FROM;
use super::phones::{Phones, Registered, tells_false_from};
use super::proxy_server;
use super::purpose::Purpose;
use super::stats::{AloneResult, RegisterResult};
use super::transactions::Transactions;
use super::upstreams::{Asker, Turned, Upstreams, is_out_of_service};
use super::watch::unheard;
use super::world::World;
use crate::audit::{Outcome, Record};
use crate::config::Hop;
use crate::ground::{Flow, Mono, Side};
use crate::policy::Action;
use crate::wire::sip::Name;
pub(super) use news::News;
pub(super) use ways::choose;
use ways::next_way;
pub(super) use within::{Within, beside_it, is_cut_off};

/// What a person reads who cannot be put through.
const CUT_OFF: &str = "The Outside Cannot Be Reached, Calls Within The Site Work";
/// When he may try again, in seconds.
const LATER: &str = "30";

impl Engine {
    /// Asks an upstream whether it is there, or one target of it.
    pub(super) fn probe(&mut self, id: UpstreamId, only: Option<Hop>) {
        let (w, out) = (&self.world, &mut self.out);
        for (ping, branch, flow, hop) in self.upstreams.probes(w, out, (id, only)) {
            let client = self.transactions.originate(w, out, ping, branch, flow);
            self.upstreams.probing(client, id, hop);
        }
    }

    /// An upstream has left the site alone, or is back.
    pub(super) fn turned(&mut self, turned: Turned) {
        let (id, text, event, level) = match turned {
            Turned::Alone(id) => {
                let name = self.world.upstream_name(id).unwrap_or_default().to_owned();
                self.phones.end_return(&name);
                let text = format!(
                    "upstream {name} cannot be reached: the site is alone; phones that are \
                     registered call each other"
                );
                (id, text, "alone", Level::Warn)
            }
            Turned::Back(id, alone) => {
                let name = self.world.upstream_name(id).unwrap_or_default().to_owned();
                let n = self.phones.begin_return(&name);
                let text = format!(
                    "upstream {name} serves again, the site was alone for {} s; {n} phones go \
                     back to it in turn",
                    alone.as_secs()
                );
                (id, text, "serving", Level::Info)
            }
        };
        self.out.record(Record::System { event, detail: text.clone() });
        self.out.notice(level, text);
        if let Turned::Alone(_) = turned {
            let w = &self.world;
            let there = |flow: &Flow| {
                w.places(id).contains(&Hop { peer: flow.peer, transport: flow.transport })
            };
            let waiting = self.transactions.waiting_for(there);
            let held = self.transactions.held_at(there);
            for pass in held.into_iter().chain(self.transactions.unheard_at(there)) {
                self.lead_anew(pass);
            }
            waiting.into_iter().for_each(|pass| News::of(self).leave(pass));
        }
    }

    /// A request waits for its answer longer than it should. A REGISTER that was tried at who is
    /// alone is answered here.
    pub(super) fn waits(&mut self, flow: &Flow, began: Mono, pass: Option<PassId>) {
        let known = (&self.world, &self.transactions, &self.phones);
        let by = pass.map_or(Asker::Us, |pass| asker(known, pass));
        let users = self.phones.users();
        let alone = self.upstreams.waits(&self.world, (flow, began), by, users);
        let register = |pass: &PassId| {
            let p = self.transactions.pass(*pass);
            p.is_some_and(|p| matches!(p.purpose(), Purpose::Register(_)))
        };
        if let Some(pass) = pass.filter(register).filter(|_| alone) {
            self.lead_anew(pass);
        }
        let lost = |pass: &PassId| {
            let p = self.transactions.pass(*pass);
            p.is_some_and(|p| within::is_lost(self.known(), p.purpose()))
        };
        if let Some(pass) = pass.filter(lost) {
            News::of(self).leave(pass);
        }
    }

    /// A request that waits for who does not answer goes another way, where there is one, or hears
    /// that there is none.
    pub(super) fn lead_anew(&mut self, pass: PassId) {
        let Some(mut attempt) = self.again(pass) else { return };
        if attempt.is_emergency() {
            let tried = self.transactions.pass(pass).map_or(&[][..], |p| p.purpose().tried());
            // There is no other way for it: it waits on.
            if tried.contains(&attempt.route) {
                self.insist(pass);
                return;
            }
            attempt.before = tried.to_vec();
        }
        self.replace(pass, &attempt);
    }

    /// An emergency call that failed everywhere, or is not heard, tries the next way; false: there
    /// is none, or it is another call.
    pub(super) fn insist(&mut self, pass: PassId) -> bool {
        let purpose = self.transactions.pass(pass).map(|p| p.purpose().clone());
        let Some(Purpose::Invite { tried: Some(tried), .. }) = purpose else { return false };
        let Some(mut attempt) = self.again(pass) else { return false };
        let next = next_way(&self.world, (&self.phones, &self.upstreams), &tried);
        let Some(next) = next.filter(|_| attempt.allow().is_some()) else { return false };
        attempt.route = next;
        attempt.target = target(&self.world, &attempt.route);
        attempt.before = tried.to_vec();
        self.replace(pass, &attempt);
        true
    }

    /// The request of a pass from inside that nobody has answered, as it would be judged now.
    fn again(&self, pass: PassId) -> Option<Attempt> {
        let p = self.transactions.pass(pass)?;
        if matches!(p.purpose(), Purpose::InDialog(_)) {
            return None;
        }
        let t = self.transactions.server(p.server())?;
        let (request, came) = (t.request().clone(), t.came());
        if self.world.side(came.listener) == Side::Outside {
            return None;
        }
        let octets = request.octets();
        let i = Incoming::read(&self.world, came, request, octets).ok()?;
        let sender = proxy_server::admit(&self.world, &self.phones, &self.upstreams, &i);
        let mut attempt = self.judged(i, sender);
        if let Some(allow) = attempt.allow() {
            follow_rule(&self.world, &mut attempt, &allow);
        }
        Some(attempt)
    }

    /// Takes a pass back, and sends its request by another way.
    fn replace(&mut self, pass: PassId, attempt: &Attempt) {
        let purpose = self.transactions.pass(pass).map(|p| p.purpose().clone());
        let (w, out) = (&self.world, &mut self.out);
        let Some(server) = self.transactions.take_back(w, out, pass) else { return };
        match purpose {
            Some(Purpose::Invite { call, .. }) => {
                // It is no call that failed: the next one is the same.
                self.calls.led_anew(w, out, call);
            }
            Some(Purpose::Subscribe { call, .. }) => self.calls.forget(call),
            Some(Purpose::Register(_) | Purpose::InDialog(_) | Purpose::Other) | None => {}
        }
        // Alone, nobody is sent on in another's name: what waited is looked at as what comes then.
        let borrowed = self.borrowed(attempt).filter(|_| tells_false_from(&attempt.verdict));
        if let Some(claimed) = borrowed {
            self.tell_false_from(attempt, &claimed);
            let response = FALSE_FROM.to(&self.world, &attempt.incoming.message);
            self.transactions.say(&self.world, &mut self.out, server, response);
            return;
        }
        match attempt.verdict.action.clone() {
            Action::Allow(allow) => self.dispatch(attempt, &allow, server),
            Action::Deny { .. } | Action::Drop => self.cut_off(attempt, server),
        }
    }

    /// 503 in words that a person understands.
    pub(super) fn cut_off(&mut self, a: &Attempt, server: ServerId) {
        let refused = Answer::new(503, CUT_OFF).row(Name::RetryAfter, LATER);
        let response = refused.to(&self.world, &a.incoming.message);
        self.transactions.say(&self.world, &mut self.out, server, response);
        self.out.stats_mut().alone[AloneResult::Refused as usize] += 1;
        if a.is_invite() {
            let no = self.calls.next_number();
            a.record_call(&mut self.out, no);
            if a.allow().is_some() {
                a.record_end(&mut self.out, no, 503, Outcome::of_status(503));
            } else {
                // It began no call, as any that policy refuses.
                self.out.count_outcome(a.direction(), Outcome::Denied);
            }
        } else {
            a.record_refusal(&mut self.out);
        }
    }

    /// A REGISTER that is answered in the upstream's place.
    pub(super) fn register_edge(&mut self, a: &Attempt, server: ServerId, id: UpstreamId) {
        let i = &a.incoming;
        let asked = self.phones.asks_for_proof_alone(&self.world, i);
        let check = asked.then(|| self.watch().check_digest(i, &Name::Authorization));
        if check == Some(Check::Paused) && unheard(i).is_none() {
            self.out.count_register(RegisterResult::Refused);
            return self.transactions.forget_server(server);
        }
        let (w, out) = (&self.world, &mut self.out);
        let Some(upstream) = self.upstreams.get(w, id) else { return };
        let pending = match self.phones.pending(w, out, (i, server), upstream) {
            Ok(pending) => pending,
            Err(answer) => {
                self.transactions.say(w, out, server, *answer);
                return;
            }
        };
        let response = match self.phones.register_alone(w, out, i, (&pending, upstream), check) {
            Registered::Refused(refused) => {
                self.transactions.say(w, out, server, refused.to(w, &i.message));
                return;
            }
            Registered::Answered { response, .. } => *response,
        };
        for m in self.phones.take_moves(w) {
            self.transactions.moved(out, &m.old, m.new, &m.contact);
        }
        self.transactions.respond(w, out, server, &response);
    }
}

/// A REGISTER that was tried at an upstream which serves nobody yet, and says so.
pub(super) fn is_refused_trial(
    (w, passes, upstreams): (&World, &Transactions, &Upstreams),
    pass: PassId,
    status: u16,
) -> bool {
    let Some(Purpose::Register(pending)) = passes.pass(pass).map(|p| p.purpose()) else {
        return false;
    };
    let upstream = w.upstream_named(pending.upstream());
    is_out_of_service(status) && upstream.is_some_and(|id| upstreams.is_alone(w, id))
}

/// Who sent the request of a pass.
pub(super) fn asker<'a>(
    (w, passes, phones): (&World, &Transactions, &'a Phones),
    pass: PassId,
) -> Asker<'a> {
    let server = passes.pass(pass).map(|p| p.server());
    let came = server.and_then(|id| passes.server(id)).map(|t| t.came());
    let user = came.and_then(|flow| phones.user_of_flow(w, &flow));
    user.map_or(Asker::Other, Asker::Phone)
}

/// A site that is alone sends something on by itself.
pub(super) fn count(out: &mut Outbox, a: &Attempt) {
    let result = match &a.route {
        _ if !a.alone => return,
        _ if a.is_emergency() => AloneResult::Emergency,
        Route::Bindings(_) if a.is_invite() => AloneResult::Call,
        Route::Bindings(_) => AloneResult::Request,
        Route::Upstream(_) | Route::Gateway | Route::Unknown => return,
    };
    out.stats_mut().alone[result as usize] += 1;
}

/// Another takes what was for an upstream of ours: its domain means nothing to that one.
pub(super) fn is_taken_over(w: &World, a: &Attempt) -> bool {
    let host = a.incoming.uri.host.as_str();
    let is = |d: &str| d.eq_ignore_ascii_case(host);
    (a.alone || !a.before.is_empty())
        && w.config().upstreams.iter().any(|u| is(&u.domain) || u.domains.iter().any(|d| is(d)))
}
