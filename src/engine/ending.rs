//! How calls end: by BYE of a party, by failing, by silence, by an operator. The one place that
//! originates requests within a dialog (BYE, and the ACK of an answer nobody may have).

use super::analysis::headers;
use super::analysis::judge::Parties;
use super::dialog::{Call, Fork, Kind, LegState, State};
use super::stats::{ENDS, OUTCOMES};
use super::{Engine, Level, Observation, Output, TimerKey};
use crate::audit::CallEnd;
use crate::relay::Leg;
use crate::wire::sip::{Message, Method, Name};
use std::time::Duration;

/// How long a challenged call's ports wait for the next attempt.
const PARKED: Duration = Duration::from_secs(32);
/// An ACK that has not come this long after the 2xx is no longer on its way.
const UNHEARD: Duration = Duration::from_secs(4);

impl Engine {
    /// A BYE passed: who ends the call. One that lets another fork go ends nothing.
    pub(crate) fn ending(&mut self, no: u64, leg: Leg, tag: &str) {
        if let Some(call) = self.dialogs.get_mut(no)
            && call.lives_by(tag)
        {
            call.ended_by = if leg == Leg::Caller { "caller" } else { "callee" };
            call.state = State::Ending;
            call.bye_at = Some(self.now);
        }
    }

    /// The BYE of a fork was answered: that fork is gone, and the call if it lived by it.
    pub(crate) fn end_fork(&mut self, no: u64, tag: &str, status: u16) {
        if self.dialogs.get(no).is_some_and(|c| c.lives_by(tag)) {
            self.end_call(no, status);
        } else {
            self.dialogs.remove_fork(no, tag);
        }
    }

    /// The BYE was answered (or can no longer be): the call is over.
    pub(crate) fn end_call(&mut self, no: u64, status: u16) {
        let now = self.now.mono;
        if self
            .dialogs
            .get(no)
            .and_then(|c| c.confirmed)
            .is_some_and(|t| now.since(t.mono) > UNHEARD)
        {
            self.judge_ack(no);
        }
        let Some(call) = self.dialogs.remove(no) else { return };
        if call.kind != Kind::Call {
            self.timers.stop(TimerKey::Dialog(no));
            return;
        }
        self.timers.stop(TimerKey::Ack(no));
        if let Some(bye) = call.bye_at {
            self.emit(Output::Observe(Observation::DisconnectDelay(now.since(bye.mono))));
        }
        if let Some(answer) = call.confirmed {
            let (direction, duration) = (call.direction, now.since(answer.mono));
            self.emit(Output::Observe(Observation::CallDuration { direction, duration }));
        }
        let by = if call.ended_by.is_empty() { "error" } else { call.ended_by };
        if let Some(i) = ENDS.iter().position(|e| *e == by) {
            self.stats.call_ends[i] += 1;
        }
        let status = if call.confirmed.is_some() { 200 } else { status };
        let end = self.call_end(&call, "answered", status, by);
        self.close_media(no, Some(end));
        self.ended.keep(now, call);
        self.emit(Output::CallGone(no));
    }

    /// A call attempt failed.
    pub(crate) fn end_attempt(&mut self, no: u64, status: u16, outcome: &'static str) {
        let Some(call) = self.dialogs.remove(no) else { return };
        self.count_outcome(call.direction, outcome);
        let end = self.call_end(&call, outcome, status, "");
        self.finish_attempt(no, end);
    }

    fn finish_attempt(&mut self, no: u64, end: CallEnd) {
        if self.media.knows(no) {
            self.close_media(no, Some(end));
        } else {
            self.record(crate::audit::Record::CallEnd(end));
        }
        self.emit(Output::CallGone(no));
    }

    /// 401 or 407: the same call comes again with credentials; its ports wait for it.
    pub(crate) fn park(&mut self, no: u64) {
        let Some(call) = self.dialogs.remove(no) else { return };
        let key = (call.caller.call_id.clone(), call.caller_tag.clone());
        self.emit(Output::CallGone(no));
        self.media.drop_pending(no);
        // Parked calls hold ports: as many as calls may, no more.
        if self.parked.len() >= self.snap.config.limits.calls {
            self.abandoned(&call);
            return;
        }
        self.timers.set(TimerKey::Parked(no), self.now.mono + PARKED);
        if let Some(other) = self.parked.insert(key, call) {
            self.abandoned(&other);
        }
    }

    /// Nobody came back with credentials.
    pub(crate) fn unpark(&mut self, no: u64) {
        let key = self.parked.iter().find(|(_, c)| c.no == no).map(|(k, _)| k.clone());
        if let Some(call) = key.and_then(|k| self.parked.remove(&k)) {
            self.abandoned(&call);
        }
    }

    fn abandoned(&mut self, call: &Call) {
        self.timers.stop(TimerKey::Parked(call.no));
        self.count_outcome(call.direction, outcome(401));
        let end = self.call_end(call, outcome(401), 401, "");
        self.finish_attempt(call.no, end);
    }

