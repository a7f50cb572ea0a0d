//! What both faces share: transactions. `receive` finds or makes the server transaction, `respond`
//! answers through it, `forward` opens a client transaction. It never judges and never rewrites.

use super::transaction::invite_client::InviteClient;
use super::transaction::invite_server::InviteServer;
use super::transaction::plain_client::PlainClient;
use super::transaction::plain_server::PlainServer;
use super::transaction::{Action, Actions, Event, ServerKey, Timer, Timing};
use super::{Engine, Output, TimerKey};
use crate::ground::{Flow, Side};
use crate::wire::sip::{Message, Method, Name, Via};
use bytes::Bytes;
use std::collections::HashMap;
use std::net::IpAddr;

#[derive(Debug)]
enum ServerMachine {
    Invite(InviteServer),
    Plain(PlainServer),
}

#[derive(Debug)]
enum ClientMachine {
    Invite(InviteClient),
    Plain(PlainClient),
}

/// A request we answer.
#[derive(Debug)]
pub(crate) struct ServerTx {
    key: ServerKey,
    machine: ServerMachine,
    /// As received; its top Via carries `received` and `rport`.
    pub(crate) request: Message,
    /// Where answers go.
    pub(crate) reply: Flow,
    last: Bytes,
    /// The pass it began.
    pub(crate) pass: Option<u64>,
    pub(crate) side: Side,
    source: IpAddr,
    /// Status of the last answer.
    status: u16,
}

/// A request we sent.
#[derive(Debug)]
pub(crate) struct ClientTx {
    key: (String, Method),
    machine: ClientMachine,
    /// As sent.
    pub(crate) request: Message,
    bytes: Bytes,
    ack: Bytes,
    /// Where it went.
    pub(crate) flow: Flow,
    /// The pass it belongs to; `None`: nobody waits for the answer (CANCEL, our own BYE).
    pub(crate) pass: Option<u64>,
    /// A provisional answer came.
    pub(crate) proceeding: bool,
}

/// All transactions.
#[derive(Debug, Default)]
pub(crate) struct Transactions {
    servers: HashMap<u64, ServerTx>,
    server_keys: HashMap<ServerKey, u64>,
    clients: HashMap<u64, ClientTx>,
    client_keys: HashMap<(String, Method), u64>,
    by_source: HashMap<IpAddr, usize>,
}

impl Transactions {
    /// Live server transactions: INVITE, other.
    pub(crate) fn counts(&self) -> [u64; 2] {
        let all = self.servers.len() as u64;
        let is_invite = |t: &&ServerTx| matches!(t.machine, ServerMachine::Invite(_));
        let invite = self.servers.values().filter(is_invite).count() as u64;
        [invite, all - invite]
    }

    pub(crate) fn len(&self) -> usize {
        self.servers.len()
    }

    pub(crate) fn of_source(&self, ip: IpAddr) -> usize {
        self.by_source.get(&ip).copied().unwrap_or_default()
    }

    pub(crate) fn find(&self, key: &ServerKey) -> Option<u64> {
        self.server_keys.get(key).copied()
    }

    pub(crate) fn server(&self, id: u64) -> Option<&ServerTx> {
        self.servers.get(&id)
    }

    pub(crate) fn server_mut(&mut self, id: u64) -> Option<&mut ServerTx> {
        self.servers.get_mut(&id)
    }

    pub(crate) fn client(&self, id: u64) -> Option<&ClientTx> {
        self.clients.get(&id)
    }

    fn remove_server(&mut self, id: u64) {
        let Some(t) = self.servers.remove(&id) else { return };
        self.server_keys.remove(&t.key);
        if let Some(n) = self.by_source.get_mut(&t.source) {
            *n -= 1;
            if *n == 0 {
                self.by_source.remove(&t.source);
            }
        }
    }

    fn remove_client(&mut self, id: u64) {
        if let Some(t) = self.clients.remove(&id) {
            self.client_keys.remove(&t.key);
        }
    }
}

