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
use crate::wire::sip::{Aor, Uri};
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::Duration;

/// A phone that was confirmed so long ago is not known any more.
const LASTS: Duration = Duration::from_secs(7 * 24 * 3_600);
/// Written anew when so much of that is over: a refresh each minute is no write each minute.
const RENEWED: Duration = Duration::from_secs(24 * 3_600);

/// What is known of one.
#[derive(Clone, Debug)]
struct Known {
    /// The address of record.
    user: String,
    source: IpAddr,
    /// What it called itself; `None`: that was not always kept.
    contact: Option<Uri>,
    instance: Option<String>,
    upstream: String,
    until: Wall,
    /// The same, as it was last kept in the state folder.
    kept: Wall,
}

impl Known {
    /// As it is kept: its end by the wall clock.
    fn stored(&self, w: &World, key: &str) -> Output {
        let left = self.until.0.saturating_sub(w.steady().0);
        Output::Store(Entry::Confirmed(StoredConfirmation {
            key: key.to_owned(),
            user: self.user.clone(),
            source: self.source,
            contact: self.contact.as_ref().map(Uri::to_string),
            instance: self.instance.clone(),
            upstream: self.upstream.clone(),
            until: Wall(w.wall().0 + left).seconds(),
        }))
    }
}

/// All of them, by their bindings' keys. A user has so many, and of all the oldest of who has most
/// goes first: nobody's phones push out another's.
#[derive(Debug, Default)]
pub(super) struct Confirmed {
    all: HashMap<String, Known>,
    by_end: BTreeSet<(Wall, String)>,
    by_user: HashMap<String, BTreeSet<(Wall, String)>>,
    by_count: BTreeSet<(usize, String)>,
    /// By where it sends from: address, user, key.
    by_source: BTreeSet<(IpAddr, String, String)>,
}

impl Confirmed {
    fn insert(&mut self, key: &str, known: Known) {
        self.remove(key);
        let place = (known.until, key.to_owned());
        self.by_end.insert(place.clone());
        let theirs = self.by_user.entry(known.user.clone()).or_default();
        self.by_count.remove(&(theirs.len(), known.user.clone()));
        theirs.insert(place);
        self.by_count.insert((theirs.len(), known.user.clone()));
        self.by_source.insert((known.source, known.user.clone(), key.to_owned()));
        self.all.insert(key.to_owned(), known);
    }

    fn remove(&mut self, key: &str) -> bool {
        let Some(old) = self.all.remove(key) else { return false };
        let place = (old.until, key.to_owned());
        self.by_source.remove(&(old.source, old.user.clone(), key.to_owned()));
        if let Some(theirs) = self.by_user.get_mut(&old.user) {
            self.by_count.remove(&(theirs.len(), old.user.clone()));
            theirs.remove(&place);
            if theirs.is_empty() {
                self.by_user.remove(&old.user);
            } else {
                self.by_count.insert((theirs.len(), old.user));
            }
        }
        self.by_end.remove(&place)
    }

    /// Keys of a user's own.
    fn of_user(&self, user: &str) -> Vec<String> {
        let theirs = self.by_user.get(user).into_iter().flatten();
        theirs.map(|(_, key)| key.clone()).collect()
    }

    /// Nobody but this user is known there.
    fn is_his_alone(&self, source: IpAddr, user: &str) -> bool {
        let first = (source, String::new(), String::new());
        let there = self.by_source.range(first..).take_while(|(ip, ..)| *ip == source);
        there.into_iter().all(|(_, other, _)| other == user)
    }

    /// Whose time is over.
    fn over(&self, now: Wall) -> Option<String> {
        self.by_end.first().filter(|(until, _)| *until <= now).map(|(_, key)| key.clone())
    }

