//! A tunnel by TCP: some connections by TLS 1.3, through an HTTP proxy where there is one, that
//! carry capsules. What is lost on one holds up what comes behind it, so media keep to other
//! connections than messages, a flow to one of them for as long as that moves, and what would come
//! too late to be heard is not sent at all. The kernel is given little ahead, so that what waits
//! waits here, where it can grow old.

use super::bearer::Figures;
use super::link::GROUPS;
use super::media::{Counts, Media};
use super::told::Stream;
use super::words;
use crate::wire::tunnel::{Capsule, Capsules};
use bytes::Bytes;
use std::collections::VecDeque;
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
/// Media older than this are not heard any more.
const OLD: Duration = Duration::from_millis(60);
/// A connection whose oldest packet waits so long stands still: its flows go by another one.
const STILL: Duration = Duration::from_millis(25);
/// Packets of media that wait for one connection.
const WAITING: usize = 256;
/// A sign of life each, by the first connection and by the others: so a site knows soon that
/// nothing comes, and no proxy takes one for idle.
const ALIVE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3));
/// How long none of the other end's may come.
const SILENT: Duration = Duration::from_secs(12);
/// Octets of a message stream that wait on their way to or from a connection.
const PIPE: usize = 64 * 1_024;
/// Octets read or written at once.
const CHUNK: usize = 16 * 1_024;
/// What is written is taken by the kernel within this.
const WRITTEN: Duration = Duration::from_secs(12);
/// Octets of media written together at most.
const TOGETHER: usize = 1_400;

/// One connection's queue of media.
#[derive(Debug, Default)]
struct Member {
    media: Mutex<VecDeque<(Instant, Bytes)>>,
    news: Notify,
    /// A connection is in its place.
    is_taken: AtomicBool,
}

impl Member {
    fn media(&self) -> MutexGuard<'_, VecDeque<(Instant, Bytes)>> {
        self.media.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One connection at a time is in it: `None`, another is.
    fn take_place(&self) -> Option<Place<'_>> {
        (!self.is_taken.swap(true, Relaxed)).then_some(Place(self))
    }

    fn stands_still(&self, now: Instant) -> bool {
        self.media().front().is_some_and(|(since, _)| now.duration_since(*since) > STILL)
    }

    /// What goes out next, several packets in one piece; older ones are dropped.
    fn take(&self, now: Instant, counts: &Counts) -> Vec<u8> {
        let mut media = self.media();
        let mut out = Vec::new();
        while let Some((since, capsule)) = media.front() {
            if now.duration_since(*since) > OLD {
                counts.late.fetch_add(1, Relaxed);
            } else if out.is_empty() || out.len() + capsule.len() <= TOGETHER {
                out.extend_from_slice(capsule);
                counts.sent.fetch_add(1, Relaxed);
            } else {
                break;
            }
            media.pop_front();
        }
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
        let mut media = member.media();
        if media.len() >= WAITING {
            media.pop_front();
            counts.late.fetch_add(1, Relaxed);
        }
        media.push_back((now, Capsule::Datagram(packet).write()));
        drop(media);
        member.news.notify_one();
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
        let why = tokio::select! {
            why = self.read(read, downs, media) => why,
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
    ) -> String
    where
        ReadHalf<R>: AsyncRead,
    {
        let (mut capsules, mut chunk) = (Capsules::default(), vec![0; CHUNK]);
        loop {
            let read = timeout(SILENT, read.read(&mut chunk)).await;
            let octets = match read {
                Err(_) => return "nothing came for 12 s".to_owned(),
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
        let mut beat = tokio::time::interval(if member == 0 { ALIVE.0 } else { ALIVE.1 });
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
mod tests {
    use super::*;
    use tokio::time::advance;

    fn tcp() -> ByTcp {
        ByTcp::new(7, "192.0.2.1:443".parse().expect("an address"))
    }

    fn waiting(tcp: &ByTcp) -> Vec<usize> {
        tcp.members.iter().map(|m| m.media().len()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_no_connection_gets_no_media() {
        let (tcp, counts) = (tcp(), Counts::default());
        let packet = || Bytes::from_static(b"speech");
        let _first = tcp.members[0].take_place();
        tcp.send(20_000, packet(), &counts);
        assert_eq!(waiting(&tcp), [1, 0, 0], "a proxy lets one through");
        let _third = tcp.members[2].take_place();
        tcp.send(20_000, packet(), &counts);
        tcp.send(20_002, packet(), &counts);
        assert_eq!(waiting(&tcp), [1, 0, 2]);
        let second = tcp.members[1].take_place();
        tcp.send(20_000, packet(), &counts);
        assert_eq!(waiting(&tcp), [1, 1, 2]);
        drop(second);
        tcp.send(20_000, packet(), &counts);
        assert_eq!(waiting(&tcp), [1, 1, 3], "it has ended");
    }

    #[tokio::test(start_paused = true)]
    async fn a_flow_keeps_to_its_connection_until_that_stands_still_and_old_packets_do_not_go() {
        let (tcp, counts) = (tcp(), Counts::default());
        let packet = || Bytes::from_static(b"speech");
        let _all: Vec<_> = tcp.members.iter().map(Member::take_place).collect();
        for _ in 0..3 {
            tcp.send(20_000, packet(), &counts);
            tcp.send(20_001, packet(), &counts);
            tcp.send(20_002, packet(), &counts);
        }
        assert_eq!(waiting(&tcp), [0, 6, 3], "a pair of ports is one flow's");
        advance(STILL + Duration::from_millis(1)).await;
        tcp.send(20_000, packet(), &counts);
        assert_eq!(waiting(&tcp), [1, 6, 3], "both stand still: the first of all is left");
        assert!(!tcp.members[2].take(Instant::now(), &counts).is_empty());
        tcp.send(20_000, packet(), &counts);
        assert_eq!(waiting(&tcp), [1, 6, 1], "the other one moves");
        advance(OLD).await;
        assert!(tcp.members[1].take(Instant::now(), &counts).is_empty());
        assert_eq!((counts.late.load(Relaxed), counts.sent.load(Relaxed)), (6, 3));
        for _ in 0..2 * WAITING {
            tcp.send(20_000, packet(), &counts);
        }
        assert!(waiting(&tcp).iter().all(|n| *n <= WAITING));
    }

    #[tokio::test]
    async fn a_place_has_one_connection_and_the_first_ends_all() {
        let tcp = tcp();
        let (media, _out) = Media::new("2001:20::1".parse().unwrap(), std::sync::Arc::default());
        let (ours, _theirs) = tokio::io::duplex(1_024);
        let (more, mut beyond) = tokio::io::duplex(1_024);
        let first = tcp.carry(1, ours, &media);
        tokio::pin!(first);
        tokio::select! {
            () = &mut first => panic!("it carries"),
            () = tokio::time::sleep(Duration::from_millis(20)) => {}
        }
        tcp.carry(1, more, &media).await;
        assert_eq!(beyond.read(&mut [0; 8]).await.unwrap(), 0, "closed at once");
        assert!(tcp.end.borrow().is_none());
        tcp.close("over");
        first.await;
        assert_eq!(tcp.ended().await, "over");
    }
}
