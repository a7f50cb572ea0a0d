//! Honest calls while adversaries in every position do at random what it allows: replays of what they
//! overheard, smuggled headers, forged answers, floods, descriptions that point at the inside or at the
//! relay. After every step: nobody else's call is touched, the inside is not named outside, no table
//! holds more than its cap, nothing is sent on that policy did not see, answers are bounded.

use crate::lab::robot::Caller;
use crate::lab::seeds;
use crate::lab::siege::{MALLORY, Siege};
use crate::lab::world::{Weather, World};
use crate::lab::{Lab, ms, s, site};
use portreeve::engine::digest::Users;
use std::collections::BTreeMap;

/// Seeds of an ordinary run.
const SEEDS: u64 = 200;

/// Small tables, so that they fill.
const MORE: &str = r#"
[[upstream]]
name = "trunk"
address = "203.0.113.20:5060"
domain = "trunk.example.com"
numbers = ["+1"]
probe = "0s"

[limits]
calls = 40
calls_per_user = 5
transactions = 240
transactions_per_source = 60
dialogs = 60
bindings = 14

[[rule]]
name = "premium"
side = "inside"
number = ["+49900*"]
deny = { code = 403, reason = "Premium" }
"#;

fn lab() -> Lab {
    let text = site::EDGE
        .replace("default = \"allow\"", "default = \"site\"")
        .replace("[media]", &format!("{MORE}\n[media]"))
        .replacen("[[interface]]", "site = { inside_domains = [\"corp.test\"] }\n[[interface]]", 1);
    let mut lab = Lab::with(site::parse(&text), Users::None);
    lab.relay.quiet = true;
    lab.checks.judged = true;
    // One branch in damaged and sound messages: each has its own answer.
    lab.checks.forgetful = true;
    lab
}

fn siege(seed: u64) -> Siege {
    let mut lab = lab();
    let mallory = lab.phone("166", MALLORY);
    lab.register(&mallory, 3600);
    let weather = Weather { loss: 0, twice: 0, delay: 20 };
    let mut world = World::of(lab, seed, weather, false);
    for phone in world.phones.clone() {
        let sealed = world.lab.register(&phone, 3600);
        world.sealed.push(sealed);
    }
    let far = world.pbx.clone();
    Siege::of(world, seed, &far)
}

/// How a seed went.
#[derive(Debug, Default)]
struct Played {
    /// Of honest calls.
    outcomes: BTreeMap<u16, usize>,
    /// What adversaries were answered.
    answers: BTreeMap<u16, usize>,
}

impl Played {
    fn add(&mut self, other: Self) {
        let sums = [(&mut self.outcomes, other.outcomes), (&mut self.answers, other.answers)];
        for (sum, counts) in sums {
            counts.into_iter().for_each(|(status, n)| *sum.entry(status).or_default() += n);
        }
    }
}

/// Honest calls under attack.
fn play(seed: u64) -> Played {
    let mut siege = siege(seed);
    for _ in 0..8 {
        siege.world.new_call();
        for _ in 0..10 {
            let until = siege.world.lab.now.mono + ms(siege.dice.roll(300));
            while siege.world.lab.now.mono < until && !siege.world.on_way.is_empty() {
                siege.world.step();
                siege.react();
            }
            siege.attack();
        }
    }
    let limit = siege.world.lab.now.mono + s(900);
    let world = &mut siege.world;
    while !(world.on_way.is_empty() && world.callers.values().all(Caller::is_done)) {
        assert!(world.lab.now.mono < limit, "calls that never end");
        world.step();
    }
    let kept = world.lab.kept_bindings();
    for user in ["100", "101", "102", "103"] {
        let there = kept.iter().any(|b| b.aor.user == user);
        assert!(there, "{user} is registered no more: {kept:?}");
    }
    let mut played = Played { answers: siege.answers, ..Played::default() };
    for caller in world.callers.values() {
        let fit = matches!(caller.outcome, 200 | 486 | 487 | 603 | 408);
        assert!(fit, "an honest call ends with {}: {}", caller.outcome, caller.leg.call_id);
        *played.outcomes.entry(caller.outcome).or_default() += 1;
    }
    world.lab.clear();
    world.lab.end();
    played
}

#[test]
fn honest_calls_go_on_whatever_adversaries_do() {
    let played = seeds::run("honest_calls_go_on", SEEDS, play);
    let (seeds, mut all) = (played.len(), Played::default());
    played.into_iter().for_each(|one| all.add(one));
    // And they go on: of many, some are answered, refused and given up as they were meant to be.
    let calls: usize = all.outcomes.values().sum();
    assert!(calls >= seeds, "{calls} calls of {seeds} seeds");
    let meant = [200, 486, 487, 603].into_iter().all(|o| all.outcomes.contains_key(&o));
    assert!(meant || calls < 100, "{all:?}");
    // Not because nobody tried: they were let in, refused and found out.
    let tried = |status| all.answers.contains_key(&status);
    let teeth = [200, 400, 403, 404, 481, 488].into_iter().all(tried);
    assert!(teeth || all.outcomes.values().sum::<usize>() < 100, "{all:?}");
    println!("{all:?}");
}
