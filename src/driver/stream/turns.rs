//! Who begins a handshake next. Each source has a pace, and all of a line together; who is faster
//! waits, and whoever was worked at for long is as fast as his share of that work. Inside and
//! outside, who is known and strangers, have lines, places and a pace of their own: nobody waits
//! for those of another line. Of those that are in progress there is a bound: beyond it the oldest
//! of the source that holds most gives way. A value: it reads no clock and shakes no hand.

mod pace;

use crate::ground::{ConnId, Side};
use crate::policy::quota::{Holder, Quota, Shares, Source};
use pace::{Pace, Payments};
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Handshakes of one source: known ones, and strangers.
const EACH: [Pace; 2] = [Pace { burst: 32, second: 64 }, Pace { burst: 32, second: 32 }];
/// Handshakes of a line.
const ALL: [Pace; 2] = [Pace { burst: 256, second: 128 }, Pace { burst: 128, second: 64 }];
/// Handshakes in progress, of a line.
const PLACES: [usize; 2] = [32, 64];
/// What one source may hold of them when none is free, in percent.
const SHARE: usize = 12;
/// Work on one source's handshakes takes an eighth of the thread that does it, and a line's half.
const PARTS: [u32; 2] = [8, 2];
/// How many turns one takes of who was silenced, and may be somebody all the same.
const SLOW: u32 = 8;
/// A line outside of more sources than these takes networks (a /48 of IPv6) in turn: whoever has
/// one has a source for every handshake.
const LONG: usize = 32;
/// Bits of such a network's prefix.
const NETWORK: u32 = 48;

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

/// Who asks for a turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    pub(super) ip: IpAddr,
    /// The place of the interface that he comes to.
    pub(super) link: Option<usize>,
    pub(super) side: Side,
    pub(super) whose: Whose,
    /// He was silenced a moment ago.
    pub(super) slow: bool,
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

/// Who waits.
#[derive(Debug)]
struct Waiting {
    conn: ConnId,
    begin: oneshot::Sender<()>,
    /// How many turns it takes.
    turns: u32,
}

/// Those of one source who wait.
#[derive(Debug)]
struct Crowd {
    source: Source,
    network: IpAddr,
    waiting: VecDeque<Waiting>,
}

/// The network of a source that may have any number of others.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        v4 @ IpAddr::V4(_) => v4,
        IpAddr::V6(ip) => Ipv6Addr::from(u128::from(ip) & !(u128::MAX >> NETWORK)).into(),
    }
}

/// One side's, of one kind.
#[derive(Debug)]
struct Line {
    side: Side,
    whose: Whose,
    /// In turn, each source once.
    crowds: VecDeque<Crowd>,
    /// Until when what it has begun is paid for.
    used: Instant,
    held: Quota<ConnId>,
    /// Whose those in progress are.
    begun: HashMap<ConnId, Source>,
    /// What its sources have begun.
    paid: Payments,
}

#[derive(Debug)]
pub(super) struct Turns {
    lines: Vec<Line>,
}

impl Line {
    fn new(side: Side, whose: Whose, now: Instant) -> Self {
        // A tenth of a table is for who has proved himself, and here nobody has.
        let total = PLACES[whose as usize] * 10 / 9;
        let held = Quota::new(Shares::percent(total, SHARE));
        let (crowds, begun, paid) = (VecDeque::new(), HashMap::new(), Payments::default());
        Self { side, whose, crowds, used: now, held, begun, paid }
    }

    fn all(&self) -> Pace {
        ALL[self.whose as usize]
    }

    fn each(&self) -> Pace {
        EACH[self.whose as usize]
    }

    fn wait(&mut self, source: Source, ip: IpAddr, one: Waiting) {
        match self.crowds.iter_mut().find(|c| c.source == source) {
            Some(crowd) => crowd.waiting.push_back(one),
            None => {
                let (network, waiting) = (network(ip), [one].into());
                self.crowds.push_back(Crowd { source, network, waiting });
            }
        }
    }

