//! Many calls over a network that loses, repeats and reorders, seeded: the same seed is the same run.
//! What must hold is in `lab::check`; here it is only made likely that something could go wrong.

use crate::lab::robot::Caller;
use crate::lab::world::{Weather, World};
use crate::lab::{ms, s};
use portreeve::engine::Input;
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hasher as _};

/// Runs calls until all are over; outcomes as the callers saw them.
fn run(seed: u64, calls: usize, weather: Weather) -> Vec<u16> {
    let world = play(seed, calls, weather, false);
    world.callers.values().map(|c| c.outcome).collect()
}

/// … and what the world was in the end.
fn play(seed: u64, calls: usize, weather: Weather, unruly: bool) -> World {
    let mut world = World::new(seed, weather, unruly);
    for _ in 0..calls {
        world.new_call();
        let until = world.lab.now.mono + ms(world.dice.roll(1_500));
        while world.lab.now.mono < until && !world.on_way.is_empty() {
            world.step();
        }
    }
    let limit = world.lab.now.mono + s(900);
    while !(world.on_way.is_empty() && world.callers.values().all(Caller::is_done)) {
        assert!(world.lab.now.mono < limit, "seed {seed}: calls that never end");
        world.step();
    }
    world.lab.clear();
    world.lab.end();
    let ids: BTreeSet<&String> = world.callers.keys().collect();
    assert_eq!(ids.len(), calls);
    world
}

#[test]
fn over_a_good_network_every_call_has_the_end_that_was_meant() {
    let outcomes = run(1, 60, Weather { loss: 0, twice: 0, delay: 5 });
    assert!(outcomes.iter().all(|o| matches!(o, 200 | 486 | 487 | 603 | 408)), "{outcomes:?}");
    for meant in [200, 486, 487, 603] {
        assert!(outcomes.contains(&meant), "{meant} in {outcomes:?}");
    }
}

#[test]
fn loss_repetition_and_reordering_leave_nothing_behind() {
    let weathers = [
        Weather { loss: 10, twice: 5, delay: 40 },
        Weather { loss: 30, twice: 20, delay: 300 },
        Weather { loss: 60, twice: 50, delay: 450 },
    ];
    for seed in 2..14 {
        let weather = weathers[seed as usize % weathers.len()];
        let outcomes = run(seed, 25, weather);
        assert_eq!(outcomes.len(), 25);
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    let weather = Weather { loss: 20, twice: 10, delay: 200 };
    assert_eq!(run(99, 20, weather), run(99, 20, weather));
}

/// Every final answer that requests within dialogs got, on both sides.
fn heard(world: &World) -> BTreeSet<u16> {
    let callers = world.callers.values().flat_map(|c| &c.talker.heard);
    callers.chain(world.callees.values().flat_map(|c| &c.talker.heard)).copied().collect()
}

#[test]
fn unruly_parties_over_a_good_network_each_get_their_answers() {
    let world = play(1, 120, Weather { loss: 0, twice: 0, delay: 5 }, true);
    let outcomes: Vec<u16> = world.callers.values().map(|c| c.outcome).collect();
    let told = |o: &u16| matches!(o, 200 | 486 | 487 | 488 | 603 | 408);
    assert!(outcomes.iter().all(told), "{outcomes:?}");
    for meant in [200, 486, 487, 488, 603] {
        assert!(outcomes.contains(&meant), "{meant} in {outcomes:?}");
    }
    let forsaken = world.callers.values().map(|c| c.talker.forsaken).sum::<usize>()
        + world.callees.values().map(|c| c.talker.forsaken).sum::<usize>();
    assert_eq!(forsaken, 0, "every final answer to an INVITE had its ACK");
    let heard = heard(&world);
    for meant in [200, 400, 415, 488, 491, 603] {
        assert!(heard.contains(&meant), "{meant} in {heard:?}");
    }
    assert!(heard.iter().all(|s| [200, 400, 415, 481, 488, 491, 603].contains(s)), "{heard:?}");
}

#[test]
fn unruly_parties_over_a_bad_network_leave_nothing_behind() {
    let weathers = [
        Weather { loss: 5, twice: 5, delay: 40 },
        Weather { loss: 20, twice: 20, delay: 300 },
        Weather { loss: 50, twice: 40, delay: 450 },
    ];
    for seed in 20..32 {
        let world = play(seed, 25, weathers[seed as usize % weathers.len()], true);
        assert_eq!(world.callers.len(), 25);
    }
}

/// What the process that asks for a digest is told by.
const ASKED: &str = "PORTREEVE_TEST_DIGEST";

/// Every effect of a run, in order; printed for the process that asks.
#[test]
fn a_run_has_one_digest() {
    let mut world = World::new(7, Weather { loss: 15, twice: 10, delay: 120 }, true);
    world.lab.digest = Some(Default::default());
    world.lab.input(Input::KeepCalls(true));
    for _ in 0..40 {
        world.new_call();
        world.step();
    }
    let limit = world.lab.now.mono + s(900);
    while !world.on_way.is_empty() && world.lab.now.mono < limit {
        world.step();
    }
    let digest = world.lab.digest.take().expect("asked for").finish();
    assert_ne!(digest, DefaultHasher::new().finish(), "something happened");
    if std::env::var_os(ASKED).is_some() {
        println!("digest {digest:016x}");
    }
}

/// Tables hash otherwise in every process: no effect may follow their order.
#[test]
fn the_same_seed_is_the_same_run_in_any_process() {
    let digest = || {
        let own = std::env::current_exe().expect("this test's file");
        let run = std::process::Command::new(own)
            .args(["--exact", "simulate::a_run_has_one_digest", "--nocapture"])
            .env(ASKED, "1")
            .output()
            .expect("it runs again");
        let text = String::from_utf8_lossy(&run.stdout).into_owned();
        let at = text.find("digest ").unwrap_or_else(|| panic!("{text}"));
        text[at..].lines().next().expect("a line").to_owned()
    };
    assert_eq!(digest(), digest());
}
