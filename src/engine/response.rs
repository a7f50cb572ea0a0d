//! Responses on their way back: what the near side sees of them, and what a final answer changes in
//! the call. It never chooses between answers; `transactions` does.

mod asker;
mod torn;
mod unavailable;

use super::analysis::body::{BodyRefusal, Carried, Role, Way, drop_body};
use super::analysis::headers::{foreign_routes, near_head, only_failure, show_contact};
use super::analysis::strip::{drop_own_challenges, strip};
use super::analysis::{Leaving, Veil, contact_of, said_of_itself, set_host};
use super::calls::{Calls, Face, Speaker};
use super::ids::{PassId, UpstreamId};
use super::next_hop::Known;
use super::purpose::{InDialog, Purpose};
use super::referring::Referring;
use super::transactions::Answer;
use super::unreached::{self, refreshes_target};
use super::{Engine, Level, alone};
use crate::audit::{Outcome, SecurityClass};
use crate::config::Allow;
use crate::ground::{CallNo, Flow, Leg, ListenerId, Side};
use crate::wire::sip::{Message, Method, Name, NameAddr};
pub(super) use asker::{failed, follow_asker, lost};
pub(super) use torn::is_answer;

/// A response as the near side gets it.
struct Near {
    message: Message,
    /// The session description that it carried, and that somebody waits for, may not cross.
    refused: Option<BodyRefusal>,
}

impl Engine {
    /// 101–199 to an INVITE.
    pub(super) fn provisional(&mut self, answer: &Answer) {
        let Some(Near { message, refused }) = self.translate(answer) else { return };
        // Whoever acknowledged it (RFC 3262) would leave an answer that nobody got, or an offer
        // without an answer.
        let reliable = answer.response.has(&Name::parse("RSeq"));
        if let Some(refusal) = refused.filter(|_| reliable) {
            let (w, out) = (&self.world, &mut self.out);
            self.transactions.give_up(w, out, answer.pass, answer.client);
            self.refused_here(answer.pass, &refusal);
        } else if let Some(server) = self.transactions.pass(answer.pass).map(|p| p.server()) {
            self.transactions.respond(&self.world, &mut self.out, server, &message);
        }
    }

    /// A 2xx.
    pub(super) fn success(&mut self, answer: &Answer) {
        let Some(pass) = self.transactions.pass(answer.pass) else { return };
        let (server, purpose) = (pass.server(), pass.purpose().clone());
        if *answer.response.method() == Method::Invite
            && (self.transactions.was_refused(server)
                || purpose.call().is_some_and(|no| self.calls.get(no).is_none()))
        {
            self.unheard(answer);
            // A re-INVITE that the end of its call has overtaken: its asker still waits.
            self.failed_here(answer.pass, 481, "Call/Transaction Does Not Exist");
            return;
        }
        if let Some(why) = &answer.fault {
            let refusal = unreached::of_torn(why);
            if !self.transactions.has_passed(answer) {
                self.answer_refused(answer, &purpose, &refusal);
            }
            return;
        }
        let Some(Near { message, refused }) = self.translate(answer) else { return };
        // What passed before has its ACK from the caller, whatever is thought of it now.
        if let Some(refusal) = refused.filter(|_| !self.transactions.has_passed(answer)) {
            self.answer_refused(answer, &purpose, &refusal);
            return;
        }
        if !self.transactions.has_passed(answer) {
            let (w, upstreams) = (&self.world, &self.upstreams);
            let k = Known { w, upstreams, calls: &self.calls, phones: &self.phones };
            unreached::tell_contact(k, &mut self.out, answer, &purpose);
        }
        self.transactions.passes_on(answer);
        self.transactions.succeed(&self.world, &mut self.out, answer.pass, &message);
        self.after_success(&purpose, &answer.response);
    }

    /// 3xx–6xx of a branch.
    pub(super) fn failure(&mut self, answer: &Answer) {
        let known = (&self.world, &self.transactions, &self.upstreams);
        if alone::is_refused_trial(known, answer.pass, answer.response.status()) {
            self.lead_anew(answer.pass);
            return;
        }
        let Some(Near { message: mut near, .. }) = self.translate(answer) else { return };
        let status = answer.response.status();
        if status == 503 {
            let by = self.upstreams.of_flow(&self.world, &answer.flow);
            let doubted = by.is_some_and(|id| self.upstreams.is_watched(id));
            unavailable::as_failure(&mut near, &answer.response, doubted);
        }
        let (w, out) = (&self.world, &mut self.out);
        self.transactions.failed(w, out, answer.pass, near);
        if status >= 600 {
            // RFC 3326 §2: no phone need wonder why it stopped ringing.
            let reason = format!("SIP;cause={status}").into_bytes();
            self.transactions.cancel_branches(w, out, answer.pass, &[reason]);
        }
    }

