//! What the tests of all four machines share.
use super::{Action, Actions, Event, Timer, Timing};
use proptest::prelude::*;
use std::collections::HashSet;
use std::time::Duration;

/// RFC 3261's default values.
pub(super) fn timing(reliable: bool) -> Timing {
    Timing {
        t1: Duration::from_millis(500),
        t2: Duration::from_secs(4),
        t4: Duration::from_secs(5),
        reliable,
    }
}

/// Milliseconds to which `actions` set `timer`.
#[expect(clippy::wildcard_enum_match_arm, reason = "the rest is alike")]
pub(super) fn wait_of(actions: &Actions, timer: Timer) -> u128 {
    let set = actions.iter().find_map(|action| match action {
        Action::Set(t, wait) if *t == timer => Some(wait.as_millis()),
        _ => None,
    });
    set.expect("the timer is set")
}

const TIMERS: [Timer; 13] = [
    Timer::A,
    Timer::B,
    Timer::C,
    Timer::D,
    Timer::E,
    Timer::F,
    Timer::G,
    Timer::H,
    Timer::I,
    Timer::J,
    Timer::K,
    Timer::L,
    Timer::M,
];

/// Any events in any order.
pub(super) fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        Just(Event::Retransmission),
        Just(Event::Ack),
        any::<u16>().prop_map(Event::Response),
        (100u16..700).prop_map(Event::Response),
        proptest::sample::select(&TIMERS[..]).prop_map(Event::Timer),
        Just(Event::TransportError),
    ];
    proptest::collection::vec(event, 0..40)
}

/// What holds for every machine: terminated means silent, no timer runs on after the end unless it
/// fires into silence, a timer that repeats never waits longer than the transaction lives, and
/// nothing is re-sent over a machine that has sent nothing.
#[expect(clippy::wildcard_enum_match_arm, reason = "the rest is alike")]
pub(super) fn obeys_the_contract(events: Vec<Event>, mut handle: impl FnMut(Event) -> Actions) {
    let mut terminated = false;
    for event in events {
        let actions = handle(event);
        assert!(!terminated || actions.is_empty(), "{actions:?} after the end, for {event:?}");
        let ends = actions.iter().filter(|a| **a == Action::Terminated).count();
        assert!(ends <= 1);
        if ends == 1 {
            assert_eq!(actions.last(), Some(&Action::Terminated), "the end comes last");
        }
        terminated |= ends == 1;
        let mut touched = HashSet::new();
        for action in &actions {
            let timer = match action {
                Action::Set(timer, wait) => {
                    assert!(!wait.is_zero(), "a zero wait is a transition, not a timer");
                    timer
                }
                Action::Stop(timer) => timer,
                _ => continue,
            };
            assert!(touched.insert(*timer), "{timer:?} is touched twice in one step");
        }
        let over = actions.iter().any(|a| matches!(a, Action::TimedOut | Action::Failed));
        let sets = actions.iter().any(|a| matches!(a, Action::Set(..)));
        assert!(!(over && sets), "a failed transaction arms nothing");
    }
}
