//! Fuzz targets whose body needs no fuzzer: their corpus, and octets by chance. Seeded: the same runs
//! each time; `PORTREEVE_SEEDS=n` runs n.

use crate::lab::seeds;
use crate::lab::talker::Dice;
use std::path::Path;

#[path = "../fuzz/shared/dns.rs"]
mod dns;
#[path = "../fuzz/shared/engine.rs"]
mod engine;
#[path = "../fuzz/shared/tls.rs"]
mod tls;

/// Octet strings of a corpus.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// A string of the corpus with some octets changed, cut or repeated; or one by chance.
fn mutated(dice: &mut Dice, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut octets = dice.pick_of(corpus).cloned().unwrap_or_default();
    if dice.percent(30) {
        octets = (0..dice.roll(400)).map(|_| dice.roll(256) as u8).collect();
    }
    for _ in 0..dice.roll(8) {
        let Some(at) = dice.index(octets.len()) else { break };
        match dice.roll(4) {
            0 => octets.truncate(at),
            1 => octets.extend_from_within(at..),
            _ => octets[at] = dice.roll(256) as u8,
        }
        octets.truncate(4_000);
    }
    octets
}

#[test]
fn whatever_dns_says_leads_to_few_hosts_and_only_to_such_as_may_be() {
    let corpus = corpus("dns");
    assert!(corpus.len() >= 3, "a corpus");
    let found: Vec<usize> = corpus.iter().map(|octets| dns::run(octets)).collect();
    assert!(found.iter().any(|places| *places >= 4), "places are found: {found:?}");
    seeds::run("whatever_dns_says", 2_000, |seed| {
        dns::run(&mutated(&mut Dice::new(seed), &corpus))
    });
}

#[test]
fn whatever_comes_to_a_tls_port_first_is_said_of_alike_in_any_pieces_and_bounded() {
    let corpus = corpus("tls");
    let found: Vec<u64> = corpus.iter().filter_map(|octets| tls::run(octets)).collect();
    assert!(corpus.len() >= 6 && found.contains(&3), "hellos are taken: {found:?}");
    seeds::run("whatever_comes_to_a_tls_port", 20_000, |seed| {
        tls::run(&mutated(&mut Dice::new(seed), &corpus))
    });
}

#[test]
fn whatever_the_gateway_is_told_leaves_nothing_behind() {
    let corpus = corpus("engine");
    assert!(corpus.len() >= 5, "a corpus");
    let ran: Vec<engine::Ran> = corpus.iter().map(|octets| engine::run(octets)).collect();
    assert!(ran.iter().all(|r| r.sent > 0), "each is answered: {ran:?}");
    assert!(ran.iter().any(|r| r.answered > 0), "calls are up: {ran:?}");
    assert!(ran.iter().any(|r| r.secure > 0), "by TLS, too: {ran:?}");
    seeds::run("whatever_the_gateway_is_told", 40, |seed| {
        engine::run(&mutated(&mut Dice::new(seed), &corpus))
    });
}
