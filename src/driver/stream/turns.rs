//! Who begins a handshake next. Each source has a pace, and all together; who is faster waits. Who
//! is known has places and a pace apart from strangers, and goes first. Of those that are in
//! progress there is a bound: beyond it the oldest of the source that holds most gives way. A
//! value: it reads no clock and shakes no hand.

use crate::ground::ConnId;
use crate::policy::quota::{Holder, Quota, Shares, Source};
use std::collections::{HashMap, VecDeque};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Handshakes of one source: known ones, and strangers.
const EACH: [Pace; 2] = [Pace { burst: 64, second: 64 }, Pace { burst: 32, second: 32 }];
/// Handshakes of all.
const ALL: [Pace; 2] = [Pace { burst: 256, second: 128 }, Pace { burst: 128, second: 64 }];
/// Handshakes in progress.
const PLACES: [usize; 2] = [64, 128];
/// What one source may hold of them when none is free, in percent.
const SHARE: usize = 12;
/// Sources whose pace is remembered; beyond them the pace of all is all there is.
const SOURCES: usize = 16_384;

/// So many at once, and so many a second.
#[derive(Clone, Copy, Debug)]
struct Pace {
    burst: u32,
    second: u32,
}

impl Pace {
    fn step(self) -> Duration {
        Duration::from_secs(1) / self.second
    }

    /// When one more may begin; `used`: until when what has begun is paid for.
    fn from(self, used: Instant) -> Option<Instant> {
        used.checked_sub(self.step() * (self.burst - 1))
    }

    fn allows(self, used: Instant, now: Instant) -> bool {
        self.from(used).is_none_or(|from| from <= now)
    }
}

/// Whose handshake it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// A registered phone's address, or an upstream's.
    Known,
    /// Anybody else's.
    Strange,
}

impl Whose {
    const ALL: [Self; 2] = [Self::Known, Self::Strange];
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// One has begun; these have to go for it.
    Begun(Vec<ConnId>),
    /// One may begin then.
    Wait(Instant),
    /// Nobody waits.
    Idle,
}

/// Those of one source who wait.
#[derive(Debug)]
struct Crowd {
    source: Source,
    waiting: VecDeque<(ConnId, oneshot::Sender<()>)>,
}

#[derive(Debug)]
struct Line {
    /// In turn, each source once.
    crowds: VecDeque<Crowd>,
    used: Instant,
    held: Quota<ConnId>,
}

impl Line {
    fn new(places: usize, now: Instant) -> Self {
        // A tenth of a table is for who has proved himself, and here nobody has.
        let total = places * 10 / 9;
        let held = Quota::new(Shares::percent(total, SHARE));
        Self { crowds: VecDeque::new(), used: now, held }
    }
}

#[derive(Debug)]
pub(super) struct Turns {
    lines: [Line; 2],
    /// By source: until when what it has begun is paid for.
    used: HashMap<Source, Instant>,
}

impl Turns {
    pub(super) fn new(now: Instant) -> Self {
        Self { lines: PLACES.map(|places| Line::new(places, now)), used: HashMap::new() }
    }

    /// A connection waits for its turn; who hears nothing any more has left.
    pub(super) fn wait(
        &mut self,
        conn: ConnId,
        (source, whose): (Source, Whose),
        begin: oneshot::Sender<()>,
    ) {
        let crowds = &mut self.line(whose).crowds;
        match crowds.iter_mut().find(|c| c.source == source) {
            Some(crowd) => crowd.waiting.push_back((conn, begin)),
            None => crowds.push_back(Crowd { source, waiting: [(conn, begin)].into() }),
        }
    }

    fn line(&mut self, whose: Whose) -> &mut Line {
        let [known, strange] = &mut self.lines;
        match whose {
            Whose::Known => known,
            Whose::Strange => strange,
        }
    }

    /// Its handshake is done, or came to nothing.
    pub(super) fn leave(&mut self, conn: ConnId) {
        for line in &mut self.lines {
            line.held.leave(conn);
        }
    }

