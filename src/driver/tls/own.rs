//! A certificate of our own making: for sites that have none. Its key is made once and stays, so
//! that who pinned it or said yes to it once need not again; the certificate is made anew when
//! names change or it ends soon. It shows nothing to anybody.

use super::facts::Facts;
use super::files::{self, Identity};
use crate::driver::folder::Folder;
use crate::ground::Wall;
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair};
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;
use zeroize::Zeroizing;

/// Years that it holds.
const YEARS: u64 = 10;
/// Seconds of a year, with its share of a leap day.
const YEAR: u64 = 31_556_952;
/// Made anew when it ends within this.
const SOON: Duration = Duration::from_secs(30 * 86_400);

/// What it is for.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    /// The interface; tells files apart.
    pub(super) interface: &'a str,
    /// Addresses that phones may have written down.
    pub(super) ips: Vec<IpAddr>,
    /// The site's domain.
    pub(super) domain: Option<&'a str>,
    /// Strangers see it who are to learn nothing: one that says what made it is made anew.
    pub(super) is_plain: bool,
}

/// The certificate and its key, from the state folder, or made and kept there.
///
/// # Errors
/// In words: the folder cannot be read or written, or its file is broken.
pub(super) fn identity(dir: &Path, wanted: &Wanted<'_>, now: Wall) -> Result<Identity, String> {
    let folder = Folder::open(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let name = |end: &str| file(wanted.interface, end);
    let told = |end: &str, what: String| format!("{}: {what}", dir.join(name(end)).display());
    let key = key(&folder, &name("key")).map_err(|what| told("key", what))?;
    let kept = folder.read(&name("pem")).map_err(|e| told("pem", e.to_string()))?;
    let chain = kept.and_then(|pem| files::chain(&pem).ok()).filter(|all| {
        let facts = all.first().and_then(|first| Facts::of(first));
        let says = || all.first().is_some_and(|first| names_its_maker(first));
        facts.is_some_and(|facts| is_right(&facts, &key, wanted, now))
            && !(wanted.is_plain && says())
    });
    let chain = match chain {
        Some(chain) => chain,
        None => {
            let made = make(&key, wanted, now).map_err(|e| told("pem", e.to_string()))?;
            let put = replace(&folder, &name("pem"), made.pem().as_bytes());
            put.map_err(|e| told("pem", e.to_string()))?;
            vec![made.der().clone()]
        }
    };
    let text = Zeroizing::new(key.serialize_pem());
    let key = files::key(text.as_bytes()).map_err(|what| told("key", what))?;
    Ok((chain, key))
}

fn file(interface: &str, end: &str) -> String {
    format!("tls-{}.{end}", word(interface))
}

/// Where the certificate stands: whoever is to believe it needs that file.
pub(super) fn place(dir: &Path, interface: &str) -> PathBuf {
    let path = dir.join(file(interface, "pem"));
    std::path::absolute(&path).unwrap_or(path)
}

/// What is kept and could not be used, in words; nothing is made. `None` also where only another
/// could say so.
pub(super) fn broken(dir: &Path, interface: &str) -> Option<String> {
    // A folder is made where it is opened.
    let folder = dir.is_dir().then(|| Folder::open(dir).ok()).flatten()?;
    let name = |end: &str| file(interface, end);
    let told = |end: &str, what: String| format!("{}: {what}", dir.join(name(end)).display());
    let pem = || folder.read(&name("pem")).err().map(|e| told("pem", e.to_string()));
    kept_key(&folder, &name("key")).err().map(|what| told("key", what)).or_else(pem)
}

/// An interface's name as part of a file's.
fn word(name: &str) -> String {
    let mut word = String::new();
    for octet in name.bytes() {
        if octet.is_ascii_alphanumeric() || octet == b'-' {
            word.push(char::from(octet));
        } else {
            word.push_str(&format!("_{octet:02x}"));
        }
    }
    word
}

fn kept_key(folder: &Folder, name: &str) -> Result<Option<KeyPair>, String> {
    let Some(pem) = folder.read(name).map_err(|e| e.to_string())? else { return Ok(None) };
    let pem = Zeroizing::new(pem);
    let broken = || "it holds no key: remove it, and another is made (its pin changes)".to_owned();
    let text = std::str::from_utf8(&pem).map_err(|_| broken())?;
    KeyPair::from_pem(text).map(Some).map_err(|_| broken())
}

fn key(folder: &Folder, name: &str) -> Result<KeyPair, String> {
    if let Some(kept) = kept_key(folder, name)? {
        return Ok(kept);
    }
    let key = KeyPair::generate().map_err(|e| e.to_string())?;
    let text = Zeroizing::new(key.serialize_pem());
    replace(folder, name, text.as_bytes()).map_err(|e| e.to_string())?;
    Ok(key)
}

/// Whole or not at all.
fn replace(folder: &Folder, name: &str, octets: &[u8]) -> io::Result<()> {
    let new = format!("{name}.new");
    folder.remove(&new)?;
    let mut file = folder.new_file(&new)?;
    file.write_all(octets)?;
    file.sync_all()?;
    folder.rename(&new, name)?;
    folder.sync()
}

fn is_right(facts: &Facts, key: &KeyPair, wanted: &Wanted<'_>, now: Wall) -> bool {
    use rcgen::PublicKeyData as _;
    use sha2::Digest as _;
    let pin: [u8; 32] = sha2::Sha256::digest(key.subject_public_key_info()).into();
    facts.pin.is_some_and(|shown| shown.0 == pin)
        && facts.until.0 > now.0 + SOON
        && facts.ips == wanted.ips
        && facts.dns.iter().map(String::as_str).eq(wanted.domain)
}

/// As earlier versions made them: with an organization.
fn names_its_maker(der: &[u8]) -> bool {
    let read = X509Certificate::from_der(der);
    read.is_ok_and(|(_, read)| read.subject().iter_organization().next().is_some())
}

fn make(key: &KeyPair, wanted: &Wanted<'_>, now: Wall) -> Result<rcgen::Certificate, rcgen::Error> {
    let mut names: Vec<String> = wanted.domain.map(str::to_owned).into_iter().collect();
    names.extend(wanted.ips.iter().map(ToString::to_string));
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    let first = wanted.domain.map(str::to_owned);
    let first = first.or_else(|| wanted.ips.first().map(ToString::to_string));
    params.distinguished_name.push(DnType::CommonName, first.unwrap_or_default());
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // Phones begin with a clock of their own.
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    let year = 1970 + now.0.as_secs() / YEAR + YEARS;
    params.not_after = rcgen::date_time_ymd(i32::try_from(year).unwrap_or(9_999), 1, 1);
    params.self_signed(key)
}
