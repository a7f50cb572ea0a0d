//! A request outside a dialog that may pass: its callee legs, its call, its media, and the branches
//! it is sent on by. Whether it may pass was decided before.

use super::Engine;
use super::analysis::Veil;
use super::analysis::answer::{self, Answer};
use super::analysis::body::{BodyRefusal, Carrier, Role, Way};
use super::analysis::commands::is_granted;
use super::analysis::headers::{Crossing, carry};
use super::attempt::{Attempt, Route};
use super::calls::{Calls, Face, Kind, LegState, Said, Speaker};
use super::ids::{PassId, ServerId};
use super::legs::{asker, legs, spare};
use super::outbox::Outbox;
use super::output::Level;
use super::phones::Phones;
use super::purpose::Purpose;
use super::referring::Referring;
use super::upstreams::Upstreams;
use super::versions;
use super::world::World;
use crate::audit::{Outcome, SecurityClass};
use crate::config::Allow;
use crate::ground::{CallNo, Leg, Side};
use crate::policy::quota::{Full, Resource};
use crate::wire::sip::{Message, Method, Name, RejectReason, Scheme, Uri};

impl Engine {
    /// Nobody here is meant, or we are, by a request that is not for a proxy.
    /// `server`: `None` for who holds no transaction here.
    pub(super) fn answer_unknown(&mut self, a: &Attempt, server: Option<ServerId>) {
        let w = &self.world;
        let (status, phrase) = match (&a.route, a.incoming.method()) {
            (Route::Gateway, _) => (405, "Method Not Allowed"),
            (_, Method::Register) => (403, "No Registrar Here"),
            (_, _) if a.sender.side == Side::Inside && w.config().is_site() => {
                (404, "Not Registered Here")
            }
            (_, _) => (404, "Not Found"),
        };
        let mut said = Answer::new(status, phrase);
        if status == 405 {
            said = said.row(Name::Allow, "OPTIONS");
        }
        match server {
            Some(server) => {
                let response = said.to(w, &a.incoming.message);
                self.transactions.say(w, &mut self.out, server, response);
            }
            None => {
                let asked = (&a.incoming.message, a.incoming.octets);
                answer::send(w, &mut self.out, asked, a.incoming.reply, &said);
            }
        }
        if a.is_invite() {
            let no = self.calls.next_number();
            a.record_call(&mut self.out, no);
            a.record_end(&mut self.out, no, status, Outcome::NotFound);
        }
        if a.is_emergency() {
            tell_unrouted(&self.world, &mut self.out, a);
        }
    }

    /// An INVITE that begins a call.
    pub(super) fn invite(&mut self, a: &Attempt, server: ServerId, allow: &Allow) {
        let i = &a.incoming;
        let no = self.calls.resume(i).unwrap_or_else(|| {
            let no = self.calls.next_number();
            a.record_call(&mut self.out, no);
            no
        });
        let Some(legs) = legs(self.known(), a, allow) else {
            let answer = unavailable(&a.route).to(&self.world, &i.message);
            let status = answer.status();
            self.transactions.say(&self.world, &mut self.out, server, answer);
            a.record_end(&mut self.out, no, status, Outcome::of_status(status));
            return;
        };
        self.begin_call(a, no, Kind::Call);
        let (egress, far_id) =
            legs.first().map_or((i.flow.listener, ""), |l| (l.listener(), l.call_id.as_str()));
        let call_ids = [i.call_id(), far_id];
        self.calls.prepare_media(&self.world, no, [i.flow.listener, egress], call_ids);
        let who = Speaker::new(Leg::Caller, &i.flow);
        let mut request = i.message.clone();
        if a.is_cry() {
            only_call(&mut request);
        }
        let role = Some(Role { call: no, who, offers: true });
        let way = Way { to: self.world.side(egress), role, allow };
        let offered = match self.carrier().carry(&mut request, &way) {
            Ok(carried) => carried.described,
            Err(refusal) => {
                let pass = self.transactions.open_pass(server, i.flow.listener, Purpose::Other);
                self.refuse_body(pass, Some(no), &refusal);
                return;
            }
        };
        let tried = a.tried();
        let insists = tried.is_some();
        let purpose = Purpose::Invite { call: no, offered, tried };
        let pass = self.transactions.open_pass(server, i.flow.listener, purpose);
        if insists {
            self.transactions.insist(pass);
        }
        self.calls.set_pass(no, pass);
        for (index, legs) in versions::by_version(legs).into_iter().enumerate() {
            let way = legs.first().filter(|_| index > 0).map(|leg| leg.flow);
            let again = way.and_then(|way| {
                versions::offer_again(self.carrier(), (no, who), a.incoming.message.clone(), &way)
            });
            again.into_iter().for_each(|body| request.set_body(body));
            self.fork(a, &request, pass, Some(no), legs);
        }
        self.calls.show(&mut self.out, no);
    }

