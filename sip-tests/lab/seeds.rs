//! Runs seeds on all cores. Those that fail are named; the first is run once more, and its inputs are
//! told in order. `PORTREEVE_SEEDS=n` runs n seeds from 1 (or `PORTREEVE_FROM`), `PORTREEVE_SEED=n` one with
//! its whole trace.

use super::trace;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Seeds that fail before no more are tried.
const ENOUGH: usize = 10;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|n| n.parse().ok())
}

/// Which are asked for; else as many as usual.
fn range(usual: u64) -> Range<u64> {
    if let Some(one) = number("PORTREEVE_SEED") {
        return one..one + 1;
    }
    let from = number("PORTREEVE_FROM").unwrap_or(1);
    from..from + number("PORTREEVE_SEEDS").unwrap_or(usual)
}

/// Plays every seed; what each came to, in no order. `name` is the test's.
#[expect(clippy::disallowed_methods, reason = "how many seeds a second is told, never asked")]
pub(crate) fn run<T: Send>(name: &str, usual: u64, play: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let range = range(usual);
    let (one, began) = (range.end - range.start == 1, Instant::now());
    let (next, played) = (AtomicU64::new(range.start), Mutex::new(Vec::new()));
    let failed: Mutex<Vec<u64>> = Mutex::new(Vec::new());
    let lane = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let enough = failed.lock().expect("no lane holds it").len() >= ENOUGH;
            if seed >= range.end || enough {
                return;
            }
            match catch_unwind(AssertUnwindSafe(|| play(seed))) {
                Ok(came) => played.lock().expect("no lane holds it").push(came),
                Err(_) => {
                    eprintln!("seed {seed} fails");
                    failed.lock().expect("no lane holds it").push(seed);
                }
            }
        }
    };
    let lanes = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| (0..lanes).for_each(|_| drop(scope.spawn(lane))));
    let failed = failed.into_inner().expect("all lanes are done");
    let again = failed.first().copied().unwrap_or_default();
    if !failed.is_empty() {
        // The same once more, watched.
        trace::begin(one);
        let _ = catch_unwind(AssertUnwindSafe(|| play(again)));
        eprintln!("seed {again}, what happened:\n{}", trace::end().join("\n"));
    }
    assert!(
        failed.is_empty(),
        "seeds {failed:?} fail; again: PORTREEVE_SEED={again} cargo test --test sip {name}"
    );
    let rate = (range.end - range.start) as f64 / began.elapsed().as_secs_f64();
    println!("{name}: {rate:.1} seeds a second");
    played.into_inner().expect("all lanes are done")
}
