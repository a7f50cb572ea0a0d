//! Who is connected, and who gives way. It reads no message and touches no socket.

use crate::ground::{ConnId, ListenerId};
use bytes::Bytes;
use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use tokio::sync::mpsc;

/// Half-open connections (no complete message yet) of one source.
pub(super) const HALF_OPEN: usize = 32;
/// Connections we may open ourselves when those of others have taken every place.
const OWN: usize = 64;

/// What is known of a connection's peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Accepted, and no complete message yet.
    Silent,
    /// It has sent one, which proves nothing.
    Heard,
    /// A registered phone or an upstream, or opened by us: it gives way to nobody.
    Kept,
}

#[derive(Debug)]
pub(super) struct Conn {
    pub(super) writer: mpsc::Sender<Bytes>,
    pub(super) listener: ListenerId,
    pub(super) peer: SocketAddr,
    pub(super) stage: Stage,
}

/// Connections that may have to give way, the oldest first.
#[derive(Debug, Default)]
struct Share {
    silent: BTreeSet<ConnId>,
    heard: BTreeSet<ConnId>,
}

impl Share {
    fn len(&self) -> usize {
        self.silent.len() + self.heard.len()
    }

    /// Who goes first: the oldest that said nothing, then the oldest that proved nothing.
    fn oldest(&self) -> Option<ConnId> {
        self.silent.first().or(self.heard.first()).copied()
    }

    fn set(&mut self, conn: ConnId, stage: Stage, there: bool) {
        let of_stage = match stage {
            Stage::Silent => &mut self.silent,
            Stage::Heard => &mut self.heard,
            Stage::Kept => return,
        };
        if there {
            of_stage.insert(conn);
        } else {
            of_stage.remove(&conn);
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) next: u64,
    pub(super) total: usize,
    pub(super) per_source: usize,
    pub(super) open: HashMap<ConnId, Conn>,
    pub(super) by_peer: HashMap<(ListenerId, SocketAddr), ConnId>,
    /// What has proved nothing, by source and in all.
    sources: HashMap<IpAddr, Share>,
    unproved: Share,
}

impl Table {
    pub(super) fn insert(&mut self, conn: ConnId, new: Conn) {
        self.by_peer.insert((new.listener, new.peer), conn);
        self.count(conn, new.peer.ip(), new.stage, true);
        self.open.insert(conn, new);
    }

    /// From now on it is no connection of ours; what is queued is still written.
    pub(super) fn remove(&mut self, conn: ConnId) {
        let Some(old) = self.open.remove(&conn) else { return };
        if self.by_peer.get(&(old.listener, old.peer)) == Some(&conn) {
            self.by_peer.remove(&(old.listener, old.peer));
        }
        self.count(conn, old.peer.ip(), old.stage, false);
    }

    fn count(&mut self, conn: ConnId, source: IpAddr, stage: Stage, there: bool) {
        if stage == Stage::Kept {
            return;
        }
        self.unproved.set(conn, stage, there);
        let share = self.sources.entry(source).or_default();
        share.set(conn, stage, there);
        if share.len() == 0 {
            self.sources.remove(&source);
        }
    }

    pub(super) fn promote(&mut self, conn: ConnId, stage: Stage) {
        let Some(known) = self.open.get_mut(&conn) else { return };
        let (source, old) = (known.peer.ip(), std::mem::replace(&mut known.stage, stage));
        self.count(conn, source, old, false);
        self.count(conn, source, stage, true);
    }

    /// Makes room for one more of this source; false: there is none to be made.
    pub(super) fn make_room(&mut self, source: IpAddr, accepted: bool) -> bool {
        if accepted && let Some(share) = self.sources.get(&source) {
            // A source's own oldest gives way, so that a phone can register however many slow
            // connections stand open from its address.
            let oldest = if share.silent.len() >= HALF_OPEN {
                share.silent.first().copied()
            } else if share.len() >= self.per_source {
                share.oldest()
            } else {
                None
            };
            if let Some(oldest) = oldest {
                self.remove(oldest);
            }
        }
        // Whoever fills the table cannot cut us off from the upstream, and gives way to others
        // while it has proved nothing.
        if self.open.len() < self.total + if accepted { 0 } else { OWN } {
            return true;
        }
        match self.unproved.oldest() {
            Some(oldest) => self.remove(oldest),
            None => return false,
        }
        true
    }
}