impl Engine {
    fn timing(&self, flow: &Flow) -> Timing {
        let t = &self.snap.config.timers;
        Timing { t1: t.t1, t2: t.t2, t4: t.t4, reliable: flow.transport.is_reliable() }
    }

    /// Opens a server transaction for an admitted request. INVITE gets its 100 in the same step.
    pub(crate) fn accept(&mut self, key: ServerKey, request: Message, reply: Flow) -> u64 {
        let id = self.id();
        let timing = self.timing(&reply);
        let invite = *request.method() == Method::Invite;
        let (machine, actions) = if invite {
            let (m, a) = InviteServer::new(timing);
            (ServerMachine::Invite(m), a)
        } else {
            let (m, a) = PlainServer::new(timing);
            (ServerMachine::Plain(m), a)
        };
        let source = reply.peer.ip();
        let side = self.net.side(reply.listener);
        let trying = invite.then(|| Message::response(&request, 100, "Trying"));
        self.tx.server_keys.insert(key.clone(), id);
        *self.tx.by_source.entry(source).or_default() += 1;
        let last = Bytes::new();
        let tx =
            ServerTx { key, machine, request, reply, last, pass: None, side, source, status: 0 };
        self.tx.servers.insert(id, tx);
        self.run_server(id, actions, None);
        if let Some(trying) = trying {
            self.respond(id, &trying);
        }
        id
    }

    /// Answers through a server transaction.
    pub(crate) fn respond(&mut self, id: u64, response: &Message) {
        let Some(t) = self.tx.servers.get_mut(&id) else { return };
        let event = Event::Response(response.status());
        let actions = match &mut t.machine {
            ServerMachine::Invite(m) => m.handle(event),
            ServerMachine::Plain(m) => m.handle(event),
        };
        let side = t.side;
        t.status = response.status();
        let class = usize::from(response.status() / 100).clamp(1, 6) - 1;
        if let Some(n) = self.stats.responses.get_mut(side.index()).and_then(|s| s.get_mut(class)) {
            *n += 1;
        }
        self.run_server(id, actions, Some(response.to_bytes()));
    }

    /// A repetition of a request that has a transaction.
    pub(crate) fn retransmitted(&mut self, id: u64, event: Event) {
        let Some(t) = self.tx.servers.get_mut(&id) else { return };
        if event == Event::Retransmission {
            self.stats.retransmissions[t.side.index()][0] += 1;
        }
        let actions = match &mut t.machine {
            ServerMachine::Invite(m) => m.handle(event),
            ServerMachine::Plain(m) => m.handle(event),
        };
        self.run_server(id, actions, None);
    }

    pub(crate) fn server_timer(&mut self, id: u64, timer: Timer) {
        self.retransmitted(id, Event::Timer(timer));
    }

    fn run_server(&mut self, id: u64, actions: Actions, response: Option<Bytes>) {
        for action in actions {
            let Some(t) = self.tx.servers.get_mut(&id) else { return };
            match action {
                Action::Send => {
                    if let Some(bytes) = &response {
                        t.last = bytes.clone();
                        let (flow, bytes) = (t.reply, bytes.clone());
                        self.emit(Output::Transmit { flow, bytes });
                    }
                }
                Action::Resend => {
                    let (flow, bytes) = (t.reply, t.last.clone());
                    if !bytes.is_empty() {
                        self.emit(Output::Transmit { flow, bytes });
                    }
                }
                Action::Set(timer, after) => {
                    self.timers.set(TimerKey::Server(id, timer), self.now.mono + after);
                }
                Action::Stop(timer) => self.timers.stop(TimerKey::Server(id, timer)),
                Action::TimedOut => self.stats.timeouts[3] += 1,
                Action::Terminated => {
                    let pass = t.pass;
                    self.tx.remove_server(id);
                    self.stop_timers(|timer| TimerKey::Server(id, timer));
                    if let Some(pass) = pass {
                        self.server_gone(pass);
                    }
                }
                // A server transaction never asks for these.
                Action::SendAck | Action::Up | Action::Failed => {}
            }
        }
    }

