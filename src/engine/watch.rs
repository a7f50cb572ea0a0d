//! What the guard is asked and told of requests, by who knows what a source is to us: it joins the
//! guard with phones and upstreams. It answers nobody; coordinators do what it says.

use super::analysis::answer::Answer;
use super::analysis::{Incoming, facts};
use super::digest::{Check, Claim};
use super::guard::{By, Guard, Signal, Standing, behind, is_scanner};
use super::outbox::Outbox;
use super::output::Level;
use super::phones::Phones;
use super::proxy_client::{standing, standing_of};
use super::upstreams::Upstreams;
use super::world::World;
use crate::audit::SecurityClass;
use crate::ground::{Flow, Side};
use crate::policy::quota::Source;
use crate::wire::sip::{Name, Refusal, Uri};

/// The guard among the parts that it is asked by.
pub(super) struct Watch<'a> {
    pub(super) w: &'a World,
    pub(super) out: &'a mut Outbox,
    pub(super) guard: &'a mut Guard,
    pub(super) phones: &'a mut Phones,
    pub(super) upstreams: &'a Upstreams,
}

/// Whether a new request is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entrance {
    /// It is.
    Open,
    /// Its source asks for too much: it hears when to come again.
    Later,
    /// Nothing is said.
    Shut,
}

impl Watch<'_> {
    fn standing(&self, flow: &Flow) -> Standing {
        standing_of(self.w, self.upstreams, self.phones, flow)
    }

    /// A source did something suspect.
    pub(super) fn accuse(&mut self, flow: &Flow, signal: Signal) {
        let standing = self.standing(flow);
        self.guard.accuse(self.w, self.out, (flow, standing), signal);
    }

    /// What a source sent could not be read. Inside, where that is a phone as a rule, whoever
    /// installs it is told; how often, the log's own bounds say.
    pub(super) fn unread(&mut self, flow: Flow, refusal: &Refusal) {
        let side = self.w.side(flow.listener);
        if refusal.answerable.is_none() {
            self.accuse(&flow, Signal::NonSip);
            if side == Side::Inside {
                let text =
                    format!("from {} came what had no answer: {}", flow.peer, refusal.phrase);
                self.out.notice_of(flow.peer, Level::Info, text);
            }
        }
        self.out.count_rejected(side, refusal.reason);
        self.out.security(SecurityClass::Malformed, flow, refusal.phrase.to_string());
    }

    /// Whether what a banned source sends is read all the same: an upstream or a phone at an
    /// address of its own is not its neighbours of a /64; a phone in need inside that shares an
    /// address with who is guilty dials an emergency number, or has dialled one and talks
    /// (`cries`). Nothing else is: a stream is closed.
    pub(super) fn spares(&mut self, flow: &Flow, bytes: &[u8], cries: bool) -> bool {
        let inside = self.w.side(flow.listener) == Side::Inside;
        let known = self.standing(flow).is_known();
        if known || inside && (cries || facts::begins_urgent(self.w, bytes)) {
            return true;
        }
        self.guard.bars(self.w, self.out, flow);
        false
    }

    /// Before a new request outside dialogs costs anything: no scanner that is banned for it, and
    /// nobody who asks too much at once, but for a few emergency calls. Whoever is known hears when
    /// to come again; a stranger by UDP hears nothing.
    pub(super) fn entrance(&mut self, i: &Incoming) -> Entrance {
        let agent = i.message.text(&Name::UserAgent);
        if agent.is_some_and(|a| is_scanner(a, &self.w.config().bans.agents)) {
            self.accuse(&i.flow, Signal::Scanner);
        }
        let standing = self.standing(&i.flow);
        let barred = self.guard.is_banned(self.w, &i.flow) && !standing.is_known();
        if barred && !facts::is_urgent(self.w, i) {
            self.guard.bars(self.w, self.out, &i.flow);
            return Entrance::Shut;
        }
        let urgent = || facts::is_urgent(self.w, i);
        let room = self.guard.has_room(self.w, self.out, (&i.flow, standing), urgent);
        match (room, standing) {
            (true, _) => Entrance::Open,
            (false, Standing::Stranger) if !i.flow.transport.is_reliable() => Entrance::Shut,
            (false, Standing::Stranger | Standing::Phone | Standing::Friend) => Entrance::Later,
        }
    }

    /// Judges the credentials of a request, unless too many were wrong just before.
    pub(super) fn check_digest(&mut self, i: &Incoming, header: &Name) -> Check {
        let claim = self.phones.claim(i, header);
        let user = match &claim {
            Claim::Ready(ready) => ready.user().to_owned(),
            Claim::Forged => {
                self.accuse(&i.flow, Signal::ForgedNonce);
                return self.phones.judge(self.w, i, claim);
            }
            Claim::None | Claim::Moved | Claim::Faulty(_) => {
                return self.phones.judge(self.w, i, claim);
            }
        };
        let by = By::of(self.w, i, self.standing(&i.flow));
        if !self.guard.hears(self.w, self.out, &by, &user) {
            return Check::Paused;
        }
        let check = self.phones.judge(self.w, i, claim);
        self.guard.compared(self.w, self.out, &by, &user, &check);
        check
    }

    /// After a restart phones are where they proved themselves.
    pub(super) fn remember_phones(&mut self) {
        if !self.w.is_registrar() {
            return;
        }
        for b in self.phones.stored(self.w, self.w.now()) {
            let peer = b.source.unwrap_or(b.peer);
            let at = standing(self.w, self.phones, peer.ip());
            let known = at.is_known();
            let host = match self.w.net().bound_to(b.local, b.transport) {
                Some(listener) => {
                    let (transport, conn, upstream) = (b.transport, None, None);
                    let flow = Flow { listener, transport, peer, conn, upstream };
                    behind(self.w, &flow, Uri::parse(b.contact.as_bytes()).as_ref())
                }
                None => Source::host(peer.ip()),
            };
            self.guard.proved(self.w, (host, peer), &b.aor.user, known);
        }
    }
}

/// The answer to credentials that nobody looked at. By UDP there is none: a phone in the right
/// sends again, and is heard when the pause is over. By a stream nobody sends again.
pub(super) fn unheard(i: &Incoming) -> Option<Answer<'static>> {
    i.flow.transport.is_reliable().then(|| Answer::new(403, "Forbidden"))
}
