//! Is the upstream there? An OPTIONS to each of its targets every `upstream.probe`, and what came
//! of it: any answer means up (RFC 3261 §11 asks for no particular one), but one that says that
//! whoever is asked serves nobody. It makes the probes; the
//! coordinator sends them.

use super::serving::{AGAIN, is_out_of_service};
use super::targets::{ENDED, SERVES, UNANSWERED};
use super::{Due, Health, Upstreams};
use crate::config::{Config, Hop, Upstream};
use crate::engine::ids::{ClientId, UpstreamId};
use crate::engine::outbox::Outbox;
use crate::engine::output::{Level, Output};
use crate::engine::transactions::spared;
use crate::engine::world::World;
use crate::ground::Flow;
use crate::wire::sip::{Message, Method, Name};
use std::time::Duration;

/// The first probe comes soon, so that little time is unknown.
const FIRST_PROBE: Duration = Duration::from_secs(1);

/// A probe under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) id: UpstreamId,
    pub(super) hop: Hop,
    /// The same was asked once more since, by another connection.
    pub(super) anew: bool,
}

/// A probe: request, branch, way, and whom it asks.
pub(crate) type Probe = (Message, String, Flow, Hop);

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
            if is.filter(|u| u.probe.is_some()).zip(was).is_none_or(|(a, b)| a.targets != b.targets)
                && u.health != Health::Unknown
            {
                u.health = Health::Unknown;
                u.since = Some(w.now().into());
                u.why = "the configuration changed".to_owned();
                u.targets.forget(w.now(), "the configuration changed");
            }
            // What the file named before is no target of what it names now.
            if is.zip(was).is_some_and(|(a, b)| a.targets != b.targets) {
                u.targets.follow(&[]);
                u.unsettled = None;
            }
            if was.zip(is).is_some_and(|(a, b)| is_asked_alike(a, b)) {
                continue;
            }
            // Who is doubted, or alone, is asked whatever the file says of probes.
            let watched = w.config().survive.is_on() && !u.serving.is_quiet();
            if is.is_some_and(|u| watched || u.probe.is_some()) {
                self.timers.set(key, w.now().mono + FIRST_PROBE);
            } else {
                self.timers.stop(key);
            }
        }
        let all = &self.all;
        self.asked.retain(|_, a| all.get(a.id.index()).is_some_and(|u| u.at.is_some()));
    }

    /// An upstream stands elsewhere: that is asked soon.
    pub(super) fn probe_soon(&mut self, w: &World, id: UpstreamId) {
        if self.get(w, id).is_some_and(|u| u.probe.is_some()) {
            self.timers.set(Due::Probe(id), w.now().mono + FIRST_PROBE);
        }
    }

    /// The next probes of an upstream, one for each target. Arms those after. Of `only` one target:
    /// whatever the file says of probes.
    pub(crate) fn probes(
        &mut self,
        w: &World,
        out: &mut Outbox,
        (id, only): (UpstreamId, Option<Hop>),
    ) -> Vec<Probe> {
        if let Some(hop) = only {
            return self.probes_of(w, id, &[hop]);
        }
        if self.is_silent(w, id) {
            self.suspect_again(w, out, id);
        }
        // Who is doubted, or alone, is asked whatever the file says of probes.
        let watched = w.config().survive.is_on() && (self.is_watched(id) || self.is_wanted(id));
        let asked = |u: &Upstream| if watched { Some(AGAIN) } else { u.probe };
        let Some(every) = self.get(w, id).and_then(asked) else { return Vec::new() };
        self.timers.set(Due::Probe(id), w.now().mono + every);
        let asked = self.all.get_mut(id.index());
        asked.into_iter().for_each(|u| u.serving.is_asked());
        let hops = self.state(id).into_iter().flat_map(|s| s.targets.iter().map(|t| t.hop));
        let hops: Vec<Hop> = hops.collect();
        self.probes_of(w, id, &hops)
    }

    /// Those that are not asked already.
    fn probes_of(&self, w: &World, id: UpstreamId, hops: &[Hop]) -> Vec<Probe> {
        let Some(u) = self.get(w, id) else { return Vec::new() };
        let hops = hops.iter().copied().filter(|hop| !self.waits_for(id, *hop));
        let towards = |hop| w.net().towards(u.interface, id, hop);
        hops.filter_map(|hop| Some(probe(w, u, towards(hop)?, hop))).collect()
    }

    /// A probe was sent.
    pub(crate) fn probing(&mut self, client: ClientId, id: UpstreamId, hop: Hop) {
        self.asked.insert(client, Asked { id, hop, anew: false });
    }

    /// It was asked, and has not said anything yet.
    pub(super) fn waits_for(&self, id: UpstreamId, hop: Hop) -> bool {
        self.asked.values().any(|a| (a.id, a.hop) == (id, hop) && !a.anew)
    }

    /// A request of our own had an answer, or none will come. Not a probe: nothing. The way to a
    /// target that is there no more.
    pub(crate) fn probed(
        &mut self,
        w: &World,
        out: &mut Outbox,
        client: ClientId,
        response: Option<&Message>,
    ) -> Option<Flow> {
        let Asked { id, hop, anew } = self.asked.remove(&client)?;
        if anew && response.is_none() {
            // What it was asked since counts.
            return None;
        }
        let asks = self.is_watched(id) || self.get(w, id).is_some_and(|u| u.probe.is_some());
        if response.is_none() && asks && hop.transport.is_reliable() {
            let way = self.get(w, id).and_then(|u| w.net().towards(u.interface, id, hop));
            way.into_iter().for_each(|way| out.emit(Output::CloseSilent(way)));
        }
        let refused = response.map(Message::status).filter(|status| is_out_of_service(*status));
        let answered = response.is_some() && refused.is_none();
        // Who is asked for once may say that it serves nobody.
        let heeded = self.is_probed(w, id) || refused.is_some() && !self.is_deaf(id);
        let says_nothing = !answered && !heeded;
        let t = self.all.get_mut(id.index())?.targets.find(hop)?;
        t.probes[usize::from(!answered)] += 1;
        if let Some(after) = response.and_then(spared) {
            t.spare(w.now().mono, after);
        }
        if answered && self.is_starving(id) {
            // Of one that answers nothing else this says nothing.
            return None;
        }
        if answered {
            self.answered_by(w, id, w.now().mono, true);
        } else if response.is_none() {
            self.is_unheard(w, id);
        }
        let t = self.all.get_mut(id.index())?.targets.find(hop)?;
        if says_nothing {
            // What else came from there says that it serves.
            let is_new = t.health == Health::Unknown && t.why != ENDED;
            if is_new && t.turn(w.now(), Health::Up, SERVES) {
                self.told(w, out, id, hop);
            }
            return None;
        }
        let (health, why) = match (answered, refused, t.health) {
            (true, _, Health::Down) => (Health::Up, "it answers OPTIONS again".to_owned()),
            (true, _, Health::Unknown | Health::Up) => {
                (Health::Up, "it answers OPTIONS".to_owned())
            }
            (false, Some(status), _) => {
                let why = format!("it is out of service: OPTIONS are answered with {status}");
                (Health::Down, why)
            }
            (false, None, _) => (Health::Down, UNANSWERED.to_owned()),
        };
        if t.turn(w.now(), health, &why) {
            self.told(w, out, id, hop);
        }
        match response {
            Some(response) if !answered => {
                self.starves_openly(id);
                self.refuses_probe(w, id, response);
            }
            Some(_) => self.refuses_no_more(id),
            None => {}
        }
        let interface = self.get(w, id).filter(|_| !answered)?.interface;
        w.net().towards(interface, id, hop)
    }

    /// One target of an upstream turned: what that means for all of it, and for whoever reads logs.
    pub(super) fn told(&mut self, w: &World, out: &mut Outbox, id: UpstreamId, hop: Hop) {
        let interface = self.get(w, id).and_then(|u| w.net().interface_at(u.interface));
        let tunnel = interface.filter(|i| i.link.tunnel().is_some()).map(|i| i.name.clone());
        let Some(u) = self.all.get_mut(id.index()) else { return };
        let name = w.upstream_name(id).unwrap_or_default();
        let several = u.targets.iter().count() > 1;
        let Some(t) = u.targets.find(hop) else { return };
        let (turned, why) = (t.health, t.why.clone());
        let whole = u.targets.health();
        let before = std::mem::replace(&mut u.health, whole);
        if before != whole {
            u.since = Some(w.now().into());
        }
        if before != whole || turned == whole && whole == Health::Down {
            u.why.clone_from(&why);
        }
        let peer = hop.peer;
        match (before, whole) {
            (_, Health::Down) if before != whole => {
                let text = down(name, tunnel.as_deref(), &why);
                out.notice(Level::Warn, text);
            }
            (Health::Down, Health::Up) => {
                out.notice(Level::Info, format!("upstream {name} answers again"));
            }
            (_, _) if several && turned == Health::Down => {
                let text = format!("{peer} of upstream {name} rests: {why}; others are asked");
                out.notice(Level::Warn, text);
            }
            (_, _) if several && why.ends_with("again") => {
                out.notice(Level::Info, format!("{peer} of upstream {name} answers again"));
            }
            (_, _) => {}
        }
    }
}

