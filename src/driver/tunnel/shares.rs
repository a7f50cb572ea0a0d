//! Media that wait to be sent, a queue for each flow. The flows take turns (deficit round robin),
//! so that one that floods loses packets of its own and no other's; and what is too old to be heard
//! is dropped when its turn comes. A flow is sure of what speech needs; what it sends beyond that
//! has to do with less room, so that the way is not filled by it either. What a packet costs is the
//! same however many flows there are. It sends nothing, and times are arguments.

use bytes::Bytes;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;
use tokio::time::Instant;

/// Media older than this are not heard any more.
pub(super) const OLD: Duration = Duration::from_millis(60);
/// Packets and octets of one flow that may wait; a packet is let in however long it is.
const FLOW: (usize, usize) = (64, 48 * 1_024);
/// Those of all flows.
const ALL: (usize, usize) = (1_024, 384 * 1_024);
/// Octets that a flow may send in its turn: about a packet of speech.
const TURN: usize = 256;
/// Octets a second that a flow is sure of, RTP and RTCP of G.711 in 10 ms packets and some more;
/// and how many of them it may save.
const SURE: (f64, f64) = (28_000.0, 4_096.0);
/// A packet that is longer goes in pieces, by a stream that keeps to a window of its own.
const WHOLE: usize = 1_500;
/// A queue of so many packets may be the longest.
const MANY: usize = 8;
/// Where all is full, the longest queue of some loses its oldest packet: so many are looked at.
const LOOKED_AT: usize = 8;

/// Octets that there is room for: of flows that send no more than they are sure of, and of the
/// others, which have no more than that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) sure: usize,
    pub(super) beyond: usize,
}

impl Room {
    pub(super) const ANY: Self = Self { sure: usize::MAX, beyond: usize::MAX };

    pub(super) fn up_to(octets: usize) -> Self {
        Self { sure: octets, beyond: octets }
    }

    fn take(&mut self, octets: usize) {
        self.sure = self.sure.saturating_sub(octets);
        self.beyond = self.beyond.saturating_sub(octets);
    }
}

/// One flow, and what waits of it.
#[derive(Debug)]
struct Queue {
    waits: VecDeque<(Instant, u16, Bytes)>,
    octets: usize,
    /// Octets that it may still send in this turn.
    may_send: usize,
    has_turn: bool,
    /// Octets that it was sure of at a time.
    saved: (Instant, f64),
}

impl Queue {
    fn new(now: Instant) -> Self {
        let (waits, saved) = (VecDeque::new(), (now, SURE.1));
        Self { waits, octets: 0, may_send: TURN, has_turn: false, saved }
    }

    /// Whether so many octets more are no more than it is sure of.
    fn is_sure(&mut self, now: Instant, octets: usize) -> bool {
        let more = now.duration_since(self.saved.0).as_secs_f64() * SURE.0;
        self.saved = (now, (self.saved.1 + more).min(SURE.1));
        self.saved.1 >= octets as f64
    }

    /// Its oldest packet is there no more; so many octets.
    fn lose(&mut self) -> Option<usize> {
        let (_, _, packet) = self.waits.pop_front()?;
        self.octets -= packet.len();
        Some(packet.len())
    }
}

/// All that waits.
#[derive(Debug, Default)]
pub(super) struct Shares {
    /// By pair of ports: RTP and its RTCP are one flow. One by which nothing waits is known on, for
    /// what it has sent; there are as many as pairs of ports at most.
    flows: HashMap<u16, Queue>,
    /// Each flow once by which packets wait, and some others; the first has its turn.
    turns: VecDeque<u16>,
    packets: usize,
    octets: usize,
    /// Where the next look for a long queue begins, and which one is known.
    looked: usize,
    longest: u16,
    late: u64,
}

impl Shares {
    /// Whether nothing waits. What does may be too old by now.
    pub(super) fn is_empty(&self) -> bool {
        self.packets == 0
    }

    /// Packets that were dropped since it was asked last.
    pub(super) fn late(&mut self) -> u64 {
        std::mem::take(&mut self.late)
    }

