//! A tunnel by TCP: some connections by TLS 1.3, through an HTTP proxy where there is one, that
//! carry capsules. What is lost on one holds up what comes behind it, so media keep to other
//! connections than messages, a flow to one of them for as long as that moves, and what would come
//! too late to be heard is not sent at all. The kernel is given little ahead, so that what waits
//! waits here, where it can grow old.

use super::bearer::Figures;
use super::link::GROUPS;
use super::media::{Counts, Media};
use super::shares::{Room, Shares};
use super::told::Stream;
use super::words;
use crate::wire::tunnel::{Capsule, Capsules};
use bytes::Bytes;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadHalf,
    WriteHalf, split,
};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};

/// Connections of one tunnel: the first carries messages, and media where the others stand still.
pub(super) const MEMBERS: usize = 3;
/// A connection that takes nothing for so long of what waits stands still: its flows go by another
/// one.
const STILL: Duration = Duration::from_millis(25);
/// A sign of life each: so it is known soon that nothing comes, and no proxy takes one for idle.
const ALIVE: Duration = Duration::from_secs(1);
/// How long none of the other end's may come, by the first connection, without which there is no
/// tunnel, and by the others, which are made anew.
const SILENT: (Duration, Duration) = (Duration::from_secs(12), Duration::from_secs(3));
/// Octets of a message stream that wait on their way to or from a connection.
const PIPE: usize = 64 * 1_024;
/// Octets read or written at once.
const CHUNK: usize = 16 * 1_024;
/// What is written is taken by the kernel within this.
const WRITTEN: Duration = Duration::from_secs(12);
/// Octets of media written together at most.
const TOGETHER: usize = 1_400;

/// One connection's media that wait.
#[derive(Debug, Default)]
struct Line {
    shares: Shares,
    /// Since when something waits, and nothing was taken.
    still: Option<Instant>,
}

/// One of its connections.
#[derive(Debug, Default)]
struct Member {
    media: Mutex<Line>,
    news: Notify,
    /// A connection is in its place.
    is_taken: AtomicBool,
}

impl Member {
    fn media(&self) -> MutexGuard<'_, Line> {
        self.media.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One connection at a time is in it: `None`, another is.
    fn take_place(&self) -> Option<Place<'_>> {
        (!self.is_taken.swap(true, Relaxed)).then_some(Place(self))
    }

    fn stands_still(&self, now: Instant) -> bool {
        self.media().still.is_some_and(|since| now.duration_since(since) > STILL)
    }

    fn push(&self, now: Instant, port: u16, packet: Bytes, counts: &Counts) {
        let mut media = self.media();
        media.shares.push(now, port, packet);
        media.still.get_or_insert(now);
        counts.late.fetch_add(media.shares.late(), Relaxed);
        drop(media);
        self.news.notify_one();
    }

    /// What goes out next, several packets in one piece, each flow's in its turn.
    fn take(&self, now: Instant, counts: &Counts) -> Vec<u8> {
        let mut media = self.media();
        let mut out = Vec::new();
        let mut room = Room::ANY;
        while let Some((_, capsule)) = media.shares.next(now, &mut room) {
            out.extend_from_slice(&capsule);
            // The first may be as long as it likes.
            room = Room::up_to(TOGETHER.saturating_sub(out.len()));
            counts.sent.fetch_add(1, Relaxed);
        }
        media.still = (!media.shares.is_empty()).then_some(now);
        counts.late.fetch_add(media.shares.late(), Relaxed);
        out
    }
}

/// The place of a connection, until it is dropped.
struct Place<'a>(&'a Member);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.is_taken.store(false, Relaxed);
    }
}

/// The ends of the message streams that are towards us.
type Pipes = Vec<(usize, Stream)>;

/// A tunnel by TCP.
#[derive(Debug)]
pub(super) struct ByTcp {
    /// What the site calls it: its connections say which they belong to.
    number: u64,
    peer: SocketAddr,
    members: [Member; MEMBERS],
    pipes: Mutex<Pipes>,
    /// The ends towards the first connection.
    inner: Mutex<Vec<(ReadHalf<DuplexStream>, WriteHalf<DuplexStream>)>>,
    end: watch::Sender<Option<String>>,
    octets: (AtomicU64, AtomicU64),
}