    /// SUBSCRIBE or REFER outside a dialog.
    pub(super) fn subscribe(&mut self, a: &Attempt, server: ServerId, allow: &Allow) {
        let no = self.calls.next_number();
        let Some(legs) = legs(self.known(), a, allow) else {
            self.answer_unknown(a, Some(server));
            return;
        };
        let mut request = a.incoming.message.clone();
        let (w, out) = (&self.world, &mut self.out);
        let mut refer = Referring::new(w, &self.phones, &self.upstreams, &self.calls, out);
        if let Err(refused) = refer.outside_dialog(a, &legs, &mut request) {
            refused.answer(w, out, &mut self.transactions, server);
            return;
        }
        self.begin_call(a, no, Kind::Subscription);
        let said = Said::of(&a.incoming.message);
        let purpose = Purpose::Subscribe { call: no, said: said.clone() };
        let pass = self.transactions.open_pass(server, a.incoming.flow.listener, purpose);
        let way = Way { to: side_of(&legs), role: None, allow };
        if let Err(refusal) = self.carrier().carry(&mut request, &way) {
            self.calls.forget(no);
            self.refuse_body(pass, None, &refusal);
            return;
        }
        if let Some(said) = &said {
            self.calls.asks_for(&self.world, no, (Leg::Caller, None), said);
        }
        self.fork(a, &request, pass, Some(no), legs);
    }

    /// Any other request outside a dialog.
    pub(super) fn plain(&mut self, a: &Attempt, server: ServerId, allow: &Allow) {
        let Some(legs) = legs(self.known(), a, allow) else {
            self.answer_unknown(a, Some(server));
            return;
        };
        let i = &a.incoming;
        let pass = self.transactions.open_pass(server, i.flow.listener, Purpose::Other);
        let mut request = i.message.clone();
        let way = Way { to: side_of(&legs), role: None, allow };
        let carried = legs
            .first()
            .map_or(Ok(()), |far| self.pass_report(&mut request, i, far))
            .and_then(|()| self.carrier().carry(&mut request, &way));
        if let Err(refusal) = carried {
            self.refuse_body(pass, None, &refusal);
            return;
        }
        self.fork(a, &request, pass, None, legs);
    }

    pub(super) fn carrier(&mut self) -> Carrier<'_> {
        let (w, phones) = (&self.world, &self.phones);
        let own = [None; 2];
        Carrier { w, phones, calls: &mut self.calls, out: &mut self.out, own }
    }

    fn begin_call(&mut self, a: &Attempt, no: CallNo, kind: Kind) {
        let caller = asker(&self.world, (&self.phones, &self.upstreams), a);
        let before = spirals_from(&self.world, &self.calls, &self.upstreams, a);
        self.calls.begin(&self.world, a, no, kind, caller, before);
    }

    /// Sends the request to every leg.
    fn fork(
        &mut self,
        a: &Attempt,
        request: &Message,
        pass: PassId,
        no: Option<CallNo>,
        legs: Vec<LegState>,
    ) {
        let allow = a.allow().unwrap_or_default();
        let peer = a.incoming.flow.peer.ip();
        let commands = commands(&self.world, &self.phones, &self.upstreams, a);
        for leg in legs {
            let w = &self.world;
            let egress = leg.listener();
            let near = self.upstreams.domain(w, a.sender.upstream);
            let shown_to = leg.flow.peer.ip();
            let face = |call| Face { call, leg: Leg::Caller, tag: None, peer: shown_to, egress };
            let contact = match no {
                Some(no) => Some(self.calls.leg_contact(w, face(no), near)),
                None => request.has(&Name::Contact).then(|| plain_contact(w, &leg)),
            };
            let route = |no| self.calls.leg_route(w, face(no));
            let x = Crossing {
                from: a.sender.side,
                to: leg.side,
                egress,
                uri: leg.target(),
                from_value: leg.from.clone(),
                to_value: leg.to.clone(),
                call_id: &leg.call_id,
                routes: &leg.routes,
                contact,
                record_route: no.and_then(route),
                allow: &allow,
                trusted: self.upstreams.is_trusted(w, a.sender.upstream),
                commands,
                near: peer,
                domain: self.upstreams.domain(w, leg.upstream),
                mark: &a.incoming.mark,
            };
            let veil = Veil::new(w, &self.phones);
            let (far, branch) = carry(w, veil, &self.calls, &mut self.out, request, &x);
            if let Some(no) = no {
                self.calls.asks(w, &mut self.out, no, &leg);
            }
            let way = (far, branch, leg.flow);
            let spare = spare(self.known(), a, &leg);
            self.transactions.open_branch(w, &mut self.out, pass, way, Some(leg), spare);
        }
    }

    /// A body was refused: the request is, too; a new call ends here.
    pub(super) fn refuse_body(&mut self, pass: PassId, call: Option<CallNo>, r: &BodyRefusal) {
        let (w, out) = (&self.world, &mut self.out);
        let Some(p) = self.transactions.pass(pass) else { return };
        let Some(t) = self.transactions.server(p.server()) else { return };
        let flow = t.reply();
        let mut response = w.answer(t.request(), r.status, r.phrase);
        if r.status == 503 {
            response.push_back(Name::RetryAfter, "10");
            out.stats_mut().ports_exhausted += 1;
        }
        if r.status == 415 {
            // §21.4.13: what would have been taken, by type and by encoding.
            response.push_back(Name::Accept, "application/sdp");
            response.push_back(Name::parse("Accept-Encoding"), "identity");
        }
        out.count_rejected(w.side(p.ingress()), r.reason);
        out.notice_of(flow.peer, Level::Warn, format!("from {}: {}", flow.peer, r.why));
        let stranger = r.reason == RejectReason::Source;
        let class =
            if stranger { SecurityClass::InDialogSource } else { SecurityClass::MediaRefused };
        if r.status == 503 {
            out.no_room(w.side(p.ingress()), &flow, Resource::Ports, Full::Total);
        } else {
            out.security(class, flow, r.why.clone());
        }
        self.transactions.settle(w, out, pass, &response);
        if let Some(no) = call {
            let outcome = if r.status == 503 { Outcome::NoCapacity } else { Outcome::Rejected };
            self.calls.end_attempt(w, out, no, r.status, outcome);
        }
    }
}

