//! What answers mean: most say that an upstream is there. One to our own OPTIONS that it cannot
//! process requests (a PBX in maintenance, a proxy whose PBX is gone) says that it does not serve,
//! and so do all that come after it; to anybody else's request alone it says nothing.

use super::super::{Due, Health, Upstreams};
use super::{AGAIN, Asker, Ear};
use crate::config::Hop;
use crate::engine::ids::{ClientId, UpstreamId};
use crate::engine::transactions::spared;
use crate::engine::world::World;
use crate::ground::Flow;
use crate::wire::sip::Message;
use std::time::Duration;

/// The longest that who is out of service is left alone, whatever it asks for.
const SPARED: Duration = Duration::from_secs(30);

/// Answers of who serves nobody now: a server that fails, a proxy that reaches none. 500 is what a
/// proxy makes of another's 503 (RFC 3261 §16.7); 501 is said of a method, by who is well.
pub(crate) fn is_out_of_service(status: u16) -> bool {
    matches!(status, 500 | 502..=504)
}

impl Upstreams {
    /// Whether what probes come to says whether it is there: some answer everything but them.
    pub(in crate::engine::upstreams) fn is_probed(&self, w: &World, id: UpstreamId) -> bool {
        let deaf = self.state(id).is_some_and(|u| u.serving.ear == Ear::Deaf);
        !deaf && self.get(w, id).is_some_and(|u| u.probe.is_some())
    }

    /// An answer to something that somebody sent there, of so many phones.
    pub(crate) fn answers(
        &mut self,
        w: &World,
        (flow, client): (&Flow, ClientId),
        status: u16,
        (by, phones): (Asker, usize),
    ) {
        // What a probe comes to is looked at when it is over.
        if self.asked.contains_key(&client) {
            return;
        }
        let (hop, now) = (Hop { peer: flow.peer, transport: flow.transport }, w.now().mono);
        let refused = is_out_of_service(status);
        for id in w.upstreams().iter().filter(|id| w.places(**id).contains(&hop)) {
            let Some(u) = self.all.get_mut(id.index()) else { continue };
            if status >= 200 && status != 503 {
                u.targets.not_busy(hop);
            }
            match u.serving.refuses {
                true if refused => self.refuses(w, *id, by, phones),
                // Somebody is there, but this was known.
                true if status < 200 => {}
                false if refused => {}
                true | false => self.answered_by(w, *id, now, false),
            }
        }
    }

    /// A probe was answered by who serves nobody now; it says when it is asked again.
    pub(in crate::engine::upstreams) fn refuses_probe(
        &mut self,
        w: &World,
        id: UpstreamId,
        response: &Message,
    ) {
        let Some(u) = self.all.get_mut(id.index()) else { return };
        if u.targets.iter().any(|t| t.health != Health::Down) {
            // Others are there.
            return;
        }
        u.serving.refuses = true;
        self.refuses(w, id, Asker::Us, 0);
        if let Some(after) = spared(response) {
            self.timers.set(Due::Probe(id), w.now().mono + after.clamp(AGAIN, SPARED));
        }
    }

    /// The last probe was answered otherwise, or not at all.
    pub(in crate::engine::upstreams) fn refuses_no_more(&mut self, id: UpstreamId) {
        self.all.get_mut(id.index()).into_iter().for_each(|u| u.serving.refuses = false);
    }

    /// That is a doubt; where that lasts, the site is alone. It has just been asked.
    fn refuses(&mut self, w: &World, id: UpstreamId, by: Asker, phones: usize) {
        let (survive, now) = (&w.config().survive, w.now().mono);
        let Some(u) = self.all.get_mut(id.index()).filter(|_| survive.is_on()) else { return };
        if u.serving.missed(now, by, phones) {
            self.timers.set(Due::Look(id), now + survive.after.max(AGAIN));
            self.timers.set(Due::Probe(id), now + AGAIN);
        }
    }
}
