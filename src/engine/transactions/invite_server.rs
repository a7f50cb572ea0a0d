//! INVITE server transaction (RFC 3261 §17.2.1 with RFC 6026 §7.1). It sends nothing and knows no
//! message: it says what to do. 100 Trying is the core's first answer; actions go to the engine.
use super::{Action, Actions, Class, Event, Timer, Timing, none};
use smallvec::smallvec;
use std::fmt;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Proceeding { answered: bool },
    Accepted,
    Completed { interval: Duration },
    Confirmed,
    Terminated,
}

/// The machine.
#[derive(Clone, Copy, Debug)]
pub struct InviteServer {
    state: State,
    timing: Timing,
}

impl InviteServer {
    /// Begins; there is nothing to do until the core answers.
    #[must_use]
    pub fn new(timing: Timing) -> (Self, Actions) {
        (Self { state: State::Proceeding { answered: false }, timing }, none())
    }

    /// One event.
    pub fn handle(&mut self, event: Event) -> Actions {
        match self.state {
            State::Proceeding { answered } => self.proceeding(answered, event),
            State::Accepted => self.accepted(event),
            State::Completed { interval } => self.completed(interval, event),
            State::Confirmed => self.confirmed(event),
            State::Terminated => none(),
        }
    }

    /// True while the core may still send a final answer.
    #[must_use]
    pub fn is_proceeding(&self) -> bool {
        matches!(self.state, State::Proceeding { .. })
    }

    fn proceeding(&mut self, answered: bool, event: Event) -> Actions {
        match event {
            // "If a request retransmission is received while in the 'Proceeding' state, the most
            // recent provisional response that was received from the TU MUST be passed to the
            // transport layer for retransmission."
            Event::Retransmission if answered => smallvec![Action::Resend],
            Event::Retransmission => none(),
            Event::Response(status) => match Class::of(status) {
                // "The TU passes any number of provisional responses to the server transaction. So
                // long as the server transaction is in the 'Proceeding' state, each of these MUST
                // be passed to the transport layer for transmission."
                Class::Provisional => {
                    self.state = State::Proceeding { answered: true };
                    smallvec![Action::Send]
                }
                Class::Success => self.accept(),
                Class::Failure => self.complete(),
            },
            // "… the TU is informed that a failure has occurred, and [the transaction] SHOULD
            // transition to the terminated state" (§17.2.4).
            Event::TransportError => self.fail(),
            Event::Ack | Event::Timer(_) => none(),
        }
    }

    /// "… the server transaction MUST transition to the 'Accepted' state … Timer L … MUST be set to
    /// fire in 64*T1" (RFC 6026 §8.7).
    fn accept(&mut self) -> Actions {
        self.state = State::Accepted;
        smallvec![Action::Send, Action::Set(Timer::L, self.timing.give_up())]
    }

    /// "For unreliable transports, timer G is set to fire in T1 seconds … When the 'Completed'
    /// state is entered, timer H MUST be set to fire in 64*T1 seconds for all transports."
    fn complete(&mut self) -> Actions {
        self.state = State::Completed { interval: self.timing.t1 };
        let mut actions: Actions = smallvec![Action::Send];
        if !self.timing.reliable {
            actions.push(Action::Set(Timer::G, self.timing.t1));
        }
        actions.push(Action::Set(Timer::H, self.timing.give_up()));
        actions
    }

    fn accepted(&mut self, event: Event) -> Actions {
        match event {
            Event::Response(status) => match Class::of(status) {
                // "While in the 'Accepted' state, if the TU passes a 2xx response, the server
                // transaction MUST pass the response to the transport layer for transmission."
                Class::Success => smallvec![Action::Send],
                Class::Provisional | Class::Failure => none(),
            },
            // "When Timer L fires and the state machine is in the 'Accepted' state, the machine
            // MUST transition to the 'Terminated' state."
            Event::Timer(Timer::L) => self.end(),
            // "… any retransmissions of the INVITE received will match this transaction … and will
            // be absorbed"; the ACK to a 2xx is a transaction of its own.
            Event::Retransmission | Event::Ack | Event::Timer(_) => none(),
            // The figure of RFC 6026 informs the TU and stays: a later 2xx may yet pass.
            Event::TransportError => smallvec![Action::Failed],
        }
    }

