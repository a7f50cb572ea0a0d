//! Requests that we sent: the client transaction, its repetitions, its answers on their way up, and
//! the CANCEL and ACK that belong to it.

use super::invite_client::InviteClient;
use super::lost::Rider;
use super::made::{ack_for, cancel_for};
use super::plain_client::PlainClient;
use super::{Action, Actions, Answer, Due, Event, Heard, Timer, Transactions};
use crate::engine::calls::MAX_FORKS;
use crate::engine::ids::{ClientId, PassId};
use crate::engine::outbox::Outbox;
use crate::engine::world::World;
use crate::ground::{ConnId, Flow, Mono};
use crate::wire::sip::{Message, Method, Name};
use bytes::Bytes;
use std::fmt;
use std::net::IpAddr;

/// Why a branch is cancelled that rang until Timer C (RFC 3326).
const RANG_TOO_LONG: &[u8] = b"SIP;cause=408;text=\"Request Timeout\"";

#[derive(Debug)]
enum Machine {
    Invite(InviteClient),
    Plain(PlainClient),
}

impl Machine {
    fn handle(&mut self, event: Event) -> Actions {
        match self {
            Self::Invite(m) => m.handle(event),
            Self::Plain(m) => m.handle(event),
        }
    }

    /// Timers it, or its response context, may have armed.
    fn timers(&self) -> &'static [Timer] {
        match self {
            Self::Invite(_) => &[Timer::A, Timer::B, Timer::C, Timer::D, Timer::M],
            Self::Plain(_) => &[Timer::E, Timer::F, Timer::K],
        }
    }
}

/// A request we sent.
#[derive(Debug)]
pub(super) struct Client {
    key: (String, Method),
    machine: Machine,
    /// As sent.
    pub(super) request: Message,
    pub(super) bytes: Bytes,
    ack: Bytes,
    /// Where it went.
    pub(super) flow: Flow,
    /// Where our socket was when it was written.
    pub(super) own: Option<IpAddr>,
    /// Where it went before its party moved.
    pub(super) left: Option<Flow>,
    /// The connection that ended under it, for which it was sent again.
    pub(super) broken: Option<ConnId>,
    /// Why the answer that is on its way up could not be read as a whole.
    pub(super) fault: Option<String>,
    /// The connection it is known to ride.
    conn: Option<ConnId>,
    /// The pass it belongs to; `None`: it is our own.
    pass: Option<PassId>,
    /// Another was asked instead: it is not sent again.
    pub(super) quiet: bool,
    /// When it was sent first.
    pub(super) began: Mono,
    /// A provisional answer came.
    proceeding: bool,
    /// The 2xx that came, by To tag; each with the ACK that we sent for it, if we did.
    successes: Vec<(String, Option<Bytes>)>,
}

/// Where the socket of a flow is now; `None`: its interface has no address.
pub(super) fn own(w: &World, flow: &Flow) -> Option<IpAddr> {
    w.net().listener(flow.listener).map(|l| l.bind.ip())
}

impl Client {
    /// Timers that may be armed for it.
    pub(super) fn timers(&self) -> &'static [Timer] {
        self.machine.timers()
    }

    pub(super) fn is_invite(&self) -> bool {
        matches!(self.machine, Machine::Invite(_))
    }

    pub(super) fn is_proceeding(&self) -> bool {
        self.proceeding
    }

    /// An INVITE that was answered provisionally, and not for good.
    pub(super) fn is_ringing(&self) -> bool {
        matches!(&self.machine, Machine::Invite(m) if m.is_proceeding())
    }

    /// Nobody has answered it, and somebody waits for that.
    pub(super) fn is_unheard(&self) -> bool {
        let is_calling = match &self.machine {
            Machine::Invite(m) => m.is_calling(),
            Machine::Plain(m) => m.is_trying(),
        };
        is_calling && !self.quiet
    }

    pub(super) fn pass(&self) -> Option<PassId> {
        self.pass
    }

    /// What routed the request, as its branch says.
    pub(super) fn mark(&self) -> &str {
        self.key.0.split_once('.').map_or("", |(_, mark)| mark)
    }

    fn success(&self, response: &Message) -> Option<&(String, Option<Bytes>)> {
        let tag = response.to_tag().unwrap_or_default();
        let success = (200..300).contains(&response.status());
        self.successes.iter().find(|(t, _)| success && t == tag)
    }

    /// It rides this connection from now on; the one before.
    pub(super) fn rides(&mut self, conn: Option<ConnId>) -> Option<ConnId> {
        self.flow.conn = conn;
        std::mem::replace(&mut self.conn, conn)
    }

    /// An answer of this status came.
    pub(super) fn hears(&mut self, status: u16) -> Actions {
        self.proceeding |= status < 200;
        self.machine.handle(Event::Response(status))
    }

    /// The ACK that we sent for this 2xx when it came first.
    fn acknowledged(&self, response: &Message) -> Option<Bytes> {
        self.success(response)?.1.clone()
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = self.request.method();
        match &self.machine {
            Machine::Invite(m) => write!(f, "{method} to {}: {m}", self.flow.peer),
            Machine::Plain(m) => write!(f, "{method} to {}: {m}", self.flow.peer),
        }
    }
}