    /// Ends a call from here: BYE to both sides, or CANCEL and an answer while it rings.
    pub(crate) fn hang_up(&mut self, no: u64, by: &'static str) {
        let Some(call) = self.dialogs.get_mut(no) else { return };
        call.ended_by = by;
        let call = call.clone();
        if call.state == State::Early {
            if let Some(pass) = call.pass {
                self.cancel_branches(pass);
                let server = self.passes.get_mut(&pass).map(|p| {
                    p.done = true;
                    p.server
                });
                let response = server
                    .and_then(|s| self.tx.server(s))
                    .map(|t| Message::response(&t.request, 503, "Service Unavailable"));
                if let (Some(mut response), Some(server)) = (response, server) {
                    self.tag_response(&mut response);
                    self.respond(server, &response);
                }
            }
            self.end_attempt(no, 503, "failed");
            return;
        }
        let tag = call.answered.clone().unwrap_or_default();
        if let Some(fork) = call.fork(&tag).or(call.forks.first()) {
            self.bye(&call, fork, Leg::Caller);
            self.bye(&call, fork, Leg::Callee);
        }
        self.end_call(no, 200);
    }

    /// Ends every call.
    pub(crate) fn hang_up_all(&mut self, by: &'static str) {
        for no in self.dialogs.numbers() {
            self.hang_up(no, by);
        }
    }

    /// BYE towards one leg, as if the other had sent it: last CSeq + 1.
    fn bye(&mut self, call: &Call, fork: &Fork, to: Leg) {
        let speaker = to.other();
        let seq = call.cseq[speaker.index()].max(1) + u32::from(call.cseq[speaker.index()] > 0);
        self.originate(Method::Bye, seq, call, fork, to);
    }

    /// A request of our own within a dialog, towards one leg.
    fn originate(&mut self, method: Method, seq: u32, call: &Call, fork: &Fork, to: Leg) {
        let leg: &LegState = match to {
            Leg::Caller => &call.caller,
            Leg::Callee => &fork.callee,
        };
        let flow = self.next_hop(leg);
        let branch = format!("z9hG4bK{}.own", self.random.name());
        let mut request = Message::request(method.clone(), &Self::target_of(leg));
        request.push_back(Name::Via, self.via(flow.listener, &branch));
        request.push_back(Name::MaxForwards, "70");
        for route in &leg.routes {
            request.push_back(Name::Route, route.clone());
        }
        let callee = headers::with_tag(&leg.to, &fork.tag);
        let caller = if call.caller_tag.is_empty() {
            leg.from.clone()
        } else {
            headers::with_tag(&leg.from, &call.caller_tag)
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
            let bytes = request.to_bytes();
            self.emit(Output::Transmit { flow, bytes });
        } else {
            self.forward(request, branch, flow, None);
        }
    }

    /// An answer that may not pass: its sender is let go, the caller is told 488.
    pub(crate) fn abandon(&mut self, pass: u64, client: u64, response: &Message) {
        let status = response.status();
        if !(200..300).contains(&status) || *response.method() != Method::Invite {
            return;
        }
        let Some(p) = self.passes.get(&pass) else { return };
        let (server, no) = (p.server, p.call());
        let seq = response.cseq().seq;
        let call = no.and_then(|n| self.dialogs.get(n)).cloned();
        let leg = self.tx.client(client).map(|t| t.flow);
        if let (Some(call), Some(_)) = (call, leg) {
            let tag = response.to_tag().unwrap_or_default();
            if let Some(fork) = call.fork(tag).cloned() {
                self.originate(Method::Ack, seq, &call, &fork, Leg::Callee);
                if call.state == State::Early {
                    self.originate(Method::Bye, seq + 1, &call, &fork, Leg::Callee);
                }
            }
        }
        let Some(t) = self.tx.server(server) else { return };
        let mut out = Message::response(&t.request, 488, "Not Acceptable Here");
        self.tag_response(&mut out);
        self.failed(pass, out);
    }

    pub(crate) fn count_outcome(&mut self, direction: usize, outcome: &str) {
        if let (Some(row), Some(i)) =
            (self.stats.calls.get_mut(direction), OUTCOMES.iter().position(|o| *o == outcome))
            && let Some(n) = row.get_mut(i)
        {
            *n += 1;
        }
    }

    fn call_end(
        &mut self,
        call: &Call,
        outcome: &'static str,
        status: u16,
        by: &'static str,
    ) -> CallEnd {
        let ms = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        let since = |t: crate::ground::Now| ms(t.mono.since(call.started.mono));
        let end = CallEnd {
            call: call.no,
            call_id: call.caller.call_id.clone(),
            from: call.from.clone(),
            to: call.to.clone(),
            outcome,
            status,
            ended_by: by,
            ring_ms: call.ringing.map(since),
            setup_ms: call.confirmed.map(since),
            duration_ms: call.confirmed.map(|t| ms(self.now.mono.since(t.mono))),
            media: Vec::new(),
            findings: Vec::new(),
        };
        let text = format!("call {}: {} -> {} {outcome} {status} {by}", end.call, end.from, end.to);
        self.notice(Level::Info, text);
        end
    }
}

/// The record of an attempt that never became a call.
pub(crate) fn unanswered(no: u64, call_id: &str, parties: &Parties, status: u16) -> CallEnd {
    CallEnd {
        call: no,
        call_id: call_id.to_owned(),
        from: parties.from.clone(),
        to: parties.to.clone(),
        outcome: outcome(status),
        status,
        ended_by: "",
        ring_ms: None,
        setup_ms: None,
        duration_ms: None,
        media: Vec::new(),
        findings: Vec::new(),
    }
}

/// The outcome a final status of an INVITE means.
pub(crate) fn outcome(status: u16) -> &'static str {
    match status {
        200..=299 => "answered",
        300..=399 => "redirected",
        404 | 410 | 484 | 604 => "not_found",
        408 => "timeout",
        480 => "no_answer",
        486 | 600 => "busy",
        487 => "cancelled",
        603 => "declined",
        400..=499 | 606 => "rejected",
        _ => "failed",
    }
}
