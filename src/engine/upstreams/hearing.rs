//! What is heard of targets without asking them: answers, silence, a transport that fails. Which of
//! them rest for it, `targets` says.

use super::targets::Target;
use super::{Asker, Health, Upstream, Upstreams};
use crate::config::Hop;
use crate::engine::outbox::Outbox;
use crate::engine::output::Level;
use crate::engine::world::World;
use crate::ground::{Flow, Mono, UpstreamId};
use std::time::Duration;

/// Upstreams that are there: the one whose connection it is, where that is known; by TLS none else,
/// for nobody there has proved to be it.
pub(super) fn meant<'a>(w: &'a World, flow: &Flow) -> impl Iterator<Item = &'a UpstreamId> {
    let hop = Hop { peer: flow.peer, transport: flow.transport };
    let whose = flow.upstream;
    let is_meant = move |id: &&UpstreamId| {
        whose.map_or(!hop.transport.is_secure(), |whose| whose == **id)
            && w.places(**id).contains(&hop)
    };
    w.upstreams().iter().filter(is_meant)
}

impl Upstreams {
    /// Nothing can be sent there: it is not tried for a while.
    pub(crate) fn failed(&mut self, w: &World, out: &mut Outbox, flow: &Flow) {
        let hop = Hop { peer: flow.peer, transport: flow.transport };
        for id in meant(w, flow) {
            let failed = |u: &mut Upstream| u.targets.failed(w.now(), hop);
            if self.all.get_mut(id.index()).is_some_and(failed) {
                self.told(w, out, *id, hop);
            }
            // Who refuses connections is not there: that is as sure as what says nothing for long.
            let other = |t: &Target| t.hop != hop && t.health != Health::Down;
            let last = self.state(*id).is_some_and(|u| !u.targets.iter().any(other));
            if last && hop.transport.is_reliable() {
                self.doubt(w, (*id, w.now().mono), Asker::Nowhere, 0);
            }
        }
    }

    /// TLS to there came to nothing: it is down for that reason.
    pub(crate) fn unproved(&mut self, w: &World, out: &mut Outbox, flow: &Flow, why: &str) {
        let hop = Hop { peer: flow.peer, transport: flow.transport };
        for id in meant(w, flow) {
            let before = self.all.get(id.index()).map(|u| u.health);
            let unproved = |u: &mut Upstream| u.targets.unproved(w.now(), hop, why);
            if !self.all.get_mut(id.index()).is_some_and(unproved) {
                continue;
            }
            self.told(w, out, *id, hop);
            // It was down for another reason: this one says what to do.
            if before == Some(Health::Down) {
                let name = w.upstream_name(*id).unwrap_or_default();
                out.notice(Level::Warn, format!("upstream {name} by TLS: {why}"));
            }
        }
    }

    /// A request of that time got no answer at all from there.
    pub(crate) fn missed(&mut self, w: &World, out: &mut Outbox, flow: &Flow, began: Mono) {
        let hop = Hop { peer: flow.peer, transport: flow.transport };
        for id in meant(w, flow) {
            let missed = |u: &mut Upstream| u.targets.missed(w.now(), hop, began);
            if self.all.get_mut(id.index()).is_some_and(missed) {
                self.told(w, out, *id, hop);
            }
        }
    }

    /// Whoever is there, or somebody behind it, asks to be spared for so long.
    pub(crate) fn spare(&mut self, w: &World, flow: &Flow, after: Duration) {
        let hop = Hop { peer: flow.peer, transport: flow.transport };
        for id in w.upstreams().iter().filter(|id| w.places(**id).contains(&hop)) {
            if let Some(u) = self.all.get_mut(id.index()) {
                u.targets.busy(w.now().mono, hop, after);
            }
        }
    }

    /// Something came from there.
    pub(crate) fn heard(&mut self, w: &World, out: &mut Outbox, flow: &Flow) {
        let hop = Hop { peer: flow.peer, transport: flow.transport };
        for id in meant(w, flow) {
            let probed = self.is_probed(w, *id) || self.is_starving(*id);
            let heard = |u: &mut Upstream| u.targets.heard(w.now(), hop, probed);
            if self.all.get_mut(id.index()).is_some_and(heard) {
                self.told(w, out, *id, hop);
            }
        }
    }
}
