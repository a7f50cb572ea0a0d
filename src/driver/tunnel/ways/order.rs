//! Two ways beside each other: one leads, the other one follows, and who fails at once is tried
//! again while the other is still waited for. What a try is, it does not know.

use super::Failure;
use crate::driver::tunnel::bearer::Kind;
use crate::driver::tunnel::ladder::Order;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

/// A way that has failed is tried again after so long.
const AGAIN: Duration = Duration::from_secs(1);

/// The first that answers of the ways in this order; an error where each has failed.
pub(super) async fn in_order<T, F>(order: Order, by: impl Fn(Kind) -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let (kind, lead) = match order {
        Order::Alone(kind) => return by(kind).await,
        Order::First(kind, lead) => (kind, lead),
    };
    let other = match kind {
        Kind::Quic => Kind::Tcp,
        Kind::Tcp => Kind::Quic,
    };
    let (tries, hurry) = (Tries::default(), Notify::new());
    let led = tries.of(0, &hurry, || by(kind));
    let follows = async {
        // Nobody waits for who has failed already.
        let _ = timeout(lead, hurry.notified()).await;
        tries.of(1, &hurry, || by(other)).await
    };
    tokio::select! {
        got = led => Ok(got),
        got = follows => Ok(got),
        failure = tries.failed() => Err(failure),
    }
}

/// What each of two ways has said.
#[derive(Default)]
struct Tries {
    said: Mutex<[Option<Failure>; 2]>,
    failed: Notify,
}

impl Tries {
    fn said(&self) -> MutexGuard<'_, [Option<Failure>; 2]> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn of<T, F>(&self, which: usize, hurry: &Notify, by: impl Fn() -> F) -> T
    where
        F: Future<Output = Result<T, Failure>>,
    {
        loop {
            match by().await {
                Ok(got) => return got,
                Err(failure) => {
                    if let Some(said) = self.said().get_mut(which) {
                        *said = Some(failure);
                    }
                    hurry.notify_one();
                    self.failed.notify_one();
                }
            }
            sleep(AGAIN).await;
        }
    }

    /// Waits until both have failed.
    async fn failed(&self) -> Failure {
        loop {
            self.failed.notified().await;
            if let [Some(one), Some(two)] = &*self.said() {
                return Failure {
                    why: format!("{}; {}", one.why, two.why),
                    is_swallowed: one.is_swallowed || two.is_swallowed,
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    use tokio::time::Instant;

    fn fails(why: &str) -> Failure {
        Failure { why: why.to_owned(), is_swallowed: false }
    }

    #[tokio::test(start_paused = true)]
    async fn who_fails_at_once_is_tried_again_while_the_other_is_waited_for() {
        let (begun, tries) = (Instant::now(), AtomicU32::new(0));
        let order = Order::First(Kind::Quic, Duration::from_millis(1_500));
        // UDP is swallowed; the proxy begins anew, and is there two seconds later.
        let by = |kind| {
            let tries = &tries;
            async move {
                match kind {
                    Kind::Quic => {
                        sleep(Duration::from_secs(5)).await;
                        Err(fails("no answer"))
                    }
                    Kind::Tcp if tries.fetch_add(1, Relaxed) < 2 => Err(fails("refused")),
                    Kind::Tcp => Ok("tcp"),
                }
            }
        };
        assert_eq!(in_order(order, by).await.ok(), Some("tcp"));
        assert_eq!(begun.elapsed(), Duration::from_millis(3_500));
    }

    #[tokio::test(start_paused = true)]
    async fn the_other_is_tried_at_once_where_the_first_fails_and_both_say_why() {
        let begun = Instant::now();
        let order = Order::First(Kind::Tcp, Duration::from_secs(60));
        let by = |kind| async move {
            match kind {
                Kind::Tcp => Err(fails("refused")),
                Kind::Quic => {
                    sleep(Duration::from_secs(5)).await;
                    Err::<(), _>(Failure { is_swallowed: true, ..fails("swallowed") })
                }
            }
        };
        let failure = in_order(order, by).await.unwrap_err();
        assert_eq!((failure.why.as_str(), failure.is_swallowed), ("refused; swallowed", true));
        assert_eq!(begun.elapsed(), Duration::from_secs(5));
        let alone = in_order(Order::Alone(Kind::Tcp), by).await.unwrap_err();
        assert_eq!(alone.why, "refused");
    }
}
