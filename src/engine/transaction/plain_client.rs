//! Non-INVITE client transaction: RFC 3261 §17.1.2. It retransmits; it never reads the answer.

use super::{Action, Actions, Event, Timer, Timing};
use smallvec::smallvec;
use std::fmt;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Trying,
    Proceeding,
    Completed,
    Terminated,
}

/// The machine.
#[derive(Debug)]
pub struct PlainClient {
    state: State,
    timing: Timing,
    /// Timer E's interval.
    interval: Duration,
}

impl PlainClient {
    /// Begins: the request goes out, E and F run.
    #[must_use]
    pub fn new(timing: Timing) -> (Self, Actions) {
        let machine = Self { state: State::Trying, timing, interval: timing.t1 };
        let mut actions: Actions = smallvec![Action::Send];
        if !timing.reliable {
            actions.push(Action::Set(Timer::E, timing.t1));
        }
        actions.push(Action::Set(Timer::F, timing.t1 * 64));
        (machine, actions)
    }

    /// One event.
    pub fn handle(&mut self, event: Event) -> Actions {
        match self.state {
            State::Trying | State::Proceeding => self.pending(event),
            State::Completed => self.completed(event),
            State::Terminated => Actions::new(),
        }
    }

    fn pending(&mut self, event: Event) -> Actions {
        match event {
            // "… timer E is reset with MIN(2*T1, T2)"; in "Proceeding" it "MUST be reset to T2".
            Event::Timer(Timer::E) => {
                self.interval = match self.state {
                    State::Proceeding => self.timing.t2,
                    State::Trying | State::Completed | State::Terminated => {
                        (self.interval * 2).min(self.timing.t2)
                    }
                };
                smallvec![Action::Resend, Action::Set(Timer::E, self.interval)]
            }
            Event::Timer(Timer::F) => self.over(Action::TimedOut),
            Event::Response(100..=199) => {
                self.state = State::Proceeding;
                smallvec![Action::Up]
            }
            Event::Response(_) => {
                self.state = State::Completed;
                let mut actions: Actions =
                    smallvec![Action::Stop(Timer::E), Action::Stop(Timer::F), Action::Up];
                if self.timing.reliable {
                    self.state = State::Terminated;
                    actions.push(Action::Terminated);
                } else {
                    actions.push(Action::Set(Timer::K, self.timing.t4));
                }
                actions
            }
            Event::TransportError => self.over(Action::Failed),
            Event::Retransmission | Event::Ack | Event::Timer(_) => Actions::new(),
        }
    }

    fn completed(&mut self, event: Event) -> Actions {
        match event {
            Event::Timer(Timer::K) => {
                self.state = State::Terminated;
                smallvec![Action::Terminated]
            }
            // "… buffer any additional response retransmissions": they are absorbed.
            Event::Response(_)
            | Event::Retransmission
            | Event::Ack
            | Event::Timer(_)
            | Event::TransportError => Actions::new(),
        }
    }

    fn over(&mut self, why: Action) -> Actions {
        self.state = State::Terminated;
        smallvec![why, Action::Terminated]
    }
}

impl fmt::Display for PlainClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client {:?}", self.state)
    }
}
