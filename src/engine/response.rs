//! Responses on their way back: what the near side sees of them, and what a final answer changes in
//! the call. It never chooses between answers; `transactions` does.

use super::analysis::body::Role;
use super::analysis::headers::{foreign_routes, near_head, show_contact};
use super::analysis::strip::strip;
use super::analysis::{Veil, contact_of, set_host};
use super::calls::{Kind, Speaker};
use super::ids::UpstreamId;
use super::purpose::{InDialog, Purpose};
use super::transactions::Answer;
use super::{Engine, Level};
use crate::audit::{Outcome, SecurityClass};
use crate::config::Allow;
use crate::ground::{CallNo, Flow, Leg, ListenerId, Side};
use crate::wire::sip::{Message, Method, Name, NameAddr};

impl Engine {
    /// 101–199 to an INVITE.
    pub(super) fn provisional(&mut self, answer: &Answer) {
        let Some(near) = self.translate(answer) else { return };
        if let Some(server) = self.transactions.pass(answer.pass).map(|p| p.server()) {
            self.transactions.respond(&self.world, &mut self.out, server, &near);
        }
    }

    /// A 2xx.
    pub(super) fn success(&mut self, answer: &Answer) {
        let Some(near) = self.translate(answer) else { return };
        let Some(purpose) = self.transactions.pass(answer.pass).map(|p| p.purpose().clone()) else {
            return;
        };
        self.transactions.succeed(&self.world, &mut self.out, answer.pass, &near);
        self.after_success(&purpose, &answer.response);
    }

    /// 3xx–6xx of a branch.
    pub(super) fn failure(&mut self, answer: &Answer) {
        let Some(mut near) = self.translate(answer) else { return };
        let status = answer.response.status();
        if status == 503 {
            // §16.7 step 6: our client would take a 503 for the gateway's own.
            near.set_status(500, "Server Internal Error");
            near.remove(&Name::RetryAfter);
        }
        let (w, out) = (&self.world, &mut self.out);
        self.transactions.failed(w, out, answer.pass, near);
        if status >= 600 {
            self.transactions.cancel_branches(w, out, answer.pass);
        }
    }

    /// The response as the near side gets it; `None`: it may not pass.
    fn translate(&mut self, answer: &Answer) -> Option<Message> {
        let Answer { pass, flow, response, .. } = answer;
        let p = self.transactions.pass(*pass)?;
        let (ingress, purpose) = (p.ingress(), p.purpose().clone());
        let request = self.transactions.server(p.server())?.request().clone();
        let mut near = near_head(&request, response);
        let (from, to) = (self.world.side(flow.listener), self.world.side(ingress));
        let status = response.status();
        match &purpose {
            Purpose::Register(pending) => {
                let (w, out) = (&self.world, &mut self.out);
                self.phones.registered(w, out, pending, response, &mut near);
            }
            Purpose::Invite { call, .. } | Purpose::Subscribe { call } => {
                if (101..300).contains(&status) {
                    self.learn_fork(*call, answer);
                    self.show_dialog(*call, &request, ingress, &mut near);
                }
            }
            Purpose::InDialog(d) => {
                if near.has(&Name::Contact) && status < 300 {
                    self.show_in_dialog(d, ingress, &mut near);
                }
            }
            Purpose::Other => {
                if near.has(&Name::Contact) && status < 300 {
                    show_contact(&mut near, &self.world.net().uri(ingress, None));
                }
            }
        }
        let upstream = self.upstreams.of_source(&self.world, flow.peer.ip());
        if (300..400).contains(&status) && !matches!(purpose, Purpose::Register(_)) {
            self.translate_redirect(&mut near, to, upstream);
        }
        let allow = self.calls.allow(purpose.call());
        let trusted = self.upstreams.is_trusted(&self.world, upstream);
        strip(&self.world, &mut near, from, to, &allow, trusted);
        if !self.carry_answer(&purpose, &request, *flow, &mut near, &allow) {
            self.abandon(answer);
            return None;
        }
        if to == Side::Outside {
            let veil = Veil::new(&self.world, &self.phones);
            veil.hide(&mut self.out, &mut near, ingress, flow.peer.ip());
        }
        Some(near)
    }

    fn learn_fork(&mut self, no: CallNo, answer: &Answer) {
        let asked = self.transactions.branch_leg(answer.pass, answer.client);
        let Some(asked) = asked else { return };
        let mut routes = foreign_routes(&self.world, &answer.response);
        routes.reverse();
        let said = (&answer.response, routes, contact_of(&answer.response));
        self.calls.learn_fork(&self.world, &mut self.out, no, asked, answer.flow, said);
    }

    /// Our Contact and Record-Route for the near side.
    fn show_dialog(&self, no: CallNo, request: &Message, ingress: ListenerId, near: &mut Message) {
        let Some(call) = self.calls.get(no) else { return };
        let peer = call.caller.flow.peer.ip();
        let tag = near.to_tag().unwrap_or_default();
        let w = &self.world;
        if let Some(callee) = call.fork(tag).map(|f| &f.callee)
            && near.has(&Name::Contact)
        {
            let domain = self.upstreams.domain(w, callee.upstream);
            let uri = self.calls.leg_contact(w, ingress, no, Leg::Callee, callee, domain);
            show_contact(near, &uri);
        }
        let rows: Vec<Vec<u8>> = request.rows(&Name::RecordRoute).map(<[u8]>::to_vec).collect();
        for row in rows.into_iter().rev() {
            near.push_front(Name::RecordRoute, row);
        }
        let ours = self.calls.leg_route(w, ingress, no, Leg::Callee, peer);
        near.push_front(Name::RecordRoute, format!("<{ours}>"));
    }

