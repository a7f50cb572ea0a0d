//! Nonces that nobody has to remember: the second they were made in, and proofs that we made them
//! and for whom. Of two made for different sources neither is good for the other.

use crate::policy::quota::Source;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// Octets of the time and the number.
const MADE: usize = 12;
/// Octets that prove that it is ours.
const PROOF: usize = 12;
/// Octets that prove whom it was made for.
const FOR: usize = 6;

/// Where a nonce is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Made here, for this source.
    Ours {
        /// Wall seconds.
        made: u64,
    },
    /// Made here, for another source.
    OfAnother,
    /// Not made here, or under another secret.
    Unknown,
}

/// Makes and reads them.
pub(super) struct Nonces {
    /// Keyed, and begun with the realm: each proof goes on from here.
    begun: Hmac<Sha256>,
    /// Nonces given in place of used ones: each is another, even within a second.
    renewed: u32,
}

impl Nonces {
    pub(super) fn new(realm: &str, secret: [u8; 32]) -> Self {
        // RFC 2104 §2: a shorter key is filled up with zeros.
        let mut key = [0; 64];
        key[..32].copy_from_slice(&secret);
        let mut begun = Hmac::<Sha256>::new(&key.into());
        begun.update(realm.as_bytes());
        Self { begun, renewed: 0 }
    }

    /// One for a source: the same within a second, unless it is to replace another.
    pub(super) fn make(&mut self, seconds: u64, by: Source, again: bool) -> String {
        if again {
            self.renewed = self.renewed.wrapping_add(1);
        }
        let number = if again { self.renewed } else { 0 };
        let made = [&seconds.to_be_bytes()[..], &number.to_be_bytes()].concat();
        let (proof, whom) = (self.mac(&made, None), self.mac(&made, Some(by)));
        let raw = made.iter().chain(proof.iter().take(PROOF)).chain(whom.iter().take(FOR));
        URL_SAFE_NO_PAD.encode(raw.copied().collect::<Vec<u8>>())
    }

    /// Where this one is from.
    pub(super) fn origin(&self, nonce: &str, by: Source) -> Origin {
        self.read(nonce, by).unwrap_or(Origin::Unknown)
    }

    fn read(&self, nonce: &str, by: Source) -> Option<Origin> {
        let raw = URL_SAFE_NO_PAD.decode(nonce).ok()?;
        let (made, proofs) = raw.split_at_checked(MADE)?;
        let (proof, whom) = proofs.split_at_checked(PROOF)?;
        let is = |given: &[u8], length: usize, mac: [u8; 32]| -> bool {
            mac.get(..length).is_some_and(|m| m.ct_eq(given).into())
        };
        if !is(proof, PROOF, self.mac(made, None)) {
            return None;
        }
        let seconds = u64::from_be_bytes(made.get(..8)?.try_into().ok()?);
        let ours = is(whom, FOR, self.mac(made, Some(by)));
        Some(if ours { Origin::Ours { made: seconds } } else { Origin::OfAnother })
    }

    fn mac(&self, made: &[u8], whom: Option<Source>) -> [u8; 32] {
        let mut mac = self.begun.clone();
        mac.update(made);
        if let Some(source) = whom {
            mac.update(source.to_string().as_bytes());
        }
        mac.finalize().into_bytes().into()
    }
}
