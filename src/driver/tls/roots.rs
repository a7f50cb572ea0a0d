//! Authorities that are believed, each as long as its own certificate says: who signs for others
//! has an end as they have. It believes nobody.

use super::facts::Facts;
use crate::ground::Wall;
use rustls::pki_types::{CertificateDer, TrustAnchor};
use rustls::{DistinguishedName, Error, RootCertStore};
use std::borrow::Cow;

/// Those of a file, or of this machine.
#[derive(Debug)]
pub(super) struct Roots {
    store: RootCertStore,
    /// When each ends; `None`: nobody can read it.
    ends: Vec<Option<Wall>>,
}

impl Roots {
    pub(super) fn new() -> Self {
        Self { store: RootCertStore::empty(), ends: Vec::new() }
    }

    /// One more.
    ///
    /// # Errors
    /// It is no certificate of an authority.
    pub(super) fn add(&mut self, certificate: CertificateDer<'_>) -> Result<(), Error> {
        let end = Facts::of(&certificate).map(|facts| facts.until);
        self.store.add(certificate)?;
        self.ends.push(end);
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.store.is_empty()
    }

    /// Their names.
    pub(super) fn subjects(&self) -> Vec<DistinguishedName> {
        self.store.subjects()
    }

    fn all(&self) -> impl Iterator<Item = (&TrustAnchor<'static>, Option<Wall>)> {
        self.store.roots.iter().zip(self.ends.iter().copied())
    }

    #[cfg(test)]
    pub(super) fn store(&self) -> RootCertStore {
        self.store.clone()
    }

    /// Those that have not ended.
    pub(super) fn at(&self, now: Wall) -> Cow<'_, [TrustAnchor<'static>]> {
        if self.ends.iter().all(|end| holds(*end, now)) {
            return Cow::Borrowed(&self.store.roots);
        }
        let left = self.all().filter(|(_, end)| holds(*end, now)).map(|(root, _)| root.clone());
        Cow::Owned(left.collect())
    }

    /// One of these names has ended.
    pub(super) fn has_ended(&self, names: Vec<Vec<u8>>, now: Wall) -> bool {
        let mut over = self.all().filter(|(_, end)| !holds(*end, now));
        over.any(|(root, _)| names.iter().any(|name| name[..] == root.subject[..]))
    }

    /// When one that holds ends; one that was renewed for the same key stands there twice.
    pub(super) fn until(&self, anchor: &TrustAnchor<'_>, now: Wall) -> Option<Wall> {
        let same = |root: &TrustAnchor<'_>| {
            root.subject == anchor.subject
                && root.subject_public_key_info == anchor.subject_public_key_info
        };
        let ends = self.all().filter(|(root, end)| same(root) && holds(*end, now));
        ends.map(|(_, end)| end).collect::<Option<Vec<Wall>>>()?.into_iter().max()
    }
}

fn holds(end: Option<Wall>, now: Wall) -> bool {
    end.is_none_or(|end| end >= now)
}
