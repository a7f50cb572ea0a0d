//! SIP messages (RFC 3261 §7, §25) as spans over one buffer with ordered edits.

mod aor;
mod cseq;
mod framer;
mod header;
mod lines;
mod message;
mod method;
mod name_addr;
mod params;
mod parse;
mod raw;
mod realm;
mod refusal;
mod required;
pub mod route_set;
mod start_line;
#[cfg(test)]
mod tests;
mod text;
mod torn;
mod uri;
mod via;

pub use aor::Aor;
pub use cseq::CSeq;
pub use framer::{Framed, Framer};
pub use header::Name;
pub use lines::is_keepalive;
pub use message::{Framing, Message};
pub use method::Method;
pub use name_addr::NameAddr;
pub use params::Params;
pub(crate) use raw::{RawNameAddr, RawVia};
pub use realm::is_of_another_realm;
pub use refusal::{Refusal, RejectReason, Torn};
pub(crate) use uri::host_ip;
pub use uri::{Scheme, Uri, unescape};
pub use via::Via;
