//! A site's ladder: by which way it calls next and when, and when it looks for another one beside
//! the one that carries. It is told what happened and at what time; it calls nobody itself.
//!
//! QUIC is better where it carries. There are networks that let it shake hands and swallow it a
//! moment later; so where it fell silent soon after its beginning it is doubted, for longer each
//! time, and TCP leads meanwhile. The same holds where it carries what is short alone, or loses too
//! much of what it carries; but where TCP is no better then, the loss is borne.

use super::bearer::Kind;
use crate::config::BearerChoice;
use std::time::Duration;
use tokio::time::Instant;

/// Waits between tries: the first, and the longest.
const WAIT: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// How long one way is tried alone where there are two.
const LEAD: Duration = Duration::from_millis(1_500);
/// The same where the way that carries is silent: then nobody waits long.
const HURRY: Duration = Duration::from_millis(300);
/// How often it is asked whether QUIC gets through, while TCP carries.
const BETTER: Duration = Duration::from_secs(30);
/// What is not acknowledged for so long may never be.
const SILENCE: Duration = Duration::from_millis(2_500);
/// A bearer that ends within this of its beginning ended soon.
const SOON: Duration = Duration::from_secs(60);
/// How long QUIC is doubted: at first, and at most.
const DOUBT: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(600));
/// After a search beside a silent bearer that found nothing, the next one; and beside one that
/// carries, if not well.
const AGAIN: Duration = Duration::from_millis(500);
const LEAVES_AGAIN: Duration = Duration::from_secs(15);
/// How long the losses of QUIC are borne where TCP was no better: at first, and at most.
const BORNE: (Duration, Duration) = (Duration::from_secs(300), Duration::from_secs(3_600));

/// Which ways are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// There is one.
    Alone(Kind),
    /// This one, and after so long the other one as well.
    First(Kind, Duration),
}

/// What a site does beside what carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing.
    Stay,
    /// The bearer is silent: whatever answers before it does takes its place.
    Rescue(Order),
    /// TCP carries: QUIC is tried out.
    Try,
    /// QUIC carries, and not well: TCP takes its place if it answers.
    Leave,
}

/// How what carries does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) kind: Kind,
    /// Since it began.
    pub(super) lasted: Duration,
    /// For so long nothing was acknowledged that should be.
    pub(super) unanswered: Duration,
    /// The kernel refuses to send by its way.
    pub(super) is_shut: bool,
    /// Long packets are swallowed, in one direction at least.
    pub(super) is_narrow: bool,
    /// Too much has been lost, or was too late to be sent, for some time.
    pub(super) is_lossy: bool,
}

/// How trying QUIC out has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tried {
    /// It does not get through.
    NoWay,
    /// It shook hands, and was swallowed.
    Swallowed,
    /// It carries.
    Carries,
}

#[derive(Clone, Copy, Debug)]
struct Doubt {
    until: Instant,
    pause: Duration,
}

/// What has happened, as far as it matters for what comes.
#[derive(Debug)]
pub(super) struct Ladder {
    choice: BearerChoice,
    wait: Duration,
    doubt: Option<Doubt>,
    /// The losses of QUIC are borne, for TCP was no better.
    borne: Option<Doubt>,
    /// TCP carries because of them.
    has_left: bool,
    /// When TCP was last looked for beside QUIC that carries.
    leaves: Option<Instant>,
    /// By what it was carried last.
    last: Option<Kind>,
    /// When QUIC was last asked for, or TCP began.
    asked: Option<Instant>,
    /// When something was last looked for beside a silent bearer.
    searched: Option<Instant>,
}

impl Ladder {
    pub(super) fn new(choice: BearerChoice) -> Self {
        Self {
            choice,
            wait: WAIT.0,
            doubt: None,
            borne: None,
            has_left: false,
            leaves: None,
            last: None,
            asked: None,
            searched: None,
        }
    }

    /// Which way is called by, where nothing carries. What carried last leads, for the other one is
    /// likely to fail as it did before.
    pub(super) fn order(&self, now: Instant) -> Order {
        self.led(self.is_doubted(now) || self.last == Some(Kind::Tcp), LEAD)
    }

    fn led(&self, by_tcp: bool, lead: Duration) -> Order {
        match self.choice {
            BearerChoice::Quic => Order::Alone(Kind::Quic),
            BearerChoice::Tcp => Order::Alone(Kind::Tcp),
            BearerChoice::Auto if by_tcp => Order::First(Kind::Tcp, lead),
            BearerChoice::Auto => Order::First(Kind::Quic, lead),
        }
    }

    fn is_doubted(&self, now: Instant) -> bool {
        self.doubt.is_some_and(|doubt| doubt.until > now)
    }

    /// How long it waits now before it tries again.
    pub(super) fn pause(&mut self) -> Duration {
        let wait = self.wait;
        self.wait = (wait * 2).min(WAIT.1);
        wait
    }

