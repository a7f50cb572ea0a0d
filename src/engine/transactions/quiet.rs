//! Requests that wait for whoever says nothing: that is told early, and what waits can be taken
//! back to be sent elsewhere. It knows no upstream and chooses no other way.

use super::client::Client;
use super::pass::Pass;
use super::{Due, Event, Heard, Timer, Transactions};
use crate::engine::ids::{ClientId, PassId, ServerId};
use crate::engine::outbox::Outbox;
use crate::engine::purpose::Purpose;
use crate::engine::world::World;
use crate::ground::{Flow, Side};
use crate::wire::sip::{Message, Method};

/// After so many times T1 without an answer nobody may be there who serves.
const VAIN: u32 = 16;
/// Why a request is cancelled that went elsewhere meanwhile (RFC 3326).
const ELSEWHERE: &[u8] = b"SIP;cause=408;text=\"Sent Elsewhere\"";

impl Transactions {
    /// A request goes outside: after T1 without any answer that is told, where it matters.
    pub(super) fn listen_for(&mut self, w: &World, id: ClientId, flow: &Flow, method: &Method) {
        let asked = w.config().survive.is_on() && w.side(flow.listener) == Side::Outside;
        if asked && *method != Method::Cancel {
            self.timers.set(Due::Quiet(id), w.now().mono + w.config().timers.t1);
        }
    }

    /// It was answered, or is over.
    pub(super) fn hears(&mut self, id: ClientId) {
        self.timers.stop(Due::NextTarget(id));
        self.timers.stop(Due::Quiet(id));
        self.timers.stop(Due::Again(id));
        self.timers.stop(Due::TooLong(id));
    }

    /// Whoever is asked has said nothing for a while, or for long.
    pub(super) fn quiet(&mut self, w: &World, id: ClientId) {
        let Some(t) = self.clients.get(&id).filter(|t| !t.is_proceeding()) else { return };
        let (flow, began, pass) = (t.flow, t.began, t.pass());
        let long = began + w.config().timers.t1 * VAIN;
        if w.now().mono < long {
            if pass.is_some() {
                self.timers.set(Due::Quiet(id), long);
            }
            self.heard.push_back(Heard::Quiet { flow, began, pass });
        } else if let Some(pass) = pass {
            self.heard.push_back(Heard::Vain { flow, began, pass });
        }
    }

    /// Passes of which no branch was ever answered, while all of them wait for whom `there` means;
    /// oldest first.
    pub(crate) fn unheard_at(&self, there: impl Fn(&Flow) -> bool) -> Vec<PassId> {
        let waits = |p: &Pass| {
            p.is_open()
                && p.clients().all(|id| {
                    self.clients.get(&id).is_some_and(|t| !t.is_proceeding() && there(&t.flow))
                })
        };
        let mut all: Vec<PassId> =
            self.passes.iter().filter(|(_, p)| waits(p)).map(|(id, _)| *id).collect();
        all.sort_unstable();
        all
    }

    /// Passes that wait for whom `there` means, whether anything came from there or not; oldest
    /// first.
    pub(crate) fn waiting_for(&self, there: impl Fn(&Flow) -> bool) -> Vec<PassId> {
        let mut all: Vec<PassId> = self.passes.keys().copied().collect();
        all.retain(|id| self.waits_at(*id, &there));
        all.sort_unstable();
        all
    }

    /// A pass waits for whom `there` means, and for nobody else.
    pub(crate) fn waits_at(&self, pass: PassId, there: impl Fn(&Flow) -> bool) -> bool {
        let Some(p) = self.passes.get(&pass).filter(|p| p.waits()) else { return false };
        p.pending().all(|id| self.clients.get(&id).is_none_or(|t| there(&t.flow)))
    }

    /// Takes a pass back: its branches are sent no more, and whoever answers one after all is
    /// cancelled or sent away. The server transaction waits for another pass; `None`: it is over.
    pub(crate) fn take_back(
        &mut self,
        w: &World,
        out: &mut Outbox,
        pass: PassId,
    ) -> Option<ServerId> {
        let p = self.passes.get_mut(&pass).filter(|p| p.is_open() || p.is_shelved())?;
        let server = p.server();
        let rings = p.withdraw(&[ELSEWHERE.to_vec()]);
        for client in rings {
            self.hears(client);
            self.timers.stop(Due::Client(client, Timer::C));
            let proceeding = self.clients.get_mut(&client).map(|t| {
                t.quiet = true;
                t.is_proceeding() && t.is_invite()
            });
            if proceeding == Some(true) {
                self.cancel_client(w, out, client, &[ELSEWHERE.to_vec()]);
            }
        }
        self.leave_withdrawn(Some(pass));
        self.servers.get_mut(&server).filter(|t| t.is_open())?.pass = None;
        Some(server)
    }

