//! The targets of one upstream: which of them answer, and in which order they are tried for whom.
//! It asks nobody and sends nothing.

use super::Health;
use super::lookup::Place;
use crate::config::Hop;
use crate::ground::{Moment, Mono, Now};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// Requests in a row without any answer that make a target rest: one may be for a number that
/// nobody answers.
const MISSES: u32 = 3;
/// A target that rests and is not probed is tried again after this.
const REST: Duration = Duration::from_secs(30);
/// One that asks to be spared is asked after all others for so long at most, whatever it says.
const SPARED: Duration = Duration::from_secs(30);

/// What made a target down that its probes found silent.
pub(super) const UNANSWERED: &str = "it does not answer OPTIONS";
/// What made one up that answers all else.
pub(super) const SERVES: &str = "it does not answer OPTIONS, and serves";
/// What made it unknown whether one is up that was reached by a stream.
pub(super) const ENDED: &str = "the connection to it has ended";

/// How long an IP version that leads nowhere is tried last.
const DEAD: Duration = Duration::from_secs(600);

/// One of them.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) hop: Hop,
    rank: u32,
    weight: u16,
    host: u64,
    /// Which target of the file leads there.
    pub(super) of: usize,
    pub(super) health: Health,
    pub(super) since: Option<Moment>,
    pub(super) why: String,
    /// Probes answered and unanswered.
    pub(super) probes: [u64; 2],
    /// When anything came from it last.
    heard: Option<Mono>,
    /// When it was asked in vain last.
    vain: Option<Mono>,
    /// Requests in a row that nobody answered.
    misses: u32,
    /// Until when it is not tried, where no probe says more.
    rests: Option<Mono>,
    /// Requests in a row that were answered so that it is to be spared.
    busy: u32,
    /// Until when it asks to be spared: it is tried after others.
    spared: Option<Mono>,
}

impl Target {
    fn new(place: &Place) -> Self {
        Self {
            hop: place.hop,
            rank: place.rank,
            weight: place.weight,
            host: place.host,
            of: place.target,
            health: Health::Unknown,
            since: None,
            why: String::new(),
            probes: [0; 2],
            heard: None,
            vain: None,
            misses: 0,
            busy: 0,
            rests: None,
            spared: None,
        }
    }

    /// It is how it is now; true: that is news.
    pub(super) fn turn(&mut self, now: Now, health: Health, why: &str) -> bool {
        self.misses = 0;
        self.rests = (health == Health::Down).then(|| now.mono + REST);
        if self.health == health {
            return false;
        }
        self.health = health;
        self.since = Some(now.into());
        why.clone_into(&mut self.why);
        true
    }

    /// It asks not to be sent anything for so long.
    pub(super) fn spare(&mut self, now: Mono, after: Duration) {
        self.spared = Some(now + after.min(SPARED));
    }

    fn is_spared(&self, now: Mono) -> bool {
        self.spared.is_some_and(|until| now < until)
    }

    fn is_six(&self) -> bool {
        self.hop.peer.is_ipv6()
    }

    /// It was asked in vain lately.
    fn was_vain(&self, now: Mono) -> bool {
        self.vain.is_some_and(|at| now < at + DEAD)
    }

    fn is_resting(&self, now: Mono, probed: bool) -> bool {
        self.health == Health::Down && (probed || self.rests.is_some_and(|until| now < until))
    }
}

/// All of them, in the order of their ranks.
#[derive(Clone, Debug, Default)]
pub(super) struct Targets {
    all: Vec<Target>,
}

impl Targets {
    /// These, and no others: of those that stay it is known how they are.
    pub(super) fn follow(&mut self, places: &[Place]) {
        let mut before = std::mem::take(&mut self.all);
        self.all = places.iter().map(Target::new).collect();
        for new in &mut self.all {
            if let Some(old) = before.iter_mut().find(|old| old.hop == new.hop) {
                let place = (new.rank, new.weight, new.host, new.of);
                std::mem::swap(new, old);
                (new.rank, new.weight, new.host, new.of) = place;
            }
        }
    }

