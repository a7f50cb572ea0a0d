//! INVITE server transaction: RFC 3261 §17.2.1 with RFC 6026 §7.1. It answers retransmissions; it
//! never decides what the answer is.

use super::{Action, Actions, Event, Timer, Timing};
use smallvec::smallvec;
use std::fmt;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No final answer yet.
    Proceeding,
    /// A 2xx was sent; the core retransmits it (RFC 6026).
    Accepted,
    /// 300–699 was sent; waiting for ACK.
    Completed,
    /// ACK came; absorbing more of them.
    Confirmed,
    Terminated,
}

/// The machine.
#[derive(Debug)]
pub struct InviteServer {
    state: State,
    timing: Timing,
    /// Timer G's interval.
    interval: Duration,
    provisional: bool,
}

impl InviteServer {
    /// Begins; the first step asks for nothing (the engine sends 100 itself).
    #[must_use]
    pub fn new(timing: Timing) -> (Self, Actions) {
        let (state, interval, provisional) = (State::Proceeding, timing.t1, false);
        (Self { state, timing, interval, provisional }, Actions::new())
    }

    /// One event.
    pub fn handle(&mut self, event: Event) -> Actions {
        match self.state {
            State::Proceeding => self.proceeding(event),
            State::Accepted => self.accepted(event),
            State::Completed => self.completed(event),
            State::Confirmed => self.confirmed(event),
            State::Terminated => Actions::new(),
        }
    }

    fn proceeding(&mut self, event: Event) -> Actions {
        match event {
            // "If a request retransmission is received while in the "Proceeding" state, the most
            // recent provisional response … MUST be passed to the transport layer."
            Event::Retransmission if self.provisional => smallvec![Action::Resend],
            Event::Response(100..=199) => {
                self.provisional = true;
                smallvec![Action::Send]
            }
            // RFC 6026: "If a 2xx response … the state machine transitions to "Accepted"", Timer L.
            Event::Response(200..=299) => {
                self.state = State::Accepted;
                smallvec![Action::Send, Action::Set(Timer::L, self.timing.t1 * 64)]
            }
            // "For unreliable transports … timer G is set to fire in T1 seconds"; H in 64*T1.
            Event::Response(_) => {
                self.state = State::Completed;
                let mut actions: Actions = smallvec![Action::Send];
                if !self.timing.reliable {
                    actions.push(Action::Set(Timer::G, self.interval));
                }
                actions.push(Action::Set(Timer::H, self.timing.t1 * 64));
                actions
            }
            Event::TransportError => self.failed(),
            Event::Retransmission | Event::Ack | Event::Timer(_) => Actions::new(),
        }
    }

    fn accepted(&mut self, event: Event) -> Actions {
        match event {
            // "… any 2xx response received from the TU … MUST be passed to the transport layer."
            Event::Response(200..=299) => smallvec![Action::Send],
            Event::Timer(Timer::L) => self.terminated(),
            // "retransmissions of the INVITE … absorbed"; an ACK here is the core's affair.
            Event::Retransmission
            | Event::Ack
            | Event::Response(_)
            | Event::Timer(_)
            | Event::TransportError => Actions::new(),
        }
    }

    fn completed(&mut self, event: Event) -> Actions {
        match event {
            Event::Retransmission => smallvec![Action::Resend],
            // "If timer G fires, the response is passed to the transport layer once more … and
            // timer G is set to fire in MIN(2*T1, T2) seconds", doubling.
            Event::Timer(Timer::G) => {
                self.interval = (self.interval * 2).min(self.timing.t2);
                smallvec![Action::Resend, Action::Set(Timer::G, self.interval)]
            }
            // "Timer H … the ACK was never received": the transaction user is told.
            Event::Timer(Timer::H) => {
                let mut actions: Actions = smallvec![Action::TimedOut];
                actions.extend(self.terminated());
                actions
            }
            // "If an ACK is received … the server transaction MUST transition to "Confirmed"."
            Event::Ack => {
                self.state = State::Confirmed;
                let mut actions: Actions =
                    smallvec![Action::Stop(Timer::G), Action::Stop(Timer::H)];
                if self.timing.reliable {
                    actions.extend(self.terminated());
                } else {
                    actions.push(Action::Set(Timer::I, self.timing.t4));
                }
                actions
            }
            Event::TransportError => self.failed(),
            Event::Response(_) | Event::Timer(_) => Actions::new(),
        }
    }

    fn confirmed(&mut self, event: Event) -> Actions {
        match event {
            Event::Timer(Timer::I) => self.terminated(),
            Event::Retransmission
            | Event::Ack
            | Event::Response(_)
            | Event::Timer(_)
            | Event::TransportError => Actions::new(),
        }
    }

    fn failed(&mut self) -> Actions {
        let mut actions: Actions = smallvec![Action::Failed];
        actions.extend(self.terminated());
        actions
    }

    fn terminated(&mut self) -> Actions {
        self.state = State::Terminated;
        smallvec![Action::Terminated]
    }
}

impl fmt::Display for InviteServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "INVITE server {:?}", self.state)
    }
}
