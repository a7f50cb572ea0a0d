//! The unproved entries of a table (or its emergencies) by source and by age, the fullest source of
//! the fullest network always at hand. Every question has its index; nothing is found by walking.

use super::Source;
use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

/// Whether an entry must give way when others need its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// It waits for something, and may be told to come again.
    Waits,
    /// It has got what it came for.
    Settled,
}

impl Patience {
    fn index(self) -> usize {
        match self {
            Self::Waits => 0,
            Self::Settled => 1,
        }
    }
}

/// An entry by age.
type Aged<K> = (u64, K);

/// What one source holds.
#[derive(Debug)]
struct Pile<K> {
    weight: usize,
    /// Entries that wait, and settled ones, oldest first.
    entries: [BTreeSet<Aged<K>>; 2],
}

/// A source by weight, then by the age of its oldest entry: the last one gives way first.
type Rank = (usize, Reverse<u64>, Source);

/// Sources that have entries of a patience, the fullest last.
type Ranks = [BTreeSet<Rank>; 2];

/// What the sources of one network hold.
#[derive(Debug, Default)]
struct Group {
    weight: usize,
    ranks: Ranks,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Shelf<K> {
    piles: HashMap<Source, Pile<K>>,
    groups: HashMap<Source, Group>,
    /// Whose share a source's entries are in: its network's, or its own.
    group: fn(Source) -> Source,
    /// Of all entries.
    weight: usize,
    /// Groups, by weight and then by the oldest entry of their fullest source.
    ranks: Ranks,
}

impl<K: Copy + Ord> Shelf<K> {
    /// Shares are those of networks.
    pub(super) fn of_networks() -> Self {
        Self::new(Source::whole)
    }

    /// Each source has its own.
    pub(super) fn of_sources() -> Self {
        Self::new(|source| source)
    }

    fn new(group: fn(Source) -> Source) -> Self {
        let (piles, groups) = (HashMap::new(), HashMap::new());
        Self { piles, groups, group, weight: 0, ranks: Ranks::default() }
    }

    /// Adds an entry or takes it away.
    pub(super) fn put(
        &mut self,
        source: Source,
        patience: Patience,
        entry: Aged<K>,
        weight: usize,
        there: bool,
    ) {
        let fresh = || Pile { weight: 0, entries: [BTreeSet::new(), BTreeSet::new()] };
        let pile = self.piles.entry(source).or_insert_with(fresh);
        let before = pile.ranks(source);
        let entries = &mut pile.entries[patience.index()];
        if there {
            entries.insert(entry);
            pile.weight += weight;
        } else {
            entries.remove(&entry);
            pile.weight -= weight;
        }
        let after = pile.ranks(source);
        let name = (self.group)(source);
        let group = self.groups.entry(name).or_default();
        let (was, had) = (group.ranked(name), group.weight);
        rank(&mut group.ranks, before, after);
        group.weight = if there { had + weight } else { had - weight };
        let is = group.ranked(name);
        rank(&mut self.ranks, was, is);
        self.weight = self.weight + group.weight - had;
        if is == [None, None] {
            self.groups.remove(&name);
        }
        if after == [None, None] {
            self.piles.remove(&source);
        }
    }

    /// What all of them hold together.
    pub(super) fn total(&self) -> usize {
        self.weight
    }

    /// How many entries a source has.
    pub(super) fn entries(&self, source: Source) -> usize {
        let count = |pile: &Pile<K>| pile.entries.iter().map(BTreeSet::len).sum();
        self.piles.get(&source).map_or(0, count)
    }

    /// A source's settled entries, oldest first.
    pub(super) fn settled_of(&self, source: Source) -> impl Iterator<Item = K> + '_ {
        let pile = self.piles.get(&source).into_iter();
        pile.flat_map(|p| &p.entries[Patience::Settled.index()]).map(|(_, key)| *key)
    }

    /// What the group of a source holds.
    pub(super) fn weight(&self, source: Source) -> usize {
        self.groups.get(&(self.group)(source)).map_or(0, |group| group.weight)
    }

    /// The source's own oldest entry that waits.
    pub(super) fn oldest_of(&self, source: Source) -> Option<K> {
        oldest(self.piles.get(&source)?, Patience::Waits)
    }

    /// The oldest entry that waits, of the source that holds most in the group of this one.
    pub(super) fn oldest_beside(&self, source: Source) -> Option<K> {
        self.fullest_of(self.groups.get(&(self.group)(source))?)
    }

    /// The oldest entry that waits, of the source that holds most in the group that does.
    pub(super) fn oldest_of_fullest(&self) -> Option<K> {
        let (_, _, name) = self.ranks[Patience::Waits.index()].last()?;
        self.fullest_of(self.groups.get(name)?)
    }

    fn fullest_of(&self, group: &Group) -> Option<K> {
        let (_, _, source) = group.ranks[Patience::Waits.index()].last()?;
        self.oldest_of(*source)
    }

    /// The oldest settled entry of the source that holds most in the group that does, where that is
    /// more than its share and another asks: one of another group, or one of the same who is not
    /// that source, where that holds more than the share by itself.
    pub(super) fn settled_of_fullest(&self, share: usize, asks: Option<Source>) -> Option<K> {
        let settled = Patience::Settled.index();
        let (weight, _, name) = self.ranks[settled].last()?;
        let (own, _, source) = self.groups.get(name)?.ranks[settled].last()?;
        let is_beside = asks.is_some_and(|asks| (self.group)(asks) == *name);
        let gives = !is_beside || asks != Some(*source) && *own > share;
        if *weight <= share || !gives {
            return None;
        }
        oldest(self.piles.get(source)?, Patience::Settled)
    }

    /// The group that holds most, and how much.
    pub(super) fn fullest(&self) -> Option<(Source, usize)> {
        let last = |ranks: &BTreeSet<Rank>| ranks.last().map(|(weight, _, name)| (*name, *weight));
        self.ranks.iter().filter_map(last).max_by_key(|(_, weight)| *weight)
    }
}

impl<K: Ord> Pile<K> {
    fn ranks(&self, source: Source) -> [Option<Rank>; 2] {
        let first = |entries: &BTreeSet<Aged<K>>| {
            entries.first().map(|(age, _)| (self.weight, Reverse(*age), source))
        };
        [first(&self.entries[0]), first(&self.entries[1])]
    }
}

impl Group {
    fn ranked(&self, name: Source) -> [Option<Rank>; 2] {
        let last =
            |ranks: &BTreeSet<Rank>| ranks.last().map(|(_, age, _)| (self.weight, *age, name));
        [last(&self.ranks[0]), last(&self.ranks[1])]
    }
}

/// Somebody stood there, and stands here now.
fn rank(ranks: &mut Ranks, before: [Option<Rank>; 2], after: [Option<Rank>; 2]) {
    for (ranks, (before, after)) in ranks.iter_mut().zip(before.into_iter().zip(after)) {
        if before == after {
            continue;
        }
        if let Some(rank) = before {
            ranks.remove(&rank);
        }
        ranks.extend(after);
    }
}

fn oldest<K: Copy + Ord>(pile: &Pile<K>, patience: Patience) -> Option<K> {
    pile.entries[patience.index()].first().map(|(_, key)| *key)
}
