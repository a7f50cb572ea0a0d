//! Requests within a dialog: whose they are, whether they may come from there, and what the other
//! leg gets. Policy was asked when the dialog began.

use super::alone::Within;
use super::analysis::answer::Answer;
use super::analysis::body::{BodyRefusal, Role, Way};
use super::analysis::commands::{is_commanding, is_own_word};
use super::analysis::headers::{Crossing, carry};
use super::analysis::{Incoming, Veil, said_of_itself};
use super::calls::{Face, Place, Said, Speaker};
use super::ending::refuse_all;
use super::ids::ServerId;
use super::next_hop::{Known, find, next_hop};
use super::proxy_client::is_party;
use super::purpose::{InDialog, Purpose};
use super::referring::Referring;
use super::streams::Streams;
use super::transactions::{Spare, is_long};
use super::world::with_tag;
use super::{Engine, Level, alone, unreached};
use crate::audit::{EndedBy, SecurityClass};
use crate::ground::{Flow, Leg, Side};
use crate::wire::sip::{Message, Method, Name, RejectReason};
use std::sync::Arc;

impl Engine {
    /// A request with both tags.
    pub(super) fn within_dialog(&mut self, i: &Incoming) {
        let found = place(self.known(), &self.streams, i);
        let Some(place) = found else {
            self.out.count_rejected(i.side, RejectReason::NoDialog);
            self.refuse(i, &Answer::new(481, "Call/Transaction Does Not Exist"));
            return;
        };
        if let Some((does, phrase)) = objection(self.known(), i, &place) {
            self.out.count_rejected(i.side, RejectReason::Source);
            let detail = format!("{} {does} call {}", i.method(), place.call);
            self.out.security(SecurityClass::InDialogSource, i.flow, detail);
            self.refuse(i, &Answer::new(403, phrase));
            return;
        }
        let Some(seat) = self.seat_within(i, &place) else { return };
        self.calls.follow(&self.world, &place, i);
        let server = self.transactions.accept(&self.world, &mut self.out, i, seat);
        if let Err(refusal) = unreached::of_request(self.known(), i, &place) {
            self.reaches_nobody(i, &place, server, &refusal);
            return;
        }
        let cut_off = alone::is_cut_off(self.known(), &place);
        if cut_off && !i.is(&Method::Bye) {
            return Within::of(self).refuse(server, &i.message);
        }
        let mut request = i.message.clone();
        let (w, out) = (&self.world, &mut self.out);
        let mut refer = Referring::new(w, &self.phones, &self.upstreams, &self.calls, out);
        if let Err(refused) = refer.within_dialog(i, &place, &mut request) {
            refused.answer(w, out, &mut self.transactions, server);
            return;
        }
        let late = self.calls.has_offered(place.call, place.leg.other());
        let is_answer = i.is(&Method::Prack) && late;
        let who = Speaker::new(place.leg, &i.flow);
        let negotiates = negotiates(i.method()) && self.calls.has_media(place.call);
        let role = negotiates.then_some(Role { call: place.call, who, offers: !is_answer });
        let way = Way { to: place.far.side, role, allow: &place.allow };
        // The call's media belong to the fork that answered first.
        let surplus = negotiates && self.calls.is_surplus(place.call, &place.tag);
        let carried = of_another_fork(surplus && !request.body().is_empty())
            .and_then(|()| self.pass_report(&mut request, i, &place.far))
            .and_then(|()| self.carrier().carry(&mut request, &way));
        let described = match carried {
            Ok(carried) => carried.described && negotiates,
            Err(refusal) => {
                let pass = self.transactions.open_pass(server, i.flow.listener, Purpose::Other);
                self.refuse_body(pass, None, &refusal);
                return;
            }
        };
        if i.is(&Method::Bye) {
            self.calls.ending(&self.world, place.call, place.leg, &place.tag);
        }
        let said = Said::of(&i.message);
        if let Some(said) = &said {
            let by = (place.leg, Some(place.tag.as_str()));
            self.calls.asks_for(&self.world, place.call, by, said);
        }
        let purpose = purpose(i, &place, described && !is_answer, said);
        let pass = self.transactions.open_pass(server, i.flow.listener, purpose);
        let way = self.carry_in_dialog(&request, i, &place);
        let beside = beside(self.known(), &place, &way);
        self.transactions.open_branch(&self.world, &mut self.out, pass, way, None, beside);
        if cut_off {
            alone::News::of(self).leave(pass);
        }
    }

