//! The way of messages to the event loop: two lanes, one of datagrams and one of streams, each
//! bounded in messages and in octets. A full lane drops datagrams (SIP repeats itself) and lets
//! streams wait; who fills one keeps nobody out of the other. It looks into no message.

use super::Arrival;
use crate::ground::Flow;
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Messages that may wait in a lane.
const MESSAGES: usize = 4_096;
/// Octets that may wait in a lane.
const OCTETS: usize = 8 << 20;
/// Arrivals of one turn of the event loop.
const BATCH: usize = 64;

/// What a message holds while it waits, and while the event loop works on it: octets of its lane,
/// and its connection's turn. Dropping it gives both back.
#[derive(Debug)]
pub struct Place {
    _octets: OwnedSemaphorePermit,
    _turn: Option<OwnedSemaphorePermit>,
}

#[derive(Clone, Debug)]
struct Lane {
    queue: mpsc::Sender<Arrival>,
    octets: Arc<Semaphore>,
}

impl Lane {
    fn new(messages: usize, octets: usize) -> (Self, mpsc::Receiver<Arrival>) {
        let (queue, arrivals) = mpsc::channel(messages);
        (Self { queue, octets: Arc::new(Semaphore::new(octets)) }, arrivals)
    }
}

/// Why a datagram was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// The lane is full.
    Full,
    /// The event loop has ended.
    Closed,
}

/// The sockets' end.
#[derive(Clone, Debug)]
pub struct Inlet {
    datagrams: Lane,
    streams: Lane,
}

/// The event loop's end.
#[derive(Debug)]
pub struct Arrivals {
    datagrams: mpsc::Receiver<Arrival>,
    streams: mpsc::Receiver<Arrival>,
}

/// Both ends.
#[must_use]
pub fn inlet() -> (Inlet, Arrivals) {
    bounded(MESSAGES, OCTETS)
}

fn bounded(messages: usize, octets: usize) -> (Inlet, Arrivals) {
    let (datagrams, of_datagrams) = Lane::new(messages, octets);
    let (streams, of_streams) = Lane::new(messages, octets);
    (Inlet { datagrams, streams }, Arrivals { datagrams: of_datagrams, streams: of_streams })
}

/// A semaphore counts in `u32`; no message is as long.
fn octets(bytes: &Bytes) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

impl Inlet {
    /// A datagram; it never waits.
    ///
    /// # Errors
    /// Its lane is full, or nobody reads any more.
    pub fn offer(&self, flow: Flow, bytes: Bytes) -> Result<(), NotTaken> {
        let octets = self.datagrams.octets.clone().try_acquire_many_owned(octets(&bytes));
        let place = Place { _octets: octets.map_err(|_| NotTaken::Full)?, _turn: None };
        let arrival = Arrival::Message { flow, bytes, place };
        self.datagrams.queue.try_send(arrival).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => NotTaken::Full,
            mpsc::error::TrySendError::Closed(_) => NotTaken::Closed,
        })
    }

    /// A stream's message, where its lane has room at once. False: it has not, and `turn` is given
    /// back.
    #[must_use]
    pub fn hand_over_now(&self, flow: Flow, bytes: Bytes, turn: OwnedSemaphorePermit) -> bool {
        let octets = self.streams.octets.clone().try_acquire_many_owned(octets(&bytes));
        let Ok(octets) = octets else { return false };
        let place = Place { _octets: octets, _turn: Some(turn) };
        self.streams.queue.try_send(Arrival::Message { flow, bytes, place }).is_ok()
    }

    /// A stream's message, which waits for its lane. `turn` is one of its connection's own; it
    /// comes back when the event loop has done with the message. False: nobody reads any more.
    pub async fn hand_over(&self, flow: Flow, bytes: Bytes, turn: OwnedSemaphorePermit) -> bool {
        let octets = self.streams.octets.clone().acquire_many_owned(octets(&bytes)).await;
        let Ok(octets) = octets else { return false };
        let place = Place { _octets: octets, _turn: Some(turn) };
        self.tell(Arrival::Message { flow, bytes, place }).await
    }

    /// News of a stream, which waits for its lane. False: nobody reads any more.
    pub async fn tell(&self, arrival: Arrival) -> bool {
        self.streams.queue.send(arrival).await.is_ok()
    }

    /// What helps where there is time for it; a full lane loses it.
    pub fn hint(&self, arrival: Arrival) {
        let _ = self.datagrams.queue.try_send(arrival);
    }

    /// The event loop has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.streams.queue.is_closed()
    }
}

