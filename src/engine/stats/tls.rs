//! TLS as whoever looks sees it: why it came to nothing, and which certificates there are.

use crate::ground::words;
use serde::Serialize;

words! {
    /// Why TLS came to nothing.
    pub enum TlsFailure {
        /// A certificate has expired.
        Expired = "expired",
        /// It does not hold yet.
        NotYetValid = "not_yet_valid",
        /// Nobody who is trusted signed it.
        UnknownAuthority = "unknown_authority",
        /// It is of somebody else.
        Name = "name",
        /// It has another key than is pinned.
        Pin = "pin",
        /// It is not accepted for another reason.
        Certificate = "certificate",
        /// None was shown where one has to be.
        NoCertificate = "no_certificate",
        /// No version or cipher is common.
        Version = "version",
        /// What came is no TLS.
        NoTls = "no_tls",
        /// The other end refused us.
        Refused = "refused",
        /// The other end hung up.
        Closed = "closed",
        /// The handshake took too long.
        Timeout = "timeout",
        /// Anything else.
        Other = "other",
    }
}

words! {
    /// Whose a certificate is.
    pub enum CertificateOf {
        /// What an interface shows.
        Interface = "interface",
        /// What we show to an upstream.
        Client = "client",
        /// What an upstream showed last.
        Upstream = "upstream",
    }
}

/// One certificate that is in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CertificateView {
    /// Whose it is.
    pub of: CertificateOf,
    /// Of which interface or upstream.
    pub name: String,
    /// Whom it names.
    pub names: String,
    /// When it ends to hold, in wall seconds.
    pub until: u64,
    /// SHA-256 of all of it.
    pub fingerprint: String,
    /// SHA-256 of its public key, as `pins` have it.
    pub pin: String,
    /// Of one of our own making: its file (PEM), which whoever is to believe it needs.
    pub made: Option<String>,
}

impl CertificateView {
    /// Whole days until it ends; negative: since it did.
    #[must_use]
    pub fn days(&self, wall: u64) -> i64 {
        let seconds = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        seconds(self.until).saturating_sub(seconds(wall)).div_euclid(86_400)
    }
}
