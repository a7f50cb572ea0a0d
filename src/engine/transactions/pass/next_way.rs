//! One request by another way: the next target of who is asked (RFC 3263 §4.3), or the stream for
//! what is too long for a datagram (RFC 3261 §18.1.1). It knows no upstream: ways are handed to it.

use super::super::client::own;
use super::{BranchState, Due, Heard, Spare, Timer, Transactions};
use crate::engine::ids::{ClientId, PassId};
use crate::engine::outbox::Outbox;
use crate::engine::world::World;
use crate::ground::{Flow, Mono};
use crate::wire::sip::{Message, Method, Name, NameAddr, Scheme};
use std::time::Duration;

/// The longest request that goes as a datagram where a stream leads to the same host: 200 octets
/// less than the usual MTU, for the answer may be longer (RFC 3261 §18.1.1).
const DATAGRAM: usize = 1_300;

/// Why another way is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// This one leads nowhere, or whoever is there sends us on.
    Failed,
    /// Nothing was heard: whoever was asked may still answer, and is a branch as any other.
    Silence,
}

/// A request that goes on by another way.
#[derive(Debug)]
pub(crate) struct Onward {
    pub(crate) pass: PassId,
    /// The branch that was tried before.
    client: ClientId,
    /// The way.
    pub(crate) flow: Flow,
    mark: String,
    request: Message,
}

impl Transactions {
    /// Whoever was asked has said nothing for a while: another is asked.
    pub(in crate::engine::transactions) fn next_target(
        &mut self,
        w: &World,
        out: &mut Outbox,
        client: ClientId,
    ) {
        let Some(t) = self.clients.get(&client).filter(|t| !t.is_proceeding()) else { return };
        let (flow, began, pass) = (t.flow, t.began, t.pass());
        if pass.is_some_and(|pass| self.try_next(w, out, pass, client, Why::Silence)) {
            self.heard.push_back(Heard::Missed(flow, began));
        } else {
            self.silent_for(pass);
        }
    }

    /// A datagram came back: whoever was asked is not there now, and the next is asked at once,
    /// where there is one. Who is asked alone may be there again for a repetition. The branch, a
    /// random one, shows that whoever says so has seen the request.
    pub(crate) fn undelivered(&mut self, w: &World, out: &mut Outbox, flow: &Flow, quoted: &[u8]) {
        let known = asked_in(quoted).and_then(|key| self.client_keys.get(&key).copied());
        let there = |id: &ClientId| {
            self.clients
                .get(id)
                .is_some_and(|t| (t.flow.peer, t.flow.listener) == (flow.peer, flow.listener))
        };
        if let Some(client) = known.filter(there) {
            self.next_target(w, out, client);
        }
    }

    /// Whoever is asked there is gone, as its probe says: of INVITEs that it took and that ring
    /// nowhere another is asked (RFC 3263 §4.3). It stays a branch: it may have been slow alone.
    pub(crate) fn gone(&mut self, w: &World, out: &mut Outbox, flow: &Flow) {
        let at = |id| (flow.listener, flow.peer, ClientId::new(id));
        let all = self.ways.range(at(0)..=at(u64::MAX));
        let ids: Vec<ClientId> = all.map(|(_, _, id)| *id).collect();
        for client in ids {
            let took =
                |t: &&super::Client| t.is_proceeding() && *t.request.method() == Method::Invite;
            let pass = self.clients.get(&client).filter(took).and_then(|t| t.pass());
            let Some(id) = pass else { continue };
            let branch = self.passes.get_mut(&id).and_then(|p| p.branch_mut(client));
            if branch.is_some_and(|b| !b.rang && !b.left) {
                self.try_next(w, out, id, client, Why::Silence);
            }
        }
    }

    /// Whoever was asked was waited for as long as anybody is (Timer C): nobody else is asked after
    /// him, or each target would ring for minutes, one after the other.
    pub(in crate::engine::transactions) fn last_way(&mut self, client: ClientId) {
        let pass = self.clients.get(&client).and_then(super::Client::pass);
        let branch = pass.and_then(|id| self.passes.get_mut(&id)?.branch_mut(client));
        branch.into_iter().for_each(|b| b.spare = Spare::default());
    }

    /// One that was left, and that nobody waits for, rings after all: it is cancelled now.
    pub(super) fn cancel_left(
        &mut self,
        w: &World,
        out: &mut Outbox,
        pass: PassId,
        client: ClientId,
    ) {
        let branch = self.passes.get_mut(&pass).and_then(|p| p.branch_mut(client));
        if let Some(reasons) = branch.filter(|b| b.left).and_then(|b| b.cancel.take()) {
            self.cancel_client(w, out, client, &reasons);
        }
    }

