//! Answers as they come: to which request of ours each belongs. One that can be read in part alone
//! does not vanish: whoever asked hears 502 at once, and who took an INVITE gets ACK and BYE. It
//! reads no octets; the wire did.

use super::lost::Rider;
use super::{Action, Heard, Transactions};
use crate::engine::ids::ClientId;
use crate::engine::outbox::Outbox;
use crate::engine::world::World;
use crate::ground::{Flow, Side};
use crate::wire::sip::{Message, Method, Name, RejectReason, Torn, Via};

/// What whoever asked is told.
pub(crate) const BROKEN: &str = "Broken Answer";

/// Methods whose answer may say no method that can be read.
const ASKED: [Method; 12] = [
    Method::Invite,
    Method::Bye,
    Method::Register,
    Method::Options,
    Method::Prack,
    Method::Subscribe,
    Method::Notify,
    Method::Publish,
    Method::Info,
    Method::Refer,
    Method::Message,
    Method::Update,
];

impl Transactions {
    /// A response came: to which client transaction does it belong (RFC 3261 §17.1.3)? Whoever has
    /// seen the request knows its branch: `asked` says whether it went where the response is from.
    pub(crate) fn receive(
        &mut self,
        w: &World,
        out: &mut Outbox,
        flow: Flow,
        response: Message,
        asked: impl Fn(&Flow) -> bool,
    ) {
        let via = response.list(&Name::Via).next().and_then(Via::parse);
        let branch = via.and_then(|via| via.branch().map(str::to_owned));
        let method = response.cseq().method.clone();
        let known = branch.and_then(|b| self.client_keys.get(&(b, method)).copied());
        let Some((id, t)) = known.and_then(|id| Some((id, self.clients.get_mut(&id)?))) else {
            // RFC 6026 §7.3: a response without a transaction goes nowhere.
            out.count_rejected(w.side(flow.listener), RejectReason::StrayResponse);
            return;
        };
        if !asked(&t.flow) && !t.left.as_ref().is_some_and(asked) {
            out.count_rejected(w.side(flow.listener), RejectReason::Source);
            return;
        }
        self.take(w, out, flow, id, response);
    }

    /// The answer of a request of ours.
    fn take(&mut self, w: &World, out: &mut Outbox, flow: Flow, id: ClientId, response: Message) {
        let Some(t) = self.clients.get_mut(&id) else { return };
        // A retried connection or a phone's moved port: answers name the transport they came by.
        if flow.transport == t.flow.transport && flow.conn.is_some() {
            self.riders.leave(t.rides(flow.conn), Rider::Client(id));
            self.riders.board(flow.conn, Rider::Client(id));
        }
        let asked_at = t.flow;
        let (pass, status, method) = (t.pass(), response.status(), t.request.method().clone());
        let actions = t.hears(status);
        if !actions.contains(&Action::Up) {
            out.stats_mut().retransmissions[w.side(flow.listener).index()][1] += 1;
        }
        self.hears(id);
        if w.config().survive.is_on() && w.side(flow.listener) == Side::Outside {
            let (flow, client) = (asked_at, id);
            self.heard.push_back(Heard::Answered { flow, client, pass, method, status });
        }
        self.run_client(w, out, id, actions, Some(response));
    }

    /// A response that is not as it must be: one that is on its way counts as 100; a final one is
    /// final. What it answers; `None`: nothing that was asked there.
    pub(crate) fn receive_torn(
        &mut self,
        w: &World,
        out: &mut Outbox,
        flow: Flow,
        (torn, why): (&Torn, &str),
        asked: impl Fn(&Flow) -> bool,
    ) -> Option<Method> {
        let id = self.torn_from(torn)?;
        let t = self.clients.get_mut(&id)?;
        if !asked(&t.flow) && !t.left.as_ref().is_some_and(asked) {
            return None;
        }
        let method = t.request.method().clone();
        let took = method == Method::Invite && (200..300).contains(&torn.status);
        let (status, phrase) = match torn.status {
            ..=199 => (100, "Trying"),
            success @ 200..=299 if took => (success, "OK"),
            // The end of what the caller has given up is no failure.
            487 => (487, "Request Terminated"),
            200.. => (502, BROKEN),
        };
        let mut response = Message::response(&t.request, status, phrase);
        for (name, value) in &torn.rows {
            if *name == Name::To {
                response.set(Name::To, value.clone());
            } else if took {
                response.push_back(name.clone(), value.clone());
            }
        }
        t.fault = took.then(|| why.to_owned());
        self.take(w, out, flow, id, response);
        Some(method)
    }

    fn torn_from(&self, torn: &Torn) -> Option<ClientId> {
        let of = |method: &Method| self.client_keys.get(&(torn.branch.clone(), method.clone()));
        match &torn.method {
            Some(method) => of(method).copied(),
            None => ASKED.iter().find_map(of).copied(),
        }
    }
}
