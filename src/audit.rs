//! Audit: records and the chain that makes edits visible. It never writes a file;
//! `driver::audit_log` does.

mod chain;
mod cut;
mod heads;
mod phone_report;
mod quality;
mod record;
mod summer;
mod verify;
mod words;

pub use chain::{Chain, GENESIS, hash, timestamp};
pub use heads::{Heads, NoHeads};
pub use phone_report::{PhoneFigures, PhoneReport};
pub use quality::{LegQuality, VoipReport};
pub use record::{
    CallEnd, LegMedia, PartyView, Record, Segment, Standing, StreamMedia, UpstreamNo,
};
pub use summer::Summer;
pub use verify::{Broken, Summary, verify};
pub use words::{
    Asked, BindingEvent, EndedBy, Finding, Outcome, Ruling, SecurityClass, TunnelEvent,
};

#[cfg(test)]
mod tests;
