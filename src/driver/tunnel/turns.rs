//! Whose handshake is under way at a head office's port. Who is there is known by his key alone,
//! and many may share an address: so no address is shut for what another has done there. Turns are
//! few, in all and of one source; when they are taken, the oldest gives way to the newest. Where
//! handshakes failed the next begin later. Addresses that a known key has come from have turns of
//! their own, and wait for nothing. It reads no packet and believes nobody.

use crate::policy::quota::Source;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

/// Handshakes at once: of strangers, and of addresses that a known key has come from.
const AT_ONCE: [usize; 2] = [64, 32];
/// Those of one source.
const EACH: usize = 8;
/// Handshakes that wait for their beginning.
const WAITING: usize = 256;
/// Sources whose failures are remembered, and those that a known key has come from.
const SOURCES: usize = 4_096;
/// How much later a handshake begins where one has failed, and where many have.
const SLOWER: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// What failed so long ago is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(60);

/// All turns of a port.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    next: u64,
    /// Oldest first.
    taken: Vec<Taken>,
    waiting: usize,
    failed: HashMap<Source, (Instant, Duration)>,
    known: HashMap<Source, Instant>,
}

#[derive(Debug)]
struct Taken {
    id: u64,
    source: Source,
    is_known: bool,
    leave: Arc<Notify>,
}

/// A handshake's turn, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Arc<Turns>,
    id: u64,
    source: Source,
    leave: Arc<Notify>,
}

/// Adds to what is remembered; of too many any one is forgotten.
fn remember<T>(all: &mut HashMap<Source, T>, source: Source, what: T) {
    if all.len() >= SOURCES
        && !all.contains_key(&source)
        && let Some(any) = all.keys().next().copied()
    {
        all.remove(&any);
    }
    all.insert(source, what);
}

impl State {
    /// How long a handshake from there waits.
    fn wait(&self, source: Source, now: Instant) -> Duration {
        let failed = self.failed.get(&source).filter(|_| !self.known.contains_key(&source));
        let failed = failed.filter(|(at, _)| now.duration_since(*at) < FORGOTTEN);
        failed.map_or(Duration::ZERO, |(_, wait)| *wait)
    }

    /// One more waits, where there is room for it.
    fn may_wait(&mut self) -> bool {
        let has_room = self.waiting < WAITING;
        self.waiting += usize::from(has_room);
        has_room
    }

    /// Who gives way to one more of this source.
    fn gives_way(&self, source: Source, is_known: bool) -> Option<usize> {
        let own = |t: &Taken| t.source == source;
        if self.taken.iter().filter(|t| own(t)).count() >= EACH {
            return self.taken.iter().position(own);
        }
        let alike = |t: &Taken| t.is_known == is_known;
        let most = AT_ONCE[usize::from(is_known)];
        if self.taken.iter().filter(|t| alike(t)).count() >= most {
            return self.taken.iter().position(alike);
        }
        None
    }

    fn take(&mut self, source: Source) -> (u64, Arc<Notify>) {
        let is_known = self.known.contains_key(&source);
        if let Some(at) = self.gives_way(source, is_known) {
            self.taken.remove(at).leave.notify_one();
        }
        self.next += 1;
        let (id, leave) = (self.next, Arc::<Notify>::default());
        self.taken.push(Taken { id, source, is_known, leave: leave.clone() });
        (id, leave)
    }
}

impl Turns {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A turn for a handshake from there, when it may begin. `None`: too many wait.
    pub(super) async fn turn(self: &Arc<Self>, source: Source) -> Option<Turn> {
        let wait = self.state().wait(source, Instant::now());
        if !wait.is_zero() {
            if !self.state().may_wait() {
                return None;
            }
            sleep(wait).await;
            self.state().waiting -= 1;
        }
        let (id, leave) = self.state().take(source);
        Some(Turn { turns: self.clone(), id, source, leave })
    }
}

