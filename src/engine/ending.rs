//! How calls end that no party ends: by silence, by an operator, by a refused answer, by the
//! relay's failure. The one place that originates requests within a dialog (BYE, and the ACK of an
//! answer that nobody gets).

use super::analysis::body::BodyRefusal;
use super::analysis::headers::foreign_routes;
use super::analysis::{Leaving, Veil, contact_of};
use super::calls::{Call, Fork, LegState, State};
use super::next_hop::{find, next_hop};
use super::purpose::Purpose;
use super::transactions::Answer;
use super::world::{World, with_tag};
use super::{Engine, unreached};
use crate::audit::{EndedBy, Outcome};
use crate::ground::{CallNo, Flow, Leg, ListenerId, Side};
use crate::relay::Event;
use crate::wire::sdp::Sdp;
use crate::wire::sip::route_set::aim;
use crate::wire::sip::{Message, Method, Name, Uri};

impl Engine {
    /// News from the relay.
    pub(super) fn relay_event(&mut self, event: Event) {
        let failed = matches!(event, Event::OpenFailed { .. });
        let over = self.calls.relay_event(&self.world, &mut self.out, event);
        if let Some((call, by)) = over {
            self.hang_up(call, by);
            if failed {
                self.calls.finish_media(&mut self.out, call);
            }
        }
    }

    /// Ends a call from here: BYE to both sides, or CANCEL and an answer while it rings.
    pub(super) fn hang_up(&mut self, no: CallNo, by: EndedBy) {
        self.calls.ended_by(no, by);
        let Some(call) = self.calls.get(no).cloned() else { return };
        if call.state == State::Early {
            self.give_up(&call, by);
            return;
        }
        for fork in call.forks.iter().filter(|f| f.answered) {
            self.bye(&call, fork, Leg::Caller);
            self.bye(&call, fork, Leg::Callee);
        }
        self.calls.end(&self.world, &mut self.out, no, 200);
    }

    /// A call that is not answered yet.
    fn give_up(&mut self, call: &Call, by: EndedBy) {
        let (w, out) = (&self.world, &mut self.out);
        if let Some(pass) = call.pass {
            let cancelled = self.transactions.pass(pass).is_some_and(|p| p.is_cancelled());
            if !cancelled {
                self.transactions.cancel_branches(w, out, pass, &[]);
            }
            let server = self.transactions.pass(pass).map(|p| p.server());
            let (status, phrase) =
                if cancelled { (487, "Request Terminated") } else { (503, "Service Unavailable") };
            let request = server.and_then(|s| self.transactions.server(s)).map(|t| t.request());
            if let Some(answer) = request.map(|r| w.answer(r, status, phrase)) {
                self.transactions.settle(w, out, pass, &answer);
            }
        }
        let outcome = match by {
            EndedBy::Displaced => Outcome::NoCapacity,
            EndedBy::Caller
            | EndedBy::Callee
            | EndedBy::MediaTimeout
            | EndedBy::Timeout
            | EndedBy::Admin
            | EndedBy::Shutdown
            | EndedBy::Error => Outcome::Failed,
        };
        self.calls.end_attempt(w, out, call.no, 503, outcome);
    }

    /// BYE towards one leg, as if the other had sent it: last CSeq + 1.
    fn bye(&mut self, call: &Call, fork: &Fork, to: Leg) {
        let last = call.cseq[to.other().index()];
        let seq = if last == 0 { 1 } else { last + 1 };
        self.originate(Method::Bye, seq, call, fork, to);
    }

    /// A request of our own within a dialog, towards one leg.
    fn originate(&mut self, method: Method, seq: u32, call: &Call, fork: &Fork, to: Leg) {
        let mut leg = match to {
            Leg::Caller => call.caller.clone(),
            Leg::Callee => fork.callee.clone(),
        };
        let bound = self.known().is_bound(Some(call.no), &leg);
        find(&self.world, &self.phones, &self.streams, &mut leg, bound);
        let callee = with_tag(&leg.to, &fork.tag);
        let caller = with_tag(&leg.from, &call.caller_tag);
        let names = match to {
            Leg::Caller => [callee, caller],
            Leg::Callee => [caller, callee],
        };
        let w = &self.world;
        let flow = match next_hop(self.known(), Some(call.no), &leg) {
            Ok(flow) => flow,
            Err(no) => {
                let refusal = unreached::of_own(&no, &method, call.no);
                unreached::tell(&mut self.out, leg.side, leg.flow.peer, &refusal);
                return;
            }
        };
        let (mut request, branch) = within(w, &method, seq, &leg, names, flow);
        if leg.side == Side::Outside {
            let near = match to {
                Leg::Caller => &fork.callee,
                Leg::Callee => &call.caller,
            };
            let (egress, near) = (flow.listener, near.flow.peer.ip());
            let how = Leaving { egress, near, theirs: &[] };
            Veil::new(w, &self.phones).hide(&mut self.out, &mut request, &how);
        }
        self.transactions.originate(w, &mut self.out, request, branch, flow);
    }