    /// Handshakes in progress.
    #[cfg(test)]
    pub(super) fn held(&self, whose: Whose) -> usize {
        self.lines[whose as usize].held.used()
    }

    /// The next one begins, if it may.
    pub(super) fn next(&mut self, now: Instant) -> Step {
        let mut soonest: Option<Instant> = None;
        for whose in Whose::ALL {
            match self.next_of(whose, now) {
                Step::Begun(gone) => return Step::Begun(gone),
                Step::Wait(at) => soonest = Some(soonest.map_or(at, |other| other.min(at))),
                Step::Idle => {}
            }
        }
        soonest.map_or(Step::Idle, Step::Wait)
    }

    fn next_of(&mut self, whose: Whose, now: Instant) -> Step {
        let (all, each) = (ALL[whose as usize], EACH[whose as usize]);
        self.line(whose).crowds.retain_mut(|crowd| {
            crowd.waiting.retain(|(_, begin)| !begin.is_closed());
            !crowd.waiting.is_empty()
        });
        let line = &self.lines[whose as usize];
        if line.crowds.is_empty() {
            return Step::Idle;
        }
        if !all.allows(line.used, now) {
            return Step::Wait(all.from(line.used).unwrap_or(now));
        }
        let used = |crowd: &Crowd| self.used.get(&crowd.source).copied().unwrap_or(now);
        let Some(at) = line.crowds.iter().position(|crowd| each.allows(used(crowd), now)) else {
            let from = line.crowds.iter().filter_map(|crowd| each.from(used(crowd)));
            return from.min().map_or(Step::Idle, Step::Wait);
        };
        self.begin(whose, at, now)
    }

    /// The oldest that waits of the source at this place begins; the source goes to the end.
    fn begin(&mut self, whose: Whose, at: usize, now: Instant) -> Step {
        let line = self.line(whose);
        let Some(mut crowd) = line.crowds.remove(at) else { return Step::Idle };
        let (source, mut gone) = (crowd.source, Vec::new());
        if let Some((conn, begin)) = crowd.waiting.pop_front() {
            let holder = Holder::Unproved(source);
            let has_room = line.held.make_room(&holder, false, 1, &mut gone).is_ok();
            if has_room && begin.send(()).is_ok() {
                line.held.enter(conn, holder, 1);
            }
        }
        line.used = line.used.max(now) + ALL[whose as usize].step();
        if !crowd.waiting.is_empty() {
            line.crowds.push_back(crowd);
        }
        self.pay(source, EACH[whose as usize].step(), now);
        Step::Begun(gone)
    }

