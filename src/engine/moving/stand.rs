//! Where one interface stands, and where it is to stand: it stays as long as its address is there,
//! goes back to what was gone for a moment, and what comes in an address's place is taken the later
//! the more often that happens.

use super::judge::judge;
use crate::config::{Found, Own, Versions, version};
use crate::engine::phones::Phones;
use crate::engine::world::World;
use crate::ground::{Moment, Mono};
use std::net::IpAddr;
use std::time::Duration;

/// After a change of address the next one is taken this much later, and twice as much each time …
const PAUSE: Duration = Duration::from_secs(1);
/// … up to this, …
const LONGEST: Duration = Duration::from_secs(60);
/// … unless it has stood for so long.
const SETTLED: Duration = Duration::from_secs(120);
/// What was gone for so long at most is gone back to: whoever announces a prefix of his own just
/// then stays no longer than that.
const MOMENT: Duration = Duration::from_secs(120);
/// What was seen a while ago is looked at again before it is acted upon, and waited for so long.
const LOOKS: Duration = Duration::from_millis(500);

/// One interface.
#[derive(Debug, Default)]
pub(super) struct Stand {
    /// What the machine says; the best first.
    pub(super) seen: Vec<Own>,
    /// It is looked at again.
    looks: bool,
    /// Since when it stands where it does.
    pub(super) since: Option<Moment>,
    /// When it came to another address last, and how often it did soon after it had.
    changed: Option<Mono>,
    flaps: u32,
    pub(super) changes: u64,
    /// Which addresses were not taken, and why.
    pub(super) refused: Vec<(IpAddr, String)>,
    /// By IP version: where it stood until that was gone or given up, and until when it goes back
    /// there, whatever came in its place.
    former: [Option<(IpAddr, Mono)>; 2],
    /// An address of an IP version that is not meant, though the file names none.
    pub(super) passed: Option<IpAddr>,
}

/// What an interface is to do.
pub(super) enum Step {
    /// Nothing.
    Stay,
    /// Nothing before then.
    Wait(Mono),
    /// To look again, and to wait for that until then.
    Look(Mono),
    /// To stand there from now on.
    Go(Found),
}

impl Stand {
    /// From when on the next change is taken.
    fn free(&self) -> Option<Mono> {
        let pause = PAUSE.saturating_mul(1 << self.flaps.min(6)).min(LONGEST);
        self.changed.map(|changed| changed + pause)
    }

    /// What has just been seen.
    pub(super) fn sees(&mut self, own: Vec<Own>) {
        self.seen = own;
        self.looks = false;
    }

    /// It is nowhere by an IP version, because another program holds a port at its address. What is
    /// held beside where it stands is others' own affair.
    pub(super) fn is_held(&self, is: Found) -> bool {
        let held = |ip: &IpAddr| {
            let own = self.seen.iter().find(|own| own.ip == *ip);
            own.and_then(|own| own.held.as_deref())
        };
        let by_that = |(ip, why): &&(IpAddr, String)| held(ip).is_some_and(|h| why.ends_with(h));
        self.refused.iter().filter(by_that).any(|(ip, _)| is[version(*ip)].is_none())
    }

    /// What was not taken, in words; empty: all was that is meant.
    pub(super) fn refusal(&self) -> String {
        let all: Vec<String> =
            self.refused.iter().map(|(ip, why)| format!("{ip} is {why}")).collect();
        all.join(", ")
    }

    /// What it might have instead of these, or beside them.
    pub(super) fn others(&self, is: &[IpAddr], versions: Versions) -> Vec<IpAddr> {
        let free = self.seen.iter().filter(|own| own.held.is_none());
        let all = free.map(|own| own.ip).filter(|ip| versions.has(*ip));
        let refused = |ip: &IpAddr| self.refused.iter().any(|(other, _)| other == ip);
        all.filter(|ip| !is.contains(ip) && !refused(ip)).collect()
    }

