//! What a certificate says: names, dates, the key's pin. It believes nothing of it.

use crate::config::Pin;
use crate::ground::{Subject, Wall};
use sha2::{Digest as _, Sha256};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::oid_registry::{OID_X509_EXT_NAME_CONSTRAINTS, OID_X509_EXT_SUBJECT_ALT_NAME};
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::X509Version;

/// Names of one kind that are read.
const NAMES: usize = 16;
/// Octets of a name.
const NAME: usize = 255;
/// Names that are told of a certificate of others, and octets of each, escapes counted: whoever
/// makes one may write into it what he likes.
const TOLD: usize = 3;
const LONGEST: usize = 64;

/// Of one certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// URIs of its subjectAltName.
    pub uris: Vec<String>,
    /// DNS names.
    pub dns: Vec<String>,
    /// Addresses.
    pub ips: Vec<IpAddr>,
    /// Common name of its subject.
    pub common: Option<String>,
    /// When it begins to hold.
    pub from: Wall,
    /// When it ends to.
    pub until: Wall,
    /// SHA-256 of its public key.
    pub pin: Option<Pin>,
    /// It is of version 1: it says nothing of purposes, and no name of a host.
    pub is_old: bool,
    /// It has a subjectAltName, whatever stands in it.
    pub has_alternatives: bool,
    /// It is an authority's that may sign for some names only.
    pub constrains: bool,
    /// It is an authority's own.
    pub is_authority: bool,
    /// SHA-256 of all of it.
    pub fingerprint: [u8; 32],
}

/// A certificate's key (SubjectPublicKeyInfo), as DER has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key<'a> {
    pub(super) whole: &'a [u8],
    /// Of which algorithm, without tag and length.
    pub(super) algorithm: &'a [u8],
    /// The key itself.
    pub(super) octets: &'a [u8],
}

/// Reads a certificate's key, whatever else it says; `None`: it is no certificate.
pub(super) fn key<'a>(der: &'a [u8]) -> Option<Key<'a>> {
    let (_, read) = X509Certificate::from_der(der).ok()?;
    let spki = &read.tbs_certificate.subject_pki;
    let whole: &'a [u8] = spki.raw;
    // SEQUENCE { SEQUENCE { algorithm }, BIT STRING }, with lengths of one octet or more.
    let head = match whole.get(1)? {
        more @ 0x80.. => 2 + usize::from(more & 0x7f),
        _ => 2,
    };
    let inner = whole.get(head..)?;
    let length = usize::from(*inner.get(1).filter(|length| **length < 0x80)?);
    let algorithm = inner.get(2..2 + length)?;
    // What is left is the key's BIT STRING, whose octets stand at its end.
    let octets = whole.get(whole.len().checked_sub(spki.subject_public_key.data.len())?..)?;
    Some(Key { whole, algorithm, octets })
}

/// Whose a certificate is, as DER has it; `None`: it is no certificate.
pub(super) fn subject<'a>(der: &'a [u8]) -> Option<&'a [u8]> {
    let (_, read) = X509Certificate::from_der(der).ok()?;
    let subject: &'a [u8] = read.tbs_certificate.subject.as_raw();
    Some(subject)
}

