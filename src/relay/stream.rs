//! The decision for each packet: may it pass, and where to. A stream is a plain struct; deciding
//! allocates nothing, locks nothing and sends nothing. `driver::relay_worker` owns the sockets,
//! carries the verdicts out and hands the events on.

use super::burst::Burst;
use super::command::{Counters, DropReason, Event, Leg, LegConfig, Party, StreamId};
use super::flow::{Lane, LegFlows, Source};
use super::meter::Meter;
use super::quality::Codecs;
use crate::ground::{Mono, Side};
use crate::wire::demux::{self, Kind};
use std::net::SocketAddr;
use std::time::Duration;

/// For this long after an update, late packets from the replaced source are neither learned nor
/// reported: they were sent before the phone changed over.
pub const SETTLE: Duration = Duration::from_secs(2);

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Send it out of the same flow of the other leg.
    Forward {
        /// The far party's address.
        to: SocketAddr,
    },
    /// Drop it; it is counted already.
    Drop(DropReason),
}

/// A verdict, and whether the flow it came by now takes another source (its filter must follow).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What becomes of the packet.
    pub verdict: Verdict,
    /// The source was pinned by this packet.
    pub pinned: bool,
}

impl Decision {
    const fn drop(reason: DropReason) -> Self {
        Self { verdict: Verdict::Drop(reason), pinned: false }
    }
}

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
}

impl Stream {
    /// A stream as `Command::Open` describes it, without a packet yet.
    #[must_use]
    pub fn new(id: StreamId, legs: &[LegConfig; 2], idle: Option<Duration>, now: Mono) -> Self {
        Self {
            id,
            sides: [legs[0].side, legs[1].side],
            legs: [LegFlows::new(legs[0].party), LegFlows::new(legs[1].party)],
            counters: Counters::default(),
            bursts: [Burst::default(); 2],
            heard: [false; 2],
            settling: [Mono::default(); 2],
            meter: Meter::default(),
            idle,
            last_accepted: now,
            idle_reported: false,
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
    pub fn receive(
        &mut self,
        (leg, lane): (Leg, Lane),
        from: SocketAddr,
        packet: &[u8],
        now: Mono,
        events: &mut Vec<Event>,
    ) -> Decision {
        let flow = &self.legs[leg.index()].flows[lane.index()];
        let source = flow.source;
        let late = now < self.settling[leg.index()] && flow.is_previous(from);
        if !source.takes(from) {
            return self.refuse(leg, lane, from, late, now);
        }
        let learning = matches!(source, Source::Host(_));
        if learning && late {
            return self.dropped(leg, DropReason::Early);
        }
        if !is_lanes_kind(lane, packet) {
            return self.dropped(leg, DropReason::NotRtp);
        }
        self.accepted(leg, lane, packet.len(), now, events);
        self.meter.take((leg, lane), packet, now);
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
            self.bursts[i].add(count, lane, None, now);
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

    /// What payload types on a leg mean from now on.
    pub fn set_codecs(&mut self, leg: Leg, codecs: &Codecs) {
        self.meter.set_codecs(leg, codecs);
    }

    /// Idle supervision from now on.
    pub fn set_idle(&mut self, idle: Option<Duration>, now: Mono) {
        self.idle = idle;
        self.last_accepted = now;
        self.idle_reported = false;
        if idle.is_some() {
            self.meter.begin(now);
        }
    }

    /// Whether strangers on a leg wait for a name: then the filter may let more of them through.
    #[must_use]
    pub fn is_naming(&self, leg: Leg) -> bool {
        self.bursts[leg.index()].is_nameless()
    }

    /// What time has made due: about once a second.
    pub fn sweep(&mut self, now: Mono, events: &mut Vec<Event>) {
        self.report_strangers(now, false, events);
        self.report_window(now, events);
        let Some(limit) = self.idle else { return };
        if !self.idle_reported && now.since(self.last_accepted) >= limit {
            self.idle_reported = true;
            events.push(Event::Idle { stream: self.id });
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
            self.bursts[leg.index()].add(1, lane, Some(from), now);
        }
        self.dropped(leg, DropReason::UnknownSource)
    }

    fn accepted(&mut self, leg: Leg, lane: Lane, len: usize, now: Mono, events: &mut Vec<Event>) {
        let counters = &mut self.counters.legs[leg.index()];
        counters.packets[lane.index()] += 1;
        counters.bytes[lane.index()] += len as u64;
        self.last_accepted = now;
        self.idle_reported = false;
        if !self.heard[leg.index()] {
            self.heard[leg.index()] = true;
            events.push(Event::FirstPacket { stream: self.id, leg });
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

/// Whether a datagram is what its flow carries. RTCP on the RTP port (RFC 5761) is not: `rtcp-mux`
/// never survives our SDP.
fn is_lanes_kind(lane: Lane, packet: &[u8]) -> bool {
    match demux::classify(packet) {
        Kind::Rtp => lane == Lane::Rtp,
        Kind::Rtcp => lane == Lane::Rtcp,
        Kind::Stun | Kind::Dtls | Kind::Other => false,
    }
}

#[cfg(test)]
mod tests;
