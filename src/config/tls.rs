//! `tls` of an interface and of an upstream: which certificate we show, and whose we believe. It
//! opens no file and knows no cryptography; there is no way to believe everybody.

use super::reader::{Section, Source};
use super::{Config, Listen, Target};
use crate::ground::Transport;
use std::fmt;
use toml::de::DeValue;

/// Pins that an upstream may have.
const PINS: usize = 8;
/// How a pin begins.
const SHA_256: &str = "sha-256:";

/// A certificate with its key, as files in PEM form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPair {
    /// The certificate, and those between it and an authority, in this order.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

/// What an interface shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// One of our own making, kept in the state folder.
    SelfSigned,
    /// The site's.
    Files(KeyPair),
}

/// Whether who connects is asked for a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificate {
    /// Nobody is.
    Off,
    /// Who has one may show it; one that proves nothing is as none.
    Ask,
    /// Who has none is not let in.
    Require,
}

/// Oldest version of TLS that is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// RFC 5246 with forward secrecy and AEAD only.
    V12,
    /// RFC 8446.
    V13,
}

/// `tls` of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTls {
    /// What it shows.
    pub certificate: Certificate,
    /// Whether others have to show theirs.
    pub client: ClientCertificate,
    /// Authorities of theirs, a file in PEM form; there where they are asked.
    pub client_ca: Option<String>,
    /// Oldest version.
    pub min_version: TlsVersion,
}

/// SHA-256 of a certificate's public key (its SubjectPublicKeyInfo): the same when a certificate is
/// renewed for the same key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pin(pub [u8; 32]);

/// Whose certificates an upstream may show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verify {
    /// Those that this machine's authorities signed.
    System,
    /// Those that authorities of this file signed, PEM.
    CaFile(String),
    /// Those with one of these keys, whatever else they say.
    Pinned(Vec<Pin>),
}

/// `tls` of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientTls {
    /// Who is believed.
    pub verify: Verify,
    /// The name that its certificate must have; `None`: its target's host in the file.
    pub name: Option<String>,
    /// What we show where it asks; `None`: nothing.
    pub certificate: Option<KeyPair>,
    /// Oldest version.
    pub min_version: TlsVersion,
}

impl Default for ClientTls {
    fn default() -> Self {
        let (name, certificate) = (None, None);
        Self { verify: Verify::System, name, certificate, min_version: TlsVersion::V12 }
    }
}

impl Config {
    /// Files of certificates, keys and authorities, in the order of the file.
    pub fn tls_files(&self) -> impl Iterator<Item = &str> {
        let servers = self.interfaces.iter().filter_map(|i| i.tls.as_ref()).flat_map(|tls| {
            let pair = match &tls.certificate {
                Certificate::SelfSigned => None,
                Certificate::Files(pair) => Some(pair),
            };
            pair.into_iter().flat_map(KeyPair::files).chain(tls.client_ca.as_deref())
        });
        let clients = self.upstreams.iter().flat_map(|u| {
            let ca = match &u.tls.verify {
                Verify::CaFile(file) => Some(file.as_str()),
                Verify::System | Verify::Pinned(_) => None,
            };
            u.tls.certificate.iter().flat_map(KeyPair::files).chain(ca)
        });
        servers.chain(clients)
    }
}

impl KeyPair {
    fn files(&self) -> [&str; 2] {
        [&self.certificate, &self.key]
    }
}

impl Pin {
    /// `sha-256:` and 64 hexadecimal digits; colons between them, as openssl prints them, are
    /// taken.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits: String = text.strip_prefix(SHA_256)?.chars().filter(|c| *c != ':').collect();
        if digits.len() != 64 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let mut octets = [0; 32];
        for (at, octet) in octets.iter_mut().enumerate() {
            *octet = u8::from_str_radix(digits.get(at * 2..at * 2 + 2)?, 16).ok()?;
        }
        Some(Self(octets))
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SHA_256)?;
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `tls = "self-signed"`, or a table.
pub(super) fn server(
    s: &mut Section<'_, '_>,
    listen: &[Listen],
    src: &mut Source<'_>,
) -> Option<ServerTls> {
    let listens = listen.iter().any(|l| l.transport == Transport::Tls);
    let Some(value) = s.get("tls") else {
        if listens {
            let hint = "tls = \"self-signed\", or tls = { certificate = \"/etc/portreeve/tls/\
                        site.pem\", key = \"/etc/portreeve/tls/site.key\" }";
            let what = "a socket for TLS needs a certificate";
            src.fault("tls", s.span_of("listen"), what, Some(hint.to_owned()));
        }
        return None;
    };
    if !listens {
        let hint = Some("add \"tls:5061\" to its `listen`".to_owned());
        src.fault("tls", value.span(), "nothing of this interface speaks TLS", hint);
    }
    if matches!(value.get_ref(), DeValue::String(_)) {
        s.word("tls", &[("self-signed", ())], src)?;
        let (certificate, client) = (Certificate::SelfSigned, ClientCertificate::Off);
        let client_ca = None;
        return Some(ServerTls { certificate, client, client_ca, min_version: TlsVersion::V12 });
    }
    let mut t = s.table("tls", "`tls` of [[interface]]", src)?;
    let certificate = t.string("certificate", src);
    let own = certificate.as_deref() == Some("self-signed");
    let pair = if own { None } else { pair(&mut t, certificate, src) };
    if !own && pair.is_none() && !t.has("certificate") {
        t.missing("certificate", "a file in PEM form, or \"self-signed\"", src);
    }
    if own && t.has("key") {
        let what = "a self-signed certificate brings its own key";
        src.fault("tls", t.span_of("key"), what, None);
    }
    let client_ca = t.string("client_ca", src);
    let words = [
        ("off", ClientCertificate::Off),
        ("ask", ClientCertificate::Ask),
        ("require", ClientCertificate::Require),
    ];
    let client = t.word("client", &words, src).unwrap_or(ClientCertificate::Off);
    match (client, &client_ca) {
        (ClientCertificate::Ask | ClientCertificate::Require, None) => {
            t.missing("client_ca", "the authorities whose clients are believed, a PEM file", src);
        }
        (ClientCertificate::Off, Some(_)) => {
            let hint = Some("client = \"ask\" or \"require\"".to_owned());
            let what = "nobody is asked for a certificate";
            src.fault("tls", t.span_of("client_ca"), what, hint);
        }
        (ClientCertificate::Off, None)
        | (ClientCertificate::Ask | ClientCertificate::Require, Some(_)) => {}
    }
    let min_version = version(&mut t, src);
    t.finish(src);
    let certificate = if own { Certificate::SelfSigned } else { Certificate::Files(pair?) };
    Some(ServerTls { certificate, client, client_ca, min_version })
}

