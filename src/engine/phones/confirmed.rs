//! Which phones upstreams confirmed: user, Contact and our socket (the binding's key), and the
//! address that the phone sent from. It is all that proves a phone while the upstream, who alone
//! knows its password, does not answer. Bounded; it proves nothing while the upstream serves.

use super::{Binding, Phones};
use crate::config::SurviveAuth;
use crate::engine::entry::{Entry, Key, StoredConfirmation};
use crate::engine::outbox::Outbox;
use crate::engine::output::Output;
use crate::engine::world::World;
use crate::ground::{Flow, Wall};
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::Duration;

/// A phone that was confirmed so long ago is not known any more.
const LASTS: Duration = Duration::from_secs(7 * 24 * 3_600);
/// Written anew when so much of that is over: a refresh each minute is no write each minute.
const RENEWED: Duration = Duration::from_secs(24 * 3_600);

/// What is known of one.
#[derive(Debug)]
struct Known {
    source: IpAddr,
    upstream: String,
    until: Wall,
}

/// All of them, by their bindings' keys.
#[derive(Debug, Default)]
pub(super) struct Confirmed {
    all: HashMap<String, Known>,
    by_end: BTreeSet<(Wall, String)>,
}

impl Confirmed {
    fn insert(&mut self, key: &str, known: Known) {
        self.remove(key);
        self.by_end.insert((known.until, key.to_owned()));
        self.all.insert(key.to_owned(), known);
    }

    fn remove(&mut self, key: &str) -> bool {
        let Some(old) = self.all.remove(key) else { return false };
        self.by_end.remove(&(old.until, key.to_owned()))
    }

    /// Whose time is over, or who is one too many.
    fn give_way(&mut self, now: Wall, most: usize) -> Vec<String> {
        let mut gone = Vec::new();
        while let Some((until, key)) = self.by_end.first().cloned() {
            if until > now && self.all.len() <= most {
                break;
            }
            self.remove(&key);
            gone.push(key);
        }
        gone
    }
}

impl Phones {
    /// An upstream's 2xx made this binding.
    pub(super) fn confirm(&mut self, w: &World, out: &mut Outbox, b: &Binding) {
        if w.config().survive.auth != SurviveAuth::Network || b.upstream.is_empty() {
            return;
        }
        let (now, source) = (w.steady(), b.source.ip());
        let fresh = |k: &&Known| {
            k.source == source
                && k.upstream == b.upstream
                && k.until.0 > now.0 + LASTS.saturating_sub(RENEWED)
        };
        if self.confirmed.all.get(&b.key).is_some_and(|k| fresh(&k)) {
            return;
        }
        let until = w.steady_after(LASTS);
        let (key, upstream) = (b.key.clone(), b.upstream.clone());
        self.confirmed.insert(&b.key, Known { source, upstream: upstream.clone(), until });
        let kept = Wall(w.wall().0 + LASTS).seconds();
        let stored = StoredConfirmation { key, source, upstream, until: kept };
        out.emit(Output::Store(Entry::Confirmed(stored)));
        for key in self.confirmed.give_way(now, w.config().limits.bindings) {
            out.emit(Output::Forget(Key::Confirmed(key)));
        }
    }

    /// The upstream will not have it, which sends from there: it is confirmed no more.
    pub(super) fn forget_confirmed(&mut self, out: &mut Outbox, key: &str, from: &Flow) {
        let bound = self.bindings.get(key).map(|b| b.source);
        let known = self.confirmed.all.get(key).map(|k| k.source);
        let own = known == Some(from.peer.ip()) && bound.is_none_or(|at| at == from.peer);
        if own && self.confirmed.remove(key) {
            out.emit(Output::Forget(Key::Confirmed(key.to_owned())));
        }
    }

    /// This upstream confirmed that user and Contact from this address.
    pub(super) fn is_confirmed(&self, w: &World, key: &str, from: IpAddr, upstream: &str) -> bool {
        let known = self.confirmed.all.get(key);
        known.is_some_and(|k| k.source == from && k.upstream == upstream && k.until > w.steady())
    }

    /// Confirmations as they were before a restart.
    pub(crate) fn restore_confirmed(&mut self, w: &World, stored: Vec<StoredConfirmation>) {
        for s in stored {
            let left = Duration::from_secs(s.until).saturating_sub(w.wall().0);
            let until = w.steady_after(left.min(LASTS));
            let known = Known { source: s.source, upstream: s.upstream, until };
            self.confirmed.insert(&s.key, known);
        }
        self.confirmed.give_way(w.steady(), w.config().limits.bindings);
    }
}
