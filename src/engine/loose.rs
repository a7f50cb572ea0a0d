//! What would never end: each part says it of itself. It ends nothing.

use super::Engine;

/// Timers of what is gone, what waits and has no timer that ends it, names of what is there no
/// more; each in words. There is none after any step: tests ask.
#[must_use]
pub fn loose_ends(engine: &Engine) -> Vec<String> {
    let Engine { world: w, transactions, calls, phones, upstreams, strangers, guard, .. } = engine;
    let mut all = transactions.loose_ends();
    all.extend(calls.loose_ends(&transactions.calls()));
    all.extend(phones.loose_ends(w));
    let is_open = |id| transactions.server(id).is_some_and(|t| t.is_open());
    let idle = phones.waiting().filter(|id| !is_open(*id)).count();
    all.extend((idle > 0).then(|| format!("{idle} places of REGISTERs that are answered")));
    all.extend(upstreams.loose_ends(w));
    all.extend(strangers.loose_end());
    all.extend(guard.loose_end());
    all.sort_unstable();
    all
}
