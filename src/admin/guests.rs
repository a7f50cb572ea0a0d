//! Connections to the desk, bounded in number, in octets and in time. Who connects and asks or
//! reads nothing, or connects again and again, takes a place from others of his kind and nothing
//! else. It knows of HTTP where a request's head ends.

use crate::engine::Stats;
use crate::engine::stats::{Places, ShareCount};
use crate::ground::Side;
use crate::policy::quota::{Holder, Quota, Resource, Room as Answer, ShareView, Shares, Source};
use std::collections::{BTreeSet, HashMap};
use std::future::Future as _;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, Sleep, sleep};

/// Longest head of a request, in octets.
const HEAD: usize = 8 * 1024;
/// Octets of a connection after that; no request has a body that is read.
const REST: usize = 8 * 1024;
/// A request's head has come within this.
const ASKED: Duration = Duration::from_secs(5);

/// A guest as the room knows him.
#[derive(Debug)]
struct Known {
    source: Source,
    /// Says that he has to go.
    go: oneshot::Sender<()>,
}

#[derive(Debug)]
struct Book {
    next: u64,
    places: Quota<u64>,
    guests: HashMap<u64, Known>,
    /// Who has not asked yet, by source; the oldest first.
    mute: BTreeSet<(Source, u64)>,
    displaced: u64,
}

/// Places for so many connections.
#[derive(Clone, Debug)]
pub(super) struct Room {
    book: Arc<Mutex<Book>>,
    /// A place has become free.
    free: Arc<Notify>,
    /// Longest life of a connection.
    life: Duration,
}

/// Nobody's address: peers of a unix socket have none.
pub(super) const NOWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

impl Room {
    pub(super) fn new(places: usize, life: Duration) -> Self {
        let book = Book {
            next: 0,
            places: Quota::new(Shares::percent(places, 100)),
            guests: HashMap::new(),
            mute: BTreeSet::new(),
            displaced: 0,
        };
        Self { book: Arc::new(Mutex::new(book)), free: Arc::default(), life }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // Held for a look-up in memory; who panicked left whole entries.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the places stand.
    pub(super) fn shares(&self) -> ShareView {
        self.book().places.view(Resource::Http)
    }

    /// The same for the metrics, with who had to go. Readers stand on this machine: inside.
    pub(super) fn count_into(&self, stats: &mut Stats) {
        let book = self.book();
        let count = ShareCount { refused: 0, displaced: book.displaced };
        stats.now.places[Resource::Http as usize] = Places::of(&book.places);
        stats.shares[Resource::Http as usize][Side::Inside.index()] = count;
    }

    /// A place, as soon as there is one.
    pub(super) async fn place(&self, peer: IpAddr) -> Place {
        loop {
            if let Some(place) = self.book().enter(self, peer) {
                return place;
            }
            self.free.notified().await;
        }
    }

    /// A place now: where there is none, the oldest guest of the fullest source gives way, who has
    /// not asked before who waits for his answer.
    pub(super) async fn place_at_once(&self, peer: IpAddr) -> Place {
        if let Some(place) = self.book().enter(self, peer) {
            return place;
        }
        self.book().make_room(peer);
        self.place(peer).await
    }

    pub(super) fn admit<S>(&self, stream: S, place: Place) -> Guest<S> {
        let until = Instant::now() + self.life;
        let end = Box::pin(sleep(ASKED.min(self.life)));
        Guest { stream, place, end, until, head: Head::default(), is_over: false }
    }
}

impl Book {
    fn enter(&mut self, room: &Room, peer: IpAddr) -> Option<Place> {
        let source = Source::of(peer);
        let holder = Holder::Unproved(source);
        // Urgent: there is nobody here for whom a tenth is kept.
        if self.places.ask(&holder, true, 1) != Answer::Free {
            return None;
        }
        self.next += 1;
        let (go, told) = oneshot::channel();
        self.places.enter(self.next, holder, 1);
        self.guests.insert(self.next, Known { source, go });
        self.mute.insert((source, self.next));
        Some(Place { room: room.clone(), source, number: self.next, told: Some(told) })
    }

