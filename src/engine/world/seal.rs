//! Sealed identifiers: AES-SIV tokens (RFC 5297) that only this gateway opens (house decision 6).
//! It seals and opens; what a token means is its caller's word.

use aes_siv::KeyInit;
use aes_siv::siv::Aes256Siv;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// What a token is for; authenticated, so that one role's token never opens as another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// User part of a Contact.
    Contact,
    /// User part of our Record-Route.
    Route,
    /// A Call-ID that names an inside host.
    CallId,
}

impl Role {
    fn data(self) -> &'static [u8] {
        match self {
            Self::Contact => b"portreeve contact",
            Self::Route => b"portreeve route",
            Self::CallId => b"portreeve call-id",
        }
    }
}

/// Key ids as the first character of a token.
const IDS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Octets of the longest token that is tried.
const LONGEST: usize = 12_000;

/// Keys for sealing: the newest seals, all open.
#[derive(Clone)]
pub struct Sealer {
    keys: Vec<(u8, [u8; 64])>,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealer").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

impl Sealer {
    /// From key material: newest first; each with an id (0–61) and 64 octets (AES-256-SIV).
    #[must_use]
    pub fn new(keys: &[(u8, [u8; 64])]) -> Self {
        Self { keys: keys.to_vec() }
    }

    /// Seals: key-id character, then base64url without padding. Deterministic: equal inputs give
    /// equal tokens, so that a phone keeps its name across refreshes and restarts.
    #[must_use]
    pub fn seal(&self, role: Role, plain: &[u8]) -> String {
        let Some((id, key)) = self.keys.first() else { return String::new() };
        let mut siv = Aes256Siv::new(&(*key).into());
        // Encryption fails only for data beyond 2^36 octets.
        let sealed = siv.encrypt([role.data()], plain).unwrap_or_default();
        let mut out = String::with_capacity(1 + sealed.len() * 4 / 3 + 3);
        out.push(char::from(IDS.get(usize::from(*id)).copied().unwrap_or(b'0')));
        URL_SAFE_NO_PAD.encode_string(sealed, &mut out);
        out
    }

    /// Another instance id in place of a phone's own (RFC 5626 §4.1): a UUID (RFC 9562 §5.8) that
    /// is the same for the same phone as long as the oldest key is kept.
    #[must_use]
    pub fn instance(&self, own: &str) -> String {
        let mut h = Sha256::new();
        if let Some((_, key)) = self.keys.last() {
            h.update(key);
        }
        h.update(b"portreeve instance");
        h.update(own.to_ascii_lowercase());
        let digest: [u8; 32] = h.finalize().into();
        let mut bits = digest.iter().take(16).fold(0_u128, |bits, b| bits << 8 | u128::from(*b));
        bits &= !(0xf << 76 | 0x3 << 62);
        bits |= 0x8 << 76 | 0x2 << 62;
        let hex = format!("{bits:032x}");
        let part = |range: std::ops::Range<usize>| hex.get(range).unwrap_or_default();
        let [a, b, c, d, e] = [part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)];
        format!("urn:uuid:{a}-{b}-{c}-{d}-{e}")
    }

    /// Opens; `None`: not ours, tampered with, or another role.
    #[must_use]
    pub fn open(&self, role: Role, token: &str) -> Option<Vec<u8>> {
        if token.len() > LONGEST || token.len() < 23 {
            return None;
        }
        let (id, rest) = token.split_at_checked(1)?;
        let id = IDS.iter().position(|c| id.as_bytes() == [*c])?;
        let (_, key) = self.keys.iter().find(|(k, _)| usize::from(*k) == id)?;
        let sealed = URL_SAFE_NO_PAD.decode(rest).ok()?;
        Aes256Siv::new(&(*key).into()).decrypt([role.data()], &sealed).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sealer() -> Sealer {
        Sealer::new(&[(2, [7; 64]), (1, [9; 64])])
    }

    #[test]
    fn tokens_are_stable_short_and_of_one_role() {
        let s = sealer();
        let token = s.seal(Role::Contact, &[5; 20]);
        assert_eq!(token, s.seal(Role::Contact, &[5; 20]));
        assert!(token.len() <= 64 && token.starts_with('2'), "{token}");
        assert_eq!(s.open(Role::Contact, &token), Some(vec![5; 20]));
        assert_eq!(s.open(Role::Route, &token), None);
        let old = Sealer::new(&[(1, [9; 64])]).seal(Role::CallId, b"abc@10.0.0.1");
        assert_eq!(s.open(Role::CallId, &old), Some(b"abc@10.0.0.1".to_vec()));
        assert_eq!(Sealer::new(&[(2, [8; 64])]).open(Role::Contact, &token), None);
        assert!(!format!("{s:?}").contains('7'));
    }

    #[test]
    fn an_instance_is_another_uuid_for_the_life_of_a_phone() {
        let own = "urn:uuid:00000000-0000-1000-8000-0004F2A1B2C3";
        let sealed = sealer().instance(own);
        assert_eq!(sealed, sealer().instance(&own.to_lowercase()));
        // A newer key in front changes no name.
        let newer = Sealer::new(&[(3, [8; 64]), (2, [7; 64]), (1, [9; 64])]);
        assert_eq!(sealed, newer.instance(own));
        assert_ne!(sealed, Sealer::new(&[(1, [8; 64])]).instance(own));
        assert_ne!(sealed, sealer().instance("urn:uuid:00000000-0000-1000-8000-0004F2A1B2C4"));
        assert!(!sealed.to_lowercase().contains("0004f2a1b2c3"));
        let groups: Vec<usize> = sealed["urn:uuid:".len()..].split('-').map(str::len).collect();
        assert_eq!(groups, [8, 4, 4, 4, 12], "{sealed}");
        assert_eq!(sealed.as_bytes()[9 + 14], b'8', "{sealed}");
        assert!(b"89ab".contains(&sealed.as_bytes()[9 + 19]), "{sealed}");
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_and_what_is_changed_does_not(plain: Vec<u8>, at in 1usize..40, with in "[A-Za-z0-9_-]") {
            let s = sealer();
            let token = s.seal(Role::Contact, &plain);
            prop_assert_eq!(s.open(Role::Contact, &token), Some(plain));
            let mut other = token.clone();
            let end = (at + 1).min(other.len());
            other.replace_range(at.min(end)..end, &with);
            if other != token {
                prop_assert_eq!(s.open(Role::Contact, &other), None);
            }
        }

        #[test]
        fn no_token_panics(token in "\\PC{0,80}") {
            let _ = sealer().open(Role::Route, &token);
        }
    }
}
