//! Does an upstream serve, or is the site alone? Evidence is what should have been answered and was
//! not, while nothing else came from there: a request that waits for half a second is a doubt, the
//! upstream is asked at once, and what says nothing for `survive.after` leaves the site alone. Any
//! answer ends a doubt, so that one number which nobody answers leaves nobody alone. Who answers
//! again has to go on answering for `survive.hold`, twice as long each time that he leaves again
//! soon. It sends nothing and knows no request.

use super::{Due, Health, Upstreams};
use crate::config::{Hop, Survive};
use crate::engine::ids::UpstreamId;
use crate::engine::outbox::Outbox;
use crate::engine::world::World;
use crate::ground::{Flow, Moment, Mono, Now};
use std::time::Duration;

/// An upstream that is alone, or doubted, is asked again after this.
pub(super) const AGAIN: Duration = Duration::from_secs(1);
/// While it is alone, a phone's own REGISTER is tried there as often, for who answers no OPTIONS.
const TRIAL: Duration = Duration::from_secs(10);
/// Whoever leaves again within this has to stay twice as long the next time.
const SOON: Duration = Duration::from_secs(60);
/// The longest that anybody has to stay.
const LONGEST: Duration = Duration::from_secs(600);
/// Who answers no OPTIONS but everything else is alone when so many requests in a row had no
/// answer.
const SEVERAL: u32 = 3;

/// How it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// It answers, as far as is known.
    #[default]
    Serves,
    /// Something waits for its answer longer than it should.
    Doubted,
    /// Nothing comes from it.
    Alone,
    /// It answers again, since then, and is not relied on yet.
    Returns(Mono),
}

/// What a look at it came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// Nothing changes.
    Stays,
    /// It is alone from now on.
    Leaves,
    /// It serves from now on; the site was alone for so long.
    Back(Duration),
}

/// One upstream.
#[derive(Debug, Default)]
pub(super) struct Serving {
    state: State,
    /// When anything was answered last.
    heard: Option<Mono>,
    /// Requests of others since then that wait, or waited in vain.
    quiet: u32,
    /// It answers, but no OPTIONS.
    deaf: bool,
    /// Alone since then.
    since: Option<(Mono, Moment)>,
    /// When it came back last.
    back: Option<Mono>,
    /// How often it left again soon.
    flaps: u32,
    /// A phone's REGISTER may try it from then on.
    trial: Mono,
}

impl Serving {
    fn is_alone(&self) -> bool {
        match self.state {
            State::Serves | State::Doubted => false,
            State::Alone | State::Returns(_) => true,
        }
    }

    /// Nothing of it is to be asked oftener than its probes do.
    fn is_quiet(&self) -> bool {
        self.state == State::Serves
    }

    /// A request that was sent then has no answer yet; `own`: it is a probe. True: that is a doubt.
    fn missed(&mut self, began: Mono, own: bool) -> bool {
        if self.heard.is_some_and(|heard| heard > began) {
            return false;
        }
        self.quiet = self.quiet.saturating_add(u32::from(!own));
        let counts = if self.deaf { self.quiet >= SEVERAL } else { true };
        if self.state != State::Serves || !counts {
            return false;
        }
        self.state = State::Doubted;
        true
    }

    /// It answered something; `own`: a probe. True: how it stands has changed.
    fn answered(&mut self, now: Mono, own: bool) -> bool {
        self.heard = Some(now);
        self.quiet = 0;
        self.deaf &= !own;
        match self.state {
            State::Serves | State::Returns(_) => false,
            State::Doubted => {
                self.state = State::Serves;
                true
            }
            State::Alone => {
                // It is there, and said nothing to all the probes.
                self.deaf |= !own;
                self.state = State::Returns(now);
                true
            }
        }
    }

    /// How long it has to answer before it serves.
    fn hold(&self, survive: &Survive) -> Duration {
        let longest = LONGEST.max(survive.hold);
        survive.hold.saturating_mul(1 << self.flaps.min(10)).min(longest)
    }

