//! REGISTER: answered here where we are the registrar, sent on to an upstream where that is. What a
//! binding is, `phones` knows.

use super::Engine;
use super::analysis::answer;
use super::analysis::body::Way;
use super::analysis::headers::{Crossing, carry};
use super::analysis::{Incoming, Veil};
use super::attempt::Attempt;
use super::digest::Check;
use super::forking::unavailable;
use super::ids::{ServerId, UpstreamId};
use super::phones::{Registered, own};
use super::purpose::Purpose;
use super::stats::RegisterResult;
use super::watch::unheard;
use crate::config::Allow;
use crate::ground::Side;
use crate::wire::sip::{Name, NameAddr};
use std::sync::Arc;

impl Engine {
    /// A REGISTER for us that policy lets in.
    pub(super) fn register_here(&mut self, i: &Incoming) {
        let asked = self.phones.asks_for_proof(&self.world, i);
        let check = asked.then(|| self.watch().check_digest(i, &Name::Authorization));
        if check == Some(Check::Paused) {
            self.out.count_register(RegisterResult::Refused);
            unheard(i).iter().for_each(|answer| self.refuse(i, answer));
            return;
        }
        match self.phones.register(&self.world, &mut self.out, i, check) {
            Registered::Refused(refused) => {
                let asked = (&i.message, i.octets);
                answer::send(&self.world, &mut self.out, asked, i.reply, &refused);
            }
            Registered::Answered { user, response } => {
                for m in self.phones.take_moves(&self.world) {
                    self.transactions.moved(&mut self.out, &m.old, m.new, &m.contact);
                }
                let from = self.world.net().source(&i.flow);
                let holder = self.world.holder(Some(&own(&self.world, &user)), false, from);
                match self.seat(i, holder) {
                    Some(seat) => {
                        self.transactions.answer(&self.world, &mut self.out, i, seat, &response);
                    }
                    None => self.out.transmit(i.reply, response.to_bytes()),
                }
            }
        }
    }

    /// Sends a REGISTER on.
    pub(super) fn register_there(
        &mut self,
        a: &Attempt,
        server: ServerId,
        id: UpstreamId,
        allow: &Allow,
    ) {
        let i = &a.incoming;
        let mut request = i.message.clone();
        let way = Way { to: Side::Outside, role: None, allow };
        if let Err(refusal) = self.carrier().carry(&mut request, &way) {
            let pass = self.transactions.open_pass(server, i.flow.listener, Purpose::Other);
            self.refuse_body(pass, None, &refusal);
            return;
        }
        let (w, out) = (&self.world, &mut self.out);
        let ways = self.upstreams.ways(w, id, a).ok();
        let Some((upstream, (flow, spare))) = self.upstreams.get(w, id).zip(ways) else {
            let answer = unavailable(&a.route).to(w, &i.message);
            self.transactions.say(w, out, server, answer);
            return;
        };
        let mut pending = match self.phones.pending(w, out, (i, server), upstream) {
            Ok(pending) => pending,
            Err(answer) => {
                self.transactions.say(w, out, server, *answer);
                return;
            }
        };
        if !self.phones.may_return(w, &pending) {
            self.register_edge(a, server, id);
            return;
        }
        if let Err(answer) = self.phones.hold_places(w, out, &i.message, &pending) {
            self.transactions.respond(w, out, server, &answer);
            return;
        }
        let side = w.side(flow.listener);
        let domain = upstream.domain.as_str();
        let veil = Veil::new(w, &self.phones);
        pending.seal_contacts(w, &mut request, flow);
        let uri = veil.far_uri(&i.uri, domain);
        let far = |name: &Name| {
            veil.far_name(i.message.first(name).unwrap_or_default(), side, Some(domain))
        };
        let call_id = veil.far_call_id(i.call_id(), a.sender.side, side);
        let x = Crossing {
            commands: false,
            from: a.sender.side,
            to: side,
            egress: flow.listener,
            uri: uri.to_string(),
            from_value: far(&Name::From),
            to_value: untagged(far(&Name::To)),
            call_id: &call_id,
            routes: &[],
            contact: None,
            record_route: None,
            allow,
            trusted: false,
            near: i.flow.peer.ip(),
            domain: Some(domain),
            mark: &i.mark,
        };
        let (far, branch) = carry(w, veil, &self.calls, out, &request, &x);
        let purpose = Purpose::Register(Arc::new(pending));
        let pass = self.transactions.open_pass(server, i.flow.listener, purpose);
        self.transactions.open_branch(w, out, pass, (far, branch, flow), None, spare);
    }
}

/// A REGISTER is of no dialog (RFC 3261 §10.2): a tag in its To means nothing to the registrar, and
/// may say what nobody outside should read.
fn untagged(to: Vec<u8>) -> Vec<u8> {
    match NameAddr::parse(&to).filter(|name| name.tag().is_some()) {
        Some(mut name) => {
            name.params.remove("tag");
            name.to_string().into_bytes()
        }
        None => to,
    }
}
