//! Responses on their way back: what the near side sees of them, and what a final answer changes in
//! the call. It never chooses between answers; `pass` does.

use super::analysis::headers;
use super::dialog::State;
use super::media::Speaker;
use super::pass::Kind;
use super::{Engine, Observation, Output, TimerKey};
use crate::ground::Side;
use crate::relay::Leg;
use crate::wire::sip::{Message, Method, Name, NameAddr};

impl Engine {
    /// The response as the near side gets it; `None`: it may not pass.
    pub(crate) fn translate(
        &mut self,
        pass: u64,
        client: u64,
        response: &Message,
    ) -> Option<Message> {
        let p = self.passes.get(&pass)?;
        let (server, ingress, kind) = (p.server, p.ingress, p.kind.clone());
        let request = self.tx.server(server)?.request.clone();
        let flow = self.tx.client(client).map(|t| t.flow)?;
        let mut out = self.near_head(&request, response);
        let (from, to) = (self.net.side(flow.listener), self.net.side(ingress));
        let status = response.status();
        match &kind {
            Kind::Register(pending) => self.translate_register(pending, response, &mut out),
            Kind::Invite { call, .. } | Kind::Subscribe { call } => {
                if (101..300).contains(&status) {
                    self.learn_fork(*call, pass, client, response);
                    self.show_dialog(*call, &request, ingress, &mut out);
                }
            }
            Kind::InDialog { call, leg, .. } => {
                let far = self.dialogs.get(*call).and_then(|c| match leg {
                    Leg::Caller => c.forks.first().map(|f| f.callee.clone()),
                    Leg::Callee => Some(c.caller.clone()),
                });
                if let Some(far) = far.filter(|_| out.has(&Name::Contact) && status < 300) {
                    let uri = self.leg_contact(ingress, *call, leg.other(), &far);
                    headers::show_contact(&mut out, &uri);
                }
            }
            Kind::Other => {
                if out.has(&Name::Contact) && status < 300 {
                    let uri = self.net.uri(ingress, None);
                    headers::show_contact(&mut out, &uri);
                }
            }
        }
        if (300..400).contains(&status) && !matches!(kind, Kind::Register(_)) {
            self.translate_redirect(&mut out, to);
        }
        let call = kind_call(&kind);
        let allow =
            call.and_then(|c| self.dialogs.get(c)).map(|c| c.allow.clone()).unwrap_or_default();
        let trusted = self
            .upstream_of(flow.peer.ip())
            .and_then(|i| self.upstream(i))
            .is_some_and(|u| u.trust);
        self.strip(&mut out, from, to, &allow, trusted);
        if !self.carry_answer(&kind, &request, flow, &mut out, &allow) {
            self.abandon(pass, client, response);
            return None;
        }
        if to == Side::Outside {
            self.hide(&mut out, ingress, flow.peer.ip());
        }
        Some(out)
    }

    /// Via, From, To, Call-ID as the near side wrote them; no Record-Route of strangers.
    fn near_head(&self, request: &Message, response: &Message) -> Message {
        let mut out = response.clone();
        out.remove(&Name::Via);
        let vias: Vec<Vec<u8>> = request.rows(&Name::Via).map(<[u8]>::to_vec).collect();
        for via in vias.into_iter().rev() {
            out.push_front(Name::Via, via);
        }
        if let Some(from) = request.first(&Name::From) {
            out.set(Name::From, from);
        }
        if let Some(to) = request.first(&Name::To) {
            let to = match (request.to_tag(), response.to_tag()) {
                (None, Some(tag)) => headers::with_tag(to, tag),
                (Some(_), _) | (None, None) => to.to_vec(),
            };
            out.set(Name::To, to);
        }
        out.set(Name::CallId, request.call_id());
        out.remove(&Name::RecordRoute);
        out
    }