    /// It is time to look.
    fn look(&mut self, now: Now, survive: &Survive) -> Look {
        match self.state {
            State::Serves | State::Alone => Look::Stays,
            State::Doubted => {
                self.state = State::Alone;
                self.since = Some((now.mono, now.into()));
                self.trial = if self.heard.is_none() { now.mono } else { now.mono + TRIAL };
                let soon = self.back.is_some_and(|back| now.mono.since(back) < SOON);
                self.flaps = if soon { self.flaps.saturating_add(1) } else { 0 };
                Look::Leaves
            }
            State::Returns(_) => {
                let fresh = self.heard.is_some_and(|at| now.mono.since(at) <= survive.after);
                if !fresh && !self.deaf {
                    self.state = State::Alone;
                    return Look::Stays;
                }
                self.state = State::Serves;
                self.back = Some(now.mono);
                let alone = self.since.take().map(|(began, _)| now.mono.since(began));
                Look::Back(alone.unwrap_or_default())
            }
        }
    }
}

/// How an upstream turned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turned {
    /// The site is alone without it.
    Alone(UpstreamId),
    /// It serves again, after so long.
    Back(UpstreamId, Duration),
}

impl Upstreams {
    /// Nothing answers there, and the site goes on without it.
    pub(crate) fn is_alone(&self, w: &World, id: UpstreamId) -> bool {
        w.config().survive.is_on() && self.state(id).is_some_and(|u| u.serving.is_alone())
    }

    /// Since when it is alone.
    pub(super) fn alone_since(&self, w: &World, id: UpstreamId) -> Option<Moment> {
        let since = self.state(id).and_then(|u| u.serving.since);
        since.filter(|_| self.is_alone(w, id)).map(|(_, at)| at)
    }

    /// It is asked oftener than the file says.
    pub(super) fn is_watched(&self, id: UpstreamId) -> bool {
        self.state(id).is_some_and(|u| !u.serving.is_quiet())
    }

    /// A phone's REGISTER is tried there although it is alone: at most one each ten seconds, and of
    /// who never answered OPTIONS.
    pub(crate) fn takes_trial(&mut self, w: &World, id: UpstreamId) -> bool {
        let now = w.now().mono;
        // Who has answered OPTIONS will do so again.
        let due = |u: &&mut super::Upstream| u.probes()[0] == 0 && now >= u.serving.trial;
        let Some(u) = self.all.get_mut(id.index()).filter(due) else { return false };
        u.serving.trial = now + TRIAL;
        true
    }

    /// A request of that time waits there for its answer longer than it should. Upstreams that
    /// leave it waiting, and are alone already.
    pub(crate) fn waits(&mut self, w: &World, flow: &Flow, began: Mono, own: bool) -> bool {
        let hop = Hop { peer: flow.peer, transport: flow.transport };
        let mut alone = false;
        for id in w.upstreams().iter().filter(|id| w.places(**id).contains(&hop)) {
            self.doubt(w, *id, began, own);
            alone |= self.is_alone(w, *id);
        }
        alone
    }

    /// Something of an upstream that was asked then should have come by now.
    pub(crate) fn doubt(&mut self, w: &World, id: UpstreamId, began: Mono, own: bool) {
        let survive = &w.config().survive;
        let Some(u) = self.all.get_mut(id.index()).filter(|_| survive.is_on()) else { return };
        if u.serving.missed(began, own) {
            self.timers.set(Due::Look(id), (began + survive.after).max(w.now().mono + AGAIN));
            self.doubted.push(id);
        }
    }

    /// Who is to be asked at once, for something waits there.
    pub(crate) fn take_doubted(&mut self) -> Vec<UpstreamId> {
        std::mem::take(&mut self.doubted)
    }

    /// An answer to something that we sent came from there; `own`: to a probe.
    pub(crate) fn answers(&mut self, w: &World, flow: &Flow, own: bool) {
        let (hop, now) = (Hop { peer: flow.peer, transport: flow.transport }, w.now().mono);
        for id in w.upstreams().iter().filter(|id| w.places(**id).contains(&hop)) {
            self.answered_by(w, *id, now, own);
        }
    }

    pub(super) fn answered_by(&mut self, w: &World, id: UpstreamId, now: Mono, own: bool) {
        let survive = &w.config().survive;
        let Some(u) = self.all.get_mut(id.index()).filter(|_| survive.is_on()) else { return };
        if !u.serving.answered(now, own) {
            return;
        }
        if u.serving.is_alone() {
            self.timers.set(Due::Look(id), now + u.serving.hold(survive));
            self.timers.set(Due::Probe(id), now + AGAIN);
        } else {
            self.timers.stop(Due::Look(id));
        }
    }

