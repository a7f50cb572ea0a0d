//! Who is suspect: what sources did, weighted and fading; wrong passwords and the pauses after
//! them; who asks too much at once; who is banned. Bounded, by source (an address; a /64 of IPv6)
//! and by user. It hears of what others found and says who is heard; it reads no message, and no
//! upstream or network of phones is ever banned.

mod pause;
mod payer;
mod scanner;
mod source;
mod table;
mod target;
mod words;

pub(crate) use payer::{By, behind};
pub(crate) use scanner::is_scanner;
pub(crate) use words::Standing;
pub use words::{Signal, SuspectView};

use super::digest::{Check, Fault};
use super::outbox::Outbox;
use super::output::{Lifted, Output};
use super::transactions::TimerTable;
use super::world::World;
use crate::audit::{Record, SecurityClass};
use crate::ground::{Flow, Mono};
use crate::policy::quota::Source;
use payer::{PARTS, Payers, all_of, network};
use source::{Ban, Rate, Suspect};
use std::cell::LazyCell;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use table::Table;
use target::Target;

/// Sources remembered.
const SOURCES: usize = 16_384;
/// Users remembered.
const USERS: usize = 16_384;
/// How long an address that proved a user is that user's.
const PROOF: Duration = Duration::from_secs(86_400);
/// The longest pause after wrong passwords: from elsewhere, and from the networks of phones.
const PAUSES: [Duration; 2] = [Duration::from_secs(900), Duration::from_secs(32)];
/// Users who may fail at an address before its pause binds those, too, who did not: elsewhere, and
/// in the networks of phones, where an office stands behind one address.
const SPARED: [usize; 2] = [1, 15];
/// New requests outside dialogs of one source: strangers, and all others.
const RATES: [Rate; 2] = [Rate { burst: 500, second: 50 }, Rate { burst: 20_000, second: 5_000 }];
/// Emergency calls of one source that asks for too much else.
const URGENT: Rate = Rate { burst: 20, second: 2 };
/// Suspects that are listed besides the banned.
const WATCHED: usize = 20;

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Due {
    /// The soonest ban ends.
    End,
}

/// Everybody suspect.
pub(crate) struct Guard {
    sources: Table<Source, Suspect>,
    users: Table<String, Target>,
    /// Bans by their ends.
    ends: BTreeSet<(Mono, Source)>,
    timers: TimerTable<Due>,
}

impl Default for Guard {
    fn default() -> Self {
        Self {
            sources: Table::new(SOURCES),
            users: Table::new(USERS),
            ends: BTreeSet::new(),
            timers: TimerTable::default(),
        }
    }
}

impl Guard {
    /// Whether the source of a flow is banned.
    pub(crate) fn is_banned(&self, w: &World, flow: &Flow) -> bool {
        // Nobody is banned almost always: then nothing is looked up.
        !self.ends.is_empty()
            && self.sources.get(&network(w, flow)).is_some_and(|s| s.ban().is_some())
    }

    /// Whether what comes by this flow is not even read: its source is banned. A stream is closed.
    pub(crate) fn bars(&mut self, w: &World, out: &mut Outbox, flow: &Flow) -> bool {
        if !self.is_banned(w, flow) {
            return false;
        }
        self.sources.change(&network(w, flow), Suspect::hit);
        out.stats_mut().banned += 1;
        if let Some(conn) = flow.conn {
            out.emit(Output::CloseConnection(conn));
        }
        true
    }

    /// A source did something. A stranger who has done enough is banned, where bans are on, unless
    /// somebody proved himself there: then another may only pretend to be at that address.
    pub(crate) fn accuse(
        &mut self,
        w: &World,
        out: &mut Outbox,
        (flow, standing): (&Flow, Standing),
        signal: Signal,
    ) {
        out.stats_mut().signals[signal as usize] += 1;
        if standing.is_known() {
            return;
        }
        let (now, bans) = (w.now().mono, &w.config().bans);
        let source = network(w, flow);
        let (until, threshold) = (now + bans.ttl, u64::from(bans.threshold));
        let judge = |s: &mut Suspect| {
            let score = s.accuse(now, signal);
            let guilty = bans.enabled && score >= threshold && !s.is_proved(now);
            let ban = Ban { until, reason: signal, peer: flow.peer, score, hits: 0 };
            if guilty && s.ban().is_none() {
                s.begin_ban(ban);
                return Some(ban);
            }
            None
        };
        let (begun, forgotten) = self.sources.change(&source, judge);
        self.forget(forgotten);
        let Some(ban) = begun else { return };
        self.ends.insert((until, source));
        self.arm();
        out.stats_mut().bans += 1;
        out.emit(Output::Bar { source, at: None, lasts: bans.ttl });
        let text = format!(
            "{source} is banned for {} s: {} points, the last for {}",
            bans.ttl.as_secs(),
            ban.score,
            ban.reason
        );
        tell(out, &ban, text);
    }

