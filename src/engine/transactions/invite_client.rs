//! INVITE client transaction (RFC 3261 §17.1.1 with RFC 6026 §7.2). It sends nothing and knows no
//! message: it says what to do. Timer C is the core's; actions go to the engine.
use super::{Action, Actions, Class, Event, Timer, Timing, none};
use smallvec::smallvec;
use std::fmt;
use std::time::Duration;

/// Shortest timer D over an unreliable transport.
const LINGER: Duration = Duration::from_secs(32);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Calling { interval: Duration },
    Proceeding,
    Accepted,
    Completed,
    Terminated,
}

/// The machine.
#[derive(Clone, Copy, Debug)]
pub struct InviteClient {
    state: State,
    timing: Timing,
}

impl InviteClient {
    /// Begins: "If an unreliable transport is being used, the client transaction MUST start timer A
    /// with a value of T1 … For any transport, the client transaction MUST start timer B with a
    /// value of 64*T1 seconds."
    #[must_use]
    pub fn new(timing: Timing) -> (Self, Actions) {
        let mut actions: Actions = smallvec![Action::Send];
        if !timing.reliable {
            actions.push(Action::Set(Timer::A, timing.t1));
        }
        actions.push(Action::Set(Timer::B, timing.give_up()));
        (Self { state: State::Calling { interval: timing.t1 }, timing }, actions)
    }

    /// One event.
    pub fn handle(&mut self, event: Event) -> Actions {
        match self.state {
            State::Calling { interval } => self.calling(interval, event),
            State::Proceeding => self.proceeding(event),
            State::Accepted => self.accepted(event),
            State::Completed => self.completed(event),
            State::Terminated => none(),
        }
    }

    /// True once a provisional answer came and no final one: only then may CANCEL be sent (§9.1).
    #[must_use]
    pub fn is_proceeding(&self) -> bool {
        self.state == State::Proceeding
    }

    /// True before any answer.
    #[must_use]
    pub fn is_calling(&self) -> bool {
        matches!(self.state, State::Calling { .. })
    }

    fn calling(&mut self, interval: Duration, event: Event) -> Actions {
        match event {
            // "When timer A fires, the client transaction MUST retransmit the request by passing it
            // to the transport layer, and MUST reset the timer with a value of 2*T1 … These
            // retransmissions SHOULD only be done while the client transaction is in the 'calling'
            // state" — without a ceiling, unlike timers E and G.
            Event::Timer(Timer::A) => {
                let next = interval.saturating_mul(2);
                self.state = State::Calling { interval: next };
                smallvec![Action::Resend, Action::Set(Timer::A, next)]
            }
            // "If the client transaction is still in the 'Calling' state when timer B fires, the
            // client transaction SHOULD inform the TU that a timeout has occurred."
            Event::Timer(Timer::B) => {
                self.state = State::Terminated;
                smallvec![Action::Stop(Timer::A), Action::TimedOut, Action::Terminated]
            }
            Event::Response(status) => {
                let mut actions: Actions =
                    smallvec![Action::Stop(Timer::A), Action::Stop(Timer::B)];
                actions.extend(self.response(status));
                actions
            }
            // "… the client transaction SHOULD inform the TU … and … transition directly to the
            // 'Terminated' state" (§17.1.4).
            Event::TransportError => {
                self.state = State::Terminated;
                smallvec![
                    Action::Stop(Timer::A),
                    Action::Stop(Timer::B),
                    Action::Failed,
                    Action::Terminated
                ]
            }
            Event::Retransmission | Event::Ack | Event::Timer(_) => none(),
        }
    }

    fn proceeding(&mut self, event: Event) -> Actions {
        match event {
            Event::Response(status) => self.response(status),
            // Nothing is sent in this state, so the failure is the connection's that the answer
            // would have come by.
            Event::TransportError => {
                self.state = State::Terminated;
                smallvec![Action::Failed, Action::Terminated]
            }
            Event::Retransmission | Event::Ack | Event::Timer(_) => none(),
        }
    }

