//! REGISTER answered here in the place of an upstream that does not answer, for a minute at a time;
//! and the way back to it without a storm: so many a second as spread all of them over a minute, or
//! as any registrar takes; the others come again in turn. It never says anything about a password
//! of the upstream's.

mod guests;

use super::super::confirmed::Fit;
use super::super::newest::NoPlaces;
use super::super::registrar::{aor_user, is_attached, no_places, out_of_order, refuse};
use super::super::{Age, Binding, Phones, Registered, record};
use super::{Offered, Pending};
use crate::audit::BindingEvent;
use crate::config::{self, SurviveAuth};
use crate::engine::analysis::Incoming;
use crate::engine::analysis::answer::Answer;
use crate::engine::digest::Check;
use crate::engine::outbox::Outbox;
use crate::engine::stats::{AloneResult, RegisterResult};
use crate::engine::world::World;
use crate::ground::{Flow, Mono};
use crate::wire::sip::{Message, Name};
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

/// What is granted while the upstream does not answer, in seconds.
const GRANTED: u64 = 60;
/// The soonest, and the latest, that a phone comes again whose turn it is not yet.
const TURNS: (u64, u64) = (10, 120);
/// All phones are back within this, as far as they come.
const SPREAD: usize = 60;
/// So many a second go back at least: who answers calls takes these.
const FLOOR: usize = 20;
/// A phone that was let through may come again with credentials until then.
const AGAIN: Duration = Duration::from_secs(32);

/// Phones on their way back to one upstream.
#[derive(Debug, Default)]
struct Way {
    /// The most that there were to bring back.
    peak: usize,
    /// Of this second so many went.
    second: u64,
    went: usize,
    /// The next second that has room for who waits, and how many come then.
    turn: u64,
    come: usize,
    /// Who was let through, until when he may come again.
    through: HashMap<String, Mono>,
}

impl Way {
    fn rate(&self) -> usize {
        self.peak.div_ceil(SPREAD).max(FLOOR)
    }

    /// Whether this one goes to the upstream now.
    fn lets(&mut self, now: Mono, keys: &[&str], left: usize) -> bool {
        self.peak = self.peak.max(left);
        let second = now.0.as_secs();
        if second != self.second {
            (self.second, self.went) = (second, 0);
            self.through.retain(|_, until| *until > now);
        }
        if keys.iter().any(|key| self.through.contains_key(*key)) {
            return true;
        }
        if self.went >= self.rate() {
            return false;
        }
        self.went += 1;
        self.through.extend(keys.iter().map(|key| ((*key).to_owned(), now + AGAIN)));
        true
    }

    /// Seconds after which one whose turn it is not comes again.
    fn turn(&mut self, now: Mono) -> u64 {
        let now = now.0.as_secs();
        let (soonest, latest) = TURNS;
        if self.turn < now + soonest {
            (self.turn, self.come) = (now + soonest, 0);
        } else if self.come >= self.rate() && self.turn < now + latest {
            (self.turn, self.come) = (self.turn + 1, 0);
        }
        self.come += 1;
        self.turn.saturating_sub(now)
    }
}

/// What a binding that is granted here is reached by, and what orders its REGISTERs.
struct Led {
    way: Flow,
    source: SocketAddr,
    call_id: String,
    cseq: u32,
}

/// What the upstream confirmed is an address: a port of it is whoever's sends from there, or says
/// so. Calls go where the phone listens by its Contact, or was before; whoever sends from another
/// port makes it last longer, and no more.
fn led(w: &World, before: Option<&Binding>, pending: &Pending, offered: &Offered) -> Led {
    let (flow, source) = (pending.flow, pending.flow.peer);
    let (call_id, cseq) = (pending.call_id.clone(), pending.cseq);
    let alive = before.filter(|b| b.expires > w.steady() && !b.is_cut_off(w));
    let same = |b: &Binding| b.source == source && b.flow.transport == flow.transport;
    // Who sends from where the Contact says that it listens is the phone itself, as far as anybody
    // sees: what another port has left behind stands in nobody's way.
    let itself = offered.listens.is_some_and(|at| at.peer == source);
    match alive {
        _ if itself || flow.transport.is_reliable() => {
            Led { way: offered.way, source, call_id, cseq }
        }
        Some(b) if same(b) => Led { way: offered.way, source, call_id, cseq },
        Some(b) => {
            let listens = offered.listens.filter(|_| b.flow.transport == flow.transport);
            let way = listens.unwrap_or(b.flow);
            Led { way, source: b.source, call_id: b.call_id.clone(), cseq: b.cseq }
        }
        None => Led { way: offered.listens.unwrap_or(offered.way), source, call_id, cseq },
    }
}

