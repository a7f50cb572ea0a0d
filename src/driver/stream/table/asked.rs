//! What is asked of an open connection: whom it carries for, who is at its other end, whether he is
//! still heard. It changes nothing.

use super::super::way::Way;
use super::{Stage, Table};
use crate::ground::{ConnId, Flow, Side};
use crate::policy::quota::Holder;
use std::net::IpAddr;
use std::time::Duration;

impl Table {
    /// The connection that carries what goes this way: its own, or another open one. One by TLS is
    /// another's only where it was opened to the same upstream (RFC 5923 §5).
    pub(in super::super) fn carrier(&self, flow: &Flow) -> Option<ConnId> {
        let is_open = |conn: &ConnId| {
            self.open.get(conn).is_some_and(|c| !matches!(c.stage, Stage::Closing(_)))
        };
        let may_share = flow.upstream.is_some() || !flow.transport.is_secure();
        let other = || self.by_way.get(&Way::of(flow)).copied().filter(|_| may_share);
        flow.conn.filter(is_open).or_else(other)
    }

    /// Whether its peer has proved who it is.
    pub(in super::super) fn is_kept(&self, conn: ConnId) -> bool {
        let holder = self.open.get(&conn).map(|c| &c.holder);
        holder.is_some_and(|h| !matches!(h, Holder::Unproved(_) | Holder::Emergency(_)))
    }

    /// Whether its peer has proved to be an upstream; where he is.
    pub(in super::super) fn upstream(&self, conn: ConnId) -> Option<(Side, IpAddr)> {
        let known = self.open.get(&conn).filter(|c| c.holder == Holder::Upstream)?;
        Some((known.side, known.way.peer.ip()))
    }

    /// No message has come by it for so long.
    pub(in super::super) fn is_silent(&self, conn: ConnId, lasts: Duration) -> bool {
        self.open.get(&conn).is_some_and(|c| c.heard.elapsed() >= lasts)
    }

    /// Its tasks end it.
    pub(in super::super) fn ring(&self, conn: ConnId) {
        if let Some(known) = self.open.get(&conn) {
            known.bells.gone.notify_one();
        }
    }
}
