//! A TCP connection below TLS, and TLS above it: what is read by it is bounded before anybody works
//! on it, a record that has begun after the handshake is complete within a time, and records that
//! bring no octet of SIP come to an end. It knows no key.

use super::connection::COMPLETE;
use crate::driver::tls::Failure;
use crate::wire::tls::{Records, Refused};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};
use tokio_rustls::TlsStream;

/// Octets of records that may come without SIP: the longest record, and what is read with it. More
/// is a message of TLS that does not end, and whose beginning TLS keeps.
const BARREN: usize = 20 * 1024;
/// Of who has called us so much may stand there without SIP: new keys (RFC 8446 §4.6.3), and he has
/// nothing else to say. More is followed by SIP within a time.
const SPARE: usize = 512;

/// Octets of a hello that are read at once.
const CHUNK: usize = 4 * 1024;

/// One connection.
#[derive(Debug)]
pub(super) struct Carried {
    stream: TcpStream,
    /// What has come before anybody worked on it, and how much of that was read since.
    early: Vec<u8>,
    read: usize,
    records: Records,
    is_done: bool,
    /// He has called us; whom we call may send tickets, and says nothing for long.
    calls: bool,
    /// Octets after the handshake since SIP came last.
    barren: usize,
    /// When the record that has begun has to be complete.
    late: Option<Pin<Box<Sleep>>>,
}

impl Carried {
    /// Of somebody who has called us.
    pub(super) fn of_caller(stream: TcpStream) -> Self {
        let (records, early) = (Records::default(), Vec::new());
        let (is_done, calls, late) = (false, true, None);
        Self { stream, early, read: 0, records, is_done, calls, barren: 0, late }
    }

    /// Of whom we have called.
    pub(super) fn of_called(stream: TcpStream) -> Self {
        let records = Records::of_server();
        Self { records, calls: false, ..Self::of_caller(stream) }
    }

    /// Takes what he begins with, a piece of it: how many octets are kept now; `None`: it is whole.
    pub(super) async fn hello(&mut self) -> io::Result<Option<usize>> {
        if self.records.has_first() {
            return Ok(None);
        }
        poll_fn(|cx| self.poll_hello(cx)).await.map(Some)
    }

    fn poll_hello(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        // No memory is kept for who says nothing.
        let mut chunk = [0_u8; CHUNK];
        let mut chunk = ReadBuf::new(&mut chunk);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut chunk))?;
        let new = chunk.filled();
        if new.is_empty() {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        self.records.take(new).map_err(|what| io::Error::other(refusal(what)))?;
        self.early.extend_from_slice(new);
        Poll::Ready(Ok(self.early.len()))
    }

    /// What has come early, as much as there is room for. False: there is none left.
    fn read_early(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let left = self.early.get(self.read..).unwrap_or_default();
        let now = left.get(..left.len().min(buffer.remaining())).unwrap_or_default();
        let is_any = !left.is_empty();
        buffer.put_slice(now);
        self.read += now.len();
        if self.read == self.early.len() {
            (self.early, self.read) = (Vec::new(), 0);
        }
        is_any
    }

    /// The handshake is done.
    pub(super) fn done(&mut self) {
        self.is_done = true;
        self.records.done();
    }

    /// SIP came of it.
    fn bore(&mut self) {
        self.barren = 0;
        self.late = None;
    }

    /// He has sent more than he may without SIP.
    fn owes(&self) -> bool {
        self.calls && self.barren > SPARE
    }

    /// So many octets more came. False: too many of them in vain.
    fn may_come(&mut self, octets: usize) -> bool {
        if self.is_done {
            self.barren = self.barren.saturating_add(octets);
        }
        self.barren <= BARREN
    }

    /// Nothing came. Whether that lasts too long already.
    fn waits(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_done || !self.records.is_partial() && !self.owes() {
            self.late = None;
            return Poll::Pending;
        }
        let late = self.late.get_or_insert_with(|| Box::pin(sleep(COMPLETE)));
        ready!(late.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Carried {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read_early(buffer) {
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        match Pin::new(&mut self.stream).poll_read(cx, buffer) {
            Poll::Pending => self.waits(cx),
            Poll::Ready(Err(e)) => Poll::Ready(Err(e)),
            Poll::Ready(Ok(())) => {
                let new = buffer.filled().get(before..).unwrap_or_default();
                let complete = self.records.complete();
                let octets = new.len();
                let taken = self.records.take(new);
                if self.records.complete() != complete && !self.owes() {
                    self.late = None;
                }
                let is_enough = self.may_come(octets).then_some(()).ok_or(Refused::Long);
                let taken = taken.and(is_enough);
                Poll::Ready(taken.map_err(|what| io::Error::other(refusal(what))))
            }
        }
    }
}

fn refusal(what: Refused) -> Failure {
    match what {
        Refused::NoTls => Failure::no_tls(),
        Refused::Long => Failure::long(),
    }
}

impl AsyncWrite for Carried {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// TLS over one, after the handshake.
#[derive(Debug)]
pub(super) struct Secured(pub(super) TlsStream<Carried>);

impl AsyncRead for Secured {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.0).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.0.get_mut().0.bore();
        }
        read
    }
}

