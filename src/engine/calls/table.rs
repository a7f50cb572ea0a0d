//! Every call and subscription, found by number, by what our tokens seal, by dialog, and by the
//! Call-ID of a leg; counted as they change. A table: it decides nothing.

use super::call::{Call, DialogKey, Fork, Kind, LegState, MAX_FORKS, State};
use super::names::Names;
use super::shares::Tables;
use crate::audit::EndedBy;
use crate::engine::world::World;
use crate::ground::{CallNo, Leg, Side};
use crate::policy::quota::Holder;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::net::IpAddr;

/// All dialogs.
#[derive(Debug)]
pub(super) struct Table {
    calls: HashMap<CallNo, Call>,
    tokens: HashMap<u64, CallNo>,
    dialogs: HashMap<DialogKey, (CallNo, Leg)>,
    call_ids: HashMap<(Side, String), SmallVec<[CallNo; 1]>>,
    /// How many other passes began with what a call was shown, by its token.
    spirals: HashMap<u64, usize>,
    /// How many calls (not subscriptions) a user has.
    users: HashMap<String, usize>,
    /// Early calls, answered ones.
    counts: [usize; 2],
    /// Who holds places of calls, and of calls and subscriptions.
    shares: Tables,
}

impl Table {
    pub(super) fn new(w: &World) -> Self {
        Self {
            calls: HashMap::new(),
            tokens: HashMap::new(),
            spirals: HashMap::new(),
            dialogs: HashMap::new(),
            call_ids: HashMap::new(),
            users: HashMap::new(),
            counts: [0; 2],
            shares: Tables::new(w),
        }
    }

    pub(super) fn shares(&self) -> &Tables {
        &self.shares
    }

    pub(super) fn shares_mut(&mut self) -> &mut Tables {
        &mut self.shares
    }

    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    /// Early calls, answered ones.
    pub(super) fn counts(&self) -> [usize; 2] {
        self.counts
    }

    pub(super) fn of_user(&self, user: &str) -> usize {
        self.users.get(user).copied().unwrap_or_default()
    }

    pub(super) fn get(&self, no: CallNo) -> Option<&Call> {
        self.calls.get(&no)
    }

    /// For anything but its state, its Call-IDs, its tags and its user: those are indexed.
    pub(super) fn get_mut(&mut self, no: CallNo) -> Option<&mut Call> {
        self.calls.get_mut(&no)
    }

    pub(super) fn by_token(&self, token: u64) -> Option<&Call> {
        self.calls.get(self.tokens.get(&token)?)
    }

    /// One is the other pass of the other's call: what left by the callee's leg came back by the
    /// caller's.
    pub(super) fn are_passes(&self, one: &Call, other: &Call) -> bool {
        one.before == Some(other.token) || other.before == Some(one.token)
    }

    /// The call has another pass.
    pub(super) fn is_spiral(&self, call: &Call) -> bool {
        let before = call.before.is_some_and(|token| self.tokens.contains_key(&token));
        before || self.spirals.contains_key(&call.token)
    }

    /// The other passes of a call, and by whom each ends where its other party here hangs up.
    pub(super) fn passes_of(&self, call: &Call) -> Vec<(CallNo, EndedBy)> {
        let before = call.before.and_then(|token| self.by_token(token));
        let before = before.map(|other| (other.no, EndedBy::Callee));
        let left = call.callee().into_iter();
        let after = left.flat_map(|leg| self.of_call_id(leg.side, &leg.call_id));
        let after = after.filter(|other| other.before == Some(call.token));
        before.into_iter().chain(after.map(|other| (other.no, EndedBy::Caller))).collect()
    }

    /// These legs meet outside us (or inside): one call left by its callee's leg, and came back to
    /// the other's caller's leg, under one Call-ID.
    pub(super) fn is_other_pass(&self, this: (CallNo, Leg), that: (CallNo, Leg)) -> bool {
        let (Some(one), Some(other)) = (self.get(this.0), self.get(that.0)) else { return false };
        let (left, came) = match (this.1, that.1) {
            (Leg::Callee, Leg::Caller) => (one, other),
            (Leg::Caller, Leg::Callee) => (other, one),
            (Leg::Caller, Leg::Caller) | (Leg::Callee, Leg::Callee) => return false,
        };
        came.before == Some(left.token)
    }

