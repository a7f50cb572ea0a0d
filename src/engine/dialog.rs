//! Dialogs: one caller leg, one callee leg a fork, and what each side was shown of the other. A
//! table; requests within a dialog are carried by `pass`.

use super::{CallView, Engine, Level, Output, TimerKey};
use crate::config::Allow;
use crate::ground::{Flow, ListenerId, Now, Side};
use crate::relay::Leg;
use crate::wire::sip::Uri;
use std::collections::HashMap;
use std::sync::Arc;

/// Forks of one call that are kept apart.
pub(crate) const MAX_FORKS: usize = 16;

/// One leg: the far party and what we told it.
#[derive(Clone, Debug)]
pub(crate) struct LegState {
    pub(crate) side: Side,
    /// The way to it; follows the phone when its port moves.
    pub(crate) flow: Flow,
    /// Call-ID on this leg.
    pub(crate) call_id: String,
    /// From of the caller as this leg sees it, with tag.
    pub(crate) from: Vec<u8>,
    /// To of the callee as this leg sees it, without tag.
    pub(crate) to: Vec<u8>,
    /// Remote target: the Contact of the far party.
    pub(crate) contact: Option<Uri>,
    /// Route set towards the far party, nearest first.
    pub(crate) routes: Vec<Vec<u8>>,
    /// The upstream it is, by index.
    pub(crate) upstream: Option<usize>,
}

impl LegState {
    pub(crate) fn listener(&self) -> ListenerId {
        self.flow.listener
    }
}

/// One fork.
#[derive(Clone, Debug)]
pub(crate) struct Fork {
    /// The callee's tag.
    pub(crate) tag: String,
    pub(crate) callee: LegState,
}

/// What makes dialogs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// INVITE: has media, appears in records.
    Call,
    /// SUBSCRIBE, REFER: ends by itself when nothing refreshes it.
    Subscription,
}

/// How far a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Early,
    Confirmed,
    /// BYE seen; waiting for its answer.
    Ending,
}

/// A call (or subscription) and its dialogs.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) no: u64,
    pub(crate) kind: Kind,
    pub(crate) state: State,
    pub(crate) caller: LegState,
    pub(crate) caller_tag: String,
    pub(crate) forks: Vec<Fork>,
    /// The tag of the fork that answered.
    pub(crate) answered: Option<String>,
    /// Highest CSeq each party used: caller, callee.
    pub(crate) cseq: [u32; 2],
    pub(crate) allow: Arc<Allow>,
    /// Registered user it counts against.
    pub(crate) user: Option<String>,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) direction: usize,
    pub(crate) started: Now,
    pub(crate) ringing: Option<Now>,
    pub(crate) confirmed: Option<Now>,
    /// The pass of its INVITE, while that is pending.
    pub(crate) pass: Option<u64>,
    pub(crate) ended_by: &'static str,
    /// A party's BYE.
    pub(crate) bye_at: Option<Now>,
    /// An ACK for the 2xx passed.
    pub(crate) acknowledged: bool,
    /// One came and was refused: why.
    pub(crate) refused_ack: Option<String>,
    /// A late offer stands: the callee offered in a response.
    pub(crate) late_offer: bool,
    /// Quality reports taken of each party: caller, callee.
    pub(crate) reports: [u64; 2],
}

/// Where a request within a dialog comes from: side, Call-ID, From tag, To tag.
pub(crate) type DialogKey = (Side, String, String, String);

/// All dialogs.
#[derive(Debug, Default)]
pub(crate) struct Dialogs {
    calls: HashMap<u64, Call>,
    index: HashMap<DialogKey, (u64, Leg)>,
    users: HashMap<String, usize>,
}

impl Dialogs {
    pub(crate) fn len(&self) -> usize {
        self.calls.len()
    }

    /// Early and confirmed calls.
    pub(crate) fn call_counts(&self) -> [u64; 2] {
        let mut n = [0, 0];
        for c in self.calls.values().filter(|c| c.kind == Kind::Call) {
            n[usize::from(c.state != State::Early)] += 1;
        }
        n
    }

    pub(crate) fn calls_of(&self, user: &str) -> usize {
        self.users.get(user).copied().unwrap_or_default()
    }

    pub(crate) fn get(&self, no: u64) -> Option<&Call> {
        self.calls.get(&no)
    }

    pub(crate) fn get_mut(&mut self, no: u64) -> Option<&mut Call> {
        self.calls.get_mut(&no)
    }

    /// Every call and subscription, in no order.
    pub(crate) fn calls(&self) -> impl Iterator<Item = &Call> {
        self.calls.values()
    }

    pub(crate) fn all_mut(&mut self) -> impl Iterator<Item = &mut Call> {
        self.calls.values_mut()
    }

    pub(crate) fn find(&self, key: &DialogKey) -> Option<(u64, Leg)> {
        self.index.get(key).copied()
    }

    pub(crate) fn numbers(&self) -> Vec<u64> {
        let mut all: Vec<u64> =
            self.calls.values().filter(|c| c.kind == Kind::Call).map(|c| c.no).collect();
        all.sort_unstable();
        all
    }

    pub(crate) fn insert(&mut self, call: Call) {
        if let Some(user) = &call.user {
            *self.users.entry(user.clone()).or_default() += 1;
        }
        self.calls.insert(call.no, call);
    }

