//! Places for what somebody else's answer is to prove: asked for as by who would hold them then,
//! held until then as by nobody who has proved himself.

use super::{Full, Holder, Quota, Room, Source};
use std::hash::Hash;

impl<K: Copy + Eq + Hash + Ord> Quota<K> {
    /// An entry begins that an answer may prove to be `user`'s: it reaches as far as he, and counts
    /// in the share of its source until then. What gives way to it is forgotten here and named in
    /// `gone`, for its keeper to end.
    ///
    /// # Errors
    /// There is no room; what has given way before that was seen stands in `gone` all the same.
    pub fn pledge(
        &mut self,
        key: K,
        (user, source): (&Holder, Source),
        weight: usize,
        gone: &mut Vec<K>,
    ) -> Result<(), Full> {
        loop {
            match self.ask_pledge(user, source, weight) {
                Room::Free => {
                    self.enter(key, Holder::Unproved(source), weight);
                    return Ok(());
                }
                Room::None(full) => return Err(full),
                Room::Instead(key) => {
                    self.leave(key);
                    gone.push(key);
                }
            }
        }
    }

    fn ask_pledge(&self, user: &Holder, source: Source, weight: usize) -> Room<K> {
        let beyond = self.shelf.weight(source) + weight > self.shares.per_source;
        match self.ask(user, false, weight) {
            Room::Instead(_) if beyond => {
                let own = self.shelf.oldest_of(source);
                own.map_or(Room::None(Full::Source), Room::Instead)
            }
            room @ (Room::Free | Room::Instead(_) | Room::None(_)) => room,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Shares;
    use super::*;

    fn at(last: u8) -> Source {
        Source::of([192, 0, 2, last].into())
    }

    #[test]
    fn a_pledge_reaches_as_far_as_its_user_and_gives_way_as_its_source() {
        let mut q: Quota<u32> = Quota::new(Shares::percent(40, 25));
        let user = Holder::User("u".to_owned());
        let mut gone = Vec::new();
        // Half of the reserve is a user's, and a source has all that nobody else asks for.
        for n in 0..38 {
            assert_eq!(q.pledge(n, (&user, at(1)), 1, &mut gone), Ok(()), "{n}");
        }
        assert_eq!((q.used(), gone.len()), (38, 0));
        // Then its oldest gives way, to itself and to others.
        assert_eq!(q.pledge(100, (&user, at(1)), 1, &mut gone), Ok(()));
        assert_eq!(q.pledge(101, (&user, at(2)), 2, &mut gone), Ok(()));
        assert_eq!((q.used(), gone.as_slice()), (38, &[0, 1, 2][..]));
        // Beyond its share a source takes its own, whoever holds more.
        gone.clear();
        for n in 200..220 {
            assert_eq!(q.pledge(n, (&user, at(3)), 1, &mut gone), Ok(()), "{n}");
        }
        let own = gone.iter().filter(|n| **n >= 200).count();
        assert_eq!((q.used(), gone.len(), own), (38, 20, 10));
    }

    #[test]
    fn what_is_proved_gives_way_to_no_pledge() {
        let mut q: Quota<u32> = Quota::new(Shares::percent(10, 100));
        let user = |n: u32| Holder::User(n.to_string());
        let mut gone = Vec::new();
        (0..9).for_each(|n| q.enter(n, user(n), 1));
        assert_eq!(q.pledge(9, (&user(9), at(1)), 1, &mut gone), Ok(()));
        q.prove(9, user(9));
        assert_eq!(q.pledge(10, (&user(10), at(1)), 1, &mut gone), Err(Full::Total));
        assert_eq!((q.used(), gone.len()), (10, 0));
    }
}
