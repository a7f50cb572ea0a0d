//! Transactions that nothing would end, and timers and names of such as are gone. It ends none.

use super::lost::Rider;
use super::{Due, Pass, Transactions};
use crate::engine::ids::{ClientId, ServerId};
use crate::ground::CallNo;
use std::collections::BTreeSet;

impl Transactions {
    /// Calls that something under way is of: whatever becomes of it they hear.
    pub(crate) fn calls(&self) -> BTreeSet<CallNo> {
        let open = self.passes.values().filter(|p| self.servers.contains_key(&p.server()));
        open.filter_map(|p| p.purpose().call()).collect()
    }

    /// All of them, in words.
    pub(crate) fn loose_ends(&self) -> Vec<String> {
        let mut all = Vec::new();
        self.idle_timers(&mut all);
        let endless = self.servers.keys().filter(|id| !self.ends_server(**id));
        all.extend(endless.map(|id| format!("{id:?} has no end: {}", self.servers[id])));
        let endless = self.clients.keys().filter(|id| !self.ends_client(**id));
        all.extend(endless.map(|id| format!("{id:?} has no end: {}", self.clients[id])));
        self.idle_names(&mut all);
        all
    }

    fn idle_timers(&self, all: &mut Vec<String>) {
        let owned = |due: &Due| match due {
            Due::Server(id, _) => self.servers.contains_key(id),
            Due::Client(id, _)
            | Due::CancelWait(id)
            | Due::NextTarget(id)
            | Due::Quiet(id)
            | Due::Again(id)
            | Due::TooLong(id) => self.clients.contains_key(id),
            Due::Held(id) => self.passes.contains_key(id),
        };
        let idle = self.timers.keys().filter(|due| !owned(due));
        all.extend(idle.map(|due| format!("a timer of nobody: {due:?}")));
    }

    /// A timer of its own, or a request that it waits for: that one has a timer.
    fn ends_server(&self, id: ServerId) -> bool {
        let Some(t) = self.servers.get(&id) else { return false };
        let waits = || {
            let held = t.pass.is_some_and(|pass| self.timers.is_armed(Due::Held(pass)));
            let pass = t.pass.and_then(|pass| self.passes.get(&pass));
            let asks = |p: &Pass| p.clients().any(|client| self.clients.contains_key(&client));
            held || pass.is_some_and(asks)
        };
        t.timers().iter().any(|timer| self.timers.is_armed(Due::Server(id, *timer))) || waits()
    }

    fn ends_client(&self, id: ClientId) -> bool {
        let Some(t) = self.clients.get(&id) else { return false };
        self.timers.is_armed(Due::CancelWait(id))
            || self.timers.is_armed(Due::TooLong(id))
            || t.timers().iter().any(|timer| self.timers.is_armed(Due::Client(id, *timer)))
    }

    /// Indexes lead to what is there.
    fn idle_names(&self, all: &mut Vec<String>) {
        let servers = self.server_keys.values().chain(self.twins.values());
        let idle = servers.filter(|id| !self.servers.contains_key(id)).count();
        all.extend((idle > 0).then(|| format!("{idle} keys of no server transaction")));
        let clients = self.client_keys.values().chain(self.ways.iter().map(|(_, _, id)| id));
        let idle = clients.filter(|id| !self.clients.contains_key(id)).count();
        all.extend((idle > 0).then(|| format!("{idle} keys or ways of no client transaction")));
        let gone = |rider: &&Rider| match rider {
            Rider::Server(id) => !self.servers.contains_key(id),
            Rider::Client(id) => !self.clients.contains_key(id),
        };
        let idle = self.riders.all().filter(gone).count();
        all.extend((idle > 0).then(|| format!("{idle} riders that are gone")));
        let lives = |p: &Pass| {
            self.servers.contains_key(&p.server())
                || p.clients().any(|client| self.clients.contains_key(&client))
        };
        let idle = self.passes.values().filter(|p| !lives(p)).count();
        all.extend((idle > 0).then(|| format!("{idle} passes of nobody")));
    }
}
