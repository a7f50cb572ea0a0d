//! What shares are told of and how: the closed sets behind metrics, records and
//! `status --shares`.

use crate::ground::words;

words! {
    /// What has places: the tables that fill.
    pub enum Resource {
        /// Server transactions of requests outside dialogs.
        Transactions = "transactions",
        /// Server transactions of requests within dialogs.
        InDialog = "in_dialog",
        /// Calls that are not over.
        Calls = "calls",
        /// Calls and subscriptions.
        Dialogs = "dialogs",
        /// Calls that were challenged: their media wait for the next attempt.
        Parked = "parked",
        /// Media streams, each two port pairs.
        Ports = "ports",
        /// Registrations.
        Bindings = "bindings",
        /// Stream connections.
        Connections = "connections",
        /// Octets that wait to be written to connections.
        Buffers = "buffers",
        /// Connections of readers of metrics and health.
        Http = "http",
        /// Octets of messages that server transactions keep.
        Messages = "messages",
    }
}

words! {
    /// Why there is no room.
    pub enum Full {
        /// Everything is held, and nobody has to give way.
        Total = "total",
        /// The source holds its share, and none of it may give way.
        Source = "source",
        /// The user holds his share.
        User = "user",
    }
}

/// How a table stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareView {
    /// Which.
    pub resource: Resource,
    /// Places held.
    pub used: usize,
    /// Places in all.
    pub total: usize,
    /// Those of them that are reserve.
    pub reserve: usize,
    /// A source's share.
    pub per_source: usize,
    /// A proved user's share; `None`: he has a cap of another kind here.
    pub per_user: Option<usize>,
    /// Who holds most (a source, or a user), and how much; `None`: nobody holds anything, or
    /// upstreams alone.
    pub fullest: Option<(String, usize)>,
}