    /// Something carries from now on.
    pub(super) fn begins(&mut self, now: Instant, kind: Kind) {
        (self.last, self.asked, self.searched) = (Some(kind), Some(now), None);
        self.leaves = None;
        self.has_left &= kind == Kind::Tcp;
    }

    /// What to do beside what carries.
    pub(super) fn step(&self, now: Instant, seen: Seen) -> Step {
        let over = |since: Option<Instant>, pause| {
            since.is_none_or(|since| now.duration_since(since) >= pause)
        };
        let Seen { kind, lasted, is_shut, .. } = seen;
        if seen.unanswered >= SILENCE || is_shut {
            if !over(self.searched, AGAIN) {
                return Step::Stay;
            }
            // What has carried for long, or not at all, may do so again from another port.
            let by_tcp = kind == Kind::Quic && lasted < SOON || self.is_doubted(now);
            let lead = if is_shut || !by_tcp { HURRY } else { LEAD };
            return Step::Rescue(self.led(by_tcp || is_shut, lead));
        }
        if self.choice != BearerChoice::Auto {
            return Step::Stay;
        }
        match kind {
            Kind::Tcp if !self.is_doubted(now) && over(self.asked, BETTER) => Step::Try,
            Kind::Quic if self.is_bad(now, seen) && over(self.leaves, LEAVES_AGAIN) => Step::Leave,
            Kind::Tcp | Kind::Quic => Step::Stay,
        }
    }

    fn is_bad(&self, now: Instant, seen: Seen) -> bool {
        let is_borne = self.borne.is_some_and(|borne| borne.until > now);
        seen.is_narrow || seen.is_lossy && !is_borne
    }

    /// TCP was looked for beside QUIC that carries, in vain.
    pub(super) fn stays(&mut self, now: Instant) {
        self.leaves = Some(now);
    }

    /// TCP takes the place of QUIC, which carried for so long, and not well.
    pub(super) fn leaves(&mut self, now: Instant, seen: Seen) {
        if seen.lasted >= WAIT.1 {
            self.wait = WAIT.0;
        }
        if seen.lasted >= DOUBT.1 {
            self.doubt = None;
        }
        self.doubts(now);
        self.has_left = !seen.is_narrow;
    }

    /// What TCP carries is late for as large a part. Where it carries because of what QUIC lost, it
    /// is no better: QUIC is asked for at once, and its losses are borne for a while.
    pub(super) fn is_no_better(&mut self, now: Instant) {
        if std::mem::take(&mut self.has_left) {
            let pause = self.borne.map_or(BORNE.0, |borne| (borne.pause * 2).min(BORNE.1));
            self.borne = Some(Doubt { until: now + pause, pause });
            (self.doubt, self.asked) = (None, None);
        }
    }

    /// A search beside a silent bearer has ended without one that answers.
    pub(super) fn searched(&mut self, now: Instant) {
        self.searched = Some(now);
    }

    /// QUIC was tried out while TCP carried.
    pub(super) fn tried(&mut self, now: Instant, tried: Tried) {
        self.asked = Some(now);
        match tried {
            Tried::Swallowed => self.doubts(now),
            Tried::NoWay | Tried::Carries => {}
        }
    }

    /// A bearer that lasted so long is there no more; `is_silent`: nobody said why.
    pub(super) fn ended(&mut self, now: Instant, kind: Kind, lasted: Duration, is_silent: bool) {
        if lasted >= WAIT.1 {
            self.wait = WAIT.0;
        }
        match kind {
            Kind::Quic if lasted >= SOON => self.doubt = None,
            Kind::Quic if is_silent => self.doubts(now),
            Kind::Quic | Kind::Tcp => {}
        }
    }

    /// It shook hands by QUIC, and no more came.
    pub(super) fn doubts(&mut self, now: Instant) {
        let before = self.doubt.map(|doubt| (doubt.pause * 2).min(DOUBT.1));
        let pause = before.unwrap_or(DOUBT.0);
        self.doubt = Some(Doubt { until: now + pause, pause });
    }
}

/// What is told to the log of tries in vain: the first, another reason, and from time to time that
/// it is still so.
#[derive(Debug, Default)]
pub(super) struct Telling {
    told: Option<(Instant, String)>,
}

/// How often the same is told, and how often another reason.
const TOLD: (Duration, Duration) = (Duration::from_secs(300), Duration::from_secs(30));

impl Telling {
    /// Whether this failure is told.
    pub(super) fn is_told(&mut self, now: Instant, why: &str) -> bool {
        let is_due = self.told.as_ref().is_none_or(|(at, before)| {
            let pause = if before == why { TOLD.0 } else { TOLD.1 };
            now.duration_since(*at) >= pause
        });
        if is_due {
            self.told = Some((now, why.to_owned()));
        }
        is_due
    }

    /// It has come to something: the next failure is a first one.
    pub(super) fn is_over(&mut self) {
        self.told = None;
    }
}

#[cfg(test)]
mod tests;