    fn pay(&mut self, source: Source, step: Duration, now: Instant) {
        if self.used.len() >= SOURCES {
            self.used.retain(|_, used| *used > now);
        }
        let has_room = self.used.len() < SOURCES || self.used.contains_key(&source);
        if has_room {
            let used = self.used.entry(source).or_insert(now);
            *used = (*used).max(now) + step;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn source(n: u8) -> Source {
        Source::of(IpAddr::from([192, 0, 2, n]))
    }

    /// Turns, and those who wait for one.
    struct Hall {
        turns: Turns,
        now: Instant,
        next: u64,
        waiting: Vec<(ConnId, oneshot::Receiver<()>)>,
    }

    impl Hall {
        fn new() -> Self {
            let now = Instant::now() + Duration::from_secs(1_000);
            Self { turns: Turns::new(now), now, next: 0, waiting: Vec::new() }
        }

        fn comes(&mut self, n: u8, whose: Whose) -> ConnId {
            self.next += 1;
            let conn = ConnId(self.next);
            let (begin, begun) = oneshot::channel();
            self.turns.wait(conn, (source(n), whose), begin);
            self.waiting.push((conn, begun));
            conn
        }

        fn crowd(&mut self, n: u8, many: usize) {
            for _ in 0..many {
                self.comes(n, Whose::Strange);
            }
        }

        /// Those who begin now; the others that have to go for them.
        fn begin(&mut self) -> (Vec<ConnId>, Vec<ConnId>) {
            let mut gone = Vec::new();
            while let Step::Begun(others) = self.turns.next(self.now) {
                gone.extend(others);
            }
            let mut begun = Vec::new();
            self.waiting.retain_mut(|(conn, heard)| {
                let here = heard.try_recv().is_ok();
                begun.extend(here.then_some(*conn));
                !here
            });
            (begun, gone)
        }

        fn waits(&mut self) -> Duration {
            match self.turns.next(self.now) {
                Step::Wait(at) => at - self.now,
                Step::Begun(_) | Step::Idle => panic!("nobody waits"),
            }
        }
    }

    #[test]
    fn a_source_that_hurries_waits_and_another_does_not() {
        let mut hall = Hall::new();
        assert_eq!(hall.turns.next(hall.now), Step::Idle);
        hall.crowd(1, 72);
        let (begun, gone) = hall.begin();
        assert_eq!((begun.len(), gone.len()), (32, 0));
        begun.iter().for_each(|conn| hall.turns.leave(*conn));
        let other = hall.comes(2, Whose::Strange);
        assert_eq!(hall.begin().0, [other]);
        let wait = hall.waits();
        hall.now += wait;
        assert_eq!(hall.begin().0.len(), 1);
        hall.now += Duration::from_secs(1);
        assert_eq!(hall.begin().0.len(), 32, "so many a second");
    }

    #[test]
    fn who_is_known_waits_for_no_stranger() {
        let mut hall = Hall::new();
        for n in 0..200 {
            hall.comes(n, Whose::Strange);
        }
        assert_eq!(hall.begin().0.len(), 128, "the pace of all strangers");
        let phone = hall.comes(201, Whose::Known);
        assert_eq!(hall.begin().0, [phone]);
        hall.now += Duration::from_secs(1);
        let late = hall.comes(202, Whose::Strange);
        assert_eq!(hall.begin().0.len(), 64);
        hall.now += Duration::from_secs(2);
        assert!(hall.begin().0.contains(&late), "in turn");
    }

    #[test]
    fn a_crowd_of_one_source_gives_others_a_turn_before_its_own_second() {
        let mut hall = Hall::new();
        for n in 1..=130 {
            hall.crowd(n, 20);
        }
        let late = hall.comes(199, Whose::Strange);
        assert_eq!(hall.begin().0.len(), 128);
        hall.now += Duration::from_millis(50);
        assert!(hall.begin().0.contains(&late));
    }

    #[test]
    fn who_has_left_takes_no_turn() {
        let mut hall = Hall::new();
        hall.crowd(1, 10);
        hall.waiting.clear();
        let stays = hall.comes(1, Whose::Strange);
        assert_eq!(hall.begin().0, [stays]);
        assert_eq!(hall.turns.next(hall.now), Step::Idle);
    }

    #[test]
    fn of_too_many_in_progress_the_fullest_source_s_oldest_gives_way() {
        let mut hall = Hall::new();
        let mut slow = Vec::new();
        for n in 1..=8 {
            for _ in 0..16 {
                slow.push((n, hall.comes(n, Whose::Strange)));
            }
            hall.now += Duration::from_secs(1);
            assert_eq!(hall.begin().0.len(), 16);
        }
        assert_eq!(hall.turns.held(Whose::Strange), 128);
        let phone = hall.comes(100, Whose::Strange);
        let (begun, gone) = hall.begin();
        assert_eq!((begun, gone.len()), (vec![phone], 1));
        assert!(slow.iter().any(|(_, conn)| gone[..] == [*conn]));
        assert_eq!(hall.turns.held(Whose::Strange), 128);
        let known = hall.comes(101, Whose::Known);
        assert_eq!(hall.begin(), (vec![known], vec![]), "their places are apart");
    }
}