impl ByTcp {
    pub(super) fn new(number: u64, peer: SocketAddr) -> Self {
        let (mut pipes, mut inner) = (Vec::new(), Vec::new());
        for group in 0..GROUPS {
            let (near, far) = tokio::io::duplex(PIPE);
            let (read, write) = split(near);
            pipes.push((group, Stream::new(read, write)));
            inner.push(split(far));
        }
        Self {
            number,
            peer,
            members: Default::default(),
            pipes: Mutex::new(pipes),
            inner: Mutex::new(inner),
            end: watch::Sender::new(None),
            octets: Default::default(),
        }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn peer(&self) -> SocketAddr {
        self.peer
    }

    pub(super) fn figures(&self) -> Figures {
        Figures {
            trip: None,
            packets: None,
            octets: (self.octets.0.load(Relaxed), self.octets.1.load(Relaxed)),
        }
    }

    /// The streams of messages; they are there once.
    pub(super) fn streams(&self) -> Pipes {
        std::mem::take(&mut *self.pipes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn close(&self, why: &str) {
        self.end.send_if_modified(|end| {
            let first = end.is_none();
            end.get_or_insert_with(|| why.to_owned());
            first
        });
    }

    /// Waits for its end.
    pub(super) async fn ended(&self) -> String {
        let mut end = self.end.subscribe();
        let ended = end.wait_for(Option::is_some).await;
        ended.ok().and_then(|why| why.clone()).unwrap_or_default()
    }

    /// Puts a packet into the queue of its flow's connection, or where that stands still into that
    /// of one which does not.
    pub(super) fn send(&self, port: u16, packet: Bytes, counts: &Counts) {
        let now = Instant::now();
        // A pair of ports is one flow's.
        let own = 1 + usize::from(port / 2) % (MEMBERS - 1);
        let is_there = |m: &usize| self.members.get(*m).is_some_and(|m| m.is_taken.load(Relaxed));
        let moves = |m: &usize| self.members.get(*m).is_some_and(|m| !m.stands_still(now));
        let mut there = [own, MEMBERS - own, 0].into_iter().filter(is_there);
        let all = there.clone();
        let chosen = there.find(moves).or_else(|| all.into_iter().next()).unwrap_or(0);
        let Some(member) = self.members.get(chosen) else { return };
        member.push(now, port, Capsule::Datagram(packet).write(), counts);
    }

    /// Carries by one of its connections until that ends, or all do.
    pub(super) async fn carry<S: AsyncRead + AsyncWrite>(
        &self,
        member: usize,
        stream: S,
        media: &Media,
    ) {
        let Some(place) = self.members.get(member).and_then(Member::take_place) else { return };
        let (read, write) = split(stream);
        let (mut ups, mut downs) = (Vec::new(), Vec::new());
        if member == 0 {
            let inner =
                std::mem::take(&mut *self.inner.lock().unwrap_or_else(PoisonError::into_inner));
            (ups, downs) = inner.into_iter().unzip();
        }
        let silent = if member == 0 { SILENT.0 } else { SILENT.1 };
        let why = tokio::select! {
            why = self.read(read, downs, media, silent) => why,
            why = self.write(write, member, ups, media) => why,
            _ = self.ended() => return,
        };
        drop(place);
        // Without the others speech goes on by the first; without the first there is nothing.
        if member == 0 {
            self.close(&why);
        }
    }

    async fn read<R: AsyncRead>(
        &self,
        mut read: ReadHalf<R>,
        mut downs: Vec<WriteHalf<DuplexStream>>,
        media: &Media,
        silent: Duration,
    ) -> String
    where
        ReadHalf<R>: AsyncRead,
    {
        let (mut capsules, mut chunk) = (Capsules::default(), vec![0; CHUNK]);
        loop {
            let read = timeout(silent, read.read(&mut chunk)).await;
            let octets = match read {
                Err(_) => return format!("nothing came for {} s", silent.as_secs()),
                Ok(Err(e)) => return words::ended(&e),
                Ok(Ok(0)) => return "closed by the other end, or by who is between".to_owned(),
                Ok(Ok(octets)) => octets,
            };
            self.octets.1.fetch_add(octets as u64, Relaxed);
            capsules.push(chunk.get(..octets).unwrap_or_default());
            loop {
                match capsules.next() {
                    Ok(None) => break,
                    Err(_) => return "the other end is no gateway".to_owned(),
                    Ok(Some(Capsule::Datagram(packet))) => media.deliver(packet),
                    Ok(Some(Capsule::Ping | Capsule::Greeting(_))) => {}
                    Ok(Some(Capsule::Stream(group, octets))) => {
                        let Some(down) = downs.get_mut(usize::from(group)) else { continue };
                        // Who does not read holds up this connection, as he would any. Where a
                        // newer one carries the messages, nobody reads here any more.
                        let _ = down.write_all(&octets).await;
                    }
                }
            }
        }
    }

    async fn write<W: AsyncWrite>(
        &self,
        mut write: WriteHalf<W>,
        member: usize,
        mut ups: Vec<ReadHalf<DuplexStream>>,
        media: &Media,
    ) -> String
    where
        WriteHalf<W>: AsyncWrite,
    {
        let Some(own) = self.members.get(member) else { return String::new() };
        let mut beat = tokio::time::interval(ALIVE);
        loop {
            let octets = tokio::select! {
                biased;
                (group, octets) = next_up(&mut ups) => match u8::try_from(group) {
                    Ok(group) => Capsule::Stream(group, octets).write().to_vec(),
                    Err(_) => continue,
                },
                () = own.news.notified() => own.take(Instant::now(), &media.counts),
                _ = beat.tick() => Capsule::Ping.write().to_vec(),
            };
            let mut octets = octets;
            while !octets.is_empty() {
                let all = async {
                    write.write_all(&octets).await?;
                    write.flush().await
                };
                match timeout(WRITTEN, all).await {
                    Ok(Ok(())) => {}
                    Ok(Err(e)) => return words::ended(&e),
                    Err(_) => return "nothing could be written for 12 s".to_owned(),
                }
                self.octets.0.fetch_add(octets.len() as u64, Relaxed);
                octets = own.take(Instant::now(), &media.counts);
            }
        }
    }
}

/// Octets of whichever stream has some. Never, where there are no streams, or they have ended.
async fn next_up(ups: &mut [ReadHalf<DuplexStream>]) -> (usize, Bytes) {
    use std::task::Poll;
    let mut chunk = [0_u8; 4_096];
    std::future::poll_fn(move |cx| {
        for (group, up) in ups.iter_mut().enumerate() {
            let mut buffer = tokio::io::ReadBuf::new(&mut chunk);
            match std::pin::Pin::new(up).poll_read(cx, &mut buffer) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    return Poll::Ready((group, Bytes::copy_from_slice(buffer.filled())));
                }
                Poll::Ready(_) => {}
            }
        }
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests;
