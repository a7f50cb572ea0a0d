//! The HTTP side: metrics and health on loopback, which name nobody and change nothing; the page,
//! for who has its token; and, by a unix socket, what changes anything. It reads the session table,
//! asks the event loop for what only that knows, and decides nothing.

pub mod catalogue;
mod control;
mod desk;
mod guests;
mod host;
mod loopback;
mod metrics;
mod page;
mod process;

pub use control::Control;
pub use desk::Desk;
pub use metrics::Metrics;
pub use page::PageOptions;
