//! A site's end: it calls the head office, and calls again when the connection ends. Nothing of it
//! is open to the outside. While one bearer carries, it watches whether that is silent, and looks
//! for another one beside it: what to do when, the ladder says.

use super::bearer::{Bearer, Kind};
use super::ladder::{Ladder, Order, Seen, Step, Telling, Tried};
use super::link::Link;
use super::losses::Losses;
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
    /// Of what we send, and of what the other end does.
    losses: [Losses; 2],
}

impl Carried {
    fn begin(site: &Arc<Site>, ladder: &mut Ladder, (bearer, key, control): Got) -> Self {
        let since = Instant::now();
        ladder.begins(since, bearer.kind());
        if bearer.kind() == Kind::Quic {
            site.memory.narrows(false);
        }
        let (link, carries) = (site.link.clone(), bearer.clone());
        tokio::spawn(async move { link.carry(carries, key, control).await });
        site.link.waits(Duration::ZERO);
        let pulse = Pulse::new(Sign::of(&bearer));
        Self { bearer, since, pulse, feeler: Feeler::default(), losses: Default::default() }
    }

    /// How it does.
    fn seen(&mut self, link: &Link) -> Seen {
        let (now, kind) = (Instant::now(), self.bearer.kind());
        let unanswered = self.pulse.unanswered(now, Sign::of(&self.bearer));
        link.waits(unanswered);
        let is_shut = self.feeler.is_shut(&self.bearer, unanswered);
        let theirs = link.carries().known();
        // By TCP nothing is lost, and much may be too late.
        let packets = match kind {
            Kind::Quic => [self.bearer.figures().packets, theirs.theirs],
            Kind::Tcp => [Some(link.carries().counts.sent_and_late()), None],
        };
        let mut is_lossy = false;
        for (losses, packets) in self.losses.iter_mut().zip(packets) {
            is_lossy |= losses.are_lasting(now, packets);
        }
        let is_narrow = self.bearer.is_narrow() || theirs.is_narrow;
        let lasted = now.duration_since(self.since);
        Seen { kind, lasted, unanswered, is_shut, is_narrow, is_lossy }
    }

    /// It is there no more, or soon will not be.
    fn ends(&self, ladder: &mut Ladder, is_silent: bool) {
        let now = Instant::now();
        ladder.ended(now, self.bearer.kind(), now.duration_since(self.since), is_silent);
    }

    /// Another one takes its place.
    fn gives_way(&self, site: &Site, ladder: &mut Ladder, reason: For, seen: Seen) {
        let (name, kind, now) = (site.link.name(), self.bearer.kind().as_str(), Instant::now());
        match reason {
            For::Rescue => {
                tracing::warn!("tunnel {name}: nothing was answered by {kind} any more");
                self.ends(ladder, true);
            }
            For::Relief => {
                let why = match seen.is_narrow {
                    true => "long packets do not come through",
                    false => "more than a tenth has been lost for ten seconds",
                };
                tracing::warn!("tunnel {name}: TCP takes the place of {kind}: {why}");
                ladder.leaves(now, seen);
            }
            For::Better => {
                ladder.tried(now, Tried::Carries);
                self.ends(ladder, false);
            }
        }
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

/// Why another way is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum For {
    /// What carries is silent.
    Rescue,
    /// What carries is QUIC, and not well.
    Relief,
    /// QUIC may be there again.
    Better,
}

/// What is looked for beside it.
struct Search {
    reason: For,
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
        let seen = carried.seen(&site.link);
        if seen.is_lossy && seen.kind == Kind::Tcp {
            ladder.is_no_better(Instant::now());
        }
        let step = ladder.step(Instant::now(), seen);
        if step == Step::Leave {
            site.memory.narrows(seen.is_narrow);
        }
        let Some(ready) = ready else {
            // A silent bearer does not wait until another search is over.
            let has_rescue = search.as_ref().is_some_and(|search| search.reason == For::Rescue);
            if search.is_none() || is_silent(step) && !has_rescue {
                search = begun(site, &carried, step);
            }
            continue;
        };
        let reason = search.take().map_or(For::Better, |search| search.reason);
        // It may have come back while another one was looked for.
        let is_needed = match reason {
            For::Better => true,
            For::Rescue => is_silent(step),
            For::Relief => is_silent(step) || step == Step::Leave,
        };
        match moved(site, ready, is_needed).await {
            Ok(Some(got)) => {
                carried.gives_way(site, ladder, reason, seen);
                carried = Carried::begin(site, ladder, got);
            }
            Ok(None) => in_vain(ladder, reason),
            Err(failure) => failed(site, ladder, reason, &failure),
        }
    }
}

fn is_silent(step: Step) -> bool {
    match step {
        Step::Rescue(_) => true,
        Step::Stay | Step::Try | Step::Leave => false,
    }
}

/// Begins what the ladder says.
fn begun(site: &Arc<Site>, carried: &Carried, step: Step) -> Option<Search> {
    let (name, kind) = (site.link.name(), carried.bearer.kind().as_str());
    let site = site.clone();
    match step {
        Step::Stay => None,
        Step::Try => Some(Search { reason: For::Better, work: Box::pin(ways::tried_out(site)) }),
        Step::Rescue(order) => {
            tracing::debug!("tunnel {name}: {kind} is silent, another way is looked for");
            Some(Search { reason: For::Rescue, work: Box::pin(ways::rescue(site, order)) })
        }
        Step::Leave => {
            let order = Order::Alone(Kind::Tcp);
            Some(Search { reason: For::Relief, work: Box::pin(ways::rescue(site, order)) })
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

/// What was found is not needed, or nothing was.
fn in_vain(ladder: &mut Ladder, reason: For) {
    match reason {
        For::Rescue => ladder.searched(Instant::now()),
        For::Relief => ladder.stays(Instant::now()),
        For::Better => {}
    }
}

fn failed(site: &Site, ladder: &mut Ladder, reason: For, failure: &Failure) {
    let (now, Failure { why, is_swallowed }) = (Instant::now(), failure);
    tracing::debug!("tunnel {}: no other way: {why}", site.link.name());
    match (reason, is_swallowed) {
        (For::Rescue, true) => ladder.doubts(now),
        (For::Rescue | For::Relief, _) => {}
        (For::Better, true) => ladder.tried(now, Tried::Swallowed),
        (For::Better, false) => ladder.tried(now, Tried::NoWay),
    }
    in_vain(ladder, reason);
}

/// The bearer has ended while another one was looked for: that may be about to be found.
async fn late(site: &Arc<Site>, search: Option<Search>) -> Option<Got> {
    let search = search.filter(|search| search.reason != For::Better)?;
    let ready = timeout(PATIENCE, search.work).await.ok()?.ok()?;
    ready.begin(site).await.ok()
}
