//! Requests within a dialog: whose they are, whether they may come from there, and what the other
//! leg gets. Policy was asked when the dialog began.

use super::analysis::body::BodyRefusal;
use super::analysis::headers::{self, Crossing};
use super::dialog::LegState;
use super::media::Speaker;
use super::pass::Kind;
use super::transaction::ServerKey;
use super::{Engine, Output, TimerKey};
use crate::config::Allow;
use crate::ground::{Flow, Side};
use crate::relay::Leg;
use crate::wire::sip::{Message, Method, Name, RejectReason, Uri};
use std::sync::Arc;

/// Where a request within a dialog belongs.
struct Place {
    call: u64,
    /// Its sender.
    leg: Leg,
    /// The callee's tag.
    tag: String,
    /// Sender and receiver.
    near: LegState,
    far: LegState,
    caller_tag: String,
    allow: Arc<Allow>,
}

impl Engine {
    /// A request with both tags.
    pub(crate) fn within_dialog(
        &mut self,
        key: ServerKey,
        request: Message,
        flow: Flow,
        reply: Flow,
    ) {
        let Some(place) = self.place(&request, &flow) else {
            self.count_rejected(flow, RejectReason::NoDialog);
            let phrase = "Call/Transaction Does Not Exist";
            self.refuse(&request, reply, 481, phrase, None);
            return;
        };
        if !self.may_speak(&place.near, &flow) {
            self.count_rejected(flow, RejectReason::Source);
            let method = request.method().to_string();
            self.security("in_dialog_source", flow, format!("{method} for call {}", place.call));
            self.refuse(&request, reply, 403, "Not A Party Of This Dialog", None);
            return;
        }
        // The cap is for requests outside dialogs; this bounds what parties of calls may hold.
        if self.tx.len() >= self.snap.config.limits.transactions.saturating_mul(2) {
            let retry = Some((Name::RetryAfter, "10".to_owned()));
            self.refuse(&request, reply, 503, "Too Many Transactions", retry);
            return;
        }
        self.follow(&place, &request, &flow);
        let server = self.accept(key, request.clone(), reply);
        let mut out = request.clone();
        let speaker = Speaker::new(place.leg, &flow);
        let late = self.media.has_pending(place.call, place.leg.other());
        let is_answer = *request.method() == Method::Prack && late;
        let role = Some((place.call, speaker, !is_answer)).filter(|_| self.media.knows(place.call));
        let carried = self
            .pass_report(&mut out, &flow, &place.far)
            .and_then(|()| self.carry_body(&mut out, role, &place.allow));
        let described = match carried {
            Ok(described) => described,
            Err(refusal) => {
                let pass = self.open_pass(server, flow.listener, Kind::Other);
                self.refuse_body(pass, None, &refusal);
                return;
            }
        };
        if *request.method() == Method::Bye {
            self.ending(place.call, place.leg, &place.tag);
        }
        let kind = Kind::InDialog {
            call: place.call,
            leg: place.leg,
            tag: place.tag.clone(),
            offered: described && !is_answer,
            contact: Self::contact_of(&request),
        };
        let pass = self.open_pass(server, flow.listener, kind);
        let (out, branch, to) = self.carry_in_dialog(&out, &place);
        self.open_branch(pass, out, branch, to, None);
    }

