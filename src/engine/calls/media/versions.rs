//! A leg in one IP version or the other: a call that rings at phones of both, or a target of the
//! other version that is asked next, has its streams once for each; a party that moves to the other
//! version gets new ones, and what it had stands until both agree. It judges nothing.

use super::call::{CallMedia, Face, Stream, binds};
use super::close;
use super::table::MediaTable;
use crate::ground::{CallNo, Leg};
use crate::relay::StreamId;
use std::net::IpAddr;

impl CallMedia {
    /// The leg is spoken to from this face on: streams of another stand aside, and those that it
    /// had are in force again.
    fn turn(&mut self, leg: Leg, face: Face) {
        let leg = leg.index();
        if self.faces[leg].bind == face.bind {
            return;
        }
        self.faces[leg] = face;
        let other = std::mem::take(&mut self.aside);
        for (index, slot) in self.streams.iter_mut().enumerate() {
            self.aside.extend(slot.take_if(|s| s.open).map(|s| (index, s)));
        }
        for (index, stream) in other {
            let alike = binds(&stream.faces) == binds(&self.faces);
            match self.streams.get_mut(index) {
                Some(slot @ None) if alike => *slot = Some(stream),
                Some(_) | None => self.aside.push((index, stream)),
            }
        }
    }

    /// What stands aside is in force again.
    fn turn_back(&mut self) {
        let Some(faces) = self.aside.first().map(|(_, s)| s.faces) else { return };
        self.faces = faces;
        [Leg::Caller, Leg::Callee].into_iter().for_each(|leg| self.moves_still(leg));
        for (index, stream) in std::mem::take(&mut self.aside) {
            match self.streams.get_mut(index) {
                Some(slot @ None) => *slot = Some(stream),
                Some(_) | None => self.aside.push((index, stream)),
            }
        }
    }

    /// A stream that stands aside.
    pub(super) fn aside_mut(&mut self, id: StreamId) -> Option<&mut Stream> {
        self.aside.iter_mut().map(|(_, s)| s).find(|s| s.id == id)
    }

    /// The faces of all its streams towards a leg, and the one in force.
    pub(super) fn faces_of(&self, leg: Leg) -> impl Iterator<Item = &Face> {
        let aside = self.aside.iter().map(|(_, s)| s);
        let all = self.streams.iter().flatten().chain(&self.leaving).chain(aside);
        let leg = leg.index();
        std::iter::once(&self.faces[leg]).chain(all.map(move |s| &s.faces[leg]))
    }

    /// Streams by line as who is spoken to from `bind` knows them.
    pub(super) fn line(&self, index: usize, leg: Leg, bind: IpAddr) -> Option<&Stream> {
        let leg = leg.index();
        let known = |s: &&Stream| s.faces[leg].bind == bind;
        let current = self.streams.get(index).and_then(Option::as_ref).filter(known);
        let aside = self.aside.iter().filter(|(i, _)| *i == index).map(|(_, s)| s);
        current.or_else(|| aside.into_iter().find(known))
    }
}

impl MediaTable {
    /// The other leg of a call, or the one that offers, speaks from this face.
    pub(super) fn turn(&mut self, call: CallNo, leg: Leg, face: Face) {
        let Some(c) = self.calls.get_mut(&call) else { return };
        // What an earlier move left is not waited for any longer.
        if c.settled && c.faces[leg.index()].bind != face.bind {
            self.close_aside(call);
        }
        if let Some(c) = self.calls.get_mut(&call) {
            c.turn(leg, face);
        }
    }

    /// A party has signalled by this face.
    pub(super) fn signals(&mut self, call: CallNo, leg: Leg, face: Face) {
        if let Some(c) = self.calls.get_mut(&call) {
            c.signals[leg.index()] = face.bind;
        }
    }

    /// A party is reached by this face now.
    pub(super) fn reaches(&mut self, call: CallNo, leg: Leg, face: Face) {
        if let Some(c) = self.calls.get_mut(&call) {
            c.reached[leg.index()] = Some(face);
        }
    }

    /// Before an offer to a party: where it is reached by another face than it signalled by, it has
    /// moved to the other IP version, and is offered media of that.
    pub(super) fn turn_after(&mut self, call: CallNo, leg: Leg) {
        let Some(c) = self.calls.get_mut(&call) else { return };
        let signals = &mut c.signals[leg.index()];
        if let Some(face) = c.reached[leg.index()].take().filter(|face| face.bind != *signals) {
            *signals = face.bind;
            self.turn(call, leg, face);
        }
    }

    /// An answer comes from who is spoken to from this face: what was offered to it is in force.
    pub(super) fn answered_at(&mut self, call: CallNo, leg: Leg, face: Face) {
        let waits = |c: &&mut CallMedia| !c.settled && !c.aside.is_empty();
        if let Some(c) = self.calls.get_mut(&call).filter(waits) {
            c.turn(leg, face);
        }
    }

    /// The last offer failed, and with it the move: what was before is in force.
    pub(super) fn turn_back(&mut self, call: CallNo) {
        if let Some(c) = self.calls.get_mut(&call).filter(|c| c.settled) {
            c.turn_back();
        }
    }

    /// Nobody is to speak by what stands aside any more.
    pub(super) fn close_aside(&mut self, call: CallNo) {
        let Some(c) = self.calls.get_mut(&call) else { return };
        for (_, stream) in std::mem::take(&mut c.aside) {
            c.closing += 1;
            self.commands.push(close(stream.id));
            c.leaving.push(stream);
        }
    }
}