    /// Whether a leg's party signals from an address.
    pub(super) fn speaks_from(&self, no: CallNo, leg: Leg, ip: IpAddr) -> bool {
        let Some(call) = self.get(no) else { return false };
        match leg {
            Leg::Caller => call.caller.flow.peer.ip() == ip,
            Leg::Callee => call.forks.iter().any(|f| f.callee.flow.peer.ip() == ip),
        }
    }

    pub(super) fn find(&self, key: &DialogKey) -> Option<(CallNo, Leg)> {
        self.dialogs.get(key).copied()
    }

    /// Calls and subscriptions one of whose legs has this Call-ID.
    pub(super) fn of_call_id(&self, side: Side, call_id: &str) -> impl Iterator<Item = &Call> {
        let numbers = self.call_ids.get(&(side, call_id.to_owned())).into_iter().flatten();
        numbers.filter_map(|no| self.calls.get(no))
    }

    /// Calls and subscriptions, in no order.
    pub(super) fn all(&self) -> impl Iterator<Item = &Call> {
        self.calls.values()
    }

    /// Calls (not subscriptions), oldest first.
    pub(super) fn numbers(&self) -> Vec<CallNo> {
        let calls = self.calls.values().filter(|c| c.kind == Kind::Call);
        let mut all: Vec<CallNo> = calls.map(|c| c.no).collect();
        all.sort_unstable();
        all
    }

    pub(super) fn insert(&mut self, call: Call) {
        if call.kind == Kind::Call {
            if let Some(user) = &call.user {
                *self.users.entry(user.clone()).or_default() += 1;
            }
            self.counts[usize::from(call.state != State::Early)] += 1;
        }
        self.shares.enter(&call);
        self.tokens.insert(call.token, call.no);
        if let Some(before) = call.before {
            *self.spirals.entry(before).or_default() += 1;
        }
        self.name(call.caller.side, &call.caller.call_id, call.no);
        self.calls.insert(call.no, call);
    }

    pub(super) fn set_state(&mut self, no: CallNo, state: State) {
        let Some(call) = self.calls.get_mut(&no) else { return };
        if call.kind == Kind::Call {
            self.counts[usize::from(call.state != State::Early)] -= 1;
            self.counts[usize::from(state != State::Early)] += 1;
        }
        call.state = state;
        if call.kind == Kind::Call && state != State::Early {
            self.shares.settle(no);
        }
    }

    fn name(&mut self, side: Side, call_id: &str, no: CallNo) {
        let numbers = self.call_ids.entry((side, call_id.to_owned())).or_default();
        if !numbers.contains(&no) {
            numbers.push(no);
        }
    }

    fn unname(&mut self, side: Side, call_id: &str, no: CallNo) {
        let key = (side, call_id.to_owned());
        if let Some(numbers) = self.call_ids.get_mut(&key) {
            numbers.retain(|n| *n != no);
            if numbers.is_empty() {
                self.call_ids.remove(&key);
            }
        }
    }

    /// Adds a fork and indexes both directions.
    pub(super) fn add_fork(&mut self, no: CallNo, tag: &str, callee: LegState) {
        let Some(call) = self.calls.get_mut(&no) else { return };
        if call.forks.len() >= MAX_FORKS {
            return;
        }
        let [up, down] = keys(call, tag, &callee);
        let (side, call_id) = (callee.side, callee.call_id.clone());
        let (answered, names) = (false, Names::default());
        call.forks.push(Fork { tag: tag.to_owned(), callee, answered, names });
        self.dialogs.insert(up, (no, Leg::Caller));
        self.dialogs.insert(down, (no, Leg::Callee));
        self.name(side, &call_id, no);
    }

