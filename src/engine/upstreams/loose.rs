//! Upstreams that are looked at no more though somebody waits for that, and timers of such as are
//! gone. It sends nothing.

use super::{Due, Upstreams};
use crate::engine::ids::UpstreamId;
use crate::engine::world::World;

impl Upstreams {
    /// All of them, in words.
    pub(crate) fn loose_ends(&self, w: &World) -> Vec<String> {
        let known = |id: UpstreamId| self.all.get(id.index()).is_some();
        let kept = |i: usize| w.net().interface_at(i).is_some_and(|i| i.keepalive.is_some());
        let owned = |due: &Due| match due {
            Due::Probe(id) | Due::Look(id) | Due::Grace(id) => known(*id),
            Due::KeepAlive(index) => kept(*index),
            Due::Open(id, _) => known(*id),
            Due::Flow(id, hop) => self.flows.contains_key(&(*id, *hop)),
            Due::Resolve => self.all.iter().any(|u| u.at.is_some()),
        };
        let idle = self.timers.keys().filter(|due| !owned(due));
        let mut all: Vec<String> = idle.map(|due| format!("a timer of nobody: {due:?}")).collect();
        for (index, u) in self.all.iter().enumerate() {
            let id = UpstreamId::new(index as u64);
            let is = u.at.and_then(|at| w.config().upstreams.get(at));
            let asked = is.is_some_and(|u| u.probe.is_some());
            let watched = is.is_some() && w.config().survive.is_on() && self.is_watched(id);
            let armed = self.timers.is_armed(Due::Probe(id));
            let name = w.upstream_name(id).unwrap_or_default();
            all.extend(((asked || watched) && !armed).then(|| format!("{name} is asked no more")));
            let lost = u.lost.is_some() && is.is_some() && u.targets.iter().next().is_some();
            let grace = self.timers.is_armed(Due::Grace(id));
            all.extend((lost && !grace).then(|| format!("{name} is lost without end")));
        }
        all
    }
}
