//! A gateway's own key: Ed25519 (RFC 8032) in PKCS #8, in a file that only we may read. It is made
//! by `portreeve tunnel keygen` and never shown; the public half is.

use crate::config::PublicKey;
use crate::driver::folder::secret_of;
use rcgen::{KeyPair, PKCS_ED25519};
use rustls::crypto::ring::sign::any_eddsa_type;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};
use rustls::sign::SigningKey;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use zeroize::Zeroizing;

/// What stands before the key in a SubjectPublicKeyInfo of Ed25519 (RFC 8410 §4).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

const NO_KEY: &str = "there is no key: make one with `portreeve tunnel keygen`, and give the other \
                      end what it prints";

/// A key that can sign.
#[derive(Clone, Debug)]
pub struct Key {
    pub(super) signs: Arc<dyn SigningKey>,
    public: PublicKey,
    /// Where root reads it: whose it is, if neither ours nor root's.
    owner: Option<u32>,
}

impl Key {
    /// Whose it is where that is somebody else, who could change it.
    #[must_use]
    pub fn owner(&self) -> Option<u32> {
        self.owner
    }

    /// What others may know of it.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.public
    }
}

/// A public key as TLS shows it (RFC 7250 §3).
pub(super) fn spki(key: &PublicKey) -> SubjectPublicKeyInfoDer<'static> {
    [&SPKI[..], key.octets()].concat().into()
}

/// The key in what TLS shows; `None`: it is of another kind.
pub(super) fn public(spki: &[u8]) -> Option<PublicKey> {
    let octets = spki.strip_prefix(&SPKI)?.try_into().ok()?;
    Some(PublicKey::new(octets))
}

/// Makes a key and keeps it in a new file, mode 0600.
///
/// # Errors
/// In words: the file is there already, or cannot be written.
pub fn make(path: &Path) -> Result<PublicKey, String> {
    let told = |what: String| format!("{}: {what}", path.display());
    let pair = KeyPair::generate_for(&PKCS_ED25519).map_err(|e| told(e.to_string()))?;
    let text = Zeroizing::new(pair.serialize_pem());
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.map_err(|e| {
        let there = e.kind() == io::ErrorKind::AlreadyExists;
        told(if there { "is there already, and is kept".to_owned() } else { e.to_string() })
    })?;
    let kept = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    kept.map_err(|e| told(e.to_string()))?;
    Ok(read(path)?.public)
}

/// Reads a key.
///
/// # Errors
/// In words: it is not there, is no regular file, others may read or change it, or it is no key.
pub fn read(path: &Path) -> Result<Key, String> {
    let told = |what: &str| format!("{}: {what}", path.display());
    let (text, owner) = secret_of(path).map_err(|e| match e.kind() == io::ErrorKind::NotFound {
        true => told(NO_KEY),
        false => told(&e.to_string()),
    })?;
    let text = Zeroizing::new(text);
    let key = PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes());
    let signs = key.ok().and_then(|key| any_eddsa_type(&key).ok());
    let signs = signs.ok_or_else(|| told("is no Ed25519 key in PEM form (PKCS #8)"))?;
    let shown = signs.public_key().and_then(|spki| public(&spki));
    let public = shown.ok_or_else(|| told("has no public half"))?;
    Ok(Key { signs, public, owner })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    #[test]
    fn a_key_is_made_once_read_by_us_alone_and_shows_its_public_half() {
        let dir = std::env::temp_dir().join(format!("portreeve-key-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let file = dir.join("tunnel.key");
        let _ = std::fs::remove_file(&file);
        assert!(read(&file).unwrap_err().contains("portreeve tunnel keygen"));
        let public = make(&file).unwrap();
        assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        let key = read(&file).unwrap();
        assert_eq!(key.public(), public);
        assert_eq!(super::public(&spki(&public)), Some(public));
        assert!(make(&file).unwrap_err().contains("is kept"), "nothing is overwritten");
        assert_eq!(read(&file).unwrap().public(), public);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(read(&file).unwrap_err().contains("chmod 600"));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&file, "no key").unwrap();
        assert!(read(&file).unwrap_err().contains("no Ed25519 key"));
        assert!(!format!("{key:?}").contains("PRIVATE"));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
