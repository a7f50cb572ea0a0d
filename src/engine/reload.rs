//! A new configuration while calls are up: swapped whole. Calls keep the verdict they have, dialogs
//! keep their upstream wherever it now stands in the file. It judges no key; `config::change` did.

use super::dialog::LegState;
use super::net::Net;
use super::{Engine, Snapshot, TimerKey, stats};
use crate::config::{Config, Upstream};
use std::sync::Arc;
use std::time::Duration;

/// The first probe comes soon, so that little time is unknown.
const FIRST_PROBE: Duration = Duration::from_secs(1);

impl Engine {
    /// Takes a new configuration.
    pub(super) fn reload(&mut self, snapshot: Arc<Snapshot>) {
        let old = std::mem::replace(&mut self.snap, snapshot);
        self.auth.set_users(self.snap.users.clone());
        self.net = Net::new(&self.snap.config);
        self.follow_upstreams(&old.config);
        self.label();
        self.forget_upstreams(&old.config);
        self.arm_keepalives(Some(&old.config));
        self.arm_probes(Some(&old.config));
    }

    /// Series of rules and upstreams start at 0, as many as the catalogue's bound allows.
    pub(super) fn label(&mut self) {
        let decisions = &mut self.stats.decisions;
        decisions.entry("other".into()).or_insert([0, 0]);
        for name in self.snap.rules.names() {
            if decisions.len() < stats::RULE_LABELS {
                decisions.entry(name).or_insert([0, 0]);
            }
        }
        let upstreams = &mut self.stats.upstreams;
        for upstream in &self.snap.config.upstreams {
            if upstreams.len() < stats::UPSTREAM_LABELS {
                upstreams.entry(upstream.name.clone()).or_default();
            }
        }
    }

    /// Legs and probes know upstreams by their places: those of the new file.
    fn follow_upstreams(&mut self, old: &Config) {
        let new = &self.snap.config.upstreams;
        let place = |index: usize| {
            let name = &old.upstreams.get(index)?.name;
            new.iter().position(|u| u.name == *name)
        };
        let follow = |leg: &mut LegState| leg.upstream = leg.upstream.and_then(place);
        for call in self.dialogs.all_mut().chain(self.parked.values_mut()) {
            follow(&mut call.caller);
            call.forks.iter_mut().for_each(|f| follow(&mut f.callee));
        }
        let branches = self.passes.values_mut().flat_map(|p| &mut p.branches);
        branches.filter_map(|b| b.leg.as_mut()).for_each(follow);
        self.probes.retain(|_, index| match place(*index) {
            Some(now) => {
                *index = now;
                true
            }
            None => false,
        });
    }

    /// Arms the probes of all upstreams that ask for them; `old`: those that run on go on.
    pub(super) fn arm_probes(&mut self, old: Option<&Config>) {
        let before = old.map_or(&[][..], |o| &o.upstreams);
        let new = &self.snap.config.upstreams;
        for index in 0..new.len().max(before.len()) {
            let key = TimerKey::Probe(index);
            let (was, is) = (before.get(index), new.get(index));
            let same = |(a, b): (&Upstream, &Upstream)| a.name == b.name && is_same(a, b);
            if was.zip(is).is_some_and(same) {
                continue;
            }
            if is.is_some_and(|u| u.probe.is_some()) {
                self.timers.set(key, self.now.mono + FIRST_PROBE);
            } else {
                self.timers.stop(key);
            }
        }
    }

    /// What was known of an upstream that is asked no more, or elsewhere, is not known any more.
    fn forget_upstreams(&mut self, old: &Config) {
        let find = |all: &[Upstream], name: &str| all.iter().find(|u| u.name == name).cloned();
        for (name, state) in &mut self.stats.upstreams {
            let is = find(&self.snap.config.upstreams, name).filter(|u| u.probe.is_some());
            let was = find(&old.upstreams, name);
            if is.zip(was).is_none_or(|(a, b)| a.address != b.address) {
                state.up = None;
            }
        }
    }

    /// Arms keep-alives of interfaces that ask for them; `old`: those that run on go on.
    pub(super) fn arm_keepalives(&mut self, old: Option<&Config>) {
        let before = old.map_or(&[][..], |o| &o.interfaces);
        let new = &self.snap.config.interfaces;
        for index in 0..new.len().max(before.len()) {
            let key = TimerKey::KeepAlive(index);
            let was = before.get(index).and_then(|i| i.keepalive);
            match new.get(index).and_then(|i| i.keepalive) {
                Some(every) if was != Some(every) => self.timers.set(key, self.now.mono + every),
                Some(_) => {}
                None => self.timers.stop(key),
            }
        }
    }
}

/// The same place is asked as often.
fn is_same(a: &Upstream, b: &Upstream) -> bool {
    a.probe == b.probe && a.address == b.address && a.transport == b.transport
}
