//! Sealed identifiers: AES-SIV tokens (RFC 5297) that only this gateway opens (house decision 6).

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

/// Keys for sealing: the newest seals, all open.
#[derive(Clone)]
pub struct Sealer {}

#[expect(unused_variables, reason = "skeleton")]
impl Sealer {
    /// From key material: newest first; each with an id (0–61) and 64 octets (AES-256-SIV).
    #[must_use]
    pub fn new(keys: &[(u8, [u8; 64])]) -> Self {
        todo!()
    }
    /// Seals: key-id character, then base64url without padding. Deterministic.
    #[must_use]
    pub fn seal(&self, role: Role, plain: &[u8]) -> String {
        todo!()
    }
    /// Opens; `None`: not ours, tampered with, or another role.
    #[must_use]
    pub fn open(&self, role: Role, token: &str) -> Option<Vec<u8>> {
        todo!()
    }
}
