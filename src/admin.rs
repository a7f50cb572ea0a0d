//! The HTTP side: metrics and health on loopback, which name nobody and change nothing; and, by a
//! unix socket, what does. It reads the session table, asks the event loop for what only that
//! knows, and decides nothing.

pub mod catalogue;
mod control;
mod desk;
mod guests;
mod host;
mod loopback;
mod metrics;
mod process;

pub use control::Control;
pub use desk::Desk;
pub use metrics::Metrics;
