//! What the loop sees of the volumes that records and registrations are written to. It writes
//! nothing; whoever writes says how that goes.

use super::event_loop::EventLoop;
use crate::driver::state::Health;
use crate::engine::Input;
use crate::ground::Now;
use std::sync::atomic::Ordering::Relaxed;

impl EventLoop {
    /// A volume that takes no records stops new calls where the site demands records.
    pub(super) fn watch_audit(&mut self) {
        let full = self.counters.as_ref().is_some_and(|c| c.full.load(Relaxed));
        if full == self.audit_full {
            return;
        }
        self.audit_full = full;
        if full {
            tracing::error!("the audit log takes no records: free space on its volume");
        } else {
            tracing::info!("the audit log takes records again");
        }
        if self.config.audit.refuse_when_full {
            self.step(Input::AuditFull(full));
        }
    }

    /// A write that fails is told by who makes it; of one that does not come back only others can.
    pub(super) fn watch_state(&mut self, now: Now) {
        let hangs = self.state.health(now.mono) == Health::Hangs;
        if hangs == self.state_hangs {
            return;
        }
        self.state_hangs = hangs;
        if hangs {
            tracing::error!(
                "the state volume hangs: calls go on, changes of registrations wait in memory; \
                 see what is wrong with its disk or its file server"
            );
        } else {
            tracing::info!("the state volume answers again");
        }
    }
}
