//! What is remembered of one source: how guilty it is, how much it may ask for, how long its
//! guesses are not heard, whether it is banned. Time is an argument.

use super::pause::Pause;
use super::table::Guilt;
use super::{PROOF, Signal};
use crate::ground::Mono;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::time::Duration;

/// Half of what somebody did is forgiven in this time.
const HALF_LIFE: Duration = Duration::from_secs(600);
/// Users whose names are remembered that failed at one source.
const CULPRITS: usize = 16;
/// Parts of a point, and of a token.
const MILLI: u64 = 1_000;

/// Points that fade.
#[derive(Debug, Default)]
struct Score {
    milli: u64,
    at: Option<Mono>,
}

impl Score {
    fn now(&self, now: Mono) -> u64 {
        let Some(at) = self.at else { return 0 };
        let gone = now.since(at);
        let halves = gone.as_millis() / HALF_LIFE.as_millis();
        if halves >= 32 {
            return 0;
        }
        let left = self.milli >> halves;
        // Within a half-life it fades in a straight line.
        let part = gone.as_millis() % HALF_LIFE.as_millis();
        let faded = u128::from(left) * part / HALF_LIFE.as_millis() / 2;
        left.saturating_sub(u64::try_from(faded).unwrap_or(left))
    }

    fn add(&mut self, now: Mono, points: u64) {
        self.milli = self.now(now).saturating_add(points.saturating_mul(MILLI));
        self.at = Some(now);
    }
}

/// How many requests at once, and how many a second after that.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    pub(super) burst: u64,
    pub(super) second: u64,
}

impl Rate {
    /// That of so many.
    pub(super) fn times(self, n: u8) -> Self {
        let n = u64::from(n);
        Self { burst: self.burst.saturating_mul(n), second: self.second.saturating_mul(n) }
    }
}

/// Tokens that come back with time.
#[derive(Debug, Default)]
struct Bucket {
    /// Thousandths of a token that were taken and are not back.
    taken: u64,
    at: Option<Mono>,
}

impl Bucket {
    fn take(&mut self, now: Mono, rate: Rate) -> bool {
        let gone = self.at.map_or(0, |at| u64::try_from(now.since(at).as_millis()).unwrap_or(0));
        self.taken = self.taken.saturating_sub(gone.saturating_mul(rate.second));
        self.at = Some(now);
        let room = self.taken.saturating_add(MILLI) <= rate.burst.saturating_mul(MILLI);
        if room {
            self.taken += MILLI;
        }
        room
    }
}

/// A ban.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ban {
    pub(super) until: Mono,
    /// What it did last.
    pub(super) reason: Signal,
    /// The address that did it.
    pub(super) peer: SocketAddr,
    /// Points when it began.
    pub(super) score: u64,
    /// Datagrams and messages since.
    pub(super) hits: u64,
}

/// A user as he is remembered here: names may be long, and of nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Culprit(u64);

