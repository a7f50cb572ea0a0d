//! Non-INVITE client transaction (RFC 3261 §17.1.2). It sends nothing and knows no message: it says
//! what to do; actions go to the engine.
use super::{Action, Actions, Class, Event, Timer, Timing, none};
use smallvec::smallvec;
use std::fmt;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Trying { interval: Duration },
    Proceeding,
    Completed,
    Terminated,
}

/// The machine.
#[derive(Clone, Copy, Debug)]
pub struct PlainClient {
    state: State,
    timing: Timing,
}

impl PlainClient {
    /// Begins: "When entering this state, the client transaction SHOULD set timer F to fire in
    /// 64*T1 seconds … If an unreliable transport is in use, the client transaction MUST set timer
    /// E to fire in T1 seconds."
    #[must_use]
    pub fn new(timing: Timing) -> (Self, Actions) {
        let mut actions: Actions = smallvec![Action::Send];
        if !timing.reliable {
            actions.push(Action::Set(Timer::E, timing.t1));
        }
        actions.push(Action::Set(Timer::F, timing.give_up()));
        (Self { state: State::Trying { interval: timing.t1 }, timing }, actions)
    }

    /// One event.
    pub fn handle(&mut self, event: Event) -> Actions {
        match self.state {
            State::Trying { interval } => self.trying(interval, event),
            State::Proceeding => self.proceeding(event),
            State::Completed => self.completed(event),
            State::Terminated => none(),
        }
    }

    /// True before any answer.
    #[must_use]
    pub fn is_trying(&self) -> bool {
        matches!(self.state, State::Trying { .. })
    }

    fn trying(&mut self, interval: Duration, event: Event) -> Actions {
        match event {
            // "If timer E fires while still in this state, the timer is reset, but this time with a
            // value of MIN(2*T1, T2)."
            Event::Timer(Timer::E) => {
                let next = self.timing.doubled(interval);
                self.state = State::Trying { interval: next };
                smallvec![Action::Resend, Action::Set(Timer::E, next)]
            }
            Event::Timer(Timer::F) => self.time_out(),
            Event::Response(status) => self.response(status),
            Event::TransportError => self.fail(),
            Event::Retransmission | Event::Ack | Event::Timer(_) => none(),
        }
    }

    fn proceeding(&mut self, event: Event) -> Actions {
        match event {
            // "If Timer E fires while in the 'Proceeding' state, the request MUST be passed to the
            // transport layer for retransmission, and Timer E MUST be reset with a value of T2
            // seconds."
            Event::Timer(Timer::E) => {
                smallvec![Action::Resend, Action::Set(Timer::E, self.timing.t2)]
            }
            // "If timer F fires while in the 'Proceeding' state, the TU MUST be informed of a
            // timeout, and the client transaction MUST transition to the terminated state."
            Event::Timer(Timer::F) => self.time_out(),
            Event::Response(status) => self.response(status),
            Event::TransportError => self.fail(),
            Event::Retransmission | Event::Ack | Event::Timer(_) => none(),
        }
    }

    /// A response while Trying or Proceeding.
    fn response(&mut self, status: u16) -> Actions {
        match Class::of(status) {
            // "If a provisional response is received while in the 'Trying' state, the response MUST
            // be passed to the TU, and then the client transaction SHOULD move to the 'Proceeding'
            // state."
            Class::Provisional => {
                self.state = State::Proceeding;
                smallvec![Action::Up]
            }
            // "Once the client transaction enters the 'Completed' state, it MUST set Timer K to
            // fire in T4 seconds for unreliable transports, and zero seconds for reliable
            // transports."
            Class::Success | Class::Failure => {
                let mut actions: Actions =
                    smallvec![Action::Stop(Timer::E), Action::Stop(Timer::F), Action::Up];
                if self.timing.reliable {
                    self.state = State::Terminated;
                    actions.push(Action::Terminated);
                } else {
                    self.state = State::Completed;
                    actions.push(Action::Set(Timer::K, self.timing.t4));
                }
                actions
            }
        }
    }

    fn completed(&mut self, event: Event) -> Actions {
        match event {
            // "If Timer K fires while in this state, the client transaction MUST transition to the
            // 'Terminated' state."
            Event::Timer(Timer::K) => {
                self.state = State::Terminated;
                smallvec![Action::Terminated]
            }
            // "The 'Completed' state exists to buffer any additional response retransmissions that
            // may be received."
            Event::Retransmission
            | Event::Ack
            | Event::Response(_)
            | Event::Timer(_)
            | Event::TransportError => none(),
        }
    }

    fn time_out(&mut self) -> Actions {
        self.state = State::Terminated;
        smallvec![Action::Stop(Timer::E), Action::TimedOut, Action::Terminated]
    }

