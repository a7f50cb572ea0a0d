//! Who answers OPTIONS and serves nobody: whoever stands before a PBX that is gone, or a PBX that
//! refuses all that is new. A registrar answers each REGISTER, and a PBX each call to a phone of
//! its own; so where those of several users in a row had no answer, or were refused as by who
//! serves nobody, and nothing else was answered meanwhile but OPTIONS, it does not serve. No user
//! and no number alone comes to that. It is back when a request is served that is tried there.

use super::super::{Due, Upstreams};
use super::{AGAIN, AT_ONCE, Asker, Ear, SEVERAL, Serving, Sign, State, USERS, several};
use crate::config::Hop;
use crate::engine::ids::UpstreamId;
use crate::engine::world::World;
use crate::ground::{Flow, Mono};
use crate::wire::sip::Aor;
use std::collections::BTreeSet;

/// Of one upstream.
#[derive(Debug, Default)]
pub(super) struct Starving {
    /// When it answered last what none but who serves answers.
    served: Option<Mono>,
    /// Requests in vain since then, and whose some of them were.
    vain: u32,
    users: BTreeSet<Aor>,
    /// It serves nobody, as far as that shows.
    pub(super) starves: bool,
}

impl Starving {
    /// It has served somebody.
    fn fed(&mut self, now: Mono) {
        *self = Self { served: Some(now), ..Self::default() };
    }

    /// A request of that time, of one of so many users, was in vain. True: several were.
    fn missed(&mut self, began: Mono, user: &Aor, users: usize) -> bool {
        if self.served.is_some_and(|served| served > began) {
            return false;
        }
        self.vain = self.vain.saturating_add(1);
        if self.users.len() < USERS {
            self.users.insert(user.clone());
        }
        let least = if several(users) < USERS { SEVERAL } else { 1 };
        self.vain >= least && self.users.len() >= several(users)
    }
}

impl Serving {
    /// A phone's request was in vain; refused, or unanswered. True: that leaves the site alone.
    fn starves(&mut self, began: Mono, user: &Aor, users: usize, refused: bool) -> bool {
        let counts = match (self.state, self.ear) {
            (State::Serves | State::Doubted, Ear::Hears) => true,
            // What answers no OPTIONS is judged by all that it leaves unanswered.
            (_, Ear::Unknown | Ear::Deaf) | (State::Alone | State::Returns(_), _) => false,
        };
        if !counts || !self.starving.missed(began, user, users) {
            return false;
        }
        self.starving.starves = true;
        (self.state, self.denied, self.refuses) = (State::Doubted, true, refused);
        true
    }
}

impl Upstreams {
    /// It answers OPTIONS, and nothing else.
    pub(in crate::engine::upstreams) fn is_starving(&self, id: UpstreamId) -> bool {
        self.state(id).is_some_and(|u| u.serving.starving.starves)
    }

    /// A request that whoever serves answers at once had no answer for long.
    pub(crate) fn unserved(
        &mut self,
        w: &World,
        (flow, began): (&Flow, Mono),
        (by, users): (Asker<'_>, usize),
    ) {
        let hop = Hop { peer: flow.peer, transport: flow.transport };
        for id in w.upstreams().iter().filter(|id| w.places(**id).contains(&hop)) {
            self.starve(w, *id, (began, false), (by, users));
        }
    }

    fn starve(
        &mut self,
        w: &World,
        id: UpstreamId,
        (began, refused): (Mono, bool),
        (by, users): (Asker<'_>, usize),
    ) {
        let Asker::Phone(user) = by else { return };
        let survive = &w.config().survive;
        let Some(u) = self.all.get_mut(id.index()).filter(|_| survive.is_on()) else { return };
        if u.serving.starves(began, user, users, refused) {
            let now = w.now().mono;
            self.timers.set(Due::Look(id), now + AT_ONCE);
            self.timers.set(Due::Probe(id), now + AGAIN);
        }
    }

    /// What an answer says of that; by whom it was asked for, of so many users.
    pub(super) fn feeds(
        &mut self,
        w: &World,
        id: UpstreamId,
        sign: Sign,
        (by, users): (Asker<'_>, usize),
    ) {
        let now = w.now().mono;
        match sign {
            Sign::There | Sign::Serves => {
                let Some(u) = self.all.get_mut(id.index()) else { return };
                // While it is alone, what is answered within dialogs is none of that.
                if !u.serving.starving.starves || sign == Sign::Serves {
                    u.serving.starving.fed(now);
                }
            }
            Sign::Refuses { register: true } | Sign::Before { register: true } => {
                self.starve(w, id, (now, true), (by, users));
            }
            Sign::Asks
            | Sign::Nothing
            | Sign::Refuses { register: false }
            | Sign::Before { register: false } => {}
        }
    }

    /// Its OPTIONS are refused, too: from now on they say how it is.
    pub(in crate::engine::upstreams) fn starves_openly(&mut self, id: UpstreamId) {
        let u = self.all.get_mut(id.index());
        u.into_iter().for_each(|u| u.serving.starving.starves = false);
    }
}