impl Transactions {
    /// Sends a request of our own; our Via (with `branch`) is already on top.
    pub(crate) fn originate(
        &mut self,
        w: &World,
        out: &mut Outbox,
        request: Message,
        branch: String,
        flow: Flow,
    ) -> ClientId {
        self.forward(w, out, request, branch, flow, None)
    }

    /// Sends a request in a new client transaction.
    pub(super) fn forward(
        &mut self,
        w: &World,
        out: &mut Outbox,
        request: Message,
        branch: String,
        flow: Flow,
        pass: Option<PassId>,
    ) -> ClientId {
        let id = ClientId::new(self.ids.next());
        let timing = w.timing(&flow);
        let (machine, actions) = if *request.method() == Method::Invite {
            let (m, a) = InviteClient::new(timing);
            (Machine::Invite(m), a)
        } else {
            let (m, a) = PlainClient::new(timing);
            (Machine::Plain(m), a)
        };
        let method = request.method().clone();
        let key = (branch, method.clone());
        let bytes = request.to_bytes();
        self.client_keys.insert(key.clone(), id);
        self.ways.insert((flow.listener, flow.peer, id));
        let client = Client {
            key,
            machine,
            request,
            bytes,
            ack: Bytes::new(),
            flow,
            own: own(w, &flow),
            left: None,
            fault: None,
            broken: None,
            conn: flow.conn,
            pass,
            quiet: false,
            began: w.now().mono,
            proceeding: false,
            successes: Vec::new(),
        };
        self.clients.insert(id, client);
        self.riders.board(flow.conn, Rider::Client(id));
        self.measure(w, id);
        self.run_client(w, out, id, actions, None);
        self.listen_for(w, id, &flow, &method);
        id
    }

    pub(super) fn client_event(&mut self, w: &World, out: &mut Outbox, id: ClientId, event: Event) {
        let Some(t) = self.clients.get_mut(&id) else { return };
        let actions = t.machine.handle(event);
        self.run_client(w, out, id, actions, None);
    }

    pub(super) fn run_client(
        &mut self,
        w: &World,
        out: &mut Outbox,
        id: ClientId,
        actions: Actions,
        response: Option<Message>,
    ) {
        for action in actions {
            let Some(t) = self.clients.get_mut(&id) else { return };
            let pass = t.pass;
            match action {
                Action::Send | Action::Resend if t.quiet => {}
                Action::Send | Action::Resend => out.transmit(t.flow, t.bytes.clone()),
                Action::SendAck => {
                    if let Some(r) = &response {
                        t.ack = ack_for(&t.request, r).to_bytes();
                    }
                    out.transmit(t.flow, t.ack.clone());
                }
                Action::Up => {
                    let flow = t.flow;
                    if let Some(ack) = response.as_ref().and_then(|r| t.acknowledged(r)) {
                        out.transmit(flow, ack);
                        continue;
                    }
                    match (pass, &response) {
                        (Some(pass), Some(r)) => self.up(w, out, pass, id, flow, r.clone()),
                        (None, Some(r)) if r.status() >= 200 => self.own(id, Some(r.clone())),
                        (Some(_) | None, _) => {}
                    }
                }
                Action::TimedOut => {
                    let invite = t.is_invite();
                    // What our own come to, who sent them knows.
                    let missed = !t.proceeding && pass.is_some();
                    self.heard.extend(missed.then_some(Heard::Missed(t.flow, t.began)));
                    out.stats_mut().timeouts[if invite { 0 } else { 2 }] += 1;
                    self.unanswered(w, out, id, 408, "Request Timeout");
                }
                Action::Failed => self.unanswered(w, out, id, 503, "Service Unavailable"),
                Action::Set(timer, after) => {
                    self.timers.set(Due::Client(id, timer), w.now().mono + after);
                }
                Action::Stop(timer) => self.timers.stop(Due::Client(id, timer)),
                Action::Terminated => self.forget_client(id),
            }
        }
    }

