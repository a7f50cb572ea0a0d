//! Media that go to where we stand ourselves: the other pass of a spiral, as long as the machine
//! has the address that both are at; and what named an address before it was ours. Whoever has an
//! address that we left hears nothing of us. It takes no ports and judges no body.

use super::call::{CallMedia, Stream};
use super::table::MediaTable;
use crate::engine::calls::Calls;
use crate::engine::calls::table::Table;
use crate::engine::outbox::Outbox;
use crate::ground::{CallNo, Leg};
use crate::relay::flow::Lane;
use crate::relay::{Command, Expect, Party, StreamId};
use std::net::{IpAddr, SocketAddr};

/// What it named of these addresses is no destination, nor whence anything is taken.
fn without(party: Party, ours: &[IpAddr]) -> Party {
    let theirs = |at: &SocketAddr| !ours.contains(&at.ip());
    let (rtp, rtcp) = (party.rtp.filter(theirs), party.rtcp.filter(theirs));
    let expect = match party.expect {
        Expect::SameIp(ip) if ours.contains(&ip) => Expect::Nobody,
        Expect::Exact if rtp != party.rtp => Expect::Nobody,
        other @ (Expect::Nobody | Expect::Exact | Expect::SameIp(_) | Expect::Neighbour { .. }) => {
            other
        }
    };
    Party { rtp, rtcp, expect }
}

impl Calls {
    /// The machine has these addresses where interfaces may stand, of which these `came` to be ours
    /// just now: what named them before is no destination any more, and passes that meet at one of
    /// ours do so as long as it is there.
    pub(crate) fn machine_has(&mut self, out: &mut Outbox, own: &[IpAddr], came: &[IpAddr]) {
        self.media.lent.machine_has(own);
        self.media.bar_ours(&self.table, came);
        self.media.part_passes(&self.table);
        self.flush_media(out);
    }
}

impl MediaTable {
    /// An address that an interface has left is where ports of ours are held still.
    pub(super) fn holds(&self, ip: IpAddr) -> bool {
        self.lent.has_left(ip)
    }

    /// … and nobody but whoever has it now is there.
    pub(super) fn is_gone(&self, ip: IpAddr) -> bool {
        self.lent.is_gone(ip)
    }

    /// Calls in the order of their numbers: what is commanded follows no hash map.
    fn in_order(&self) -> Vec<CallNo> {
        let mut all: Vec<CallNo> = self.calls.keys().copied().collect();
        all.sort_unstable();
        all
    }

    /// What these addresses were named for, by anybody but the other pass, is over.
    fn bar_ours(&mut self, calls: &Table, came: &[IpAddr]) {
        if came.is_empty() {
            return;
        }
        for no in self.in_order() {
            let joined = |leg, at| self.is_joined(calls, (no, leg), at);
            let Some(c) = self.calls.get(&no) else { continue };
            let barred: Vec<(StreamId, Leg, Party)> = streams(c)
                .flat_map(|s| Leg::ALL.map(|leg| (s.id, leg, s.parties[leg.index()])))
                .map(|(id, leg, party)| (id, leg, party, without(party, came)))
                .filter(|(_, leg, was, is)| was != is && !joined(*leg, was.rtp))
                .map(|(id, leg, _, is)| (id, leg, is))
                .collect();
            let Some(c) = self.calls.get_mut(&no) else { continue };
            if let Some(p) = &mut c.pending {
                p.parties.iter_mut().flatten().for_each(|party| *party = without(*party, came));
            }
            for (stream, leg, party) in barred {
                let Some(s) = streams_mut(c).find(|s| s.id == stream) else { continue };
                s.parties[leg.index()] = party;
                s.pins[leg.index()] = [None; 2];
                self.commands.push(Command::Update { stream, leg, party });
            }
        }
    }

    /// Passes that met at an address which is gone hear each other again when it is back.
    fn part_passes(&mut self, calls: &Table) {
        for no in self.in_order() {
            let gone = |leg, party: &Party| {
                self.is_joined(calls, (no, leg), party.rtp)
                    && party.rtp.is_some_and(|at| self.lent.is_gone(at.ip()))
            };
            let Some(c) = self.calls.get(&no) else { continue };
            let turned: Vec<(StreamId, Leg, bool)> = streams(c)
                .flat_map(|s| Leg::ALL.map(|leg| (s, leg, gone(leg, &s.parties[leg.index()]))))
                .filter(|(s, leg, gone)| s.parted[leg.index()] != *gone)
                .map(|(s, leg, gone)| (s.id, leg, gone))
                .collect();
            let Some(c) = self.calls.get_mut(&no) else { continue };
            for (stream, leg, gone) in turned {
                let Some(s) = streams_mut(c).find(|s| s.id == stream) else { continue };
                s.parted[leg.index()] = gone;
                let party = if gone { Party::UNKNOWN } else { s.parties[leg.index()] };
                self.commands.push(Command::Update { stream, leg, party });
            }
        }
    }

    /// A leg is sent to the other pass of its call.
    fn is_joined(&self, calls: &Table, leg: (CallNo, Leg), at: Option<SocketAddr>) -> bool {
        let there = at.and_then(|at| self.lent_at(at.ip(), at.port(), Lane::Rtp));
        there.is_some_and(|(_, other, of)| calls.is_other_pass(leg, (other, of)))
    }
}

/// Those that the relay has open.
fn streams(c: &CallMedia) -> impl Iterator<Item = &Stream> {
    let aside = c.aside.iter().map(|(_, s)| s);
    c.streams.iter().flatten().chain(aside).filter(|s| s.open)
}

fn streams_mut(c: &mut CallMedia) -> impl Iterator<Item = &mut Stream> {
    let aside = c.aside.iter_mut().map(|(_, s)| s);
    c.streams.iter_mut().flatten().chain(aside).filter(|s| s.open)
}
