//! Is the upstream there? An OPTIONS every `upstream.probe`, and what came of it: any answer means
//! up (RFC 3261 §11 asks for no particular one). It makes the probe; the coordinator sends it.

use super::{Due, Health, Upstreams};
use crate::config::{Config, Upstream};
use crate::engine::ids::{ClientId, UpstreamId};
use crate::engine::outbox::Outbox;
use crate::engine::output::Level;
use crate::engine::world::World;
use crate::ground::Flow;
use crate::wire::sip::{Message, Method, Name};
use std::time::Duration;

/// The first probe comes soon, so that little time is unknown.
const FIRST_PROBE: Duration = Duration::from_secs(1);

impl Upstreams {
    /// Arms the probes of all upstreams that ask for them; those that run on go on. What was known
    /// of one that is asked no more, or elsewhere, is not known any more.
    pub(super) fn follow_probes(&mut self, w: &World, old: Option<&Config>) {
        let before = |name: &str| old.and_then(|o| o.upstreams.iter().find(|u| u.name == name));
        for (index, u) in self.all.iter_mut().enumerate() {
            let id = UpstreamId::new(index as u64);
            let key = Due::Probe(id);
            let is = u.at.and_then(|at| w.config().upstreams.get(at));
            let was = w.upstream_name(id).and_then(before);
            if is.filter(|u| u.probe.is_some()).zip(was).is_none_or(|(a, b)| a.address != b.address)
                && u.health != Health::Unknown
            {
                u.health = Health::Unknown;
                u.since = Some(w.now().into());
                u.why = "the configuration changed".to_owned();
            }
            if was.zip(is).is_some_and(|(a, b)| is_asked_alike(a, b)) {
                continue;
            }
            if is.is_some_and(|u| u.probe.is_some()) {
                self.timers.set(key, w.now().mono + FIRST_PROBE);
            } else {
                self.timers.stop(key);
            }
        }
        let all = &self.all;
        self.asked.retain(|_, id| all.get(id.index()).is_some_and(|u| u.at.is_some()));
    }

    /// The next probe of an upstream: request, branch, way. `None`: none now. Arms the one after.
    pub(crate) fn probe(&mut self, w: &World, id: UpstreamId) -> Option<(Message, String, Flow)> {
        let upstream = self.get(w, id)?;
        self.timers.set(Due::Probe(id), w.now().mono + upstream.probe?);
        if self.asked.values().any(|asked| *asked == id) {
            return None;
        }
        let flow = w.net().towards(upstream)?;
        let branch = w.branch("own");
        let us = w.net().uri(flow.listener, None);
        let (tag, call_id) = (w.name(), w.name());
        let mut request = Message::request(Method::Options, &format!("sip:{}", upstream.domain));
        request.push_back(Name::Via, w.via(flow.listener, &branch));
        request.push_back(Name::MaxForwards, "70");
        request.push_back(Name::From, format!("<{us}>;tag={tag}"));
        request.push_back(Name::To, format!("<sip:{}>", upstream.domain));
        request.push_back(Name::CallId, call_id);
        request.push_back(Name::CSeq, "1 OPTIONS");
        request.push_back(Name::Contact, format!("<{us}>"));
        Some((request, branch, flow))
    }

    /// A probe was sent.
    pub(crate) fn probing(&mut self, client: ClientId, id: UpstreamId) {
        self.asked.insert(client, id);
    }

    /// A request of our own had an answer, or none will come. Not a probe: nothing.
    pub(crate) fn probed(&mut self, w: &World, out: &mut Outbox, client: ClientId, answered: bool) {
        let Some(id) = self.asked.remove(&client) else { return };
        let Some(u) = self.all.get_mut(id.index()) else { return };
        u.probes[usize::from(!answered)] += 1;
        let health = if answered { Health::Up } else { Health::Down };
        if u.health == health {
            return;
        }
        let before = std::mem::replace(&mut u.health, health);
        u.since = Some(w.now().into());
        let name = w.upstream_name(id).unwrap_or_default();
        match (before, health) {
            (_, Health::Down) => {
                "it does not answer OPTIONS".clone_into(&mut u.why);
                let text = format!(
                    "upstream {name} does not answer OPTIONS: is its address right, is it up?"
                );
                out.notice(Level::Warn, text);
            }
            (Health::Down, _) => {
                "it answers OPTIONS again".clone_into(&mut u.why);
                out.notice(Level::Info, format!("upstream {name} answers again"));
            }
            (Health::Unknown | Health::Up, Health::Unknown | Health::Up) => {
                "it answers OPTIONS".clone_into(&mut u.why);
            }
        }
    }
}

/// The same place is asked as often.
fn is_asked_alike(a: &Upstream, b: &Upstream) -> bool {
    a.probe == b.probe && a.address == b.address && a.transport == b.transport
}
