//! What keeps the ways to upstreams open: two blank lines so often as an interface's `keepalive`
//! says, or a target by Flow-Timer (RFC 5626 §4.4). By a stream they ask for an answer, and the
//! driver waits for it. It asks nobody whether he is there: that is `probe`.

use super::{Due, Health, Upstreams};
use crate::config::{Config, Hop};
use crate::engine::ids::UpstreamId;
use crate::engine::outbox::Outbox;
use crate::engine::world::{World, changed_keepalives};
use crate::ground::Flow;
use crate::wire::sip::{Message, Name};
use bytes::Bytes;
use std::time::Duration;

/// Two blank lines.
const PING: &[u8] = b"\r\n\r\n";
/// The soonest and the latest that a Flow-Timer is heeded, in seconds.
const HEEDED: std::ops::RangeInclusive<u64> = 10..=3_600;

fn ping(out: &mut Outbox, flow: Flow) {
    out.transmit(flow, Bytes::from_static(PING));
}

impl Upstreams {
    pub(super) fn follow_keepalives(&mut self, w: &World, old: Option<&Config>) {
        for (index, every) in changed_keepalives(old, w.config()) {
            match every {
                Some(every) => self.timers.set(Due::KeepAlive(index), w.now().mono + every),
                None => self.timers.stop(Due::KeepAlive(index)),
            }
        }
    }

    /// To every target of an interface's upstreams that is not known to be down by a stream: there
    /// it would open one.
    pub(super) fn keep_alive(&mut self, w: &World, out: &mut Outbox, index: usize) {
        let Some(every) = w.net().interface_at(index).and_then(|i| i.keepalive) else { return };
        let all = w.upstreams().iter().zip(&w.config().upstreams);
        let upstreams = all.filter(|(_, u)| u.interface == index);
        let hops = upstreams.flat_map(|(id, _)| w.places(*id).iter().map(|hop| (*id, *hop)));
        let hops = hops.filter(|(id, hop)| !hop.transport.is_reliable() || !self.rests(*id, *hop));
        let towards = |(id, hop)| w.net().towards(index, id, hop);
        let mut flows: Vec<Flow> = hops.filter_map(towards).collect();
        flows.sort_by_key(|f| (f.peer, f.transport, f.upstream));
        flows.dedup();
        flows.into_iter().for_each(|flow| ping(out, flow));
        self.timers.set(Due::KeepAlive(index), w.now().mono + every);
    }

    fn rests(&self, id: UpstreamId, hop: Hop) -> bool {
        let targets = self.state(id).map(|state| state.targets.iter());
        targets.into_iter().flatten().any(|t| t.hop == hop && t.health == Health::Down)
    }

    /// A registrar says how long its flow may be quiet (RFC 5626 §4.4): a little sooner something
    /// is sent by it.
    pub(super) fn heed(&mut self, w: &World, id: UpstreamId, hop: Hop, answer: &Message) {
        let seconds = answer.text(&Name::parse("Flow-Timer")).and_then(|v| v.trim().parse().ok());
        let Some(seconds) = seconds.filter(|s| HEEDED.contains(s)) else { return };
        let every = Duration::from_secs(seconds).mul_f64(0.8);
        self.flows.insert((id, hop), every);
        self.timers.set(Due::Flow(id, hop), w.now().mono + every);
    }

    /// It is due, as long as the target is one, and was not asked otherwise.
    pub(super) fn keep_flow(&mut self, w: &World, out: &mut Outbox, id: UpstreamId, hop: Hop) {
        let interface = self.get(w, id).map(|u| u.interface);
        let there = w.places(id).contains(&hop) && !self.rests(id, hop);
        let flow = interface.and_then(|at| w.net().towards(at, id, hop)).filter(|_| there);
        let Some((flow, every)) = flow.zip(self.flows.get(&(id, hop)).copied()) else {
            self.flows.remove(&(id, hop));
            return;
        };
        ping(out, flow);
        self.timers.set(Due::Flow(id, hop), w.now().mono + every);
    }
}
