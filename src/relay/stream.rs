//! A media stream as a machine: packets and times in; decisions, events and packets of its own out.
//! May a packet pass, and where to; who is silent, who is a stranger, what was measured; what must
//! leave although nobody sent it. It allocates nothing for a packet, locks and sends nothing:
//! `driver::relay_worker` owns the ports, moves the octets and hands the events on.
//!
//! As any machine here: one input (`handle`, `handle_timeout`, a command), then `poll_transmit`
//! until it has nothing more, then `poll_timeout` says when it wants to be woken.

mod decision;
mod keep_alive;
mod timers;

pub use decision::{Decision, Own, Transmit, Verdict};

use super::burst::Burst;
use super::command::{Counters, DropReason, Event, Leg, LegConfig, Party, StreamId};
use super::content::Content;
use super::flow::{Lane, LegFlows, Sockets, Source};
use super::meter::Meter;
use super::quality::Codecs;
use crate::ground::{Mono, Side};
use keep_alive::KeepAlive;
use std::net::SocketAddr;
use std::time::Duration;
use timers::{Timer, Timers};

/// Every flow of a stream, in order: its number is `2 × leg + lane`.
pub const PLACES: [(Leg, Lane); 4] = [
    (Leg::Caller, Lane::Rtp),
    (Leg::Caller, Lane::Rtcp),
    (Leg::Callee, Lane::Rtp),
    (Leg::Callee, Lane::Rtcp),
];

/// For this long after an update, late packets from the replaced source are neither learned nor
/// reported: they were sent before the phone changed over.
pub const SETTLE: Duration = Duration::from_secs(2);

/// One media stream: two legs, each an RTP and an RTCP flow.
#[derive(Clone, Debug)]
pub struct Stream {
    id: StreamId,
    sides: [Side; 2],
    legs: [LegFlows; 2],
    counters: Counters,
    bursts: [Burst; 2],
    /// A packet was accepted on the leg.
    heard: [bool; 2],
    /// Until then a leg's party has just changed.
    settling: [Mono; 2],
    meter: Meter,
    idle: Option<Duration>,
    last_accepted: Mono,
    idle_reported: bool,
    keep_alive: KeepAlive,
    timers: Timers,
}