    /// A 2xx whose session description may not cross. Who answered takes it for agreed: an INVITE
    /// gets our ACK; a first one our BYE too; a late offer a refusing answer in the ACK, which ends
    /// the call (§13.2.2.4). Who offered is told 488; the session stays as it was (RFC 6141).
    pub(super) fn answer_refused(&mut self, answer: &Answer, purpose: &Purpose, r: &BodyRefusal) {
        match purpose {
            Purpose::Invite { call, offered, .. } => {
                self.let_go(answer, !offered);
                self.calls.drop_fork(*call, answer.response.to_tag().unwrap_or_default());
                self.refused_here(answer.pass, r);
            }
            Purpose::InDialog(d) => {
                if *answer.response.method() == Method::Invite {
                    self.acknowledge(answer, !d.offered);
                }
                self.refused_here(answer.pass, r);
                if !d.offered {
                    self.hang_up(d.call, EndedBy::Error);
                }
            }
            Purpose::Subscribe { .. } | Purpose::Register(_) | Purpose::Other => {}
        }
    }

    /// A 2xx to an INVITE that reaches nobody: its branch was given up, or who asked was told
    /// something else.
    pub(super) fn unheard(&mut self, answer: &Answer) {
        let Some((asked, _)) = self.transactions.asked(answer) else { return };
        // Within a dialog, and where this answer passed before, somebody else ends the dialog.
        if asked.to_tag().is_some() || self.transactions.has_passed(answer) {
            self.acknowledge(answer, false);
        } else {
            self.let_go(answer, false);
        }
    }

    /// ACK and BYE for who answered.
    fn let_go(&mut self, answer: &Answer, late_offer: bool) {
        if !self.acknowledge(answer, late_offer) {
            return;
        }
        let pass = self.transactions.pass(answer.pass);
        let call = pass.and_then(|p| p.purpose().call()).and_then(|no| self.calls.get(no));
        let used = call.map_or(0, |c| c.cseq[Leg::Caller.index()]);
        let seq = answer.response.cseq().seq.max(used) + 1;
        if let Some((bye, branch, flow)) = self.towards_answerer(answer, &Method::Bye, seq) {
            self.transactions.originate(&self.world, &mut self.out, bye, branch, flow);
        }
    }

    /// The ACK of a 2xx from here. A late offer is answered: every stream of it is refused. False:
    /// it was one too many.
    fn acknowledge(&mut self, answer: &Answer, late_offer: bool) -> bool {
        let (response, seq) = (&answer.response, answer.response.cseq().seq);
        let Some((mut ack, _, flow)) = self.towards_answerer(answer, &Method::Ack, seq) else {
            return false;
        };
        if late_offer {
            refuse_all(&self.world, &mut ack, response.body(), flow.listener);
        }
        self.transactions.acknowledge(&mut self.out, answer, flow, ack.to_bytes())
    }

    /// A request of our own to who answered an INVITE: the dialog is what the INVITE and its 2xx
    /// say (§12.1.2), whatever became of the call here.
    fn towards_answerer(
        &self,
        answer: &Answer,
        method: &Method,
        seq: u32,
    ) -> Option<(Message, String, Flow)> {
        let w = &self.world;
        let response = &answer.response;
        let (asked, flow) = self.transactions.asked(answer)?;
        let pass = self.transactions.pass(answer.pass);
        let routes = match pass.map(|p| p.purpose()) {
            Some(Purpose::InDialog(d)) if self.calls.get(d.call).is_some() => {
                self.calls.routes(d.call, d.leg.other(), &d.tag)
            }
            _ if asked.to_tag().is_some() => asked.list(&Name::Route).map(<[u8]>::to_vec).collect(),
            _ => {
                let mut routes = foreign_routes(w, response);
                routes.reverse();
                routes
            }
        };
        let row = |m: &Message, name: Name| m.first(&name).unwrap_or_default().to_vec();
        let upstream = self.upstreams.of_flow(w, &flow);
        let leg = LegState {
            side: w.side(flow.listener),
            flow,
            call_id: asked.call_id().to_owned(),
            from: row(asked, Name::From),
            to: row(response, Name::To),
            contact: contact_of(response).or_else(|| Uri::parse(asked.uri().as_bytes())),
            routes,
            upstream,
            tls_alone: self.upstreams.binds(w, flow.upstream.or(upstream), &flow),
            home: None,
        };
        let names = [leg.from.clone(), leg.to.clone()];
        let call = pass.and_then(|p| p.purpose().call());
        // Who names no way that there is, is told where he was asked.
        let way = next_hop(self.known(), call, &leg).unwrap_or(leg.flow);
        let (request, branch) = within(w, method, seq, &leg, names, way);
        Some((request, branch, way))
    }
}

/// A request of our own within a dialog, and its branch; `names`: From and To.
fn within(
    w: &World,
    method: &Method,
    seq: u32,
    leg: &LegState,
    names: [Vec<u8>; 2],
    flow: Flow,
) -> (Message, String) {
    let branch = w.branch("own");
    let target = leg.target();
    let mut request = Message::request(method.clone(), &target);
    aim(&mut request, &target, &leg.routes);
    request.push_front(Name::Via, w.via(flow.listener, &branch));
    request.push_back(Name::MaxForwards, "70");
    let [from, to] = names;
    request.push_back(Name::From, from);
    request.push_back(Name::To, to);
    request.push_back(Name::CallId, leg.call_id.clone());
    request.push_back(Name::CSeq, format!("{seq} {method}"));
    (request, branch)
}

/// Gives an ACK an answer that refuses every stream, each in its place (RFC 3264 §6); none, where
/// `description` (the offer, or an answer of as many streams) cannot be read.
pub(super) fn refuse_all(w: &World, ack: &mut Message, description: &[u8], egress: ListenerId) {
    let Some(own) = w.net().address(egress) else { return };
    if let Ok(sdp) = Sdp::parse(description) {
        ack.set(Name::ContentType, "application/sdp");
        ack.set_body(sdp.rewrite(own.advertised(), &[]));
    }
}
