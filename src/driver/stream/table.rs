//! Who is connected, what is held for him, and who gives way. Places and octets have shares by
//! source (`policy::quota`): the oldest unproved of the fullest source goes first, a proved one
//! never. It reads no message and touches no socket; whoever has to go is told by a bell.

mod asked;
mod heard;
mod seats;
mod suspects;
mod view;

use super::bells::Bells;
use super::lapse::Lapse;
use super::outlet::Outlet;
use super::way::Way;
use crate::config::Limits;
use crate::engine::stats::ShareCount;
use crate::ground::{ConnId, ListenerId, Side};
use crate::policy::quota::{Full, Holder, Quota, Room, Shares, Source};
use bytes::Bytes;
use seats::Seats;
use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use suspects::Suspects;
use tokio::time::Instant;

/// Half-open connections (no complete message yet) of one source, opened by it or by us.
pub(super) const HALF_OPEN: usize = 32;
/// Connections we may open ourselves when those of others have taken every place.
const OWN: usize = 64;
/// Octets of all connections: messages that are not complete, and those that wait to be written.
pub(super) const OCTETS: usize = 16 << 20;
/// What one source or user may hold of them, in percent.
const SHARE: usize = 25;

/// What is known of a connection's peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// No complete message yet, of a peer that has proved nothing.
    Silent,
    /// It has sent one, which proves nothing, or we opened it to somebody known.
    Heard,
    /// It is written to until then, and is no connection of ours any more.
    Closing(Instant),
}

#[derive(Debug)]
struct Conn {
    way: Way,
    side: Side,
    stage: Stage,
    holder: Holder,
    /// When its peer has sent a message last; before the first: when it was opened.
    heard: Instant,
    /// We opened it, to somebody who has proved nothing.
    lapse: Option<Lapse>,
    outlet: Outlet,
    /// Octets of a message that is not complete.
    read: usize,
    /// Octets of the certificates that its peer has shown: they are kept as long as it is open.
    shown: usize,
    /// What of both is counted.
    counted: usize,
    bells: Arc<Bells>,
}

impl Conn {
    /// Nobody has used it for long, and nothing waits to be written.
    fn is_over(&self, now: Instant) -> bool {
        !self.outlet.has_more() && self.lapse.as_ref().is_some_and(|lapse| lapse.until() <= now)
    }
}

/// What may be wanting.
#[derive(Clone, Copy, Debug)]
enum Want {
    Place,
    Octets,
}

/// What a connection's writer does next.
#[derive(Debug)]
pub(super) enum Next {
    /// Writes this, until then if that is sooner than its own deadline.
    Write(Bytes, Option<Instant>),
    /// Waits for news, until then at most.
    Wait(Option<Instant>),
    /// Ends.
    End,
}

#[derive(Debug)]
pub(super) struct Table {
    next: u64,
    open: HashMap<ConnId, Conn>,
    by_way: HashMap<Way, ConnId>,
    suspects: Suspects,
    silent: HashMap<Source, BTreeSet<ConnId>>,
    places: Seats,
    octets: Quota<ConnId>,
    /// What was done for want of places, and of octets, by side. A message that was lost is refused
    /// octets.
    counts: [[ShareCount; 2]; 2],
}

/// Whose half-open connections are counted together.
fn half_open(way: Way, side: Side) -> Source {
    Source::at(side, way.peer.ip())
}

