//! The thread on which handshakes are worked at: a signature of ours, or somebody's chain, holds up
//! no phone by UDP, no timer and no watchdog. It gives way to the threads of signalling and media.
//! It knows no peer; sockets stay those of the runtime that they were opened in.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How much less than others' its work counts for the kernel (nice).
const BEHIND: i32 = 10;

/// Ends when the last of those who may ask is gone.
#[derive(Clone, Debug)]
pub(super) struct Hands {
    runtime: Option<Handle>,
    _stays: Arc<oneshot::Sender<()>>,
}

impl Hands {
    /// Begins. Where there is no thread to be had, who asks works himself.
    pub(super) fn start() -> Self {
        let (stays, gone) = oneshot::channel::<()>();
        let runtime = Builder::new_current_thread().enable_time().build().ok();
        let handle = runtime.as_ref().map(|runtime| runtime.handle().clone());
        let work = move || {
            // Best effort.
            let _ = rustix::process::nice(BEHIND);
            if let Some(runtime) = runtime {
                let _ = runtime.block_on(gone);
            }
        };
        let begun = std::thread::Builder::new().name("tls".to_owned()).spawn(work);
        if let Err(e) = &begun {
            tracing::warn!("no thread for TLS ({e}): handshakes are worked at beside all else");
        }
        Self { runtime: handle.filter(|_| begun.is_ok()), _stays: Arc::new(stays) }
    }

    /// Has it worked at, until it is done or nobody waits for it any more.
    pub(super) fn work<T, F>(&self, what: F) -> Worked<T>
    where
        T: Send + 'static,
        F: Future<Output = io::Result<T>> + Send + 'static,
    {
        Worked(match &self.runtime {
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
    use tokio::time::{Duration, sleep};

    #[tokio::test]
    async fn work_is_done_on_a_thread_of_its_own_and_left_when_nobody_waits() {
        let hands = Hands::start();
        let here = std::thread::current().id();
        let there = hands.work(async { Ok(std::thread::current().id()) }).await.unwrap();
        assert_ne!(here, there);
        let (sent, got) = oneshot::channel::<()>();
        let left = hands.work(async move {
            sleep(Duration::from_secs(3_600)).await;
            drop(sent);
            Ok(())
        });
        drop(left);
        assert!(got.await.is_err(), "it was dropped");
    }
}
