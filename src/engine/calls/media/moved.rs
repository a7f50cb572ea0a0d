//! An interface whose address changes under calls: whoever is described a session from then on is
//! told the new address. An offer gets new ports on both sides, as for a party that moves; in an
//! answer the ports of one leg alone change, for the other party has been told its own. It judges
//! nothing.

use super::call::{CallMedia, Face};
use super::table::MediaTable;
use crate::config::Addresses;
use crate::ground::{CallNo, Leg, Mono};
use crate::relay::Command;
use std::net::{IpAddr, SocketAddr};

/// What a call knows of the interface that one of its legs is spoken to from.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Move {
    /// The leg's address, which it was, is that interface's no more.
    from: Option<(usize, IpAddr)>,
    /// Where it stands now instead.
    to: Option<Face>,
    /// The leg's party was told an address of it.
    told: bool,
    /// The last move that was offered: whose, to where, and what was left.
    offered: Option<((usize, IpAddr), Face)>,
}

impl CallMedia {
    /// A party is described a session.
    pub(super) fn tells(&mut self, leg: Leg) {
        self.moves[leg.index()].told = true;
    }

    /// An interface stands there, and no longer at these.
    fn moved(&mut self, interface: usize, left: &[IpAddr], at: &Addresses) {
        for (face, mv) in self.faces.iter().zip(&mut self.moves) {
            let gone = mv.to.as_ref().unwrap_or(face).bind;
            if left.contains(&gone) {
                mv.from = Some((interface, face.bind));
            }
            if mv.from.is_none_or(|(of, _)| of != interface) {
                continue;
            }
            let now = at.iter().find(|own| own.ip.is_ipv4() == face.bind.is_ipv4());
            let to = now.map(|own| Face { bind: own.ip, shown: own.advertised(), ..*face });
            let is_back = to.is_some_and(|to| to.bind == face.bind);
            mv.from = mv.from.filter(|_| !is_back);
            mv.to = to.filter(|_| !is_back);
        }
    }

    /// An offer has failed, and a leg is spoken to from where it was: where that is an address that
    /// was left, the move is still to be offered.
    pub(super) fn moves_still(&mut self, leg: Leg) {
        let bind = self.faces[leg.index()].bind;
        let mv = &mut self.moves[leg.index()];
        if let Some((from, to)) = mv.offered.take_if(|((_, was), _)| *was == bind)
            && mv.from.is_none()
        {
            (mv.from, mv.to) = (Some(from), Some(to));
        }
    }

    /// A party was described a session.
    pub(super) fn is_told(&self, leg: Leg) -> bool {
        self.moves[leg.index()].told
    }

    /// The face towards a leg's party that is in force.
    pub(super) fn face(&self, leg: Leg) -> Face {
        self.faces[leg.index()]
    }
}

impl MediaTable {
    /// An interface stands there, and no longer at these; `seed` shuffles the ports of what is new.
    pub(in crate::engine::calls) fn moved(
        &mut self,
        interface: usize,
        left: &[IpAddr],
        (at, seed): (&Addresses, u64),
    ) {
        self.lent.stand(left, at, seed);
        for c in self.calls.values_mut().filter(|c| !c.ended) {
            c.moved(interface, left, at);
        }
    }

    /// Where a leg is spoken to from now, when that is elsewhere than before; once.
    fn take_move(&mut self, call: CallNo, leg: Leg) -> Option<Face> {
        let c = self.calls.get_mut(&call)?;
        let mv = &mut c.moves[leg.index()];
        let to = mv.to.take()?;
        mv.offered = mv.from.take().zip(Some(to));
        (to.bind != c.faces[leg.index()].bind).then_some(to)
    }

    /// Before an offer to a party.
    pub(super) fn offer_moved(&mut self, call: CallNo, leg: Leg) {
        if let Some(face) = self.take_move(call, leg) {
            self.turn(call, leg, face);
        }
    }

    /// Before an answer to a party: what it will send is taken at the new address.
    pub(super) fn answer_moved(&mut self, call: CallNo, leg: Leg, now: Mono) {
        let Some(face) = self.take_move(call, leg) else { return };
        let Some(c) = self.calls.get_mut(&call) else { return };
        let i = leg.index();
        let was = c.faces[i].bind;
        let aside = c.aside.iter_mut().map(|(_, s)| s);
        let all = c.streams.iter_mut().flatten().chain(aside);
        for s in all.filter(|s| s.open && s.faces[i].bind == was) {
            let Some(port) = self.lent.rebind((was, s.ports[i]), face.bind, now) else { continue };
            (s.ports[i], s.faces[i]) = (port, face);
            let at = SocketAddr::new(face.bind, port);
            self.commands.push(Command::Rebind { stream: s.id, leg, at, dscp: face.dscp });
        }
        c.faces[i] = face;
        if c.signals[i] == was {
            c.signals[i] = face.bind;
        }
    }
}