    fn stop_timers(&mut self, key: impl Fn(Timer) -> TimerKey) {
        use Timer::{A, B, C, D, E, F, G, H, I, J, K, L, M};
        for timer in [A, B, C, D, E, F, G, H, I, J, K, L, M] {
            self.timers.stop(key(timer));
        }
    }

    /// Sends a request in a new client transaction; our Via (with `branch`) is already on top.
    pub(crate) fn forward(
        &mut self,
        request: Message,
        branch: String,
        flow: Flow,
        pass: Option<u64>,
    ) -> u64 {
        let id = self.id();
        let timing = self.timing(&flow);
        let (machine, actions) = if *request.method() == Method::Invite {
            let (m, a) = InviteClient::new(timing);
            (ClientMachine::Invite(m), a)
        } else {
            let (m, a) = PlainClient::new(timing);
            (ClientMachine::Plain(m), a)
        };
        let key = (branch, request.method().clone());
        let bytes = request.to_bytes();
        self.tx.client_keys.insert(key.clone(), id);
        let (ack, proceeding) = (Bytes::new(), false);
        let tx = ClientTx { key, machine, request, bytes, ack, flow, pass, proceeding };
        self.tx.clients.insert(id, tx);
        self.run_client(id, actions, None);
        id
    }

    /// A response came: to which client transaction does it belong (RFC 3261 §17.1.3)?
    pub(crate) fn receive_response(&mut self, flow: Flow, response: Message) {
        let branch = response
            .list(&Name::Via)
            .next()
            .and_then(Via::parse)
            .and_then(|via| via.branch().map(str::to_owned));
        let method = response.cseq().method.clone();
        let known = branch.and_then(|b| self.tx.client_keys.get(&(b, method)).copied());
        let Some(id) = known else {
            // RFC 6026 §7.3: a response without a transaction goes nowhere.
            self.count_rejected(flow, crate::wire::sip::RejectReason::StrayResponse);
            return;
        };
        let Some(t) = self.tx.clients.get_mut(&id) else { return };
        // A retried connection or a phone's moved port: answers name the transport they came by.
        if flow.transport == t.flow.transport && flow.conn.is_some() {
            t.flow.conn = flow.conn;
        }
        let status = response.status();
        if status < 200 {
            t.proceeding = true;
        }
        let actions = match &mut t.machine {
            ClientMachine::Invite(m) => m.handle(Event::Response(status)),
            ClientMachine::Plain(m) => m.handle(Event::Response(status)),
        };
        if !actions.contains(&Action::Up) {
            self.stats.retransmissions[self.net.side(flow.listener).index()][1] += 1;
        }
        self.run_client(id, actions, Some(response));
    }

    pub(crate) fn client_timer(&mut self, id: u64, timer: Timer) {
        if timer == Timer::C {
            self.timer_c(id);
            return;
        }
        self.client_event(id, Event::Timer(timer));
    }

    pub(crate) fn client_event(&mut self, id: u64, event: Event) {
        let Some(t) = self.tx.clients.get_mut(&id) else { return };
        let actions = match &mut t.machine {
            ClientMachine::Invite(m) => m.handle(event),
            ClientMachine::Plain(m) => m.handle(event),
        };
        self.run_client(id, actions, None);
    }