    fn completed(&mut self, interval: Duration, event: Event) -> Actions {
        match event {
            // "… while in the 'Completed' state, if a request retransmission is received, the
            // server SHOULD pass the response to the transport for retransmission."
            Event::Retransmission => smallvec![Action::Resend],
            // "If an ACK is received while the server transaction is in the 'Completed' state, the
            // server transaction MUST transition to the 'Confirmed' state."
            Event::Ack => self.confirm(),
            // "If timer G fires, the response is passed to the transport layer once more for
            // retransmission, and timer G is set to fire in MIN(2*T1, T2) seconds."
            Event::Timer(Timer::G) => {
                let next = self.timing.doubled(interval);
                self.state = State::Completed { interval: next };
                smallvec![Action::Resend, Action::Set(Timer::G, next)]
            }
            // "If timer H fires while in the 'Completed' state, it implies that the ACK was never
            // received. In this case, the server transaction MUST transition to the 'Terminated'
            // state, and MUST indicate to the TU that a transaction failure has occurred."
            Event::Timer(Timer::H) => {
                self.state = State::Terminated;
                smallvec![
                    Action::Stop(Timer::G),
                    Action::Stop(Timer::H),
                    Action::TimedOut,
                    Action::Terminated
                ]
            }
            Event::TransportError => self.fail(),
            Event::Response(_) | Event::Timer(_) => none(),
        }
    }

    /// "… timer G is ignored, and any retransmissions of the response will cease … When this state
    /// is entered, timer I is set to fire in T4 seconds for unreliable transports, and zero
    /// seconds for reliable transports."
    fn confirm(&mut self) -> Actions {
        let mut actions: Actions = smallvec![Action::Stop(Timer::G), Action::Stop(Timer::H)];
        if self.timing.reliable {
            self.state = State::Terminated;
            actions.push(Action::Terminated);
        } else {
            self.state = State::Confirmed;
            actions.push(Action::Set(Timer::I, self.timing.t4));
        }
        actions
    }

    fn confirmed(&mut self, event: Event) -> Actions {
        match event {
            // "Once timer I fires, the server MUST transition to the 'Terminated' state."
            Event::Timer(Timer::I) => self.end(),
            // "The purpose of the 'Confirmed' state is to absorb any additional ACK messages that
            // arrive, triggered from retransmissions of the final response."
            Event::Retransmission
            | Event::Ack
            | Event::Response(_)
            | Event::Timer(_)
            | Event::TransportError => none(),
        }
    }

    fn end(&mut self) -> Actions {
        self.state = State::Terminated;
        smallvec![Action::Terminated]
    }

    fn fail(&mut self) -> Actions {
        self.state = State::Terminated;
        smallvec![
            Action::Stop(Timer::G),
            Action::Stop(Timer::H),
            Action::Failed,
            Action::Terminated
        ]
    }
}

