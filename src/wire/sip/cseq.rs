//! CSeq (RFC 3261 §20.16).

use super::Method;
use super::text::{is_token, trim};

/// `CSeq: 314159 INVITE`. The number is below 2^31.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CSeq {
    /// Sequence number.
    pub seq: u32,
    /// Method.
    pub method: Method,
}

impl CSeq {
    /// Reads a header value; `None` when it is broken, or names a known method in other letters'
    /// case.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(trim(value)).ok()?;
        let (number, method) = text.split_once([' ', '\t'])?;
        let method = method.trim_matches([' ', '\t']);
        if !is_token(method.as_bytes()) || !number.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let seq: u32 = number.parse().ok()?;
        let method = Method::from_token(method);
        (seq < 1 << 31 && method.in_other_case().is_none()).then_some(Self { seq, method })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_methods_are_read_and_limits_held() {
        let c = CSeq::parse(b"  0009   INVITE ").unwrap();
        assert_eq!((c.seq, c.method), (9, Method::Invite));
        assert_eq!(CSeq::parse(b"2147483647 X").unwrap().seq, 2_147_483_647);
        for bad in
            ["2147483648 INVITE", "36893488147419103232 A", "-1 A", "1", "A 1", "1 A B", "1 Invite"]
        {
            assert_eq!(CSeq::parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
