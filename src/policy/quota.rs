//! Shares: who holds the places of one table, who may take another, and who gives way for him. A
//! value: it owns no entry, ends nothing and reads no clock; whoever keeps the table asks it, then
//! does what it says.
//!
//! One rule for every table. A source (an address; a /64 of IPv6, but in an
//! emergency) has a share that counts what it has not proved; a proved user has one of his own. A
//! source's share binds when the table is full: then its own oldest entry gives way to its newest,
//! and whoever is within his share finds room by the oldest entry of the fullest source. Within a
//! /64, be it one host or all of a site, that is the oldest of the fullest address. What is
//! proved never gives way; so a user's share binds from half of the table on, before his entries
//! could keep out all others. A tenth is reserve: proved users reach half of it, the rest is for
//! emergency calls and established dialogs. What an outside party brings by way of an upstream is
//! known, but has the share of a user for each phone or call that it is for, or gives way to others
//! who are known, while it waits. Emergencies of nobody known hold a quarter together, and the last
//! of the reserve is never theirs; the oldest that waits gives way to another, and to the emergency
//! of somebody known.

mod holder;
mod pledge;
mod shelf;
#[cfg(test)]
mod tests;
mod words;

pub use holder::{Brought, Holder, Shares, Source};
pub use words::{Full, Resource, ShareView};

use shelf::{Patience, Shelf};
use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

/// How much more of a share an urgent claim may use: a BYE, or a call to an emergency number.
const URGENT: usize = 2;

/// The answer to who asks for a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room<K> {
    /// There is one.
    Free,
    /// There will be, when this entry has given way: end it, [`Quota::leave`], ask again.
    Instead(K),
    /// There is none.
    None(Full),
}

/// One entry.
#[derive(Clone, Debug)]
struct Held {
    holder: Holder,
    /// Grows with every entry: the smallest is the oldest.
    age: u64,
    weight: usize,
    patience: Patience,
}

/// The shares of one table; `K` names its entries.
#[derive(Debug)]
pub struct Quota<K> {
    shares: Shares,
    used: usize,
    ages: u64,
    held: HashMap<K, Held>,
    shelf: Shelf<K>,
    users: HashMap<String, usize>,
    /// What users of one password hold, by address and by network.
    addresses: HashMap<Source, usize>,
    networks: HashMap<Source, usize>,
    brought: HashMap<String, usize>,
    /// What was brought and waits, by age.
    rings: BTreeSet<(u64, K)>,
    emergencies: Shelf<K>,
}

impl<K: Copy + Eq + Hash + Ord> Quota<K> {
    /// Nothing is held.
    #[must_use]
    pub fn new(shares: Shares) -> Self {
        Self {
            shares,
            used: 0,
            ages: 0,
            held: HashMap::new(),
            shelf: Shelf::of_networks(),
            users: HashMap::new(),
            addresses: HashMap::new(),
            networks: HashMap::new(),
            brought: HashMap::new(),
            rings: BTreeSet::new(),
            emergencies: Shelf::of_sources(),
        }
    }

    /// Other numbers from now on; what is held stays.
    pub fn set_shares(&mut self, shares: Shares) {
        self.shares = shares;
    }

    /// The numbers in force.
    #[must_use]
    pub fn shares(&self) -> Shares {
        self.shares
    }

