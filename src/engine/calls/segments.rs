//! Tunnels that calls go through: how the way was while a call was up, for its record and for
//! whoever looks for a fault. It knows of a tunnel what its driver told last, and judges no packet.

use super::{Call, Calls};
use crate::audit::{Finding, Segment};
use crate::engine::world::World;
use crate::ground::{Bearer, CallNo, Leg, ListenerId};
use std::collections::BTreeMap;
use std::time::Duration;

/// More than this of a tunnel's packets, in hundredths, is at fault where a call is not heard.
const LOSSY: u64 = 5;
/// Fewer packets than these show no loss.
const FEW: u64 = 100;

/// How a tunnel's way is, and what it has done since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TunnelPath {
    /// Its place among the interfaces of the file.
    pub interface: usize,
    /// What carries it; `None`: nothing.
    pub bearer: Option<Bearer>,
    /// There and back; `None`: not known.
    pub trip: Option<Duration>,
    /// How uneven the way here is (RFC 3550 §6.4.1); `None`: not known.
    pub jitter: Option<Duration>,
    /// Packets that were sent, and those of them that were lost; `None`: not known.
    pub sent: Option<(u64, u64)>,
    /// Those of the other end's.
    pub received: Option<(u64, u64)>,
    /// Connections that were made.
    pub connections: u64,
    /// How often it went on by another address or bearer.
    pub moves: u64,
    /// What goes by it is not acknowledged, and another way is looked for, since a few seconds ago
    /// at most.
    pub is_moving: bool,
}

/// A leg of a call that began to talk through a tunnel, and how that was then.
#[derive(Clone, Debug)]
pub(super) struct Begun {
    leg: Leg,
    tunnel: String,
    then: TunnelPath,
}

/// Those of all tunnels.
#[derive(Debug, Default)]
pub(super) struct Paths(BTreeMap<usize, TunnelPath>);

impl Paths {
    fn at(&self, w: &World, leg: Leg, listener: ListenerId) -> Option<Begun> {
        let index = w.net().interface_of(listener)?;
        let then = *self.0.get(&index)?;
        let tunnel = w.net().interface_at(index)?.name.clone();
        Some(Begun { leg, tunnel, then })
    }

    fn segment(&self, begun: &Begun) -> Segment {
        let now = self.0.get(&begun.then.interface).copied().unwrap_or_default();
        let then = &begun.then;
        let ms = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        // An end that began anew counts from there.
        let more = |now: Option<(u64, u64)>, then: Option<(u64, u64)>| {
            let (now, then) = (now?, then.unwrap_or_default());
            Some([now.0.saturating_sub(then.0), now.1.saturating_sub(then.1)])
        };
        Segment {
            tunnel: begun.tunnel.clone(),
            leg: begun.leg,
            bearer: now.bearer,
            round_trip_ms: now.trip.map(ms),
            jitter_ms: now.jitter.map(ms),
            sent: more(now.sent, then.sent),
            received: more(now.received, then.received),
            cuts: now
                .connections
                .saturating_sub(then.connections)
                .saturating_sub(now.moves.saturating_sub(then.moves)),
            moves: now.moves.saturating_sub(then.moves),
        }
    }
}

impl Calls {
    /// What a tunnel's driver knows of its way now.
    pub(crate) fn tunnel_is(&mut self, path: TunnelPath) {
        self.paths.0.insert(path.interface, path);
    }

    /// A call is answered: from now on what happens to its tunnels is its own.
    pub(super) fn begin_segments(&mut self, w: &World, no: CallNo) {
        let Some(call) = self.table.get_mut(no) else { return };
        let tag = call.answered.clone().unwrap_or_default();
        let callee = call.forks.iter().find(|f| f.tag == tag).map(|f| f.callee.flow.listener);
        let legs = [(Leg::Caller, Some(call.caller.flow.listener)), (Leg::Callee, callee)];
        let begun = legs.into_iter().filter_map(|(leg, at)| self.paths.at(w, leg, at?));
        call.segments = begun.collect();
    }

    /// How they were until now.
    pub(super) fn segments(&self, call: &Call) -> Vec<Segment> {
        call.segments.iter().map(|begun| self.paths.segment(begun)).collect()
    }

    /// Which tunnel is at fault where audio is missing, if one is.
    pub(super) fn blame(&self, call: &Call, finding: Finding) -> String {
        let told = match finding {
            Finding::OneWayAudio
            | Finding::NoAudio
            | Finding::LateAudio
            | Finding::FarEndSilent
            | Finding::MediaTimeout => call.segments.iter().filter_map(|b| self.fault(b)),
            Finding::CodecMismatch
            | Finding::SourcePort
            | Finding::AckMissing
            | Finding::PrivateAddress
            | Finding::AddressChanged => return String::new(),
        };
        told.collect()
    }

    fn fault(&self, begun: &Begun) -> Option<String> {
        let (s, tunnel) = (self.paths.segment(begun), &begun.tunnel);
        let lossy = |counts: Option<[u64; 2]>| {
            let [sent, lost] = counts.filter(|[sent, _]| *sent >= FEW)?;
            let percent = lost.saturating_mul(100) / sent;
            (percent > LOSSY).then_some(percent)
        };
        let (out, back) = (lossy(s.sent), lossy(s.received));
        if s.bearer.is_none() {
            return Some(format!("; the tunnel {tunnel} is down"));
        }
        if s.cuts > 0 {
            let n = s.cuts;
            return Some(format!("; the tunnel {tunnel} was made anew during the call, {n} times"));
        }
        match (out, back) {
            (None, None) => None,
            (Some(p), None) => Some(format!("; the tunnel {tunnel} loses {p} % of what we send")),
            (_, Some(p)) => Some(format!("; the tunnel {tunnel} loses {p} % of what comes here")),
        }
    }
}
