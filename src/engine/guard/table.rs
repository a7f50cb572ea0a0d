//! A bounded table of what is remembered of others: when it is full, the least guilty goes, of
//! equals the one that was longest not heard of. It knows nothing of guilt but its order.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// Whoever was heard of within this part of the table's turns keeps his place: a source that sends
/// one request after another costs no more than a look.
const RECENT: u64 = 16;

/// Something remembered.
pub(super) trait Guilt {
    /// How bad it would be to forget it; what is 0 is forgotten first.
    fn guilt(&self) -> u8;
}

/// At most `room` entries.
#[derive(Debug)]
pub(super) struct Table<K, V> {
    room: usize,
    entries: HashMap<K, (V, Place)>,
    order: BTreeMap<Place, K>,
    counter: u64,
}

/// Guilt, then the turn in which it was last heard of.
type Place = (u8, u64);

impl<K: Clone + Eq + Hash, V: Guilt + Default> Table<K, V> {
    pub(super) fn new(room: usize) -> Self {
        Self { room, entries: HashMap::new(), order: BTreeMap::new(), counter: 0 }
    }

    pub(super) fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: std::borrow::Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.entries.get(key).map(|(v, _)| v)
    }

    /// Changes an entry, a new one where there is none; what that changed, and who was forgotten
    /// for it.
    pub(super) fn change<T>(&mut self, key: &K, by: impl FnOnce(&mut V) -> T) -> (T, Option<K>) {
        self.counter += 1;
        let (turn, recent) = (self.counter, self.room as u64 / RECENT);
        if let Some((value, place)) = self.entries.get_mut(key) {
            let told = by(value);
            let guilt = value.guilt();
            if guilt != place.0 || turn - place.1 > recent {
                self.order.remove(place);
                *place = (guilt, turn);
                self.order.insert(*place, key.clone());
            }
            return (told, None);
        }
        let forgotten = self.make_room();
        let mut value = V::default();
        let told = by(&mut value);
        let place = (value.guilt(), turn);
        self.order.insert(place, key.clone());
        self.entries.insert(key.clone(), (value, place));
        (told, forgotten)
    }

    fn make_room(&mut self) -> Option<K> {
        if self.entries.len() < self.room {
            return None;
        }
        let (_, key) = self.order.pop_first()?;
        self.entries.remove(&key);
        Some(key)
    }

    /// Everything, the guiltiest first, of equals the one last heard of.
    pub(super) fn worst_first(&self) -> impl Iterator<Item = (&K, &V)> {
        let all = self.order.values().rev();
        all.filter_map(|key| self.entries.get(key).map(|(v, _)| (key, v)))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.entries.len(), self.order.len());
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Default)]
    struct Crime(u8);

    impl Guilt for Crime {
        fn guilt(&self) -> u8 {
            self.0
        }
    }

    #[test]
    fn the_least_guilty_go_first_and_of_equals_the_oldest() {
        let mut t = Table::new(3);
        let mut add = |key: u32, guilt: u8| t.change(&key, |c: &mut Crime| c.0 = guilt).1;
        assert_eq!([add(1, 1), add(2, 0), add(3, 0)], [None; 3]);
        assert_eq!(add(2, 0), None, "heard of again: 3 is now the oldest");
        assert_eq!([add(4, 0), add(5, 2), add(6, 0)], [Some(3), Some(2), Some(4)]);
        let order: Vec<u32> = t.worst_first().map(|(k, _)| *k).collect();
        assert_eq!(order, [5, 1, 6]);
        assert!(t.get(&1).is_some_and(|c| c.0 == 1) && t.get(&2).is_none());
    }

    proptest! {
        #[test]
        fn it_never_outgrows_its_room(steps in prop::collection::vec((0..40u32, 0..4u8), 0..200)) {
            let mut t = Table::new(8);
            for (key, guilt) in steps {
                let before: Vec<u8> = t.worst_first().map(|(_, c): (_, &Crime)| c.0).collect();
                let known = t.get(&key).is_some();
                let (_, forgotten) = t.change(&key, |c| c.0 = guilt);
                prop_assert!(t.len() <= 8);
                prop_assert_eq!(forgotten.is_some(), !known && before.len() == 8);
                prop_assert!(t.get(&key).is_some());
            }
        }
    }
}
