//! Open connections whose other end has proved who he is, and by what: so that what was believed
//! ends with what it rested on. It closes none.

use super::caller::Callers;
use super::facts::Facts;
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
    shown: Vec<CertificateDer<'static>>,
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

/// All of them; as many as are open.
#[derive(Debug, Default)]
pub(super) struct Proofs(Mutex<HashMap<ConnId, Held>>);

impl Proofs {
    fn all(&self) -> std::sync::MutexGuard<'_, HashMap<ConnId, Held>> {
        // A panic while holding it cannot leave the map half-written.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn hold(
        &self,
        flow: Flow,
        by: By,
        shown: &[CertificateDer<'_>],
        until: Option<Wall>,
    ) {
        let Some(conn) = flow.conn else { return };
        let shown = shown.iter().map(|one| one.clone().into_owned()).collect();
        self.all().insert(conn, Held { flow, by, shown, until });
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.all().len()
    }

    pub(super) fn release(&self, conn: ConnId) {
        self.all().remove(&conn);
    }

    /// Those that are over, each told once.
    pub(super) fn ended(&self, settings: &Settings, now: Wall) -> Vec<Ended> {
        let mut over = Vec::new();
        self.all().retain(|_, held| match held.look(settings, now) {
            Ok(()) => true,
            Err((why, at_once)) => {
                over.push(Ended { flow: held.flow, why, at_once });
                false
            }
        });
        over
    }
}

impl Held {
    /// Whether what is in force now, and the time, still say so. A chain that has ended may have
    /// another way to its authority.
    fn look(&mut self, settings: &Settings, now: Wall) -> Result<(), (String, bool)> {
        let ended = self.until.is_some_and(|until| until < now);
        let stale = || ("it is not asked for a proof any more".to_owned(), true);
        let (same, proved) = match &mut self.by {
            By::Interface(at, by, names) => {
                let current = settings.callers(*at).ok_or_else(stale)?;
                let same = Arc::ptr_eq(&current, by);
                if same && !ended {
                    return Ok(());
                }
                let proved = again(&self.shown, |end, rest| current.prove(end, rest, time(now)));
                *by = current;
                let proved = proved.and_then(|proved| match proved.names == *names {
                    true => Ok(Some(proved.until)),
                    false => Err(Failure::renamed()),
                });
                (same, proved)
            }
            By::Upstream(name, by) => {
                let current = settings.proof(name, &by.host).ok_or_else(stale)?;
                let same = Arc::ptr_eq(&current, by);
                if same && !ended {
                    return Ok(());
                }
                let proved = again(&self.shown, |end, rest| current.check(end, rest, time(now)));
                *by = current;
                (same, proved)
            }
        };
        self.until = proved.map_err(|failure| (failure.text, !same))?;
        Ok(())
    }
}

/// When the first of these ends that holds now.
pub(super) fn until(shown: &[CertificateDer<'_>], now: Wall) -> Option<Wall> {
    let all = shown.iter().filter_map(|one| Facts::of(one)).map(|facts| facts.until);
    all.filter(|until| *until >= now).min()
}

fn time(now: Wall) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(now.0.as_secs()))
}

fn again<T>(
    shown: &[CertificateDer<'static>],
    prove: impl FnOnce(&CertificateDer<'_>, &[CertificateDer<'_>]) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let (end, rest) = shown.split_first().ok_or_else(Failure::unread)?;
    prove(end, rest)
}
