//! Transactions (RFC 3261 §17 with RFC 6026) and the response contexts between them (§16.7): one
//! face over four machines. It knows when a message is sent again, when nobody answers and which
//! answer is the best; it never judges, never rewrites, and never knows what a pass is for. What
//! the core must hear stands in `heard`, in order.

mod answers;
mod client;
mod held;
pub mod invite_client;
pub mod invite_server;
pub mod key;
mod loose;
mod lost;
mod made;
mod pass;
pub mod plain_client;
pub mod plain_server;
mod quiet;
mod seats;
mod server;
pub mod timer;
mod too_long;

pub use key::ServerKey;
pub use timer::{Timer, TimerTable};

pub(crate) use answers::BROKEN;
pub(crate) use pass::{Onward, Spare, is_long, spared};
pub(crate) use seats::Seat;
pub(crate) use server::CancelFault;

#[cfg(test)]
mod testing;

use super::ids::{ClientId, Counter, PassId, ServerId};
use super::outbox::Outbox;
use super::purpose::Purpose;
use super::world::{Host, World};
use crate::ground::{Flow, ListenerId, Mono};
use crate::wire::sip::{Message, Method};
use client::Client;
use lost::Riders;
use pass::Pass;
use seats::Seats;
use server::Server;
use smallvec::SmallVec;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

/// What the core hears of transactions.
#[derive(Debug)]
pub(crate) enum Heard {
    /// 101–199 to an INVITE, to be translated and passed on.
    Provisional(Answer),
    /// A 2xx, to be translated and passed on.
    Success(Answer),
    /// 3xx–6xx of a branch, to be translated and kept.
    Failure(Answer),
    /// A 2xx to an INVITE that nobody waits for: its branch was given up, or its pass is over.
    Orphan(Answer),
    /// A final failure went back: what was asked for is over.
    Failed {
        /// What the pass was for.
        purpose: Purpose,
        /// As it was sent.
        response: Message,
    },
    /// A branch waits for a body that means media of this way's IP version, then it is tried.
    Turned(Box<Onward>),
    /// Nobody has heard it, and what it says of where we stand is over.
    Stale(PassId),
    /// Whoever was asked there, at this time, said nothing to it.
    Missed(Flow, Mono),
    /// Whoever was asked there asks to be spared for so long (RFC 3261 §21.5.4).
    Busy(Flow, Duration),
    /// Whoever was asked there, at this time, has said nothing yet; `pass`: `None` for a request of
    /// our own.
    Quiet { flow: Flow, began: Mono, pass: Option<PassId> },
    /// The same, after so long that nobody who serves would be asked in vain.
    Vain { flow: Flow, began: Mono, pass: PassId },
    /// All branches of a pass that has other ways failed, or one says nothing.
    Exhausted(PassId),
    /// A request has its final answer, or is gone without one.
    Served(ServerId),
    /// An answer with this status came to a request of ours; `pass`: `None`: it is nobody else's.
    Answered { flow: Flow, client: ClientId, pass: Option<PassId>, method: Method, status: u16 },
    /// What waited for any way to go by has waited long enough.
    Stranded(PassId),
    /// A request of our own was answered, or never will be.
    Own {
        /// Which.
        client: ClientId,
        /// The final answer that came.
        response: Option<Box<Message>>,
    },
}

/// An answer that a branch received.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) pass: PassId,
    pub(crate) client: ClientId,
    /// By which it came.
    pub(crate) flow: Flow,
    pub(crate) response: Message,
    /// It could be read in part alone: why. `None`: as a whole.
    pub(crate) fault: Option<String>,
}

/// Whose timer fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Due {
    Server(ServerId, Timer),
    Client(ClientId, Timer),
    /// A cancelled branch that never answers (RFC 3261 §9.1: 64·T1).
    CancelWait(ClientId),
    /// A branch that nobody answers, and others could.
    NextTarget(ClientId),
    /// A request that should be answered by now.
    Quiet(ClientId),
    /// One whose receiver could not be reached, and may be by now.
    Again(ClientId),
    /// One that is longer than its way carries.
    TooLong(ClientId),
    /// A pass whose failure is held back, or that no way leads from yet.
    Held(PassId),
}

