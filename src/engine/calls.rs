//! Calls and subscriptions: their dialogs, their legs, their media, and how they end. It keeps what
//! a call is; it sends no request, chooses no way, and knows no phone and no upstream.

mod call;
mod ending;
mod findings;
mod loose;
mod media;
mod names;
mod parked;
mod place;
mod quality;
mod reports;
mod segments;
mod shares;
mod silence;
mod table;
mod token;
mod usages;
mod view;
mod written;

pub use media::{StoredMedia, StoredStream};
pub use segments::TunnelPath;
pub use view::{CallDetail, CallRow, LegView, PartyView, StreamView};
pub use written::{Octets, StoredCall, StoredFork, StoredLeg};

pub(crate) use call::{Call, Fork, Kind, LegState, MAX_FORKS, State};
pub(crate) use media::{MediaRefusal, Speaker};
pub(crate) use place::Place;
pub(crate) use reports::{Refused, is_report};
pub(crate) use token::{Asker, Face};
pub(crate) use usages::Said;

use super::attempt::Attempt;
use super::ids::{Counter, PassId};
use super::outbox::Outbox;
use super::output::{Belongs, Observation, Output};
use super::transactions::TimerTable;
use super::world::World;
use crate::audit::{EndedBy, Outcome};
use crate::config::Allow;
use crate::ground::{CallNo, Flow, Leg, Mono, Side};
use crate::relay::ports::PortCount;
use crate::wire::sip::{Message, Uri};
use media::MediaTable;
use parked::Parked;
use reports::EndedCalls;
use segments::Paths;
use std::net::SocketAddr;
use std::sync::Arc;
use table::Table;
use usages::Usages;

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Due {
    /// A challenged call's media waits for the next attempt.
    Parked(CallNo),
    /// The 2xx of a call should have been acknowledged.
    Ack(CallNo),
    /// A dialog that is not a call has lived long enough without traffic.
    Subscription(CallNo),
    /// Nothing may have been heard of a call for too long.
    Silence(CallNo),
    /// A challenged BYE should have come again.
    Bye(CallNo),
}

/// All calls.
#[derive(Debug)]
pub(crate) struct Calls {
    table: Table,
    media: MediaTable,
    parked: Parked,
    ended: EndedCalls,
    timers: TimerTable<Due>,
    numbers: Counter,
    /// Somebody keeps answered calls.
    kept: bool,
    /// Calls that are to be hung up.
    over: Vec<(CallNo, EndedBy)>,
    paths: Paths,
}

impl Calls {
    pub(crate) fn new(w: &World) -> Self {
        Self {
            table: Table::new(w),
            media: MediaTable::new(w, w.number()),
            parked: Parked::new(w),
            ended: EndedCalls::default(),
            timers: TimerTable::default(),
            numbers: Counter::default(),
            kept: false,
            over: Vec::new(),
            paths: Paths::default(),
        }
    }

    /// Early calls, answered ones.
    pub(crate) fn counts(&self) -> [usize; 2] {
        self.table.counts()
    }

    /// Calls that count against `limits.calls`.
    pub(crate) fn active(&self) -> usize {
        self.table.counts().iter().sum()
    }

    /// Calls and subscriptions.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// Calls of a registered user, by the address of record.
    pub(crate) fn of_user(&self, user: &str) -> usize {
        self.table.of_user(user)
    }

    pub(crate) fn get(&self, no: CallNo) -> Option<&Call> {
        self.table.get(no)
    }

    /// What belongs to it goes by TLS or nowhere (RFC 5630).
    pub(crate) fn goes_by_tls(&self, no: CallNo) -> bool {
        self.table.get(no).is_some_and(|c| c.tls_alone)
    }

    /// Calls (not subscriptions), oldest first.
    pub(crate) fn numbers(&self) -> Vec<CallNo> {
        self.table.numbers()
    }

    /// What the rule that let a call pass allows.
    pub(crate) fn allow(&self, no: Option<CallNo>) -> Arc<Allow> {
        no.and_then(|no| self.table.get(no)).map(|c| c.allow.clone()).unwrap_or_default()
    }

    /// Media streams that the relay has not reported as closed.
    pub(crate) fn streams(&self) -> usize {
        self.media.len()
    }

    pub(crate) fn ports(&self, now: Mono) -> [PortCount; 2] {
        Side::ALL.map(|side| self.media.count(side, now))
    }

    /// A relay port is held by another process.
    pub(crate) fn exclude_port(&mut self, at: SocketAddr) {
        self.media.exclude(at);
    }

