//! A site's end: it calls the head office, and calls again when the connection ends. Nothing of it
//! is open to the outside. While one bearer carries, it watches whether that is silent, and looks
//! for another one beside it: what to do when, the ladder says.

use super::bearer::Bearer;
use super::ladder::{Ladder, Step, Telling, Tried};
use super::pulse::{Feeler, Pulse, Sign};
use super::ways::{self, Failure, Got, Ready, Site};
use quinn::ConnectionError;
use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, interval, sleep, timeout};

/// How often it is looked whether a bearer is silent.
const LOOK: Duration = Duration::from_millis(250);
/// A search that was under way when the bearer ended has so long.
const PATIENCE: Duration = Duration::from_secs(5);

/// Keeps a tunnel up, for ever.
pub(super) async fn keep(site: Site) {
    let site = Arc::new(site);
    let (mut ladder, mut telling) = (Ladder::new(site.bearer), Telling::default());
    loop {
        let order = ladder.order(Instant::now());
        match ways::first(&site, order).await {
            Ok(got) => {
                telling.is_over();
                carry(&site, &mut ladder, got).await;
            }
            Err(Failure { why, is_swallowed }) => {
                let (now, name) = (Instant::now(), site.link.name());
                if is_swallowed {
                    ladder.doubts(now);
                }
                if telling.is_told(now, &why) {
                    tracing::warn!("tunnel {name}: not connected: {why}");
                } else {
                    tracing::debug!("tunnel {name}: not connected: {why}");
                }
                site.link.fails(&why);
            }
        }
        sleep(ladder.pause()).await;
    }
}

/// What carries now.
struct Carried {
    bearer: Bearer,
    since: Instant,
    pulse: Pulse,
    feeler: Feeler,
}

impl Carried {
    fn begin(site: &Arc<Site>, ladder: &mut Ladder, (bearer, key, control): Got) -> Self {
        let since = Instant::now();
        ladder.begins(since, bearer.kind());
        let (link, carries) = (site.link.clone(), bearer.clone());
        tokio::spawn(async move { link.carry(carries, key, control).await });
        site.link.waits(Duration::ZERO);
        let pulse = Pulse::new(Sign::of(&bearer));
        Self { bearer, since, pulse, feeler: Feeler::default() }
    }

    /// What to do beside it.
    fn step(&mut self, site: &Site, ladder: &Ladder) -> Step {
        let (now, kind) = (Instant::now(), self.bearer.kind());
        let unanswered = self.pulse.unanswered(now, Sign::of(&self.bearer));
        site.link.waits(unanswered);
        let is_shut = self.feeler.is_shut(&self.bearer, unanswered);
        ladder.step(now, kind, now.duration_since(self.since), unanswered, is_shut)
    }

    /// It is there no more, or soon will not be.
    fn ends(&self, ladder: &mut Ladder, is_silent: bool) {
        let now = Instant::now();
        ladder.ended(now, self.bearer.kind(), now.duration_since(self.since), is_silent);
    }

    /// True where nobody said why it has ended.
    fn fell_silent(&self) -> bool {
        match &self.bearer {
            Bearer::Tcp(_) => true,
            Bearer::Quic(connection) => match connection.close_reason() {
                Some(
                    ConnectionError::ApplicationClosed(_)
                    | ConnectionError::LocallyClosed
                    | ConnectionError::Reset,
                ) => false,
                Some(
                    ConnectionError::VersionMismatch
                    | ConnectionError::TransportError(_)
                    | ConnectionError::ConnectionClosed(_)
                    | ConnectionError::TimedOut
                    | ConnectionError::CidsExhausted,
                )
                | None => true,
            },
        }
    }
}

/// What is looked for beside it.
struct Search {
    /// Whether it is to take a silent one's place, or a worse one's.
    is_rescue: bool,
    work: Pin<Box<dyn Future<Output = Result<Ready, Failure>> + Send>>,
}