/// The way back to each upstream, by its name.
#[derive(Debug, Default)]
pub(in crate::engine::phones) struct Returns(BTreeMap<String, Way>);

impl Phones {
    /// Whether a phone's REGISTER goes to its upstream now: one that was registered there all the
    /// time does.
    pub(crate) fn may_return(&mut self, w: &World, pending: &Pending) -> bool {
        let keys: Vec<&str> = pending.contacts.iter().map(|c| c.key.as_str()).collect();
        let at_edge = |key: &&str| self.bindings.get(key).is_some_and(|b| b.edge);
        let left = self.bindings.at_edge(&pending.upstream);
        if left == 0 {
            self.returns.0.remove(&pending.upstream);
            return true;
        }
        if !keys.iter().any(at_edge) {
            return true;
        }
        let way = self.returns.0.entry(pending.upstream.clone()).or_default();
        way.lets(w.now().mono, &keys, left)
    }

    /// Whether digest is to say who sends this REGISTER while we are alone.
    pub(crate) fn asks_for_proof_alone(&self, w: &World, i: &Incoming) -> bool {
        w.config().survive.auth == SurviveAuth::Users
            && is_attached(w, &i.flow)
            && aor_user(&i.message).is_some()
    }

    /// A REGISTER whose upstream does not answer. `check`: what became of its credentials, where
    /// [`Phones::asks_for_proof_alone`].
    pub(crate) fn register_alone(
        &mut self,
        w: &World,
        out: &mut Outbox,
        i: &Incoming,
        (pending, upstream): (&Pending, &config::Upstream),
        check: Option<Check>,
    ) -> Registered {
        self.release(pending.server);
        let user = pending.user.clone();
        let refused = match w.config().survive.auth {
            SurviveAuth::Users => self.unproved(w, out, i, &user, check),
            SurviveAuth::Network => self.unconfirmed(w, out, i, pending, upstream),
            SurviveAuth::Off => Some(refuse(out, &user, &i.flow, 503, "Service Unavailable")),
        };
        if let Some(refused) = refused {
            return Registered::Refused(refused);
        }
        // By another port nobody is overtaken, nor overtakes.
        let same = |key: &str| self.bindings.get(key).is_some_and(|b| b.source == i.flow.peer);
        let overtaken = |c: &Offered| same(&c.key) && self.is_overtaken(w, &i.message, &c.key);
        if pending.contacts.iter().any(overtaken) {
            let response = Box::new(out_of_order(w, out, i, &user));
            return Registered::Answered { user, response };
        }
        let pending = self.with_one_guest(w, pending);
        let response = Box::new(self.grant_alone(w, out, i, &pending));
        Registered::Answered { user, response }
    }