    /// When it wants to be woken.
    pub(crate) fn poll_timeout(&self) -> Option<Mono> {
        self.timers.next()
    }

    /// Fires one timer that is due; false: none is.
    pub(crate) fn handle_timeout(&mut self, w: &World, out: &mut Outbox) -> bool {
        match self.timers.expired(w.now().mono) {
            Some(Due::Ack(no)) => self.judge_ack(out, no),
            Some(Due::Parked(no)) => self.unpark(w, out, no),
            Some(Due::Subscription(no)) => self.settle(w, no),
            Some(Due::Silence(no)) => self.judge_word(w, out, no),
            Some(Due::Bye(no)) => self.judge_bye(out, no),
            None => return false,
        }
        true
    }

    /// A number for a call that begins, or is refused.
    pub(crate) fn next_number(&mut self) -> CallNo {
        CallNo(self.numbers.next())
    }

    /// Numbers up to this one were given before the restart.
    pub(crate) fn number_from(&mut self, taken: u64) {
        self.numbers.pass(taken);
    }

    /// A call or subscription begins; `caller` is its sender, `before` the pass that it had before
    /// (see [`Self::pass_before`]).
    pub(crate) fn begin(
        &mut self,
        w: &World,
        a: &Attempt,
        no: CallNo,
        kind: Kind,
        caller: LegState,
        before: Option<u64>,
    ) {
        self.table.insert(Call {
            no,
            token: w.number(),
            before,
            kind,
            state: State::Early,
            caller,
            caller_tag: a.incoming.own_tag().to_owned(),
            forks: Vec::new(),
            asked: None,
            answered: None,
            cseq: [a.incoming.message.cseq().seq, 0],
            allow: a.allow().unwrap_or_default(),
            user: a.payer(w).map(ToString::to_string),
            holder: a.holder(w),
            emergency: a.is_urgent(),
            from: a.parties.from.result().to_owned(),
            to: a.parties.to.result().to_owned(),
            direction: a.direction(),
            started: w.now().into(),
            ringing: None,
            confirmed: None,
            pass: None,
            ended_by: None,
            bye_at: None,
            heard: w.now().mono,
            session: None,
            acknowledged: false,
            refused_ack: None,
            reports: [0; 2],
            expected: Vec::new(),
            secure: a.is_sips(),
            tls_alone: a.is_secure(),
            segments: Vec::new(),
            usages: Usages::default(),
            outlived: false,
        });
    }

    /// The request goes to this leg; for a subscription its NOTIFY may come before the 2xx.
    pub(crate) fn asks(&mut self, w: &World, out: &mut Outbox, no: CallNo, leg: &LegState) {
        let Some(call) = self.table.get_mut(no) else { return };
        call.asked.get_or_insert_with(|| leg.clone());
        if call.kind == Kind::Call && w.config().limits.trace > 0 {
            for leg in [&call.caller, leg] {
                let (side, call_id) = (leg.side, leg.call_id.clone());
                out.emit(Output::Belongs(Belongs::Leg { call: no, side, call_id }));
            }
        }
        if call.kind == Kind::Subscription {
            self.table.expect_notify(no, leg);
        }
    }

    /// The route set towards a party of a dialog.
    pub(crate) fn routes(&self, no: CallNo, to: Leg, tag: &str) -> Vec<Vec<u8>> {
        let call = self.table.get(no);
        let leg = call.and_then(|c| match to {
            Leg::Caller => Some(&c.caller),
            Leg::Callee => c.fork(tag).map(|f| &f.callee),
        });
        leg.map(|l| l.routes.clone()).unwrap_or_default()
    }

    /// The leg that a request from this side goes to.
    pub(crate) fn opposite(&self, no: CallNo, from: Side) -> Option<&LegState> {
        let call = self.table.get(no)?;
        if call.caller.side == from { call.asked.as_ref() } else { Some(&call.caller) }
    }

    /// The pass of a call's INVITE.
    pub(crate) fn set_pass(&mut self, no: CallNo, pass: PassId) {
        if let Some(call) = self.table.get_mut(no) {
            call.pass = Some(pass);
        }
    }

    /// A subscription could not begin.
    pub(crate) fn forget(&mut self, no: CallNo) {
        self.timers.stop(Due::Subscription(no));
        self.table.remove(no);
    }

    /// Shows a call to the readers of the session table.
    pub(crate) fn show(&self, out: &mut Outbox, no: CallNo) {
        let held = self.media.is_held(no);
        if let Some(call) = self.table.get(no).filter(|c| c.kind == Kind::Call) {
            out.emit(Output::CallChanged(call.view(held)));
        }
    }

