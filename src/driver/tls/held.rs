//! Open connections whose other end has proved who he is, and by what: so that what was believed
//! ends with what it rested on. It closes none, and proves nobody anew while somebody waits for it:
//! the event loop takes its lock whenever a connection ends.

use super::caller::Callers;
use super::chain::Chain;
use super::failure::Failure;
use super::proof::Proof;
use super::settings::Settings;
use crate::ground::{ConnId, Flow, Subject, Wall};
use rustls::pki_types::{CertificateDer, UnixTime};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Who believed somebody.
#[derive(Clone, Debug)]
pub(super) enum By {
    /// An interface (its place in the file), who called us by these names.
    Interface(usize, Arc<Callers>, Vec<Subject>),
    /// An upstream (its name in the file), whom we called.
    Upstream(String, Arc<Proof>),
}

/// One connection.
#[derive(Debug)]
struct Held {
    flow: Flow,
    by: By,
    /// What proved it, and nothing that was shown beside that.
    chain: Chain,
    /// For how long; `None`: for ever, as a pin is believed.
    until: Option<Wall>,
}

/// A proof that is over.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The connection.
    pub flow: Flow,
    /// Why, in words.
    pub why: String,
    /// What is in force now does not believe him: nothing may go on there. Else his certificate has
    /// ended, and what has begun may end.
    pub at_once: bool,
}

/// A connection that has to be proved anew, as it was when that was found.
#[derive(Clone, Debug)]
pub struct Doubt(ConnId, Arc<Held>);

/// All of them; as many as are open.
#[derive(Debug, Default)]
pub(super) struct Proofs(Mutex<HashMap<ConnId, Arc<Held>>>);

impl Proofs {
    fn all(&self) -> std::sync::MutexGuard<'_, HashMap<ConnId, Arc<Held>>> {
        // A panic while holding it cannot leave the map half-written.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn hold(&self, flow: Flow, by: By, chain: Chain, until: Option<Wall>) {
        let Some(conn) = flow.conn else { return };
        self.all().insert(conn, Arc::new(Held { flow, by, chain, until }));
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.all().len()
    }

    /// Certificates that are kept of all.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.all().values().map(|held| held.chain.len()).sum()
    }

    pub(super) fn release(&self, conn: ConnId) {
        self.all().remove(&conn);
    }

    /// Those that what is in force now, or the time, asks for a proof anew.
    pub(super) fn doubts(&self, settings: &Settings, now: Wall) -> Vec<Doubt> {
        let all: Vec<Doubt> =
            self.all().iter().map(|(conn, held)| Doubt(*conn, held.clone())).collect();
        all.into_iter().filter(|Doubt(_, held)| held.is_doubtful(settings, now)).collect()
    }

    /// Proves one anew. `None`: it is proved still, or has ended meanwhile; told once.
    pub(super) fn look(
        &self,
        Doubt(conn, held): &Doubt,
        settings: &Settings,
        now: Wall,
    ) -> Option<Ended> {
        let looked = held.look(settings, now);
        let mut all = self.all();
        all.get(conn).filter(|here| Arc::ptr_eq(here, held))?;
        match looked {
            Ok(held) => {
                all.insert(*conn, Arc::new(held));
                None
            }
            Err((why, at_once)) => {
                all.remove(conn);
                Some(Ended { flow: held.flow, why, at_once })
            }
        }
    }
}

impl Held {
    /// Who believes it now is another than who did, or its time is over.
    fn is_doubtful(&self, settings: &Settings, now: Wall) -> bool {
        let same = match &self.by {
            By::Interface(at, by, _) => {
                settings.callers(*at).is_some_and(|current| Arc::ptr_eq(&current, by))
            }
            By::Upstream(name, by) => {
                let current = settings.proof(name, &by.host);
                current.is_some_and(|current| Arc::ptr_eq(&current, by))
            }
        };
        !same || self.until.is_some_and(|until| until < now)
    }

    /// Whether what is in force now, and the time, still say so. A chain that has ended may have
    /// another way to its authority.
    fn look(&self, settings: &Settings, now: Wall) -> Result<Self, (String, bool)> {
        let stale = || ("it is not asked for a proof any more".to_owned(), true);
        let ((end, rest), at) = (self.shown().map_err(|e| (e.text, true))?, time(now));
        let (same, by, proved) = match &self.by {
            By::Interface(place, by, names) => {
                let current = settings.callers(*place).ok_or_else(stale)?;
                let same = Arc::ptr_eq(&current, by);
                let proved = current.prove(end, rest, at).and_then(|proved| {
                    let is_he = proved.names == *names;
                    is_he.then_some(proved).ok_or_else(Failure::renamed)
                });
                let proved = proved.map(|proved| (proved.chain, Some(proved.until)));
                (same, By::Interface(*place, current, names.clone()), proved)
            }
            By::Upstream(name, by) => {
                let current = settings.proof(name, &by.host).ok_or_else(stale)?;
                let same = Arc::ptr_eq(&current, by);
                let proved = current.check(end, rest, at).map(|shown| (shown.chain, shown.until));
                (same, By::Upstream(name.clone(), current), proved)
            }
        };
        let (chain, until) = proved.map_err(|failure| (failure.text, !same))?;
        Ok(Self { flow: self.flow, by, chain, until })
    }

    fn shown(&self) -> Result<(&CertificateDer<'static>, &[CertificateDer<'static>]), Failure> {
        self.chain.split_first().ok_or_else(Failure::unread)
    }
}

fn time(now: Wall) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(now.0.as_secs()))
}
