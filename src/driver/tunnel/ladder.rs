//! A site's ladder: by which way it calls next and when, and when it looks for another one beside
//! the one that carries. It is told what happened and at what time; it calls nobody itself.
//!
//! QUIC is better where it carries. There are networks that let it shake hands and swallow it a
//! moment later; so where it fell silent soon after its beginning it is doubted, for longer each
//! time, and TCP leads meanwhile.

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
/// After a search beside a silent bearer that found nothing, the next one.
const AGAIN: Duration = Duration::from_millis(500);

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
    /// By what it was carried last.
    last: Option<Kind>,
    /// When QUIC was last asked for, or TCP began.
    asked: Option<Instant>,
    /// When something was last looked for beside a silent bearer.
    searched: Option<Instant>,
}

impl Ladder {
    pub(super) fn new(choice: BearerChoice) -> Self {
        Self { choice, wait: WAIT.0, doubt: None, last: None, asked: None, searched: None }
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
    }

    /// What to do beside a bearer that has lasted so long, and by which for so long nothing was
    /// acknowledged; `is_shut`: the kernel refuses to send by its way.
    pub(super) fn step(
        &self,
        now: Instant,
        kind: Kind,
        lasted: Duration,
        unanswered: Duration,
        is_shut: bool,
    ) -> Step {
        let over = |since: Option<Instant>, pause| {
            since.is_none_or(|since| now.duration_since(since) >= pause)
        };
        if unanswered >= SILENCE || is_shut {
            if !over(self.searched, AGAIN) {
                return Step::Stay;
            }
            // What has carried for long, or not at all, may do so again from another port.
            let by_tcp = kind == Kind::Quic && lasted < SOON || self.is_doubted(now);
            let lead = if is_shut || !by_tcp { HURRY } else { LEAD };
            return Step::Rescue(self.led(by_tcp || is_shut, lead));
        }
        let is_worse = kind == Kind::Tcp && self.choice == BearerChoice::Auto;
        if is_worse && !self.is_doubted(now) && over(self.asked, BETTER) {
            return Step::Try;
        }
        Step::Stay
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
mod tests {
    use super::*;

    const ZERO: Duration = Duration::ZERO;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn quic_that_falls_silent_soon_after_its_beginning_is_not_tried_first_for_longer_each_time() {
        let (mut ladder, start) = (Ladder::new(BearerChoice::Auto), Instant::now());
        assert_eq!(ladder.order(start), Order::First(Kind::Quic, LEAD));
        let mut now = start;
        for pause in [30, 60, 120, 240, 480, 600, 600] {
            now += seconds(12);
            ladder.ended(now, Kind::Quic, seconds(12), true);
            assert_eq!(ladder.order(now), Order::First(Kind::Tcp, LEAD), "{pause}");
            // TCP carries meanwhile, and is left alone.
            ladder.begins(now, Kind::Tcp);
            let step = |ladder: &Ladder, at| ladder.step(at, Kind::Tcp, seconds(1), ZERO, false);
            now += seconds(pause - 1);
            assert_eq!(step(&ladder, now), Step::Stay, "{pause}");
            now += seconds(1);
            assert_eq!(step(&ladder, now), Step::Try, "{pause}");
            ladder.begins(now, Kind::Quic);
            assert_eq!(ladder.order(now), Order::First(Kind::Quic, LEAD));
        }
        // One that has carried for a minute is believed again.
        ladder.ended(now, Kind::Quic, seconds(61), true);
        assert_eq!(ladder.order(now), Order::First(Kind::Quic, LEAD));
        ladder.ended(now, Kind::Quic, seconds(1), true);
        ladder.begins(now, Kind::Tcp);
        assert_eq!(ladder.step(now + seconds(30), Kind::Tcp, ZERO, ZERO, false), Step::Try);
    }

    #[test]
    fn an_end_with_a_word_is_no_silence_and_one_way_is_all_there_is_where_the_file_says_so() {
        let (mut ladder, now) = (Ladder::new(BearerChoice::Auto), Instant::now());
        ladder.ended(now, Kind::Quic, seconds(1), false);
        assert_eq!(ladder.order(now), Order::First(Kind::Quic, LEAD));
        for (choice, kind) in [(BearerChoice::Quic, Kind::Quic), (BearerChoice::Tcp, Kind::Tcp)] {
            let mut ladder = Ladder::new(choice);
            ladder.ended(now, kind, seconds(1), true);
            assert_eq!(ladder.order(now), Order::Alone(kind));
            ladder.begins(now, kind);
            let later = now + seconds(1_000);
            assert_eq!(ladder.step(later, kind, ZERO, ZERO, false), Step::Stay);
            let silent = ladder.step(later, kind, ZERO, seconds(3), false);
            assert_eq!(silent, Step::Rescue(Order::Alone(kind)), "by another port");
        }
    }

    #[test]
    fn beside_a_silent_bearer_others_are_tried_at_once_and_again() {
        let (mut ladder, start) = (Ladder::new(BearerChoice::Auto), Instant::now());
        ladder.begins(start, Kind::Quic);
        let now = start + seconds(100);
        let step = |ladder: &Ladder, at, kind, lasted, unanswered, is_shut| {
            ladder.step(at, kind, seconds(lasted), Duration::from_millis(unanswered), is_shut)
        };
        assert_eq!(step(&ladder, now, Kind::Quic, 100, 2_400, false), Step::Stay);
        let both = Step::Rescue(Order::First(Kind::Quic, HURRY));
        assert_eq!(step(&ladder, now, Kind::Quic, 100, 2_500, false), both);
        let soon = Step::Rescue(Order::First(Kind::Tcp, LEAD));
        assert_eq!(step(&ladder, now, Kind::Quic, 20, 2_500, false), soon);
        let shut = Step::Rescue(Order::First(Kind::Tcp, HURRY));
        assert_eq!(step(&ladder, now, Kind::Quic, 100, 600, true), shut);
        assert_eq!(step(&ladder, now, Kind::Tcp, 100, 2_500, false), both);
        ladder.searched(now);
        assert_eq!(step(&ladder, now, Kind::Quic, 100, 2_500, false), Step::Stay);
        assert_eq!(step(&ladder, now + AGAIN, Kind::Quic, 100, 3_000, false), both);
    }

    #[test]
    fn while_tcp_carries_quic_is_asked_for_now_and_then() {
        let (mut ladder, now) = (Ladder::new(BearerChoice::Auto), Instant::now());
        ladder.begins(now, Kind::Tcp);
        assert_eq!(ladder.order(now), Order::First(Kind::Tcp, LEAD), "it carried last");
        let step = |ladder: &Ladder, at| ladder.step(at, Kind::Tcp, seconds(9), ZERO, false);
        assert_eq!(step(&ladder, now + seconds(29)), Step::Stay);
        assert_eq!(step(&ladder, now + seconds(30)), Step::Try);
        ladder.tried(now + seconds(35), Tried::NoWay);
        assert_eq!(step(&ladder, now + seconds(64)), Step::Stay);
        assert_eq!(step(&ladder, now + seconds(65)), Step::Try);
        ladder.tried(now + seconds(70), Tried::Swallowed);
        ladder.tried(now + seconds(70), Tried::Swallowed);
        assert_eq!(step(&ladder, now + seconds(129)), Step::Stay);
        assert_eq!(step(&ladder, now + seconds(130)), Step::Try);
        let by_quic = ladder.step(now + seconds(130), Kind::Quic, seconds(99), ZERO, false);
        assert_eq!(by_quic, Step::Stay, "there is nothing better");
    }

    #[test]
    fn tries_wait_longer_each_time_until_something_lasts() {
        let (mut ladder, now) = (Ladder::new(BearerChoice::Auto), Instant::now());
        let waits: Vec<u128> = (0..7).map(|_| ladder.pause().as_millis()).collect();
        assert_eq!(waits, [200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        ladder.ended(now, Kind::Tcp, seconds(1), true);
        assert_eq!(ladder.pause(), WAIT.1, "it came and went");
        ladder.ended(now, Kind::Tcp, seconds(6), true);
        assert_eq!(ladder.pause(), WAIT.0);
    }

    #[test]
    fn a_failure_is_told_at_first_when_its_reason_changes_and_now_and_then() {
        let (mut telling, start) = (Telling::default(), Instant::now());
        let mut is_told = |at, why: &str| telling.is_told(start + seconds(at), why);
        assert!(is_told(0, "a"));
        assert!(!is_told(1, "a") && !is_told(299, "a"));
        assert!(is_told(300, "a"));
        assert!(!is_told(310, "b"), "two that take turns are told in turns of half a minute");
        assert!(is_told(330, "b"));
        assert!(!is_told(340, "b"));
        telling.is_over();
        assert!(telling.is_told(start + seconds(341), "b"));
    }
}