    /// A response with a tag makes (or refreshes) a fork. `asked` is the leg that the branch began
    /// with, `flow` the way the response came, `routes` its route set.
    pub(crate) fn learn_fork(
        &mut self,
        w: &World,
        out: &mut Outbox,
        no: CallNo,
        asked: &LegState,
        flow: Flow,
        answer: (&Message, Vec<Vec<u8>>, Option<Uri>),
    ) {
        let (response, routes, contact) = answer;
        // A party of RFC 2543 writes none: a fork with an empty tag (RFC 3261 §12.1.2).
        let tag = response.to_tag().unwrap_or_default();
        match self.table.get_mut(no).and_then(|c| c.fork_mut(tag)) {
            Some(fork) if tag.is_empty() => {
                let contact = contact.or(asked.contact.clone());
                fork.callee = LegState { flow, routes, contact, ..asked.clone() };
            }
            Some(fork) => {
                fork.callee.contact = contact.or(asked.contact.clone());
                if !routes.is_empty() {
                    fork.callee.routes = routes;
                }
            }
            None => {
                let contact = contact.or(asked.contact.clone());
                let leg = LegState { flow, routes, contact, ..asked.clone() };
                self.table.add_fork(no, tag, leg);
            }
        }
        if response.status() >= 180
            && let Some(call) = self.table.get_mut(no)
            && call.ringing.is_none()
        {
            call.ringing = Some(w.now().into());
            let (direction, delay) = (call.direction, call.started.elapsed(w.now()));
            out.observe(Observation::PostDialDelay { direction, delay });
        }
    }

    /// A fork was let go before it could be the call.
    pub(crate) fn drop_fork(&mut self, no: CallNo, tag: &str) {
        self.table.remove_fork(no, tag);
    }

    /// An answer of a fork that came too late: another has answered, and its media stay.
    pub(crate) fn is_surplus(&self, no: CallNo, tag: &str) -> bool {
        self.table.get(no).is_some_and(|c| c.state != State::Early && !c.lives_by(tag))
    }

    /// A 2xx to the INVITE went back; the first makes it a call.
    pub(crate) fn answered(&mut self, w: &World, out: &mut Outbox, no: CallNo, answer: &Message) {
        let tag = answer.to_tag().unwrap_or_default();
        if let Some(fork) = self.table.get_mut(no).and_then(|c| c.fork_mut(tag)) {
            fork.answered = true;
        }
        let Some(call) = self.table.get_mut(no).filter(|c| c.state == State::Early) else { return };
        call.confirmed = Some(w.now().into());
        call.answered = Some(tag.to_owned());
        call.pass = None;
        out.count_outcome(call.direction, Outcome::Answered);
        self.table.set_state(no, State::Confirmed);
        self.begin_segments(w, no);
        self.media.settle(no);
        let wait = w.config().timers.t1 * 64;
        self.timers.set(Due::Ack(no), w.now().mono + wait);
        self.supervise_media(w, out, no);
        self.listen(w, no);
        self.refreshed(w, no, answer);
        self.show(out, no);
        self.keep(w, out, no);
    }

    /// The 2xx to the SUBSCRIBE or REFER that began it went back.
    pub(crate) fn subscribed(&mut self, w: &World, no: CallNo, said: &Said, answer: &Message) {
        self.table.set_state(no, State::Confirmed);
        let tag = answer.to_tag().unwrap_or_default();
        self.has_said(w, no, (Leg::Caller, tag), said, answer);
    }

    /// A party said where it is reached from now on (RFC 3261 §12.2).
    pub(crate) fn refresh_target(&mut self, no: CallNo, leg: Leg, tag: &str, contact: Uri) {
        let Some(call) = self.table.get_mut(no) else { return };
        match leg {
            Leg::Caller => call.caller.contact = Some(contact),
            Leg::Callee => {
                if let Some(fork) = call.fork_mut(tag) {
                    fork.callee.contact = Some(contact);
                }
            }
        }
    }

    /// The 2xx was acknowledged.
    pub(crate) fn acknowledged(&mut self, no: CallNo) {
        if let Some(call) = self.table.get_mut(no) {
            call.acknowledged = true;
        }
        self.timers.stop(Due::Ack(no));
    }

    /// An ACK came from where it may not.
    pub(crate) fn ack_refused(&mut self, no: CallNo, by: SocketAddr) {
        if let Some(call) = self.table.get_mut(no) {
            call.refused_ack = Some(format!("it came from {by}, which is no party of it"));
        }
    }
}
