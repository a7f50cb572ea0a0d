//! Connections to the desk, bounded in number and in time. Who connects and reads nothing, or
//! connects again and again, takes a place from others of his kind and nothing else.

use std::collections::VecDeque;
use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Sleep, sleep};

/// Longest life of a connection.
const LIFE: Duration = Duration::from_secs(60);

/// Places for so many connections.
#[derive(Debug)]
pub(super) struct Room {
    places: Arc<Semaphore>,
    /// Says to a guest that it has to go; the oldest first.
    guests: VecDeque<oneshot::Sender<()>>,
}

impl Room {
    pub(super) fn new(places: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(places)), guests: VecDeque::new() }
    }

    /// A place, as soon as there is one.
    pub(super) async fn place(&self) -> OwnedSemaphorePermit {
        match self.places.clone().acquire_owned().await {
            Ok(place) => place,
            // It is never closed.
            Err(_) => std::future::pending().await,
        }
    }

    /// A place now: where there is none, the oldest guest gives way.
    pub(super) async fn place_at_once(&mut self) -> OwnedSemaphorePermit {
        if let Ok(place) = self.places.clone().try_acquire_owned() {
            return place;
        }
        while let Some(oldest) = self.guests.pop_front() {
            if oldest.send(()).is_ok() {
                break;
            }
        }
        self.place().await
    }

    pub(super) fn admit<S>(&mut self, stream: S, place: OwnedSemaphorePermit) -> Guest<S> {
        self.guests.retain(|g| !g.is_closed());
        let (go, told) = oneshot::channel();
        self.guests.push_back(go);
        let (end, told) = (Box::pin(sleep(LIFE)), Some(told));
        Guest { stream, _place: place, end, told, is_over: false }
    }
}

/// One connection; it ends when its time is over, or when it has to give way.
pub(super) struct Guest<S> {
    stream: S,
    _place: OwnedSemaphorePermit,
    end: Pin<Box<Sleep>>,
    told: Option<oneshot::Receiver<()>>,
    is_over: bool,
}

impl<S> Guest<S> {
    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        let told = self.told.as_mut().map(|told| Pin::new(told).poll(cx));
        match told {
            Some(Poll::Ready(Ok(()))) => (self.is_over, self.told) = (true, None),
            // Nobody listens any more, and nobody says to go.
            Some(Poll::Ready(Err(_))) => self.told = None,
            Some(Poll::Pending) | None => {}
        }
        self.is_over |= self.end.as_mut().poll(cx).is_ready();
        self.is_over
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guest<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_over(cx) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guest<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_over(cx) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    fn block_on(future: impl Future<Output = ()>) {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().start_paused(true).build().unwrap().block_on(future);
    }

    async fn read(guest: &mut Guest<tokio::io::DuplexStream>) -> io::Result<usize> {
        guest.read(&mut [0; 8]).await
    }

    #[test]
    fn the_oldest_gives_way_and_nobody_else() {
        block_on(async {
            let mut room = Room::new(2);
            let mut fars = Vec::new();
            let mut guests = Vec::new();
            for _ in 0..2 {
                let (near, far) = duplex(64);
                let place = room.place_at_once().await;
                guests.push(room.admit(near, place));
                fars.push(far);
            }
            let mut first = guests.remove(0);
            let oldest = tokio::spawn(async move { read(&mut first).await });
            tokio::task::yield_now().await;
            // It waits for octets that never come, and goes.
            let place = room.place_at_once().await;
            assert_eq!(oldest.await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
            let (near, far) = duplex(64);
            let mut newest = room.admit(near, place);
            fars.push(far);
            for (guest, far) in [(&mut guests[0], 1), (&mut newest, 2)] {
                fars[far].write_all(b"x").await.unwrap();
                assert_eq!(read(guest).await.unwrap(), 1);
            }
            // Places of guests that left by themselves are free: nobody has to go for them.
            drop(newest);
            let _place = room.place_at_once().await;
            fars[1].write_all(b"x").await.unwrap();
            assert_eq!(read(&mut guests[0]).await.unwrap(), 1);
        });
    }

    #[test]
    fn a_life_ends_and_a_closed_room_sends_nobody_away() {
        block_on(async {
            let mut room = Room::new(1);
            let (near, mut far) = duplex(64);
            let place = room.place().await;
            let mut guest = room.admit(near, place);
            drop(room);
            far.write_all(b"x").await.unwrap();
            assert_eq!(read(&mut guest).await.unwrap(), 1);
            assert_eq!(read(&mut guest).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
            assert_eq!(guest.write(b"x").await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        });
    }
}
