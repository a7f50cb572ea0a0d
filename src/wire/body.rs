//! What a body is, and the few things that are done to bodies that are no SDP: multipart is split
//! and joined (RFC 2046), text that can name hosts is scrubbed. What may pass is the engine's word.

mod kind;
mod multipart;
mod scrub;

pub use kind::{Kind, Unreadable, hides_a_part, is_optional, is_text};
pub use multipart::{Part, join, split};
pub use scrub::{names_inside, scrub, scrub_names, scrub_user};

#[cfg(test)]
mod tests;
