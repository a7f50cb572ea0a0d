//! Challenged calls: a 401 or 407 ended the attempt, and its media wait for the next one of the
//! same Call-ID and From tag. As many as calls may be; no more.

use super::{Call, Calls, Due};
use crate::audit::Outcome;
use crate::engine::analysis::Incoming;
use crate::engine::outbox::Outbox;
use crate::engine::output::Output;
use crate::engine::world::World;
use crate::ground::CallNo;
use std::collections::HashMap;
use std::time::Duration;

/// How long a challenged call's ports wait for the next attempt.
const PARKED: Duration = Duration::from_secs(32);

/// By Call-ID and From tag, and by number.
#[derive(Debug, Default)]
pub(super) struct Parked {
    calls: HashMap<(String, String), Call>,
    keys: HashMap<CallNo, (String, String)>,
}

impl Parked {
    fn insert(&mut self, call: Call) -> Option<Call> {
        let key = (call.caller.call_id.clone(), call.caller_tag.clone());
        self.keys.insert(call.no, key.clone());
        let other = self.calls.insert(key, call)?;
        self.keys.remove(&other.no);
        Some(other)
    }

    fn remove(&mut self, no: CallNo) -> Option<Call> {
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
        let Some(call) = self.table.remove(no) else { return };
        out.emit(Output::CallGone(no));
        self.media.drop_pending(no);
        if self.parked.calls.len() >= w.config().limits.calls {
            self.abandoned(w, out, &call);
            return;
        }
        self.timers.set(Due::Parked(no), w.now().mono + PARKED);
        if let Some(other) = self.parked.insert(call) {
            self.timers.stop(Due::Parked(other.no));
            self.abandoned(w, out, &other);
        }
    }

    /// Nobody came back with credentials.
    pub(super) fn unpark(&mut self, w: &World, out: &mut Outbox, no: CallNo) {
        if let Some(call) = self.parked.remove(no) {
            self.abandoned(w, out, &call);
        }
    }

    fn abandoned(&mut self, w: &World, out: &mut Outbox, call: &Call) {
        self.attempt_over(w, out, call, 401, Outcome::of_status(401));
    }
}
