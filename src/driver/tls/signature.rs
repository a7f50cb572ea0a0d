//! That who shows a certificate has its key: the signature of a handshake, by the key alone. What
//! else a certificate says, and of which version it is, is others' business.

use super::facts;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use rustls::{CertificateError, DigitallySignedStruct, Error};

const BAD: Error = Error::InvalidCertificate(CertificateError::BadEncoding);

/// By TLS 1.2.
pub(super) fn by_tls12(
    message: &[u8],
    cert: &CertificateDer<'_>,
    dss: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    let key = facts::key(cert).ok_or(BAD)?;
    let known = algorithms.mapping.iter().find(|(scheme, _)| *scheme == dss.scheme);
    let mut those = known.iter().flat_map(|(_, those)| those.iter());
    let signed = those.any(|one| {
        one.public_key_alg_id().as_ref() == key.algorithm
            && one.verify_signature(key.octets, message, dss.signature()).is_ok()
    });
    let bad = Error::InvalidCertificate(CertificateError::BadSignature);
    signed.then(HandshakeSignatureValid::assertion).ok_or(bad)
}

/// By TLS 1.3.
pub(super) fn by_tls13(
    message: &[u8],
    cert: &CertificateDer<'_>,
    dss: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    let key = facts::key(cert).ok_or(BAD)?;
    let key = SubjectPublicKeyInfoDer::from(key.whole);
    verify_tls13_signature_with_raw_key(message, &key, dss, algorithms)
}