    /// Whether a source may ask for one thing more now; an emergency call has a rate of its own
    /// behind that of all else.
    pub(crate) fn has_room(
        &mut self,
        w: &World,
        out: &mut Outbox,
        (flow, standing): (&Flow, Standing),
        is_urgent: impl FnOnce() -> bool,
    ) -> bool {
        let (now, urgent) = (w.now().mono, LazyCell::new(is_urgent));
        let mut room = true;
        for (source, n) in Payers::of(w, flow).all() {
            let take = |s: &mut Suspect| {
                let known = standing.is_known() || s.is_proved(now);
                s.take(now, RATES[usize::from(known)].times(n))
                    || *urgent && s.take_urgent(now, URGENT.times(n))
            };
            let (has, forgotten) = self.sources.change(&source, take);
            self.forget(forgotten);
            room &= has;
        }
        if !room {
            out.stats_mut().slowed += 1;
        }
        room
    }

    /// Whether a password of this user is compared that somebody sends.
    pub(crate) fn hears(&mut self, w: &World, out: &mut Outbox, by: &By<'_>, user: &str) -> bool {
        let (now, known) = (w.now().mono, by.standing.is_known());
        let target = self.users.get(user);
        let hears = match target.and_then(|t| t.home(now, by.place())) {
            Some(home) => !home.holds(now),
            None => {
                let (payers, spared) = (Payers::guessing(w, by), SPARED[usize::from(known)]);
                let own = self.sources.get(&payers.own).filter(|s| s.binds(now, user, spared));
                let network = payers.network.and_then(|network| self.sources.get(&network));
                let crowd = spared * usize::from(PARTS);
                let network = network.filter(|s| s.binds_all(now, crowd));
                let bound = own.is_some() || network.is_some();
                let mut all = own.into_iter().chain(network);
                let source_holds = all.any(|s| s.pause.holds(now));
                let user_holds = target.is_some_and(|t| t.pause(known).holds(now));
                // Who failed for him binds himself: a phone of his at another address is heard.
                !source_holds && (!user_holds || known && !bound && self.hears_clean(now, user))
            }
        };
        if !hears {
            out.stats_mut().unheard += 1;
        }
        hears
    }

    fn hears_clean(&mut self, now: Mono, user: &str) -> bool {
        self.users.change(&user.to_owned(), |t| t.hears_clean(now)).0
    }

    /// How a comparison for this user ended.
    pub(crate) fn compared(
        &mut self,
        w: &World,
        out: &mut Outbox,
        by: &By<'_>,
        user: &str,
        check: &Check,
    ) {
        let suspect = (by.flow, by.standing);
        match check {
            Check::Proved { user, .. } => {
                self.proved(w, by.place(), user, by.standing.is_known());
            }
            Check::Wrong(Fault::BadPassword) => {
                self.accuse(w, out, suspect, Signal::FailedDigest);
                self.failed(w, out, by, (user, true));
            }
            Check::Wrong(Fault::UnknownUser | Fault::NoExtension) => {
                self.accuse(w, out, suspect, Signal::UnknownUser);
                self.failed(w, out, by, (user, false));
            }
            Check::Wrong(Fault::NonceCount | Fault::Algorithm | Fault::Malformed | Fault::Uri)
            | Check::Challenge { .. }
            | Check::Paused => {}
        }
    }

    /// A user proved himself at an address.
    pub(crate) fn proved(
        &mut self,
        w: &World,
        (host, peer): (Source, SocketAddr),
        user: &str,
        is_known: bool,
    ) {
        let (now, network) = (w.now().mono, host.whole());
        let own = Some(host).filter(|host| *host != network);
        for source in std::iter::once(network).chain(own) {
            let (_, forgotten) = self.sources.change(&source, |s| s.proved(now, user));
            self.forget(forgotten);
        }
        self.users.change(&user.to_owned(), |t| t.proved(now, (host, peer), is_known));
    }

    /// A wrong password of a user, who is there or not.
    fn failed(&mut self, w: &World, out: &mut Outbox, by: &By<'_>, (user, is_there): (&str, bool)) {
        let (now, known) = (w.now().mono, by.standing.is_known());
        let most = PAUSES[usize::from(known)];
        let home = self.users.get(user).and_then(|t| t.home(now, by.place()));
        let pause = if is_there && home.is_some() {
            self.users.change(&user.to_owned(), |t| t.failed_at_home(now, by.place())).0
        } else {
            let mut own = None;
            for (source, _) in Payers::guessing(w, by).all() {
                let (at, forgotten) = self.sources.change(&source, |s| s.failed(now, user, most));
                self.forget(forgotten);
                own = own.or(Some(at));
            }
            let pause = own.unwrap_or_default();
            let fail = |t: &mut Target| t.failed(now, known, most);
            let of_user = is_there.then(|| self.users.change(&user.to_owned(), fail).0);
            of_user.map_or(pause, |p| p.max(pause))
        };
        out.stats_mut().back_offs += 1;
        // Everybody mistypes once.
        if pause > Duration::from_secs(1) {
            let who = if is_there { user } else { "a user who is not there" };
            let detail = format!("{who}: no password is compared for {} s", pause.as_secs());
            out.security(SecurityClass::BackOff, *by.flow, detail);
        }
    }

