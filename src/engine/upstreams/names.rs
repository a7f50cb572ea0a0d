//! Upstreams by name: what is asked, when it is asked again, and what becomes of the answers. A
//! place that may not be is never used: a name can lie.

use super::lookup::{Found, Place, look_up};
use super::{Asker, Due, Upstreams, lists};
use crate::config::{self, Hop};
use crate::engine::ids::UpstreamId;
use crate::engine::names::{Question, Reply};
use crate::engine::outbox::Outbox;
use crate::engine::output::{Level, Output};
use crate::engine::world::{Net, World};
use crate::ground::{Mono, Side};
use crate::wire::addresses::unwrapped_address;
use std::fmt;
use std::time::Duration;

/// Places are kept so long after their name says nothing any more: who edits a zone may err.
const GRACE: Duration = Duration::from_secs(600);

impl Upstreams {
    /// Asks for all names anew: the resolver's own configuration has changed, or the file.
    pub(crate) fn ask_all(&mut self, w: &World, out: &mut Outbox) {
        self.cache.expire(w.now().mono);
        self.asking.clear();
        self.resolve(w, out);
    }

    /// A question was answered.
    pub(crate) fn answered(&mut self, w: &World, out: &mut Outbox, q: Question, reply: Reply) {
        if self.asking.remove(&q) {
            self.cache.answered(w.now().mono, q, reply);
            self.resolve(w, out);
        }
    }

    /// Tells the world which upstreams stand elsewhere from now on.
    pub(crate) fn tell(&mut self, w: &mut World) {
        for (id, hops) in self.placed.drain(..) {
            w.place(id, hops);
        }
    }

    /// Looks where all upstreams are, and asks what is not known or too old.
    pub(super) fn resolve(&mut self, w: &World, out: &mut Outbox) {
        let now = w.now().mono;
        let mut next: Option<Mono> = None;
        for id in w.upstreams() {
            let Some(u) = self.get(w, *id) else { continue };
            let found = look_up(&u.targets, &w.net().spoken_at(u.interface), &self.cache);
            let old = |q: &&Question| self.cache.until(q).is_none_or(|until| until <= now);
            let due: Vec<Question> = found.asked.iter().filter(old).cloned().collect();
            for question in due {
                if self.asking.insert(question.clone()) {
                    out.emit(Output::Resolve(question));
                }
            }
            let until = found.asked.iter().filter(|q| !self.asking.contains(*q));
            let until = until.filter_map(|q| self.cache.until(q)).min();
            next = [next, until].into_iter().flatten().min();
            // What is known is used before all is.
            if found.missing.is_empty() || !found.places.is_empty() {
                self.settle(w, out, *id, u, found);
                // Nobody knows where it is, nor did when we started: as good as no answer.
                if self.state(*id).is_some_and(|u| u.targets.iter().next().is_none()) {
                    self.doubt(w, (*id, now), Asker::Nowhere, 0);
                }
            }
        }
        match next {
            Some(at) => self.timers.set(Due::Resolve, at),
            None => self.timers.stop(Due::Resolve),
        }
    }

    /// Everything is known of an upstream's names that can be.
    fn settle(
        &mut self,
        w: &World,
        out: &mut Outbox,
        id: UpstreamId,
        u: &config::Upstream,
        found: Found,
    ) {
        let named = u.targets.iter().any(|t| t.name().is_some());
        let mut refused: Option<(Hop, String)> = None;
        let mut other_version = None;
        let all_of_them = &w.config().upstreams;
        let own = |hop| judge(w.net(), all_of_them, u, hop).and_then(|()| own_lately(w, u, hop));
        let mut may = |p: &Place| match own(p.hop) {
            Ok(()) => true,
            Err(Unusable::Version) => {
                other_version = Some(p.hop);
                false
            }
            Err(Unusable::Lie(why)) => {
                refused.get_or_insert((p.hop, why));
                false
            }
        };
        let all = found.places.len();
        let places: Vec<Place> = found.places.into_iter().filter(|p| may(p)).collect();
        // Most hosts have both versions: that is news only where nothing else is left.
        let version = other_version.filter(|_| places.is_empty());
        let version = version.map(|hop| (hop, Unusable::Version.to_string()));
        let refused = refused.or(version);
        let why = match (&refused, &found.failed, all) {
            (Some((hop, why)), ..) => format!("{} is {why}", hop.peer),
            (None, Some(failed), _) => failed.clone(),
            (None, None, 0) => "its name stands for no address".to_owned(),
            (None, None, _) => String::new(),
        };
        let stale = found.asked.iter().any(|q| self.cache.is_stale(q));
        let now = w.now();
        let Some(state) = self.all.get_mut(id.index()) else { return };
        if named && state.unsettled.as_deref() != Some(&why) {
            let name = &u.name;
            if !why.is_empty() {
                out.notice(Level::Warn, format!("upstream {name}: {why}"));
            } else if state.unsettled.as_deref().is_some_and(|w| !w.is_empty()) {
                out.notice(Level::Info, format!("upstream {name}: its name is known again"));
            }
            state.unsettled = Some(why);
        }
        state.stale = stale;
        if places.is_empty() && named && state.targets.iter().next().is_some() && !is_ours(w, id) {
            // What was good until now is better than nothing, for a while.
            let lost = *state.lost.get_or_insert(now.mono);
            if now.mono < lost + GRACE {
                self.timers.set(Due::Grace(id), lost + GRACE);
                return;
            }
        } else {
            state.lost = None;
            self.timers.stop(Due::Grace(id));
        }
        let hops: Vec<Hop> = places.iter().map(|p| p.hop).collect();
        state.targets.follow(&places);
        if sorted(w.places(id)) != sorted(&hops) {
            if named && !hops.is_empty() {
                tell_places(w, out, id, &hops);
            }
            self.placed.push((id, hops));
            self.probe_soon(w, id);
            self.seek_way(w, out, id);
        }
    }
}

