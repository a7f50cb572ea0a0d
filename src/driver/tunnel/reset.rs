//! Stateless resets (RFC 9000 §10.3): who was restarted without a word knows nothing of a
//! connection and can say so only by a token that he gave before. So tokens are made from the
//! gateway's key, which stays, and a site need not wait until its head office seems silent.

use super::key::Key;
use crate::driver::state::random;
use hmac::{Hmac, KeyInit, Mac};
use quinn::EndpointConfig;
use quinn::crypto::{CryptoError, HmacKey};
use quinn_proto::{ConnectionId, ConnectionIdGenerator, InvalidCid, RandomConnectionIdGenerator};
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
/// Octets of such a number by chance, and all of them. Each packet of a site's carries one.
const NUMBER: (usize, usize) = (3, 4);

/// Numbers of a head office's connections. The last octet says that one may be ours: of what comes
/// from anywhere most is dropped unread.
struct Numbers(Arc<Secret>);

impl Numbers {
    fn mark(&self, chance: &[u8]) -> u8 {
        let tag = self.0.0.clone().chain_update(NUMBERS).chain_update(chance).finalize();
        tag.into_bytes().first().copied().unwrap_or_default()
    }
}

impl ConnectionIdGenerator for Numbers {
    fn generate_cid(&mut self) -> ConnectionId {
        let chance: [u8; NUMBER.0] = random();
        ConnectionId::new(&[&chance[..], &[self.mark(&chance)]].concat())
    }

    fn validate(&self, number: &ConnectionId) -> Result<(), InvalidCid> {
        match number.split_last() {
            Some((mark, chance)) if *mark == self.mark(chance) => Ok(()),
            Some(_) | None => Err(InvalidCid),
        }
    }

    fn cid_len(&self) -> usize {
        NUMBER.1
    }

    fn cid_lifetime(&self) -> Option<std::time::Duration> {
        None
    }
}

/// How a site's endpoint behaves: it has a socket for each connection, so that what comes there is
/// of that one, and needs no number.
pub(super) fn of_site() -> EndpointConfig {
    let mut config = EndpointConfig::default();
    config.cid_generator(|| Box::new(RandomConnectionIdGenerator::new(0)));
    config
}

/// How an endpoint of this gateway behaves that listens there: what one says of a connection by its
/// number, no other says, for it might be another's that lives. A key that cannot sign has a secret
/// by chance.
pub(super) fn endpoint(key: &Key, at: SocketAddr) -> EndpointConfig {
    let Some(secret) = secret_of(key, at) else { return EndpointConfig::default() };
    let Ok(mac) = Hmac::new_from_slice(&secret) else { return EndpointConfig::default() };
    let secret = Arc::new(Secret(mac));
    let mut config = EndpointConfig::new(secret.clone());
    // Packets of a connection of before are known by their numbers for such, or they are dropped
    // before anybody thinks of a reset.
    config.cid_generator(move || Box::new(Numbers(secret.clone())));
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

    #[test]
    fn a_number_is_known_for_one_of_this_gateway_after_a_restart_and_most_others_are_not() {
        let numbers =
            |octets: &[u8]| Numbers(Arc::new(Secret(Hmac::new_from_slice(octets).unwrap())));
        let (mut one, again, other) = (numbers(b"a"), numbers(b"a"), numbers(b"b"));
        let all: Vec<ConnectionId> = (0..500).map(|_| one.generate_cid()).collect();
        assert!(all.iter().all(|n| n.len() == NUMBER.1 && again.validate(n).is_ok()));
        let taken = all.iter().filter(|n| other.validate(n).is_ok()).count();
        assert!(taken < 50, "{taken} of 500, and 2 are to be expected");
        assert!(one.validate(&ConnectionId::new(&[])).is_err());
    }
}