    /// The next one begins, if it may.
    fn next(&mut self, now: Instant) -> Step {
        self.crowds.retain_mut(|crowd| {
            crowd.waiting.retain(|one| !one.begin.is_closed());
            !crowd.waiting.is_empty()
        });
        if self.crowds.is_empty() {
            return Step::Idle;
        }
        if !self.all().allows(self.used, now) {
            return Step::Wait(self.all().from(self.used).unwrap_or(now));
        }
        let (each, paid) = (self.each(), &self.paid);
        let until = |crowd: &Crowd| paid.until(crowd.source, now);
        let Some(at) = self.crowds.iter().position(|crowd| each.allows(until(crowd), now)) else {
            let from = self.crowds.iter().filter_map(|crowd| each.from(until(crowd)));
            return from.min().map_or(Step::Idle, Step::Wait);
        };
        self.begin(at, now)
    }

    /// The oldest that waits of the source at this place begins; the source goes to the end.
    fn begin(&mut self, at: usize, now: Instant) -> Step {
        let is_long = self.side == Side::Outside && self.crowds.len() > LONG;
        let Some(mut crowd) = self.crowds.remove(at) else { return Step::Idle };
        let (source, mut gone, mut turns) = (crowd.source, Vec::new(), 1);
        if let Some(one) = crowd.waiting.pop_front() {
            let holder = Holder::Unproved(source);
            let has_room = self.held.make_room(&holder, false, 1, &mut gone).is_ok();
            if has_room && one.begin.send(()).is_ok() {
                self.held.enter(one.conn, holder, 1);
                self.begun.insert(one.conn, source);
            }
            turns = one.turns;
        }
        self.begun.retain(|conn, _| !gone.contains(conn));
        let network = crowd.network;
        if !crowd.waiting.is_empty() {
            self.crowds.push_back(crowd);
        }
        if is_long {
            let (others, same) =
                self.crowds.drain(..).partition::<Vec<_>, _>(|c| c.network != network);
            self.crowds.extend(others.into_iter().chain(same));
        }
        self.used = self.used.max(now) + self.all().step();
        self.paid.pay(source, self.each().step() * turns, now);
        Step::Begun(gone)
    }

    /// What was worked at for so long is in progress no more. A turn is paid for already.
    fn leave(&mut self, conn: ConnId, worked: Duration, now: Instant) {
        self.held.leave(conn);
        let Some(source) = self.begun.remove(&conn) else { return };
        let [each, all] = PARTS;
        let more = |part: u32, pace: Pace| (worked * part).saturating_sub(pace.step());
        self.paid.pay(source, more(each, self.each()), now);
        self.used = self.used.max(now) + more(all, self.all());
    }
}

impl Turns {
    pub(super) fn new(now: Instant) -> Self {
        let of = |whose| Side::ALL.map(|side| Line::new(side, whose, now));
        Self { lines: Whose::ALL.into_iter().flat_map(of).collect() }
    }

    /// A connection waits for its turn; who hears nothing any more has left.
    pub(super) fn wait(&mut self, conn: ConnId, who: Caller, begin: oneshot::Sender<()>) {
        let turns = if who.slow { SLOW } else { 1 };
        let source = Source::at(who.side, who.ip).on(who.link);
        let line = self.lines.iter_mut().find(|l| (l.side, l.whose) == (who.side, who.whose));
        if let Some(line) = line {
            line.wait(source, who.ip, Waiting { conn, begin, turns });
        }
    }

    /// Its handshake is done, or came to nothing, and was worked at for so long.
    pub(super) fn leave(&mut self, conn: ConnId, worked: Duration, now: Instant) {
        self.lines.iter_mut().for_each(|line| line.leave(conn, worked, now));
    }

    /// Handshakes in progress.
    #[cfg(test)]
    pub(super) fn held(&self, side: Side, whose: Whose) -> usize {
        let of = |l: &&Line| (l.side, l.whose) == (side, whose);
        self.lines.iter().filter(of).map(|l| l.held.used()).sum()
    }