    /// Who is meant is reached by no way. Who hangs up has hung up all the same.
    fn reaches_nobody(&mut self, i: &Incoming, p: &Place, server: ServerId, r: &BodyRefusal) {
        let bye = i.is(&Method::Bye);
        if bye && r.status == 480 {
            unreached::tell(&mut self.out, i.side, i.flow.peer, r);
            self.calls.ending(&self.world, p.call, p.leg, &p.tag);
            let ok = self.world.answer(&i.message, 200, "OK");
            self.transactions.respond(&self.world, &mut self.out, server, &ok);
        } else {
            let pass = self.transactions.open_pass(server, i.flow.listener, Purpose::Other);
            self.refuse_body(pass, None, r);
        }
        if bye {
            let (w, out) = (&self.world, &mut self.out);
            self.calls.end_fork(w, out, p.call, &p.tag, r.status);
        }
    }

    /// ACK to a 2xx: carried to the callee without a transaction (RFC 6026 §8.8 asks no more).
    pub(super) fn receive_ack(&mut self, i: &Incoming) {
        let Some(place) = place(self.known(), &self.streams, i) else { return };
        let seq = i.message.cseq().seq;
        if place.leg != Leg::Caller && !self.calls.has_invited(&place, seq) {
            return;
        }
        if !is_party(self.known(), &place, &i.flow) {
            self.out.count_rejected(i.side, RejectReason::Source);
            self.calls.ack_refused(place.call, i.flow.peer);
            return;
        }
        self.calls.acknowledged(place.call);
        self.calls.follow(&self.world, &place, i);
        if let Err(no) = next_hop(self.known(), Some(place.call), &place.far) {
            let refusal = unreached::of_own(&no, i.method(), place.call);
            unreached::tell(&mut self.out, i.side, i.flow.peer, &refusal);
            self.hang_up(place.call, EndedBy::Error);
            return;
        }
        let mut ack = i.message.clone();
        let mut refused = None;
        if self.calls.has_offered(place.call, place.leg.other()) {
            let who = Speaker::new(place.leg, &i.flow);
            let role = Some(Role { call: place.call, who, offers: false });
            let way = Way { to: place.far.side, role, allow: &place.allow };
            refused = self.carrier().carry(&mut ack, &way).err();
            if refused.is_some() {
                ack.set_body(Vec::new());
                refuse_all(&self.world, &mut ack, i.message.body(), place.far.flow.listener);
            }
            self.calls.close_disabled(&mut self.out, place.call);
        } else if !ack.body().is_empty() {
            // Not an answer to anything: a body here cannot mean media.
            ack.set_body(Vec::new());
        }
        let (ack, _, flow) = self.carry_in_dialog(&ack, i, &place);
        self.out.transmit(flow, ack.to_bytes());
        if let Some(refusal) = refused {
            let text = format!("ACK of call {}: {}", place.call, refusal.why);
            self.out.notice_of(i.flow.peer, Level::Warn, text);
            self.hang_up(place.call, EndedBy::Error);
        }
    }

    pub(super) fn known(&self) -> Known<'_> {
        let (w, upstreams) = (&self.world, &self.upstreams);
        Known { w, upstreams, calls: &self.calls, phones: &self.phones }
    }

    /// The request as the other leg gets it, its branch and its way.
    fn carry_in_dialog(
        &mut self,
        request: &Message,
        i: &Incoming,
        p: &Place,
    ) -> (Message, String, Flow) {
        let [from_value, to_value] = self.far_names(i, p);
        let w = &self.world;
        // Where there is none, that was said before.
        let flow = next_hop(self.known(), Some(p.call), &p.far).unwrap_or(p.far.flow);
        let near = self.upstreams.domain(w, p.near.upstream);
        let face = Face {
            call: p.call,
            leg: p.leg,
            tag: Some(&p.tag),
            peer: p.far.flow.peer.ip(),
            egress: flow.listener,
        };
        let contact = request.has(&Name::Contact).then(|| self.calls.leg_contact(w, face, near));
        // §16.6 step 4: whoever takes the route from this request finds us in it.
        let ack = *request.method() == Method::Ack;
        let x = Crossing {
            commands: false,
            from: p.near.side,
            to: p.far.side,
            egress: flow.listener,
            uri: p.far.target(),
            from_value,
            to_value,
            call_id: &p.far.call_id,
            routes: &p.far.routes,
            contact,
            record_route: (!ack).then(|| self.calls.leg_route(w, face)).flatten(),
            allow: &p.allow,
            trusted: self.upstreams.is_trusted(w, p.near.upstream),
            near: p.near.flow.peer.ip(),
            domain: self.upstreams.domain(w, p.far.upstream),
            mark: &i.mark,
        };
        let veil = Veil::new(w, &self.phones);
        let (far, branch) = carry(w, veil, &self.calls, &mut self.out, request, &x);
        (far, branch, flow)
    }

    /// From and To as the other leg gets them: only the tags are the dialog's (RFC 4916). A name it
    /// has not seen is hidden as at its beginning; at our own registrar it must be the phone's own.
    fn far_names(&mut self, i: &Incoming, p: &Place) -> [Vec<u8>; 2] {
        let caller = with_tag(&p.far.from, &p.caller_tag);
        let callee = with_tag(&p.far.to, &p.tag);
        let [own, other] = match p.leg {
            Leg::Caller => [caller, callee],
            Leg::Callee => [callee, caller],
        };
        let may = self.phones.may_be_called(&self.world, i);
        [(Name::From, own, may), (Name::To, other, true)].map(|(name, first, may)| {
            let value = i.message.first(&name).unwrap_or_default();
            if let Some(known) = self.calls.known_name(p, value) {
                // The display name is as the phone writes it now.
                let own = name == Name::From && p.far.side == Side::Outside;
                return if own {
                    Veil::new(&self.world, &self.phones).far_display(&known)
                } else {
                    known
                };
            }
            if !may {
                return first;
            }
            let domain = self.upstreams.domain(&self.world, p.far.upstream);
            let own = said_of_itself(&i.message);
            let veil = Veil::new(&self.world, &self.phones).over(own);
            let far = veil.far_name(value, p.far.side, domain);
            self.calls.learn_name(p, value, &far);
            far
        })
    }
}