    /// The same request by the next way, where there is one (RFC 3263 §4.3).
    pub(super) fn try_next(
        &mut self,
        w: &World,
        out: &mut Outbox,
        pass: PassId,
        client: ClientId,
        why: Why,
    ) -> bool {
        let Some(p) = self.passes.get_mut(&pass).filter(|p| !p.done && !p.cancelled) else {
            return false;
        };
        let began = p.began;
        let Some(b) = p.branch_mut(client).filter(|b| !b.given_up) else { return false };
        let Some(flow) = b.spare.next() else { return false };
        let plain = self.clients.get(&client).is_some_and(|t| !t.is_invite());
        let over = |began: Mono| began + w.timing(&flow).give_up() <= w.now().mono;
        if plain && began.is_some_and(over) {
            return false;
        }
        match why {
            Why::Failed => (b.state, b.given_up) = (BranchState::Final, true),
            Why::Silence => b.left = true,
        }
        let Some(t) = self.clients.get_mut(&client) else { return false };
        t.quiet = true;
        // What was said of our media is of another IP version, or of another address of ours.
        let other = t.flow.peer.is_ipv4() != flow.peer.is_ipv4() || t.own != own(w, &flow);
        let turns = other && !t.request.body().is_empty();
        let (mark, request) = (t.mark().to_owned(), t.request.clone());
        let onward = Onward { pass, client, flow, mark, request };
        if why == Why::Failed {
            self.timers.stop(Due::Client(client, Timer::C));
        }
        self.timers.stop(Due::NextTarget(client));
        if turns {
            self.heard.push_back(Heard::Turned(Box::new(onward)));
        } else {
            self.turn(w, out, onward, None);
        }
        true
    }

    /// Takes the next way of a branch that was left; `body`: in place of the one that it sent.
    pub(crate) fn turn(
        &mut self,
        w: &World,
        out: &mut Outbox,
        onward: Onward,
        body: Option<Vec<u8>>,
    ) {
        let Onward { pass, client, mark, mut request, .. } = onward;
        let Some(b) = self.passes.get_mut(&pass).and_then(|p| p.branch_mut(client)) else { return };
        let Some(flow) = b.spare.take() else { return };
        let (mut leg, spare) = (b.leg.clone(), std::mem::take(&mut b.spare));
        if let Some(body) = body {
            request.set_body(body);
        }
        let branch = w.branch(&mark);
        lead_by(w, &mut request, &flow, &branch);
        if let Some(leg) = &mut leg {
            leg.flow = flow;
        }
        self.open_branch(w, out, pass, (request, branch, flow), leg, spare);
    }
}

/// Branch and method of a request of ours, of which there are the first octets: our Via is its
/// first header.
fn asked_in(quoted: &[u8]) -> Option<(String, Method)> {
    let text = quoted.utf8_chunks().next()?.valid();
    let (first, rest) = text.split_once("\r\n")?;
    let via = rest.split_once("\r\n").filter(|(via, _)| via.starts_with("Via:"))?.0;
    let branch = via.split(';').find_map(|p| p.strip_prefix("branch="))?;
    Some((branch.to_owned(), Method::from_token(first.split(' ').next()?)))
}

/// For how long who answers so asks to be spared (RFC 3261 §21.5.4).
pub(crate) fn spared(response: &Message) -> Option<Duration> {
    let seconds = response.text(&Name::RetryAfter).filter(|_| response.status() == 503)?;
    let digits = seconds.trim_start().split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok().map(Duration::from_secs)
}

/// Too long for a datagram, where there is another way.
pub(crate) fn is_long(request: &Message) -> bool {
    request.to_bytes().len() > DATAGRAM
}

/// The stream to the same host by which a request goes that is too long for a datagram (RFC 3261
/// §18.1.1); where that fails, the datagram is next.
pub(super) fn by_stream(request: &Message, flow: &Flow, spare: &mut Spare) -> Option<Flow> {
    if spare.is_empty() || flow.transport.is_reliable() || !is_long(request) {
        return None;
    }
    spare.swap_for_stream(*flow)
}

/// What a request says of the way that it goes: our Via, and the sockets in what we wrote.
pub(super) fn lead_by(w: &World, request: &mut Message, flow: &Flow, branch: &str) {
    let mut first = true;
    request.retain(|name, _| *name != Name::Via || !std::mem::take(&mut first));
    request.push_front(Name::Via, w.via(flow.listener, branch));
    for name in [Name::Contact, Name::RecordRoute] {
        let mut values: Vec<Vec<u8>> = request.rows(&name).map(<[u8]>::to_vec).collect();
        let Some(own) = values.first_mut() else { continue };
        let Some(mut at) = NameAddr::parse(own).filter(|at| w.is_own(&at.uri)) else {
            continue;
        };
        let here = w.net().uri(flow.listener, None);
        at.uri.host.clone_from(&here.host);
        at.uri.port = here.port;
        at.uri.params.remove("transport");
        // SIPS says it all.
        let transport = here.params.get("transport").filter(|_| at.uri.scheme != Scheme::Sips);
        if let Some(transport) = transport {
            at.uri.params.set("transport", Some(transport));
        }
        *own = at.to_string().into_bytes();
        request.remove(&name);
        for value in values {
            request.push_back(name.clone(), value);
        }
    }
}
