//! What answers mean: most say that an upstream is there. One to our own OPTIONS that it cannot
//! process requests (a PBX in maintenance, a proxy whose PBX is gone) says that it does not serve.
//! From then on what counts is that it serves new requests of several users: a challenge, a refusal
//! and what is answered within dialogs come from whoever stands before it, or from calls that are
//! to end. To anybody else's request alone such an answer says nothing but that it is to be asked.

use super::super::{Due, Health, Upstreams};
use super::{AGAIN, Asker, Ear, Serving, State, USERS, several};
use crate::config::Hop;
use crate::engine::ids::{ClientId, UpstreamId};
use crate::engine::transactions::spared;
use crate::engine::world::World;
use crate::ground::{Flow, Mono};
use crate::wire::sip::{Aor, Message};
use std::time::Duration;

/// The longest that who is out of service is left alone, whatever it asks for.
const SPARED: Duration = Duration::from_secs(30);
/// Who has said nothing for so long is silent.
const SILENT: Duration = Duration::from_secs(32);

/// Answers of who serves nobody now: a server that fails, a proxy that reaches none. 500 is what a
/// proxy makes of another's 503 (RFC 3261 §16.7); 501 is said of a method, by who is well.
pub(crate) fn is_out_of_service(status: u16) -> bool {
    matches!(status, 500 | 502..=504)
}

/// What an answer says of who gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    /// Somebody is there.
    There,
    /// The same, and it may be whoever stands before who serves: 100, 408, an answer to CANCEL or
    /// OPTIONS.
    Before {
        /// A REGISTER: its registrar has said nothing to who stands there.
        register: bool,
    },
    /// The same, and it asks for credentials.
    Asks,
    /// It serves: a new request had a 2xx, or rings.
    Serves,
    /// A new request is refused by who serves nobody.
    Refuses {
        /// A REGISTER: of a registrar that is well nobody is refused so.
        register: bool,
    },
    /// Nothing: a request within a dialog, or one that calls nobody, was refused.
    Nothing,
}

impl Serving {
    /// It served a user's request while it says that it serves nobody. True: it did so to several
    /// of so many, and is believed.
    fn serves(&mut self, now: Mono, user: &Aor, users: usize) -> bool {
        self.quiet = 0;
        self.askers.clear();
        // One that answered none of our OPTIONS so far refuses these alone.
        if self.ear == Ear::Unknown && self.is_late(now) {
            self.ear = Ear::Deaf;
        }
        if self.served.len() < USERS {
            self.served.insert(user.clone());
        }
        self.served.len() >= several(users)
    }

    /// It says again that it serves nobody, and had been about to come back.
    fn leaves_again(&mut self, by: Asker<'_>) -> bool {
        let returns = matches!(self.state, State::Returns(_));
        let leaves = returns && by == Asker::Us && self.ear == Ear::Hears;
        if leaves {
            self.state = State::Alone;
        }
        leaves
    }

    /// It says that it serves nobody: what else it says shows no more than that somebody is there.
    fn is_disbelieved(&self) -> bool {
        self.refuses && (self.denied || self.state != State::Doubted)
    }

    /// Whether what is refused there may find within seconds that nobody is served.
    fn is_in_question(&self) -> bool {
        !self.is_alone() && (self.wanted || self.refuses && self.state == State::Doubted)
    }
}

impl Upstreams {
    /// Whether what probes come to says whether it is there: some answer everything but them.
    pub(in crate::engine::upstreams) fn is_probed(&self, w: &World, id: UpstreamId) -> bool {
        !self.is_deaf(id) && self.get(w, id).is_some_and(|u| u.probe.is_some())
    }

    /// It is to be asked once more than the file says.
    pub(in crate::engine::upstreams) fn is_wanted(&self, id: UpstreamId) -> bool {
        self.state(id).is_some_and(|u| u.serving.wanted)
    }

    /// It answers, or heeds, everything but our OPTIONS.
    pub(in crate::engine::upstreams) fn is_deaf(&self, id: UpstreamId) -> bool {
        self.state(id).is_some_and(|u| u.serving.ear == Ear::Deaf)
    }