    fn make_room(&mut self, peer: IpAddr) {
        let answer = self.places.ask(&Holder::Unproved(Source::of(peer)), true, 1);
        let Answer::Instead(oldest) = answer else { return };
        let Some(fullest) = self.guests.get(&oldest).map(|known| known.source) else { return };
        let mut mute = self.mute.range((fullest, 0)..=(fullest, u64::MAX));
        let first = mute.next().map_or(oldest, |(_, number)| *number);
        self.mute.remove(&(fullest, first));
        if let Some(known) = self.guests.remove(&first) {
            self.displaced += 1;
            // His place is free when he is gone, and he goes when he hears it.
            let _ = known.go.send(());
        }
    }
}

/// A guest's place; dropping it frees it.
#[derive(Debug)]
pub(super) struct Place {
    room: Room,
    source: Source,
    number: u64,
    told: Option<oneshot::Receiver<()>>,
}

impl Place {
    fn has_asked(&self) {
        self.room.book().mute.remove(&(self.source, self.number));
    }

    /// He has to give way.
    fn poll_told(&mut self, cx: &mut Context<'_>) -> bool {
        let told = self.told.as_mut().map(|told| Pin::new(told).poll(cx));
        if matches!(told, Some(Poll::Ready(_))) {
            self.told = None;
        }
        matches!(told, Some(Poll::Ready(Ok(()))))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut book = self.room.book();
        book.places.leave(self.number);
        book.guests.remove(&self.number);
        book.mute.remove(&(self.source, self.number));
        drop(book);
        self.room.free.notify_one();
    }
}

/// How much of a request's head has come.
#[derive(Debug, Default)]
struct Head {
    octets: usize,
    /// Something else than empty lines has come: those in front are no head (RFC 9112 §2.2).
    has_begun: bool,
    /// Ends of lines in a row at the end of what has come.
    ends: u8,
    is_whole: bool,
}

impl Head {
    /// Octets that may still come.
    fn room(&self) -> usize {
        (if self.is_whole { HEAD + REST } else { HEAD }).saturating_sub(self.octets)
    }

    fn read(&mut self, bytes: &[u8]) {
        self.octets += bytes.len();
        for b in bytes {
            match b {
                b'\n' if self.has_begun => self.ends += 1,
                b'\n' | b'\r' => {}
                _ => (self.has_begun, self.ends) = (true, 0),
            }
            if self.ends == 2 {
                self.is_whole = true;
                return;
            }
        }
    }
}

/// One connection; it ends when its time is over, or when it has to give way.
pub(super) struct Guest<S> {
    stream: S,
    place: Place,
    end: Pin<Box<Sleep>>,
    until: Instant,
    head: Head,
    is_over: bool,
}

impl<S> Guest<S> {
    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        self.is_over |= self.place.poll_told(cx);
        self.is_over |= self.end.as_mut().poll(cx).is_ready();
        self.is_over
    }

    fn has_read(&mut self, bytes: &[u8]) {
        if self.head.is_whole {
            self.head.octets += bytes.len();
            return;
        }
        self.head.read(bytes);
        if self.head.is_whole {
            self.place.has_asked();
            self.end.as_mut().reset(self.until);
        }
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
        let room = self.head.room().min(buf.remaining());
        if room == 0 {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        let mut part = ReadBuf::new(buf.initialize_unfilled_to(room));
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut part))?;
        let read = part.filled().len();
        buf.advance(read);
        let from = buf.filled().len() - read;
        self.has_read(buf.filled().get(from..).unwrap_or_default());
        Poll::Ready(Ok(()))
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