    /// Places held.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used
    }

    /// Entries of a source that are emergencies.
    #[must_use]
    pub fn emergencies(&self, source: Source) -> usize {
        self.emergencies.entries(source)
    }

    /// Whether `holder` may take `weight` places more. `urgent`: a request within an established
    /// dialog, or an emergency call.
    #[must_use]
    pub fn ask(&self, holder: &Holder, urgent: bool, weight: usize) -> Room<K> {
        if weight == 0 {
            return Room::Free;
        }
        let share = |share: usize| if urgent { share.saturating_mul(URGENT) } else { share };
        let half = self.used + weight > self.shares.total / 2;
        if let Some(full) = self.beyond_share(holder, urgent, weight).filter(|_| half) {
            return Room::None(full);
        }
        let many = self.emergencies.total() + weight > self.shares.emergencies();
        if many && matches!(holder, Holder::Emergency(_)) {
            return self.first_emergency().map_or(Room::None(Full::Total), Room::Instead);
        }
        if self.used + weight <= self.shares.reach(holder, urgent) {
            return Room::Free;
        }
        match holder {
            Holder::Unproved(source)
                if self.shelf.weight(*source) + weight > share(self.shares.per_source) =>
            {
                let own = self.shelf.oldest_beside(*source);
                own.map_or(Room::None(Full::Source), Room::Instead)
            }
            Holder::Unproved(_)
            | Holder::Emergency(_)
            | Holder::User(_)
            | Holder::Shared(..)
            | Holder::Upstream
            | Holder::Brought(_) => {
                self.next(holder, urgent).map_or(Room::None(Full::Total), Room::Instead)
            }
        }
    }

    /// With so much more somebody known would hold more than is his of a table that is half full.
    fn beyond_share(&self, holder: &Holder, urgent: bool, weight: usize) -> Option<Full> {
        let times = if urgent { URGENT } else { 1 };
        let per_user = self.shares.per_user.saturating_mul(times);
        let per_address = self.shares.per_address.saturating_mul(times);
        let per_network = self.shares.per_network().saturating_mul(times);
        let is_beyond = match holder {
            Holder::User(user) => held(&self.users, user) + weight > per_user,
            Holder::Shared(_, at)
                if held(&self.addresses, at) + weight > per_address
                    || held(&self.networks, &at.whole()) + weight > per_network =>
            {
                return Some(Full::Source);
            }
            Holder::Shared(user, _) => held(&self.users, user) + weight > per_user,
            // Whoever floods a call may end it.
            Holder::Brought(name) if self.shares.brought == Brought::Shares => {
                !urgent && held(&self.brought, name) + weight > per_user
            }
            Holder::Unproved(_) | Holder::Emergency(_) | Holder::Upstream | Holder::Brought(_) => {
                false
            }
        };
        is_beyond.then_some(Full::User)
    }

    /// What gives way to a claim that has room in its share: what is unproved; then, to who is
    /// known, what was brought and waits; then, to an emergency, another one that waits.
    fn next(&self, holder: &Holder, urgent: bool) -> Option<K> {
        let (asks, urgent) = match holder {
            Holder::Unproved(source) => (Some(*source), false),
            Holder::Emergency(_) => (None, true),
            Holder::User(_) | Holder::Shared(..) | Holder::Upstream | Holder::Brought(_) => {
                (None, urgent)
            }
        };
        let waits = asks.is_none() && self.shares.brought == Brought::Waits;
        let rings = || self.rings.first().filter(|_| waits).map(|(_, key)| *key);
        let emergency = || self.first_emergency().filter(|_| urgent);
        self.others(asks).or_else(rings).or_else(emergency)
    }

    /// Of emergencies of nobody known the oldest that waits, of the source that holds most.
    fn first_emergency(&self) -> Option<K> {
        self.emergencies.oldest_of_fullest()
    }

    /// The entry that gives way to anybody who has room in his share.
    fn others(&self, asks: Option<Source>) -> Option<K> {
        let first = self.shelf.oldest_of_fullest();
        first.or_else(|| self.shelf.settled_of_fullest(self.shares.per_source, asks))
    }

    /// Makes room for `weight` places: what gives way is forgotten here and named in `gone`, for
    /// its keeper to end.
    ///
    /// # Errors
    /// There is none; what has given way before that was seen stands in `gone` all the same.
    pub fn make_room(
        &mut self,
        holder: &Holder,
        urgent: bool,
        weight: usize,
        gone: &mut Vec<K>,
    ) -> Result<(), Full> {
        loop {
            match self.ask(holder, urgent, weight) {
                Room::Free => return Ok(()),
                Room::None(full) => return Err(full),
                Room::Instead(key) => {
                    self.leave(key);
                    gone.push(key);
                }
            }
        }
    }

    /// Whether there is room, or somebody to give way; nothing changes.
    ///
    /// # Errors
    /// There is none.
    pub fn has_room(&self, holder: &Holder, urgent: bool, weight: usize) -> Result<(), Full> {
        match self.ask(holder, urgent, weight) {
            Room::Free | Room::Instead(_) => Ok(()),
            Room::None(full) => Err(full),
        }
    }

    /// The entry that gives way to `holder` when something else than places runs short.
    #[must_use]
    pub fn next_to_go(&self, holder: &Holder, urgent: bool) -> Option<K> {
        self.next(holder, urgent)
    }

    /// What an entry weighs; 0: there is none of this name.
    #[must_use]
    pub fn weight(&self, key: K) -> usize {
        self.held.get(&key).map_or(0, |held| held.weight)
    }

    /// An entry begins; one of this name that was there is forgotten.
    pub fn enter(&mut self, key: K, holder: Holder, weight: usize) {
        self.leave(key);
        self.ages += 1;
        let held = Held { holder, age: self.ages, weight, patience: Patience::Waits };
        self.count(key, &held, true);
        self.held.insert(key, held);
    }

    /// An entry ends. False: there was none of this name.
    pub fn leave(&mut self, key: K) -> bool {
        let Some(held) = self.held.remove(&key) else { return false };
        self.count(key, &held, false);
        true
    }

    /// An entry weighs something else from now on.
    pub fn weigh(&mut self, key: K, weight: usize) {
        self.change(key, |held| held.weight = weight);
    }

    /// Its holder has proved himself, or turned out to be another.
    pub fn prove(&mut self, key: K, holder: Holder) {
        self.change(key, |held| held.holder = holder);
    }

    /// The oldest emergency of a source that waits.
    #[must_use]
    pub fn emergency_of(&self, source: Source) -> Option<K> {
        self.emergencies.oldest_of(source)
    }

    /// Emergencies of a source that have got what they came for, oldest first.
    pub fn settled_emergencies(&self, source: Source) -> impl Iterator<Item = K> + '_ {
        self.emergencies.settled_of(source)
    }

    /// What made an entry an emergency's is over: from now on it counts in its source's share.
    pub fn calm(&mut self, key: K) {
        let Some(Holder::Emergency(source)) = self.held.get(&key).map(|held| &held.holder) else {
            return;
        };
        self.prove(key, Holder::Unproved(*source));
    }

    /// What an unproved entry stands for has come about (an answered call): it gives way only to
    /// others, where its source holds more than its share.
    pub fn settle(&mut self, key: K) {
        self.change(key, |held| held.patience = Patience::Settled);
    }

    fn change(&mut self, key: K, how: impl FnOnce(&mut Held)) {
        let Some(mut held) = self.held.remove(&key) else { return };
        self.count(key, &held, false);
        how(&mut held);
        self.count(key, &held, true);
        self.held.insert(key, held);
    }

    fn count(&mut self, key: K, held: &Held, there: bool) {
        let weight = held.weight;
        self.used = if there { self.used + weight } else { self.used - weight };
        match &held.holder {
            Holder::Unproved(source) => {
                self.shelf.put(*source, held.patience, (held.age, key), weight, there);
            }
            Holder::Emergency(source) => {
                let entry = (held.age, key);
                self.emergencies.put(*source, held.patience, entry, weight, there);
            }
            Holder::User(user) => tally(&mut self.users, user, weight, there),
            Holder::Shared(user, source) => {
                tally(&mut self.users, user, weight, there);
                tally(&mut self.addresses, source, weight, there);
                tally(&mut self.networks, &source.whole(), weight, there);
            }
            Holder::Brought(name) => {
                tally(&mut self.brought, name, weight, there);
                let entry = (held.age, key);
                match (held.patience, there) {
                    (Patience::Waits, true) => self.rings.insert(entry),
                    (Patience::Waits, false) => self.rings.remove(&entry),
                    (Patience::Settled, _) => false,
                };
            }
            Holder::Upstream => {}
        }
    }

    /// How the table stands. It looks at every holder: for people who ask, not for packets.
    #[must_use]
    pub fn view(&self, resource: Resource) -> ShareView {
        let Shares { total, per_source, per_user, .. } = self.shares;
        let per_user = Some(per_user).filter(|n| *n < usize::MAX);
        let (used, reserve, fullest) = (self.used, self.shares.reserve(), self.fullest());
        ShareView { resource, used, total, reserve, per_source, per_user, fullest }
    }

    /// Who holds most, and how much: a user, a source, or whom an upstream brings it for.
    #[must_use]
    pub fn fullest(&self) -> Option<(String, usize)> {
        let source = self.shelf.fullest().map(|(source, weight)| (source.to_string(), weight));
        let known = self.users.iter().chain(&self.brought);
        let users = known.map(|(user, weight)| (user.clone(), *weight));
        // By weight, then by name: the same table always shows the same one.
        let addresses = self.addresses.iter().map(|(at, weight)| (at.to_string(), *weight));
        users
            .chain(addresses)
            .chain(source)
            .max_by(|a, b| a.1.cmp(&b.1).then_with(|| b.0.cmp(&a.0)))
    }
}

/// What is counted for somebody.
fn held<T: Eq + Hash>(all: &HashMap<T, usize>, of: &T) -> usize {
    all.get(of).copied().unwrap_or_default()
}

/// Adds to or takes from a counter that exists only while it is not 0.
fn tally<T: Clone + Eq + Hash>(all: &mut HashMap<T, usize>, of: &T, weight: usize, there: bool) {
    match (all.get_mut(of), there) {
        (Some(n), true) => *n += weight,
        (Some(n), false) if *n > weight => *n -= weight,
        (Some(_), false) => {
            all.remove(of);
        }
        (None, true) if weight > 0 => {
            all.insert(of.clone(), weight);
        }
        (None, _) => {}
    }
}
