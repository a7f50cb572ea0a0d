//! The way events leave the relay threads: a queue that the daemon's event loop awaits. A lock is
//! taken for an event, never for a packet.

use crate::relay::Event;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Events waiting beyond which news that nobody's state depends on is dropped and counted.
const LIMIT: usize = 4096;

/// Many threads in, one reader out.
#[derive(Debug)]
pub(super) struct EventQueue {
    waiting: Mutex<VecDeque<Event>>,
    news: Notify,
    lost: AtomicU64,
}

impl EventQueue {
    pub(super) fn new() -> Self {
        let waiting = Mutex::new(VecDeque::with_capacity(LIMIT));
        Self { waiting, news: Notify::new(), lost: AtomicU64::new(0) }
    }

    /// Hands over everything in `events`. Ends (closed, failed, idle) are never dropped: there is
    /// at most one of each for an open stream, so they bound themselves. Nor are pins, which a call
    /// must know to be restored: a flow has one for each update.
    pub(super) fn push_all(&self, events: &mut Vec<Event>) {
        if events.is_empty() {
            return;
        }
        let mut waiting = self.lock();
        for event in events.drain(..) {
            if waiting.len() < LIMIT || must_arrive(&event) {
                waiting.push_back(event);
            } else {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
        drop(waiting);
        self.news.notify_one();
    }

    pub(super) fn pop(&self) -> Option<Event> {
        self.lock().pop_front()
    }

    /// The next event. Cancel-safe: nothing is taken before it is returned. One reader only.
    pub(super) async fn next(&self) -> Event {
        loop {
            if let Some(event) = self.pop() {
                return event;
            }
            // A push since the look above has left a permit, so this cannot sleep through it.
            self.news.notified().await;
        }
    }

    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// A thread that panicked while it held the lock left whole events behind.
    fn lock(&self) -> MutexGuard<'_, VecDeque<Event>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn must_arrive(event: &Event) -> bool {
    match event {
        Event::Idle { .. }
        | Event::OpenFailed { .. }
        | Event::Closed { .. }
        | Event::Learned { .. } => true,
        Event::FirstPacket { .. }
        | Event::Stranger { .. }
        | Event::SoFar { .. }
        | Event::Measured { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::{Leg, StreamId};

    #[test]
    fn a_full_queue_drops_news_but_no_end_and_no_pin() {
        let queue = EventQueue::new();
        let stream = StreamId(1);
        let first = || Event::FirstPacket { stream, leg: Leg::Caller };
        for _ in 0..LIMIT + 10 {
            queue.push_all(&mut vec![first()]);
        }
        let from = "192.0.2.1:4000".parse().unwrap();
        let pin = Event::Learned { stream, leg: Leg::Callee, rtcp: true, from };
        let kept = [pin, Event::Idle { stream }];
        queue.push_all(&mut kept.to_vec());
        assert_eq!(queue.lost(), 10);
        let all: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(all.len(), LIMIT + 2);
        assert_eq!(all[LIMIT..], kept);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_reader_wakes_for_an_event_of_another_thread() {
        let queue = std::sync::Arc::new(EventQueue::new());
        let writer = queue.clone();
        let thread = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(20));
            writer.push_all(&mut vec![Event::Idle { stream: StreamId(3) }]);
        });
        assert_eq!(queue.next().await, Event::Idle { stream: StreamId(3) });
        thread.join().unwrap();
    }
}
