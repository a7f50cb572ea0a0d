//! How calls end, for the books: states, records, media closed. What is sent to the parties is the
//! coordinator's.

use super::view::{parties, party};
use super::{Call, Calls, Due, Kind, State};
use crate::audit::{CallEnd, EndedBy, Outcome, Record};
use crate::engine::outbox::Outbox;
use crate::engine::output::{Level, Observation, Output};
use crate::engine::world::World;
use crate::ground::{CallNo, Leg, Moment};
use std::time::Duration;

/// An ACK that has not come this long after the 2xx is no longer on its way.
const UNHEARD: Duration = Duration::from_secs(4);

impl Calls {
    /// A BYE passed: who ends the call. One that lets another fork go ends nothing.
    pub(crate) fn ending(&mut self, w: &World, no: CallNo, leg: Leg, tag: &str) {
        let Some(call) = self.table.get_mut(no).filter(|c| c.lives_by(tag)) else { return };
        call.ended_by = Some(if leg == Leg::Caller { EndedBy::Caller } else { EndedBy::Callee });
        call.bye_at = Some(w.now().into());
        self.table.set_state(no, State::Ending);
        self.timers.stop(Due::Bye(no));
    }

    /// Somebody else ends it.
    pub(crate) fn ended_by(&mut self, no: CallNo, by: EndedBy) {
        if let Some(call) = self.table.get_mut(no) {
            call.ended_by = Some(by);
        }
    }

    /// The BYE of a fork was answered: that fork is gone, and the call if it lived by it.
    pub(crate) fn end_fork(
        &mut self,
        w: &World,
        out: &mut Outbox,
        no: CallNo,
        tag: &str,
        status: u16,
    ) {
        if self.table.get(no).is_some_and(|c| c.lives_by(tag)) {
            self.end(w, out, no, status);
        } else if self.table.get(no).is_some_and(|c| !c.usages.carries(tag)) {
            self.table.remove_fork(no, tag);
        }
    }

    /// Takes a call out of the table; its subscriptions live on there (RFC 5057 §4.1).
    fn take(&mut self, w: &World, no: CallNo) -> Option<Call> {
        self.listen_no_longer(no);
        let call = self.table.get_mut(no)?;
        call.usages.expire(w.now().mono);
        if call.kind == Kind::Subscription || call.usages.is_empty() {
            self.timers.stop(Due::Subscription(no));
            return self.table.remove(no);
        }
        let over = call.clone();
        self.table.outlive(no);
        self.settle(w, no);
        Some(over)
    }

    /// The BYE was answered (or can no longer be): the call is over.
    pub(crate) fn end(&mut self, w: &World, out: &mut Outbox, no: CallNo, status: u16) {
        let answered = self.table.get(no).and_then(|c| c.confirmed);
        if answered.is_some_and(|t| t.elapsed(w.now()) > UNHEARD) {
            self.judge_ack(out, no);
        }
        let Some(call) = self.take(w, no).filter(|c| c.kind == Kind::Call) else { return };
        self.timers.stop(Due::Ack(no));
        if let Some(bye) = call.bye_at {
            out.observe(Observation::DisconnectDelay(bye.elapsed(w.now())));
        }
        if let Some(answer) = call.confirmed {
            let (direction, duration) = (call.direction, answer.elapsed(w.now()));
            out.observe(Observation::CallDuration { direction, duration });
        }
        let by = call.ended_by.unwrap_or(EndedBy::Error);
        out.stats_mut().call_ends[by as usize] += 1;
        let status = if call.confirmed.is_some() { 200 } else { status };
        let how = format!("{} {status} {by}", Outcome::Answered);
        let mut end = call_end(w, out, &call, (Outcome::Answered, status, &how), Some(by));
        end.segments = self.segments(&call);
        // Whoever judges its media asks for it.
        self.ended.keep(w.now().mono, call);
        self.close_media(out, no, Some(end));
        self.keep_no_longer(out, no);
        out.emit(Output::CallGone(no));
    }

    /// Takes an attempt out of the table, with what was asked for within it (a REFER in an early
    /// dialog begins a subscription).
    pub(super) fn failed(&mut self, no: CallNo) -> Option<Call> {
        self.timers.stop(Due::Subscription(no));
        self.table.remove(no)
    }

    /// A call attempt failed.
    pub(crate) fn end_attempt(
        &mut self,
        w: &World,
        out: &mut Outbox,
        no: CallNo,
        status: u16,
        outcome: Outcome,
    ) {
        if let Some(call) = self.failed(no) {
            self.attempt_over(w, out, &call, status, outcome);
        }
    }

    /// An attempt goes another way, which is a call of its own: this one is no failure, and nobody
    /// has redirected it.
    pub(crate) fn led_anew(&mut self, w: &World, out: &mut Outbox, no: CallNo) {
        if let Some(call) = self.failed(no) {
            let how = (Outcome::Rerouted, 0, "goes another way");
            self.over_as(w, out, &call, how);
        }
    }

    pub(super) fn attempt_over(
        &mut self,
        w: &World,
        out: &mut Outbox,
        call: &Call,
        status: u16,
        outcome: Outcome,
    ) {
        self.over_as(w, out, call, (outcome, status, &format!("{outcome} {status}")));
    }

    fn over_as(
        &mut self,
        w: &World,
        out: &mut Outbox,
        call: &Call,
        (outcome, status, how): (Outcome, u16, &str),
    ) {
        out.count_outcome(call.direction, outcome);
        let end = call_end(w, out, call, (outcome, status, how), None);
        if self.media.knows(call.no) {
            self.close_media(out, call.no, Some(end));
        } else {
            out.record(Record::CallEnd(end));
        }
        out.emit(Output::CallGone(call.no));
    }
}

fn call_end(
    w: &World,
    out: &mut Outbox,
    call: &Call,
    (outcome, status, how): (Outcome, u16, &str),
    ended_by: Option<EndedBy>,
) -> CallEnd {
    let ms = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
    let since = |t: Moment| ms(t.since(call.started));
    let (from, to) = (call.from.clone(), call.to.clone());
    let no = call.no;
    let text = format!("call {no}: {from} -> {to} {how}");
    // Of one that was answered more is known when its media are reported: its record says that.
    let level = if outcome == Outcome::Answered { Level::Debug } else { Level::Info };
    match call.phone() {
        Some(by) => out.notice_of(by, level, text),
        None => out.notice(level, text),
    }
    let (caller, mut callees) = parties(w, call);
    if callees.is_empty() {
        callees.extend(call.asked.as_ref().map(|leg| party(w, leg)));
    }
    CallEnd {
        call: no,
        call_id: call.caller.call_id.clone(),
        from,
        to,
        outcome,
        status,
        ended_by,
        ring_ms: call.ringing.map(since),
        setup_ms: call.confirmed.map(since),
        duration_ms: call.confirmed.map(|t| ms(t.elapsed(w.now()))),
        media: Vec::new(),
        findings: Vec::new(),
        segments: Vec::new(),
        direction: call.direction,
        parties: std::iter::once(caller).chain(callees).collect(),
    }
}
