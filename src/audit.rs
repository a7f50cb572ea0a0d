//! Audit: records and the chain that makes edits visible. It never writes a file; `driver::audit_log`
//! does.

mod record;

pub use record::{CallEnd, LegMedia, Record, StreamMedia};
