//! Requests that we answer: the server transaction, its answers, its repetitions, and CANCEL. It
//! makes no answer of its own but 100 and the 200 to a CANCEL.

use super::invite_server::InviteServer;
use super::lost::Rider;
use super::plain_server::PlainServer;
use super::{Action, Actions, Due, Event, Heard, Seat, ServerKey, Timer, Transactions};
use crate::engine::analysis::{Incoming, answer};
use crate::engine::ids::{PassId, ServerId};
use crate::engine::outbox::Outbox;
use crate::engine::world::{Host, World};
use crate::ground::{ConnId, Flow, Mono, Side};
use crate::policy::quota::Holder;
use crate::wire::sip::{Message, Method};
use bytes::Bytes;
use std::collections::hash_map::Entry;
use std::fmt;

#[derive(Debug)]
enum Machine {
    Invite(InviteServer),
    Plain(PlainServer),
}

impl Machine {
    fn handle(&mut self, event: Event) -> Actions {
        match self {
            Self::Invite(m) => m.handle(event),
            Self::Plain(m) => m.handle(event),
        }
    }

    /// Timers it may have armed.
    fn timers(&self) -> &'static [Timer] {
        match self {
            Self::Invite(_) => &[Timer::G, Timer::H, Timer::I, Timer::L],
            Self::Plain(_) => &[Timer::J],
        }
    }
}

/// A request we answer.
#[derive(Debug)]
pub(crate) struct Server {
    key: ServerKey,
    /// Where it came from.
    from: Host,
    machine: Machine,
    pub(super) request: Message,
    pub(super) reply: Flow,
    /// The way it came, and when.
    came: Flow,
    pub(super) since: Mono,
    /// The connection it came by.
    conn: Option<ConnId>,
    pub(super) last: Bytes,
    pub(super) pass: Option<PassId>,
    side: Side,
    /// Status of the last answer.
    status: u16,
    purse: Option<Purse>,
}

/// What may be sent to who has proved nothing by datagrams: his address can be forged.
#[derive(Debug)]
struct Purse {
    /// Octets of the request, as often as it came, and of its ACK.
    came: usize,
    /// Octets of the final answer and of repetitions.
    sent: usize,
}

impl Purse {
    /// Octets that may be sent yet: in all at most 1.5 times what came.
    fn left(&self) -> usize {
        answer::most(self.came).saturating_sub(self.sent)
    }

    /// Whether so many may be sent again.
    fn spend(&mut self, octets: usize) -> bool {
        let fits = octets <= self.left();
        if fits {
            self.sent += octets;
        }
        fits
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = self.request.method();
        match &self.machine {
            Machine::Invite(m) => write!(f, "{method} from {}: {m}", self.reply.peer),
            Machine::Plain(m) => write!(f, "{method} from {}: {m}", self.reply.peer),
        }
    }
}

impl Server {
    /// Timers that may be armed for it.
    pub(super) fn timers(&self) -> &'static [Timer] {
        self.machine.timers()
    }

    /// As received; its top Via carries `received` and `rport`.
    pub(crate) fn request(&self) -> &Message {
        &self.request
    }

    /// Where answers go.
    pub(crate) fn reply(&self) -> Flow {
        self.reply
    }

    /// The way it came.
    pub(crate) fn came(&self) -> Flow {
        self.came
    }

    /// It has its answer: of a request that is no INVITE only what tells it from others is kept.
    /// Octets that are.
    fn let_go(&mut self) -> usize {
        match self.machine {
            Machine::Invite(_) => 2 * self.request.octets(),
            Machine::Plain(_) => {
                self.request = self.request.essence();
                self.request.octets()
            }
        }
    }

    /// It has no final answer.
    pub(crate) fn is_open(&self) -> bool {
        self.status < 200
    }
}

/// Why a CANCEL cancels nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CancelFault {
    /// There is no such INVITE.
    Unknown,
    /// The INVITE came from elsewhere.
    Foreign,
}