    /// An answer to something that somebody sent there, of so many users.
    pub(crate) fn answers(
        &mut self,
        w: &World,
        (flow, client): (&Flow, ClientId),
        (status, sign): (u16, Sign),
        (by, users): (Asker<'_>, usize),
    ) {
        // What a probe comes to is looked at when it is over.
        if self.asked.contains_key(&client) {
            return;
        }
        let (hop, now) = (Hop { peer: flow.peer, transport: flow.transport }, w.now().mono);
        for id in w.upstreams().iter().filter(|id| w.places(**id).contains(&hop)) {
            let Some(u) = self.all.get_mut(id.index()) else { continue };
            if status >= 200 && status != 503 {
                u.targets.not_busy(hop);
            }
            u.serving.spoke = Some(now);
            if sign == Sign::Asks {
                u.serving.trials.challenged();
            }
            if u.serving.starving.starves && sign != Sign::Serves {
                continue;
            }
            let starved = u.serving.starving.starves;
            self.feeds(w, *id, sign, (by, users));
            let Some(u) = self.all.get_mut(id.index()) else { continue };
            match (u.serving.is_disbelieved() && !starved, sign, by) {
                (true, Sign::Refuses { .. }, _) => self.refuses(w, *id, by, users),
                (true, Sign::Serves, Asker::Phone(user)) => {
                    if u.serving.serves(now, user, users) {
                        self.answered_by(w, *id, now, false);
                    }
                }
                (true, _, _) => {}
                (false, Sign::Refuses { register }, _) => {
                    self.refused(w, *id, register, (by, users));
                }
                (false, Sign::Nothing, _) => {}
                (false, Sign::There | Sign::Before { .. } | Sign::Asks | Sign::Serves, _) => {
                    self.answered_by(w, *id, now, false);
                }
            }
        }
    }

    /// What was refused there may be led another way within seconds.
    pub(crate) fn is_in_question(&self, w: &World, flow: &Flow) -> bool {
        let hop = Hop { peer: flow.peer, transport: flow.transport };
        let asked = |id: UpstreamId| self.asked.values().any(|a| a.id == id);
        let in_question = |id: &UpstreamId| {
            let serving = self.state(*id).map(|u| &u.serving);
            w.places(*id).contains(&hop)
                && serving.is_some_and(|s| {
                    s.is_in_question() || !s.is_alone() && s.ear != Ear::Deaf && asked(*id)
                })
        };
        w.config().survive.is_on() && w.upstreams().iter().any(in_question)
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
        u.serving.spoke = Some(w.now().mono);
        self.refuses(w, id, Asker::Us, 0);
        if let Some(after) = spared(response) {
            self.timers.set(Due::Probe(id), w.now().mono + after.clamp(AGAIN, SPARED));
        }
    }

    /// The last probe was answered otherwise.
    pub(in crate::engine::upstreams) fn refuses_no_more(&mut self, id: UpstreamId) {
        self.all.get_mut(id.index()).into_iter().for_each(|u| u.serving.refuses = false);
    }

    /// The last probe was not answered. Who says nothing at all does not refuse, but is gone.
    pub(in crate::engine::upstreams) fn is_unheard(&mut self, w: &World, id: UpstreamId) {
        let now = w.now().mono;
        if let Some(u) = self.all.get_mut(id.index()) {
            let speaks = u.serving.spoke.is_some_and(|at| now.since(at) < SILENT);
            u.serving.refuses &= speaks;
        }
    }

    /// It is asked at once, for it refuses somebody: at most once a second. Of one that answers no
    /// OPTIONS it has to be several users' REGISTERs.
    fn refused(
        &mut self,
        w: &World,
        id: UpstreamId,
        register: bool,
        (by, users): (Asker<'_>, usize),
    ) {
        let now = w.now().mono;
        let known = matches!(by, Asker::Phone(_)) || users == 0;
        let Some(u) = self.all.get_mut(id.index()).filter(|_| known && w.config().survive.is_on())
        else {
            return;
        };
        if u.serving.ear == Ear::Deaf {
            if register {
                self.refuses(w, id, by, users);
            }
        } else if now >= u.serving.spared {
            (u.serving.wanted, u.serving.spared) = (true, now + AGAIN);
            self.doubted.push(id);
        }
    }

    /// That is a doubt; where that lasts, the site is alone. It has just been asked.
    fn refuses(&mut self, w: &World, id: UpstreamId, by: Asker<'_>, users: usize) {
        let (survive, now) = (&w.config().survive, w.now().mono);
        let Some(u) = self.all.get_mut(id.index()).filter(|_| survive.is_on()) else { return };
        if matches!(by, Asker::Phone(_)) {
            u.serving.served.clear();
        }
        if u.serving.leaves_again(by) {
            self.timers.stop(Due::Look(id));
            self.timers.set(Due::Probe(id), now + AGAIN);
            return;
        }
        let doubts = u.serving.missed(now, by, users);
        u.serving.denied |= u.serving.state == State::Doubted;
        if doubts {
            // Also where its REGISTERs alone say so.
            u.serving.refuses = true;
            self.timers.set(Due::Look(id), now + survive.after.max(AGAIN));
            self.timers.set(Due::Probe(id), now + AGAIN);
        }
    }
}