impl Turn {
    /// Waits until it has to give way.
    pub(super) async fn is_lost(&self) {
        self.leave.notified().await;
    }

    /// A known key was shown.
    pub(super) fn believed(self) {
        let mut state = self.turns.state();
        state.failed.remove(&self.source);
        remember(&mut state.known, self.source, Instant::now());
    }

    /// It came to nothing.
    pub(super) fn failed(self) {
        let (mut state, now) = (self.turns.state(), Instant::now());
        let before = state.failed.get(&self.source);
        let before = before.filter(|(at, _)| now.duration_since(*at) < FORGOTTEN);
        let wait = before.map_or(SLOWER.0, |(_, wait)| (*wait * 2).min(SLOWER.1));
        remember(&mut state.failed, self.source, (now, wait));
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.state().taken.retain(|t| t.id != self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};
    use tokio::time::timeout;

    fn at(n: u32) -> Source {
        Source::of(IpAddr::V4(Ipv4Addr::from(0xc633_6400 + n)))
    }

    async fn is_lost(turn: &Turn) -> bool {
        timeout(Duration::from_millis(1), turn.is_lost()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn who_fails_waits_longer_and_keeps_nobody_of_his_address_out() {
        let turns = Arc::<Turns>::default();
        let since = Instant::now();
        for _ in 0..1_000 {
            turns.turn(at(1)).await.unwrap().failed();
        }
        assert!(since.elapsed() > SLOWER.1 * 900, "{:?}", since.elapsed());
        let since = Instant::now();
        turns.turn(at(2)).await.unwrap().believed();
        assert_eq!(since.elapsed(), Duration::ZERO, "another address waits for nothing");
        turns.turn(at(1)).await.unwrap().believed();
        assert!(since.elapsed() <= SLOWER.1, "{:?}", since.elapsed());
        turns.turn(at(1)).await.unwrap().failed();
        let since = Instant::now();
        drop(turns.turn(at(1)).await.unwrap());
        assert_eq!(since.elapsed(), Duration::ZERO, "a known key was there");
    }

    #[tokio::test(start_paused = true)]
    async fn the_silent_give_way_to_the_newest_first_those_of_one_address() {
        let turns = Arc::<Turns>::default();
        let mut of_one = Vec::new();
        for _ in 0..EACH + 1 {
            of_one.push(turns.turn(at(1)).await.unwrap());
        }
        assert!(is_lost(&of_one[0]).await && !is_lost(&of_one[1]).await);
        turns.turn(at(9)).await.unwrap().believed();
        let known = turns.turn(at(9)).await.unwrap();
        let mut crowd = Vec::new();
        for n in 0..200 {
            crowd.push(turns.turn(at(100 + n)).await.unwrap());
            assert!(turns.state().taken.len() <= AT_ONCE[0] + 1);
        }
        assert!(is_lost(&of_one[1]).await && is_lost(&crowd[0]).await);
        assert!(!is_lost(&crowd[199]).await && !is_lost(&crowd[140]).await);
        assert!(!is_lost(&known).await, "it has turns of its own");
        crowd.clear();
        of_one.clear();
        drop(known);
        assert!(turns.state().taken.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_and_what_waits_is_bounded() {
        let turns = Arc::<Turns>::default();
        for n in 0..5_000 {
            turns.turn(at(n)).await.unwrap().failed();
        }
        assert_eq!(turns.state().failed.len(), SOURCES);
        let source = turns.state().failed.keys().next().copied().unwrap();
        let mut all = tokio::task::JoinSet::new();
        for _ in 0..WAITING + 10 {
            let turns = turns.clone();
            all.spawn(async move { turns.turn(source).await.is_some() });
        }
        let begun = all.join_all().await;
        assert_eq!(begun.iter().filter(|begun| **begun).count(), WAITING);
        assert_eq!(turns.state().waiting, 0);
    }
}