    /// ACK to a 2xx: carried to the callee without a transaction (RFC 6026 §8.8 asks no more).
    pub(crate) fn receive_ack(&mut self, flow: Flow, request: &Message) {
        let Some(place) = self.place(request, &flow) else { return };
        if place.leg != Leg::Caller && !self.was_invited_by(&place, request) {
            return;
        }
        if !self.may_speak(&place.near, &flow) {
            self.count_rejected(flow, RejectReason::Source);
            if let Some(call) = self.dialogs.get_mut(place.call) {
                let peer = flow.peer;
                call.refused_ack = Some(format!("it came from {peer}, which is no party of it"));
            }
            return;
        }
        if let Some(call) = self.dialogs.get_mut(place.call) {
            call.acknowledged = true;
        }
        self.timers.stop(TimerKey::Ack(place.call));
        self.follow(&place, request, &flow);
        let mut out = request.clone();
        let speaker = Speaker::new(place.leg, &flow);
        let answer = self.media.has_pending(place.call, place.leg.other());
        if answer {
            let role = Some((place.call, speaker, false));
            if let Err(refusal) = self.carry_body(&mut out, role, &place.allow) {
                self.notice(
                    super::Level::Warn,
                    format!("ACK of call {}: {}", place.call, refusal.why),
                );
                self.hang_up(place.call, "error");
                return;
            }
        } else if !out.body().is_empty() {
            // Not an answer to anything: a body here cannot mean media.
            out.set_body(Vec::new());
        }
        let (out, _, flow) = self.carry_in_dialog(&out, &place);
        let bytes = out.to_bytes();
        self.emit(Output::Transmit { flow, bytes });
    }

    fn was_invited_by(&self, place: &Place, request: &Message) -> bool {
        let call = self.dialogs.get(place.call);
        call.is_some_and(|c| c.cseq[place.leg.index()] >= request.cseq().seq)
    }

    /// The dialog of a request: by what its Request-URI seals, or by Call-ID and tags on its side.
    fn place(&self, request: &Message, flow: &Flow) -> Option<Place> {
        let side = self.net.side(flow.listener);
        let from = request.from_tag().unwrap_or_default();
        let to = request.to_tag().unwrap_or_default();
        let id = request.call_id();
        let key = |a: &str, b: &str| (side, id.to_owned(), a.to_owned(), b.to_owned());
        let sealed = Uri::parse(request.uri().as_bytes()).and_then(|u| self.open_leg(&u));
        let by_token = sealed.and_then(|(no, target)| {
            let call = self.dialogs.get(no)?;
            let sender = target.other();
            let (own, peer) = match sender {
                Leg::Caller => (from, to),
                Leg::Callee => (to, from),
            };
            let fits =
                call.caller_tag == own && (call.fork(peer).is_some() || call.forks.is_empty());
            fits.then_some((no, sender))
        });
        let found = by_token.or_else(|| self.dialogs.find(&key(from, to))).or_else(|| {
            let early = *request.method() == Method::Notify;
            early.then(|| self.dialogs.find(&key("", to))).flatten()
        });
        let (no, leg) = found?;
        let call = self.dialogs.get(no)?;
        let tag = if leg == Leg::Caller { to } else { from };
        let callee = match call.fork(tag) {
            Some(fork) => fork.callee.clone(),
            None => self.unforked(no, flow, request)?,
        };
        let (near, far) = match leg {
            Leg::Caller => (call.caller.clone(), callee),
            Leg::Callee => (callee, call.caller.clone()),
        };
        Some(Place {
            call: no,
            leg,
            tag: tag.to_owned(),
            near,
            far,
            caller_tag: call.caller_tag.clone(),
            allow: call.allow.clone(),
        })
    }

    /// The callee leg of a NOTIFY that overtook the 2xx to its SUBSCRIBE.
    fn unforked(&self, no: u64, flow: &Flow, request: &Message) -> Option<LegState> {
        let call = self.dialogs.get(no)?;
        if *request.method() != Method::Notify {
            return None;
        }
        let pass = self.passes.values().find(|p| p.call() == Some(no));
        let template = pass.and_then(|p| p.branches.iter().find_map(|b| b.leg.clone()));
        let mut leg = template.or_else(|| call.forks.first().map(|f| f.callee.clone()))?;
        leg.flow = *flow;
        leg.contact = Self::contact_of(request);
        Some(leg)
    }

    /// In-dialog requests come from the upstream's sources, or from the phone's own address.
    pub(crate) fn may_speak(&self, near: &LegState, flow: &Flow) -> bool {
        let ip = flow.peer.ip();
        if near.flow.conn.is_some() && near.flow.conn == flow.conn || near.flow.peer.ip() == ip {
            return true;
        }
        match near.side {
            Side::Inside => false,
            Side::Outside => self.upstream_of(ip).is_some() || self.net.is_our_address(ip),
        }
    }