/// `tls` of an upstream; its defaults where it says nothing.
pub(super) fn client(
    s: &mut Section<'_, '_>,
    targets: &[Target],
    src: &mut Source<'_>,
) -> ClientTls {
    let Some(mut t) = s.table("tls", "`tls` of [[upstream]]", src) else {
        return ClientTls::default();
    };
    if !targets.is_empty() && !targets.iter().any(Target::may_be_tls) {
        let hint = Some("transport = \"tls\", or an address as sips:sip.example.net".to_owned());
        src.fault("tls", t.span.clone(), "this upstream is not reached by TLS", hint);
    }
    let verify = verify(&mut t, src);
    let name = t.string("name", src);
    if let Some(wrong) = name.as_ref().filter(|n| Target::parse(n).is_none_or(|t| !t.is_host())) {
        let hint = Some("a name as sip.example.net, or an address".to_owned());
        src.fault("tls", t.span_of("name"), format!("{wrong:?} is no name of a host"), hint);
    }
    let certificate = t.string("certificate", src);
    let certificate = pair(&mut t, certificate, src);
    let min_version = version(&mut t, src);
    t.finish(src);
    ClientTls { verify, name, certificate, min_version }
}

/// What `verify` says, with the key that goes with it; others are mistakes.
fn verify(t: &mut Section<'_, '_>, src: &mut Source<'_>) -> Verify {
    #[derive(Clone, Copy, PartialEq)]
    enum By {
        System,
        CaFile,
        Pinned,
    }
    let words = [("system", By::System), ("ca-file", By::CaFile), ("pinned", By::Pinned)];
    let by = t.word("verify", &words, src).unwrap_or(By::System);
    let ca_file = t.string("ca_file", src);
    let pins = pins(t, src);
    for (key, of, word) in [("ca_file", By::CaFile, "ca-file"), ("pins", By::Pinned, "pinned")] {
        if t.has(key) && by != of {
            let hint = Some(format!("verify = \"{word}\""));
            let what = format!("`{key}` is not looked at");
            src.fault("tls", t.span_of(key), what, hint);
        }
    }
    match (by, ca_file) {
        (By::CaFile, Some(file)) => return Verify::CaFile(file),
        (By::CaFile, None) => t.missing("ca_file", "its authorities, a file in PEM form", src),
        (By::Pinned, _) if !t.has("pins") => {
            t.missing("pins", "pins = [\"sha-256:…\"]: `doctor` shows the one to write", src);
        }
        (By::Pinned, _) => return Verify::Pinned(pins),
        (By::System, _) => {}
    }
    Verify::System
}

fn pins(t: &mut Section<'_, '_>, src: &mut Source<'_>) -> Vec<Pin> {
    let Some(all) = t.strings("pins", src) else { return Vec::new() };
    if all.is_empty() || all.len() > PINS {
        let what = format!("`pins` must be 1 to {PINS}");
        src.fault("tls", t.span_of("pins"), what, None);
    }
    let mut read = Vec::new();
    for (text, span) in all {
        match Pin::parse(&text) {
            Some(pin) => read.push(pin),
            None => {
                let hint = "sha-256: and the 64 hexadecimal digits of the public key's SHA-256";
                let what = format!("{text:?} is no pin");
                src.fault("tls", span, what, Some(hint.to_owned()));
            }
        }
    }
    read
}

/// Both files, or none.
fn pair(
    t: &mut Section<'_, '_>,
    certificate: Option<String>,
    src: &mut Source<'_>,
) -> Option<KeyPair> {
    match (certificate, t.string("key", src)) {
        (Some(certificate), Some(key)) => Some(KeyPair { certificate, key }),
        (Some(_), None) => {
            if !t.has("key") {
                t.missing("key", "the certificate's private key, a file in PEM form", src);
            }
            None
        }
        (None, Some(_)) => {
            if !t.has("certificate") {
                t.missing("certificate", "the key's certificate, a file in PEM form", src);
            }
            None
        }
        (None, None) => None,
    }
}

fn version(t: &mut Section<'_, '_>, src: &mut Source<'_>) -> TlsVersion {
    let words = [("1.2", TlsVersion::V12), ("1.3", TlsVersion::V13)];
    t.word("min_version", &words, src).unwrap_or(TlsVersion::V12)
}

#[cfg(test)]
mod tests;
