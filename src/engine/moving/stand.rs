//! Where one interface stands, and where it is to stand: it stays as long as its address is there,
//! and what comes in an address's place is taken the later the more often that happens.

use super::judge::judge;
use crate::config::{Found, Own, Versions};
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
    pub(super) refused: Option<String>,
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

    /// Where it would stand if nothing had to be waited for, in place of where it is; and what is
    /// not to be, in words.
    pub(super) fn choose(
        &self,
        (w, phones): (&World, &Phones),
        at: usize,
        is: Found,
        versions: Versions,
    ) -> (Found, Option<String>) {
        let mut refused: Vec<String> = Vec::new();
        let mut fit = |own: &Own| match judge(w, phones, at, own) {
            Ok(()) => true,
            Err(why) => {
                refused.push(format!("{} is {why}", own.ip));
                false
            }
        };
        let found = [true, false].map(|v4| {
            let of = |own: &&Own| own.ip.is_ipv4() == v4 && versions.has(own.ip);
            let all = || self.seen.iter().filter(of);
            let here = is[usize::from(!v4)];
            let stays = |own: &&Own| Some(own.ip) == here;
            // What is given up is good where there is no other, and better than one as good.
            let all = [false, true].into_iter().flat_map(|given_up| {
                let like = move |own: &&Own| own.deprecated == given_up;
                all()
                    .filter(like)
                    .filter(stays)
                    .chain(all().filter(like).filter(move |o| !stays(o)))
            });
            let mut all = all;
            all.find(|own| fit(own)).map(|own| own.ip)
        });
        (found, (!refused.is_empty()).then(|| refused.join(", ")))
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
        Step::Go(to)
    }
}
