//! The unproved entries of a table (or its emergencies) by source and by age, the fullest source
//! always at hand. Every question has its index; nothing is found by walking.

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

/// All of them.
#[derive(Debug)]
pub(super) struct Shelf<K> {
    piles: HashMap<Source, Pile<K>>,
    /// Of all entries.
    weight: usize,
    /// Sources that have entries of this patience.
    ranks: [BTreeSet<Rank>; 2],
}

impl<K> Default for Shelf<K> {
    fn default() -> Self {
        Self { piles: HashMap::new(), weight: 0, ranks: [BTreeSet::new(), BTreeSet::new()] }
    }
}

impl<K: Copy + Ord> Shelf<K> {
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
        let before = ranks(source, pile);
        let entries = &mut pile.entries[patience.index()];
        if there {
            entries.insert(entry);
            pile.weight += weight;
            self.weight += weight;
        } else {
            entries.remove(&entry);
            pile.weight -= weight;
            self.weight -= weight;
        }
        let after = ranks(source, pile);
        for i in 0..2 {
            if let Some(rank) = before[i] {
                self.ranks[i].remove(&rank);
            }
            if let Some(rank) = after[i] {
                self.ranks[i].insert(rank);
            }
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

    /// What a source holds.
    pub(super) fn weight(&self, source: Source) -> usize {
        self.piles.get(&source).map_or(0, |pile| pile.weight)
    }

    /// The source's own oldest entry that waits.
    pub(super) fn oldest_of(&self, source: Source) -> Option<K> {
        oldest(self.piles.get(&source)?, Patience::Waits)
    }

    /// The oldest entry that waits, of the source that holds most.
    pub(super) fn oldest_of_fullest(&self) -> Option<K> {
        let (_, _, source) = self.ranks[Patience::Waits.index()].last()?;
        self.oldest_of(*source)
    }

    /// The oldest settled entry of the source that holds most, where that is more than its share
    /// and somebody else asks.
    pub(super) fn settled_of_fullest(&self, share: usize, asks: Option<Source>) -> Option<K> {
        let (weight, _, source) = self.ranks[Patience::Settled.index()].last()?;
        if *weight <= share || asks == Some(*source) {
            return None;
        }
        oldest(self.piles.get(source)?, Patience::Settled)
    }

    /// The source that holds most, and how much.
    pub(super) fn fullest(&self) -> Option<(Source, usize)> {
        let last =
            |ranks: &BTreeSet<Rank>| ranks.last().map(|(weight, _, source)| (*source, *weight));
        self.ranks.iter().filter_map(last).max_by_key(|(_, weight)| *weight)
    }
}

fn oldest<K: Copy + Ord>(pile: &Pile<K>, patience: Patience) -> Option<K> {
    pile.entries[patience.index()].first().map(|(_, key)| *key)
}

fn ranks<K: Ord>(source: Source, pile: &Pile<K>) -> [Option<Rank>; 2] {
    [0, 1].map(|i| pile.entries[i].first().map(|(age, _)| (pile.weight, Reverse(*age), source)))
}