    /// Who is one too many: of a user who has more than `each`, else where all are more than
    /// `most`; the oldest of who has most, and of all where nobody has more than the others.
    fn too_many(&self, most: usize, each: usize) -> Option<String> {
        let (count, user) = self.by_count.last()?;
        if *count <= each && self.all.len() <= most {
            return None;
        }
        let oldest = match self.by_user.get(user) {
            Some(theirs) if *count > 1 => theirs.first(),
            Some(_) | None => self.by_end.first(),
        };
        oldest.map(|(_, key)| key.clone())
    }

    fn give_way(&mut self, w: &World) -> Vec<String> {
        let limits = &w.config().limits;
        let (most, each) = (limits.bindings, limits.bindings_per_user);
        let mut gone = Vec::new();
        while let Some(key) = self.over(w.steady()).or_else(|| self.too_many(most, each)) {
            self.remove(&key);
            gone.push(key);
        }
        gone
    }
}

/// How what was confirmed fits a Contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// It was, as it stands.
    Itself,
    /// It is another name of the phone that this key is of.
    Phone(String),
    /// It was not; but nobody else's phone is at that address.
    Place,
}

/// Both name one host: addresses are compared as such (RFC 5954 §4.1).
fn is_same_host(one: &Uri, other: &Uri) -> bool {
    match (one.host_ip(), other.host_ip()) {
        (Some(one), Some(other)) => one.to_canonical() == other.to_canonical(),
        (None, None) => one.host.eq_ignore_ascii_case(&other.host),
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// Both are one Contact. By a stream the port is the connection's own, and nobody calls it.
fn is_same(one: &Uri, other: &Uri, stream: bool) -> bool {
    one.user == other.user && is_same_host(one, other) && (stream || one.port == other.port)
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

impl Phones {
    /// An upstream's 2xx made this binding.
    pub(super) fn confirm(&mut self, w: &World, out: &mut Outbox, b: &Binding) {
        if w.config().survive.auth != SurviveAuth::Network || b.upstream.is_empty() {
            return;
        }
        let (now, source) = (w.steady(), b.source.ip());
        let user = b.aor.to_string();
        let fresh = |k: &&Known| {
            k.source == source
                && k.upstream == b.upstream
                && k.user == user
                && k.instance == b.instance
                && k.contact.is_some()
                && k.kept.0 > now.0 + LASTS.saturating_sub(RENEWED)
        };
        let until = w.steady_after(LASTS);
        let kept = self.confirmed.all.get(&b.key).filter(fresh).map(|k| k.kept);
        let upstream = b.upstream.clone();
        let (contact, instance) = (Some(b.contact.clone()), b.instance.clone());
        let kept_until = kept.unwrap_or(until);
        let known = Known { user, source, contact, instance, upstream, until, kept: kept_until };
        if kept.is_none() {
            out.emit(known.stored(w, &b.key));
        }
        self.confirmed.insert(&b.key, known);
        for key in self.confirmed.give_way(w) {
            out.emit(Output::Forget(Key::Confirmed(key)));
        }
    }

    /// An upstream ended what a user had registered where this comes from, these keys among it, or
    /// will not have him there: who is there next is not he, by whatever Contact he was known.
    pub(super) fn end_confirmed(
        &mut self,
        w: &World,
        out: &mut Outbox,
        (user, keys): (&Aor, &[&str]),
        from: &Flow,
    ) {
        let mut all = self.confirmed.of_user(&user.to_string());
        // Of old ones nobody kept whose they are.
        all.extend(keys.iter().map(|key| (*key).to_owned()));
        for key in all {
            let here = self.confirmed.all.get(&key).is_some_and(|k| k.source == from.peer.ip());
            match (here, self.is_anothers(w, &key, from) && !keys.contains(&key.as_str())) {
                (true, true) => self.know_itself_alone(w, out, &key),
                (true, false) => self.forget_confirmed(out, key),
                (false, _) => {}
            }
        }
    }

    /// All that a user had there ended.
    pub(super) fn end_all_confirmed(&mut self, out: &mut Outbox, user: &Aor, from: &Flow) {
        for key in self.confirmed.of_user(&user.to_string()) {
            if self.confirmed.all.get(&key).is_some_and(|k| k.source == from.peer.ip()) {
                self.forget_confirmed(out, key);
            }
        }
    }

    /// Another phone at that address is registered by it at its upstream, as far as is known.
    pub(super) fn is_anothers(&self, w: &World, key: &str, from: &Flow) -> bool {
        let other = |b: &&Binding| b.source != from.peer && !b.is_cut_off(w) && !b.edge;
        self.bindings.get(key).filter(other).is_some_and(|b| b.expires > w.steady())
    }

    fn forget_confirmed(&mut self, out: &mut Outbox, key: String) {
        if self.confirmed.remove(&key) {
            out.emit(Output::Forget(Key::Confirmed(key)));
        }
    }

    /// It says nothing any more of whoever else is at its address.
    fn know_itself_alone(&mut self, w: &World, out: &mut Outbox, key: &str) {
        let Some(known) = self.confirmed.all.get(key).filter(|k| k.contact.is_some()).cloned()
        else {
            return;
        };
        let known = Known { contact: None, instance: None, ..known };
        out.emit(known.stored(w, key));
        self.confirmed.insert(key, known);
    }

    /// This upstream confirmed that user and Contact from this address.
    pub(super) fn is_confirmed(&self, w: &World, key: &str, from: IpAddr, upstream: &str) -> bool {
        let known = self.confirmed.all.get(key);
        known.is_some_and(|k| k.source == from && k.upstream == upstream && k.until > w.steady())
    }

    /// How this upstream's confirmations fit a Contact of a user that comes from there; `None`:
    /// they do not.
    pub(super) fn fit(
        &self,
        w: &World,
        (key, contact, instance): (&str, &Uri, Option<&str>),
        (aor, flow, upstream): (&Aor, &Flow, &str),
    ) -> Option<Fit> {
        let (from, user) = (flow.peer.ip(), aor.to_string());
        if self.is_confirmed(w, key, from, upstream) {
            return Some(Fit::Itself);
        }
        // Of which link such an address is, the key alone says.
        if is_link_local(from) {
            return None;
        }
        let known = |key: &String| {
            let known = self.confirmed.all.get(key)?;
            self.is_confirmed(w, key, from, upstream).then_some(known)
        };
        let theirs = self.confirmed.of_user(&user);
        let stream = flow.transport.is_reliable();
        // By a tunnel all phones of a site have one address: what tells them apart is the Contact
        // that their own gateway has sealed.
        let is_one = !w.net().lasts(flow.listener);
        let same = |k: &Known| {
            let own = k.contact.as_ref().is_some_and(|c| is_same(c, contact, stream));
            own || is_one && instance.is_some() && k.instance.as_deref() == instance
        };
        if let Some(old) = theirs.iter().find(|key| known(key).is_some_and(same)) {
            return Some(Fit::Phone(old.clone()));
        }
        let here = |k: &Known| k.contact.as_ref().is_some_and(|c| is_same_host(c, contact));
        let host = w.net().host(flow);
        let alone = is_one
            && theirs.iter().filter_map(known).any(here)
            && self.confirmed.is_his_alone(from, &user)
            && self.bindings.of_host(host).all(|b| b.aor == *aor);
        alone.then_some(Fit::Place)
    }

    /// Confirmations as they were before a restart.
    pub(crate) fn restore_confirmed(&mut self, w: &World, stored: Vec<StoredConfirmation>) {
        for s in stored {
            let left = Duration::from_secs(s.until).saturating_sub(w.wall().0);
            let until = w.steady_after(left.min(LASTS));
            // Whose it is was not always kept: each counts alone until it is confirmed anew.
            let user = if s.user.is_empty() { s.key.clone() } else { s.user };
            let contact = s.contact.as_deref().and_then(|c| Uri::parse(c.as_bytes()));
            let (source, instance, upstream) = (s.source, s.instance, s.upstream);
            let known = Known { user, source, contact, instance, upstream, until, kept: until };
            self.confirmed.insert(&s.key, known);
        }
        self.confirmed.give_way(w);
    }
}