impl Transactions {
    /// The transaction that a request of this key belongs to, by the way of its answers. Whoever
    /// has seen a request can send its like, and sooner: that makes a transaction of its own, and
    /// takes nobody's answer.
    pub(crate) fn find(&self, w: &World, key: &ServerKey, reply: &Flow) -> Option<ServerId> {
        let from = w.net().host(reply);
        let is_his = |t: &Server| t.from == from || w.net().host(&t.reply) == from;
        let theirs = |id: &&ServerId| self.server(**id).is_some_and(is_his);
        let first = self.server_keys.get(key).filter(theirs).copied();
        let is_twin = || (!self.twins.is_empty()).then(|| (key.clone(), from));
        first.or_else(|| self.twins.get(&is_twin()?).copied())
    }

    pub(crate) fn server(&self, id: ServerId) -> Option<&Server> {
        self.servers.get(&id)
    }

    /// Its final answer was not a 2xx: an ACK ends it.
    pub(crate) fn was_refused(&self, id: ServerId) -> bool {
        self.servers.get(&id).is_some_and(|t| t.status >= 300)
    }

    /// Opens a server transaction for an admitted request. INVITE gets its 100 in the same step.
    pub(crate) fn accept(
        &mut self,
        w: &World,
        out: &mut Outbox,
        i: &Incoming,
        seat: Seat,
    ) -> ServerId {
        let id = ServerId::new(self.ids.next());
        let timing = w.timing(&i.reply);
        let invite = *i.message.method() == Method::Invite;
        let (machine, actions) = if invite {
            let (m, a) = InviteServer::new(timing);
            (Machine::Invite(m), a)
        } else {
            let (m, a) = PlainServer::new(timing);
            (Machine::Plain(m), a)
        };
        let unproved = matches!(seat.holder, Holder::Unproved(_) | Holder::Emergency(_));
        let purse = Purse { came: i.octets, sent: 0 };
        let purse = (unproved && !i.reply.transport.is_reliable()).then_some(purse);
        self.seats.enter(id, seat);
        let from = w.net().host(&i.reply);
        match self.server_keys.entry(i.key.clone()) {
            Entry::Vacant(free) => drop(free.insert(id)),
            Entry::Occupied(_) => drop(self.twins.insert((i.key.clone(), from), id)),
        }
        self.riders.board(i.reply.conn, Rider::Server(id));
        self.invites += usize::from(invite);
        self.servers.insert(
            id,
            Server {
                key: i.key.clone(),
                from,
                machine,
                request: i.message.clone(),
                reply: i.reply,
                came: i.flow,
                since: w.now().mono,
                conn: i.reply.conn,
                last: Bytes::new(),
                pass: None,
                side: i.side,
                status: 0,
                purse,
            },
        );
        self.run_server(w, out, id, actions, None);
        if invite {
            self.respond(w, out, id, &Message::response(&i.message, 100, "Trying"));
        }
        id
    }

    /// Answers through a server transaction.
    pub(crate) fn respond(&mut self, w: &World, out: &mut Outbox, id: ServerId, answer: &Message) {
        let Some(t) = self.servers.get_mut(&id) else { return };
        let was_open = t.is_open();
        let actions = t.machine.handle(Event::Response(answer.status()));
        t.status = answer.status();
        out.count_response(t.side, answer);
        let bytes = answer.to_bytes();
        if !t.is_open() {
            let kept = t.let_go();
            self.seats.answered(id, kept + bytes.len());
            self.heard.extend(was_open.then_some(Heard::Served(id)));
        }
        self.run_server(w, out, id, actions, Some(bytes));
    }

    /// A final answer of our own. Who has proved nothing by datagrams hears one that is at most 1.5
    /// times what came: what need not be said goes first, else nothing is said.
    pub(crate) fn say(&mut self, w: &World, out: &mut Outbox, id: ServerId, answer: Message) {
        let Some(t) = self.servers.get(&id) else { return };
        match answer::fit(answer, t.purse.as_ref().map_or(usize::MAX, Purse::left)) {
            Some(answer) => self.respond(w, out, id, &answer),
            None => self.forget_server(id),
        }
    }

    /// Accepts and answers at once.
    pub(crate) fn answer(
        &mut self,
        w: &World,
        out: &mut Outbox,
        i: &Incoming,
        seat: Seat,
        answer: &Message,
    ) {
        let id = self.accept(w, out, i, seat);
        self.respond(w, out, id, answer);
    }

