//! A TCP connection below TLS: what is read by it is bounded before anybody works on it, and a
//! record that has begun after the handshake is complete within a time. It knows no key.

use super::connection::COMPLETE;
use crate::driver::tls::Failure;
use crate::wire::tls::{Records, Refused};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// One connection.
#[derive(Debug)]
pub(super) struct Carried {
    stream: TcpStream,
    records: Records,
    is_done: bool,
    /// When the record that has begun has to be complete.
    late: Option<Pin<Box<Sleep>>>,
}

impl Carried {
    /// Of somebody who has called us.
    pub(super) fn of_caller(stream: TcpStream) -> Self {
        Self { stream, records: Records::default(), is_done: false, late: None }
    }

    /// Of whom we have called.
    pub(super) fn of_called(stream: TcpStream) -> Self {
        Self { records: Records::of_server(), ..Self::of_caller(stream) }
    }

    /// The handshake is done.
    pub(super) fn done(&mut self) {
        self.is_done = true;
        self.records.done();
    }

    /// Nothing came. Whether that lasts too long already.
    fn waits(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_done || !self.records.is_partial() {
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
        let before = buffer.filled().len();
        match Pin::new(&mut self.stream).poll_read(cx, buffer) {
            Poll::Pending => self.waits(cx),
            Poll::Ready(Err(e)) => Poll::Ready(Err(e)),
            Poll::Ready(Ok(())) => {
                let new = buffer.filled().get(before..).unwrap_or_default();
                let complete = self.records.complete();
                let taken = self.records.take(new);
                if self.records.complete() != complete {
                    self.late = None;
                }
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
