//! Transactions (RFC 3261 §17 with RFC 6026): four machines, pure. Each takes an event and returns
//! actions; the engine owns the timers and the wire.

pub mod invite_client;
pub mod invite_server;
pub mod key;
pub mod plain_client;
pub mod plain_server;
pub mod timer;

pub use key::ServerKey;
pub use timer::{Timer, TimerTable};

#[cfg(test)]
mod testing;

use smallvec::SmallVec;
use std::time::Duration;

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
