//! The threads on which handshakes are worked at: a signature of ours, or somebody's chain, holds
//! up no phone by UDP, no timer and no watchdog, and a stranger's nobody who is known. They give
//! way to the threads of signalling and media. They know no peer; sockets stay those of the
//! runtime that they were opened in.

use super::turns::Whose;
use rustix::time::{ClockId, Timespec, clock_gettime};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How much less than others' the work on handshakes counts for the kernel (nice): that of who is
/// known, and that of strangers, which gives way to it.
const BEHIND: [i32; 2] = [10, 16];
/// Their threads' names.
const NAMES: [&str; 2] = ["tls", "tls-strangers"];

/// Time of the processor that some work has taken so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Spent(Arc<AtomicU64>);

impl Spent {
    pub(super) fn taken(&self) -> Duration {
        Duration::from_nanos(self.0.load(Relaxed))
    }

    fn add(&self, before: Timespec, now: Timespec) {
        let nanos = |t: Timespec| t.tv_sec.saturating_mul(1_000_000_000).saturating_add(t.tv_nsec);
        let more = u64::try_from(nanos(now).saturating_sub(nanos(before))).unwrap_or(0);
        self.0.fetch_add(more, Relaxed);
    }
}

/// Work whose time is taken, not that of what goes on beside it.
struct Timed<F> {
    what: Pin<Box<F>>,
    spent: Spent,
}

impl<F: Future> Future for Timed<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let before = clock_gettime(ClockId::ThreadCPUTime);
        let polled = self.what.as_mut().poll(cx);
        self.spent.add(before, clock_gettime(ClockId::ThreadCPUTime));
        polled
    }
}

/// Both end when the last of those who may ask is gone.
#[derive(Clone, Debug)]
pub(super) struct Hands {
    runtimes: [Option<Handle>; 2],
    _stay: Arc<[oneshot::Sender<()>; 2]>,
}

/// A thread that works; `None`: there is none to be had.
fn begin(behind: i32, name: &str) -> (Option<Handle>, oneshot::Sender<()>) {
    let (stays, gone) = oneshot::channel::<()>();
    let runtime = Builder::new_current_thread().enable_time().build().ok();
    let handle = runtime.as_ref().map(|runtime| runtime.handle().clone());
    let work = move || {
        // Best effort.
        let _ = rustix::process::nice(behind);
        if let Some(runtime) = runtime {
            let _ = runtime.block_on(gone);
        }
    };
    let begun = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    if let Err(e) = &begun {
        tracing::warn!("no thread for TLS ({e}): handshakes are worked at beside all else");
    }
    (handle.filter(|_| begun.is_ok()), stays)
}

impl Hands {
    /// Begins. Where there is no thread to be had, who asks works himself.
    pub(super) fn start() -> Self {
        let [known, strange] = [0, 1].map(|at: usize| begin(BEHIND[at], NAMES[at]));
        Self { runtimes: [known.0, strange.0], _stay: Arc::new([known.1, strange.1]) }
    }

    /// Has it worked at, until it is done or nobody waits for it any more.
    pub(super) fn work<T, F>(&self, whose: Whose, spent: &Spent, what: F) -> Worked<T>
    where
        T: Send + 'static,
        F: Future<Output = io::Result<T>> + Send + 'static,
    {
        let what = Timed { what: Box::pin(what), spent: spent.clone() };
        let [known, strange] = &self.runtimes;
        let runtime = match whose {
            Whose::Known => known,
            Whose::Strange => strange,
        };
        Worked(match runtime {
            Some(runtime) => runtime.spawn(what),
            None => tokio::spawn(what),
        })
    }
}

/// What becomes of it.
#[derive(Debug)]
pub(super) struct Worked<T>(JoinHandle<io::Result<T>>);

impl<T> Future for Worked<T> {
    type Output = io::Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(|done| done.unwrap_or_else(|e| Err(io::Error::other(e))))
    }
}

impl<T> Drop for Worked<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::sleep;

    #[tokio::test]
    async fn work_is_done_on_a_thread_of_its_own_and_left_when_nobody_waits() {
        let hands = Hands::start();
        let here = std::thread::current().id();
        for whose in [Whose::Known, Whose::Strange] {
            let spent = Spent::default();
            let there = hands.work(whose, &spent, async { Ok(std::thread::current().id()) });
            assert_ne!(here, there.await.unwrap());
            let (sent, got) = oneshot::channel::<()>();
            assert!(spent.taken() > Duration::ZERO);
            let left = hands.work(whose, &spent, async move {
                sleep(Duration::from_secs(3_600)).await;
                drop(sent);
                Ok(())
            });
            drop(left);
            assert!(got.await.is_err(), "it was dropped");
        }
    }

    #[tokio::test]
    async fn who_is_known_waits_for_no_work_on_a_stranger() {
        let hands = Hands::start();
        let (done, known) = std::sync::mpsc::channel::<()>();
        let spent = Spent::default();
        let strange = hands.work(Whose::Strange, &spent, async move {
            known.recv_timeout(Duration::from_secs(60)).map_err(io::Error::other)
        });
        hands
            .work(Whose::Known, &spent, async move { done.send(()).map_err(io::Error::other) })
            .await
            .unwrap();
        strange.await.unwrap();
    }
}