    /// The same request again, or the ACK to a refusal; so many octets came.
    pub(crate) fn repeat(
        &mut self,
        w: &World,
        out: &mut Outbox,
        id: ServerId,
        (event, octets): (Event, usize),
    ) {
        if let Some(t) = self.servers.get_mut(&id) {
            let again = event == Event::Retransmission;
            out.stats_mut().retransmissions[t.side.index()][0] += u64::from(again);
            if let Some(purse) = &mut t.purse {
                purse.came = purse.came.saturating_add(octets);
            }
        }
        self.server_event(w, out, id, event);
    }

    pub(super) fn server_event(&mut self, w: &World, out: &mut Outbox, id: ServerId, event: Event) {
        let Some(t) = self.servers.get_mut(&id) else { return };
        let actions = t.machine.handle(event);
        self.run_server(w, out, id, actions, None);
    }

    fn run_server(
        &mut self,
        w: &World,
        out: &mut Outbox,
        id: ServerId,
        actions: Actions,
        response: Option<Bytes>,
    ) {
        for action in actions {
            let Some(t) = self.servers.get_mut(&id) else { return };
            match action {
                Action::Send => {
                    if let Some(bytes) = &response {
                        t.last = bytes.clone();
                        if let Some(purse) = t.purse.as_mut().filter(|_| t.status >= 200) {
                            purse.sent += bytes.len();
                        }
                        out.transmit(t.reply, bytes.clone());
                    }
                }
                Action::Resend if t.last.is_empty() => {}
                Action::Resend => {
                    let octets = t.last.len();
                    if t.purse.as_mut().is_none_or(|purse| purse.spend(octets)) {
                        out.transmit(t.reply, t.last.clone());
                    }
                }
                Action::Set(timer, after) => {
                    self.timers.set(Due::Server(id, timer), w.now().mono + after);
                }
                Action::Stop(timer) => self.timers.stop(Due::Server(id, timer)),
                Action::TimedOut => out.stats_mut().timeouts[3] += 1,
                Action::Terminated => self.forget_server(id),
                // A server transaction never asks for these.
                Action::SendAck | Action::Up | Action::Failed => {}
            }
        }
    }

    /// The transaction is over, and with it its response context. Should its request come again, it
    /// is a new one.
    pub(crate) fn forget_server(&mut self, id: ServerId) {
        let Some(t) = self.servers.remove(&id) else { return };
        self.heard.extend(t.is_open().then_some(Heard::Served(id)));
        if self.server_keys.get(&t.key) == Some(&id) {
            self.server_keys.remove(&t.key);
        } else {
            self.twins.remove(&(t.key, t.from));
        }
        self.riders.leave(t.conn, Rider::Server(id));
        self.invites -= usize::from(matches!(t.machine, Machine::Invite(_)));
        for timer in t.machine.timers() {
            self.timers.stop(Due::Server(id, *timer));
        }
        self.seats.leave(id);
        if let Some(pass) = t.pass {
            self.forget_pass(pass);
        }
    }

    /// The pass of the INVITE that a CANCEL means.
    pub(crate) fn cancelled_by(&self, w: &World, i: &Incoming) -> Option<PassId> {
        let key = ServerKey::cancelled_by(&i.message, &i.via);
        let known = self.find(w, &key, &i.reply);
        let invite = known.or_else(|| self.server_keys.get(&key).copied())?;
        self.servers.get(&invite)?.pass
    }

    /// CANCEL (§9.2, §16.10): answered here; the pass it is for is the core's to cancel.
    pub(crate) fn cancel(
        &mut self,
        w: &World,
        out: &mut Outbox,
        i: &Incoming,
        seat: Seat,
    ) -> Result<Option<PassId>, CancelFault> {
        let key = ServerKey::cancelled_by(&i.message, &i.via);
        let Some(invite) = self.find(w, &key, &i.reply) else {
            let known = self.server_keys.contains_key(&key);
            return Err(if known { CancelFault::Foreign } else { CancelFault::Unknown });
        };
        let Some(t) = self.servers.get(&invite) else { return Err(CancelFault::Unknown) };
        let pass = t.pass;
        let ok = w.answer(&i.message, 200, "OK");
        match self.room(&seat) {
            Ok(()) => self.answer(w, out, i, seat, &ok),
            // One that comes again is not known by anything, and means the same.
            Err(_) => out.transmit(i.reply, ok.to_bytes()),
        }
        Ok(pass)
    }
}
