//! Who holds calls, dialogs, parked calls and ports, and which of them give way. It ends none: the
//! coordinator hangs up what is displaced here.

use super::Calls;
use super::call::{Call, Kind, State};
use crate::engine::stats::Places;
use crate::engine::world::World;
use crate::ground::{CallNo, Flow, Leg};
use crate::policy::quota::{Full, Holder, Quota, Resource, ShareView, Shares, Source};
use std::time::Duration;

/// All emergency calls that a source may have are answered, and talk.
#[derive(Debug)]
pub(crate) struct TooManyEmergencies;

/// Places of the table of calls.
#[derive(Debug)]
pub(super) struct Tables {
    calls: Quota<CallNo>,
    dialogs: Quota<CallNo>,
    /// Those that have given way, and in which table.
    gone: Vec<(CallNo, Resource)>,
}

fn of_calls(w: &World) -> Shares {
    let shares = w.shares_of_users(w.config().limits.calls);
    Shares { per_user: usize::MAX, ..shares }
}

impl Tables {
    pub(super) fn new(w: &World) -> Self {
        let dialogs = Quota::new(w.shares(w.config().limits.dialogs));
        Self { calls: Quota::new(of_calls(w)), dialogs, gone: Vec::new() }
    }

    pub(super) fn enter(&mut self, call: &Call) {
        self.dialogs.enter(call.no, call.holder.clone(), 1);
        if call.kind == Kind::Call {
            self.calls.enter(call.no, call.holder.clone(), 1);
        }
        if call.kind == Kind::Call && call.state != State::Early {
            self.settle(call.no);
        }
    }

    /// It is answered.
    pub(super) fn settle(&mut self, no: CallNo) {
        self.calls.settle(no);
        self.dialogs.settle(no);
    }

    /// It is a subscription now.
    pub(super) fn outlived(&mut self, no: CallNo) {
        self.calls.leave(no);
        self.dialogs.calm(no);
    }

    fn calm(&mut self, no: CallNo) {
        self.calls.calm(no);
        self.dialogs.calm(no);
    }

    pub(super) fn leave(&mut self, no: CallNo) {
        self.calls.leave(no);
        self.dialogs.leave(no);
    }

    /// Room in one of the two. What gives way in it gives way in both: it is one call that ends.
    fn make_room(
        &mut self,
        which: Resource,
        holder: &Holder,
        urgent: bool,
    ) -> Result<(), (Resource, Full)> {
        let table = if which == Resource::Calls { &mut self.calls } else { &mut self.dialogs };
        let mut gone = Vec::new();
        let room = table.make_room(holder, urgent, 1, &mut gone);
        for no in gone {
            self.leave(no);
            self.gone.push((no, which));
        }
        room.map_err(|full| (which, full))
    }
}

/// A person who dials an emergency number again needs longer; a flood does not, and each of its
/// calls would ring where help is.
const REDIAL: Duration = Duration::from_secs(4);

fn is_old(w: &World, call: &Call) -> bool {
    call.started.elapsed(w.now()) >= REDIAL
}

impl Calls {
    /// Takes the numbers in force.
    pub(crate) fn set_shares(&mut self, w: &World) {
        let dialogs = w.shares(w.config().limits.dialogs);
        let tables = self.table.shares_mut();
        tables.calls.set_shares(of_calls(w));
        tables.dialogs.set_shares(dialogs);
        self.parked.follow(w);
        self.media.follow(w);
    }