    /// A response while Calling or Proceeding.
    fn response(&mut self, status: u16) -> Actions {
        match Class::of(status) {
            // "If the client transaction receives a provisional response while in the 'Calling'
            // state, it transitions to the 'Proceeding' state … Furthermore, the provisional
            // response MUST be passed to the TU."
            Class::Provisional => {
                self.state = State::Proceeding;
                smallvec![Action::Up]
            }
            // "When a 2xx response is received … the client transaction MUST enter the 'Accepted'
            // state … Timer M … MUST be set to fire in 64*T1" (RFC 6026 §8.4).
            Class::Success => {
                self.state = State::Accepted;
                smallvec![Action::Up, Action::Set(Timer::M, self.timing.give_up())]
            }
            // "… reception of a response with status code from 300-699 MUST cause the client
            // transaction to transition to 'Completed'. The client transaction MUST pass the
            // received response up to the TU, and the client transaction MUST generate an ACK
            // request …" Timer D: "at least 32 seconds for unreliable transports, and … zero
            // seconds for reliable transports".
            Class::Failure if self.timing.reliable => {
                self.state = State::Terminated;
                smallvec![Action::SendAck, Action::Up, Action::Terminated]
            }
            Class::Failure => {
                self.state = State::Completed;
                let d = Action::Set(Timer::D, self.timing.give_up().max(LINGER));
                smallvec![Action::SendAck, Action::Up, d]
            }
        }
    }

    fn accepted(&mut self, event: Event) -> Actions {
        match event {
            Event::Response(status) => match Class::of(status) {
                // "… the client transaction remains in the 'Accepted' state … and each 2xx response
                // … MUST be passed to the TU."
                Class::Success => smallvec![Action::Up],
                Class::Provisional | Class::Failure => none(),
            },
            // "When Timer M fires and the state machine is in the 'Accepted' state, the machine
            // MUST transition to the 'Terminated' state."
            Event::Timer(Timer::M) => self.end(),
            Event::Retransmission | Event::Ack | Event::Timer(_) | Event::TransportError => none(),
        }
    }

    fn completed(&mut self, event: Event) -> Actions {
        match event {
            Event::Response(status) => match Class::of(status) {
                // "Any retransmissions of the final response that are received while in the
                // 'Completed' state MUST cause the ACK to be re-passed to the transport layer for
                // retransmission, but the newly received response MUST NOT be passed up to the TU."
                Class::Failure => smallvec![Action::SendAck],
                Class::Provisional | Class::Success => none(),
            },
            // "If timer D fires while the client transaction is in the 'Completed' state, the
            // client transaction MUST move to the terminated state."
            Event::Timer(Timer::D) => self.end(),
            // The ACK could not be sent: "the client transaction … SHOULD inform the TU".
            Event::TransportError => {
                self.state = State::Terminated;
                smallvec![Action::Stop(Timer::D), Action::Failed, Action::Terminated]
            }
            Event::Retransmission | Event::Ack | Event::Timer(_) => none(),
        }
    }

    fn end(&mut self) -> Actions {
        self.state = State::Terminated;
        smallvec![Action::Terminated]
    }
}