    /// A failure in our own words for what a pass was for that is over.
    pub(crate) fn fail(
        &mut self,
        w: &World,
        out: &mut Outbox,
        (server, purpose): (ServerId, Purpose),
        response: Message,
    ) {
        self.respond(w, out, server, &response);
        self.heard.push_back(Heard::Failed { purpose, response });
    }

    /// What its branches say counts no more.
    pub(crate) fn end(&mut self, pass: PassId) {
        self.passes.get_mut(&pass).into_iter().for_each(Pass::end);
    }

    /// Where nobody answers this pass, or all who do refuse, the core has other ways to try.
    pub(crate) fn insist(&mut self, pass: PassId) {
        self.passes.get_mut(&pass).into_iter().for_each(Pass::insist);
    }

    /// Whoever is asked cannot be reached. Where the core may find within seconds that nobody is
    /// there, and has another way then, that is waited for; a PBX that begins anew may be back.
    /// What ends or changes something there is tried for as long as a datagram would be sent
    /// again: who never hears of it goes on as if nothing had been said.
    pub(super) fn unreachable(&mut self, w: &World, out: &mut Outbox, id: ClientId) {
        let t1 = w.config().timers.t1;
        if self.is_held(w, id) {
            self.timers.set(Due::Again(id), w.now().mono + t1);
        } else if self.clients.get(&id).is_some_and(|t| is_kept(w, t)) {
            self.timers.set(Due::Again(id), w.now().mono + t1 * 2);
        } else {
            self.client_event(w, out, id, Event::TransportError);
        }
    }

    fn is_held(&self, w: &World, id: ClientId) -> bool {
        let survive = &w.config().survive;
        let Some(t) = self.clients.get(&id).filter(|t| t.is_unheard()) else { return false };
        let decided = t.began + survive.after + w.config().timers.t1 * 2;
        let pass = t.pass().and_then(|pass| self.passes.get(&pass));
        survive.is_on()
            && w.side(t.flow.listener) == Side::Outside
            && w.now().mono < decided
            && pass.is_some_and(|p| p.is_open() && !p.insists() && !p.has_spare(id))
    }

    /// It is tried again whether it is there by now; a datagram is sent again anyway.
    pub(super) fn again(&self, out: &mut Outbox, id: ClientId) {
        let waits = |t: &&Client| t.is_unheard() && t.flow.transport.is_reliable();
        if let Some(t) = self.clients.get(&id).filter(waits) {
            out.transmit(t.flow, t.bytes.clone());
        }
    }

    /// Whoever is asked says nothing; who has other ways is told, once.
    pub(super) fn silent_for(&mut self, pass: Option<PassId>) {
        let insists = pass.and_then(|id| self.passes.get(&id)).is_some_and(Pass::insists);
        self.heard.extend(pass.filter(|_| insists).map(Heard::Exhausted));
    }

    /// There is no other way: what was answered goes back; what may be answered yet is waited for.
    pub(crate) fn give_in(&mut self, w: &World, out: &mut Outbox, pass: PassId) {
        if self.passes.get(&pass).is_some_and(Pass::has_failed) {
            self.conclude(w, out, pass);
        }
    }

    /// A branch is over: a pass that was taken back ends with its last one.
    pub(super) fn leave_withdrawn(&mut self, pass: Option<PassId>) {
        let Some(id) = pass else { return };
        let over = self.passes.get(&id).is_some_and(|p| {
            p.is_withdrawn() && p.clients().all(|client| !self.clients.contains_key(&client))
        });
        if over {
            self.forget_pass(id);
        }
    }
}

/// A request within a dialog, or a CANCEL, that nobody outside has answered and that goes by a
/// stream. An INVITE is tried anew by who sent it.
fn is_kept(w: &World, t: &Client) -> bool {
    let within = *t.request.method() == Method::Cancel || t.request.to_tag().is_some();
    let outside = w.side(t.flow.listener) == Side::Outside && t.flow.transport.is_reliable();
    within && outside && !t.is_invite() && t.is_unheard()
}