    /// A packet for a port waits from now on; where there is no room, an older one does no more.
    pub(super) fn push(&mut self, now: Instant, port: u16, packet: Bytes) {
        let (flow, octets) = (port / 2, packet.len());
        let queue = self.flows.entry(flow).or_insert_with(|| Queue::new(now));
        if !queue.has_turn {
            (queue.has_turn, queue.may_send) = (true, TURN);
            self.turns.push_back(flow);
        }
        queue.waits.push_back((now, port, packet));
        queue.octets += octets;
        self.packets += 1;
        self.octets += octets;
        let many = (queue.waits.len() > MANY).then_some(queue.octets);
        while queue.waits.len() > FLOW.0 || queue.waits.len() > 1 && queue.octets > FLOW.1 {
            let Some(lost) = queue.lose() else { break };
            (self.packets, self.octets, self.late) =
                (self.packets - 1, self.octets - lost, self.late + 1);
        }
        if many.is_some_and(|octets| octets >= self.octets_of(self.longest)) {
            self.longest = flow;
        }
        while self.packets > ALL.0 || self.octets > ALL.1 {
            let longest = self.longest(flow);
            let Some(lost) = self.flows.get_mut(&longest).and_then(Queue::lose) else { break };
            (self.packets, self.octets, self.late) =
                (self.packets - 1, self.octets - lost, self.late + 1);
        }
    }

    fn octets_of(&self, flow: u16) -> usize {
        self.flows.get(&flow).map_or(0, |queue| queue.octets)
    }

    /// The longest queue of this flow's, the one that was known for that, and some others.
    fn longest(&mut self, own: u16) -> u16 {
        let from = self.looked % self.turns.len().max(1);
        let others = self.turns.range(from..).take(LOOKED_AT).copied();
        let known = others.chain([self.longest]);
        let longest = known.max_by_key(|flow| self.octets_of(*flow)).unwrap_or(own);
        (self.looked, self.longest) = (from + LOOKED_AT, longest);
        if self.octets_of(longest) > self.octets_of(own) { longest } else { own }
    }

    /// What goes next, with its port, where there is room for it.
    pub(super) fn next(&mut self, now: Instant, room: &mut Room) -> Option<(u16, Bytes)> {
        // Flows in a row for which there is no room.
        let mut blocked = 0;
        while blocked < self.turns.len() {
            let flow = *self.turns.front()?;
            let queue = self.flows.get_mut(&flow)?;
            while queue.waits.front().is_some_and(|w| now.duration_since(w.0) > OLD) {
                let lost = queue.lose().unwrap_or_default();
                (self.packets, self.octets, self.late) =
                    (self.packets - 1, self.octets - lost, self.late + 1);
            }
            let Some(octets) = queue.waits.front().map(|(_, _, packet)| packet.len()) else {
                (queue.waits, queue.has_turn) = (VecDeque::new(), false);
                self.turns.pop_front();
                continue;
            };
            if octets > queue.may_send {
                queue.may_send += TURN;
                self.turns.rotate_left(1);
                blocked = 0;
                continue;
            }
            let is_sure = queue.is_sure(now, octets);
            let has = if is_sure { room.sure } else { room.beyond };
            if octets.min(WHOLE) > has {
                self.turns.rotate_left(1);
                blocked += 1;
                continue;
            }
            if is_sure {
                queue.saved.1 -= octets as f64;
            }
            queue.may_send -= octets;
            let (_, port, packet) = queue.waits.pop_front()?;
            queue.octets -= octets;
            (self.packets, self.octets) = (self.packets - 1, self.octets - octets);
            if queue.waits.is_empty() {
                (queue.waits, queue.has_turn) = (VecDeque::new(), false);
                self.turns.pop_front();
            }
            room.take(octets);
            return Some((port, packet));
        }
        None
    }

    /// Packets that wait.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.packets
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const TICK: Duration = Duration::from_millis(20);

    fn packet(octets: usize) -> Bytes {
        vec![7; octets].into()
    }

    /// Ten flows send 50 packets a second and one sends a hundred times as many, by a way that
    /// carries so many octets in 20 ms: what came of each in two seconds.
    fn flooded(carries: usize) -> (BTreeMap<u16, usize>, Shares) {
        let (mut shares, mut now, mut came) = (Shares::default(), Instant::now(), BTreeMap::new());
        for _ in 0..100 {
            for n in 0..100 {
                shares.push(now, 40_000 + n % 2, packet(172));
            }
            (0..10).for_each(|flow| shares.push(now, 20_000 + 2 * flow, packet(172)));
            now += TICK;
            let mut room = Room::up_to(carries);
            while let Some((port, _)) = shares.next(now, &mut room) {
                *came.entry(port / 2 * 2).or_default() += 1;
            }
        }
        (came, shares)
    }

    #[test]
    fn one_that_floods_costs_the_others_nothing_and_gets_what_they_leave() {
        let (mut came, mut shares) = flooded(20 * 172);
        assert_eq!(came.remove(&40_000), Some(1_000), "half of the way is left for it");
        assert_eq!(came.len(), 10);
        assert!(came.values().all(|n| *n == 100), "{came:?}");
        assert_eq!(shares.late() as usize + shares.len(), 9_000, "all the rest is its own");
        // Where the way carries less than all may have, all have the same.
        let (came, _) = flooded(8 * 172);
        let (least, most) = (came.values().min(), came.values().max());
        assert!(came.len() == 11 && most.unwrap() - least.unwrap() <= 30, "{came:?}");
    }