impl Stream {
    /// A stream as `Command::Open` describes it, without a packet yet.
    #[must_use]
    pub fn new(id: StreamId, legs: &[LegConfig; 2], idle: Option<Duration>, now: Mono) -> Self {
        let mut timers = Timers::default();
        timers.set(Timer::Idle, idle.map(|limit| now + limit));
        let own = Sockets([0, 1].map(|i| SocketAddr::new(legs[i].bind, legs[i].port)));
        Self {
            id,
            sides: [legs[0].side, legs[1].side],
            legs: [LegFlows::new(own, legs[0].party), LegFlows::new(own, legs[1].party)],
            counters: Counters::default(),
            bursts: [Burst::default(); 2],
            heard: [false; 2],
            settling: [Mono::default(); 2],
            meter: Meter::default(),
            idle,
            last_accepted: now,
            idle_reported: false,
            keep_alive: KeepAlive::default(),
            timers,
        }
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// The side a leg is on.
    #[must_use]
    pub fn side(&self, leg: Leg) -> Side {
        self.sides[leg.index()]
    }

    /// Counted so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// From whom a flow takes packets now: the socket filter's rule.
    #[must_use]
    pub fn source(&self, leg: Leg, lane: Lane) -> Source {
        self.legs[leg.index()].flows[lane.index()].source
    }

    /// Judges one datagram that came in on `leg`, counts it, and says what it made known.
    ///
    /// The order matters: a packet that is not from an expected host is never looked into, and
    /// nothing is learned from a packet that is not media.
    pub fn handle(
        &mut self,
        (leg, lane): (Leg, Lane),
        from: SocketAddr,
        packet: &[u8],
        now: Mono,
        events: &mut Vec<Event>,
    ) -> Decision {
        let flows = &self.legs[leg.index()];
        let flow = &flows.flows[lane.index()];
        let late = now < self.settling[leg.index()] && flow.is_previous(from);
        if !flows.takes(lane, from) {
            return self.refuse(leg, lane, from, late, now);
        }
        let learning = flow.source.is_learned();
        if learning && late {
            return self.dropped(leg, DropReason::Early);
        }
        let Some(content) = Content::read(lane, packet) else {
            return self.dropped(leg, DropReason::NotRtp);
        };
        self.accepted(leg, lane, packet.len(), now, events);
        self.meter.take(leg, &content, now);
        if learning && self.legs[leg.index()].pin(lane, from) {
            let (stream, rtcp) = (self.id, lane == Lane::Rtcp);
            events.push(Event::Learned { stream, leg, rtcp, from });
        }
        let verdict = match self.legs[leg.other().index()].flows[lane.index()].target {
            Some(to) => Verdict::Forward { to },
            None => self.dropped(leg, DropReason::NoPeer).verdict,
        };
        Decision { verdict, pinned: learning }
    }

    /// Whether what comes in here is RTCP that leaves the site: then it may not name its insides.
    #[must_use]
    pub fn leaves_site(&self, leg: Leg, lane: Lane) -> bool {
        lane == Lane::Rtcp
            && self.side(leg) == Side::Inside
            && self.side(leg.other()) == Side::Outside
    }

    /// The packet that came in on `leg` went out of the other one.
    pub fn sent(&mut self, leg: Leg, lane: Lane) {
        self.counters.legs[leg.other().index()].sent[lane.index()] += 1;
    }

    /// The kernel refused to send a packet that came in on `leg`. It ends nothing.
    pub fn send_failed(&mut self, leg: Leg) {
        self.dropped(leg, DropReason::SendError);
    }

    /// The socket filter dropped `count` packets since it was last asked.
    pub fn filtered(&mut self, leg: Leg, lane: Lane, count: u64, now: Mono) {
        let i = leg.index();
        self.counters.legs[i].dropped[DropReason::UnknownSource as usize] += count;
        if now >= self.settling[i] {
            self.strange(leg, lane, count, None, now);
        }
    }

    /// A leg's far party changed. Returns whether anything did (then the filters must follow).
    pub fn update(&mut self, leg: Leg, party: Party, now: Mono) -> bool {
        let changed = self.legs[leg.index()].update(party);
        if changed {
            self.settling[leg.index()] = now + SETTLE;
            self.meter.moved(leg);
        }
        changed
    }

    /// A leg's pair stands there from now on.
    pub fn rebind(&mut self, leg: Leg, at: SocketAddr) {
        self.legs.iter_mut().for_each(|flows| flows.rebind(leg, at));
    }

    /// What payload types on a leg mean from now on.
    pub fn set_codecs(&mut self, leg: Leg, codecs: &Codecs) {
        self.meter.set_codecs(leg, codecs);
    }

    /// Idle supervision from now on.
    pub fn set_idle(&mut self, idle: Option<Duration>, now: Mono) {
        self.idle = idle;
        self.last_accepted = now;
        self.idle_reported = false;
        self.timers.set(Timer::Idle, idle.map(|limit| now + limit));
        if idle.is_some() {
            self.begin_windows(now);
        }
    }

    /// From now on something leaves by both flows of a leg at least this often, as long as its
    /// party has an address: what nobody sends, the stream does (RFC 6263). `None`: nothing.
    pub fn keep_alive(&mut self, leg: Leg, every: Option<Duration>, now: Mono) {
        self.keep_alive.set(leg, every, &self.counters);
        self.timers.set(Timer::KeepAlive, self.keep_alive.beat().map(|beat| now + beat));
    }

    /// Whether strangers on a leg wait for a name: then the filter may let more of them through.
    #[must_use]
    pub fn is_naming(&self, leg: Leg) -> bool {
        self.bursts[leg.index()].is_nameless()
    }

    /// The next packet of the stream's own; `None`: nothing more to send now.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        loop {
            let (leg, lane) = self.keep_alive.next()?;
            if let Some(to) = self.legs[leg.index()].flows[lane.index()].target {
                return Some(Transmit { leg, lane, to, what: Own::KeepAlive });
            }
        }
    }

    /// When [`Self::handle_timeout`] wants to be called; `None`: not before the next input. A
    /// packet may put it off without a word: then that call finds nothing due.
    #[must_use]
    #[inline]
    pub fn poll_timeout(&self) -> Option<Mono> {
        self.timers.first()
    }

    /// What time has made due.
    pub fn handle_timeout(&mut self, now: Mono, events: &mut Vec<Event>) {
        if self.timers.take(Timer::Strangers, now) {
            self.report_strangers(now, false, events);
            self.await_strangers();
        }
        if self.timers.take(Timer::Window, now) {
            self.report_window(now, events);
            self.timers.set(Timer::Window, self.meter.window_end());
        }
        if self.timers.take(Timer::Idle, now) {
            self.look_idle(now, events);
        }
        if self.timers.take(Timer::KeepAlive, now) {
            self.keep_alive.look(&self.counters);
            self.timers.set(Timer::KeepAlive, self.keep_alive.beat().map(|beat| now + beat));
        }
    }

    /// What was measured until now.
    #[must_use]
    pub fn so_far(&self, now: Mono) -> Event {
        let figures = self.meter.figures(self.strangers(), now).map(|[_, total]| total).into();
        Event::SoFar { stream: self.id, figures }
    }

    /// The end: strangers not reported yet, then the final counters.
    pub fn close(mut self, now: Mono, events: &mut Vec<Event>) {
        self.report_strangers(now, true, events);
        let legs = self.meter.figures(self.strangers(), now);
        for (leg, [window, total]) in [Leg::Caller, Leg::Callee].into_iter().zip(legs) {
            // What the last window, cut short, can still be rated by.
            if window.rating.is_ok() {
                let figures = [window, total].into();
                events.push(Event::Measured { stream: self.id, leg, figures });
            }
        }
        let figures = legs.map(|[_, total]| total).into();
        events.push(Event::Closed { stream: self.id, counters: self.counters, figures });
    }

    /// A window of 10 s is over: where one leg talks, or both are to be heard, both are told of.
    fn report_window(&mut self, now: Mono, events: &mut Vec<Event>) {
        let Some(legs) = self.meter.window(self.strangers(), now) else { return };
        if self.idle.is_none() && legs.iter().all(|[window, _]| window.received == 0) {
            return;
        }
        for (leg, figures) in [Leg::Caller, Leg::Callee].into_iter().zip(legs) {
            events.push(Event::Measured { stream: self.id, leg, figures: figures.into() });
        }
    }

    fn strangers(&self) -> [u64; 2] {
        self.counters.legs.map(|c| c.dropped[DropReason::UnknownSource as usize])
    }

    fn refuse(
        &mut self,
        leg: Leg,
        lane: Lane,
        from: SocketAddr,
        late: bool,
        now: Mono,
    ) -> Decision {
        if self.source(leg, lane) == Source::Unknown {
            return self.dropped(leg, DropReason::Early);
        }
        if !late {
            self.strange(leg, lane, 1, Some(from), now);
        }
        self.dropped(leg, DropReason::UnknownSource)
    }

    /// Packets that were not expected.
    fn strange(&mut self, leg: Leg, lane: Lane, count: u64, from: Option<SocketAddr>, now: Mono) {
        self.bursts[leg.index()].add(count, lane, from, now);
        self.await_strangers();
    }

    fn await_strangers(&mut self) {
        let at = self.bursts.iter().filter_map(Burst::due_at).min();
        self.timers.set(Timer::Strangers, at);
    }

    fn accepted(&mut self, leg: Leg, lane: Lane, len: usize, now: Mono, events: &mut Vec<Event>) {
        let counters = &mut self.counters.legs[leg.index()];
        counters.packets[lane.index()] += 1;
        counters.bytes[lane.index()] += len as u64;
        self.last_accepted = now;
        if self.idle_reported {
            self.idle_reported = false;
            self.timers.set(Timer::Idle, self.idle.map(|limit| now + limit));
        }
        if !self.heard[leg.index()] {
            self.heard[leg.index()] = true;
            self.begin_windows(now);
            events.push(Event::FirstPacket { stream: self.id, leg });
        }
    }

    fn begin_windows(&mut self, now: Mono) {
        self.meter.begin(now);
        self.timers.set(Timer::Window, self.meter.window_end());
    }

    /// Silent for the whole limit: told once. Else it is looked at again when it may be.
    fn look_idle(&mut self, now: Mono, events: &mut Vec<Event>) {
        let Some(limit) = self.idle else { return };
        if now.since(self.last_accepted) >= limit {
            self.idle_reported = true;
            events.push(Event::Idle { stream: self.id });
        } else {
            self.timers.set(Timer::Idle, Some(self.last_accepted + limit));
        }
    }

    fn dropped(&mut self, leg: Leg, reason: DropReason) -> Decision {
        self.counters.legs[leg.index()].dropped[reason as usize] += 1;
        Decision::drop(reason)
    }

    fn report_strangers(&mut self, now: Mono, last: bool, events: &mut Vec<Event>) {
        for leg in [Leg::Caller, Leg::Callee] {
            let burst = &mut self.bursts[leg.index()];
            let expected = self.legs[leg.index()].flows[burst.lane().index()].expected();
            events.extend(burst.due(self.id, leg, expected, now, last));
        }
    }
}

#[cfg(test)]
mod tests;