    /// Whether a call (else a subscription) finds room, or somebody to give way; nothing changes.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn has_room(
        &self,
        holder: &Holder,
        urgent: bool,
        is_call: bool,
    ) -> Result<(), (Resource, Full)> {
        let Tables { calls, dialogs, .. } = self.table.shares();
        dialogs.has_room(holder, urgent, 1).map_err(|full| (Resource::Dialogs, full))?;
        if !is_call || urgent {
            return Ok(());
        }
        calls.has_room(holder, urgent, 1).map_err(|full| (Resource::Calls, full))
    }

    /// Makes room for a call (else a subscription).
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn room(
        &mut self,
        holder: &Holder,
        urgent: bool,
        is_call: bool,
    ) -> Result<(), (Resource, Full)> {
        let tables = self.table.shares_mut();
        tables.make_room(Resource::Dialogs, holder, urgent)?;
        // An emergency call is one too many for nobody while there are dialogs and ports.
        if !is_call || urgent {
            return Ok(());
        }
        tables.make_room(Resource::Calls, holder, urgent)
    }

    /// The emergency call of nobody known that rings for this very peer: whoever dials again means
    /// that no more. Nobody dials again within [`REDIAL`]. By a tunnel all phones of a site have
    /// one address and port: who of them dials again, their own gateway knows.
    pub(crate) fn superseded(&self, w: &World, holder: &Holder, flow: &Flow) -> Option<CallNo> {
        let Holder::Emergency(source) = holder else { return None };
        if w.net().lasts(flow.listener) {
            return None;
        }
        let no = self.table.shares().calls.emergency_of(*source)?;
        let host = |c: &Call| w.net().is_same_host(&c.caller.flow, flow);
        let same = |c: &&Call| c.caller.flow.peer == flow.peer && host(c) && is_old(w, c);
        self.table.get(no).filter(same).map(|c| c.no)
    }

    /// Whether a source that nobody knows may have another emergency call, and which of its own
    /// gives way. As many as are its due may stand beside each other twice, for phones may share
    /// an address; beyond that the oldest goes that nobody answered, else one that was not heard
    /// from for a window. Who talks is ended by nobody. By a tunnel comes a site, whose gateway has
    /// asked the same of each of its phones: it has what there is for emergencies.
    ///
    /// # Errors
    /// All talk, or began within [`REDIAL`].
    pub(crate) fn emergency(
        &self,
        w: &World,
        (holder, flow): (&Holder, &Flow),
        due: usize,
    ) -> Result<Option<CallNo>, TooManyEmergencies> {
        let Holder::Emergency(source) = holder else { return Ok(None) };
        if w.net().lasts(flow.listener) {
            return Ok(None);
        }
        let calls = &self.table.shares().calls;
        if calls.emergencies(*source) < due.saturating_mul(2) {
            return Ok(None);
        }
        let silent = |no: &CallNo| self.media.is_silent(*no, Leg::Caller);
        let gone = calls.emergency_of(*source);
        let gone = gone.or_else(|| calls.settled_emergencies(*source).find(silent));
        let old = |no: &CallNo| self.table.get(*no).is_some_and(|c| is_old(w, c));
        gone.filter(old).map(Some).ok_or(TooManyEmergencies)
    }

    /// Whether an emergency call is up, or rings, of who is not registered at this address.
    pub(crate) fn has_cried(&self, at: Source) -> bool {
        self.table.shares().calls.emergencies(at) > 0
    }

    /// Its caller gave a call up: whatever it was, it is no emergency any more.
    pub(crate) fn calm(&mut self, no: CallNo) {
        let Some(call) = self.table.get_mut(no) else { return };
        let Holder::Emergency(source) = call.holder else { return };
        call.holder = Holder::Unproved(source.whole());
        let holder = call.holder.clone();
        self.table.shares_mut().calm(no);
        self.media.held_by(no, &holder, false);
    }

    /// A call or subscription that has given way, and what it held.
    pub(crate) fn displaced(&mut self) -> Option<(CallNo, Resource)> {
        if let Some(no) = self.media.displaced() {
            return Some((no, Resource::Ports));
        }
        self.table.shares_mut().gone.pop()
    }

    /// A subscription that has given way; what comes of it meets 481.
    pub(crate) fn is_subscription(&self, no: CallNo) -> bool {
        self.table.get(no).is_some_and(|c| c.kind == Kind::Subscription)
    }

    /// How places are held.
    pub(crate) fn share_views(&self) -> [ShareView; 4] {
        let Tables { calls, dialogs, .. } = self.table.shares();
        [
            calls.view(Resource::Calls),
            dialogs.view(Resource::Dialogs),
            self.parked.share_view(),
            self.media.share_view(),
        ]
    }

    /// How full they are: calls, dialogs, parked calls, streams.
    pub(crate) fn places(&self) -> [Places; 4] {
        let Tables { calls, dialogs, .. } = self.table.shares();
        [Places::of(calls), Places::of(dialogs), self.parked.places(), self.media.places()]
    }
}