    /// What our refusal of a session description tells who waits for it.
    pub(super) fn refused_here(&mut self, pass: PassId, refusal: &BodyRefusal) {
        match refusal.status {
            503 => self.failed_here(pass, 503, "No Relay Ports"),
            502 => self.failed_here(pass, 502, refusal.phrase),
            _ => self.failed_here(pass, 488, "Not Acceptable Here"),
        }
    }

    /// A branch failed, in our own words.
    fn failed_here(&mut self, pass: PassId, status: u16, phrase: &str) {
        let (w, out) = (&self.world, &mut self.out);
        let server = self.transactions.pass(pass).map(|p| p.server());
        let request = server.and_then(|s| self.transactions.server(s)).map(|t| t.request());
        let Some(failure) = request.map(|r| w.answer(r, status, phrase)) else { return };
        self.transactions.failed(w, out, pass, failure);
    }

    /// The response as the near side gets it, without what may not cross; `None`: nobody waits.
    fn translate(&mut self, answer: &Answer) -> Option<Near> {
        let Answer { pass, flow, response, .. } = answer;
        let (calls, phones) = (&self.calls, &self.phones);
        follow_asker(&self.world, calls, phones, &mut self.transactions, *pass);
        let p = self.transactions.pass(*pass)?;
        let (ingress, purpose) = (p.ingress(), p.purpose().clone());
        let asking = self.transactions.server(p.server())?;
        let (request, asker) = (asking.request().clone(), asking.reply());
        let mut near = near_head(&request, response);
        if drop_own_challenges(&self.world, &mut near) {
            let detail = format!("{} to {} in our realm", near.status(), near.method());
            self.out.security(SecurityClass::ChallengeRefused, *flow, detail);
            near.set_status(502, "Challenge In The Gateway's Realm");
        }
        let (from, to) = (self.world.side(flow.listener), self.world.side(ingress));
        let status = response.status();
        match &purpose {
            Purpose::Register(pending) => {
                let (w, out) = (&self.world, &mut self.out);
                self.phones.registered(w, out, pending, (response, flow), &mut near);
                for m in self.phones.take_moves(w) {
                    self.transactions.moved(out, &m.old, m.new, &m.contact);
                }
                let closed = pending.flow().conn.filter(|_| self.streams.is_gone(pending.flow()));
                closed.into_iter().for_each(|conn| self.phones.connection_closed(w, out, conn));
            }
            Purpose::Invite { call, .. } | Purpose::Subscribe { call, .. } => {
                if (101..300).contains(&status) {
                    self.learn_fork(*call, answer);
                    let tag = response.to_tag().unwrap_or_default();
                    self.show_face(*call, (Leg::Callee, tag), &request, ingress, &mut near);
                }
            }
            Purpose::InDialog(d) => {
                if (101..300).contains(&status) {
                    let shown = (d.leg.other(), d.tag.as_str());
                    self.show_face(d.call, shown, &request, ingress, &mut near);
                }
            }
            Purpose::Other => {
                if near.has(&Name::Contact) && status < 300 {
                    show_contact(&mut near, &self.world.net().uri(ingress, None));
                }
            }
        }
        let upstream = self.upstreams.of_flow(&self.world, flow);
        if redirects(status) && !matches!(purpose, Purpose::Register(_)) {
            let (w, out) = (&self.world, &mut self.out);
            let mut refer = Referring::new(w, &self.phones, &self.upstreams, &self.calls, out);
            refer.answered(&self.transactions, answer, &purpose, &mut near);
            let by = match to {
                Side::Inside => upstream,
                Side::Outside => self.upstreams.of_flow(&self.world, &asker),
            };
            self.translate_redirect(&mut near, by);
        }
        only_failure(&mut near, redirects(status));
        let allow = self.calls.allow(purpose.call());
        let trusted = self.upstreams.is_trusted(&self.world, upstream);
        strip(&self.world, &mut near, from, to, &allow, trusted);
        let refused = self.carry_answer(&purpose, to, *flow, &mut near, &allow);
        let unreached = unreached::of_answer(self.known(), answer, &purpose);
        unreached.iter().for_each(|r| unreached::tell(&mut self.out, from, flow.peer, r));
        let refused = refused.or(unreached);
        if to == Side::Outside {
            let veil = Veil::new(&self.world, &self.phones).over(said_of_itself(response));
            let how = Leaving { egress: ingress, near: flow.peer.ip(), theirs: &[] };
            veil.hide(&mut self.out, &mut near, &how);
        }
        Some(Near { message: near, refused })
    }

