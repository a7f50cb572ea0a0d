//! Why TLS came to nothing, in words that say what to do.

use super::facts::Facts;
use crate::engine::stats::TlsFailure;
use crate::ground::Wall;
use crate::wire::tls::{HANDSHAKE, HELLO};
use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};
use std::fmt;
use std::io;

/// One reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// For counters.
    pub kind: TlsFailure,
    /// For people; it begins as a sentence goes on ("its certificate expired …").
    pub text: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}

impl Failure {
    pub(super) fn new(kind: TlsFailure, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }

    /// As rustls carries it.
    pub(super) fn wrapped(self) -> Error {
        let other = rustls::OtherError(std::sync::Arc::new(self));
        Error::InvalidCertificate(CertificateError::Other(other))
    }

    /// Nobody can tell what it is.
    pub(super) fn unread() -> Self {
        Self::new(TlsFailure::Certificate, "its certificate cannot be read")
    }

    /// What proved some names proves others.
    pub(super) fn renamed() -> Self {
        Self::new(TlsFailure::Name, "its certificate proves other names now")
    }

    /// Who shows a certificate does not sign by its key.
    pub(super) fn unsigned() -> Self {
        let text =
            "it does not prove that it has its certificate's key (of RSA, 2048 bits or more)";
        Self::new(TlsFailure::Certificate, text)
    }

    /// Time ran out in a handshake.
    #[must_use]
    pub fn late() -> Self {
        let text = "it does not finish the handshake: is TLS spoken at this port?";
        Self::new(TlsFailure::Timeout, text)
    }

    /// What comes is no TLS.
    #[must_use]
    pub fn no_tls() -> Self {
        let text = "what it sends is no TLS: plain SIP belongs to a tcp port";
        Self::new(TlsFailure::NoTls, text)
    }

    /// What comes is longer than what is read.
    #[must_use]
    pub fn long() -> Self {
        let text = format!(
            "its handshake is longer than is read: a hello of {HELLO} octets, {HANDSHAKE} with a \
             certificate and its chain"
        );
        Self::new(TlsFailure::Other, text)
    }

    /// A refusal that comes when our handshake is done, as it may by TLS 1.3 (RFC 8446 §4.4.2.4).
    #[must_use]
    #[expect(clippy::wildcard_enum_match_arm, reason = "another crate's, which may grow")]
    pub fn belated(error: &io::Error) -> Option<Self> {
        match error.get_ref()?.downcast_ref::<Error>()? {
            Error::AlertReceived(alert) => Some(Self::alert(*alert)),
            _ => None,
        }
    }

    /// What a handshake failed with.
    #[must_use]
    pub fn of(error: &io::Error) -> Self {
        if let Some(own) = error.get_ref().and_then(|e| e.downcast_ref::<Self>()) {
            return own.clone();
        }
        let inner = error.get_ref().and_then(|e| e.downcast_ref::<Error>());
        let Some(tls) = inner else {
            let text = format!("it ends the handshake ({error}): is TLS spoken at this port?");
            return Self::new(TlsFailure::Closed, text);
        };
        Self::of_tls(tls)
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "another crate's, which may grow")]
    fn of_tls(error: &Error) -> Self {
        match error {
            Error::InvalidCertificate(CertificateError::Other(other)) => {
                let own = other.0.downcast_ref::<Self>();
                own.cloned().unwrap_or_else(|| Self::certificate(error))
            }
            Error::InvalidCertificate(CertificateError::BadSignature) => Self::unsigned(),
            Error::InvalidCertificate(_) => Self::certificate(error),
            Error::NoCertificatesPresented => Self::new(
                TlsFailure::NoCertificate,
                "it shows no certificate, and client = \"require\" asks for one",
            ),
            Error::PeerIncompatible(what) => Self::new(TlsFailure::Version, incompatible(what)),
            Error::AlertReceived(alert) => Self::alert(*alert),
            Error::InvalidMessage(_) => Self::no_tls(),
            other => Self::new(TlsFailure::Other, format!("TLS fails: {other}")),
        }
    }

    fn certificate(error: &Error) -> Self {
        let text = format!("its certificate is not accepted: {error}");
        Self::new(TlsFailure::Certificate, text)
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "another crate's, which may grow")]
    fn alert(alert: AlertDescription) -> Self {
        let kind = TlsFailure::Refused;
        match alert {
            AlertDescription::ProtocolVersion => {
                Self::new(TlsFailure::Version, "it speaks no version of TLS that we allow")
            }
            AlertDescription::CertificateRequired => Self::new(
                kind,
                "it wants a certificate of ours: set `certificate` and `key` of its tls",
            ),
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::UnsupportedCertificate => Self::new(
                kind,
                format!("it does not accept our certificate ({alert:?}): does it know who signed?"),
            ),
            other => Self::new(kind, format!("it refuses the handshake ({other:?})")),
        }
    }
}