impl AsyncWrite for Secured {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    /// What becomes of so many records of so many octets that bring no SIP.
    async fn become_of(of: fn(TcpStream) -> Carried, many: usize, octets: u16) -> io::Result<bool> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let mut far = TcpStream::connect(listener.local_addr()?).await?;
        let mut near = of(listener.accept().await?.0);
        near.done();
        let mut record = vec![23, 3, 3];
        record.extend(octets.to_be_bytes());
        record.resize(5 + usize::from(octets), 0);
        // What begins it is the handshake's, which is over.
        near.records
            .take(&[22, 3, 3, 0, 4, 1, 0, 0, 0])
            .map_err(|e| io::Error::other(refusal(e)))?;
        far.write_all(&record.repeat(many)).await?;
        let (mut left, mut chunk) = (record.len() * many, [0; 4_096]);
        while left > 0 {
            left -= near.read(&mut chunk).await?;
        }
        tokio::time::pause();
        let ended = timeout(Duration::from_secs(600), near.read(&mut chunk)).await;
        tokio::time::resume();
        Ok(ended.is_ok())
    }

    #[tokio::test]
    async fn what_was_read_of_a_hello_is_read_again_by_who_works_on_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut far = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut near = Carried::of_caller(listener.accept().await.unwrap().0);
        let mut hello = vec![22, 3, 1, 0x13, 0x88, 1, 0, 0x13, 0x84];
        hello.resize(5 + 5_000, 7);
        let (first, rest) = hello.split_at(3_000);
        far.write_all(first).await.unwrap();
        let mut kept = 0;
        while kept < first.len() {
            kept = near.hello().await.unwrap().expect("it is not whole");
        }
        assert_eq!(kept, first.len());
        far.write_all(rest).await.unwrap();
        while let Some(more) = near.hello().await.unwrap() {
            kept = more;
        }
        assert_eq!(kept, hello.len());
        far.write_all(&[20, 3, 3, 0, 1, 1]).await.unwrap();
        let mut all = vec![0; hello.len() + 6];
        near.read_exact(&mut all).await.unwrap();
        hello.extend([20, 3, 3, 0, 1, 1]);
        assert!(all == hello && near.early.is_empty());
        drop(far);
        assert_eq!(near.read(&mut [0; 8]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn records_without_sip_are_few_and_who_calls_says_something_soon_after_them() {
        assert!(!become_of(Carried::of_caller, 10, 22).await.unwrap(), "new keys, a few times");
        assert!(become_of(Carried::of_caller, 20, 22).await.unwrap(), "they owe a message");
        assert!(!become_of(Carried::of_called, 4, 2_000).await.unwrap(), "tickets");
        for of in [Carried::of_caller, Carried::of_called] {
            assert!(become_of(of, 2, 16_000).await.is_err());
        }
    }
}