async fn found(search: &mut Option<Search>) -> Result<Ready, Failure> {
    match search {
        Some(search) => (&mut search.work).await,
        None => pending().await,
    }
}

/// Carries by one bearer after the other, as long as there is one.
async fn carry(site: &Arc<Site>, ladder: &mut Ladder, got: Got) {
    let mut carried = Carried::begin(site, ladder, got);
    let (mut search, mut look) = (None::<Search>, interval(LOOK));
    loop {
        let ready = tokio::select! {
            _ = carried.bearer.ended() => {
                carried.ends(ladder, carried.fell_silent());
                let Some(got) = late(site, search.take()).await else {
                    site.link.waits(Duration::ZERO);
                    return;
                };
                carried = Carried::begin(site, ladder, got);
                continue;
            }
            ready = found(&mut search) => Some(ready),
            _ = look.tick() => None,
        };
        let step = carried.step(site, ladder);
        let Some(ready) = ready else {
            // A silent bearer does not wait until a better one is tried out.
            let has_rescue = search.as_ref().is_some_and(|search| search.is_rescue);
            if search.is_none() || is_silent(step) && !has_rescue {
                search = begun(site, &carried, step);
            }
            continue;
        };
        let is_rescue = search.take().is_some_and(|search| search.is_rescue);
        // It came back while another one was looked for.
        let is_needed = !is_rescue || is_silent(step);
        match moved(site, ready, is_needed).await {
            Ok(Some(got)) => {
                if is_rescue {
                    let (name, kind) = (site.link.name(), carried.bearer.kind().as_str());
                    tracing::warn!("tunnel {name}: nothing was answered by {kind} any more");
                } else {
                    ladder.tried(Instant::now(), Tried::Carries);
                }
                carried.ends(ladder, is_rescue);
                carried = Carried::begin(site, ladder, got);
            }
            Ok(None) => ladder.searched(Instant::now()),
            Err(failure) => failed(site, ladder, is_rescue, &failure),
        }
    }
}

fn is_silent(step: Step) -> bool {
    match step {
        Step::Rescue(_) => true,
        Step::Stay | Step::Try => false,
    }
}

/// Begins what the ladder says.
fn begun(site: &Arc<Site>, carried: &Carried, step: Step) -> Option<Search> {
    let (name, kind) = (site.link.name(), carried.bearer.kind().as_str());
    let site = site.clone();
    match step {
        Step::Stay => None,
        Step::Try => Some(Search { is_rescue: false, work: Box::pin(ways::tried_out(site)) }),
        Step::Rescue(order) => {
            tracing::debug!("tunnel {name}: {kind} is silent, another way is looked for");
            Some(Search { is_rescue: true, work: Box::pin(ways::rescue(site, order)) })
        }
    }
}

/// Lets the tunnel be carried by what was found; `None`: it is not needed any more.
async fn moved(
    site: &Arc<Site>,
    ready: Result<Ready, Failure>,
    is_needed: bool,
) -> Result<Option<Got>, Failure> {
    let ready = ready?;
    if !is_needed {
        return Ok(None);
    }
    ready.begin(site).await.map(Some)
}

fn failed(site: &Site, ladder: &mut Ladder, is_rescue: bool, failure: &Failure) {
    let (now, Failure { why, is_swallowed }) = (Instant::now(), failure);
    tracing::debug!("tunnel {}: no other way: {why}", site.link.name());
    match (is_rescue, is_swallowed) {
        (true, true) => ladder.doubts(now),
        (true, false) => {}
        (false, true) => ladder.tried(now, Tried::Swallowed),
        (false, false) => ladder.tried(now, Tried::NoWay),
    }
    if is_rescue {
        ladder.searched(now);
    }
}

/// The bearer has ended while another one was looked for: that may be about to be found.
async fn late(site: &Arc<Site>, search: Option<Search>) -> Option<Got> {
    let search = search.filter(|search| search.is_rescue)?;
    let ready = timeout(PATIENCE, search.work).await.ok()?.ok()?;
    ready.begin(site).await.ok()
}
