//! Calls and subscriptions that nothing would end, and timers of such as are gone. It ends none.

use super::{Calls, Due, Kind, State};
use crate::ground::CallNo;
use std::collections::BTreeSet;

impl Calls {
    /// All of them, in words. `open`: calls that a request under way is of.
    pub(crate) fn loose_ends(&self, open: &BTreeSet<CallNo>) -> Vec<String> {
        let owned = |due: &Due| match due {
            Due::Parked(no) => self.parked.knows(*no),
            Due::Ack(no) | Due::Subscription(no) | Due::Silence(no) | Due::Bye(no) => {
                self.table.get(*no).is_some()
            }
        };
        let idle = self.timers.keys().filter(|due| !owned(due));
        let mut all: Vec<String> = idle.map(|due| format!("a timer of nobody: {due:?}")).collect();
        let ends = |c: &super::Call| match (c.kind, c.state) {
            // A request that waits for its answer.
            (_, State::Early) => open.contains(&c.no),
            (Kind::Subscription, State::Confirmed | State::Ending) => {
                self.timers.is_armed(Due::Subscription(c.no))
            }
            (Kind::Call, State::Confirmed) => self.timers.is_armed(Due::Silence(c.no)),
            // The answer to its BYE, or that BYE once more.
            (Kind::Call, State::Ending) => {
                let bye = open.contains(&c.no) || self.timers.is_armed(Due::Bye(c.no));
                bye && self.timers.is_armed(Due::Silence(c.no))
            }
        };
        let endless = self.table.all().filter(|c| !ends(c));
        all.extend(endless.map(|c| format!("{c} has no end")));
        let parked = self.parked.numbers().filter(|no| !self.timers.is_armed(Due::Parked(*no)));
        all.extend(parked.map(|no| format!("call {no} is parked without end")));
        let idle = self.media.up();
        let idle = idle.filter(|no| self.table.get(*no).is_none() && !self.parked.knows(*no));
        all.extend(idle.map(|no| format!("media of no call: {no}")));
        all
    }
}
