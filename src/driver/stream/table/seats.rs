//! Places of connections. Of those that strangers may hold, strangers outside have three quarters
//! and displace nobody inside for more: who is new inside finds one, however many come from there.

use crate::config::Limits;
use crate::ground::{ConnId, Side};
use crate::policy::quota::{Holder, Quota, Room, Shares};

/// Places of strangers outside, as a part of all.
const OUTSIDE: (usize, usize) = (3, 4);

/// All of them, and who holds which.
#[derive(Debug)]
pub(super) struct Seats {
    all: Quota<ConnId>,
    /// Those of strangers outside.
    outside: Quota<ConnId>,
}

fn shares(limits: &Limits) -> [Shares; 2] {
    let (total, share) = (limits.connections, limits.connections_per_source);
    let of = |total: usize| {
        let percent = Shares::percent(total, limits.share_percent);
        Shares { per_source: share, per_user: share, ..percent }
    };
    let (some, of_all) = OUTSIDE;
    [of(total), of((total * some / of_all).max(1))]
}

impl Seats {
    pub(super) fn new(limits: &Limits) -> Self {
        let [all, outside] = shares(limits).map(Quota::new);
        Self { all, outside }
    }

    pub(super) fn set_limits(&mut self, limits: &Limits) {
        let [all, outside] = shares(limits);
        self.all.set_shares(all);
        self.outside.set_shares(outside);
    }

    /// All of them together.
    pub(super) fn all(&self) -> &Quota<ConnId> {
        &self.all
    }

    /// Whether there is one more; `own`: it is ours, for an upstream.
    pub(super) fn ask(&self, side: Side, holder: &Holder, own: bool) -> Room<ConnId> {
        if is_stranger(side, holder) {
            let room = self.outside.ask(holder, own, 1);
            if room != Room::Free {
                return room;
            }
        }
        self.all.ask(holder, own, 1)
    }

    pub(super) fn enter(&mut self, conn: ConnId, side: Side, holder: Holder) {
        if is_stranger(side, &holder) {
            self.outside.enter(conn, holder.clone(), 1);
        }
        self.all.enter(conn, holder, 1);
    }

    /// From now on it is somebody else's.
    pub(super) fn prove(&mut self, conn: ConnId, side: Side, holder: Holder) {
        self.outside.leave(conn);
        if is_stranger(side, &holder) {
            self.outside.enter(conn, holder.clone(), 1);
        }
        self.all.prove(conn, holder);
    }

    pub(super) fn leave(&mut self, conn: ConnId) {
        self.outside.leave(conn);
        self.all.leave(conn);
    }
}

fn is_stranger(side: Side, holder: &Holder) -> bool {
    side == Side::Outside && matches!(holder, Holder::Unproved(_))
}