    /// The next one begins, if it may: of who is known first.
    pub(super) fn next(&mut self, now: Instant) -> Step {
        let mut soonest: Option<Instant> = None;
        for line in &mut self.lines {
            match line.next(now) {
                Step::Begun(gone) => return Step::Begun(gone),
                Step::Wait(at) => soonest = Some(soonest.map_or(at, |other| other.min(at))),
                Step::Idle => {}
            }
        }
        soonest.map_or(Step::Idle, Step::Wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

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
            let ip = IpAddr::from([192, 0, 2, n]);
            self.arrives(Caller { ip, link: None, side: Side::Inside, whose, slow: false })
        }

        fn arrives(&mut self, who: Caller) -> ConnId {
            self.next += 1;
            let conn = ConnId(self.next);
            let (begin, begun) = oneshot::channel();
            self.turns.wait(conn, who, begin);
            self.waiting.push((conn, begun));
            conn
        }

        fn done(&mut self, all: &[ConnId], worked: Duration) {
            all.iter().for_each(|conn| self.turns.leave(*conn, worked, self.now));
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
        hall.done(&begun, Duration::ZERO);
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
            for _ in 0..8 {
                slow.push((n, hall.comes(n, Whose::Strange)));
            }
            hall.now += Duration::from_secs(1);
            assert_eq!(hall.begin().0.len(), 8);
        }
        let held = |hall: &Hall| hall.turns.held(Side::Inside, Whose::Strange);
        assert_eq!(held(&hall), 64);
        let phone = hall.comes(100, Whose::Strange);
        let (begun, gone) = hall.begin();
        assert_eq!((begun, gone.len()), (vec![phone], 1));
        assert!(slow.iter().any(|(_, conn)| gone[..] == [*conn]));
        assert_eq!(held(&hall), 64);
        let known = hall.comes(101, Whose::Known);
        assert_eq!(hall.begin(), (vec![known], vec![]), "their places are apart");
    }

    fn outside(ip: &str) -> Caller {
        let ip = ip.parse().unwrap();
        Caller { ip, link: None, side: Side::Outside, whose: Whose::Strange, slow: false }
    }

    #[test]
    fn a_new_phone_inside_waits_for_no_stranger_outside() {
        let mut hall = Hall::new();
        for n in 0..1_500 {
            hall.arrives(outside(&format!("2001:db8:{n:x}::1")));
        }
        hall.begin();
        let phone = hall.comes(1, Whose::Strange);
        let (begun, gone) = hall.begin();
        assert_eq!((begun, gone), (vec![phone], vec![]), "its places are apart, too");
    }

    #[test]
    fn in_a_long_line_outside_who_has_a_network_has_one_turn_of_it() {
        let mut hall = Hall::new();
        for n in 0..1_000 {
            hall.arrives(outside(&format!("2001:db8:0:{n:x}::1")));
        }
        let (begun, _) = hall.begin();
        hall.done(&begun, Duration::ZERO);
        let others = ["198.51.100.7", "2001:db8:1::1"].map(|ip| hall.arrives(outside(ip)));
        hall.now += Duration::from_millis(50);
        let begun = hall.begin().0;
        assert!(begun.len() == 3 && others.iter().all(|conn| begun.contains(conn)), "{begun:?}");
    }

    #[test]
    fn inside_addresses_of_one_link_are_sources_of_their_own_and_outside_they_are_one() {
        for (side, many) in [(Side::Inside, 40), (Side::Outside, 32)] {
            let mut hall = Hall::new();
            for n in 0..40 {
                let ip = format!("2001:db8::{n:x}").parse().unwrap();
                hall.arrives(Caller { ip, link: None, side, whose: Whose::Strange, slow: false });
            }
            assert_eq!(hall.begin().0.len(), many);
        }
    }

    #[test]
    fn who_is_worked_at_for_long_has_his_share_of_that_and_another_does_not_wait_for_it() {
        let mut hall = Hall::new();
        let dear = Duration::from_millis(20);
        let (mut begun, mut all) = (Vec::new(), 0);
        for _ in 0..1_000 {
            hall.comes(1, Whose::Known);
            begun.extend(hall.begin().0);
            all += begun.len();
            hall.done(&std::mem::take(&mut begun), dear);
            hall.now += Duration::from_millis(10);
        }
        // An eighth of ten seconds, and what may begin at once.
        let longest = 10_000 / (8 * 20) + 32;
        assert!((longest - 33..=longest).contains(&all), "{all}");
        let phone = hall.comes(2, Whose::Known);
        assert_eq!(hall.begin().0, [phone]);
    }

    #[test]
    fn who_was_silenced_and_may_be_somebody_is_slow() {
        let mut hall = Hall::new();
        for _ in 0..40 {
            hall.arrives(Caller { slow: true, ..outside("198.51.100.7") });
        }
        assert_eq!(hall.begin().0.len(), 4);
        hall.now += Duration::from_secs(1);
        assert_eq!(hall.begin().0.len(), 4);
    }
}