    /// Forgets one fork.
    pub(super) fn remove_fork(&mut self, no: CallNo, tag: &str) {
        let Some(call) = self.calls.get_mut(&no) else { return };
        let Some(at) = call.forks.iter().position(|f| f.tag == tag) else { return };
        let fork = call.forks.remove(at);
        let keys = keys(call, tag, &fork.callee);
        let same = |l: &LegState| l.side == fork.callee.side && l.call_id == fork.callee.call_id;
        let shared = same(&call.caller) || call.forks.iter().any(|f| same(&f.callee));
        for key in &keys {
            self.forget(no, key);
        }
        if !shared {
            self.unname(fork.callee.side, &fork.callee.call_id, no);
        }
    }

    /// A subscription whose NOTIFY may come before the 2xx (RFC 6665 §4.4.1).
    pub(super) fn expect_notify(&mut self, no: CallNo, leg: &LegState) {
        let Some(call) = self.calls.get_mut(&no) else { return };
        let key = (leg.side, leg.call_id.clone(), String::new(), call.caller_tag.clone());
        call.expected.push(leg.clone());
        self.dialogs.insert(key, (no, Leg::Callee));
    }

    pub(super) fn remove(&mut self, no: CallNo) -> Option<Call> {
        let call = self.calls.remove(&no)?;
        self.shares.leave(no);
        for fork in &call.forks {
            for key in &keys(&call, &fork.tag, &fork.callee) {
                self.forget(no, key);
            }
            self.unname(fork.callee.side, &fork.callee.call_id, no);
        }
        for leg in &call.expected {
            let key = (leg.side, leg.call_id.clone(), String::new(), call.caller_tag.clone());
            self.forget(no, &key);
        }
        self.unname(call.caller.side, &call.caller.call_id, no);
        self.tokens.remove(&call.token);
        if let Some(before) = call.before
            && let Some(n) = self.spirals.get_mut(&before)
        {
            *n -= 1;
            if *n == 0 {
                self.spirals.remove(&before);
            }
        }
        if call.kind == Kind::Call {
            self.counts[usize::from(call.state != State::Early)] -= 1;
            self.release(call.user.as_deref());
        }
        Some(call)
    }

    /// A call is over, and what its dialogs carry besides is not: it is none from now on.
    pub(super) fn outlive(&mut self, no: CallNo) {
        let Some(call) = self.calls.get_mut(&no).filter(|c| c.kind == Kind::Call) else { return };
        self.counts[usize::from(call.state != State::Early)] -= 1;
        call.kind = Kind::Subscription;
        call.outlived = true;
        // What is left of an emergency is none.
        if let Holder::Emergency(source) = call.holder {
            call.holder = Holder::Unproved(source.whole());
        }
        self.shares.outlived(no);
        let user = call.user.take();
        let bare = call.forks.iter().filter(|f| !call.usages.carries(&f.tag));
        let bare: Vec<String> = bare.map(|f| f.tag.clone()).collect();
        self.release(user.as_deref());
        for tag in &bare {
            self.remove_fork(no, tag);
        }
    }

    /// A user has a call less.
    fn release(&mut self, user: Option<&str>) {
        let Some((user, n)) = user.and_then(|u| Some((u, self.users.get_mut(u)?))) else { return };
        *n -= 1;
        if *n == 0 {
            self.users.remove(user);
        }
    }

    fn forget(&mut self, no: CallNo, key: &DialogKey) {
        if self.dialogs.get(key).is_some_and(|v| v.0 == no) {
            self.dialogs.remove(key);
        }
    }
}

/// What requests of the caller and of the callee within a dialog bear.
fn keys(call: &Call, tag: &str, callee: &LegState) -> [DialogKey; 2] {
    let (caller, own) = (&call.caller, &call.caller_tag);
    [
        (caller.side, caller.call_id.clone(), own.clone(), tag.to_owned()),
        (callee.side, callee.call_id.clone(), tag.to_owned(), own.clone()),
    ]
}