fn sorted(hops: &[Hop]) -> Vec<Hop> {
    let mut sorted = hops.to_vec();
    sorted.sort_unstable();
    sorted
}

/// Where an upstream is from now on, and who else is there: two trunks of one provider are at one
/// address; where they are not, a name lies.
fn tell_places(w: &World, out: &mut Outbox, id: UpstreamId, hops: &[Hop]) {
    let name = w.upstream_name(id).unwrap_or_default();
    let list: Vec<String> = hops.iter().map(|h| h.peer.to_string()).collect();
    out.notice(Level::Info, format!("upstream {name} is at {}", list.join(", ")));
    let there = |other: UpstreamId, ip| w.places(other).iter().any(|hop| hop.peer.ip() == ip);
    for other in w.upstreams().iter().copied().filter(|other| *other != id) {
        let shared = hops.iter().map(|hop| hop.peer.ip()).find(|ip| there(other, *ip));
        if let Some((ip, other)) = shared.zip(w.upstream_name(other)) {
            let told = format!("upstream {name} is at {ip}, where upstream {other} is, too");
            out.notice(Level::Warn, told);
        }
    }
}

/// What a name said has become our own address since: that is nobody's any more.
fn is_ours(w: &World, id: UpstreamId) -> bool {
    w.places(id).iter().any(|hop| w.net().is_our_address(hop.peer.ip()))
}

/// Where we stood until lately we stand again when the line is back: who names that meanwhile would
/// be where we are.
fn own_lately(w: &World, u: &config::Upstream, hop: Hop) -> Result<(), Unusable> {
    let is_away = w.net().interface_at(u.interface).is_some_and(|i| i.addresses.are_away());
    if is_away && w.has_left(hop.peer.ip()) && !u.fixed().any(|fixed| fixed == hop) {
        return Err(Unusable::Lie("the gateway's own address until now".to_owned()));
    }
    Ok(())
}

/// Why a place is not used.
pub(super) enum Unusable {
    /// It is of the other IP version than the interface: not for us.
    Version,
    /// It may not be what the name stands for.
    Lie(String),
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version => f.write_str("of another IP version than the interface"),
            Self::Lie(why) => f.write_str(why),
        }
    }
}

/// Whether a place that a name stands for may be used: a name of the outside leads outside.
pub(super) fn judge(
    net: &Net,
    all: &[config::Upstream],
    u: &config::Upstream,
    hop: Hop,
) -> Result<(), Unusable> {
    let ip = hop.peer.ip();
    // What the file writes was checked when it was read.
    if u.fixed().any(|fixed| fixed == hop) {
        return Ok(());
    }
    let lie = |why: &str| Err(Unusable::Lie(why.to_owned()));
    let Some(i) = net.interface_at(u.interface).filter(|i| i.side == Side::Outside) else {
        return lie("not to be reached: its interface is no outside one");
    };
    // And where a translator on the way would send it.
    for ip in [ip, unwrapped_address(ip)] {
        if let Err(unfit) = Net::judge_kind(i, ip) {
            return lie(unfit.why);
        }
        if net.is_our_address(ip) {
            return lie("the gateway's own address");
        }
        if ip.is_loopback() && !i.addresses.iter().any(|a| a.ip.is_loopback()) {
            return lie("a loopback address");
        }
        if net.is_inside(ip) {
            return lie("an inside address");
        }
    }
    // Who runs one upstream's zone is not to take another's calls.
    let mut others = all.iter().filter(|other| other.name != u.name);
    let holds = |o: &config::Upstream| lists(o, ip) || o.fixed().any(|hop| hop.peer.ip() == ip);
    let owner = others.find(|o| holds(o));
    if let Some(owner) = owner.filter(|_| !holds(u)) {
        return lie(&format!("the address of upstream {}", owner.name));
    }
    // What it has no address for now it may have one for later.
    if i.addresses.are_away() {
        return Ok(());
    }
    if i.addresses.towards(ip).is_none() {
        return Err(Unusable::Version);
    }
    if net.way(u.interface, hop).is_none() {
        return lie("to be reached by a transport that the interface has no socket of");
    }
    Ok(())
}
