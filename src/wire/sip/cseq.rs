//! CSeq (RFC 3261 §20.16).
use super::Method;

/// `CSeq: 314159 INVITE`. The number is below 2^31.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CSeq {
    /// Sequence number.
    pub seq: u32,
    /// Method.
    pub method: Method,
}

impl CSeq {
    /// Reads a header value; `None` when it is broken.
    #[must_use]
    pub fn parse(_value: &[u8]) -> Option<Self> {
        todo!()
    }
}
