//! An upstream that is reached by a tunnel which is being moved: what goes by it is not
//! acknowledged, and another way is looked for. That says nothing of the upstream, so for some
//! seconds nobody is alone for it; how long, the tunnel's end knows.

use super::{AGAIN, State};
use crate::engine::calls::TunnelPath;
use crate::engine::upstreams::{Due, Upstreams};
use crate::engine::world::World;
use crate::ground::{Mono, UpstreamId};
use std::collections::BTreeMap;
use std::time::Duration;

/// After a tunnel was last said to be moved: it is said once a second, and what is sent again then
/// needs its answer.
const SETTLES: Duration = Duration::from_secs(2);

/// So often a look is put off: where acknowledgements always take long there is no other way.
const MOST: u8 = 8;

/// When each tunnel was last being moved, by its interface, and how often looks were put off since.
#[derive(Debug, Default)]
pub(in crate::engine::upstreams) struct Moving {
    last: BTreeMap<usize, Mono>,
    put_off: BTreeMap<UpstreamId, u8>,
}

impl Moving {
    fn is_settled(&self, interface: usize, now: Mono) -> bool {
        self.last.get(&interface).is_none_or(|last| now.since(*last) >= SETTLES)
    }
}

impl Upstreams {
    /// How a tunnel is now.
    pub(crate) fn tunnel_is(&mut self, w: &World, path: &TunnelPath) {
        let (now, moving) = (w.now().mono, &mut self.moving);
        if path.is_moving {
            moving.last.insert(path.interface, now);
        } else if moving.is_settled(path.interface, now) {
            moving.put_off.clear();
        }
    }

    /// A doubt of this upstream is its tunnel's: it is looked at again later.
    pub(super) fn waits_for_tunnel(&mut self, w: &World, id: UpstreamId) -> bool {
        let Some(interface) = self.get(w, id).map(|u| u.interface) else { return false };
        let is_doubted = self.state(id).is_some_and(|u| u.serving.state == State::Doubted);
        if !is_doubted || self.moving.is_settled(interface, w.now().mono) {
            return false;
        }
        let times = self.moving.put_off.entry(id).or_default();
        let waits = *times < MOST;
        if waits {
            *times += 1;
            self.timers.set(Due::Look(id), w.now().mono + AGAIN);
        }
        waits
    }
}
