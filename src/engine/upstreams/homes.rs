//! Which target of several a user is registered at. Providers whose servers share no registrations
//! know a phone only where it registered: its calls go there as long as that target is asked at
//! all. Bounded; time is an argument.

use super::Upstreams;
use crate::config::Hop;
use crate::engine::ids::UpstreamId;
use crate::engine::world::World;
use crate::ground::{Flow, Mono};
use crate::wire::sip::{Message, Method, Name, NameAddr};
use std::collections::BTreeMap;
use std::time::Duration;

/// Users that are remembered.
const MOST: usize = 16_384;
/// The longest that a registration is taken to last.
const LASTS: Duration = Duration::from_secs(7_200);

/// Users who are not where the draw would have them.
#[derive(Debug, Default)]
pub(super) struct Homes {
    all: BTreeMap<(UpstreamId, String), (Hop, Mono)>,
}

impl Homes {
    /// A target granted a user's registration; `first`: it is the one that he is drawn to.
    fn granted(&mut self, id: UpstreamId, whom: &str, now: Mono, hop: Hop, first: bool) {
        let key = (id, whom.to_owned());
        self.all.remove(&key);
        if first {
            return;
        }
        while self.all.len() >= MOST {
            self.all.pop_first();
        }
        self.all.insert(key, (hop, now + LASTS));
    }

    /// Puts a user's own target before the others.
    pub(super) fn prefer(&self, id: UpstreamId, whom: &str, now: Mono, order: &mut [Hop]) {
        if self.all.is_empty() || order.len() < 2 {
            return;
        }
        let Some((home, until)) = self.all.get(&(id, whom.to_owned())) else { return };
        let at = order.iter().position(|hop| hop == home).filter(|_| now < *until);
        if let Some(before) = at.and_then(|at| order.get_mut(..=at)) {
            before.rotate_right(1);
        }
    }
}

impl Upstreams {
    /// A target answered with a 2xx; to a REGISTER, that grants a registration.
    pub(crate) fn granted(&mut self, w: &World, flow: &Flow, answer: &Message) {
        if *answer.method() != Method::Register {
            return;
        }
        let (hop, now) = (Hop { peer: flow.peer, transport: flow.transport }, w.now().mono);
        // Whose registration it is, says To: From is whoever asked for it.
        let to = answer.first(&Name::To).and_then(NameAddr::parse);
        let whom = to.and_then(|to| to.uri.user).unwrap_or_default();
        for id in w.upstreams().iter().filter(|id| w.places(**id).contains(&hop)) {
            self.heed(w, *id, hop, answer);
            let Some(u) = self.state(*id).filter(|u| u.targets.iter().count() > 1) else {
                continue;
            };
            let first = u.targets.drawn(&whom, now) == Some(hop);
            self.homes.granted(*id, &whom, now, hop, first);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::Transport;

    #[test]
    fn a_user_is_asked_for_where_he_is_registered_for_as_long_as_that_lasts() {
        let at = |s| Mono(Duration::from_secs(s));
        let hop = |last: u8| {
            let peer = std::net::SocketAddr::from(([198, 51, 100, last], 5060));
            Hop { peer, transport: Transport::Udp }
        };
        let (id, all) = (UpstreamId::new(0), [hop(1), hop(2), hop(3)]);
        let order = |homes: &Homes, whom: &str, now| {
            let mut order = all;
            homes.prefer(id, whom, at(now), &mut order);
            order
        };
        let mut homes = Homes::default();
        homes.granted(id, "101", at(0), hop(3), false);
        assert_eq!(order(&homes, "101", 60), [hop(3), hop(1), hop(2)]);
        assert_eq!(order(&homes, "102", 60), all);
        assert_eq!(order(&homes, "101", 7_200), all, "it is over");
        let mut one = [hop(1)];
        homes.prefer(id, "101", at(60), &mut one);
        assert_eq!(one, [hop(1)], "his own rests");
        homes.granted(id, "101", at(90), hop(1), true);
        assert_eq!(order(&homes, "101", 91), all);
        for n in 0..20_000 {
            homes.granted(id, &n.to_string(), at(0), hop(2), false);
        }
        assert_eq!(homes.all.len(), MOST);
    }
}