    /// A doubt has lasted, or a return.
    pub(super) fn look(&mut self, w: &World, out: &mut Outbox, id: UpstreamId) -> Option<Turned> {
        let u = self.all.get_mut(id.index())?;
        match u.serving.look(w.now(), &w.config().survive) {
            Look::Stays => None,
            Look::Leaves => {
                self.lose(w, out, id);
                Some(Turned::Alone(id))
            }
            Look::Back(alone) => Some(Turned::Back(id, alone)),
        }
    }

    /// None of its targets is up any more, as far as anybody sees.
    fn lose(&mut self, w: &World, out: &mut Outbox, id: UpstreamId) {
        self.timers.set(Due::Probe(id), w.now().mono + AGAIN);
        let hops: Vec<Hop> = w.places(id).to_vec();
        for hop in hops {
            let u = self.all.get_mut(id.index());
            let t = u.and_then(|u| u.targets.find(hop));
            let lost = t.is_some_and(|t| t.turn(w.now(), Health::Down, "nothing comes from it"));
            if lost {
                self.told(w, out, id, hop);
            }
        }
    }

    /// The file says something else of surviving: who is alone is so no more where it is off.
    pub(super) fn follow_serving(&mut self, w: &World) {
        if w.config().survive.is_on() {
            return;
        }
        for (index, u) in self.all.iter_mut().enumerate() {
            u.serving = Serving::default();
            self.timers.stop(Due::Look(UpstreamId::new(index as u64)));
        }
        self.doubted.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::Wall;

    fn at(ms: u64) -> Now {
        let d = Duration::from_millis(ms);
        Now { mono: Mono(d), wall: Wall(d) }
    }

    fn mono(ms: u64) -> Mono {
        at(ms).mono
    }

    #[test]
    fn a_doubt_ends_with_any_answer_and_silence_leaves_the_site_alone() {
        let survive = Survive::default();
        let mut s = Serving::default();
        assert!(s.missed(mono(0), false), "a doubt");
        assert!(!s.missed(mono(100), true), "one is enough");
        assert!(s.answered(mono(900), false));
        assert!(!s.missed(mono(500), false), "it answered since");
        assert!(!s.is_alone());
        assert!(s.missed(mono(1_000), false));
        assert_eq!(s.look(at(3_000), &survive), Look::Leaves);
        assert!(s.is_alone());
        assert!(s.answered(mono(5_000), true));
        assert!(s.is_alone(), "not relied on yet");
        s.answered(mono(9_500), true);
        assert_eq!(s.look(at(10_000), &survive), Look::Back(Duration::from_secs(7)));
        assert!(!s.is_alone());
    }

    #[test]
    fn who_comes_and_goes_has_to_stay_longer_each_time() {
        let survive = Survive::default();
        let mut s = Serving::default();
        let mut now = 0;
        for want in [5, 10, 20, 40] {
            assert!(s.missed(mono(now), false));
            assert_eq!(s.look(at(now + 2_000), &survive), Look::Leaves);
            assert_eq!(s.hold(&survive), Duration::from_secs(want));
            s.answered(mono(now + 3_000), true);
            assert!(matches!(s.look(at(now + 4_000), &survive), Look::Back(_)));
            now += 5_000;
        }
        // It stayed for long: forgiven.
        now += 100_000;
        assert!(s.missed(mono(now), false));
        s.look(at(now + 2_000), &survive);
        assert_eq!(s.hold(&survive), survive.hold);
        s.answered(mono(now + 3_000), true);
        assert_eq!(s.look(at(now + 8_000), &survive), Look::Stays, "silent again since");
        assert!(s.is_alone());
    }

    #[test]
    fn who_answers_no_options_is_doubted_for_several_requests_only() {
        let survive = Survive::default();
        let mut s = Serving::default();
        assert!(s.missed(mono(0), true));
        assert_eq!(s.look(at(2_000), &survive), Look::Leaves);
        assert!(s.answered(mono(4_000), false), "a phone's REGISTER was tried");
        assert!(matches!(s.look(at(9_000), &survive), Look::Back(_)));
        assert!(!s.missed(mono(10_000), true), "a probe says nothing any more");
        assert!(!s.missed(mono(11_000), false));
        assert!(!s.missed(mono(11_000), false));
        assert!(s.missed(mono(11_000), false));
    }
}