    /// A response with a tag makes (or refreshes) a fork.
    fn learn_fork(&mut self, no: u64, pass: u64, client: u64, response: &Message) {
        let Some(tag) = response.to_tag().map(str::to_owned) else { return };
        let template = self
            .passes
            .get(&pass)
            .and_then(|p| p.branches.iter().find(|b| b.client == client))
            .and_then(|b| b.leg.clone());
        let Some(mut leg) = template else { return };
        let mut routes = self.foreign_routes(response);
        routes.reverse();
        leg.routes = routes;
        if let Some(contact) = Self::contact_of(response) {
            leg.contact = Some(contact);
        }
        if let Some(t) = self.tx.client(client) {
            leg.flow = t.flow;
        }
        let known = self.dialogs.get_mut(no).and_then(|c| c.fork_mut(&tag));
        match known {
            Some(fork) => {
                fork.callee.contact = leg.contact;
                if !leg.routes.is_empty() {
                    fork.callee.routes = leg.routes;
                }
            }
            None => self.dialogs.add_fork(no, &tag, leg),
        }
        if response.status() >= 180
            && let Some(call) = self.dialogs.get_mut(no)
            && call.ringing.is_none()
        {
            call.ringing = Some(self.now);
            let (direction, delay) = (call.direction, self.now.mono.since(call.started.mono));
            self.emit(Output::Observe(Observation::PostDialDelay { direction, delay }));
        }
    }

    /// Our Contact and Record-Route for the near side.
    fn show_dialog(
        &mut self,
        no: u64,
        request: &Message,
        ingress: crate::ground::ListenerId,
        out: &mut Message,
    ) {
        let Some(call) = self.dialogs.get(no) else { return };
        let peer = call.caller.flow.peer.ip();
        let tag = out.to_tag().unwrap_or_default();
        if let Some(callee) = call.fork(tag).map(|f| f.callee.clone())
            && out.has(&Name::Contact)
        {
            let uri = self.leg_contact(ingress, no, Leg::Callee, &callee);
            headers::show_contact(out, &uri);
        }
        let rows: Vec<Vec<u8>> = request.rows(&Name::RecordRoute).map(<[u8]>::to_vec).collect();
        for row in rows.into_iter().rev() {
            out.push_front(Name::RecordRoute, row);
        }
        let ours = self.leg_route(ingress, no, Leg::Callee, peer);
        out.push_front(Name::RecordRoute, format!("<{ours}>"));
    }

    /// 3xx: a Contact that names us or an inside host becomes the far side's domain.
    fn translate_redirect(&self, out: &mut Message, to: Side) {
        let domain = self.snap.config.upstreams.first().map(|u| u.domain.clone());
        let Some(domain) = domain.filter(|_| to == Side::Outside) else { return };
        let values: Vec<Vec<u8>> = out.list(&Name::Contact).map(<[u8]>::to_vec).collect();
        out.remove(&Name::Contact);
        for value in values {
            let Some(mut name) = NameAddr::parse(&value) else { continue };
            if self.must_hide(&name.uri) {
                headers::set_host(&mut name.uri, &domain);
            }
            out.push_back(Name::Contact, name.to_string());
        }
    }

    /// The body of a response: an answer, or a late offer. False: it was refused.
    fn carry_answer(
        &mut self,
        kind: &Kind,
        request: &Message,
        flow: crate::ground::Flow,
        out: &mut Message,
        allow: &crate::config::Allow,
    ) -> bool {
        let status = out.status();
        let role = match kind {
            _ if status >= 300 => None,
            Kind::Invite { call, offered } => Some((*call, Leg::Callee, !offered)),
            Kind::InDialog { call, leg, offered, .. } => Some((*call, leg.other(), !offered)),
            Kind::Subscribe { .. } | Kind::Register(_) | Kind::Other => None,
        };
        // A reliable answer may stand in a 1xx and be repeated in the 2xx; a late offer too.
        let role = role.map(|(call, leg, offer)| {
            let mut speaker = Speaker::new(leg, &flow);
            speaker.counts = !self.is_surplus(call, kind, out);
            (call, speaker, offer)
        });
        let role = role.filter(|(call, ..)| self.media.knows(*call));
        match self.carry_body(out, role, allow) {
            Ok(described) => {
                if let (true, Some((call, _, true))) = (described, role)
                    && let Some(c) = self.dialogs.get_mut(call)
                {
                    c.late_offer = true;
                }
                true
            }
            Err(refusal) => {
                self.count_rejected(flow, refusal.reason);
                let method = request.method().to_string();
                let text = format!("answer to {method} from {}: {}", flow.peer, refusal.why);
                self.notice(super::Level::Warn, text);
                self.security("media_refused", flow, refusal.why);
                false
            }
        }
    }

    /// An answer of a fork that came too late: another has answered, and its media stay.
    fn is_surplus(&self, no: u64, kind: &Kind, out: &Message) -> bool {
        let call = self.dialogs.get(no).filter(|_| matches!(kind, Kind::Invite { .. }));
        call.is_some_and(|c| {
            c.state != State::Early && !c.lives_by(out.to_tag().unwrap_or_default())
        })
    }