impl fmt::Display for InviteServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::Proceeding { .. } => "proceeding",
            State::Accepted => "accepted",
            State::Completed { .. } => "completed",
            State::Confirmed => "confirmed",
            State::Terminated => "terminated",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    fn begin(reliable: bool) -> InviteServer {
        let (machine, actions) = InviteServer::new(timing(reliable));
        assert!(actions.is_empty());
        machine
    }

    /// A machine in the named state, over an unreliable transport.
    fn in_state(name: &str) -> InviteServer {
        let mut machine = begin(false);
        let path: &[Event] = match name {
            "proceeding" => &[Event::Response(100)],
            "accepted" => &[Event::Response(200)],
            "completed" => &[Event::Response(486)],
            "confirmed" => &[Event::Response(486), Event::Ack],
            "terminated" => &[Event::Response(200), Event::Timer(Timer::L)],
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
        let g = |ms| Set(Timer::G, Duration::from_millis(ms));
        let h = Set(Timer::H, Duration::from_secs(32));
        let l = Set(Timer::L, Duration::from_secs(32));
        let i = Set(Timer::I, Duration::from_secs(5));
        let (stop_g, stop_h) = (Stop(Timer::G), Stop(Timer::H));
        let fire = Event::Timer;
        let table: &[(&str, Event, &[Action], &str)] = &[
            ("proceeding", Retransmission, &[Resend], "proceeding"),
            ("proceeding", Ack, &[], "proceeding"),
            ("proceeding", Response(180), &[Send], "proceeding"),
            ("proceeding", Response(200), &[Send, l], "accepted"),
            ("proceeding", Response(302), &[Send, g(500), h], "completed"),
            ("proceeding", Response(603), &[Send, g(500), h], "completed"),
            ("proceeding", fire(Timer::H), &[], "proceeding"),
            ("proceeding", TransportError, &[stop_g, stop_h, Failed, Terminated], "terminated"),
            ("accepted", Retransmission, &[], "accepted"),
            ("accepted", Ack, &[], "accepted"),
            ("accepted", Response(183), &[], "accepted"),
            ("accepted", Response(200), &[Send], "accepted"),
            ("accepted", Response(500), &[], "accepted"),
            ("accepted", fire(Timer::G), &[], "accepted"),
            ("accepted", fire(Timer::L), &[Terminated], "terminated"),
            ("accepted", TransportError, &[Failed], "accepted"),
            ("completed", Retransmission, &[Resend], "completed"),
            ("completed", Ack, &[stop_g, stop_h, i], "confirmed"),
            ("completed", Response(180), &[], "completed"),
            ("completed", Response(200), &[], "completed"),
            ("completed", Response(486), &[], "completed"),
            ("completed", fire(Timer::G), &[Resend, g(1000)], "completed"),
            ("completed", fire(Timer::L), &[], "completed"),
            ("completed", fire(Timer::H), &[stop_g, stop_h, TimedOut, Terminated], "terminated"),
            ("completed", TransportError, &[stop_g, stop_h, Failed, Terminated], "terminated"),
            ("confirmed", Retransmission, &[], "confirmed"),
            ("confirmed", Ack, &[], "confirmed"),
            ("confirmed", Response(486), &[], "confirmed"),
            ("confirmed", fire(Timer::G), &[], "confirmed"),
            ("confirmed", fire(Timer::I), &[Terminated], "terminated"),
            ("confirmed", TransportError, &[], "confirmed"),
            ("terminated", Retransmission, &[], "terminated"),
            ("terminated", Ack, &[], "terminated"),
            ("terminated", Response(200), &[], "terminated"),
            ("terminated", fire(Timer::I), &[], "terminated"),
            ("terminated", TransportError, &[], "terminated"),
        ];
        for (state, event, actions, after) in table {
            let mut machine = in_state(state);
            assert_eq!(machine.handle(*event).as_slice(), *actions, "{state} × {event:?}");
            assert_eq!(machine.to_string(), *after, "{state} × {event:?}");
        }
    }

    #[test]
    fn nothing_is_resent_before_the_first_answer() {
        assert!(begin(false).handle(Event::Retransmission).is_empty());
    }

    #[test]
    fn the_answer_is_repeated_at_doubling_intervals_up_to_t2() {
        let mut machine = in_state("completed");
        let waits: Vec<u128> =
            (0..5).map(|_| wait_of(&machine.handle(Event::Timer(Timer::G)), Timer::G)).collect();
        assert_eq!(waits, [1000, 2000, 4000, 4000, 4000]);
    }

    #[test]
    fn a_reliable_transport_neither_repeats_nor_lingers() {
        let mut machine = begin(true);
        let first = machine.handle(Event::Response(404));
        assert_eq!(first.as_slice(), [Action::Send, Action::Set(Timer::H, timing(true).give_up())]);
        let last = machine.handle(Event::Ack);
        assert_eq!(last.last(), Some(&Action::Terminated));
    }

    proptest::proptest! {
        #[test]
        fn any_order_of_events_keeps_the_contract(events in events(), reliable: bool) {
            let mut machine = InviteServer::new(timing(reliable)).0;
            obeys_the_contract(events, |e| machine.handle(e));
        }
    }
}