impl Facts {
    /// Reads a certificate (DER); `None`: it is none.
    #[must_use]
    pub fn of(der: &[u8]) -> Option<Self> {
        let (_, read) = X509Certificate::from_der(der).ok()?;
        let time = |t: i64| Wall(Duration::from_secs(u64::try_from(t).unwrap_or(0)));
        let validity = read.validity();
        let mut facts = Self {
            from: time(validity.not_before.timestamp()),
            until: time(validity.not_after.timestamp()),
            pin: Some(Pin(Sha256::digest(read.public_key().raw).into())),
            is_old: read.version() == X509Version::V1,
            is_authority: read.is_ca(),
            fingerprint: Sha256::digest(der).into(),
            ..Self::default()
        };
        let common = read.subject().iter_common_name().next().and_then(|n| n.as_str().ok());
        facts.common = common.filter(|n| n.len() <= NAME).map(str::to_owned);
        for extension in read.extensions() {
            facts.has_alternatives |= extension.oid == OID_X509_EXT_SUBJECT_ALT_NAME;
            facts.constrains |= extension.oid == OID_X509_EXT_NAME_CONSTRAINTS;
            if let ParsedExtension::SubjectAlternativeName(all) = extension.parsed_extension() {
                all.general_names.iter().for_each(|name| facts.add(name));
            }
        }
        Some(facts)
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "no name of a host")]
    fn add(&mut self, name: &GeneralName<'_>) {
        let put = |all: &mut Vec<String>, text: &str| {
            if all.len() < NAMES && text.len() <= NAME {
                all.push(text.to_owned());
            }
        };
        match name {
            GeneralName::DNSName(text) => put(&mut self.dns, text),
            GeneralName::URI(text) => put(&mut self.uris, text),
            GeneralName::IPAddress(octets) if self.ips.len() < NAMES => {
                let v4 = <[u8; 4]>::try_from(*octets).map(|o| IpAddr::from(Ipv4Addr::from(o)));
                let v6 = <[u8; 16]>::try_from(*octets).map(|o| IpAddr::from(Ipv6Addr::from(o)));
                self.ips.extend(v4.or(v6).ok());
            }
            _ => {}
        }
    }

    /// Hosts that its SIP URIs name (RFC 5922 §7.1): those that name no user.
    pub fn domains(&self) -> impl Iterator<Item = String> {
        let domain = |uri: &'_ String| {
            let (scheme, rest) = uri.split_once(':')?;
            let is_domain = scheme.eq_ignore_ascii_case("sip") && !rest.contains('@');
            is_domain.then(|| rest.split([';', '?', ':']).next().unwrap_or_default().to_owned())
        };
        self.uris.iter().filter_map(domain)
    }

    /// Whom it names, for rules. Of a chain that is `constrained` DNS names alone count, for nobody
    /// has looked at others; the common name counts of who has no other name.
    #[must_use]
    pub fn subjects(&self, constrained: bool) -> Vec<Subject> {
        let uris = self.uris.iter().filter(|_| !constrained).filter_map(|n| Subject::uri(n));
        let dns = self.dns.iter().filter_map(|n| Subject::dns(n));
        let common = self.common.iter().filter(|_| !constrained && !self.has_alternatives);
        uris.chain(dns).chain(common.filter_map(|n| Subject::common(n))).collect()
    }

    fn names(&self) -> Vec<String> {
        let mut all: Vec<String> = self.uris.iter().chain(&self.dns).cloned().collect();
        all.extend(self.ips.iter().map(ToString::to_string));
        if all.is_empty() {
            all.extend(self.common.clone());
        }
        all
    }

    /// Its names, for people: the first of them, each cut.
    #[must_use]
    pub fn told(&self) -> String {
        let all = self.names();
        let mut told: Vec<String> = all.iter().take(TOLD).map(|name| cut(name)).collect();
        match all.len().saturating_sub(TOLD) {
            0 => {}
            more => told.push(format!("and {more} more")),
        }
        if told.is_empty() { "nobody".to_owned() } else { told.join(", ") }
    }

    /// All of its names: of one of our own.
    #[must_use]
    pub fn listed(&self) -> String {
        let all: Vec<String> =
            self.names().iter().map(|name| name.escape_debug().collect()).collect();
        if all.is_empty() { "nobody".to_owned() } else { all.join(", ") }
    }

    /// Whole days since it ended; negative: until it does.
    #[must_use]
    pub fn days_over(&self, now: Wall) -> i64 {
        let seconds = |w: Wall| i64::try_from(w.0.as_secs()).unwrap_or(i64::MAX);
        seconds(now).saturating_sub(seconds(self.until)).div_euclid(86_400)
    }
}

/// As much of a name as is told.
fn cut(name: &str) -> String {
    let mut text = String::new();
    for c in name.chars() {
        let escaped: String = c.escape_debug().collect();
        if text.len() + escaped.len() > LONGEST {
            text.push('…');
            break;
        }
        text.push_str(&escaped);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_names_that_others_made_up_a_few_are_told_and_little_of_each() {
        let long = "\u{1}".repeat(240);
        let facts = Facts { dns: vec![long.clone(); 16], uris: vec![long; 16], ..Facts::default() };
        let told = facts.told();
        assert!(told.ends_with("…, and 29 more") && told.len() < 3 * 72 + 16, "{told}");
        let few = Facts { dns: vec!["a.example".to_owned(); 3], ..Facts::default() };
        assert_eq!(few.told(), "a.example, a.example, a.example");
        let many = Facts { dns: vec!["a.example".to_owned(); 5], ..Facts::default() };
        assert_eq!(many.told(), "a.example, a.example, a.example, and 2 more");
        assert_eq!(many.listed().split(", ").count(), 5, "of ours all");
        assert_eq!(Facts::default().told(), "nobody");
    }
}
