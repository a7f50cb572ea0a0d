//! Does an upstream serve, or is the site alone? Evidence is what should have been answered and was
//! not, while nothing else came from there: a request that waits for half a second is a doubt, the
//! upstream is asked at once, and what says nothing for `survive.after` leaves the site alone. Any
//! answer ends a doubt, so that one number which nobody answers leaves nobody alone. Who answers
//! again has to go on answering for `survive.hold`, twice as long each time that he leaves again
//! soon. It sends nothing and knows no request.

mod moving;
mod refusing;
mod starving;
mod trials;

use super::{Due, Health, Upstreams};
use crate::config::{Hop, Survive};
use crate::engine::ids::UpstreamId;
use crate::engine::outbox::Outbox;
use crate::engine::world::World;
use crate::ground::{Flow, Moment, Mono, Now};
use crate::wire::sip::Aor;
pub(super) use moving::Moving;
pub(crate) use refusing::{Sign, is_out_of_service};
use starving::Starving;
use std::collections::BTreeSet;
use std::time::Duration;
use trials::{TRIAL, Trials};

/// An upstream that is alone, or doubted, is asked again after this.
pub(super) const AGAIN: Duration = Duration::from_secs(1);
/// Whoever leaves again within this has to stay twice as long the next time.
const SOON: Duration = Duration::from_secs(60);
/// No time, but a step of the clock.
const AT_ONCE: Duration = Duration::from_millis(1);
/// The longest that anybody has to stay.
const LONGEST: Duration = Duration::from_secs(600);
/// Who answers no OPTIONS but everything else is alone when so many requests in a row had no
/// answer, all of users that are registered …
const SEVERAL: u32 = 3;
/// An answer to OPTIONS that takes longer than this comes no more.
const LATE: Duration = Duration::from_secs(5);
/// … and of so many of them, where there are as many: what one sends, from however many addresses,
/// may be such as nobody answers, or be answered by whoever stands before a PBX that is gone.
const USERS: usize = 2;

/// Why the targets of one are down that answers OPTIONS and serves nobody.
const STARVES: &str = "it answers OPTIONS, and nothing else";

/// Who sent what waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker<'a> {
    /// We: it is a probe.
    Us,
    /// Anybody might: nobody knows where it is, or it refuses to be asked.
    Nowhere,
    /// A phone of this user's, which is registered.
    Phone(&'a Aor),
    /// Anybody else.
    Other,
}

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

/// Whether it answers OPTIONS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Ear {
    /// It was not asked yet, or nothing at all came from it since.
    #[default]
    Unknown,
    /// It does.
    Hears,
    /// It answers everything else.
    Deaf,
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
    /// Nothing had been until then.
    fresh: bool,
    /// When anything came from it last, whatever that says.
    spoke: Option<Mono>,
    /// Requests of phones since then that wait, or waited in vain, and whose some of these are.
    quiet: u32,
    askers: BTreeSet<Aor>,
    /// While it says that it serves nobody: whom it has served all the same.
    served: BTreeSet<Aor>,
    /// It answers OPTIONS, as far as is known.
    ear: Ear,
    /// It answered the last one with a refusal, or those whose requests have to do.
    refuses: bool,
    /// It is doubted for what it says, and not for its silence alone.
    denied: bool,
    /// It is to be asked once more than the file says, and not again before then.
    wanted: bool,
    spared: Mono,
    /// Since when one of them waits.
    unheard: Option<Mono>,
    /// Alone since then.
    since: Option<(Mono, Moment)>,
    /// When it came back last.
    back: Option<Mono>,
    /// How often it left again soon.
    flaps: u32,
    /// Whose REGISTER may try it.
    trials: Trials,
    /// Whether it serves anybody, answering OPTIONS.
    starving: Starving,
}

impl Serving {
    fn is_alone(&self) -> bool {
        match self.state {
            State::Serves | State::Doubted => false,
            State::Alone | State::Returns(_) => true,
        }
    }

    /// Nothing of it is to be asked oftener than its probes do.
    pub(super) fn is_quiet(&self) -> bool {
        self.state == State::Serves
    }

    /// It is asked, more often than the file says or not.
    pub(super) fn is_asked(&mut self) {
        self.wanted = false;
    }

    /// A request that was sent then has no answer yet; of so many users. True: that is a doubt.
    fn missed(&mut self, began: Mono, by: Asker<'_>, users: usize) -> bool {
        if self.heard.max(self.spoke).is_some_and(|said| said > began) {
            return false;
        }
        if let Asker::Phone(user) = by {
            self.quiet = self.quiet.saturating_add(1);
            if self.askers.len() < USERS {
                self.askers.insert(user.clone());
            }
        }
        if by == Asker::Us {
            self.unheard.get_or_insert(began);
        }
        let several = self.quiet >= SEVERAL && self.askers.len() >= several(users);
        let counts = match (self.ear, by) {
            (_, Asker::Nowhere) | (Ear::Hears, _) => true,
            // Providers there are who answer no OPTIONS.
            (Ear::Unknown, by) => by != Asker::Us,
            (Ear::Deaf, _) => several,
        };
        if self.state != State::Serves || !counts {
            return false;
        }
        (self.state, self.denied) = (State::Doubted, false);
        self.served.clear();
        true
    }