impl Table {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            next: 0,
            open: HashMap::new(),
            by_way: HashMap::new(),
            suspects: Suspects::default(),
            silent: HashMap::new(),
            places: Seats::new(limits),
            octets: Quota::new(Shares::percent(OCTETS, SHARE)),
            counts: Default::default(),
        }
    }

    pub(super) fn set_limits(&mut self, limits: &Limits) {
        self.places.set_limits(limits);
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    fn refuse(&mut self, want: Want, side: Side, times: usize) {
        self.counts[want as usize][side.index()].refused += times as u64;
    }

    /// It has to go for others.
    fn displace(&mut self, want: Want, conn: ConnId) {
        if let Some(side) = self.open.get(&conn).map(|c| c.side) {
            self.counts[want as usize][side.index()].displaced += 1;
        }
        self.cut(conn);
    }

    /// A place for one more, accepted, or opened by us and held by `opens`. Whom we call because he
    /// said so has a share as if he had called. `None`: there is none to be made.
    pub(super) fn enter(
        &mut self,
        way: Way,
        side: Side,
        opens: Option<Holder>,
    ) -> Option<(ConnId, Arc<Bells>)> {
        let source = half_open(way, side);
        let ours = opens.is_some();
        let holder = opens.unwrap_or(Holder::Unproved(Source::host(way.peer.ip())));
        let unproved = matches!(holder, Holder::Unproved(_) | Holder::Emergency(_));
        let stage = if unproved { Stage::Silent } else { Stage::Heard };
        let lapse = (unproved && ours).then(Lapse::new);
        if !self.make_room((side, source), &holder) {
            self.refuse(Want::Place, side, 1);
            return None;
        }
        self.next += 1;
        let conn = ConnId(self.next);
        if stage == Stage::Silent {
            self.silent.entry(source).or_default().insert(conn);
        }
        self.by_way.insert(way, conn);
        self.places.enter(conn, side, holder.clone());
        let (bells, outlet) = (Arc::new(Bells::default()), Outlet::default());
        let known = Conn {
            way,
            side,
            stage,
            holder,
            heard: Instant::now(),
            lapse,
            outlet,
            read: 0,
            shown: 0,
            counted: 0,
            bells: bells.clone(),
        };
        self.open.insert(conn, known);
        Some((conn, bells))
    }

    fn make_room(&mut self, (side, source): (Side, Source), holder: &Holder) -> bool {
        let own = *holder == Holder::Upstream;
        // A source's own oldest gives way, so that a phone can register however many slow
        // connections stand open from its address.
        if matches!(holder, Holder::Unproved(_))
            && let Some(silent) = self.silent.get(&source).filter(|s| s.len() >= HALF_OPEN)
            && let Some(oldest) = silent.first().copied()
        {
            self.displace(Want::Place, oldest);
        }
        loop {
            match self.places.ask(side, holder, own) {
                Room::Free => return true,
                Room::Instead(oldest) => {
                    let first = self.silent_first(oldest);
                    self.displace(Want::Place, first);
                }
                // Whoever fills the table cannot cut us off from the upstream.
                Room::None(_) => {
                    let all = self.places.all();
                    return own && all.used() < all.shares().total + OWN;
                }
            }
        }
    }

    /// Of a source that has to give way: who said nothing goes before who did.
    fn silent_first(&self, oldest: ConnId) -> ConnId {
        let source = self.open.get(&oldest).map(|c| half_open(c.way, c.side));
        let silent = source.and_then(|s| self.silent.get(&s)).and_then(|s| s.first().copied());
        silent.unwrap_or(oldest)
    }

    /// Ends a connection at once; what waits is not written.
    pub(super) fn cut(&mut self, conn: ConnId) {
        self.ring(conn);
        self.remove(conn);
    }

    /// Ends all connections at these sockets.
    pub(super) fn cut_at(&mut self, gone: &[ListenerId]) {
        let there = self.open.iter().filter(|(_, c)| gone.contains(&c.way.listener));
        let mut all: Vec<ConnId> = there.map(|(conn, _)| *conn).collect();
        all.sort_unstable();
        all.into_iter().for_each(|conn| self.cut(conn));
    }

    /// It is gone. True: something had still to be written.
    pub(super) fn remove(&mut self, conn: ConnId) -> bool {
        self.part(conn);
        self.places.leave(conn);
        self.octets.leave(conn);
        self.suspects.leave(conn);
        self.open.remove(&conn).is_some_and(|c| c.outlet.is_unwritten())
    }

    /// Closes when what waits was written, at `until` in any case.
    pub(super) fn close(&mut self, conn: ConnId, until: Instant) {
        self.part(conn);
        let Some(known) = self.open.get_mut(&conn) else { return };
        known.stage = Stage::Closing(until);
        known.bells.news.notify_one();
        // Proved or not: nobody waits for it.
        self.hold_for(conn, Holder::Unproved);
    }

    /// From now on nobody finds it.
    pub(super) fn part(&mut self, conn: ConnId) {
        self.is_silent_no_more(conn);
        let Some(known) = self.open.get(&conn) else { return };
        let way = known.way;
        if self.by_way.get(&way) == Some(&conn) {
            self.by_way.remove(&way);
        }
    }

    /// Its peer has proved who it is. A user who holds his share already keeps this one as before.
    /// Returns where he is.
    pub(super) fn keep(&mut self, conn: ConnId, holder: Holder) -> Option<(Side, SocketAddr)> {
        let known = self.open.get(&conn)?;
        let peer = Some((known.side, known.way.peer));
        if matches!(known.stage, Stage::Closing(_)) || known.holder == holder {
            return peer;
        }
        if self.places.ask(known.side, &holder, false) == Room::None(Full::User) {
            return peer;
        }
        self.is_silent_no_more(conn);
        self.hold_for(conn, |_| holder);
        self.open.get_mut(&conn)?.lapse = None;
        peer
    }

    fn hold_for(&mut self, conn: ConnId, holder: impl FnOnce(Source) -> Holder) {
        let Some(known) = self.open.get_mut(&conn) else { return };
        known.holder = holder(Source::host(known.way.peer.ip()));
        self.places.prove(conn, known.side, known.holder.clone());
        self.octets.prove(conn, known.holder.clone());
    }

    /// Queues a message. A peer that does not read loses messages, not us memory.
    pub(super) fn push(&mut self, conn: ConnId, bytes: Bytes) {
        let Some(known) = self.open.get(&conn) else { return };
        let growth = known.outlet.growth(&bytes);
        let has_room = self.make_octets(conn, growth);
        let Some(known) = self.open.get_mut(&conn) else { return };
        let (side, mut lost) = (known.side, 1);
        if has_room {
            if let Some(lapse) = &mut known.lapse {
                lapse.wrote(&bytes);
            }
            lost = known.outlet.push(bytes);
            known.bells.news.notify_one();
        } else {
            known.outlet.lose();
        }
        self.refuse(Want::Octets, side, lost);
        self.count(conn);
    }

    /// What waits there is not sent any more.
    pub(super) fn abandon(&mut self, conn: ConnId) {
        if let Some(known) = self.open.get_mut(&conn) {
            known.outlet.clear();
        }
        self.count(conn);
    }

    /// What the connection's writer does next; what it was given before is written.
    pub(super) fn take(&mut self, conn: ConnId) -> Next {
        let now = Instant::now();
        if self.open.get(&conn).is_some_and(|c| c.is_over(now)) {
            self.close(conn, now);
        }
        let Some(known) = self.open.get_mut(&conn) else { return Next::End };
        let until = match known.stage {
            Stage::Silent | Stage::Heard => None,
            Stage::Closing(until) => Some(until),
        };
        let next = match known.outlet.take() {
            Some(bytes) => Next::Write(bytes, until),
            None if until.is_some() => Next::End,
            None => Next::Wait(known.lapse.as_ref().map(Lapse::until)),
        };
        self.count(conn);
        next
    }

    /// So many octets of an incomplete message are held. False: there is no room for them, and the
    /// connection has to end.
    pub(super) fn hold(&mut self, conn: ConnId, octets: usize) -> bool {
        let Some(before) = self.open.get(&conn).map(|c| c.read) else { return false };
        let has_room = octets <= before || self.make_octets(conn, octets - before);
        if let Some(known) = self.open.get_mut(&conn).filter(|_| has_room) {
            known.read = octets;
        }
        if let Some(side) = self.open.get(&conn).filter(|_| !has_room).map(|c| c.side) {
            self.refuse(Want::Octets, side, 1);
        }
        self.count(conn);
        has_room && self.open.contains_key(&conn)
    }

    /// Its peer has shown so many octets of certificates. False: there is no room for them, and the
    /// connection has to end.
    pub(super) fn show(&mut self, conn: ConnId, octets: usize) -> bool {
        let has_room = self.make_octets(conn, octets);
        let Some(known) = self.open.get_mut(&conn) else { return false };
        let side = known.side;
        known.shown = if has_room { octets } else { 0 };
        self.refuse(Want::Octets, side, usize::from(!has_room));
        self.count(conn);
        has_room
    }

    /// Room for more octets of a connection. False: there is none, or it had to go itself.
    fn make_octets(&mut self, conn: ConnId, more: usize) -> bool {
        while let Some(known) = self.open.get(&conn) {
            match self.octets.ask(&known.holder, known.holder == Holder::Upstream, more) {
                Room::Free => return true,
                Room::Instead(oldest) => self.displace(Want::Octets, oldest),
                Room::None(_) => return false,
            }
        }
        false
    }

    /// What the connection holds may have changed.
    fn count(&mut self, conn: ConnId) {
        let Some(known) = self.open.get_mut(&conn) else { return };
        let holds = known.outlet.held() + known.read + known.shown;
        match (std::mem::replace(&mut known.counted, holds), holds) {
            (_, 0) => drop(self.octets.leave(conn)),
            (0, _) => self.octets.enter(conn, known.holder.clone(), holds),
            (before, now) if before != now => self.octets.weigh(conn, holds),
            (_, _) => {}
        }
    }
}
