//! INVITE client transaction: RFC 3261 §17.1.1 with RFC 6026 §7.2. It retransmits and acknowledges
//! failures; ACK to a 2xx is the core's.

use super::{Action, Actions, Event, Timer, Timing};
use smallvec::smallvec;
use std::fmt;
use std::time::Duration;

/// Timer D: "at least 32 seconds for unreliable transports".
const D: Duration = Duration::from_secs(32);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Calling,
    Proceeding,
    /// A 2xx came; more may (forks, retransmissions) (RFC 6026).
    Accepted,
    Completed,
    Terminated,
}

/// The machine.
#[derive(Debug)]
pub struct InviteClient {
    state: State,
    timing: Timing,
    /// Timer A's interval.
    interval: Duration,
}

impl InviteClient {
    /// Begins: the request goes out, A and B run.
    #[must_use]
    pub fn new(timing: Timing) -> (Self, Actions) {
        let machine = Self { state: State::Calling, timing, interval: timing.t1 };
        let mut actions: Actions = smallvec![Action::Send];
        if !timing.reliable {
            actions.push(Action::Set(Timer::A, timing.t1));
        }
        actions.push(Action::Set(Timer::B, timing.t1 * 64));
        (machine, actions)
    }

    /// One event.
    pub fn handle(&mut self, event: Event) -> Actions {
        match self.state {
            State::Calling => self.calling(event),
            State::Proceeding => self.answered(event),
            State::Accepted => self.accepted(event),
            State::Completed => self.completed(event),
            State::Terminated => Actions::new(),
        }
    }

    fn calling(&mut self, event: Event) -> Actions {
        match event {
            // "When timer A fires, the client transaction MUST retransmit the request … and MUST
            // reset the timer with a value of 2*T1", doubling.
            Event::Timer(Timer::A) => {
                self.interval *= 2;
                smallvec![Action::Resend, Action::Set(Timer::A, self.interval)]
            }
            // "If the client transaction is still in the "Calling" state when timer B fires, the
            // client transaction SHOULD inform the TU that a timeout has occurred."
            Event::Timer(Timer::B) => self.over(Action::TimedOut),
            Event::Response(_) | Event::TransportError => self.answered(event),
            Event::Retransmission | Event::Ack | Event::Timer(_) => Actions::new(),
        }
    }

    /// "Calling" and "Proceeding" treat answers alike; only the first of them stops A and B.
    fn answered(&mut self, event: Event) -> Actions {
        let stop = [Action::Stop(Timer::A), Action::Stop(Timer::B)];
        let mut actions = Actions::new();
        if self.state == State::Calling {
            actions.extend(stop);
        }
        match event {
            Event::Response(100..=199) => {
                self.state = State::Proceeding;
                actions.push(Action::Up);
                actions
            }
            Event::Response(200..=299) => {
                self.state = State::Accepted;
                actions.push(Action::Set(Timer::M, self.timing.t1 * 64));
                actions.push(Action::Up);
                actions
            }
            // "… MUST generate an ACK request"; Timer D keeps it ready for retransmissions.
            Event::Response(_) => {
                self.state = State::Completed;
                actions.push(Action::SendAck);
                actions.push(Action::Up);
                if self.timing.reliable {
                    self.state = State::Terminated;
                    actions.push(Action::Terminated);
                } else {
                    actions.push(Action::Set(Timer::D, D));
                }
                actions
            }
            Event::TransportError => self.over(Action::Failed),
            Event::Retransmission | Event::Ack | Event::Timer(_) => Actions::new(),
        }
    }

    fn accepted(&mut self, event: Event) -> Actions {
        match event {
            Event::Response(200..=299) => smallvec![Action::Up],
            Event::Timer(Timer::M) => {
                self.state = State::Terminated;
                smallvec![Action::Terminated]
            }
            Event::Response(_)
            | Event::Retransmission
            | Event::Ack
            | Event::Timer(_)
            | Event::TransportError => Actions::new(),
        }
    }

    fn completed(&mut self, event: Event) -> Actions {
        match event {
            // "Any retransmissions of the final response … MUST cause the ACK to be re-passed".
            Event::Response(300..=699) => smallvec![Action::SendAck],
            Event::Timer(Timer::D) => {
                self.state = State::Terminated;
                smallvec![Action::Terminated]
            }
            Event::TransportError => self.over(Action::Failed),
            Event::Response(_) | Event::Retransmission | Event::Ack | Event::Timer(_) => {
                Actions::new()
            }
        }
    }

    fn over(&mut self, why: Action) -> Actions {
        self.state = State::Terminated;
        smallvec![why, Action::Terminated]
    }
}

impl fmt::Display for InviteClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "INVITE client {:?}", self.state)
    }
}