    /// It answered something; `own`: a probe. True: how it stands has changed.
    fn answered(&mut self, now: Mono, own: bool) -> bool {
        self.fresh = self.is_alone() && (self.fresh || self.heard.is_none());
        self.heard = Some(now);
        self.quiet = 0;
        self.askers.clear();
        self.served.clear();
        self.ear = match (own, self.is_late(now)) {
            (true, _) => Ear::Hears,
            (false, true) => Ear::Deaf,
            (false, false) => self.ear,
        };
        if own {
            self.unheard = None;
        }
        match self.state {
            State::Serves | State::Returns(_) => false,
            State::Doubted => {
                self.state = State::Serves;
                true
            }
            State::Alone => {
                // It is there, and said nothing to all the probes.
                if !own {
                    self.ear = Ear::Deaf;
                }
                self.state = State::Returns(now);
                true
            }
        }
    }

    /// It has answered none of our OPTIONS for so long that it answers none.
    fn is_late(&self, now: Mono) -> bool {
        self.unheard.is_some_and(|asked| now.since(asked) > LATE)
    }

    /// How long it has to answer before it serves. Who was never heard is not back, but comes.
    fn hold(&self, survive: &Survive) -> Duration {
        if self.fresh {
            return AT_ONCE;
        }
        let longest = LONGEST.max(survive.hold);
        survive.hold.saturating_mul(1 << self.flaps.min(10)).min(longest)
    }

    /// It is time to look.
    fn look(&mut self, now: Now, survive: &Survive) -> Look {
        match self.state {
            State::Serves | State::Alone => Look::Stays,
            State::Doubted => {
                (self.state, self.fresh) = (State::Alone, false);
                self.served.clear();
                self.since = Some((now.mono, now.into()));
                let first = if self.heard.is_none() { now.mono } else { now.mono + TRIAL };
                self.trials = Trials::from(first);
                let soon = self.back.is_some_and(|back| now.mono.since(back) < SOON);
                // Of who is deaf the phones decide: what they send brings nobody more of it.
                self.flaps =
                    if soon && self.ear != Ear::Deaf { self.flaps.saturating_add(1) } else { 0 };
                Look::Leaves
            }
            State::Returns(_) => {
                let fresh = self.heard.is_some_and(|at| now.mono.since(at) <= survive.after);
                if !fresh && self.ear != Ear::Deaf {
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

/// Users that have to say the same, where there are so many.
fn several(users: usize) -> usize {
    USERS.min(users).max(1)
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

    /// It is alone, and nothing has come from it since. Who is out of service is there: dialogs may
    /// go on.
    pub(crate) fn is_silent(&self, w: &World, id: UpstreamId) -> bool {
        let silent = |u: &super::Upstream| u.serving.state == State::Alone && !u.serving.refuses;
        w.config().survive.is_on() && self.state(id).is_some_and(silent)
    }

    /// Since when it is alone.
    pub(super) fn alone_since(&self, w: &World, id: UpstreamId) -> Option<Moment> {
        let since = self.state(id).and_then(|u| u.serving.since);
        since.filter(|_| self.is_alone(w, id)).map(|(_, at)| at)
    }

    /// It is asked oftener than the file says.
    pub(crate) fn is_watched(&self, id: UpstreamId) -> bool {
        self.state(id).is_some_and(|u| !u.serving.is_quiet())
    }

    /// A request of that time waits there for its answer longer than it should. Upstreams that
    /// leave it waiting, and are alone already.
    pub(crate) fn waits(
        &mut self,
        w: &World,
        (flow, began): (&Flow, Mono),
        by: Asker<'_>,
        users: usize,
    ) -> bool {
        let hop = Hop { peer: flow.peer, transport: flow.transport };
        let mut alone = false;
        for id in w.upstreams().iter().filter(|id| w.places(**id).contains(&hop)) {
            self.doubt(w, (*id, began), by, users);
            alone |= self.is_alone(w, *id);
        }
        alone
    }

    /// Something of an upstream that was asked then should have come by now.
    pub(super) fn doubt(
        &mut self,
        w: &World,
        (id, began): (UpstreamId, Mono),
        by: Asker<'_>,
        users: usize,
    ) {
        let survive = &w.config().survive;
        let Some(u) = self.all.get_mut(id.index()).filter(|_| survive.is_on()) else { return };
        if u.serving.missed(began, by, users) {
            self.timers.set(Due::Look(id), (began + survive.after).max(w.now().mono + AGAIN));
            self.doubted.push(id);
        }
    }

    /// Who is to be asked at once, for something waits there.
    pub(crate) fn take_doubted(&mut self) -> Vec<UpstreamId> {
        std::mem::take(&mut self.doubted)
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
        if self.waits_for_tunnel(w, id) {
            return None;
        }
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

    /// None of its targets is up any more, as far as anybody sees; what streams lead there may be
    /// what is wrong.
    fn lose(&mut self, w: &World, out: &mut Outbox, id: UpstreamId) {
        self.timers.set(Due::Probe(id), w.now().mono + AGAIN);
        self.doubted.push(id);
        let starves = self.is_starving(id);
        let why = if starves { STARVES } else { "nothing comes from it" };
        let hops: Vec<Hop> = w.places(id).to_vec();
        for hop in hops {
            let u = self.all.get_mut(id.index());
            let t = u.and_then(|u| u.targets.find(hop));
            let lost = t.is_some_and(|t| t.turn(w.now(), Health::Down, why));
            if lost {
                self.told(w, out, id, hop);
            }
            if !starves {
                self.suspect(w, out, id, hop);
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
mod tests;
