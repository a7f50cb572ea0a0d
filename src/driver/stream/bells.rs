//! How a connection's own tasks are woken. It says nothing of why.

use super::beat::Beat;
use tokio::sync::Notify;

/// One connection's.
#[derive(Debug, Default)]
pub(super) struct Bells {
    /// There is something to write, or it is to be closed.
    pub(super) news: Notify,
    /// It has to go at once.
    pub(super) gone: Notify,
    /// Whether its peer answers pings.
    pub(super) beat: Beat,
}
