//! Who has said something: he is half-open no more, and what we opened to him lapses later. It ends
//! nobody.

use super::{Stage, Table, half_open};
use crate::ground::ConnId;
use tokio::time::Instant;

impl Table {
    /// It has sent a complete message.
    pub(in super::super) fn heard(&mut self, conn: ConnId) {
        self.clear_suspect(conn);
        self.is_silent_no_more(conn);
    }

    pub(super) fn is_silent_no_more(&mut self, conn: ConnId) {
        let Some(known) = self.open.get_mut(&conn) else { return };
        known.heard = Instant::now();
        if let Some(lapse) = &mut known.lapse {
            lapse.heard();
        }
        if known.stage != Stage::Silent {
            return;
        }
        known.stage = Stage::Heard;
        let source = half_open(known.way, known.side);
        if let Some(silent) = self.silent.get_mut(&source) {
            silent.remove(&conn);
            if silent.is_empty() {
                self.silent.remove(&source);
            }
        }
    }
}