    #[test]
    fn long_packets_have_no_larger_share_than_short_ones() {
        let (mut shares, now) = (Shares::default(), Instant::now());
        for _ in 0..60 {
            shares.push(now, 20_000, packet(100));
            shares.push(now, 30_000, packet(700));
        }
        let mut octets = BTreeMap::<u16, usize>::new();
        for _ in 0..68 {
            let (port, packet) = shares.next(now, &mut Room::up_to(700)).expect("one waits");
            *octets.entry(port).or_default() += packet.len();
        }
        assert!(octets[&20_000].abs_diff(octets[&30_000]) <= 700, "{octets:?}");
        assert_eq!(
            shares.next(now, &mut Room::up_to(50)),
            None,
            "there is no room for it, and it waits"
        );
        assert!(!shares.is_empty());
    }

    #[test]
    fn what_waits_is_bounded_and_the_oldest_of_the_longest_gives_way() {
        let (mut shares, now) = (Shares::default(), Instant::now());
        for n in 0..100 {
            shares.push(now, 20_000, vec![n; 10].into());
        }
        assert_eq!((shares.len(), shares.late()), (FLOW.0, 36));
        assert_eq!(shares.next(now, &mut { Room::ANY }).unwrap().1[0], 36, "the oldest went");
        // The longest packet that there can be goes, and two of them do not wait.
        shares.push(now, 30_000, packet(65_539));
        shares.push(now, 30_000, packet(65_538));
        assert_eq!((shares.len(), shares.late()), (FLOW.0, 1));
        for flow in 0..2_000 {
            shares.push(now, 2 * flow, packet(20));
            assert!(shares.packets <= ALL.0 && shares.octets <= ALL.1);
        }
        assert_eq!(shares.len(), ALL.0);
        let mut all = Vec::new();
        while let Some((port, _)) = shares.next(now, &mut { Room::ANY }) {
            all.push(port);
        }
        assert_eq!((shares.len(), shares.octets), (0, 0));
        assert!(shares.turns.is_empty() && shares.is_empty());
        // Who has one packet waiting loses it to nobody who has many.
        for n in 0..ALL.0 {
            shares.push(now, 1_000 + 2 * u16::try_from(n / FLOW.0).unwrap(), packet(20));
        }
        (0..100).for_each(|flow| shares.push(now, 20_000 + 2 * flow, packet(20)));
        assert_eq!(shares.len(), ALL.0);
        assert!((0..100).all(|flow| shares.flows[&(10_000 + flow)].waits.len() == 1));
    }

    #[test]
    fn what_is_too_old_to_be_heard_does_not_go() {
        let (mut shares, now) = (Shares::default(), Instant::now());
        shares.push(now, 20_000, packet(1));
        shares.push(now + TICK, 20_000, packet(2));
        shares.push(now + TICK, 20_002, packet(3));
        let later = now + OLD + Duration::from_millis(1);
        assert_eq!(shares.next(later, &mut { Room::ANY }).map(|(_, p)| p.len()), Some(2));
        assert_eq!(shares.late(), 1);
        assert_eq!(shares.next(later + OLD, &mut { Room::ANY }), None);
        assert_eq!((shares.late(), shares.is_empty()), (1, true));
    }

    #[test]
    fn what_is_beyond_what_a_flow_is_sure_of_has_to_do_with_less_room() {
        let (mut shares, mut now) = (Shares::default(), Instant::now());
        let (mut speech, mut flood) = (0, 0);
        // Ten seconds in which there is room for no more than speech.
        for _ in 0..500 {
            for _ in 0..20 {
                shares.push(now, 30_000, packet(172));
            }
            shares.push(now, 20_000, packet(172));
            let mut room = Room { sure: 100_000, beyond: 0 };
            while let Some((port, packet)) = shares.next(now, &mut room) {
                *(if port == 20_000 { &mut speech } else { &mut flood }) += packet.len();
            }
            now += TICK;
        }
        assert_eq!(speech, 500 * 172);
        assert!((270_000..290_000).contains(&flood), "{flood}: as much as it is sure of");
        let mut room = Room { sure: 100_000, beyond: 10 * 172 };
        let more = std::iter::from_fn(|| shares.next(now, &mut room)).count();
        assert!((10..=14).contains(&more), "{more}: where there is more room, it has it");
        assert_eq!(shares.flows.len(), 2);
    }
}
