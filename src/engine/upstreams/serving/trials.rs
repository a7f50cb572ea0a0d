//! REGISTERs that are tried at an upstream although the site is alone, for there are some who
//! answer no OPTIONS, or refuse them for ever: one each ten seconds, and nobody twice before others
//! had theirs. What a trial came to, `serving` hears as of any answer.

use super::super::{Upstream, Upstreams};
use crate::engine::ids::UpstreamId;
use crate::engine::world::World;
use crate::ground::Mono;
use crate::wire::sip::Aor;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

/// A phone's own REGISTER is tried as often.
pub(super) const TRIAL: Duration = Duration::from_secs(10);
/// Whoever tried in vain leaves others so much longer before he tries again.
const BEHIND: Duration = Duration::from_secs(30);
/// Who was challenged comes again with credentials within this.
const CHALLENGED: Duration = Duration::from_secs(5);
/// So many are remembered.
const MOST: usize = 64;

/// Of one upstream that is alone.
#[derive(Debug, Default)]
pub(super) struct Trials {
    /// The next may go from then on.
    due: Mono,
    /// Who went last, until when he may go once more, and whether he was asked to.
    last: Option<(Option<Aor>, IpAddr, Mono)>,
    challenged: bool,
    /// Whose trial brought nothing, and from where it came.
    users: BTreeSet<Aor>,
    places: BTreeSet<IpAddr>,
}

impl Trials {
    /// The first may go then; nobody had any.
    pub(super) fn from(first: Mono) -> Self {
        Self { due: first, ..Self::default() }
    }

    /// Who tried was asked for credentials.
    pub(super) fn challenged(&mut self) {
        self.challenged = true;
    }

    /// Whether the REGISTER of this user (`None`: nobody is registered) goes, of so many.
    fn takes(&mut self, now: Mono, user: Option<&Aor>, from: IpAddr, users: usize) -> bool {
        let same = |(u, ip, until): &(Option<Aor>, IpAddr, Mono)| {
            u.as_ref() == user && *ip == from && now < *until
        };
        if self.challenged && self.last.as_ref().is_some_and(same) {
            self.challenged = false;
            return true;
        }
        if now < self.due {
            return false;
        }
        // All that there are had theirs.
        if self.users.len() >= users.max(1) || self.places.len() >= MOST {
            self.users.clear();
            self.places.clear();
        }
        let had = user.is_some_and(|user| self.users.contains(user)) || self.places.contains(&from);
        if had && now < self.due + BEHIND {
            return false;
        }
        self.due = now + TRIAL;
        self.last = Some((user.cloned(), from, now + CHALLENGED));
        self.challenged = false;
        self.users.extend(user.cloned());
        self.places.insert(from);
        true
    }
}

impl Upstreams {
    /// A phone's REGISTER is tried there although it is alone: of who never answered OPTIONS, or
    /// nothing else, for who has answered them and is silent will do so again. `user`: whose phone
    /// it is, of so many users.
    pub(crate) fn takes_trial(
        &mut self,
        w: &World,
        id: UpstreamId,
        (user, from): (Option<&Aor>, IpAddr),
        users: usize,
    ) -> bool {
        let deaf = |u: &&mut Upstream| {
            let deaf = u.probes()[0] == 0 || u.serving.refuses || u.serving.starving.starves;
            deaf && u.targets.iter().next().is_some()
        };
        let u = self.all.get_mut(id.index()).filter(deaf);
        u.is_some_and(|u| u.serving.trials.takes(w.now().mono, user, from, users))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Mono {
        Mono(Duration::from_secs(s))
    }

    fn user(n: u8) -> Aor {
        Aor::new(n.to_string(), "x")
    }

    fn from(n: u8) -> IpAddr {
        [10, 17, 0, n].into()
    }

    #[test]
    fn nobody_takes_the_trial_of_others_by_coming_first() {
        let mut t = Trials::from(at(10));
        assert!(!t.takes(at(9), Some(&user(1)), from(1), 3));
        assert!(t.takes(at(10), Some(&user(1)), from(1), 3));
        assert!(!t.takes(at(19), Some(&user(2)), from(2), 3), "one in ten seconds");
        assert!(!t.takes(at(20), Some(&user(1)), from(1), 3), "he had his");
        assert!(!t.takes(at(20), Some(&user(1)), from(9), 3), "from elsewhere, too");
        assert!(!t.takes(at(20), Some(&user(3)), from(1), 3), "and who is at his address");
        assert!(t.takes(at(20), Some(&user(2)), from(2), 3));
        assert!(!t.takes(at(59), Some(&user(1)), from(1), 3));
        assert!(t.takes(at(60), Some(&user(1)), from(1), 3), "where nobody else comes");
        assert!(t.takes(at(70), Some(&user(3)), from(3), 3));
        assert!(t.takes(at(80), Some(&user(1)), from(1), 3), "a new round");
    }

    #[test]
    fn a_single_user_waits_for_nobody_and_credentials_follow_a_challenge_once() {
        let mut t = Trials::from(at(0));
        for round in 0..9 {
            let (now, a) = (at(round * 10), user(1));
            assert!(t.takes(now, Some(&a), from(1), 1));
            assert!(!t.takes(now, Some(&a), from(1), 1));
            t.challenged();
            assert!(!t.takes(now, Some(&user(2)), from(2), 1));
            assert!(t.takes(now, Some(&a), from(1), 1));
            assert!(!t.takes(now, Some(&a), from(1), 1));
        }
        assert!(t.takes(at(90), None, from(7), 0), "nobody is registered");
        assert!(!t.takes(at(100), None, from(7), 0), "he had his");
    }
}
