//! How much of a certificate's chain is looked at. Who shows one has proved nothing yet, and the
//! ways among authorities that he names grow with their factorial; so there are few of them, and
//! short ones. It believes nobody.

use super::failure::Failure;
use crate::engine::stats::TlsFailure;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use std::sync::Arc;

/// Certificates beside that of who shows them.
const REST: usize = 4;
/// Octets of them all.
const OCTETS: usize = 16 * 1024;

/// # Errors
/// It is a longer chain than anybody needs.
pub(super) fn bounded(
    end: &CertificateDer<'_>,
    rest: &[CertificateDer<'_>],
) -> Result<(), Failure> {
    let octets = rest.iter().fold(end.len(), |sum, one| sum.saturating_add(one.len()));
    if rest.len() <= REST && octets <= OCTETS {
        return Ok(());
    }
    let text = format!(
        "it shows a chain of {} certificates and {octets} octets, and {} and {OCTETS} are read: \
         it should show its own and those between it and its authority",
        rest.len() + 1,
        REST + 1
    );
    Err(Failure::new(TlsFailure::Certificate, text))
}

/// Who asks phones for certificates, and looks at no more of them than that.
#[derive(Debug)]
pub(super) struct Bounded(pub(super) Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for Bounded {
    fn offer_client_auth(&self) -> bool {
        self.0.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.0.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        bounded(end_entity, intermediates).map_err(Failure::wrapped)?;
        self.0.verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
