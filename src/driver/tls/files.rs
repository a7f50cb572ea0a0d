//! Certificates, keys and authorities from files in PEM form, each bounded in size; one that others
//! may change is refused, and a key that others may read. Faults name the file and never what is
//! in it.

use super::roots::Roots;
use crate::config::KeyPair;
use crate::driver::folder::{secret, trusted};
use crate::driver::state::why;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Octets of a file.
const LONGEST: u64 = 1 << 20;
/// Certificates of a chain that we show.
const CHAIN: usize = 8;

/// Where distributions keep authorities: a file of all, and the folders beside it.
const SYSTEM: [&str; 7] = [
    "/etc/ssl/certs",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/certs",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
];

/// A certificate's chain and its key.
pub(super) type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// What can be seen of a file without reading it: which it is, when it or its mode was changed, and
/// its length; `None`: it is not there.
pub(super) type Mark = Option<(u64, (i64, i64), u64)>;

pub(super) fn mark(path: &str) -> Mark {
    let about = std::fs::metadata(path).ok()?;
    Some((about.ino(), (about.ctime(), about.ctime_nsec()), about.len()))
}

/// Which file cannot be read, why, and what to do.
fn unread(path: &str, e: &io::Error) -> String {
    let then = match e.kind() == io::ErrorKind::NotFound {
        true => "; put it there, or name another",
        false => "",
    };
    format!("{path}: {}{then}", why(e))
}

pub(super) fn certificates(path: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let octets = trusted(Path::new(path), LONGEST).map_err(|e| unread(path, &e))?;
    chain(&octets).map_err(|what| format!("{path}: {what}"))
}

pub(super) fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let all = all.map_err(|e| format!("it is no whole PEM: {}", told(&e)))?;
    if all.is_empty() {
        return Err("it holds no certificate (-----BEGIN CERTIFICATE-----)".to_owned());
    }
    Ok(all)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "another crate's, which may grow")]
fn told(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { end_marker } => {
            let name = String::from_utf8_lossy(end_marker);
            format!("-----END {}----- is missing", name.escape_debug())
        }
        pem::Error::IllegalSectionStart { .. } => "a -----BEGIN line is broken".to_owned(),
        pem::Error::Base64Decode(_) => "what stands in it is no base64".to_owned(),
        other => other.to_string(),
    }
}

pub(super) fn key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    // What the reader says could quote the key.
    PrivateKeyDer::from_pem_slice(pem)
        .map_err(|_| "it holds no private key in PEM form, or an encrypted one".to_owned())
}

/// Both files of a pair.
pub(super) fn identity(pair: &KeyPair) -> Result<Identity, String> {
    let chain = certificates(&pair.certificate)?;
    if chain.len() > CHAIN {
        return Err(format!("{}: it holds more than {CHAIN} certificates", pair.certificate));
    }
    let text = secret(Path::new(&pair.key)).map_err(|e| unread(&pair.key, &e))?;
    let text = Zeroizing::new(text);
    let key = key(text.as_bytes()).map_err(|what| format!("{}: {what}", pair.key))?;
    Ok((chain, key))
}

/// Authorities of a file.
pub(super) fn authorities(path: &str) -> Result<Roots, String> {
    let mut roots = Roots::new();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|e| format!("{path}: {e}"))?;
    }
    Ok(roots)
}

/// Where this machine's authorities may stand: what the environment names, or else what
/// distributions have. One that is taken out of there changes its file or its folder.
pub(super) fn system_places() -> Vec<String> {
    let named = |name: &str| std::env::var_os(name);
    let folders = named("SSL_CERT_DIR").map(|all| std::env::split_paths(&all).collect::<Vec<_>>());
    let own = named("SSL_CERT_FILE").map(PathBuf::from).into_iter();
    let own: Vec<PathBuf> = own.chain(folders.into_iter().flatten()).collect();
    if own.is_empty() {
        return SYSTEM.iter().map(|path| (*path).to_owned()).collect();
    }
    own.iter().map(|path| path.display().to_string()).collect()
}

/// This machine's authorities.
pub(super) fn system() -> Result<Roots, String> {
    let mut roots = Roots::new();
    for certificate in rustls_native_certs::load_native_certs().certs {
        // What nobody can read is nobody's authority.
        let _ = roots.add(certificate);
    }
    if roots.is_empty() {
        return Err("this machine knows no authorities: install the package ca-certificates, or \
                    set verify = \"ca-file\" and ca_file"
            .to_owned());
    }
    Ok(roots)
}