impl Arrivals {
    /// What has arrived, at most 64 at once, of both lanes in turn; 0: nothing can any more.
    /// Cancel-safe.
    pub async fn next(&mut self, batch: &mut Vec<Arrival>) -> usize {
        let first = tokio::select! {
            arrival = self.datagrams.recv() => arrival,
            arrival = self.streams.recv() => arrival,
        };
        let Some(first) = first else { return 0 };
        batch.push(first);
        while batch.len() < BATCH {
            let before = batch.len();
            batch.extend(self.datagrams.try_recv());
            batch.extend(self.streams.try_recv());
            if batch.len() == before {
                break;
            }
        }
        batch.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::{ConnId, ListenerId, Transport};

    fn flow(conn: Option<u64>) -> Flow {
        let peer = "192.0.2.1:5060".parse().unwrap();
        let (transport, conn) = match conn {
            Some(n) => (Transport::Tcp, Some(ConnId(n))),
            None => (Transport::Udp, None),
        };
        Flow { listener: ListenerId(0), transport, peer, conn, upstream: None }
    }

    async fn streamed(inlet: &Inlet, n: u64, turns: &Arc<Semaphore>, octets: usize) {
        let turn = turns.clone().acquire_owned().await.unwrap();
        assert!(inlet.hand_over(flow(Some(n)), vec![b'x'; octets].into(), turn).await);
    }

    #[tokio::test]
    async fn who_fills_the_streams_lane_keeps_no_datagram_out() {
        let (inlet, mut arrivals) = bounded(4, 1_000);
        let turns = Arc::new(Semaphore::new(16));
        for n in 0..4 {
            streamed(&inlet, n, &turns, 100).await;
        }
        // A crowd waits for each place that becomes free.
        for n in 4..8 {
            let (inlet, turns) = (inlet.clone(), turns.clone());
            tokio::spawn(async move { streamed(&inlet, n, &turns, 100).await });
        }
        tokio::task::yield_now().await;
        for _ in 0..4 {
            assert_eq!(inlet.offer(flow(None), Bytes::from_static(b"INVITE")), Ok(()));
        }
        let mut batch = Vec::new();
        assert_eq!(arrivals.next(&mut batch).await, 8);
        let datagrams = batch.iter().take(7).filter(|a| is_datagram(a)).count();
        assert!(datagrams >= 3, "in turn: {batch:?}");
    }

    fn is_datagram(arrival: &Arrival) -> bool {
        matches!(arrival, Arrival::Message { flow, .. } if flow.conn.is_none())
    }

    #[tokio::test]
    async fn octets_are_bounded_until_the_event_loop_has_done_with_them() {
        let (inlet, mut arrivals) = bounded(100, 1_000);
        for _ in 0..2 {
            assert_eq!(inlet.offer(flow(None), vec![b'x'; 500].into()), Ok(()));
        }
        assert_eq!(inlet.offer(flow(None), Bytes::from_static(b"x")), Err(NotTaken::Full));
        let mut batch = Vec::new();
        assert_eq!(arrivals.next(&mut batch).await, 2);
        assert_eq!(inlet.offer(flow(None), Bytes::from_static(b"x")), Err(NotTaken::Full));
        batch.clear();
        assert_eq!(inlet.offer(flow(None), Bytes::from_static(b"x")), Ok(()));
        drop(arrivals);
        assert_eq!(inlet.offer(flow(None), Bytes::from_static(b"x")), Err(NotTaken::Closed));
        assert!(inlet.is_closed());
    }

    #[tokio::test]
    async fn a_connection_s_turns_come_back_with_its_messages() {
        let (inlet, mut arrivals) = bounded(100, 1_000);
        let turns = Arc::new(Semaphore::new(1));
        streamed(&inlet, 1, &turns, 10).await;
        assert_eq!(turns.available_permits(), 0);
        let mut batch = Vec::new();
        assert_eq!(arrivals.next(&mut batch).await, 1);
        assert_eq!(turns.available_permits(), 0);
        batch.clear();
        assert_eq!(turns.available_permits(), 1);
    }
}
