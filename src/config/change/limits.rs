//! When new limits count. It changes none.

use super::Changes;
use crate::config::{Config, Limits};

/// `ports`: as the new file has them.
pub(super) fn limits(c: &mut Changes, running: &Config, new: &mut Limits, ports: (u16, u16)) {
    let old = &running.limits;
    let Limits {
        calls,
        calls_per_user,
        transactions,
        transactions_per_source,
        transactions_per_user,
        dialogs,
        bindings,
        bindings_per_user,
        connections,
        connections_per_source,
        share_percent,
        emergency_per_source,
        silent_call,
        recent_calls,
        trace,
    } = new;
    if ports != running.media.ports && *calls > old.calls {
        // More calls were checked against ports that are not there yet.
        c.keep("limits.calls", &old.calls, calls);
    }
    c.now("limits.calls", &old.calls, calls);
    c.now("limits.calls_per_user", &old.calls_per_user, calls_per_user);
    c.now("limits.transactions", &old.transactions, transactions);
    let per_source = (&old.transactions_per_source, transactions_per_source);
    c.now("limits.transactions_per_source", per_source.0, per_source.1);
    c.now("limits.transactions_per_user", &old.transactions_per_user, transactions_per_user);
    c.now("limits.dialogs", &old.dialogs, dialogs);
    c.now("limits.bindings", &old.bindings, bindings);
    c.now("limits.bindings_per_user", &old.bindings_per_user, bindings_per_user);
    c.now("limits.connections", &old.connections, connections);
    c.now("limits.connections_per_source", &old.connections_per_source, connections_per_source);
    c.now("limits.share_percent", &old.share_percent, share_percent);
    c.now("limits.emergency_per_source", &old.emergency_per_source, emergency_per_source);
    c.later("limits.silent_call", &old.silent_call, silent_call);
    c.now("limits.recent_calls", &old.recent_calls, recent_calls);
    c.later("limits.trace", &old.trace, trace);
}
