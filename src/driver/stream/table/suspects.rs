//! Connections that we opened and by which nothing comes any more: nothing new goes by one, and it
//! is closed when another that leads the same way brings something. It judges nobody: it is told.

use super::super::way::Way;
use super::Table;
use crate::ground::ConnId;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// One that brought something, or was opened, so lately is not meant.
const FRESH: Duration = Duration::from_secs(1);

/// One for each way at most.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    by_way: HashMap<Way, ConnId>,
    /// Those in whose place another has brought something, until they are gone.
    replaced: HashSet<ConnId>,
}

impl Suspects {
    pub(super) fn leave(&mut self, conn: ConnId) {
        self.by_way.retain(|_, suspect| *suspect != conn);
        self.replaced.remove(&conn);
    }
}

impl Table {
    /// Nothing comes by the connection that leads this way. Of two that are so the older one stays,
    /// which may carry what has begun.
    pub(in super::super) fn suspect(&mut self, way: Way) {
        let Some(conn) = self.by_way.get(&way).copied() else { return };
        if !self.is_silent(conn, FRESH) {
            return;
        }
        self.by_way.remove(&way);
        let older = *self.suspects.by_way.entry(way).or_insert(conn);
        if older != conn {
            self.ring(conn);
        }
    }

    /// This one has brought something: a suspect that leads its way ends; one that was suspect and
    /// has no other in its place carries what follows.
    pub(super) fn clear_suspect(&mut self, conn: ConnId) {
        if self.suspects.by_way.is_empty() {
            return;
        }
        let Some(way) = self.open.get(&conn).map(|c| c.way) else { return };
        let Some(old) = self.suspects.by_way.get(&way).copied() else { return };
        let carries = self.by_way.get(&way).copied();
        if old == conn && carries.is_none() {
            self.suspects.by_way.remove(&way);
            self.by_way.insert(way, conn);
        } else if carries == Some(conn) {
            self.suspects.by_way.remove(&way);
            self.suspects.replaced.insert(old);
            self.ring(old);
        }
    }

    /// It ends because another has taken its place.
    pub(in super::super) fn is_replaced(&self, conn: ConnId) -> bool {
        self.suspects.replaced.contains(&conn)
    }
}