    /// Nothing is known of any of them.
    pub(super) fn forget(&mut self, now: Now, why: &str) {
        for t in &mut self.all {
            t.turn(now, Health::Unknown, why);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Target> {
        self.all.iter()
    }

    pub(super) fn find(&mut self, hop: Hop) -> Option<&mut Target> {
        self.all.iter_mut().find(|t| t.hop == hop)
    }

    /// Up where one answers, down where none does.
    pub(super) fn health(&self) -> Health {
        let any = |health| self.all.iter().any(|t| t.health == health);
        match (any(Health::Up), any(Health::Unknown)) {
            (true, _) => Health::Up,
            (false, true) => Health::Unknown,
            (false, false) if self.all.is_empty() => Health::Unknown,
            (false, false) => Health::Down,
        }
    }

    /// In which order they are tried for `whom`: by rank, within one by the hosts' weights, always
    /// the same for the same (a request with credentials goes where it was challenged), within a
    /// host by IP version in turns; those that rest not, but where all do. Last is an IP version
    /// that was asked in vain and never heard, while the other is.
    pub(super) fn order(&self, whom: &str, now: Mono, probed: bool) -> Vec<Hop> {
        // Most upstreams have one, and then nothing is drawn.
        if let [only] = self.all.as_slice() {
            return vec![only.hop];
        }
        let dead = self.unheard().map(|unheard| unheard && self.unheard() != [true; 2]);
        let is_dead = |t: &Target| {
            let of_it = self.all.iter().filter(|o| o.is_six() == t.is_six());
            dead[usize::from(t.is_six())] && of_it.into_iter().any(|o| o.was_vain(now))
        };
        let drawn: Vec<(&Target, f64)> = self.all.iter().map(|t| (t, draw(whom, t.hop))).collect();
        // IPv6 first, unless IPv4 alone was heard.
        let first = !dead[1];
        let turn = |t: &Target, own: f64| {
            let alike = |o: &&(&Target, f64)| {
                (o.0.host, o.0.rank, o.0.is_six()) == (t.host, t.rank, t.is_six()) && o.1 > own
            };
            2 * drawn.iter().filter(alike).count() + usize::from(t.is_six() != first)
        };
        let mut all: Vec<_> = drawn
            .iter()
            .map(|(t, own)| {
                let before = (t.is_resting(now, probed), t.is_spared(now), is_dead(t), t.rank);
                (before, weigh(whom, t), (t.host, turn(t, *own), t.hop))
            })
            .collect();
        all.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)).then(a.2.cmp(&b.2)));
        // Who rests is asked only where all do.
        let awake = all.iter().take_while(|((resting, ..), ..)| !resting).count();
        let most = if awake == 0 { all.len() } else { awake };
        all.into_iter().take(most).map(|(.., (.., hop))| hop).collect()
    }

    /// Of which IP version, IPv4 or IPv6, nothing was ever heard.
    pub(super) fn unheard(&self) -> [bool; 2] {
        [false, true].map(|six| {
            let own = |t: &&Target| t.is_six() == six;
            self.all.iter().filter(own).all(|t| t.heard.is_none())
        })
    }

    /// The one that is tried first for `whom` when none rests.
    pub(super) fn drawn(&self, whom: &str, now: Mono) -> Option<Hop> {
        let awake = |t: &Target| Target { health: Health::Unknown, ..t.clone() };
        let all = Self { all: self.all.iter().map(awake).collect() };
        all.order(whom, now, true).first().copied()
    }

    /// A request of that time got no answer at all there. True: it rests from now on. Whoever has
    /// said anything since is there: it is the request that nobody answers.
    pub(super) fn missed(&mut self, now: Now, hop: Hop, began: Mono) -> bool {
        let Some(t) = self.find(hop) else { return false };
        if t.heard.is_some_and(|heard| heard >= began) {
            return false;
        }
        t.misses = t.misses.saturating_add(1);
        t.vain = Some(now.mono);
        let why = "several requests in a row had no answer";
        t.misses >= MISSES && t.turn(now, Health::Down, why)
    }

    /// Nothing can be sent there. True: it rests from now on. The only target of all is tried all
    /// the same, so nothing is said of it.
    pub(super) fn failed(&mut self, now: Now, hop: Hop) -> bool {
        let several = self.all.len() > 1;
        let Some(t) = self.find(hop).filter(|_| several) else { return false };
        t.vain = Some(now.mono);
        t.turn(now, Health::Down, "it cannot be reached")
    }

    /// A request was answered so that nothing is to be sent for so long. Who forwards such an
    /// answer means somebody else: several in a row are its own.
    pub(super) fn busy(&mut self, now: Mono, hop: Hop, after: Duration) {
        if let Some(t) = self.find(hop) {
            t.busy = t.busy.saturating_add(1);
            if t.busy >= MISSES {
                t.spare(now, after);
            }
        }
    }

    /// It answered a request otherwise.
    pub(super) fn not_busy(&mut self, hop: Hop) {
        self.find(hop).into_iter().for_each(|t| t.busy = 0);
    }

    /// Nobody there proved to be who is asked. True: that is news.
    pub(super) fn unproved(&mut self, now: Now, hop: Hop, why: &str) -> bool {
        let Some(t) = self.find(hop) else { return false };
        let other = t.why != why;
        let turned = t.turn(now, Health::Down, why);
        why.clone_into(&mut t.why);
        turned || other
    }

    /// Something came from there. True: that is news.
    pub(super) fn heard(&mut self, now: Now, hop: Hop, probed: bool) -> bool {
        let Some(t) = self.find(hop) else { return false };
        t.misses = 0;
        t.heard = Some(now.mono);
        // Where probes are sent, they say when it is back: no flapping.
        let was = if t.why == UNANSWERED { SERVES } else { "it answers again" };
        match t.health {
            Health::Down => !probed && t.turn(now, Health::Up, was),
            Health::Unknown => t.why == ENDED && t.turn(now, Health::Up, "it serves"),
            Health::Up => false,
        }
    }
}