    /// A 2xx went back.
    pub(crate) fn after_success(&mut self, kind: &Kind, client: u64, response: &Message) {
        match kind.clone() {
            Kind::Invite { call, .. } => self.answered(call, response),
            Kind::Subscribe { call } => self.subscribed(call, response),
            Kind::InDialog { call, leg, tag, contact, .. } => {
                let method = response.method().clone();
                if let (Some(contact), true) = (contact, refreshes_target(&method)) {
                    self.refresh_target(call, leg, &tag, contact);
                }
                if let (Some(contact), true) =
                    (Self::contact_of(response), refreshes_target(&method))
                {
                    self.refresh_target(call, leg.other(), &tag, contact);
                }
                self.after_in_dialog(call, leg, &tag, response, client);
            }
            Kind::Register(_) | Kind::Other => {}
        }
    }

    fn answered(&mut self, no: u64, response: &Message) {
        let Some(call) = self.dialogs.get_mut(no) else { return };
        let first = call.state == State::Early;
        if !first {
            return;
        }
        call.state = State::Confirmed;
        call.confirmed = Some(self.now);
        call.answered = response.to_tag().map(str::to_owned);
        call.pass = None;
        let direction = call.direction;
        self.count_outcome(direction, "answered");
        let wait = self.snap.config.timers.t1 * 64;
        self.timers.set(TimerKey::Ack(no), self.now.mono + wait);
        self.supervise_media(no);
        self.show_call(no);
    }

    fn subscribed(&mut self, no: u64, response: &Message) {
        let seconds = response.text(&Name::Expires).and_then(|v| v.trim().parse().ok());
        if let Some(call) = self.dialogs.get_mut(no) {
            call.state = State::Confirmed;
        }
        self.touch_subscription(no, seconds.unwrap_or(3600));
    }

    fn refresh_target(&mut self, no: u64, leg: Leg, tag: &str, contact: crate::wire::sip::Uri) {
        let Some(call) = self.dialogs.get_mut(no) else { return };
        match leg {
            Leg::Caller => call.caller.contact = Some(contact),
            Leg::Callee => {
                if let Some(fork) = call.fork_mut(tag) {
                    fork.callee.contact = Some(contact);
                }
            }
        }
    }

    fn after_in_dialog(&mut self, no: u64, leg: Leg, tag: &str, response: &Message, client: u64) {
        match response.method() {
            Method::Bye => self.end_fork(no, tag, 200),
            Method::Invite | Method::Update => self.show_call(no),
            Method::Subscribe => self.subscribed(no, response),
            Method::Notify => {
                let request = self.tx.client(client).map(|t| t.request.clone());
                let over = request
                    .and_then(|r| r.text(&Name::SubscriptionState).map(str::to_ascii_lowercase))
                    .is_some_and(|s| s.trim_start().starts_with("terminated"));
                let subscription = self
                    .dialogs
                    .get(no)
                    .is_some_and(|c| c.kind == super::dialog::Kind::Subscription);
                if over && subscription && leg == Leg::Callee {
                    self.timers.stop(TimerKey::Dialog(no));
                    self.dialogs.remove(no);
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
    pub(crate) fn after_failure(&mut self, kind: &Kind, response: &Message) {
        let status = response.status();
        match kind.clone() {
            Kind::Invite { call, .. } if matches!(status, 401 | 407) => self.park(call),
            Kind::Invite { call, .. } => {
                self.end_attempt(call, status, super::ending::outcome(status));
            }
            Kind::Subscribe { call } => {
                self.timers.stop(TimerKey::Dialog(call));
                self.dialogs.remove(call);
            }
            Kind::InDialog { call, offered, tag, .. } => {
                if offered {
                    self.offer_failed(call);
                }
                let bye = *response.method() == Method::Bye;
                if bye && !matches!(status, 401 | 407) {
                    self.end_fork(call, &tag, status);
                }
            }
            Kind::Register(pending) => self.register_failed(&pending, status),
            Kind::Other => {}
        }
    }
}

fn kind_call(kind: &Kind) -> Option<u64> {
    match kind {
        Kind::Invite { call, .. } | Kind::Subscribe { call } | Kind::InDialog { call, .. } => {
            Some(*call)
        }
        Kind::Register(_) | Kind::Other => None,
    }
}

/// Target refresh requests (RFC 3261 §12.2, RFC 3311, RFC 6665).
fn refreshes_target(method: &Method) -> bool {
    matches!(
        method,
        Method::Invite | Method::Update | Method::Subscribe | Method::Notify | Method::Refer
    )
}