    /// "… the client transaction SHOULD inform the TU that a transport failure has occurred, and …
    /// transition directly to the 'Terminated' state" (§17.1.4).
    fn fail(&mut self) -> Actions {
        self.state = State::Terminated;
        let (e, f) = (Action::Stop(Timer::E), Action::Stop(Timer::F));
        smallvec![e, f, Action::Failed, Action::Terminated]
    }
}

impl fmt::Display for PlainClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::Trying { .. } => "trying",
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

    fn in_state(name: &str) -> PlainClient {
        let mut machine = PlainClient::new(timing(false)).0;
        let path: &[Event] = match name {
            "trying" => &[],
            "proceeding" => &[Event::Response(100)],
            "completed" => &[Event::Response(200)],
            "terminated" => &[Event::Response(200), Event::Timer(Timer::K)],
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
        let f = Action::Set(Timer::F, Duration::from_secs(32));
        let e = Action::Set(Timer::E, Duration::from_millis(500));
        assert_eq!(PlainClient::new(timing(false)).1.as_slice(), [Action::Send, e, f]);
        assert_eq!(PlainClient::new(timing(true)).1.as_slice(), [Action::Send, f]);
    }

    #[test]
    fn every_state_answers_every_event() {
        use Action::*;
        use Event::{Ack, Response, Retransmission, TransportError};
        let e = |ms| Set(Timer::E, Duration::from_millis(ms));
        let (se, sf) = (Stop(Timer::E), Stop(Timer::F));
        let done: &[Action] = &[se, sf, Up, Set(Timer::K, Duration::from_secs(5))];
        let failed: &[Action] = &[se, sf, Failed, Terminated];
        let fire = Event::Timer;
        let table: &[(&str, Event, &[Action], &str)] = &[
            ("trying", Retransmission, &[], "trying"),
            ("trying", Ack, &[], "trying"),
            ("trying", Response(100), &[Up], "proceeding"),
            ("trying", Response(200), done, "completed"),
            ("trying", Response(404), done, "completed"),
            ("trying", fire(Timer::E), &[Resend, e(1000)], "trying"),
            ("trying", fire(Timer::F), &[se, TimedOut, Terminated], "terminated"),
            ("trying", fire(Timer::K), &[], "trying"),
            ("trying", TransportError, failed, "terminated"),
            ("proceeding", Retransmission, &[], "proceeding"),
            ("proceeding", Ack, &[], "proceeding"),
            ("proceeding", Response(183), &[Up], "proceeding"),
            ("proceeding", Response(200), done, "completed"),
            ("proceeding", Response(503), done, "completed"),
            ("proceeding", fire(Timer::E), &[Resend, e(4000)], "proceeding"),
            ("proceeding", fire(Timer::F), &[se, TimedOut, Terminated], "terminated"),
            ("proceeding", fire(Timer::K), &[], "proceeding"),
            ("proceeding", TransportError, failed, "terminated"),
            ("completed", Retransmission, &[], "completed"),
            ("completed", Ack, &[], "completed"),
            ("completed", Response(100), &[], "completed"),
            ("completed", Response(200), &[], "completed"),
            ("completed", fire(Timer::F), &[], "completed"),
            ("completed", fire(Timer::K), &[Terminated], "terminated"),
            ("completed", TransportError, &[], "completed"),
            ("terminated", Retransmission, &[], "terminated"),
            ("terminated", Ack, &[], "terminated"),
            ("terminated", Response(200), &[], "terminated"),
            ("terminated", fire(Timer::K), &[], "terminated"),
            ("terminated", TransportError, &[], "terminated"),
        ];
        for (state, event, actions, after) in table {
            let mut machine = in_state(state);
            assert_eq!(machine.handle(*event).as_slice(), *actions, "{state} × {event:?}");
            assert_eq!(machine.to_string(), *after, "{state} × {event:?}");
        }
    }

    #[test]
    fn the_request_is_repeated_at_doubling_intervals_up_to_t2() {
        let mut machine = in_state("trying");
        let waits: Vec<u128> =
            (0..5).map(|_| wait_of(&machine.handle(Event::Timer(Timer::E)), Timer::E)).collect();
        assert_eq!(waits, [1000, 2000, 4000, 4000, 4000]);
    }

    #[test]
    fn a_reliable_transport_is_over_with_the_final_answer() {
        let mut machine = PlainClient::new(timing(true)).0;
        let actions = machine.handle(Event::Response(200));
        assert_eq!(actions[2..], [Action::Up, Action::Terminated]);
    }

    proptest::proptest! {
        #[test]
        fn any_order_of_events_keeps_the_contract(events in events(), reliable: bool) {
            let mut machine = PlainClient::new(timing(reliable)).0;
            obeys_the_contract(events, |e| machine.handle(e));
        }
    }
}
