//! Whether who is at the other end is the upstream that is meant: by its key, or by who signed and
//! which domain is named (RFC 5922 §7). There is no way to skip it.

use super::chain::{CALLED, CROSSED, Chain, apart, bounded, leads};
use super::facts::Facts;
use super::failure::{Failure, Whose, of_chain};
use super::roots::Roots;
use super::seen::Seen;
use super::signature::{by_tls12, by_tls13};
use crate::config::{Host, Pin};
use crate::engine::stats::TlsFailure;
use crate::ground::Wall;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use std::sync::{Arc, Mutex, PoisonError};

/// Who is believed.
#[derive(Clone, Debug)]
pub(super) enum Trust {
    /// Whom these signed for.
    Roots(Arc<Roots>),
    /// Who has one of these keys.
    Pins(Vec<Pin>),
}

/// The proof of one upstream.
#[derive(Debug)]
pub(super) struct Proof {
    pub(super) upstream: String,
    pub(super) trust: Trust,
    /// The host that its certificate must be of: the target's, as the file has it, or `name`.
    pub(super) host: Host,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
    pub(super) seen: Seen,
}

/// What it was proved by, and for how long; `None`: for ever, as a pin is believed.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) chain: Chain,
    pub(super) until: Option<Wall>,
}

/// One whom we call is asked.
#[derive(Debug)]
pub(super) struct Asking {
    proof: Arc<Proof>,
    shown: Mutex<Option<Shown>>,
}

impl Asking {
    pub(super) fn new(proof: Arc<Proof>) -> Self {
        Self { proof, shown: Mutex::default() }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Shown>> {
        // One value, written whole.
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The handshake is done: he has the key of what he showed, which everybody may see from now
    /// on. What somebody else shows in his place is nobody's.
    pub(super) fn done(&self) -> Option<Shown> {
        let shown = self.lock().clone();
        let first = shown.as_ref().and_then(|shown| shown.chain.first());
        if let Some(facts) = first.and_then(|first| Facts::of(first)) {
            self.proof.seen.shown(&self.proof.upstream, &facts);
        }
        shown
    }
}

/// A name as a certificate is asked for it.
pub(super) fn server_name(host: &Host) -> Option<ServerName<'static>> {
    match host {
        Host::Ip(ip) => Some(ServerName::from(*ip)),
        Host::Name(name) => ServerName::try_from(name.clone()).ok(),
    }
}

impl Proof {
    /// Whether it is the upstream that shows these.
    pub(super) fn check(
        &self,
        end: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<Shown, Failure> {
        bounded(end, rest)?;
        let facts = Facts::of(end).ok_or_else(Failure::unread)?;
        let roots = match &self.trust {
            Trust::Roots(roots) => roots,
            Trust::Pins(pins) => {
                let shown = facts.pin.ok_or_else(Failure::unread)?;
                if pins.contains(&shown) {
                    // Another configuration may ask for what stands beside it.
                    let all = std::iter::once(end).chain(rest);
                    let chain = all.map(|one| one.clone().into_owned()).collect();
                    return Ok(Shown { chain, until: None });
                }
                let text = format!(
                    "its key is {shown}, which is none of `pins`: write it there if it is right"
                );
                return Err(Failure::new(TlsFailure::Pin, text));
            }
        };
        apart(rest, CROSSED)?;
        let wall = Wall(std::time::Duration::from_secs(now.as_secs()));
        let by = (&self.algorithms, now);
        let path = leads((end, &facts), rest, roots, by, CALLED)
            .map_err(|e| of_chain(&e, &facts, wall, Whose::Upstream))?;
        let parsed = ParsedCertificate::try_from(end).map_err(|_| Failure::unread())?;
        if is_of(&facts, &parsed, path.constrained, &self.host) {
            return Ok(Shown { until: Some(path.until), chain: path.whole(end) });
        }
        let text = format!(
            "its certificate is of {}, not of {}: if that is right, set `name` of its tls",
            facts.told(),
            host_text(&self.host)
        );
        Err(Failure::new(TlsFailure::Name, text))
    }
}

fn host_text(host: &Host) -> String {
    match host {
        Host::Ip(ip) => ip.to_string(),
        Host::Name(name) => name.clone(),
    }
}

/// Whether a certificate is of this host (RFC 5922 §7.2): SIP domains of its URIs decide where it
/// has any, else DNS names. A name whose left-most label is a star counts, which §7.2 would not
/// have: hosted providers live by it. Where an authority is bound to some names, nobody has looked
/// whether URIs are among them: they do not count.
fn is_of(facts: &Facts, parsed: &ParsedCertificate<'_>, constrained: bool, host: &Host) -> bool {
    match host {
        Host::Ip(ip) => facts.ips.contains(ip),
        Host::Name(name) if !constrained && facts.domains().next().is_some() => {
            facts.domains().any(|domain| domain.eq_ignore_ascii_case(name))
        }
        Host::Name(_) => {
            server_name(host).is_some_and(|name| verify_server_name(parsed, &name).is_ok())
        }
    }
}

impl ServerCertVerifier for Asking {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown = self.proof.check(end_entity, intermediates, now).map_err(Failure::wrapped)?;
        *self.lock() = Some(shown);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        by_tls12(message, cert, dss, &self.proof.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        by_tls13(message, cert, dss, &self.proof.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.proof.algorithms.supported_schemes()
    }
}
