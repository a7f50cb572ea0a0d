//! Stream connections as the engine knows them: those that have brought something and are not
//! closed. Numbers only; what goes by one is others' business.

use crate::ground::ConnId;
use std::collections::HashSet;

/// Connections that are there; as many as the driver lets be open.
#[derive(Debug, Default)]
pub(crate) struct Streams(HashSet<ConnId>);

impl Streams {
    /// Something came by it; true: for the first time.
    pub(crate) fn heard(&mut self, conn: ConnId) -> bool {
        self.0.insert(conn)
    }

    pub(crate) fn closed(&mut self, conn: ConnId) {
        self.0.remove(&conn);
    }
}