    /// Ends bans and forgives what led to them: of one source, or all; and tells what there was.
    pub(crate) fn lift(&mut self, w: &World, out: &mut Outbox, whom: Option<IpAddr>) {
        let whose: Option<Vec<Source>> = whom.map(|ip| all_of(w, ip));
        let meant = |s: &Source| whose.as_ref().is_none_or(|all| all.contains(s));
        let ends = self.ends.iter().filter(|(_, s)| meant(s));
        let lifted: Vec<Source> = ends.map(|(_, s)| *s).collect();
        for one in &lifted {
            self.end(out, *one, "was lifted");
        }
        let now = w.now().mono;
        let is_suspect = |one: &Source| self.sources.get(one).is_some_and(|s| s.is_suspect(now));
        let all = whose.into_iter().flatten();
        let all: Vec<Source> = all.filter(|one| self.sources.get(one).is_some()).collect();
        let suspect = all.iter().find(|one| is_suspect(one));
        for one in &all {
            self.sources.change(one, Suspect::forgive);
        }
        let forgiven = if lifted.is_empty() { usize::from(suspect.is_some()) } else { 0 };
        out.emit(Output::Lifted(Lifted { bans: lifted.len(), forgiven }));
    }

    /// Takes the configuration in force: who may not be banned by it is not.
    pub(crate) fn follow(
        &mut self,
        w: &World,
        out: &mut Outbox,
        standing: impl Fn(IpAddr) -> Standing,
    ) {
        let stays = |s: &Source| {
            let peer = self.sources.get(s).and_then(|s| s.ban()).map(|b| b.peer.ip());
            w.config().bans.enabled && peer.map(&standing) == Some(Standing::Stranger)
        };
        let over: Vec<Source> = self.ends.iter().map(|(_, s)| *s).filter(|s| !stays(s)).collect();
        for one in over {
            self.end(out, one, "ends with the new configuration");
        }
    }

    /// How many sources are banned.
    pub(crate) fn bans(&self) -> usize {
        self.ends.len()
    }

    /// The banned, then who is nearest to it.
    pub(crate) fn suspects(&self, now: Mono) -> Vec<SuspectView> {
        let view = |source: &Source, s: &Suspect| SuspectView {
            source: source.to_string(),
            reason: s.ban().map(|b| b.reason).or(s.last()),
            score: s.ban().map_or(s.points(now), |b| b.score),
            left_s: s.ban().map(|b| b.until.since(now).as_secs()),
            hits: s.ban().map_or(0, |b| b.hits),
        };
        let all = self.sources.worst_first().map(|(source, s)| view(source, s));
        let (banned, mut others): (Vec<_>, Vec<_>) =
            all.filter(|v| v.score > 0).partition(|v| v.left_s.is_some());
        others.sort_by_key(|v| std::cmp::Reverse(v.score));
        others.truncate(WATCHED);
        banned.into_iter().take(super::LIST).chain(others).collect()
    }

    /// When it wants to be woken.
    pub(crate) fn poll_timeout(&self) -> Option<Mono> {
        self.timers.next()
    }

    /// Fires one timer that is due; false: none is.
    pub(crate) fn handle_timeout(&mut self, w: &World, out: &mut Outbox) -> bool {
        let Some(Due::End) = self.timers.expired(w.now().mono) else { return false };
        if let Some((_, source)) = self.ends.first().copied() {
            self.end(out, source, "is over");
        }
        true
    }

    /// A ban that nothing ends, or an end of none.
    pub(crate) fn loose_end(&self) -> Option<String> {
        let due = self.ends.first().map(|(at, _)| *at);
        (due != self.timers.next()).then(|| format!("{} bans, due {due:?}", self.ends.len()))
    }

    fn arm(&mut self) {
        match self.ends.first() {
            Some((at, _)) => self.timers.set(Due::End, *at),
            None => self.timers.stop(Due::End),
        }
    }

    fn end(&mut self, out: &mut Outbox, source: Source, how: &str) {
        let (ban, _) = self.sources.change(&source, Suspect::end_ban);
        self.forget(Some(source));
        if let Some(ban) = ban {
            out.emit(Output::Bar { source, at: None, lasts: Duration::ZERO });
            let hits = ban.hits;
            tell(out, &ban, format!("the ban of {source} {how}: {hits} messages were not read"));
        }
    }

    /// A source that is not remembered is not banned.
    fn forget(&mut self, source: Option<Source>) {
        if let Some(gone) = source.filter(|_| !self.ends.is_empty()) {
            self.ends.retain(|(_, s)| *s != gone);
            self.arm();
        }
    }
}

fn tell(out: &mut Outbox, ban: &Ban, detail: String) {
    let (class, source) = (SecurityClass::Banned, Some(ban.peer));
    out.record(Record::Security { class, source, count: 1, detail });
}