    /// Adds a fork and indexes both directions.
    pub(crate) fn add_fork(&mut self, no: u64, tag: &str, callee: LegState) {
        let Some(call) = self.calls.get_mut(&no) else { return };
        if call.forks.len() >= MAX_FORKS {
            return;
        }
        let (caller, own) = (&call.caller, call.caller_tag.clone());
        let up = (caller.side, caller.call_id.clone(), own.clone(), tag.to_owned());
        let down = (callee.side, callee.call_id.clone(), tag.to_owned(), own);
        self.index.insert(up, (no, Leg::Caller));
        self.index.insert(down, (no, Leg::Callee));
        call.forks.push(Fork { tag: tag.to_owned(), callee });
    }

    /// Forgets one fork.
    pub(crate) fn remove_fork(&mut self, no: u64, tag: &str) {
        let Some(call) = self.calls.get_mut(&no) else { return };
        let Some(at) = call.forks.iter().position(|f| f.tag == tag) else { return };
        let (fork, own) = (call.forks.remove(at), call.caller_tag.clone());
        let up = (call.caller.side, call.caller.call_id.clone(), own.clone(), tag.to_owned());
        let down = (fork.callee.side, fork.callee.call_id.clone(), tag.to_owned(), own);
        self.forget(no, &up);
        self.forget(no, &down);
    }

    /// A subscription whose NOTIFY may come before the 2xx (RFC 6665 §4.4.1).
    pub(crate) fn expect_notify(&mut self, no: u64, side: Side, call_id: &str) {
        let Some(call) = self.calls.get(&no) else { return };
        let key = (side, call_id.to_owned(), String::new(), call.caller_tag.clone());
        self.index.insert(key, (no, Leg::Callee));
    }

    pub(crate) fn remove(&mut self, no: u64) -> Option<Call> {
        let call = self.calls.remove(&no)?;
        let (caller, own) = (&call.caller, &call.caller_tag);
        for f in &call.forks {
            let up = (caller.side, caller.call_id.clone(), own.clone(), f.tag.clone());
            let down = (f.callee.side, f.callee.call_id.clone(), f.tag.clone(), own.clone());
            self.forget(no, &up);
            self.forget(no, &down);
        }
        if call.kind == Kind::Subscription {
            // The pending entry carries the Call-ID of the far leg, which a fork may have taught.
            let own = own.clone();
            self.index.retain(|k, v| v.0 != no || k.3 != own || !k.2.is_empty());
        }
        if let Some(user) = &call.user
            && let Some(n) = self.users.get_mut(user)
        {
            *n -= 1;
            if *n == 0 {
                self.users.remove(user);
            }
        }
        Some(call)
    }

    fn forget(&mut self, no: u64, key: &DialogKey) {
        if self.index.get(key).is_some_and(|v| v.0 == no) {
            self.index.remove(key);
        }
    }

    /// The other leg's Call-ID of the dialog that `Replaces` (or the like) names on `side`.
    pub(crate) fn translate(
        &self,
        side: Side,
        call_id: &str,
        tags: (&str, &str),
    ) -> Option<(u64, String)> {
        let (a, b) = tags;
        let find =
            |x: &str, y: &str| self.find(&(side, call_id.to_owned(), x.to_owned(), y.to_owned()));
        let (no, leg) = find(a, b).or_else(|| find(b, a))?;
        let call = self.calls.get(&no)?;
        let other = match leg {
            Leg::Caller => call.forks.first().map(|f| f.callee.call_id.clone())?,
            Leg::Callee => call.caller.call_id.clone(),
        };
        Some((no, other))
    }
}

impl Call {
    /// The dialog with this callee tag is the call; a fork that did not answer first, or has not
    /// answered yet, may go without ending it.
    pub(crate) fn lives_by(&self, tag: &str) -> bool {
        self.state != State::Early && self.answered.as_deref().is_none_or(|own| own == tag)
    }

    /// The fork with this callee tag.
    pub(crate) fn fork(&self, tag: &str) -> Option<&Fork> {
        self.forks.iter().find(|f| f.tag == tag)
    }

    pub(crate) fn fork_mut(&mut self, tag: &str) -> Option<&mut Fork> {
        self.forks.iter_mut().find(|f| f.tag == tag)
    }

    pub(crate) fn view(&self, held: bool) -> CallView {
        let state = match self.state {
            State::Early => "early",
            State::Confirmed | State::Ending if held => "held",
            State::Confirmed | State::Ending => "confirmed",
        };
        let direction = super::stats::DIRECTIONS.get(self.direction).copied().unwrap_or_default();
        CallView {
            call: self.no,
            from: self.from.clone(),
            to: self.to.clone(),
            state,
            direction,
            since: self.started.wall.seconds(),
        }
    }
}

impl Engine {
    /// Shows a call to the readers of the session table.
    pub(crate) fn show_call(&mut self, no: u64) {
        let held = self.media.is_held(no);
        if let Some(view) =
            self.dialogs.get(no).filter(|c| c.kind == Kind::Call).map(|c| c.view(held))
        {
            self.emit(Output::CallChanged(view));
        }
    }

    /// How long a subscription lives without traffic.
    pub(crate) fn touch_subscription(&mut self, no: u64, seconds: u64) {
        let life = std::time::Duration::from_secs(seconds.clamp(60, 86_400) + 64);
        self.timers.set(TimerKey::Dialog(no), self.now.mono + life);
    }

    /// A subscription that nobody refreshed is gone.
    pub(crate) fn dialog_expired(&mut self, no: u64) {
        if self.dialogs.remove(no).is_some() {
            self.notice(Level::Debug, format!("subscription {no} expired"));
        }
    }
}
