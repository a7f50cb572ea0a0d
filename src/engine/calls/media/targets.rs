//! Where parties inside are heard: the addresses and ports that the relay sends to, as its commands
//! say. It judges nothing and commands nothing.

use crate::ground::{Leg, Side};
use crate::relay::{Command, Party, StreamId};
use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;

/// What a stream's legs are sent to, RTP and RTCP; `None` at once for a leg outside.
type Legs = [Option<[Option<SocketAddr>; 2]>; 2];

/// Targets of all open streams.
#[derive(Debug, Default)]
pub(super) struct Targets {
    at: BTreeSet<(SocketAddr, StreamId, usize)>,
    of: HashMap<StreamId, Legs>,
}

fn heard(party: Party) -> [Option<SocketAddr>; 2] {
    [party.rtp, party.rtcp]
}

impl Targets {
    /// Streams and legs that are heard at an address and port.
    pub(super) fn at(&self, at: SocketAddr) -> impl Iterator<Item = (StreamId, Leg)> {
        let all = (at, StreamId(0), 0)..=(at, StreamId(u64::MAX), usize::MAX);
        let legs = |leg: usize| Leg::ALL.into_iter().find(|l| l.index() == leg);
        self.at.range(all).filter_map(move |(_, stream, leg)| Some((*stream, legs(*leg)?)))
    }

    /// What the relay is told.
    pub(super) fn follow(&mut self, command: &Command) {
        match command {
            Command::Open { stream, legs, .. } => {
                let inside = legs.map(|l| (l.side == Side::Inside).then(|| heard(l.party)));
                self.forget(*stream);
                self.enter(*stream, inside);
            }
            Command::Update { stream, leg, party } => {
                let Some(mut legs) = self.of.get(stream).copied() else { return };
                if legs[leg.index()].is_some() {
                    self.forget(*stream);
                    legs[leg.index()] = Some(heard(*party));
                    self.enter(*stream, legs);
                }
            }
            Command::Close { stream } => self.forget(*stream),
            Command::Rebind { .. }
            | Command::SetIdle { .. }
            | Command::Codecs { .. }
            | Command::KeepAlive { .. }
            | Command::Measure { .. } => {}
        }
    }

    fn enter(&mut self, stream: StreamId, legs: Legs) {
        for (leg, heard) in legs.iter().enumerate() {
            let targets = heard.iter().flatten().flatten();
            self.at.extend(targets.map(|at| (*at, stream, leg)));
        }
        self.of.insert(stream, legs);
    }

    /// A stream is no more.
    pub(super) fn forget(&mut self, stream: StreamId) {
        for (leg, heard) in self.of.remove(&stream).iter().flatten().enumerate() {
            for at in heard.iter().flatten().flatten() {
                self.at.remove(&(*at, stream, leg));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::{Expect, LegConfig};

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 1], port))
    }

    fn party(port: u16) -> Party {
        Party { rtp: Some(at(port)), rtcp: Some(at(port + 1)), expect: Expect::Exact }
    }

    fn leg(side: Side, port: u16) -> LegConfig {
        LegConfig { side, bind: at(0).ip(), port: 20000, dscp: 0, party: party(port) }
    }

    #[test]
    fn targets_follow_what_the_relay_is_told() {
        let mut t = Targets::default();
        let (stream, other) = (StreamId(1), StreamId(2));
        let legs = [leg(Side::Outside, 4000), leg(Side::Inside, 5000)];
        t.follow(&Command::Open { stream, legs, idle: None });
        let legs = [leg(Side::Inside, 5001), leg(Side::Inside, 7000)];
        t.follow(&Command::Open { stream: other, legs, idle: None });
        let of = |t: &Targets, port| t.at(at(port)).collect::<Vec<_>>();
        assert_eq!(of(&t, 4000), []);
        assert_eq!(of(&t, 5000), [(stream, Leg::Callee)]);
        assert_eq!(of(&t, 5001), [(stream, Leg::Callee), (other, Leg::Caller)]);
        t.follow(&Command::Update { stream, leg: Leg::Callee, party: party(6000) });
        t.follow(&Command::Update { stream, leg: Leg::Caller, party: party(6500) });
        assert_eq!((of(&t, 5000), of(&t, 6500)), (vec![], vec![]));
        assert_eq!(of(&t, 6000), [(stream, Leg::Callee)]);
        t.follow(&Command::Close { stream });
        t.forget(other);
        assert!(t.at.is_empty() && t.of.is_empty());
    }
}
