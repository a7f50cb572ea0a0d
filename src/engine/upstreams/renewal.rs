//! Connections to upstreams that we opened and that end: each is opened again by asking whether
//! somebody is there, at once, and ever later where the new ones do not last. And those by which
//! nobody answers: what is asked next goes by a new one. It sends nothing.

use super::hearing::meant;
use super::targets::ENDED;
use super::{Due, Health, Upstreams};
use crate::config::Hop;
use crate::engine::ids::UpstreamId;
use crate::engine::outbox::Outbox;
use crate::engine::output::{Level, Output};
use crate::engine::world::World;
use crate::ground::{Flow, Mono};
use std::collections::BTreeMap;
use std::time::Duration;

/// The first one is opened as soon as that.
const AT_ONCE: Duration = Duration::from_millis(1);
/// One that ends within this has not lasted: the next is opened later, …
const LASTS: Duration = Duration::from_secs(60);
/// … after this, then twice that, and so on …
const PAUSE: Duration = Duration::from_secs(1);
/// … up to this.
const LONGEST: Duration = Duration::from_secs(32);
/// Nobody has answered by a new one for so long: the next is tried.
const VAIN: Duration = Duration::from_secs(10);

/// What is remembered of the way to one target.
#[derive(Clone, Copy, Debug, Default)]
struct Way {
    /// When it was, or is, opened again last; how often since one has lasted.
    opened: Option<Mono>,
    times: u32,
    /// When the connection there became suspect last.
    suspect: Option<Mono>,
}

impl Way {
    /// When it is opened again that has ended now, or that never came about.
    fn next(&mut self, now: Mono, was_there: bool) -> Mono {
        let soon = self.opened.is_some_and(|opened| now.since(opened) < LASTS) || !was_there;
        self.times = if soon { self.times.saturating_add(1) } else { 0 };
        let pause = PAUSE.saturating_mul(1 << self.times.saturating_sub(1).min(10)).min(LONGEST);
        let at = now + if self.times == 0 { AT_ONCE } else { pause };
        self.opened = Some(at);
        at
    }
}

/// Those of all streams; as many as there are targets.
#[derive(Debug, Default)]
pub(super) struct Renewals(BTreeMap<(UpstreamId, Hop), Way>);

impl Upstreams {
    /// A connection that was there has ended: so much is known of who was at its other end.
    pub(crate) fn broken(&mut self, w: &World, out: &mut Outbox, flow: &Flow) {
        let hop = Hop { peer: flow.peer, transport: flow.transport };
        for id in meant(w, flow) {
            let Some(u) = self.all.get_mut(id.index()) else { continue };
            let Some(t) = u.targets.find(hop).filter(|t| t.health == Health::Up) else { continue };
            t.turn(w.now(), Health::Unknown, ENDED);
            self.told(w, out, *id, hop);
            let name = w.upstream_name(*id).unwrap_or_default();
            let text = format!("upstream {name}: the connection to {} has ended", hop.peer);
            // Of a tunnel it has ended because a newer one is there.
            let level = if w.net().lasts(flow.listener) { Level::Debug } else { Level::Info };
            out.notice(level, text);
        }
        self.renew(w, flow, true);
    }

    /// None is there, or none came about: another is opened, unless it is asked for all the time.
    pub(crate) fn renew(&mut self, w: &World, flow: &Flow, was_there: bool) {
        let hop = Hop { peer: flow.peer, transport: flow.transport };
        if !hop.transport.is_reliable() {
            return;
        }
        for id in meant(w, flow) {
            let due = Due::Open(*id, hop);
            if !self.timers.is_armed(due) && !self.is_asked_for(w, *id) {
                let at =
                    self.renewals.0.entry((*id, hop)).or_default().next(w.now().mono, was_there);
                self.timers.set(due, at);
            }
        }
        self.renewals.0.retain(|(id, hop), _| w.places(*id).contains(hop));
    }

    /// It is asked each second whether it is there.
    fn is_asked_for(&self, w: &World, id: UpstreamId) -> bool {
        w.config().survive.is_on() && self.is_watched(id)
    }

    /// The way on which one is to be opened now, if it still is one.
    pub(super) fn opens(&self, w: &World, id: UpstreamId, hop: Hop) -> bool {
        w.places(id).contains(&hop) && !self.is_asked_for(w, id)
    }

    /// Nothing comes by the stream to a target: what is asked from now on goes by a new one, and
    /// what was asked is asked again.
    pub(super) fn suspect(&mut self, w: &World, out: &mut Outbox, id: UpstreamId, hop: Hop) {
        let at = self.get(w, id).map(|u| u.interface);
        let flow = at.and_then(|at| w.net().towards(at, id, hop));
        let Some(flow) = flow.filter(|_| hop.transport.is_reliable()) else { return };
        let way = self.renewals.0.entry((id, hop)).or_default();
        way.suspect = Some(w.now().mono);
        let asked = self.asked.values_mut().filter(|a| (a.id, a.hop) == (id, hop));
        asked.for_each(|a| a.anew = true);
        out.emit(Output::Suspect(flow));
    }

    /// Nor by the one that was opened in its place.
    pub(super) fn suspect_again(&mut self, w: &World, out: &mut Outbox, id: UpstreamId) {
        let now = w.now().mono;
        let vain = |way: &Way| way.suspect.is_some_and(|at| now.since(at) >= VAIN);
        let waits = |hop: &Hop| self.waits_for(id, *hop);
        let all = self.renewals.0.iter().filter(|((of, _), way)| *of == id && vain(way));
        let hops: Vec<Hop> = all.map(|((_, hop), _)| *hop).filter(waits).collect();
        hops.into_iter().for_each(|hop| self.suspect(w, out, id, hop));
    }
}