    fn own(&mut self, client: ClientId, response: Option<Message>) {
        self.heard.push_back(Heard::Own { client, response: response.map(Box::new) });
    }

    pub(super) fn unanswered(
        &mut self,
        w: &World,
        out: &mut Outbox,
        id: ClientId,
        status: u16,
        phrase: &str,
    ) {
        match self.clients.get(&id).and_then(Client::pass) {
            Some(pass) => self.silent(w, out, pass, id, status, phrase),
            None => self.own(id, None),
        }
    }

    fn forget_client(&mut self, id: ClientId) {
        let Some(t) = self.clients.remove(&id) else { return };
        self.client_keys.remove(&t.key);
        self.riders.leave(t.conn, Rider::Client(id));
        self.ways.remove(&(t.flow.listener, t.flow.peer, id));
        for timer in t.machine.timers() {
            self.timers.stop(Due::Client(id, *timer));
        }
        self.timers.stop(Due::CancelWait(id));
        self.hears(id);
        self.leave_withdrawn(t.pass);
    }

    /// What an answer answers: the request as sent, and its way.
    pub(crate) fn asked(&self, answer: &Answer) -> Option<(&Message, Flow)> {
        self.clients.get(&answer.client).map(|t| (&t.request, t.flow))
    }

    /// This 2xx came, and was passed on or acknowledged, before.
    pub(crate) fn has_passed(&self, answer: &Answer) -> bool {
        self.clients.get(&answer.client).is_some_and(|t| t.success(&answer.response).is_some())
    }

    /// A 2xx is passed on: its ACK is another's.
    pub(crate) fn passes_on(&mut self, answer: &Answer) {
        self.remember(answer, None);
    }

    /// Sends the ACK of a 2xx from here, now and whenever the 2xx comes again (RFC 3261
    /// §13.2.2.4). False: more dialogs than a call may have, of one INVITE; it is dropped.
    pub(crate) fn acknowledge(
        &mut self,
        out: &mut Outbox,
        answer: &Answer,
        flow: Flow,
        ack: Bytes,
    ) -> bool {
        let known = self.remember(answer, Some(ack.clone()));
        if known {
            out.transmit(flow, ack);
        }
        known
    }

    /// False: there are too many to remember one more.
    fn remember(&mut self, answer: &Answer, ack: Option<Bytes>) -> bool {
        let Some(t) = self.clients.get_mut(&answer.client) else { return false };
        let tag = answer.response.to_tag().unwrap_or_default();
        if let Some(known) = t.successes.iter_mut().find(|(t, _)| t == tag) {
            known.1 = ack.or(known.1.take());
        } else if t.successes.len() < MAX_FORKS {
            t.successes.push((tag.to_owned(), ack));
        } else {
            return false;
        }
        true
    }

    /// Sends CANCEL for a request that is pending (RFC 3261 §9.1): same Via, URI and route; and
    /// why (RFC 3326).
    pub(super) fn cancel_client(
        &mut self,
        w: &World,
        out: &mut Outbox,
        id: ClientId,
        reasons: &[Vec<u8>],
    ) {
        let Some(t) = self.clients.get(&id) else { return };
        let (mut cancel, flow, branch) = (cancel_for(&t.request), t.flow, t.key.0.clone());
        for reason in reasons {
            cancel.push_back(Name::Reason, reason.clone());
        }
        let wait = w.config().timers.t1 * 64;
        self.timers.set(Due::CancelWait(id), w.now().mono + wait);
        self.forward(w, out, cancel, branch, flow, None);
    }

    /// A branch was cancelled and never answered.
    pub(super) fn cancel_unanswered(&mut self, w: &World, out: &mut Outbox, id: ClientId) {
        // Cancelled by the caller it is 487 all the same; by timer C it is none of his doing.
        self.unanswered(w, out, id, 408, "Request Timeout");
        self.client_event(w, out, id, Event::TransportError);
    }

    /// Timer C (§16.8): a ringing branch is cancelled, a silent one counts as 408.
    pub(super) fn rang_too_long(&mut self, w: &World, out: &mut Outbox, id: ClientId) {
        out.stats_mut().timeouts[1] += 1;
        self.last_way(id);
        match self.clients.get(&id) {
            Some(t) if t.proceeding => {
                self.cancel_client(w, out, id, &[RANG_TOO_LONG.to_vec()]);
            }
            Some(_) => self.unanswered(w, out, id, 408, "Request Timeout"),
            None => {}
        }
    }
}
