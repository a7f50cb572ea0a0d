//! How calls end that no party ends: by silence, by an operator, by a refused answer, by the
//! relay's failure. The one place that originates requests within a dialog (BYE, and the ACK of an
//! answer nobody may have).

use super::Engine;
use super::calls::{Call, Fork, LegState, State};
use super::proxy_client::next_hop;
use super::transactions::Answer;
use super::world::with_tag;
use crate::audit::{EndedBy, Outcome};
use crate::ground::{CallNo, Leg};
use crate::relay::Event;
use crate::wire::sip::{Message, Method, Name};

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

    /// Ends every call.
    pub(super) fn hang_up_all(&mut self) {
        for no in self.calls.numbers() {
            self.hang_up(no, EndedBy::Shutdown);
        }
    }

    /// Ends a call from here: BYE to both sides, or CANCEL and an answer while it rings.
    pub(super) fn hang_up(&mut self, no: CallNo, by: EndedBy) {
        self.calls.ended_by(no, by);
        let Some(call) = self.calls.get(no).cloned() else { return };
        if call.state == State::Early {
            self.give_up(&call);
            return;
        }
        let tag = call.answered.clone().unwrap_or_default();
        if let Some(fork) = call.fork(&tag).or(call.forks.first()) {
            self.bye(&call, fork, Leg::Caller);
            self.bye(&call, fork, Leg::Callee);
        }
        self.calls.end(&self.world, &mut self.out, no, 200);
    }

    /// A call that is not answered yet.
    fn give_up(&mut self, call: &Call) {
        let (w, out) = (&self.world, &mut self.out);
        if let Some(pass) = call.pass {
            self.transactions.cancel_branches(w, out, pass);
            let server = self.transactions.pass(pass).map(|p| p.server());
            let request = server.and_then(|s| self.transactions.server(s)).map(|t| t.request());
            if let Some(answer) = request.map(|r| w.answer(r, 503, "Service Unavailable")) {
                self.transactions.settle(w, out, pass, &answer);
            }
        }
        self.calls.end_attempt(w, out, call.no, 503, Outcome::Failed);
    }

    /// BYE towards one leg, as if the other had sent it: last CSeq + 1.
    fn bye(&mut self, call: &Call, fork: &Fork, to: Leg) {
        let last = call.cseq[to.other().index()];
        let seq = if last == 0 { 1 } else { last + 1 };
        self.originate(Method::Bye, seq, call, fork, to);
    }

    /// A request of our own within a dialog, towards one leg.
    fn originate(&mut self, method: Method, seq: u32, call: &Call, fork: &Fork, to: Leg) {
        let w = &self.world;
        let leg: &LegState = match to {
            Leg::Caller => &call.caller,
            Leg::Callee => &fork.callee,
        };
        let flow = next_hop(w, leg);
        let branch = w.branch("own");
        let mut request = Message::request(method.clone(), &leg.target());
        request.push_back(Name::Via, w.via(flow.listener, &branch));
        request.push_back(Name::MaxForwards, "70");
        for route in &leg.routes {
            request.push_back(Name::Route, route.clone());
        }
        let callee = with_tag(&leg.to, &fork.tag);
        let caller = if call.caller_tag.is_empty() {
            leg.from.clone()
        } else {
            with_tag(&leg.from, &call.caller_tag)
        };
        let (from, target) = match to {
            Leg::Caller => (callee, caller),
            Leg::Callee => (caller, callee),
        };
        request.push_back(Name::From, from);
        request.push_back(Name::To, target);
        request.push_back(Name::CallId, leg.call_id.clone());
        request.push_back(Name::CSeq, format!("{seq} {method}"));
        if method == Method::Ack {
            self.out.transmit(flow, request.to_bytes());
        } else {
            self.transactions.originate(w, &mut self.out, request, branch, flow);
        }
    }

    /// An answer that may not pass: its sender is let go, the caller is told 488.
    pub(super) fn abandon(&mut self, answer: &Answer) {
        let response = &answer.response;
        if !(200..300).contains(&response.status()) || *response.method() != Method::Invite {
            return;
        }
        let Some(p) = self.transactions.pass(answer.pass) else { return };
        let (server, no) = (p.server(), p.purpose().call());
        let seq = response.cseq().seq;
        let tag = response.to_tag().unwrap_or_default();
        if let Some(call) = no.and_then(|n| self.calls.get(n)).cloned()
            && let Some(fork) = call.fork(tag)
        {
            self.originate(Method::Ack, seq, &call, fork, Leg::Callee);
            if call.state == State::Early {
                self.originate(Method::Bye, seq + 1, &call, fork, Leg::Callee);
            }
        }
        let (w, out) = (&self.world, &mut self.out);
        let Some(t) = self.transactions.server(server) else { return };
        let refused = w.answer(t.request(), 488, "Not Acceptable Here");
        self.transactions.failed(w, out, answer.pass, refused);
    }
}