/// What is not common, and what to do.
#[expect(clippy::wildcard_enum_match_arm, reason = "another crate's, which may grow")]
fn incompatible(what: &PeerIncompatible) -> String {
    use PeerIncompatible as Is;
    match what {
        Is::SignatureAlgorithmsExtensionRequired
        | Is::SupportedVersionsExtensionRequired
        | Is::ServerDoesNotSupportTls12Or13
        | Is::Tls12NotOffered => "it speaks no version of TLS but 1.0 or 1.1: set it to 1.2 or 1.3",
        Is::Tls12NotOfferedOrEnabled | Is::ServerTlsVersionIsDisabledByOurConfig => {
            "no version of TLS is common: set it to 1.2 or 1.3, and see `min_version`"
        }
        Is::NoKxGroupsInCommon
        | Is::NamedGroupsExtensionRequired
        | Is::EcPointsExtensionRequired
        | Is::KeyShareExtensionRequired => {
            "it has no key exchange that we have: ECDHE (forward secrecy) by X25519, P-256 or P-384"
        }
        Is::NoCipherSuitesInCommon | Is::NoSignatureSchemesInCommon => {
            "no cipher is common that fits our certificate's key: it wants one with an RSA key (the \
             self-signed one has an EC key; name another in `tls`), or has no cipher with AEAD"
        }
        other => return format!("TLS is not to be agreed on with it ({other:?})"),
    }
    .to_owned()
}

/// Who shows a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// Whom we call.
    Upstream,
    /// Who calls us.
    Caller,
}

impl Whose {
    /// What makes it believed where its authority is not among those that are.
    fn advice(self, facts: &Facts) -> String {
        let pin = facts.pin.map(|pin| pin.to_string()).unwrap_or_default();
        match self {
            Self::Upstream => format!("verify = \"pinned\" with {pin} if that is its key"),
            Self::Caller => "it needs one that an authority in client_ca signed".to_owned(),
        }
    }
}

/// What is wrong with the chain of a certificate that somebody shows.
#[expect(clippy::wildcard_enum_match_arm, reason = "another crate's, which may grow")]
pub(super) fn of_chain(error: &webpki::Error, facts: &Facts, now: Wall, whose: Whose) -> Failure {
    use webpki::Error as Is;
    let (names, advice) = (facts.told(), whose.advice(facts));
    match error {
        Is::CertExpired { .. } => {
            let text = match facts.days_over(now) {
                ..0 => "a certificate of its chain, or its authority's, has expired: renew it"
                    .to_owned(),
                0 => "its certificate expired within the last day: renew it there".to_owned(),
                days => format!("its certificate expired {days} days ago: renew it there"),
            };
            Failure::new(TlsFailure::Expired, text)
        }
        Is::CertNotValidYet { .. } => {
            let text = "its certificate does not hold yet: is this machine's clock right?";
            Failure::new(TlsFailure::NotYetValid, text)
        }
        // Who has only the name of an authority signs otherwise.
        Is::UnknownIssuer | Is::InvalidSignatureForPublicKey => {
            let how = match whose {
                Whose::Upstream => format!("verify = \"ca-file\" with its authority, or {advice}"),
                Whose::Caller => "add who did to client_ca".to_owned(),
            };
            let text = format!("nobody who is trusted signed its certificate (of {names}): {how}");
            Failure::new(TlsFailure::UnknownAuthority, text)
        }
        other => {
            let what = match other {
                _ if facts.is_old => "it is an old one (version 1)".to_owned(),
                Is::RequiredEkuNotFoundContext(_) => match whose {
                    Whose::Upstream => "it is for another purpose than a server's".to_owned(),
                    Whose::Caller => "it is for another purpose than SIP's".to_owned(),
                },
                Is::NameConstraintViolation => {
                    "its authority may not sign for these names".to_owned()
                }
                _ if facts.is_authority => "it is an authority's own".to_owned(),
                _ => other.to_string(),
            };
            let text = format!("its certificate (of {names}) is not accepted, {what}: {advice}");
            Failure::new(TlsFailure::Certificate, text)
        }
    }
}
