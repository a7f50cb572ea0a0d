//! A 503 on its way back: who asked is told that this failed, and no more.

use crate::engine::transactions::spared;
use crate::wire::sip::{Message, Method, Name};

/// When whoever asks again by himself is to do so, where his upstream may serve nobody and does not
/// say how long, in seconds.
const SOON: u64 = 10;
/// The longest that anybody is told to wait, in seconds.
const LONGEST: u64 = 3_600;

/// RFC 3261 §16.7 step 6: our client would take a 503 for the gateway's own. Only who knows that
/// all he is asked for would fail may say it, and that the site is alone is not known yet. What is
/// asked again by itself is told when (§21.5.1), or phones back off for long: as `said` has it,
/// else soon where the upstream is `doubted`.
pub(super) fn as_failure(near: &mut Message, said: &Message, doubted: bool) {
    near.set_status(500, "Server Internal Error");
    near.remove(&Name::RetryAfter);
    if !matches!(near.method(), Method::Register | Method::Subscribe | Method::Publish) {
        return;
    }
    let after = spared(said).map(|after| after.as_secs().min(LONGEST));
    if let Some(seconds) = after.or(doubted.then_some(SOON)) {
        near.push_back(Name::RetryAfter, seconds.to_string());
    }
}