    /// Where it would stand if nothing had to be waited for, in place of where it is; and what is
    /// not to be, in words.
    pub(super) fn choose(
        &self,
        (w, phones): (&World, &Phones),
        at: usize,
        is: Found,
        versions: Versions,
    ) -> (Found, Vec<(IpAddr, String)>) {
        let (mut refused, now): (Vec<(IpAddr, String)>, _) = (Vec::new(), w.now().mono);
        let mut fit = |own: &Own| match judge(w, phones, at, own) {
            Ok(()) => true,
            Err(why) => {
                if refused.iter().all(|(ip, _)| *ip != own.ip) {
                    refused.push((own.ip, why));
                }
                false
            }
        };
        let found = [0, 1].map(|v| {
            let of = |own: &&Own| version(own.ip) == v && versions.has(own.ip);
            let all = || self.seen.iter().filter(of);
            let here = is[v];
            let stays = |own: &&Own| Some(own.ip) == here;
            let was = self.former[v].filter(|(_, until)| *until > now);
            let back =
                |own: &&Own| !own.deprecated && was.is_some_and(|(was, _)| is_home(own.ip, was));
            // What is given up is good where there is no other, and better than one as good.
            let rest = [false, true].into_iter().flat_map(|given_up| {
                let like = move |own: &&Own| own.deprecated == given_up;
                all()
                    .filter(like)
                    .filter(stays)
                    .chain(all().filter(like).filter(move |o| !stays(o)))
            });
            let mut all = all().filter(back).chain(rest);
            all.find(|own| fit(own)).map(|own| own.ip)
        });
        (found, refused)
    }

    /// How it gets from where it is to where it would stand. `fresh`: that has just been seen.
    pub(super) fn go(&mut self, now: Mono, is: Found, would: Found, fresh: bool) -> Step {
        let differs = |(is, would): (Option<IpAddr>, Option<IpAddr>)| {
            is.zip(would).is_some_and(|(is, would)| is != would)
        };
        let pairs = || is.into_iter().zip(would);
        // Only an address in another one's place disturbs anybody: what is not there is nowhere.
        let wait = self.free().filter(|free| *free > now && pairs().any(differs));
        let held = |pair: (Option<IpAddr>, Option<IpAddr>)| wait.is_some() && differs(pair);
        let [v4, v6] = [0, 1].map(|v| if held((is[v], would[v])) { is[v] } else { would[v] });
        let to = [v4, v6];
        if to == is {
            self.looks = false;
            return wait.map_or(Step::Stay, Step::Wait);
        }
        if !fresh && !self.looks {
            self.looks = true;
            return Step::Look(now + LOOKS);
        }
        self.looks = false;
        if is.into_iter().zip(to).any(differs) {
            let soon = self.changed.is_some_and(|changed| now.since(changed) < SETTLED);
            self.flaps = if soon { self.flaps.saturating_add(1) } else { 0 };
            self.changed = Some(now);
        }
        self.changes += 1;
        for (former, (is, to)) in self.former.iter_mut().zip(is.into_iter().zip(to)) {
            *former = leaves(*former, now, (is, to));
        }
        Step::Go(to)
    }
}

/// Where it goes back to, for a while, if it goes from one place to another now.
fn leaves(
    former: Option<(IpAddr, Mono)>,
    now: Mono,
    (is, to): (Option<IpAddr>, Option<IpAddr>),
) -> Option<(IpAddr, Mono)> {
    let former = former.filter(|(_, until)| *until > now);
    let home = |ip: Option<IpAddr>| ip.zip(former).is_some_and(|(ip, (was, _))| is_home(ip, was));
    match is {
        _ if is == to => former,
        _ if home(to) => None,
        // What came in its place is no place to go back to.
        Some(_) if former.is_some() && !home(is) => former,
        Some(left) => Some((left, now + MOMENT)),
        None => former,
    }
}

/// It is where it was: the same address, or another of the same network of IPv6.
fn is_home(ip: IpAddr, was: IpAddr) -> bool {
    match (ip, was) {
        (IpAddr::V6(ip), IpAddr::V6(was)) => ip.segments()[..4] == was.segments()[..4],
        (IpAddr::V4(_), _) | (_, IpAddr::V4(_)) => ip == was,
    }
}
