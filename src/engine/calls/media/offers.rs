//! What an offer opens and an answer settles, line by line. Whether an address may be in one was
//! judged before; bodies are written by others.

use super::anchored;
use super::call::{Pending, Stream, accept, binds, update};
use super::judge::MediaRefusal;
use super::table::MediaTable;
use crate::ground::{CallNo, Leg, Mono};
use crate::relay::quality::Codecs;
use crate::relay::{Command, LegConfig, Party, StreamId};
use crate::wire::sdp::{Media, Place};
use std::net::IpAddr;

impl MediaTable {
    /// Takes the ports an offer needs. The address and places for the other leg's body.
    pub(in crate::engine::calls) fn offered(
        &mut self,
        call: CallNo,
        leg: Leg,
        media: &[Media],
        parties: &[Option<Party>],
        now: Mono,
    ) -> Result<(IpAddr, Vec<Place>), MediaRefusal> {
        if let Some(c) = self.calls.get_mut(&call) {
            c.fresh.clear();
        }
        let mut places = Vec::with_capacity(media.len());
        for (index, (m, party)) in media.iter().zip(parties).enumerate() {
            let place = match party {
                Some(party) if m.is_rtp() && self.has_line(call, index) => {
                    anchored(self.stream(call, index, leg, m, *party, now)?)
                }
                _ => Place::Refuse,
            };
            places.push(place);
        }
        let c = self.calls.get_mut(&call).ok_or_else(MediaRefusal::no_ports)?;
        c.tells(leg.other());
        Ok((c.faces[leg.other().index()].shown, places))
    }

    /// The stream of a section: opened if new. Its port towards the other leg.
    fn stream(
        &mut self,
        call: CallNo,
        index: usize,
        leg: Leg,
        m: &Media,
        party: Party,
        now: Mono,
    ) -> Result<u16, MediaRefusal> {
        let c = self.calls.get_mut(&call).ok_or_else(MediaRefusal::no_ports)?;
        if let Some(Some(s)) = c.streams.get(index) {
            return Ok(s.ports[leg.other().index()]);
        }
        let faces = c.faces;
        let Some(ports) = self.lent.take(call, &c.claim, binds(&faces), now) else {
            return Err(MediaRefusal::no_ports());
        };
        self.next += 1;
        let id = StreamId(self.next);
        let mut parties = [Party::UNKNOWN; 2];
        parties[leg.index()] = party;
        let kind = m.kind.clone();
        let Some(c) = self.calls.get_mut(&call) else { return Err(MediaRefusal::no_ports()) };
        let config = |i: usize| LegConfig {
            side: faces[i].side,
            bind: faces[i].bind,
            port: ports[i],
            dscp: faces[i].dscp,
            party: parties[i],
        };
        let legs = [config(0), config(1)];
        self.commands.push(Command::Open { stream: id, legs, idle: None });
        let codecs = Codecs::of(m);
        let meant = codecs.clone();
        self.commands.push(Command::Codecs { stream: id, leg: leg.other(), codecs: meant });
        while c.streams.len() <= index {
            c.streams.push(None);
        }
        if let Some(slot) = c.streams.get_mut(index) {
            c.fresh.push(index);
            let mut taken = [Codecs::default(), Codecs::default()];
            taken[leg.index()] = codecs;
            *slot = Some(Stream::new(id, kind, faces, ports, parties, taken));
        }
        self.streams.insert(id, (call, index));
        Ok(ports[leg.other().index()])
    }

    /// Remembers an offer. Where the leg had no party yet, it counts at once: early media.
    pub(in crate::engine::calls) fn pend(
        &mut self,
        call: CallNo,
        leg: Leg,
        media: &[Media],
        parties: Vec<Option<Party>>,
        held: bool,
    ) {
        let Some(c) = self.calls.get_mut(&call) else { return };
        let codecs = media.iter().map(Codecs::of).collect();
        c.pending = Some(Pending { leg, parties, codecs, held });
    }

    pub(in crate::engine::calls) fn drop_pending(&mut self, call: CallNo) {
        if let Some(c) = self.calls.get_mut(&call) {
            c.pending = None;
        }
    }

    /// An answer: both parties take effect. The address and places for the body towards the leg
    /// that offered.
    pub(in crate::engine::calls) fn answered(
        &mut self,
        call: CallNo,
        leg: Leg,
        media: &[Media],
        parties: &[Option<Party>],
        held: bool,
    ) -> Result<(IpAddr, Vec<Place>), MediaRefusal> {
        let c = self.calls.get_mut(&call).ok_or_else(without_offer)?;
        c.fresh.clear();
        if let Some(p) = c.pending.take() {
            c.held[p.leg.index()] = p.held;
            for (index, (party, codecs)) in p.parties.iter().zip(p.codecs).enumerate() {
                update(&mut self.commands, &mut c.streams, index, p.leg, *party);
                accept(&mut self.commands, &mut c.streams, index, p.leg, codecs);
            }
        }
        c.held[leg.index()] = held;
        c.watch.was_held |= c.held.contains(&true);
        for (index, (m, party)) in media.iter().zip(parties).enumerate() {
            update(&mut self.commands, &mut c.streams, index, leg, *party);
            accept(&mut self.commands, &mut c.streams, index, leg, Codecs::of(m));
        }
        if c.settled {
            self.close_aside(call);
        }
        self.set_idle(call);
        let bind = self.calls.get(&call).ok_or_else(without_offer)?.faces[leg.index()].bind;
        self.shown(call, (leg, bind), media, parties)
    }

    /// The address and places for an answer's body towards the leg that offered; `bind`: where the
    /// one that answers is spoken to from.
    pub(in crate::engine::calls) fn shown(
        &mut self,
        call: CallNo,
        (leg, bind): (Leg, IpAddr),
        media: &[Media],
        parties: &[Option<Party>],
    ) -> Result<(IpAddr, Vec<Place>), MediaRefusal> {
        let c = self.calls.get_mut(&call).ok_or_else(without_offer)?;
        c.tells(leg.other());
        let place = |(index, (m, party)): (usize, (&Media, &Option<Party>))| match (
            c.line(index, leg, bind),
            m.port,
        ) {
            (Some(s), port) if port != 0 && party.is_some() => {
                anchored(s.ports[leg.other().index()])
            }
            _ => Place::Refuse,
        };
        let places = media.iter().zip(parties).enumerate().map(place).collect();
        Ok((c.faces[leg.other().index()].shown, places))
    }
}

fn without_offer() -> MediaRefusal {
    MediaRefusal::refused("an answer without an offer".to_owned())
}