/// What a request in this dialog is for.
fn purpose(i: &Incoming, place: &Place, offered: bool, said: Option<Said>) -> Purpose {
    Purpose::InDialog(Arc::new(InDialog {
        call: place.call,
        leg: place.leg,
        tag: place.tag.clone(),
        offered,
        contact: i.contact(),
        said,
    }))
}

/// Requests whose bodies are offers or answers (RFC 3264 with RFC 3261, RFC 3262, RFC 3311).
fn negotiates(method: &Method) -> bool {
    matches!(method, Method::Invite | Method::Prack | Method::Update)
}

/// The dialog of a request, its parties where they are now.
fn place(k: Known<'_>, streams: &Streams, i: &Incoming) -> Option<Place> {
    let mut place = k.calls.place(k.w, i)?;
    for leg in [&mut place.near, &mut place.far] {
        let bound = k.is_bound(Some(place.call), leg);
        find(k.w, k.phones, streams, leg, bound);
    }
    // Its phone may have two registrations: it is where it speaks from.
    let here = place.near.home.as_ref().and_then(|home| k.phones.speaks_from(k.w, i, home));
    if let Some(home) = here {
        place.near.flow = home.flow();
        place.near.home = Some(home);
    }
    Some(alone::beside_it(k, place))
}

/// What is wrong with a request in this dialog: what it does there, and what its sender is told.
fn objection(k: Known<'_>, i: &Incoming, place: &Place) -> Option<(&'static str, &'static str)> {
    if !is_party(k, place, &i.flow) {
        return Some(("for", "Not A Party Of This Dialog"));
    }
    commands(k, i, place).then_some(("commands a phone in", "Remote Control Not Allowed"))
}

/// A NOTIFY that commands a phone, which did not ask for it, by who is not granted that.
fn commands(k: Known<'_>, i: &Incoming, place: &Place) -> bool {
    let trusted = k.upstreams.is_trusted(k.w, place.near.upstream);
    i.is(&Method::Notify)
        && place.far.side == Side::Inside
        && is_commanding(&i.message)
        && !(trusted && is_own_word(k.w, i))
        && !k.calls.has_asked(place.call, place.leg.other(), &i.message)
}

/// An offer in a fork that the call does not live by.
fn of_another_fork(offers: bool) -> Result<(), BodyRefusal> {
    if !offers {
        return Ok(());
    }
    let why = "an offer in a fork beside the one that answered first".to_owned();
    let (phrase, reason) = ("Not Acceptable Here", RejectReason::Media);
    Err(BodyRefusal { status: 488, phrase, why, reason, session: true })
}

/// Whoever answers within a dialog is that one host: other ways are for what is too long, and for a
/// phone that may have another port than the one that says nothing; not for an INVITE, which two
/// phones could answer.
fn beside(k: Known<'_>, place: &Place, way: &(Message, String, Flow)) -> Spare {
    let other = place.far.home.as_ref().and_then(|home| k.phones.perhaps_at(k.w, home));
    let bound = k.is_bound(Some(place.call), &place.far);
    let plain = *way.0.method() != Method::Invite && !bound;
    if let Some(other) = other.filter(|other| *other != way.2 && plain) {
        return Spare::new(vec![other], [false; 2]);
    }
    let streams = k.upstreams.streams_beside(k.w, place.far.upstream, &way.2);
    let wanted = !streams.is_empty() && is_long(&way.0);
    if wanted { Spare::new(streams, [false; 2]) } else { Spare::default() }
}
