//! Audit: records and the chain that makes edits visible. It never writes a file;
//! `driver::audit_log` does.

mod chain;
mod quality;
mod record;
mod summer;
mod verify;

pub use chain::{Chain, GENESIS, hash, timestamp};
pub use quality::{LegQuality, VoipReport};
pub use record::{CallEnd, LegMedia, Record, StreamMedia};
pub use summer::Summer;
pub use verify::{Broken, Summary, verify};

#[cfg(test)]
mod tests;
