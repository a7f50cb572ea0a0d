//! Who connects and shows a certificate: by an authority of the interface's file he is named, and
//! else nobody. Where he is only asked, what he cannot prove costs him the name and no more. It
//! knows no rule.

use super::chain::{CALLS, Chain, SINGLE, apart, bounded, leads};
use super::facts::Facts;
use super::failure::{Failure, Whose, of_chain};
use super::roots::Roots;
use super::signature::{by_tls12, by_tls13};
use crate::engine::stats::TlsFailure;
use crate::ground::{Subject, Wall};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use std::sync::{Arc, Mutex, PoisonError};

/// Who is believed at one interface.
#[derive(Debug)]
pub(super) struct Callers {
    roots: Roots,
    hints: Vec<DistinguishedName>,
    algorithms: WebPkiSupportedAlgorithms,
    /// Who proves nothing is not let in.
    must: bool,
}

/// What a certificate proved.
#[derive(Clone, Debug)]
pub(super) struct Proved {
    pub(super) names: Vec<Subject>,
    /// For how long.
    pub(super) until: Wall,
    /// By which certificates.
    pub(super) chain: Chain,
}

impl Callers {
    /// `must`: who proves nothing is not let in; `tells`: who is asked hears whom we believe.
    pub(super) fn new(
        roots: Roots,
        algorithms: WebPkiSupportedAlgorithms,
        (must, tells): (bool, bool),
    ) -> Self {
        let hints = if tells { roots.subjects() } else { Vec::new() };
        Self { hints, roots, algorithms, must }
    }

    pub(super) fn prove(
        &self,
        end: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<Proved, Failure> {
        bounded(end, rest)?;
        apart(rest, SINGLE)?;
        let facts = Facts::of(end).ok_or_else(Failure::unread)?;
        let wall = Wall(std::time::Duration::from_secs(now.as_secs()));
        let by = (&self.algorithms, now);
        let path = leads((end, &facts), rest, &self.roots, by, CALLS)
            .map_err(|e| of_chain(&e, &facts, wall, Whose::Caller))?;
        let names = facts.subjects(path.constrained);
        if names.is_empty() && !self.must {
            let text = "its certificate names nobody: it needs a DNS name or a URI";
            return Err(Failure::new(TlsFailure::Name, text));
        }
        Ok(Proved { names, until: path.until, chain: path.whole(end) })
    }
}

/// One who connects is asked.
#[derive(Debug)]
pub(super) struct Asked {
    callers: Arc<Callers>,
    told: Mutex<Option<Result<Proved, Failure>>>,
}

impl Asked {
    pub(super) fn new(callers: Arc<Callers>) -> Self {
        Self { callers, told: Mutex::default() }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Result<Proved, Failure>>> {
        // One value, written whole.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who asks.
    pub(super) fn callers(&self) -> Arc<Callers> {
        self.callers.clone()
    }

    /// What came of it; `None`: he has shown nothing.
    pub(super) fn told(&self) -> Option<Result<Proved, Failure>> {
        self.lock().clone()
    }

    /// He has not the key of what he shows, or we cannot tell.
    fn signed(
        &self,
        signed: Result<HandshakeSignatureValid, Error>,
    ) -> Result<HandshakeSignatureValid, Error> {
        if self.callers.must || signed.is_ok() {
            return signed;
        }
        *self.lock() = Some(Err(Failure::unsigned()));
        Ok(HandshakeSignatureValid::assertion())
    }
}

impl ClientCertVerifier for Asked {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        self.callers.must
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.callers.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let told = self.callers.prove(end_entity, intermediates, now);
        if let (true, Err(failure)) = (self.callers.must, &told) {
            return Err(failure.clone().wrapped());
        }
        *self.lock() = Some(told);
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed(by_tls12(message, cert, dss, &self.callers.algorithms))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed(by_tls13(message, cert, dss, &self.callers.algorithms))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.callers.algorithms.supported_schemes()
    }
}
