//! Non-INVITE server transaction (RFC 3261 §17.2.2). It sends nothing and knows no message: it says
//! what to do; actions go to the engine.
use super::{Action, Actions, Class, Event, Timer, Timing, none};
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
#[derive(Clone, Copy, Debug)]
pub struct PlainServer {
    state: State,
    timing: Timing,
}

impl PlainServer {
    /// Begins; there is nothing to do until the core answers.
    #[must_use]
    pub fn new(timing: Timing) -> (Self, Actions) {
        (Self { state: State::Trying, timing }, none())
    }

    /// One event.
    pub fn handle(&mut self, event: Event) -> Actions {
        match self.state {
            State::Trying => self.open(event, none()),
            // "If a retransmission of the request is received while in the 'Proceeding' state, the
            // most recently sent provisional response MUST be passed to the transport layer for
            // retransmission."
            State::Proceeding => self.open(event, smallvec![Action::Resend]),
            State::Completed => self.completed(event),
            State::Terminated => none(),
        }
    }

    /// True while the core may still send a final answer.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Trying | State::Proceeding)
    }

    /// Trying and Proceeding differ only in what a retransmission gets: "Once in the 'Trying'
    /// state, any further request retransmissions are discarded."
    fn open(&mut self, event: Event, again: Actions) -> Actions {
        match event {
            Event::Retransmission => again,
            Event::Response(status) => match Class::of(status) {
                // "… if the TU passes a provisional response to the server transaction, the server
                // transaction MUST enter the 'Proceeding' state. The response MUST be passed to the
                // transport layer for transmission."
                Class::Provisional => {
                    self.state = State::Proceeding;
                    smallvec![Action::Send]
                }
                Class::Success | Class::Failure => self.complete(),
            },
            // "… the 'TU' is informed and the transaction … SHOULD transition to the terminated
            // state" (§17.2.4).
            Event::TransportError => self.fail(),
            Event::Ack | Event::Timer(_) => none(),
        }
    }

    /// "When the server transaction enters the 'Completed' state, it MUST set Timer J to fire in
    /// 64*T1 seconds for unreliable transports, and zero seconds for reliable transports."
    fn complete(&mut self) -> Actions {
        if self.timing.reliable {
            self.state = State::Terminated;
            return smallvec![Action::Send, Action::Terminated];
        }
        self.state = State::Completed;
        smallvec![Action::Send, Action::Set(Timer::J, self.timing.give_up())]
    }

    fn completed(&mut self, event: Event) -> Actions {
        match event {
            // "While in the 'Completed' state, the server transaction MUST pass the final response
            // to the transport layer for retransmission whenever a retransmission of the request
            // is received."
            Event::Retransmission => smallvec![Action::Resend],
            // "The server transaction remains in this state until Timer J fires, at which point it
            // MUST transition to the 'Terminated' state."
            Event::Timer(Timer::J) => {
                self.state = State::Terminated;
                smallvec![Action::Terminated]
            }
            Event::TransportError => self.fail(),
            // "Any other final responses passed by the TU to the server transaction MUST be
            // discarded while in the 'Completed' state."
            Event::Response(_) | Event::Ack | Event::Timer(_) => none(),
        }
    }

    fn fail(&mut self) -> Actions {
        self.state = State::Terminated;
        smallvec![Action::Stop(Timer::J), Action::Failed, Action::Terminated]
    }
}

impl fmt::Display for PlainServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::Trying => "trying",
            State::Proceeding => "proceeding",
            State::Completed => "completed",
            State::Terminated => "terminated",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use std::time::Duration;

    fn in_state(name: &str) -> PlainServer {
        let (mut machine, actions) = PlainServer::new(timing(false));
        assert!(actions.is_empty());
        let path: &[Event] = match name {
            "trying" => &[],
            "proceeding" => &[Event::Response(100)],
            "completed" => &[Event::Response(200)],
            "terminated" => &[Event::Response(200), Event::Timer(Timer::J)],
            other => panic!("no state {other}"),
        };
        for event in path {
            let _ = machine.handle(*event);
        }
        assert_eq!(machine.to_string(), name);
        machine
    }

    #[test]
    fn every_state_answers_every_event() {
        use Action::*;
        use Event::{Ack, Response, Retransmission, TransportError};
        let j = Set(Timer::J, Duration::from_secs(32));
        let failed: &[Action] = &[Stop(Timer::J), Failed, Terminated];
        let fire = Event::Timer;
        let table: &[(&str, Event, &[Action], &str)] = &[
            ("trying", Retransmission, &[], "trying"),
            ("trying", Ack, &[], "trying"),
            ("trying", Response(100), &[Send], "proceeding"),
            ("trying", Response(200), &[Send, j], "completed"),
            ("trying", Response(404), &[Send, j], "completed"),
            ("trying", fire(Timer::J), &[], "trying"),
            ("trying", TransportError, failed, "terminated"),
            ("proceeding", Retransmission, &[Resend], "proceeding"),
            ("proceeding", Ack, &[], "proceeding"),
            ("proceeding", Response(183), &[Send], "proceeding"),
            ("proceeding", Response(202), &[Send, j], "completed"),
            ("proceeding", Response(500), &[Send, j], "completed"),
            ("proceeding", fire(Timer::J), &[], "proceeding"),
            ("proceeding", TransportError, failed, "terminated"),
            ("completed", Retransmission, &[Resend], "completed"),
            ("completed", Ack, &[], "completed"),
            ("completed", Response(100), &[], "completed"),
            ("completed", Response(200), &[], "completed"),
            ("completed", fire(Timer::H), &[], "completed"),
            ("completed", fire(Timer::J), &[Terminated], "terminated"),
            ("completed", TransportError, failed, "terminated"),
            ("terminated", Retransmission, &[], "terminated"),
            ("terminated", Ack, &[], "terminated"),
            ("terminated", Response(200), &[], "terminated"),
            ("terminated", fire(Timer::J), &[], "terminated"),
            ("terminated", TransportError, &[], "terminated"),
        ];
        for (state, event, actions, after) in table {
            let mut machine = in_state(state);
            assert_eq!(machine.handle(*event).as_slice(), *actions, "{state} × {event:?}");
            assert_eq!(machine.to_string(), *after, "{state} × {event:?}");
        }
    }

    #[test]
    fn a_reliable_transport_is_over_with_the_final_answer() {
        let mut machine = PlainServer::new(timing(true)).0;
        let actions = machine.handle(Event::Response(200));
        assert_eq!(actions.as_slice(), [Action::Send, Action::Terminated]);
    }

    proptest::proptest! {
        #[test]
        fn any_order_of_events_keeps_the_contract(events in events(), reliable: bool) {
            let mut machine = PlainServer::new(timing(reliable)).0;
            obeys_the_contract(events, |e| machine.handle(e));
        }
    }
}
