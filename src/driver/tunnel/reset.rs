//! Stateless resets (RFC 9000 §10.3): who was restarted without a word knows nothing of a
//! connection and can say so only by a token that he gave before. So tokens are made from the
//! gateway's key, which stays, and a site need not wait until its head office seems silent.

use super::key::Key;
use hmac::{Hmac, KeyInit, Mac};
use quinn::EndpointConfig;
use quinn::crypto::{CryptoError, HmacKey};
use quinn_proto::HashedConnectionIdGenerator;
use sha2::{Digest, Sha256};
use std::net::SocketAddr;
use std::sync::Arc;
use zeroize::Zeroizing;

/// What is signed to make the secret: a signature of Ed25519 is the same each time (RFC 8032 §5.1),
/// and nobody else can make it.
const PURPOSE: &[u8] = b"portreeve: secret of stateless resets";

struct Secret(Hmac<Sha256>);

impl HmacKey for Secret {
    fn sign(&self, data: &[u8], out: &mut [u8]) {
        let tag = self.0.clone().chain_update(data).finalize().into_bytes();
        out.iter_mut().zip(tag).for_each(|(octet, made)| *octet = made);
    }

    fn signature_len(&self) -> usize {
        32
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        self.0.clone().chain_update(data).verify_slice(signature).map_err(|_| CryptoError)
    }
}

/// What numbers of connections are made with is no part of what their tokens are.
const NUMBERS: &[u8] = b"numbers";

/// How an endpoint of this gateway behaves that listens there: what one says of a connection by its
/// number, no other says, for it might be another's that lives. A key that cannot sign has a secret
/// by chance.
pub(super) fn endpoint(key: &Key, at: SocketAddr) -> EndpointConfig {
    let Some(secret) = secret_of(key, at) else { return EndpointConfig::default() };
    let Ok(mac) = Hmac::new_from_slice(&secret) else { return EndpointConfig::default() };
    let mut config = EndpointConfig::new(Arc::new(Secret(mac)));
    // Packets of a connection of before are known by their numbers for such, or they are dropped
    // before anybody thinks of a reset.
    let numbers = Sha256::new().chain_update(NUMBERS).chain_update(&*secret).finalize();
    let numbers = numbers.first_chunk().map_or(0, |first| u64::from_be_bytes(*first));
    config.cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(numbers)));
    config
}

fn secret_of(key: &Key, at: SocketAddr) -> Option<Zeroizing<Vec<u8>>> {
    let signer = key.signs.choose_scheme(&[rustls::SignatureScheme::ED25519])?;
    let what = [PURPOSE, at.to_string().as_bytes()].concat();
    let signed = signer.sign(&what).ok().map(Zeroizing::new)?;
    Some(Zeroizing::new(Sha256::digest(&*signed).to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_the_same_after_a_restart_and_no_other_key_makes_it() {
        let secret = |octets: &[u8]| Secret(Hmac::new_from_slice(octets).unwrap());
        let (mut one, mut again, mut other) = ([0; 16], [0; 16], [0; 16]);
        secret(b"a").sign(b"connection", &mut one);
        secret(b"a").sign(b"connection", &mut again);
        secret(b"b").sign(b"connection", &mut other);
        assert_eq!(one, again);
        assert_ne!(one, other);
        // Nor does the same key at another port.
        let dir = std::env::temp_dir().join(format!("portreeve-reset-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        super::super::key::make(&dir.join("key")).unwrap();
        let key = super::super::key::read(&dir.join("key")).unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
        let at = |port| SocketAddr::from(([0, 0, 0, 0], port));
        let token = |port| {
            let mut token = [0; 16];
            secret(&secret_of(&key, at(port)).unwrap()).sign(b"connection", &mut token);
            token
        };
        assert_eq!(token(443), token(443));
        assert_ne!(token(443), token(444));
        let mut whole = [0; 32];
        secret(b"a").sign(b"connection", &mut whole);
        assert!(secret(b"a").verify(b"connection", &whole).is_ok());
        assert!(secret(b"b").verify(b"connection", &whole).is_err());
    }
}