    fn learn_fork(&mut self, no: CallNo, answer: &Answer) {
        let asked = self.transactions.branch_leg(answer.pass, answer.client);
        let Some(asked) = asked else { return };
        let mut routes = foreign_routes(&self.world, &answer.response);
        routes.reverse();
        let said = (&answer.response, routes, contact_of(&answer.response));
        self.calls.learn_fork(&self.world, &mut self.out, no, asked, answer.flow, said);
    }

    /// Our Contact and Record-Route for the near side of an answer that makes a dialog, and of one
    /// within it: whoever takes the route from that finds us there (RFC 3261 §16.6 step 4).
    fn show_face(
        &self,
        call: CallNo,
        (leg, tag): (Leg, &str),
        request: &Message,
        egress: ListenerId,
        near: &mut Message,
    ) {
        let w = &self.world;
        let dialog = self.calls.get(call).and_then(|c| Some((&c.caller, &c.fork(tag)?.callee)));
        let Some((caller, callee)) = dialog else {
            // A fork too many: nobody is reached by it, and nobody's address is shown.
            if near.has(&Name::Contact) {
                show_contact(near, &w.net().uri(egress, None));
            }
            return;
        };
        let (shown, asker) = match leg {
            Leg::Caller => (caller, callee),
            Leg::Callee => (callee, caller),
        };
        let face = Face { call, leg, tag: Some(tag), peer: asker.flow.peer.ip(), egress };
        if near.has(&Name::Contact) {
            let domain = self.upstreams.domain(w, shown.upstream);
            show_contact(near, &self.calls.leg_contact(w, face, domain));
        }
        let rows: Vec<Vec<u8>> = request.rows(&Name::RecordRoute).map(<[u8]>::to_vec).collect();
        for row in rows.into_iter().rev() {
            near.push_front(Name::RecordRoute, row);
        }
        let route = self.calls.leg_route(w, face);
        route.into_iter().for_each(|r| near.push_front(Name::RecordRoute, format!("<{r}>")));
    }

    /// 3xx: a Contact that names us, an inside host or the upstream's own address becomes the
    /// domain of the upstream that asked or answered.
    fn translate_redirect(&self, near: &mut Message, by: Option<UpstreamId>) {
        let w = &self.world;
        let Some(domain) = self.upstreams.domain(w, by) else { return };
        let theirs = |ip| by.is_some_and(|id| self.upstreams.is_source(w, id, ip));
        let values: Vec<Vec<u8>> = near.list(&Name::Contact).map(<[u8]>::to_vec).collect();
        near.remove(&Name::Contact);
        for value in values {
            let Some(mut name) = NameAddr::parse(&value) else { continue };
            if Veil::new(&self.world, &self.phones).must_hide(&name.uri)
                || name.uri.host_ip().is_some_and(theirs)
            {
                set_host(&mut name.uri, domain);
            }
            near.push_back(Name::Contact, name.to_string());
        }
    }

    /// The body of a response: an answer, a late offer, or neither. What may not cross is left
    /// out; the refusal is of the session description that somebody waits for.
    fn carry_answer(
        &mut self,
        purpose: &Purpose,
        to: Side,
        flow: Flow,
        near: &mut Message,
        allow: &Allow,
    ) -> Option<BodyRefusal> {
        let role = role_of_answer(&self.calls, purpose, flow, near);
        let carried = self.carrier().carry(near, &Way { to, role, allow }).unwrap_or_else(|r| {
            drop_body(near);
            Carried { described: false, lost: Some(r) }
        });
        let refusal = carried.lost?;
        self.out.count_rejected(self.world.side(flow.listener), refusal.reason);
        let (status, method, from) = (near.status(), near.method(), flow.peer);
        let text = format!("{status} to {method} from {from}, its body left out: {}", refusal.why);
        self.out.notice_of(from, Level::Warn, text);
        self.out.security(SecurityClass::MediaRefused, flow, refusal.why.clone());
        let waited_for = role.is_some() && refusal.session && !carried.described;
        waited_for.then_some(refusal)
    }

