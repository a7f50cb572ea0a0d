//! What the page shows, gathered at most once a second for all who look. It asks the event loop
//! for calls whole, waits for it a second, and shows the session table's rows when it is silent.

use super::Page;
use crate::config::Config;
use crate::daemon::{Ask, EndedCall, Refusal, RegistrationRow, Report};
use crate::engine::{CallDetail, CallRow};
use crate::policy::quota::ShareView;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

/// Calls and registrations that are shown.
pub(super) const CALLS: usize = 60;
pub(super) const PHONES: usize = 300;
/// How long one snapshot is shown.
const LASTS: Duration = Duration::from_secs(1);
/// How long the event loop may take to tell.
const GLANCE: Duration = Duration::from_secs(1);

/// Everything but single calls.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) report: Report,
    /// Calls under way, whole as far as the loop told.
    pub(super) calls: Vec<Known>,
    pub(super) more_calls: usize,
    pub(super) phones: Vec<RegistrationRow>,
    pub(super) more_phones: usize,
    pub(super) ended: Vec<Arc<EndedCall>>,
    pub(super) shares: Vec<ShareView>,
    pub(super) refusals: Vec<Arc<Refusal>>,
    pub(super) config: Config,
}

/// A call under way.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) row: CallRow,
    /// `None`: the loop did not tell.
    pub(super) detail: Option<CallDetail>,
}

/// The last one, and when it was made.
#[derive(Debug, Default)]
pub(super) struct Last(Option<(Instant, Arc<Snapshot>)>);

impl Page {
    /// The snapshot of this second. Whoever asks while it is gathered waits for it.
    pub(super) async fn snapshot(&self) -> Arc<Snapshot> {
        let mut last = self.last.lock().await;
        if let Some((at, snapshot)) = &last.0
            && at.elapsed() < LASTS
        {
            return snapshot.clone();
        }
        let new = Arc::new(self.gather().await);
        last.0 = Some((Instant::now(), new.clone()));
        new
    }

    async fn gather(&self) -> Snapshot {
        self.table.settled().await;
        let report = self.table.report();
        let (rows, left_off) = self.table.calls();
        let (shown, more) = super::layout::bounded(&rows, CALLS);
        let mut details = Vec::new();
        if !report.standing.is_still() && !shown.is_empty() {
            details = self.ask(|to| Ask::Calls(CALLS, to)).await.unwrap_or_default();
        }
        let calls = shown.iter().map(|row| {
            let of = details.iter().find(|d: &&CallDetail| d.row.view.call == row.view.call);
            Known { row: row.clone(), detail: of.cloned() }
        });
        let calls = calls.collect();
        let shares = match report.standing.is_still() {
            true => Vec::new(),
            false => self.ask(Ask::Shares).await.unwrap_or_default(),
        };
        let (mut phones, others) = self.table.registrations();
        let more_phones = phones.len().saturating_sub(PHONES) + others;
        phones.truncate(PHONES);
        Snapshot {
            report,
            calls,
            more_calls: more + left_off,
            phones,
            more_phones,
            ended: self.table.ended(usize::MAX).0,
            shares,
            refusals: self.table.refusals(),
            config: self.reloader.config().await,
        }
    }

    /// Asks the event loop; `None`: it does not answer in time.
    pub(super) async fn ask<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<T>) -> Ask,
    ) -> Option<T> {
        let (to, from) = oneshot::channel();
        let exchange = async {
            self.asks.send(question(to)).await.ok()?;
            from.await.ok()
        };
        timeout(GLANCE, exchange).await.ok().flatten()
    }
}
