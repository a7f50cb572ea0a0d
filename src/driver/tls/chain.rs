//! How a certificate leads to an authority. Who shows one has proved nothing yet, and the ways
//! among authorities that he names grow with their factorial; so there are few of them, and short
//! ones.
//! It looks at no name.

use super::facts::{self, Facts};
use super::failure::Failure;
use super::roots::Roots;
use crate::engine::stats::TlsFailure;
use crate::ground::Wall;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, UnixTime};
use std::time::Duration;
use webpki::{
    EndEntityCert, Error, ExtendedKeyUsageValidator, KeyPurposeId, KeyPurposeIdIter, KeyUsage,
    RequiredEkuNotFoundContext,
};

/// Certificates beside that of who shows them.
const REST: usize = 4;
/// Octets of them all.
const OCTETS: usize = 16 * 1024;
/// id-kp-serverAuth (RFC 5280 §4.2.1.12).
const SERVER: &[u8] = &[43, 6, 1, 5, 5, 7, 3, 1];
/// id-kp-clientAuth.
const CLIENT: &[u8] = &[43, 6, 1, 5, 5, 7, 3, 2];
/// id-kp-sipDomain (RFC 5924 §3).
const SIP: &[u8] = &[43, 6, 1, 5, 5, 7, 3, 20];

/// What a certificate that says what it is for must be for, one of these; one that says nothing is
/// for anything (RFC 5924 §4).
#[derive(Clone, Copy, Debug)]
pub(super) struct Purposes(&'static [&'static [u8]]);

/// Of whom we call.
pub(super) const CALLED: Purposes = Purposes(&[SERVER, SIP]);
/// Of who calls us: SIP's servers call each other, and have one certificate for both (RFC 5922 §4).
pub(super) const CALLS: Purposes = Purposes(&[CLIENT, SERVER, SIP]);

impl ExtendedKeyUsageValidator for Purposes {
    fn validate(&self, all: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        let mut present = Vec::new();
        for purpose in all {
            let purpose = purpose?;
            if self.0.iter().any(|oid| KeyPurposeId::new(oid) == purpose) {
                return Ok(());
            }
            present.push(purpose.to_decoded_oid());
        }
        let required = KeyUsage::server_auth();
        let wrong = RequiredEkuNotFoundContext { required, present };
        wrong.present.is_empty().then_some(()).ok_or(Error::RequiredEkuNotFoundContext(wrong))
    }
}

/// A chain that leads to an authority.
#[derive(Clone, Debug)]
pub(super) struct Path {
    /// Somebody on it may sign for some names only (RFC 5280 §4.2.1.10). What he may is looked at
    /// of DNS names and addresses alone; no other name of such a chain may count.
    pub(super) constrained: bool,
    /// When the first of them ends, its authority among them.
    pub(super) until: Wall,
    /// Those between; whatever else was shown beside them leads nowhere.
    between: Vec<CertificateDer<'static>>,
}

/// A certificate and those that lead from it to its authority, in that order.
pub(super) type Chain = std::sync::Arc<[CertificateDer<'static>]>;

impl Path {
    /// With the certificate that it begins at.
    pub(super) fn whole(self, end: &CertificateDer<'_>) -> Chain {
        std::iter::once(end.clone().into_owned()).chain(self.between).collect()
    }
}

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

/// So many authorities between may have one name: those that an upstream shows are signed
/// crosswise at times, and of who calls us none are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Namesakes(usize);

/// Of whom we call.
pub(super) const CROSSED: Namesakes = Namesakes(2);
/// Of who calls us.
pub(super) const SINGLE: Namesakes = Namesakes(1);

/// # Errors
/// Ways lead through it in a circle: each would be walked, and a signature looked at at each step.
pub(super) fn apart(
    rest: &[CertificateDer<'_>],
    Namesakes(most): Namesakes,
) -> Result<(), Failure> {
    let names: Vec<&[u8]> = rest.iter().filter_map(|one| facts::subject(one)).collect();
    let many = |name: &&[u8]| names.iter().filter(|other| *other == name).count() > most;
    if !names.iter().any(many) {
        return Ok(());
    }
    let text = "it shows several authorities of one name: it should show its own certificate and \
                those between it and its authority";
    Err(Failure::new(TlsFailure::Certificate, text))
}

/// # Errors
/// It leads to none of these, or holds not now, or not for that.
pub(super) fn leads(
    (end, facts): (&CertificateDer<'_>, &Facts),
    rest: &[CertificateDer<'_>],
    roots: &Roots,
    (algorithms, now): (&WebPkiSupportedAlgorithms, UnixTime),
    purposes: Purposes,
) -> Result<Path, Error> {
    let wall = Wall(Duration::from_secs(now.as_secs()));
    let (known, anchors) = (algorithms.all, roots.at(wall));
    let leaf = EndEntityCert::try_from(end)?;
    let path = leaf.verify_for_usage(known, &anchors, rest, now, purposes, None, None);
    let path = path.map_err(|error| {
        let over = error == Error::UnknownIssuer && roots.has_ended(issuers(end, rest), wall);
        if over { Error::CertExpired { time: now, not_after: now } } else { error }
    })?;
    let constrained = path.anchor().name_constraints.is_some();
    let until = roots.until(path.anchor(), wall).map_or(facts.until, |end| end.min(facts.until));
    let mut found = Path { constrained, until, between: Vec::new() };
    for one in path.intermediate_certificates() {
        let facts = Facts::of(&one.der()).ok_or(Error::BadDer)?;
        found.constrained |= facts.constrains;
        found.until = found.until.min(facts.until);
        found.between.push(one.der().into_owned());
    }
    Ok(found)
}

/// Who signed these, as the authorities' names are kept: what stands in the name's DER.
fn issuers(end: &CertificateDer<'_>, rest: &[CertificateDer<'_>]) -> Vec<Vec<u8>> {
    let issuer = |one: &CertificateDer<'_>| {
        EndEntityCert::try_from(one).ok().map(|read| read.issuer().to_vec())
    };
    std::iter::once(end).chain(rest).filter_map(issuer).collect()
}