/// That an upstream is down, and what to look at: the tunnel that it is reached by has a line of
/// its own in the log, which says more.
fn down(name: &str, tunnel: Option<&str>, why: &str) -> String {
    let what = why.strip_prefix("it ").map_or_else(|| format!(": {why}"), |w| format!(" {w}"));
    match tunnel {
        // A reason of TLS says itself what to do.
        _ if why.contains(": ") => format!("upstream {name}{what}"),
        Some(tunnel) => format!(
            "upstream {name}{what}: it is reached by tunnel {tunnel}; is that connected? Where it \
             is not, the log says why"
        ),
        None => format!("upstream {name}{what}: is its address right, is it up?"),
    }
}

fn probe(w: &World, upstream: &Upstream, flow: Flow, hop: Hop) -> Probe {
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
    (request, branch, flow, hop)
}

/// The same places are asked as often.
fn is_asked_alike(a: &Upstream, b: &Upstream) -> bool {
    a.probe == b.probe && a.targets == b.targets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_reached_by_a_tunnel_is_down_with_its_name() {
        let wire = down("pbx", None, UNANSWERED);
        assert_eq!(wire, "upstream pbx does not answer OPTIONS: is its address right, is it up?");
        let tunnel = down("pbx", Some("office"), UNANSWERED);
        assert!(tunnel.contains("by tunnel office") && !tunnel.contains("address"), "{tunnel}");
        let tls = "the certificate: old";
        assert_eq!(down("pbx", Some("office"), tls), "upstream pbx: the certificate: old");
    }
}
