//! What is said while the gateway drains: how many calls are still up, for how long they may be,
//! and how to end it at once. Words only; when it is over the loop decides.

use crate::ground::Mono;
use std::time::Duration;

/// Calls that end together are told together.
const EVERY: Duration = Duration::from_secs(1);

/// A drain under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drain {
    /// Calls are hung up then.
    pub(super) until: Mono,
    /// How many calls were last told of, and when.
    told: (usize, Mono),
}

impl Drain {
    /// With so many calls up.
    pub(super) fn new(until: Mono, calls: usize, now: Mono) -> Self {
        Self { until, told: (calls, now) }
    }

    /// The line for whoever asked, `by` as in records: a signal's name, or a user's.
    pub(super) fn asked(&self, calls: usize, now: Mono, by: &str) -> String {
        if calls == 0 {
            return "draining: no call is up, it ends now".to_owned();
        }
        let ends = if calls == 1 { "ends with it" } else { "ends with the last" };
        let again = match by {
            "SIGINT" => "Ctrl-C again stops now",
            "SIGTERM" => "a second SIGTERM stops now",
            _ => "Ctrl-C twice stops now",
        };
        let left = self.until.since(now).as_secs_f64().ceil();
        format!("draining: {}; {ends}, at most {left:.0} s; {again}", up(calls))
    }

    /// A line when calls have ended since the last one.
    pub(super) fn news(&mut self, calls: usize, now: Mono) -> Option<String> {
        let (before, at) = self.told;
        if calls >= before || calls > 0 && now.since(at) < EVERY {
            return None;
        }
        self.told = (calls, now);
        let left = self.until.since(now).as_secs_f64().ceil();
        Some(match calls {
            0 => "the last call has ended".to_owned(),
            n => format!("still {}, at most {left:.0} s", up(n)),
        })
    }
}

/// The line of the end.
pub(super) fn last(calls: usize) -> String {
    match calls {
        0 => "stopped".to_owned(),
        1 => "stopping now: 1 call hung up".to_owned(),
        n => format!("stopping now: {} hung up", plural(n)),
    }
}

fn up(calls: usize) -> String {
    if calls == 1 { "1 call up".to_owned() } else { format!("{} up", plural(calls)) }
}

fn plural(calls: usize) -> String {
    format!("{calls} calls")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono(Duration::from_secs(seconds))
    }

    #[test]
    fn whoever_asks_hears_what_it_waits_for() {
        let drain = Drain::new(at(60), 1, at(0));
        let said = |calls, by| drain.asked(calls, at(0), by);
        assert_eq!(
            said(1, "SIGINT"),
            "draining: 1 call up; ends with it, at most 60 s; Ctrl-C again stops now"
        );
        assert_eq!(
            said(3, "SIGTERM"),
            "draining: 3 calls up; ends with the last, at most 60 s; a second SIGTERM stops now"
        );
        assert!(said(2, "uid 0 (pid 7)").ends_with("Ctrl-C twice stops now"));
        assert_eq!(said(0, "SIGINT"), "draining: no call is up, it ends now");
    }

    #[test]
    fn calls_that_end_are_told_those_of_a_second_together() {
        let mut drain = Drain::new(at(60), 9, at(0));
        assert_eq!(drain.news(9, at(5)), None);
        assert_eq!(drain.news(8, at(10)).as_deref(), Some("still 8 calls up, at most 50 s"));
        assert_eq!(drain.news(7, at(10)), None);
        assert_eq!(drain.news(4, at(11)).as_deref(), Some("still 4 calls up, at most 49 s"));
        assert_eq!(drain.news(1, at(12)).as_deref(), Some("still 1 call up, at most 48 s"));
        assert_eq!(drain.news(0, at(12)).as_deref(), Some("the last call has ended"));
        assert_eq!(drain.news(0, at(20)), None);
        assert_eq!(last(2), "stopping now: 2 calls hung up");
        assert_eq!(last(1), "stopping now: 1 call hung up");
    }
}