    const LIFE: Duration = Duration::from_secs(60);

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
            let room = Room::new(2, LIFE);
            let mut fars = Vec::new();
            let mut guests = Vec::new();
            for _ in 0..2 {
                let (near, far) = duplex(64);
                let place = room.place_at_once(NOWHERE).await;
                guests.push(room.admit(near, place));
                fars.push(far);
            }
            let mut first = guests.remove(0);
            let oldest = tokio::spawn(async move { read(&mut first).await });
            tokio::task::yield_now().await;
            // It waits for octets that never come, and goes.
            let place = room.place_at_once(NOWHERE).await;
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
            let _place = room.place_at_once(NOWHERE).await;
            fars[1].write_all(b"x").await.unwrap();
            assert_eq!(read(&mut guests[0]).await.unwrap(), 1);
        });
    }

    #[test]
    fn a_life_ends_and_a_closed_room_sends_nobody_away() {
        block_on(async {
            let room = Room::new(1, LIFE);
            let (near, mut far) = duplex(64);
            let place = room.place(NOWHERE).await;
            let mut guest = room.admit(near, place);
            drop(room);
            far.write_all(b"x").await.unwrap();
            assert_eq!(read(&mut guest).await.unwrap(), 1);
            assert_eq!(read(&mut guest).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
            assert_eq!(guest.write(b"x").await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        });
    }

    async fn guest(room: &Room) -> (Guest<tokio::io::DuplexStream>, tokio::io::DuplexStream) {
        let (near, far) = duplex(64 * 1024);
        let place = room.place_at_once(NOWHERE).await;
        (room.admit(near, place), far)
    }

    #[test]
    fn who_has_not_asked_gives_way_before_who_waits_for_an_answer() {
        block_on(async {
            let room = Room::new(2, LIFE);
            let (mut asked, mut far) = guest(&room).await;
            far.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
            assert!(asked.read(&mut [0; 64]).await.unwrap() > 0);
            let (mut mute, _silent) = guest(&room).await;
            let gone = tokio::spawn(async move { read(&mut mute).await });
            let _third = guest(&room).await;
            assert_eq!(gone.await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
            asked.write_all(b"x").await.unwrap();
            let shares = room.shares();
            assert_eq!((shares.used, shares.total), (2, 2));
            let mut stats = Stats::default();
            room.count_into(&mut stats);
            let [inside, _] = stats.shares[Resource::Http as usize];
            assert_eq!(inside, ShareCount { refused: 0, displaced: 1 });
        });
    }

    #[test]
    fn of_the_fullest_source_who_has_not_asked_gives_way_and_nobody_else() {
        block_on(async {
            let room = Room::new(4, LIFE);
            let from = |host: u8| IpAddr::from([127, 0, 0, host]);
            let mut fars = Vec::new();
            let mut guests = Vec::new();
            // The oldest of all is mute, and of another source than the fullest.
            for host in [1, 2, 2, 2] {
                let (near, far) = duplex(64);
                let place = room.place_at_once(from(host)).await;
                guests.push(room.admit(near, place));
                fars.push(far);
            }
            fars[1].write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
            assert!(guests[1].read(&mut [0; 64]).await.unwrap() > 0);
            let mut mute = guests.remove(2);
            let gone = tokio::spawn(async move { read(&mut mute).await });
            tokio::task::yield_now().await;
            let _new = room.place_at_once(from(3)).await;
            assert_eq!(gone.await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
            for (n, guest) in guests.iter_mut().enumerate() {
                let far = if n < 2 { n } else { 3 };
                fars[far].write_all(b"x").await.unwrap();
                assert_eq!(read(guest).await.unwrap(), 1, "{n}");
            }
        });
    }

    #[test]
    fn empty_lines_are_no_request() {
        block_on(async {
            let room = Room::new(1, LIFE);
            let (mut idle, mut far) = guest(&room).await;
            far.write_all(b"\n\n\r\n\r\n").await.unwrap();
            assert!(idle.read(&mut [0; 64]).await.unwrap() > 0);
            let begun = Instant::now();
            assert_eq!(read(&mut idle).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
            assert_eq!(begun.elapsed(), ASKED, "as who says nothing");
        });
    }

    #[test]
    fn a_head_comes_within_five_seconds_and_eight_kilobytes() {
        block_on(async {
            let room = Room::new(4, LIFE);
            let (mut slow, mut far) = guest(&room).await;
            far.write_all(b"GET / HTTP/1.1\r\nX: y\r\n").await.unwrap();
            assert!(slow.read(&mut [0; 64]).await.unwrap() > 0);
            let begun = Instant::now();
            assert_eq!(read(&mut slow).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
            assert_eq!(begun.elapsed(), ASKED);
            let (mut long, mut far) = guest(&room).await;
            far.write_all(&vec![b'a'; 2 * HEAD]).await.unwrap();
            let mut all = Vec::new();
            let end = long.read_to_end(&mut all).await.unwrap_err();
            assert_eq!((end.kind(), all.len()), (io::ErrorKind::InvalidData, HEAD));
            // Whoever has asked has the rest of his life, and may send a little more.
            let (mut good, mut far) = guest(&room).await;
            far.write_all(b"GET / HTTP/1.1\n\n").await.unwrap();
            assert!(good.read(&mut [0; 64]).await.unwrap() > 0);
            let begun = Instant::now();
            assert_eq!(read(&mut good).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
            assert_eq!(begun.elapsed(), LIFE);
        });
    }
}
