//! A gateway's public key, as files write it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt;

/// A gateway's public key (Ed25519, RFC 8032): 32 octets, written in base64.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// From its octets.
    #[must_use]
    pub fn new(octets: [u8; 32]) -> Self {
        Self(octets)
    }

    /// Its octets.
    #[must_use]
    pub fn octets(&self) -> &[u8; 32] {
        &self.0
    }

    /// `None`: it is not 32 octets in base64 (RFC 4648 §4), or everybody's ([`Self::is_anybodys`]).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::decode(text).filter(|key| !key.is_anybodys())
    }

    pub(super) fn decode(text: &str) -> Option<Self> {
        STANDARD.decode(text).ok()?.try_into().ok().map(Self)
    }

    /// A point of small order, in whatever form: for it anybody finds a signature of anything, and
    /// nothing that verifies one refuses it (RFC 8032 §8.9). That of 32 zeros is one, which stands
    /// where somebody meant to write none.
    #[must_use]
    pub fn is_anybodys(&self) -> bool {
        // Which of two points with this y it is, and nothing else.
        let mut y = self.0;
        y[31] &= 0x7f;
        let near = |low: u8| {
            let mut y = [0xff; 32];
            (y[0], y[31]) = (low, 0x7f);
            y
        };
        // 0 and 1; p - 1, p and p + 1.
        let small = |n: u8| {
            let mut y = [0; 32];
            y[0] = n;
            y
        };
        [small(0), small(1), near(0xec), near(0xed), near(0xee), OF_ORDER_8[0], OF_ORDER_8[1]]
            .contains(&y)
    }
}

/// The two y of the points of order 8.
const OF_ORDER_8: [[u8; 32]; 2] = [
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
];

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_everybody_can_sign_for_is_none() {
        let mut weak = vec![[0; 32], [0xff; 32], OF_ORDER_8[0], OF_ORDER_8[1]];
        weak[1][0] = 0xec;
        for (low, rest) in [(1, 0), (0xec, 0xff), (0xed, 0xff), (0xee, 0xff)] {
            let mut y = [rest; 32];
            (y[0], y[31]) = (low, rest & 0x7f);
            weak.push(y);
        }
        for y in weak {
            for sign in [0, 0x80] {
                let mut key = y;
                key[31] |= sign;
                let text = STANDARD.encode(key);
                assert_eq!(PublicKey::parse(&text), None, "{text}");
            }
        }
        for y in [2, 0x58] {
            let text = STANDARD.encode([y; 32]);
            assert!(PublicKey::parse(&text).is_some(), "{text}");
        }
        assert_eq!(PublicKey::parse("AAAA"), None);
    }
}