    fn run_client(&mut self, id: u64, actions: Actions, response: Option<Message>) {
        for action in actions {
            let Some(t) = self.tx.clients.get_mut(&id) else { return };
            let pass = t.pass;
            match action {
                Action::Send | Action::Resend => {
                    let (flow, bytes) = (t.flow, t.bytes.clone());
                    self.emit(Output::Transmit { flow, bytes });
                }
                Action::SendAck => {
                    if let Some(r) = &response {
                        t.ack = ack_for(&t.request, r).to_bytes();
                    }
                    let (flow, bytes) = (t.flow, t.ack.clone());
                    self.emit(Output::Transmit { flow, bytes });
                }
                Action::Up => {
                    if let (Some(pass), Some(r)) = (pass, &response) {
                        self.pass_response(pass, id, r.clone());
                    } else if response.as_ref().is_some_and(|r| r.status() >= 200) {
                        self.probed(id, true);
                    }
                }
                Action::TimedOut => {
                    let invite = matches!(t.machine, ClientMachine::Invite(_));
                    self.stats.timeouts[if invite { 0 } else { 2 }] += 1;
                    if let Some(pass) = pass {
                        self.branch_failed(pass, id, 408, "Request Timeout");
                    } else {
                        self.probed(id, false);
                    }
                }
                Action::Failed => {
                    if let Some(pass) = pass {
                        self.branch_failed(pass, id, 503, "Service Unavailable");
                    } else {
                        self.probed(id, false);
                    }
                }
                Action::Set(timer, after) => {
                    self.timers.set(TimerKey::Client(id, timer), self.now.mono + after);
                }
                Action::Stop(timer) => self.timers.stop(TimerKey::Client(id, timer)),
                Action::Terminated => {
                    self.tx.remove_client(id);
                    self.stop_timers(|timer| TimerKey::Client(id, timer));
                    self.timers.stop(TimerKey::CancelWait(id));
                }
            }
        }
    }

    /// Sends CANCEL for a request that is pending (RFC 3261 §9.1): same Via, URI and route.
    pub(crate) fn cancel_client(&mut self, id: u64) {
        let Some(t) = self.tx.clients.get(&id) else { return };
        let (sent, flow) = (&t.request, t.flow);
        let mut cancel = Message::request(Method::Cancel, sent.uri());
        if let Some(via) = sent.list(&Name::Via).next() {
            cancel.push_back(Name::Via, via);
        }
        cancel.push_back(Name::MaxForwards, "70");
        for name in [Name::Route, Name::From, Name::To, Name::CallId] {
            for value in sent.rows(&name) {
                cancel.push_back(name.clone(), value);
            }
        }
        cancel.push_back(Name::CSeq, format!("{} CANCEL", sent.cseq().seq));
        let branch = t.key.0.clone();
        let wait = self.snap.config.timers.t1 * 64;
        self.timers.set(TimerKey::CancelWait(id), self.now.mono + wait);
        self.forward(cancel, branch, flow, None);
    }

    /// The flow's transport failed: every request waiting there learns it.
    pub(crate) fn transport_failed(&mut self, flow: &Flow) {
        let hit = |t: &ClientTx| t.flow.peer == flow.peer && t.flow.listener == flow.listener;
        let ids: Vec<u64> =
            self.tx.clients.iter().filter(|(_, t)| hit(t)).map(|(id, _)| *id).collect();
        for id in ids {
            self.client_event(id, Event::TransportError);
        }
    }
}

/// The ACK for a final answer other than 2xx (RFC 3261 §17.1.1.3).
fn ack_for(invite: &Message, response: &Message) -> Message {
    let mut ack = Message::request(Method::Ack, invite.uri());
    if let Some(via) = invite.list(&Name::Via).next() {
        ack.push_back(Name::Via, via);
    }
    ack.push_back(Name::MaxForwards, "70");
    for value in invite.rows(&Name::Route) {
        ack.push_back(Name::Route, value);
    }
    for (name, from) in [(Name::From, invite), (Name::To, response), (Name::CallId, invite)] {
        if let Some(value) = from.first(&name) {
            ack.push_back(name, value);
        }
    }
    ack.push_back(Name::CSeq, format!("{} ACK", invite.cseq().seq));
    ack
}

impl ServerTx {
    /// Its final answer was not a 2xx: an ACK ends it.
    pub(crate) fn refused(&self) -> bool {
        self.status >= 300
    }
}