impl Culprit {
    fn of(user: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        user.hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// One source.
#[derive(Debug, Default)]
pub(super) struct Suspect {
    score: Score,
    bucket: Bucket,
    /// For emergency calls, when the other is empty.
    urgent: Bucket,
    pub(super) pause: Pause,
    /// Whose passwords failed here, each once, whether they are there or not.
    culprits: Vec<Culprit>,
    /// Failures of others than those.
    others: usize,
    last: Option<Signal>,
    proved: Option<Mono>,
    ban: Option<Ban>,
}

impl Guilt for Suspect {
    fn guilt(&self) -> u8 {
        match () {
            () if self.ban.is_some() => 3,
            () if self.proved.is_some() => 2,
            () if self.score.at.is_some() || self.pause.failures() > 0 => 1,
            () => 0,
        }
    }
}

impl Suspect {
    /// Points now.
    pub(super) fn points(&self, now: Mono) -> u64 {
        self.score.now(now) / MILLI
    }

    /// There is something to forgive.
    pub(super) fn is_suspect(&self, now: Mono) -> bool {
        self.points(now) > 0 || self.pause.failures() > 0 && !self.pause.is_forgotten(now)
    }

    pub(super) fn last(&self) -> Option<Signal> {
        self.last
    }

    /// It did something; its points after that.
    pub(super) fn accuse(&mut self, now: Mono, signal: Signal) -> u64 {
        self.score.add(now, signal.weight());
        self.last = Some(signal);
        self.points(now)
    }

    /// True when there is a token left.
    pub(super) fn take(&mut self, now: Mono, rate: Rate) -> bool {
        self.bucket.take(now, rate)
    }

    /// True when there is a token left for an emergency call.
    pub(super) fn take_urgent(&mut self, now: Mono, rate: Rate) -> bool {
        self.urgent.take(now, rate)
    }

    /// A user proved himself here lately.
    pub(super) fn is_proved(&self, now: Mono) -> bool {
        self.proved.is_some_and(|at| now.since(at) < PROOF)
    }

    /// A password failed here.
    pub(super) fn failed(&mut self, now: Mono, user: &str, most: Duration) -> Duration {
        if self.pause.is_forgotten(now) {
            self.forget_culprits();
        }
        if !self.has_failed(user) {
            if self.culprits.len() < CULPRITS {
                self.culprits.push(Culprit::of(user));
            } else {
                self.others = self.others.saturating_add(1);
            }
        }
        self.pause.fail(now, most)
    }

    fn has_failed(&self, user: &str) -> bool {
        self.culprits.contains(&Culprit::of(user))
    }

    fn forget_culprits(&mut self) {
        self.culprits.clear();
        self.others = 0;
    }

    /// The pause binds this user, too: he failed here himself, or more than so many others did.
    pub(super) fn binds(&self, now: Mono, user: &str, others: usize) -> bool {
        self.binds_all(now, others) || self.has_failed(user) && !self.pause.is_forgotten(now)
    }

    /// The pause binds everybody: more than so many users failed here.
    pub(super) fn binds_all(&self, now: Mono, others: usize) -> bool {
        let many = self.culprits.len().saturating_add(self.others) > others;
        many && !self.pause.is_forgotten(now)
    }

    /// A user proved himself. That makes good what failed here in his name alone: else whoever
    /// has an account could guess at all the others without a pause.
    pub(super) fn proved(&mut self, now: Mono, user: &str) {
        self.proved = Some(now);
        let before = self.culprits.len();
        self.culprits.retain(|one| *one != Culprit::of(user));
        if before == 1 && self.culprits.is_empty() && self.others == 0 {
            self.pause = Pause::default();
        }
    }

    pub(super) fn ban(&self) -> Option<&Ban> {
        self.ban.as_ref()
    }

    pub(super) fn begin_ban(&mut self, ban: Ban) {
        self.ban = Some(ban);
    }

    pub(super) fn hit(&mut self) {
        if let Some(ban) = &mut self.ban {
            ban.hits += 1;
        }
    }

    /// The ban ends, and begins no more by itself; what it was.
    pub(super) fn end_ban(&mut self) -> Option<Ban> {
        self.score = Score::default();
        self.ban.take()
    }

    /// All is forgiven.
    pub(super) fn forgive(&mut self) -> Option<Ban> {
        self.pause = Pause::default();
        self.forget_culprits();
        self.end_ban()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono(Duration::from_secs(seconds))
    }

    #[test]
    fn guilt_fades_by_half_in_ten_minutes() {
        let mut s = Suspect::default();
        for _ in 0..2 {
            s.accuse(at(100), Signal::Scanner);
        }
        let points: Vec<u64> =
            [0, 300, 600, 1_200, 6_000, 60_000].map(|t| s.points(at(100 + t))).into();
        assert_eq!(points, [80, 60, 40, 20, 0, 0]);
        assert_eq!(s.accuse(at(700), Signal::FailedDigest), 45);
    }

    #[test]
    fn tokens_come_back() {
        let mut s = Suspect::default();
        let rate = Rate { burst: 3, second: 2 };
        let mut take = |t| s.take(at(t), rate);
        assert_eq!([take(1), take(1), take(1), take(1)], [true, true, true, false]);
        assert_eq!([take(2), take(2), take(2)], [true, true, false]);
        assert_eq!([take(100), take(100), take(100), take(100)], [true, true, true, false]);
    }

    #[test]
    fn an_account_of_ones_own_does_not_make_guessing_free() {
        let most = Duration::from_secs(60);
        let mut s = Suspect::default();
        s.failed(at(1), "101", most);
        s.proved(at(2), "101");
        assert_eq!(s.pause.failures(), 0, "a typing mistake");
        s.failed(at(3), "102", most);
        s.proved(at(4), "101");
        assert_eq!(s.pause.failures(), 1);
        s.failed(at(5), "101", most);
        s.proved(at(6), "101");
        assert_eq!(s.pause.failures(), 2);
    }
}