    /// The leg follows its party: a phone's new port or connection, its CSeq, a NOTIFY's new fork.
    fn follow(&mut self, place: &Place, request: &Message, flow: &Flow) {
        let seq = request.cseq().seq;
        let new_fork = self.dialogs.get(place.call).is_some_and(|c| c.fork(&place.tag).is_none());
        if new_fork {
            self.dialogs.add_fork(place.call, &place.tag, place.near.clone());
        }
        let Some(call) = self.dialogs.get_mut(place.call) else { return };
        let cseq = &mut call.cseq[place.leg.index()];
        *cseq = (*cseq).max(seq);
        let near = match place.leg {
            Leg::Caller => Some(&mut call.caller),
            Leg::Callee => call.fork_mut(&place.tag).map(|f| &mut f.callee),
        };
        if let Some(near) = near
            && near.side == Side::Inside
        {
            near.flow = *flow;
        }
    }

    fn carry_in_dialog(&mut self, request: &Message, p: &Place) -> (Message, String, Flow) {
        let flow = self.next_hop(&p.far);
        let from_far = match p.leg {
            Leg::Caller => p.far.from.clone(),
            Leg::Callee => headers::with_tag(&p.far.to, &p.tag),
        };
        let to_far = match p.leg {
            Leg::Caller => headers::with_tag(&p.far.to, &p.tag),
            Leg::Callee => p.far.from.clone(),
        };
        let to_far = if p.leg == Leg::Callee && !p.caller_tag.is_empty() {
            headers::with_tag(&to_far, &p.caller_tag)
        } else {
            to_far
        };
        let has_contact = request.has(&Name::Contact);
        let peer = p.near.flow.peer.ip();
        let trusted = p.near.upstream.and_then(|i| self.upstream(i)).is_some_and(|u| u.trust);
        let domain = p.far.upstream.and_then(|i| self.upstream(i)).map(|u| u.domain.clone());
        let x = Crossing {
            from: p.near.side,
            to: p.far.side,
            egress: flow.listener,
            uri: Self::target_of(&p.far),
            from_value: from_far,
            to_value: to_far,
            call_id: &p.far.call_id,
            routes: &p.far.routes,
            contact: has_contact.then(|| self.leg_contact(flow.listener, p.call, p.leg, &p.near)),
            record_route: None,
            allow: &p.allow,
            trusted,
            near: peer,
            domain: domain.as_deref(),
        };
        let (out, branch) = self.carry(request, &x);
        (out, branch, flow)
    }

    /// A body was refused: the request is, too; a new call ends here.
    pub(crate) fn refuse_body(&mut self, pass: u64, call: Option<u64>, refusal: &BodyRefusal) {
        let Some(p) = self.passes.get_mut(&pass) else { return };
        p.done = true;
        let (server, ingress) = (p.server, p.ingress);
        let Some(t) = self.tx.server(server) else { return };
        let flow = t.reply;
        let mut response = Message::response(&t.request, refusal.status, refusal.phrase);
        self.tag_response(&mut response);
        if refusal.status == 503 {
            response.push_back(Name::RetryAfter, "10");
            self.stats.ports_exhausted += 1;
        }
        if refusal.status == 415 {
            response.push_back(Name::Accept, "application/sdp");
        }
        self.count_rejected(Flow { listener: ingress, ..flow }, refusal.reason);
        self.notice(super::Level::Warn, format!("from {}: {}", flow.peer, refusal.why));
        let stranger = refusal.reason == RejectReason::Source;
        let class = if stranger { "in_dialog_source" } else { "media_refused" };
        self.security(class, flow, refusal.why.clone());
        self.respond(server, &response);
        if let Some(no) = call {
            let outcome = if refusal.status == 503 { "no_capacity" } else { "rejected" };
            self.end_attempt(no, refusal.status, outcome);
        }
    }
}
