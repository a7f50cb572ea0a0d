//! Challenged calls: a 401 or 407 ended the attempt, and its media wait for the next one of the
//! same Call-ID and From tag. As many as calls may be; no more.

use super::{Call, Calls, Due};
use crate::audit::Outcome;
use crate::engine::analysis::Incoming;
use crate::engine::outbox::Outbox;
use crate::engine::output::Output;
use crate::engine::stats::Places;
use crate::engine::world::World;
use crate::ground::CallNo;
use crate::policy::quota::{Holder, Quota, Resource, ShareView};
use std::collections::HashMap;
use std::time::Duration;

/// How long a challenged call's ports wait for the next attempt.
const PARKED: Duration = Duration::from_secs(32);

/// By Call-ID and From tag, and by number.
#[derive(Debug)]
pub(super) struct Parked {
    calls: HashMap<(String, String), Call>,
    keys: HashMap<CallNo, (String, String)>,
    shares: Quota<CallNo>,
}

impl Parked {
    pub(super) fn new(w: &World) -> Self {
        let shares = Quota::new(w.shares_of_users(w.config().limits.calls));
        Self { calls: HashMap::new(), keys: HashMap::new(), shares }
    }

    pub(super) fn follow(&mut self, w: &World) {
        self.shares.set_shares(w.shares_of_users(w.config().limits.calls));
    }

    pub(super) fn places(&self) -> Places {
        Places::of(&self.shares)
    }

    pub(super) fn share_view(&self) -> ShareView {
        self.shares.view(Resource::Parked)
    }

    pub(super) fn numbers(&self) -> impl Iterator<Item = CallNo> {
        self.keys.keys().copied()
    }

    pub(super) fn knows(&self, no: CallNo) -> bool {
        self.keys.get(&no).is_some_and(|key| self.calls.contains_key(key))
    }

    fn insert(&mut self, call: Call) -> Option<Call> {
        let key = (call.caller.call_id.clone(), call.caller_tag.clone());
        self.keys.insert(call.no, key.clone());
        self.shares.enter(call.no, call.holder.clone(), 1);
        let other = self.calls.insert(key, call)?;
        self.keys.remove(&other.no);
        self.shares.leave(other.no);
        Some(other)
    }

    fn remove(&mut self, no: CallNo) -> Option<Call> {
        self.shares.leave(no);
        self.calls.remove(&self.keys.remove(&no)?)
    }
}

impl Calls {
    /// The same call comes again: its number, and its media wait for it.
    pub(crate) fn resume(&mut self, i: &Incoming) -> Option<CallNo> {
        let key = (i.call_id().to_owned(), i.own_tag().to_owned());
        let no = self.parked.calls.get(&key)?.no;
        self.parked.remove(no)?;
        self.timers.stop(Due::Parked(no));
        Some(no)
    }

    /// 401 or 407: the same call comes again with credentials.
    pub(crate) fn park(&mut self, w: &World, out: &mut Outbox, no: CallNo) {
        let Some(mut call) = self.failed(no) else { return };
        out.emit(Output::CallGone(no));
        self.media.drop_pending(no);
        // Whoever was challenged holds up nobody, be it an emergency.
        if let Holder::Emergency(source) = call.holder {
            call.holder = Holder::Unproved(source.whole());
        }
        self.media.held_by(no, &call.holder, false);
        let mut gone = Vec::new();
        let room = self.parked.shares.make_room(&call.holder, false, 1, &mut gone);
        for other in gone {
            self.displace_parked(w, out, other, Resource::Parked);
        }
        if room.is_err() {
            self.abandoned(w, out, &call);
            return;
        }
        self.timers.set(Due::Parked(no), w.now().mono + PARKED);
        if let Some(other) = self.parked.insert(call) {
            self.timers.stop(Due::Parked(other.no));
            self.abandoned(w, out, &other);
        }
    }

    /// Others need the room, or the ports.
    pub(crate) fn displace_parked(
        &mut self,
        w: &World,
        out: &mut Outbox,
        no: CallNo,
        resource: Resource,
    ) {
        if let Some(call) = self.parked.keys.get(&no).and_then(|key| self.parked.calls.get(key)) {
            out.displaced(call.caller.side, resource);
        }
        self.unpark(w, out, no);
    }

    /// Nobody came back with credentials, or others need the room.
    pub(super) fn unpark(&mut self, w: &World, out: &mut Outbox, no: CallNo) {
        self.timers.stop(Due::Parked(no));
        if let Some(call) = self.parked.remove(no) {
            self.abandoned(w, out, &call);
        }
    }

    fn abandoned(&mut self, w: &World, out: &mut Outbox, call: &Call) {
        self.attempt_over(w, out, call, 401, Outcome::of_status(401));
    }
}
