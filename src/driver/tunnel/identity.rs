//! Who is at the other end: raw public keys (RFC 7250) within TLS 1.3, both ways. There is no
//! authority to believe, no name to compare and nothing that ends by a date. A handshake is done
//! anew each time: no ticket outlives a key that was taken back, and nothing is sent before the
//! other end has proved itself (no 0-RTT).

use super::key::{self, Key};
use crate::config::PublicKey;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::{CryptoProvider, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, OtherError,
    ServerConfig, SignatureScheme,
};
use std::fmt;
use std::sync::{Arc, OnceLock};

/// What is spoken within (RFC 7301): nobody else's protocol, in its first form.
const ALPN: &[u8] = b"portreeve-tunnel/1";

/// Whose key is believed.
pub(super) type Believed = Arc<dyn Fn(&PublicKey) -> bool + Send + Sync>;

/// Which key one handshake's other end has shown, and whether it is believed.
#[derive(Clone, Debug, Default)]
pub(super) struct Shown(Arc<OnceLock<(PublicKey, bool)>>);

impl Shown {
    /// The key, where one was shown. Whether the other end has proved it is not known.
    pub(super) fn key(&self) -> Option<PublicKey> {
        self.0.get().map(|(key, _)| *key)
    }

    /// The key, where nobody here believes it.
    pub(super) fn stranger(&self) -> Option<PublicKey> {
        self.0.get().filter(|(_, known)| !known).map(|(key, _)| *key)
    }

    /// Sees the key that is judged.
    pub(super) fn to(
        &self,
        believes: impl Fn(&PublicKey) -> bool + Send + Sync + 'static,
    ) -> Believed {
        let saw = self.0.clone();
        Arc::new(move |key: &PublicKey| {
            let known = believes(key);
            // The first counts: a connection shows one.
            let _ = saw.set((*key, known));
            known
        })
    }
}

/// Our end's identity.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    own: Arc<CertifiedKey>,
    pub(super) key: Key,
    provider: Arc<CryptoProvider>,
}

impl Identity {
    pub(super) fn new(own: Key) -> Self {
        let shown = CertificateDer::from(key::spki(&own.public()).as_ref().to_vec());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let signs = own.signs.clone();
        Self { own: Arc::new(CertifiedKey::new(vec![shown], signs)), key: own, provider }
    }

    /// What a site brings along by QUIC.
    pub(super) fn quic_client(&self, believed: Believed) -> Result<QuicClientConfig, String> {
        QuicClientConfig::try_from(self.client(believed)?).map_err(|e| e.to_string())
    }

    /// What a head office shows by QUIC.
    pub(super) fn quic_server(&self, believed: Believed) -> Result<QuicServerConfig, String> {
        QuicServerConfig::try_from(self.server(believed)?).map_err(|e| e.to_string())
    }

    /// What a site brings along.
    pub(super) fn client(&self, believed: Believed) -> Result<ClientConfig, String> {
        let peer = Arc::new(Peer { believed, provider: self.provider.clone() });
        let own = Arc::new(AlwaysResolvesClientRawPublicKeys::new(self.own.clone()));
        let mut config = ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&TLS13])
            .map_err(|e| e.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(peer)
            .with_client_cert_resolver(own);
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption = Resumption::disabled();
        config.enable_sni = false;
        Ok(config)
    }

    /// What a head office shows.
    pub(super) fn server(&self, believed: Believed) -> Result<ServerConfig, String> {
        let peer = Arc::new(Peer { believed, provider: self.provider.clone() });
        let own = Arc::new(AlwaysResolvesServerRawPublicKeys::new(self.own.clone()));
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&TLS13])
            .map_err(|e| e.to_string())?
            .with_client_cert_verifier(peer)
            .with_cert_resolver(own);
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.send_tls13_tickets = 0;
        Ok(config)
    }
}

/// The key that a connection's other end has proved.
pub(super) fn proved(connection: &quinn::Connection) -> Option<PublicKey> {
    let shown = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    key::public(shown.first()?)
}

/// Looks at the other end's key.
struct Peer {
    believed: Believed,
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Peer")
    }
}

/// Nobody here knows that key.
#[derive(Debug)]
struct Unknown;

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key that nobody here knows")
    }
}

impl std::error::Error for Unknown {}

impl Peer {
    fn judge(&self, shown: &CertificateDer<'_>) -> Result<(), Error> {
        let known = key::public(shown).is_some_and(|key| (self.believed)(&key));
        let error = || CertificateError::Other(OtherError(Arc::new(Unknown)));
        if known { Ok(()) } else { Err(Error::InvalidCertificate(error())) }
    }

    fn signed(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(shown.as_ref());
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature_with_raw_key(message, &key, signature, known)
    }
}

/// TLS 1.2 is not spoken.
fn never() -> Result<HandshakeSignatureValid, Error> {
    Err(Error::General("TLS 1.3 alone".to_owned()))
}

impl ServerCertVerifier for Peer {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.judge(shown).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _shown: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        never()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed(message, shown, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for Peer {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        shown: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.judge(shown).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _shown: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        never()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed(message, shown, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
