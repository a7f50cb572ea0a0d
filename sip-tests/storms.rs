//! The gateway through bad days of a site, each from a seed: after every step and in the end all that
//! `lab::check` asks holds. A landing runs 2,000 of them (`.ci/run`).

use crate::lab::{seeds, storm};
use std::collections::BTreeMap;

/// Seeds of an ordinary run.
const SEEDS: u64 = 200;

#[test]
fn whatever_happens_to_the_site_the_gateway_stays_sound() {
    let went = seeds::run("storms", SEEDS, storm::play);
    let mut outcomes: BTreeMap<u16, usize> = BTreeMap::new();
    let mut troubles: BTreeMap<&str, usize> = BTreeMap::new();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for one in &went {
        one.outcomes.iter().for_each(|(o, n)| *outcomes.entry(*o).or_default() += n);
        one.troubles.iter().for_each(|(t, n)| *troubles.entry(*t).or_default() += n);
        one.seen.iter().for_each(|(t, n)| *seen.entry(*t).or_default() += n);
    }
    println!("{outcomes:?} {troubles:?} {seen:?}");
    let (calls, answered): (usize, usize) =
        (outcomes.values().sum(), outcomes.get(&200).copied().unwrap_or_default());
    assert!(calls >= went.len(), "calls are made: {outcomes:?}");
    assert!(calls < 100 || answered * 6 > calls, "and many are answered: {outcomes:?}");
    assert!(calls < 1_000 || troubles.len() == 16, "everything goes wrong once: {troubles:?}");
    let all = ["broken", "call", "emergency", "password", "proved", "registered", "sips"];
    let all = all.iter().chain(&["undelivered", "unknown_phone", "unproved"]);
    let once = all.into_iter().all(|what| seen.get(what).is_some_and(|n| *n > 0));
    assert!(calls < 1_000 || once, "and everything happens once: {seen:?}");
}