/// Whether the sender may make the phones that it calls answer by themselves.
fn commands(w: &World, phones: &Phones, upstreams: &Upstreams, a: &Attempt) -> bool {
    let Route::Bindings(keys) = &a.route else { return false };
    let trusted = upstreams.is_trusted(w, a.sender.upstream);
    is_granted(w, phones, &a.incoming, (&a.sender, trusted), keys)
}

/// The call whose other pass this is: what we showed its far side comes back from there.
fn spirals_from(w: &World, calls: &Calls, upstreams: &Upstreams, a: &Attempt) -> Option<u64> {
    let (i, upstream) = (&a.incoming, a.sender.upstream);
    calls.pass_before(w, i, upstream, |peer| {
        peer == i.flow.peer.ip() || upstream.is_some_and(|id| upstreams.is_source(w, id, peer))
    })
}

/// Our Contact in a request that begins nothing, by the scheme of its Request-URI.
fn plain_contact(w: &World, leg: &LegState) -> Uri {
    let uri = w.net().uri(leg.listener(), None);
    let sips = leg.contact.as_ref().is_some_and(|c| c.scheme == Scheme::Sips);
    if sips { uri.secured() } else { uri }
}

/// The side a request goes to.
fn side_of(legs: &[LegState]) -> Side {
    legs.first().map_or(Side::Outside, |l| l.side)
}

/// An emergency call reaches nobody: said each time, whatever else is summed.
fn tell_unrouted(w: &World, out: &mut Outbox, a: &Attempt) {
    out.stats_mut().emergency_unrouted += 1;
    let why = match &w.config().policy.emergency_target {
        Some(target) => format!("emergency.target {target} is not registered"),
        None => "there is no trunk, and emergency.target names no phone".to_owned(),
    };
    let ip = a.incoming.flow.peer.ip();
    let number: String = a.parties.to.result().escape_debug().take(64).collect();
    let text = format!("EMERGENCY CALL to {number} reaches nobody, from {ip}: {why}");
    out.notice_of(a.incoming.flow.peer, Level::Error, text);
}

/// What would make more of an emergency call of nobody known than a call is taken out.
fn only_call(request: &mut Message) {
    let others = [Name::Replaces, Name::TargetDialog, Name::ReferTo, Name::parse("Join")];
    request.retain(|name, value| {
        let takes_over = |tag: &[u8]| {
            let tag = tag.trim_ascii();
            ["replaces", "join", "tdialog"].iter().any(|t| tag.eq_ignore_ascii_case(t.as_bytes()))
        };
        let asks = *name == Name::Require && value.split(|b| *b == b',').any(takes_over);
        !others.contains(name) && !asks
    });
}

/// Nobody is reached: a phone, or the upstream, whom it is worth to try again.
pub(super) fn unavailable(route: &Route) -> Answer<'static> {
    match route {
        Route::Upstream(_) => {
            Answer::new(503, "The Outside Cannot Be Reached").row(Name::RetryAfter, "10")
        }
        Route::Bindings(_) | Route::Gateway | Route::Unknown => {
            Answer::new(480, "Temporarily Unavailable")
        }
    }
}
