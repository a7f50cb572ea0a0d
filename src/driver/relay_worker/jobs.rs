//! Commands that wait for a relay thread. Nobody who hands one over waits: a later command takes
//! the place of an earlier one that set the same thing of the same stream. So what waits is bounded
//! by the streams there are, and these by the ports, which come back when a stream is reported
//! closed. It obeys nothing.

use super::thread::Job;
use crate::relay::Leg;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Commands for which memory is kept between two wake-ups.
const KEPT: usize = 1_024;

/// What of a stream a command sets; of each, only the last counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sets {
    Party(Leg),
    Codecs(Leg),
    KeepAlive(Leg),
    Idle,
    Measured,
}

impl Sets {
    const ALL: usize = 8;

    fn of(job: &Job) -> Option<Self> {
        match job {
            Job::Update { leg, .. } => Some(Self::Party(*leg)),
            Job::Codecs { leg, .. } => Some(Self::Codecs(*leg)),
            Job::KeepAlive { leg, .. } => Some(Self::KeepAlive(*leg)),
            Job::SetIdle { .. } => Some(Self::Idle),
            Job::Measure { .. } => Some(Self::Measured),
            Job::Open { .. } | Job::Rebind { .. } | Job::Close { .. } | Job::Stop => None,
        }
    }

    fn index(self) -> usize {
        match self {
            Self::Party(leg) => leg.index(),
            Self::Codecs(leg) => 2 + leg.index(),
            Self::KeepAlive(leg) => 4 + leg.index(),
            Self::Idle => 6,
            Self::Measured => 7,
        }
    }
}

/// Where a stream's commands wait.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    round: u64,
    places: [Option<usize>; Sets::ALL],
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<Job>,
    /// How often the thread has taken what waits.
    round: u64,
    /// The thread has ended.
    gone: bool,
}

/// The callers' end.
#[derive(Debug, Default)]
pub(super) struct Jobs(Arc<Mutex<Queue>>);

/// The thread's end; when it is dropped, callers hear that.
#[derive(Debug)]
pub(super) struct JobsEnd(Arc<Mutex<Queue>>);

/// Held for a move in memory.
fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Jobs {
    pub(super) fn end(&self) -> JobsEnd {
        JobsEnd(self.0.clone())
    }

    /// Hands a command over; `stream` is that of its stream. False: the thread has ended.
    pub(super) fn put(&self, job: Job, stream: Option<&mut Waiting>) -> bool {
        let mut queue = lock(&self.0);
        if queue.gone {
            return false;
        }
        if let (Some(stream), Some(sets)) = (stream, Sets::of(&job)) {
            if stream.round != queue.round {
                *stream = Waiting { round: queue.round, ..Waiting::default() };
            }
            let place = &mut stream.places[sets.index()];
            if let Some(before) = place.and_then(|at| queue.waiting.get_mut(at)) {
                *before = job;
                return true;
            }
            *place = Some(queue.waiting.len());
        }
        queue.waiting.push(job);
        true
    }
}

impl JobsEnd {
    /// What waits, in order; `into` is empty before.
    pub(super) fn take(&self, into: &mut Vec<Job>) {
        into.shrink_to(KEPT);
        let mut queue = lock(&self.0);
        queue.round += 1;
        std::mem::swap(&mut queue.waiting, into);
    }
}

impl Drop for JobsEnd {
    fn drop(&mut self) {
        let mut queue = lock(&self.0);
        queue.gone = true;
        queue.waiting.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn idle(at: usize, seconds: u64) -> Job {
        Job::SetIdle { at, idle: Some(Duration::from_secs(seconds)) }
    }

    /// Seats and seconds of what waits.
    fn told(end: &JobsEnd) -> Vec<(usize, u64)> {
        let mut jobs = Vec::new();
        end.take(&mut jobs);
        let told = |job| match job {
            Job::SetIdle { at, idle } => Some((at, idle.unwrap_or_default().as_secs())),
            Job::Measure { at } => Some((at, 0)),
            Job::Close { at } => Some((at, 99)),
            Job::Open { .. }
            | Job::Update { .. }
            | Job::Rebind { .. }
            | Job::Codecs { .. }
            | Job::KeepAlive { .. }
            | Job::Stop => None,
        };
        jobs.into_iter().filter_map(told).collect()
    }

    #[test]
    fn of_each_thing_that_is_set_the_last_counts_and_others_keep_their_order() {
        let jobs = Jobs::default();
        let end = jobs.end();
        let (mut a, mut b) = (Waiting::default(), Waiting::default());
        for seconds in 1..10_000 {
            assert!(jobs.put(idle(1, seconds), Some(&mut a)));
            assert!(jobs.put(Job::Measure { at: 1 }, Some(&mut a)));
            assert!(jobs.put(idle(2, seconds), Some(&mut b)));
        }
        assert!(jobs.put(Job::Close { at: 1 }, Some(&mut a)));
        // The seat's next stream has places of its own.
        assert!(jobs.put(idle(1, 5), Some(&mut Waiting::default())));
        assert_eq!(told(&end), [(1, 9_999), (1, 0), (2, 9_999), (1, 99), (1, 5)]);
        assert!(jobs.put(idle(2, 7), Some(&mut b)));
        assert_eq!(told(&end), [(2, 7)], "what was taken is not changed any more");
        drop(end);
        assert!(!jobs.put(Job::Stop, None));
    }
}