/// All transactions and response contexts.
#[derive(Debug)]
pub(crate) struct Transactions {
    servers: HashMap<ServerId, Server>,
    server_keys: HashMap<ServerKey, ServerId>,
    /// Those of a key that another address has used first.
    twins: HashMap<(ServerKey, Host), ServerId>,
    invites: usize,
    seats: Seats,
    clients: HashMap<ClientId, Client>,
    client_keys: HashMap<(String, Method), ClientId>,
    ways: BTreeSet<(ListenerId, SocketAddr, ClientId)>,
    passes: HashMap<PassId, Pass>,
    riders: Riders,
    timers: TimerTable<Due>,
    heard: VecDeque<Heard>,
    ids: Counter,
}

impl Transactions {
    pub(crate) fn new(w: &World) -> Self {
        Self {
            servers: HashMap::new(),
            server_keys: HashMap::new(),
            twins: HashMap::new(),
            invites: 0,
            seats: Seats::new(w),
            clients: HashMap::new(),
            client_keys: HashMap::new(),
            ways: BTreeSet::new(),
            passes: HashMap::new(),
            riders: Riders::default(),
            timers: TimerTable::default(),
            heard: VecDeque::new(),
            ids: Counter::default(),
        }
    }

    /// Live server transactions: INVITE, other.
    pub(crate) fn counts(&self) -> [u64; 2] {
        [self.invites as u64, (self.servers.len() - self.invites) as u64]
    }

    /// The next thing the core must hear.
    pub(crate) fn heard(&mut self) -> Option<Heard> {
        self.heard.pop_front()
    }

    /// When it wants to be woken.
    pub(crate) fn poll_timeout(&self) -> Option<Mono> {
        self.timers.next()
    }

    /// Fires one timer that is due; false: none is.
    pub(crate) fn handle_timeout(&mut self, w: &World, out: &mut Outbox) -> bool {
        let Some(due) = self.timers.expired(w.now().mono) else { return false };
        match due {
            Due::Server(id, timer) => self.server_event(w, out, id, Event::Timer(timer)),
            Due::Client(id, Timer::C) => self.rang_too_long(w, out, id),
            Due::Client(id, timer) => self.client_event(w, out, id, Event::Timer(timer)),
            Due::CancelWait(id) => self.cancel_unanswered(w, out, id),
            Due::NextTarget(id) => self.next_target(w, out, id),
            Due::Quiet(id) => self.quiet(w, id),
            Due::Again(id) => self.again(out, id),
            Due::TooLong(id) => self.too_long(w, out, id),
            Due::Held(id) => self.held_for_long(w, out, id),
        }
        true
    }
}

/// What happens to a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Server: the same request again. Client: never.
    Retransmission,
    /// Server: ACK to a final answer other than 2xx. Client: never.
    Ack,
    /// Server: the core answers with this status. Client: a response with this status came.
    Response(u16),
    /// A timer set by an [`Action::Set`] fired.
    Timer(Timer),
    /// The transport failed.
    TransportError,
}

/// What a transaction wants done, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Server: send the response that came with the event and keep it. Client (at start): send the
    /// request and keep it.
    Send,
    /// Server: send the kept response again. Client: send the kept request again.
    Resend,
    /// Client INVITE: send ACK for this non-2xx (again).
    SendAck,
    /// Pass the response up to the core (client).
    Up,
    /// Tell the core that no answer came in time (client: 408) or no ACK came (server).
    TimedOut,
    /// Tell the core that the transport failed.
    Failed,
    /// Arm a timer (replacing it when armed).
    Set(Timer, Duration),
    /// Disarm a timer.
    Stop(Timer),
    /// The transaction is over; forget it.
    Terminated,
}

/// Actions of one step.
pub type Actions = SmallVec<[Action; 4]>;

/// The timer values a machine needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// T1.
    pub t1: Duration,
    /// T2.
    pub t2: Duration,
    /// T4.
    pub t4: Duration,
    /// The transport is reliable: no retransmission, no lingering.
    pub reliable: bool,
}

impl Timing {
    /// 64·T1: how long an answer is waited for.
    #[must_use]
    pub fn give_up(&self) -> Duration {
        self.t1.saturating_mul(64)
    }

    /// The interval after `interval`: twice as long, at most T2.
    #[must_use]
    pub fn doubled(&self, interval: Duration) -> Duration {
        interval.saturating_mul(2).min(self.t2)
    }
}

/// What a status means to a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// 1xx.
    Provisional,
    /// 2xx.
    Success,
    /// 3xx–6xx: final, but no call.
    Failure,
}

impl Class {
    fn of(status: u16) -> Self {
        match status {
            ..=199 => Self::Provisional,
            200..=299 => Self::Success,
            300.. => Self::Failure,
        }
    }
}

fn none() -> Actions {
    Actions::new()
}
