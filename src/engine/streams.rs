//! Stream connections as the engine knows them: those that have brought something and are not
//! closed. Numbers only; what goes by one is others' business.

use super::outbox::Outbox;
use super::output::{Level, Output};
use crate::ground::{ConnId, Flow, Side, Subject};
use crate::policy::quota::Holder;
use std::collections::{BTreeMap, HashSet};

/// Connections that are there; as many as the driver lets be open.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    open: HashSet<ConnId>,
    /// Those on which nothing begins any more, in the order of their numbers.
    ending: BTreeMap<ConnId, Flow>,
}

impl Streams {
    /// Something came by a flow. An upstream's connection gives way to nobody.
    pub(crate) fn heard(
        &mut self,
        out: &mut Outbox,
        flow: &Flow,
        side: Side,
        is_upstream: impl Fn(&Flow) -> bool,
    ) {
        let new = flow.conn.filter(|conn| !self.ending.contains_key(conn));
        let new = new.filter(|conn| self.open.insert(*conn));
        if let Some(conn) = new.filter(|_| side == Side::Outside && is_upstream(flow)) {
            out.emit(Output::KeepConnection(conn, Holder::Upstream));
        }
    }

    /// Who is at the other end has proved to be one of these.
    pub(crate) fn secured(&mut self, out: &mut Outbox, flow: &Flow, names: &[Subject]) {
        let who: Vec<String> =
            names.iter().map(|name| name.as_str().escape_debug().collect()).collect();
        let text = format!("{} has a certificate of {}", flow.peer, who.join(", "));
        out.notice_of(flow.peer, Level::Debug, text);
    }

    /// The flow's connection was there, and is gone.
    pub(crate) fn is_gone(&self, flow: &Flow) -> bool {
        flow.conn.is_some_and(|conn| !self.open.contains(&conn))
    }

    /// Nothing begins on it any more: for who asks, it is gone.
    pub(crate) fn retire(&mut self, flow: &Flow) {
        if let Some(conn) = flow.conn {
            self.open.remove(&conn);
            self.ending.insert(conn, *flow);
        }
    }

    /// It was retired, and is to be closed now.
    pub(crate) fn end(&mut self, flow: &Flow) -> Option<ConnId> {
        flow.conn.filter(|conn| self.ending.remove(conn).is_some())
    }

    /// It was retired, and still goes on.
    pub(crate) fn is_ending(&self, flow: &Flow) -> bool {
        flow.conn.is_some_and(|conn| self.ending.contains_key(&conn))
    }

    /// Those that were retired and still go on.
    pub(crate) fn ending(&self) -> Vec<Flow> {
        self.ending.values().copied().collect()
    }

    pub(crate) fn closed(&mut self, conn: ConnId) {
        self.open.remove(&conn);
        self.ending.remove(&conn);
    }
}
