//! Non-INVITE server transaction: RFC 3261 §17.2.2. It answers retransmissions; it never decides
//! what the answer is.

use super::{Action, Actions, Event, Timer, Timing};
use smallvec::smallvec;
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Trying,
    Proceeding,
    Completed,
    Terminated,
}

/// The machine.
#[derive(Debug)]
pub struct PlainServer {
    state: State,
    timing: Timing,
}

impl PlainServer {
    /// Begins; the first step asks for nothing.
    #[must_use]
    pub fn new(timing: Timing) -> (Self, Actions) {
        (Self { state: State::Trying, timing }, Actions::new())
    }

    /// One event.
    pub fn handle(&mut self, event: Event) -> Actions {
        match self.state {
            // "Once in the "Trying" state, any further request retransmissions are discarded."
            State::Trying if event == Event::Retransmission => Actions::new(),
            State::Trying | State::Proceeding => self.pending(event),
            State::Completed => self.completed(event),
            State::Terminated => Actions::new(),
        }
    }

    fn pending(&mut self, event: Event) -> Actions {
        match event {
            Event::Response(100..=199) => {
                self.state = State::Proceeding;
                smallvec![Action::Send]
            }
            // "Timer J … 64*T1 seconds for unreliable transports, and zero seconds for reliable".
            Event::Response(_) => {
                self.state = State::Completed;
                if self.timing.reliable {
                    self.state = State::Terminated;
                    return smallvec![Action::Send, Action::Terminated];
                }
                smallvec![Action::Send, Action::Set(Timer::J, self.timing.t1 * 64)]
            }
            Event::Retransmission => smallvec![Action::Resend],
            Event::TransportError => self.failed(),
            Event::Ack | Event::Timer(_) => Actions::new(),
        }
    }

    fn completed(&mut self, event: Event) -> Actions {
        match event {
            Event::Retransmission => smallvec![Action::Resend],
            Event::Timer(Timer::J) => {
                self.state = State::Terminated;
                smallvec![Action::Terminated]
            }
            // "Any other final responses passed by the TU … MUST be discarded."
            Event::Response(_) | Event::Ack | Event::Timer(_) => Actions::new(),
            Event::TransportError => self.failed(),
        }
    }

    fn failed(&mut self) -> Actions {
        self.state = State::Terminated;
        smallvec![Action::Failed, Action::Terminated]
    }
}

impl fmt::Display for PlainServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "server {:?}", self.state)
    }
}