    /// Who is not known by what the upstream confirmed; `None`: he is.
    fn unconfirmed(
        &self,
        w: &World,
        out: &mut Outbox,
        i: &Incoming,
        pending: &Pending,
        upstream: &config::Upstream,
    ) -> Option<Answer<'static>> {
        let from = i.flow.peer.ip();
        let known = |c: &Offered| self.fits(w, pending, c, &upstream.name).is_some();
        let host = w.net().host(&i.flow);
        let here = || self.bindings.of_aor(&pending.aor).any(|b| b.host == host);
        let all = pending.contacts.iter().all(known);
        let is_known = if pending.contacts.is_empty() { here() } else { all };
        if is_known && is_attached(w, &i.flow) {
            return None;
        }
        out.stats_mut().alone[AloneResult::UnknownPhone as usize] += 1;
        let phrase = "PBX Cannot Be Reached, Only Phones It Knew Here Are Served";
        let refused = refuse(out, &pending.user, &i.flow, 503, phrase);
        // Not all of them at once when it is back.
        let spread = w.derived(&[pending.aor.user.as_bytes(), from.to_string().as_bytes()]);
        let after = 30 + u64::from(spread.bytes().next().unwrap_or_default()) % 60;
        Some(refused.row(Name::RetryAfter, after.to_string()))
    }

    fn fits(&self, w: &World, pending: &Pending, c: &Offered, upstream: &str) -> Option<Fit> {
        let contact = (c.key.as_str(), &c.contact.uri, super::instance(&c.contact));
        self.fit(w, contact, (&pending.aor, &pending.flow, upstream))
    }

    /// Bindings in whose place a phone registers that calls itself otherwise now: its own, and of
    /// an address that is one user's all that were never confirmed.
    fn replaced(&self, w: &World, pending: &Pending) -> Vec<String> {
        if w.config().survive.auth != SurviveAuth::Network {
            return Vec::new();
        }
        let (host, from) = (w.net().host(&pending.flow), pending.flow.peer.ip());
        let named = |key: &str| pending.keys().any(|own| own == key);
        let guest = |b: &&Binding| {
            b.host == host && b.edge && !self.is_confirmed(w, &b.key, from, &b.upstream)
        };
        let guests = || self.bindings.of_aor(&pending.aor).filter(guest).map(|b| b.key.clone());
        let mut gone = Vec::new();
        for c in pending.contacts.iter().filter(|c| c.seconds != Some(0)) {
            match self.fits(w, pending, c, &pending.upstream) {
                Some(Fit::Phone(old)) if !self.is_taken(w, &old, &pending.flow) => gone.push(old),
                Some(Fit::Phone(_) | Fit::Place) => gone.extend(guests()),
                Some(Fit::Itself) | None => {}
            }
        }
        gone.retain(|key| !named(key));
        gone
    }

    fn grant_alone(
        &mut self,
        w: &World,
        out: &mut Outbox,
        i: &Incoming,
        pending: &Pending,
    ) -> Message {
        let host = w.net().host(&i.flow);
        let mine = |b: &&Binding| b.host == host;
        let gone: Vec<String> = if pending.remove_all {
            self.bindings.of_aor(&pending.aor).filter(mine).map(|b| b.key.clone()).collect()
        } else {
            let ends = pending.contacts.iter().filter(|c| c.seconds == Some(0));
            ends.map(|c| c.key.clone()).collect()
        };
        for key in gone {
            self.unbind(w, out, &key, &i.flow, BindingEvent::Removed);
        }
        let replaced = self.replaced(w, pending);
        self.replace(w, out, replaced);
        if self.crowds_out(w, pending) {
            return no_places(w, out, &i.message, &i.flow, &NoPlaces::OfUser);
        }
        let whose = (&pending.aor, &pending.holder());
        if let Err(none) = self.find_places(w, out, whose, &pending.asked()) {
            return no_places(w, out, &i.message, &i.flow, &none);
        }
        let way = self.returns.0.get_mut(&pending.upstream);
        let granted = way.map_or(GRANTED, |way| way.turn(w.now().mono));
        for offered in pending.contacts.iter().filter(|c| c.seconds != Some(0)) {
            let seconds = offered.seconds.map_or(granted, |asked| asked.min(granted));
            // Who is told to come soon, and does not, is reached until he would have come else.
            let lives = if seconds == granted { seconds.max(GRANTED) } else { seconds };
            self.bound_alone(w, out, pending, offered, (seconds, lives));
        }
        let mut ok = w.answer(&i.message, 200, "OK");
        for b in self.bindings.of_aor(&pending.aor).filter(|b| b.expires > w.steady()) {
            let left = b.expires.0.saturating_sub(w.steady().0).as_secs();
            let own = pending.keys().any(|key| key == b.key);
            let left = if own { left.min(granted) } else { left };
            ok.push_back(Name::Contact, format!("<{}>;expires={left}", b.contact));
        }
        ok
    }

    fn bound_alone(
        &mut self,
        w: &World,
        out: &mut Outbox,
        pending: &Pending,
        offered: &Offered,
        (seconds, lives): (u64, u64),
    ) {
        let before = self.bindings.get(&offered.key);
        let led = led(w, before, pending, offered);
        // Where the upstream's services are, it will hardly say anew before it is back.
        let before = before.map(|b| b.service_route.clone());
        let binding = Binding {
            holder: pending.holder(),
            key: offered.key.clone(),
            aor: pending.aor.clone(),
            contact: offered.contact.uri.clone(),
            flow: led.way,
            source: led.source,
            host: w.net().host(&led.way),
            local: w.net().listener(pending.flow.listener).map_or(pending.flow.peer, |l| l.bind),
            expires: w.steady_after(Duration::from_secs(lives)),
            call_id: led.call_id,
            cseq: led.cseq,
            upstream: pending.upstream.clone(),
            service_route: before.unwrap_or_default(),
            instance: super::instance(&offered.contact).map(str::to_owned),
            edge: true,
            age: Age::default(),
        };
        self.bind(w, out, binding);
        out.count_register(RegisterResult::Accepted);
        out.stats_mut().alone[AloneResult::Registered as usize] += 1;
        let expires = u32::try_from(seconds).unwrap_or(u32::MAX);
        let (user, flow) = (&pending.user, &pending.flow);
        record(out, user, flow, BindingEvent::Accepted, 200, expires, "edge");
    }

    /// The registrar said no, or nothing. Whom it will not have is known no more where he asked
    /// from; what another of that address says of himself is nothing about a phone that it has.
    pub(crate) fn refused(&mut self, w: &World, out: &mut Outbox, p: &Pending, status: u16) {
        if matches!(status, 403 | 404 | 410) {
            let own: Vec<&str> =
                p.keys().filter(|key| !self.is_anothers(w, key, &p.flow)).collect();
            self.end_confirmed(w, out, (&p.aor, &own), &p.flow);
        }
        // It may be that it takes none back beside a new one: next the new one goes alone.
        if matches!(status, 400 | 403) {
            p.keys().for_each(|key| self.told.forget(key));
        }
        p.failed(out, status);
    }

    /// The upstream answers again: all that were registered here go back in turn.
    pub(crate) fn begin_return(&mut self, upstream: &str) -> usize {
        let left = self.bindings.at_edge(upstream);
        if left > 0 {
            let way = self.returns.0.entry(upstream.to_owned()).or_default();
            way.peak = way.peak.max(left);
        }
        left
    }

    /// The site is alone: nobody goes back for now.
    pub(crate) fn end_return(&mut self, upstream: &str) {
        self.returns.0.remove(upstream);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Mono {
        Mono(Duration::from_secs(s))
    }

    #[test]
    fn phones_go_back_in_turn_and_come_again_with_credentials() {
        let mut way = Way { peak: 3_000, ..Way::default() };
        let keys: Vec<String> = (0..3_000).map(|n| n.to_string()).collect();
        let went = keys.iter().filter(|key| way.lets(at(1), &[key.as_str()], 3_000)).count();
        assert_eq!(went, 50, "a minute for all");
        assert!(way.lets(at(1), &["3"], 3_000), "the same one with credentials");
        assert!(!way.lets(at(1), &["51"], 3_000));
        assert!(way.lets(at(2), &["51"], 2_950));
        // The others come again, as many a second, from some seconds later on: each in his turn.
        let turns: Vec<u64> = (0..2_950).map(|_| way.turn(at(1))).collect();
        assert_eq!((turns[0], turns[49], turns[50], turns[2_949]), (10, 10, 11, 68));
        let many: Vec<u64> = (0..9_000).map(|_| way.turn(at(2))).collect();
        assert!(many.iter().all(|t| (10..=120).contains(t)), "bounded");
    }

    #[test]
    fn a_small_site_goes_back_as_it_comes() {
        let mut way = Way::default();
        let keys: Vec<String> = (0..150).map(|n| n.to_string()).collect();
        let went = keys.iter().filter(|key| way.lets(at(1), &[key.as_str()], 150)).count();
        assert_eq!(went, FLOOR);
        let turns: Vec<u64> = (0..130).map(|_| way.turn(at(1))).collect();
        assert_eq!((turns[0], turns[129]), (10, 16), "none waits for long");
        assert!(way.lets(at(2), &["21"], 130));
        assert!(way.lets(at(40), &["0"], 2), "its time is over: it waits its turn as any");
    }
}