    /// A 2xx went back.
    fn after_success(&mut self, purpose: &Purpose, response: &Message) {
        let (w, out) = (&self.world, &mut self.out);
        match purpose {
            Purpose::Invite { call, .. } => self.calls.answered(w, out, *call, response),
            Purpose::Subscribe { call, said: Some(said) } => {
                self.calls.subscribed(w, *call, said, response);
            }
            Purpose::InDialog(d) => {
                if refreshes_target(response.method()) {
                    if let Some(contact) = &d.contact {
                        self.calls.refresh_target(d.call, d.leg, &d.tag, contact.clone());
                    }
                    match unreached::of_target(self.known(), d, response) {
                        Ok(Some(contact)) => {
                            self.calls.refresh_target(d.call, d.leg.other(), &d.tag, contact);
                        }
                        Ok(None) => {}
                        Err((by, r)) => unreached::tell(&mut self.out, Side::Outside, by, &r),
                    }
                }
                self.after_in_dialog(d, response);
            }
            Purpose::Subscribe { said: None, .. } | Purpose::Register(_) | Purpose::Other => {}
        }
    }

    fn after_in_dialog(&mut self, d: &InDialog, response: &Message) {
        self.after_said(d, response);
        let (w, out) = (&self.world, &mut self.out);
        match response.method() {
            Method::Bye => self.calls.end_fork(w, out, d.call, &d.tag, 200),
            Method::Invite | Method::Update => {
                self.calls.refreshed(w, d.call, response);
                self.calls.offer_over(out, d.call, d.offered.then_some(d.leg));
                self.calls.show(out, d.call);
                self.calls.keep(w, out, d.call);
            }
            Method::Ack
            | Method::Cancel
            | Method::Register
            | Method::Options
            | Method::Prack
            | Method::Subscribe
            | Method::Notify
            | Method::Publish
            | Method::Info
            | Method::Refer
            | Method::Message
            | Method::Other(_) => {}
        }
    }

    /// What the answered request said of a subscription holds.
    fn after_said(&mut self, d: &InDialog, response: &Message) {
        if let Some(said) = &d.said {
            self.calls.has_said(&self.world, d.call, (d.leg, &d.tag), said, response);
        }
    }

    /// A final failure went back.
    pub(super) fn after_failure(&mut self, purpose: &Purpose, response: &Message) {
        let (w, out) = (&self.world, &mut self.out);
        let status = response.status();
        match purpose {
            Purpose::Invite { call, .. } if matches!(status, 401 | 407) => {
                self.calls.park(w, out, *call);
            }
            Purpose::Invite { call, .. } => {
                let outcome = Outcome::of_status(status);
                self.calls.end_attempt(w, out, *call, status, outcome);
            }
            Purpose::Subscribe { call, .. } => self.calls.forget(*call),
            Purpose::InDialog(d) => {
                if d.offered {
                    self.calls.offer_failed(out, d.call);
                }
                if *response.method() == Method::Bye {
                    self.calls.bye_failed(w, out, d.call, &d.tag, status);
                }
                self.after_said(d, response);
            }
            Purpose::Register(pending) => self.phones.refused(w, out, pending, status),
            Purpose::Other => {}
        }
    }
}

/// Answers whose Contacts are other parties to call (RFC 3261 §21.3, §21.4.23).
fn redirects(status: u16) -> bool {
    (300..400).contains(&status) || status == 485
}

/// A reliable answer may stand in a 1xx and be repeated in the 2xx; a late offer too.
fn role_of_answer(calls: &Calls, purpose: &Purpose, flow: Flow, near: &Message) -> Option<Role> {
    let (call, leg, offers) = match purpose {
        _ if near.status() >= 300 => return None,
        Purpose::Invite { call, offered, .. } => (*call, Leg::Callee, !offered),
        Purpose::InDialog(d) if d.offered || *near.method() == Method::Invite => {
            (d.call, d.leg.other(), !d.offered)
        }
        Purpose::InDialog(_)
        | Purpose::Subscribe { .. }
        | Purpose::Register(_)
        | Purpose::Other => return None,
    };
    let mut who = Speaker::new(leg, &flow);
    if matches!(purpose, Purpose::Invite { .. }) {
        who.counts = !calls.is_surplus(call, near.to_tag().unwrap_or_default());
    }
    Some(Role { call, who, offers }).filter(|_| calls.has_media(call))
}