    /// Our Contact, in the answer to a request within a dialog.
    fn show_in_dialog(&self, d: &InDialog, ingress: ListenerId, near: &mut Message) {
        let far = self.calls.get(d.call).and_then(|c| match d.leg {
            Leg::Caller => c.fork(&d.tag).or(c.main_fork()).map(|f| &f.callee),
            Leg::Callee => Some(&c.caller),
        });
        let Some(far) = far else { return };
        let w = &self.world;
        let domain = self.upstreams.domain(w, far.upstream);
        let uri = self.calls.leg_contact(w, ingress, d.call, d.leg.other(), far, domain);
        show_contact(near, &uri);
    }

    /// 3xx: a Contact that names us or an inside host becomes the domain of who answered.
    fn translate_redirect(&self, near: &mut Message, to: Side, by: Option<UpstreamId>) {
        let first = || self.world.config().upstreams.first().map(|u| u.domain.as_str());
        let domain = self.upstreams.domain(&self.world, by).or_else(first);
        let Some(domain) = domain.filter(|_| to == Side::Outside) else { return };
        let values: Vec<Vec<u8>> = near.list(&Name::Contact).map(<[u8]>::to_vec).collect();
        near.remove(&Name::Contact);
        for value in values {
            let Some(mut name) = NameAddr::parse(&value) else { continue };
            if self.veil().must_hide(&name.uri) {
                set_host(&mut name.uri, domain);
            }
            near.push_back(Name::Contact, name.to_string());
        }
    }

    /// The body of a response: an answer, or a late offer. False: it was refused.
    fn carry_answer(
        &mut self,
        purpose: &Purpose,
        request: &Message,
        flow: Flow,
        near: &mut Message,
        allow: &Allow,
    ) -> bool {
        let role = self.role_of_answer(purpose, flow, near);
        let Err(refusal) = self.carrier().carry(near, role, allow) else { return true };
        self.out.count_rejected(self.world.side(flow.listener), refusal.reason);
        let method = request.method();
        let text = format!("answer to {method} from {}: {}", flow.peer, refusal.why);
        self.out.notice(Level::Warn, text);
        self.out.security(SecurityClass::MediaRefused, flow, refusal.why);
        false
    }

    /// A reliable answer may stand in a 1xx and be repeated in the 2xx; a late offer too.
    fn role_of_answer(&self, purpose: &Purpose, flow: Flow, near: &Message) -> Option<Role> {
        let (call, leg, offers) = match purpose {
            _ if near.status() >= 300 => return None,
            Purpose::Invite { call, offered } => (*call, Leg::Callee, !offered),
            Purpose::InDialog(d) => (d.call, d.leg.other(), !d.offered),
            Purpose::Subscribe { .. } | Purpose::Register(_) | Purpose::Other => return None,
        };
        let mut who = Speaker::new(leg, &flow);
        if matches!(purpose, Purpose::Invite { .. }) {
            who.counts = !self.calls.is_surplus(call, near.to_tag().unwrap_or_default());
        }
        Some(Role { call, who, offers }).filter(|_| self.calls.has_media(call))
    }

    /// A 2xx went back.
    fn after_success(&mut self, purpose: &Purpose, response: &Message) {
        let (w, out) = (&self.world, &mut self.out);
        match purpose {
            Purpose::Invite { call, .. } => self.calls.answered(w, out, *call, response),
            Purpose::Subscribe { call } => self.calls.subscribed(w, *call, response),
            Purpose::InDialog(d) => {
                if refreshes_target(response.method()) {
                    if let Some(contact) = &d.contact {
                        self.calls.refresh_target(d.call, d.leg, &d.tag, contact.clone());
                    }
                    if let Some(contact) = contact_of(response) {
                        self.calls.refresh_target(d.call, d.leg.other(), &d.tag, contact);
                    }
                }
                self.after_in_dialog(d, response);
            }
            Purpose::Register(_) | Purpose::Other => {}
        }
    }

    fn after_in_dialog(&mut self, d: &InDialog, response: &Message) {
        let (w, out) = (&self.world, &mut self.out);
        match response.method() {
            Method::Bye => self.calls.end_fork(w, out, d.call, &d.tag, 200),
            Method::Invite | Method::Update => self.calls.show(out, d.call),
            Method::Subscribe => self.calls.subscribed(w, d.call, response),
            Method::Notify => {
                let kind = self.calls.get(d.call).map(|c| c.kind);
                let subscription = kind == Some(Kind::Subscription);
                if d.ends_subscription && subscription && d.leg == Leg::Callee {
                    self.calls.forget(d.call);
                }
            }
            Method::Ack
            | Method::Cancel
            | Method::Register
            | Method::Options
            | Method::Prack
            | Method::Publish
            | Method::Info
            | Method::Refer
            | Method::Message
            | Method::Other(_) => {}
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
            Purpose::Subscribe { call } => self.calls.forget(*call),
            Purpose::InDialog(d) => {
                if d.offered {
                    self.calls.offer_failed(out, d.call);
                }
                let bye = *response.method() == Method::Bye;
                if bye && !matches!(status, 401 | 407) {
                    self.calls.end_fork(w, out, d.call, &d.tag, status);
                }
            }
            Purpose::Register(pending) => pending.failed(out, status),
            Purpose::Other => {}
        }
    }
}

/// Target refresh requests (RFC 3261 §12.2, RFC 3311, RFC 6665).
fn refreshes_target(method: &Method) -> bool {
    matches!(
        method,
        Method::Invite | Method::Update | Method::Subscribe | Method::Notify | Method::Refer
    )
}
