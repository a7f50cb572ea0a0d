//! Keys that a head office does not know, and sites that do not know its own: each is told once in
//! a while, a few a minute, and the rest as a sum, for anybody may come with as many as he likes.
//! It decides nothing.

use crate::policy::quota::Source;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Log lines a minute.
const LINES: usize = 10;
const MINUTE: Duration = Duration::from_secs(60);
/// The same of one source is told again after so long, as far as it is remembered.
const AGAIN: Duration = Duration::from_secs(300);
const REMEMBERED: usize = 256;

/// What was told by one head office.
#[derive(Debug, Default)]
pub(super) struct Strangers(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    told: VecDeque<(Instant, Source, String)>,
    minute: Option<Minute>,
}

#[derive(Debug)]
struct Minute {
    told: usize,
    untold: u64,
}

/// What is done with one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Telling {
    /// It is told, and is the first one of a minute.
    Begins,
    Told,
    Untold,
}

impl State {
    fn telling(&mut self, now: Instant, source: Source, what: &str) -> Telling {
        while self.told.front().is_some_and(|(at, ..)| now.duration_since(*at) >= AGAIN) {
            self.told.pop_front();
        }
        if self.told.iter().any(|(_, from, told)| (*from, told.as_str()) == (source, what)) {
            return Telling::Untold;
        }
        let is_first = self.minute.is_none();
        let minute = self.minute.get_or_insert(Minute { told: 0, untold: 0 });
        if minute.told >= LINES {
            minute.untold += 1;
            return Telling::Untold;
        }
        minute.told += 1;
        if self.told.len() >= REMEMBERED {
            self.told.pop_front();
        }
        self.told.push_back((now, source, what.to_owned()));
        if is_first { Telling::Begins } else { Telling::Told }
    }

    /// The minute is over: how many were not told in it.
    fn over(&mut self) -> u64 {
        self.minute.take().map_or(0, |minute| minute.untold)
    }
}

impl Strangers {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells that somebody of this source came; `what`: what he showed or said, the same each time;
    /// `line`: that in a sentence, with where he came from.
    pub(super) fn tell(self: &Arc<Self>, source: Source, what: &str, line: &str) {
        match self.state().telling(Instant::now(), source, what) {
            Telling::Untold => return tracing::debug!("tunnel: {line}"),
            Telling::Told => {}
            Telling::Begins => {
                let all = self.clone();
                tokio::spawn(async move {
                    sleep(MINUTE).await;
                    let untold = all.state().over();
                    if untold > 0 {
                        tracing::warn!(
                            "tunnel: {untold} more came in this minute with keys that are no \
                             [[peer]]'s"
                        );
                    }
                });
            }
        }
        tracing::warn!("tunnel: {line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn at(n: u8) -> Source {
        Source::of(Ipv4Addr::new(192, 0, 2, n).into())
    }

    #[test]
    fn the_same_is_told_once_in_a_while() {
        let (mut all, start) = (State::default(), Instant::now());
        assert_eq!(all.telling(start, at(1), "a"), Telling::Begins);
        let later = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(all.telling(later(1), at(1), "a"), Telling::Untold);
        assert_eq!(all.telling(later(1), at(1), "b"), Telling::Told);
        assert_eq!(all.telling(later(1), at(2), "a"), Telling::Told);
        assert_eq!(all.over(), 0, "what was told before is not counted");
        assert_eq!(all.telling(later(299), at(1), "a"), Telling::Untold);
        assert_eq!(all.telling(later(300), at(1), "a"), Telling::Begins);
    }

    #[test]
    fn ten_a_minute_are_told_and_the_rest_is_a_sum_in_bounded_memory() {
        let (mut all, now) = (State::default(), Instant::now());
        let mut told = 0;
        for minute in 0..100 {
            for n in 0..50 {
                let what = format!("{minute} {n}");
                told += usize::from(all.telling(now, at(1), &what) != Telling::Untold);
            }
            assert_eq!(all.over(), 40);
            assert!(all.told.len() <= REMEMBERED);
        }
        assert_eq!(told, 100 * LINES);
        assert_eq!(all.over(), 0);
    }
}