/// A weighted draw among hosts that needs no memory: who has weight w of W wins w of W draws, and
/// whoever is neither added nor lost keeps what it won.
fn weigh(whom: &str, t: &Target) -> f64 {
    // RFC 2782: weight 0 has a very small chance beside others.
    let weight = if t.weight == 0 { 0.01 } else { f64::from(t.weight) };
    weight / -unit(whom, &t.host.to_be_bytes()).ln()
}

/// A draw among the addresses of one host.
fn draw(whom: &str, hop: Hop) -> f64 {
    unit(whom, format!("{}{}", hop.peer, hop.transport).as_bytes())
}

/// Between 0 and 1, neither of them; the same for the same.
fn unit(whom: &str, which: &[u8]) -> f64 {
    let digest = Sha256::new().chain_update(whom.as_bytes()).chain_update(which).finalize();
    let mut octets = [0_u8; 8];
    octets.iter_mut().zip(digest.iter()).for_each(|(to, from)| *to = *from);
    // 53 bits, none of them 0.
    ((u64::from_be_bytes(octets) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::{Transport, Wall};

    fn place(last: u8, rank: u32, weight: u16) -> Place {
        let peer = std::net::SocketAddr::from(([198, 51, 100, last], 5060));
        Place {
            hop: Hop { peer, transport: Transport::Udp },
            rank,
            weight,
            host: last.into(),
            target: 0,
        }
    }

    fn at(seconds: u64) -> Now {
        let d = Duration::from_secs(seconds);
        Now { mono: Mono(d), wall: Wall(d) }
    }

    fn targets(places: &[Place]) -> Targets {
        let mut all = Targets::default();
        all.follow(places);
        all
    }

    #[test]
    fn ranks_come_in_order_and_weights_share_one() {
        let all = targets(&[place(1, 1, 75), place(2, 1, 25), place(3, 2, 1)]);
        let first = |n: u32| all.order(&format!("user{n}"), Mono::default(), true);
        let count = (0..4_000).filter(|n| first(*n)[0] == place(1, 1, 0).hop).count();
        assert!((2_800..3_200).contains(&count), "{count} of 4000 for a weight of 75 in 100");
        assert!((0..100).all(|n| first(n)[2] == place(3, 2, 0).hop));
        assert!((0..100).all(|n| first(n) == first(n)), "the same for the same");
    }

    #[test]
    fn who_is_lost_changes_nothing_for_those_that_stay() {
        let three = targets(&[place(1, 1, 1), place(2, 1, 1), place(3, 1, 1)]);
        let two = targets(&[place(1, 1, 1), place(2, 1, 1)]);
        for n in 0..200 {
            let whom = format!("user{n}");
            let before = three.order(&whom, Mono::default(), true)[0];
            let after = two.order(&whom, Mono::default(), true)[0];
            assert!(before == after || before == place(3, 1, 1).hop);
        }
    }

    #[test]
    fn one_request_without_an_answer_rests_no_target_and_several_in_a_row_do() {
        let (one, other) = (place(1, 1, 1), place(2, 2, 1));
        let mut all = targets(&[one, other]);
        for _ in 0..10 {
            assert!(
                !all.missed(at(1), one.hop, at(1).mono) && !all.missed(at(1), one.hop, at(1).mono)
            );
            assert!(!all.heard(at(1), one.hop, true));
        }
        let mut miss = || all.missed(at(9), one.hop, at(5).mono);
        assert!(!miss() && !miss());
        assert!(miss(), "the third");
        assert!(!targets(&[one]).missed(at(9), one.hop, at(5).mono));
        assert_eq!(all.order("x", at(10).mono, true), [other.hop]);
        assert_eq!(all.health(), Health::Unknown);
        // Probes say when it is back; where there are none, it is tried again after a while.
        assert!(!all.heard(at(11), one.hop, true));
        assert_eq!(all.order("x", at(90).mono, true), [other.hop]);
        assert_eq!(all.order("x", at(38).mono, false), [other.hop]);
        assert_eq!(all.order("x", at(39).mono, false), [one.hop, other.hop]);
        assert!(all.find(one.hop).unwrap().turn(at(91), Health::Up, "it answers OPTIONS"));
        assert_eq!(all.order("x", at(91).mono, true), [one.hop, other.hop]);
        assert_eq!(all.health(), Health::Up);
        assert!(all.failed(at(92), one.hop), "what cannot be reached rests at once");
        assert_eq!(all.order("x", at(93).mono, true), [other.hop]);
        assert!(all.failed(at(93), other.hop));
        assert_eq!(
            all.order("x", at(93).mono, true),
            [one.hop, other.hop],
            "all rest: all are tried"
        );
        assert!(!targets(&[one]).failed(at(1), one.hop), "the only one");
    }

    #[test]
    fn who_asks_to_be_spared_is_tried_last_for_a_while_at_most_and_is_not_down() {
        let (one, other) = (place(1, 1, 1), place(2, 2, 1));
        let mut all = targets(&[one, other]);
        let busy = |all: &mut Targets, now: Now, hop, seconds| {
            all.busy(now.mono, hop, Duration::from_secs(seconds));
        };
        for _ in 0..2 {
            // Whom it is forwarded from is another.
            busy(&mut all, at(1), one.hop, 20);
            busy(&mut all, at(1), one.hop, 20);
            assert_eq!(all.order("x", at(2).mono, true), [one.hop, other.hop]);
            all.not_busy(one.hop);
        }
        (0..3).for_each(|_| busy(&mut all, at(1), one.hop, 20));
        assert_eq!(all.order("x", at(20).mono, true), [other.hop, one.hop]);
        assert_eq!(all.order("x", at(21).mono, true), [one.hop, other.hop]);
        busy(&mut all, at(100), one.hop, u64::MAX);
        assert_eq!(all.order("x", at(129).mono, true), [other.hop, one.hop]);
        assert_eq!(all.order("x", at(130).mono, true), [one.hop, other.hop]);
        busy(&mut all, at(300), one.hop, 9);
        (0..3).for_each(|_| busy(&mut all, at(300), other.hop, 9));
        assert_eq!(all.order("x", at(301).mono, true), [one.hop, other.hop], "both: as ever");
        assert_eq!(all.health(), Health::Unknown);
    }

    fn six(last: u8, rank: u32) -> Place {
        let peer = std::net::SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, last.into()], 5060));
        Place { hop: Hop { peer, transport: Transport::Udp }, rank, weight: 1, host: 7, target: 0 }
    }

    #[test]
    fn addresses_of_one_host_come_by_ip_version_in_turns() {
        let four = |last| Place { host: 7, ..place(last, 1, 1) };
        let mut all = targets(&[four(1), four(2), four(3), six(1, 1), six(2, 1)]);
        let versions = |all: &Targets| -> Vec<bool> {
            let order = all.order("x", at(1).mono, true);
            order.iter().map(|hop| hop.peer.is_ipv6()).collect()
        };
        assert_eq!(versions(&all), [true, false, true, false, false]);
        assert!(!all.heard(at(1), four(2).hop, true));
        assert_eq!(versions(&all), [false, true, false, true, false], "what was heard comes first");
        assert!(!all.heard(at(2), six(2, 1).hop, true));
        assert_eq!(versions(&all), [true, false, true, false, false]);
    }

    #[test]
    fn an_ip_version_that_leads_nowhere_is_last_whatever_its_rank() {
        let mut all = targets(&[six(1, 1), six(2, 2), place(3, 3, 1)]);
        let first = |all: &Targets, s| all.order("x", at(s).mono, false)[0];
        assert_eq!(all.unheard(), [true; 2]);
        assert!(!all.missed(at(1), six(1, 1).hop, at(0).mono));
        assert_eq!(first(&all, 2), six(1, 1).hop, "the other one may be as dead");
        assert!(!all.heard(at(2), place(3, 3, 1).hop, false));
        assert_eq!(first(&all, 2), place(3, 3, 1).hop);
        assert_eq!(first(&all, 602), six(1, 1).hop, "it is tried again");
        assert!(!all.heard(at(603), six(2, 2).hop, false));
        assert!(!all.missed(at(604), six(1, 1).hop, at(603).mono));
        assert_eq!(first(&all, 605), six(1, 1).hop, "its version is there");
    }

    #[test]
    fn what_is_known_of_a_target_outlives_a_new_answer_of_dns() {
        let (one, other) = (place(1, 1, 1), place(2, 1, 1));
        let mut all = targets(&[one, other]);
        all.find(one.hop).unwrap().turn(at(1), Health::Down, "it does not answer OPTIONS");
        all.follow(&[place(3, 1, 1), place(1, 2, 9)]);
        assert_eq!(all.find(one.hop).map(|t| (t.health, t.rank)), Some((Health::Down, 2)));
        assert!(all.find(other.hop).is_none());
        assert_eq!(all.find(place(3, 1, 1).hop).map(|t| t.health), Some(Health::Unknown));
    }
}
