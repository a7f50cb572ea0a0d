//! Which nonces were used up, by user: no credentials prove anything twice. Only credentials that
//! were right come here, so nobody but a user himself fills his part, and a full part costs him one
//! more round trip and nobody else anything.

use super::LIFETIME;
use crate::ground::Wall;
use sha2::{Digest, Sha256};
use std::collections::{HashMap, VecDeque};

/// Uses remembered of one user; of what is older only the newest time is.
const PER_USER: usize = 32;
/// Users remembered; proved ones within a nonce's life.
const USERS: usize = 16_384;
/// Counts below the highest of a nonce that may still come: parallel requests overtake each other.
const BEHIND: u32 = 64;

/// Hash of nonce and cnonce.
type Use = [u8; 32];

/// All users.
#[derive(Default)]
pub(super) struct Memory {
    users: HashMap<String, Used>,
    /// Each of them once, with the second after whose [`LIFETIME`] he is looked at.
    turns: VecDeque<(u64, String)>,
    /// Nonces of this second or before it that are not remembered were used, for all we know.
    forgotten: Option<u64>,
}

/// What one user used.
#[derive(Default)]
struct Used {
    uses: VecDeque<Known>,
    /// As [`Memory::forgotten`], of him alone.
    forgotten: Option<u64>,
}

struct Known {
    by: Use,
    /// The second its nonce was made in.
    made: u64,
    /// `None`: without counts it is good once.
    counts: Option<Counts>,
}

/// The `nc` values seen of one use.
#[derive(Clone, Copy, Debug)]
struct Counts {
    highest: u32,
    /// Bit n: `highest - n` was seen.
    seen: u64,
}

impl Counts {
    /// True when this count was not seen; remembers it.
    fn take(&mut self, count: u32) -> bool {
        if count > self.highest {
            let by = count - self.highest;
            self.seen = if by < BEHIND { self.seen << by | 1 } else { 1 };
            self.highest = count;
            return true;
        }
        let back = self.highest - count;
        let fresh = back < BEHIND && self.seen >> back & 1 == 0;
        if fresh {
            self.seen |= 1 << back;
        }
        fresh
    }
}

impl Memory {
    /// True when right credentials of this user were not used before; remembers them. `nonce`: with
    /// the second it was made in; `count`: `None` without qop.
    pub(super) fn is_fresh(
        &mut self,
        user: &str,
        (nonce, made): (&str, u64),
        cnonce: &str,
        count: Option<u32>,
        now: Wall,
    ) -> bool {
        self.forget_old(now.seconds());
        // Whoever counts nothing has no cnonce that would make his use another.
        let cnonce = if count.is_some() { cnonce } else { "" };
        let by: Use = Sha256::digest(format!("{nonce}:{cnonce}")).into();
        let used = self.users.get_mut(user);
        if let Some(known) = used.and_then(|u| u.uses.iter_mut().find(|k| k.by == by)) {
            return match (&mut known.counts, count) {
                (Some(counts), Some(count)) => counts.take(count),
                (None, _) | (_, None) => false,
            };
        }
        let own = self.users.get(user).and_then(|u| u.forgotten);
        if self.forgotten.max(own).is_some_and(|newest| made <= newest) {
            return false;
        }
        if !self.users.contains_key(user) {
            if self.users.len() >= USERS {
                self.forget_oldest();
            }
            self.turns.push_back((now.seconds(), user.to_owned()));
        }
        let used = self.users.entry(user.to_owned()).or_default();
        if used.uses.len() >= PER_USER
            && let Some(oldest) = used.uses.pop_front()
        {
            used.forgotten = used.forgotten.max(Some(oldest.made));
        }
        let counts = count.map(|n| Counts { highest: n, seen: 1 });
        used.uses.push_back(Known { by, made, counts });
        true
    }

    /// Forgets users whose nonces nobody can use any more; the others have another turn.
    fn forget_old(&mut self, now: u64) {
        while self.turns.front().is_some_and(|(at, _)| at.saturating_add(LIFETIME) < now) {
            let Some((_, user)) = self.turns.pop_front() else { return };
            let newest = self.users.get(&user).and_then(Used::newest);
            if newest.is_some_and(|made| made.saturating_add(LIFETIME) >= now) {
                self.turns.push_back((now, user));
            } else {
                self.users.remove(&user);
            }
        }
    }

    /// Forgets one before his time: what is as old as his is then used up for everybody.
    fn forget_oldest(&mut self) {
        let Some((_, user)) = self.turns.pop_front() else { return };
        let newest = self.users.remove(&user).and_then(|used| used.newest());
        self.forgotten = self.forgotten.max(newest);
    }
}

impl Used {
    /// When the newest nonce was made that he used.
    fn newest(&self) -> Option<u64> {
        self.uses.iter().map(|k| k.made).max().max(self.forgotten)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(seconds: u64) -> Wall {
        Wall(Duration::from_secs(seconds))
    }

    #[test]
    fn a_users_flood_makes_his_own_nonces_stale_and_nobody_elses() {
        let mut m = Memory::default();
        assert!(m.is_fresh("102", ("b", 1_000), "c", Some(1), at(1_000)));
        for n in 0..100_000_u32 {
            let _ = m.is_fresh("101", (&format!("a{n}"), 1_001), "c", Some(1), at(1_001));
        }
        assert!(m.is_fresh("102", ("b", 1_000), "c", Some(2), at(1_002)), "102 goes on counting");
        assert!(!m.is_fresh("102", ("b", 1_000), "c", Some(2), at(1_002)));
        assert!(m.is_fresh("103", ("x", 999), "c", Some(1), at(1_002)), "older, and never used");
        assert!(!m.is_fresh("101", ("a0", 1_001), "c", Some(1), at(1_002)), "no replay");
        assert!(m.is_fresh("101", ("later", 1_002), "c", Some(1), at(1_002)), "a second later");
        assert!(m.users.len() == 3 && m.turns.len() == 3);
        assert!(m.users.values().all(|u| u.uses.len() <= PER_USER));
    }

    #[test]
    fn what_is_forgotten_before_its_time_is_used_up_for_all() {
        let mut m = Memory::default();
        for n in 0..USERS + 10 {
            let made = 1_000 + n as u64 / 1_000;
            assert!(m.is_fresh(&n.to_string(), ("a", made), "", None, at(1_100)));
        }
        assert_eq!((m.users.len(), m.turns.len()), (USERS, USERS));
        assert!(!m.is_fresh("0", ("a", 1_000), "", None, at(1_100)), "a replay");
        assert!(m.is_fresh("0", ("b", 1_002), "", None, at(1_100)));
        assert!(m.is_fresh("0", ("a", 1_600), "", None, at(1_700)), "all of that is over");
        assert!(m.turns.len() == 1 && m.users.len() == 1);
    }

    #[test]
    fn without_counts_a_nonce_is_good_once_for_each_user() {
        let mut m = Memory::default();
        assert!(m.is_fresh("101", ("a", 1), "", None, at(2)));
        assert!(!m.is_fresh("101", ("a", 1), "another", None, at(2)));
        assert!(m.is_fresh("102", ("a", 1), "", None, at(2)));
        assert!(!m.is_fresh("101", ("a", 1), "", Some(1), at(2)));
    }
}