impl fmt::Display for InviteClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::Calling { .. } => "calling",
            State::Proceeding => "proceeding",
            State::Accepted => "accepted",
            State::Completed => "completed",
            State::Terminated => "terminated",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    fn in_state(name: &str) -> InviteClient {
        let mut machine = InviteClient::new(timing(false)).0;
        let path: &[Event] = match name {
            "calling" => &[],
            "proceeding" => &[Event::Response(100)],
            "accepted" => &[Event::Response(200)],
            "completed" => &[Event::Response(486)],
            "terminated" => &[Event::Response(486), Event::Timer(Timer::D)],
            other => panic!("no state {other}"),
        };
        for event in path {
            let _ = machine.handle(*event);
        }
        assert_eq!(machine.to_string(), name);
        machine
    }

    #[test]
    fn it_begins_by_sending_with_both_timers() {
        let (machine, actions) = InviteClient::new(timing(false));
        assert_eq!(machine.to_string(), "calling");
        let a = Action::Set(Timer::A, Duration::from_millis(500));
        let b = Action::Set(Timer::B, Duration::from_secs(32));
        assert_eq!(actions.as_slice(), [Action::Send, a, b]);
        assert_eq!(InviteClient::new(timing(true)).1.as_slice(), [Action::Send, b]);
    }

    #[test]
    fn every_state_answers_every_event() {
        use Action::*;
        use Event::{Ack, Response, Retransmission, TransportError};
        let d = Set(Timer::D, Duration::from_secs(32));
        let m = Set(Timer::M, Duration::from_secs(32));
        let a = Set(Timer::A, Duration::from_secs(1));
        let (sa, sb) = (Stop(Timer::A), Stop(Timer::B));
        let fire = Event::Timer;
        let table: &[(&str, Event, &[Action], &str)] = &[
            ("calling", Retransmission, &[], "calling"),
            ("calling", Ack, &[], "calling"),
            ("calling", Response(100), &[sa, sb, Up], "proceeding"),
            ("calling", Response(200), &[sa, sb, Up, m], "accepted"),
            ("calling", Response(486), &[sa, sb, SendAck, Up, d], "completed"),
            ("calling", fire(Timer::A), &[Resend, a], "calling"),
            ("calling", fire(Timer::B), &[sa, TimedOut, Terminated], "terminated"),
            ("calling", fire(Timer::D), &[], "calling"),
            ("calling", TransportError, &[sa, sb, Failed, Terminated], "terminated"),
            ("proceeding", Retransmission, &[], "proceeding"),
            ("proceeding", Ack, &[], "proceeding"),
            ("proceeding", Response(183), &[Up], "proceeding"),
            ("proceeding", Response(200), &[Up, m], "accepted"),
            ("proceeding", Response(302), &[SendAck, Up, d], "completed"),
            ("proceeding", fire(Timer::A), &[], "proceeding"),
            ("proceeding", fire(Timer::B), &[], "proceeding"),
            ("proceeding", TransportError, &[Failed, Terminated], "terminated"),
            ("accepted", Retransmission, &[], "accepted"),
            ("accepted", Ack, &[], "accepted"),
            ("accepted", Response(180), &[], "accepted"),
            ("accepted", Response(200), &[Up], "accepted"),
            ("accepted", Response(486), &[], "accepted"),
            ("accepted", fire(Timer::B), &[], "accepted"),
            ("accepted", fire(Timer::M), &[Terminated], "terminated"),
            ("accepted", TransportError, &[], "accepted"),
            ("completed", Retransmission, &[], "completed"),
            ("completed", Ack, &[], "completed"),
            ("completed", Response(180), &[], "completed"),
            ("completed", Response(200), &[], "completed"),
            ("completed", Response(486), &[SendAck], "completed"),
            ("completed", fire(Timer::M), &[], "completed"),
            ("completed", fire(Timer::D), &[Terminated], "terminated"),
            ("completed", TransportError, &[Stop(Timer::D), Failed, Terminated], "terminated"),
            ("terminated", Retransmission, &[], "terminated"),
            ("terminated", Ack, &[], "terminated"),
            ("terminated", Response(200), &[], "terminated"),
            ("terminated", fire(Timer::D), &[], "terminated"),
            ("terminated", TransportError, &[], "terminated"),
        ];
        for (state, event, actions, after) in table {
            let mut machine = in_state(state);
            assert_eq!(machine.handle(*event).as_slice(), *actions, "{state} × {event:?}");
            assert_eq!(machine.to_string(), *after, "{state} × {event:?}");
        }
    }

    #[test]
    fn the_request_is_repeated_at_doubling_intervals_until_timer_b() {
        let mut machine = in_state("calling");
        let waits: Vec<u128> =
            (0..5).map(|_| wait_of(&machine.handle(Event::Timer(Timer::A)), Timer::A)).collect();
        assert_eq!(waits, [1000, 2000, 4000, 8000, 16000]);
    }

    #[test]
    fn a_reliable_transport_does_not_linger_after_a_failure() {
        let mut machine = InviteClient::new(timing(true)).0;
        let actions = machine.handle(Event::Response(404));
        assert_eq!(actions[2..], [Action::SendAck, Action::Up, Action::Terminated]);
    }

    proptest::proptest! {
        #[test]
        fn any_order_of_events_keeps_the_contract(events in events(), reliable: bool) {
            let mut machine = InviteClient::new(timing(reliable)).0;
            obeys_the_contract(events, |e| machine.handle(e));
        }

        #[test]
        fn at_most_one_failure_is_passed_up(events in events()) {
            let mut machine = InviteClient::new(timing(false)).0;
            let mut failures = 0;
            for event in events {
                let failure = matches!(event, Event::Response(300..));
                let up = machine.handle(event).contains(&Action::Up);
                failures += usize::from(failure && up);
            }
            proptest::prop_assert!(failures <= 1);
        }
    }
}
