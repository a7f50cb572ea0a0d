//! How many lines a minute are written: of one sender, of one host with all its ports (phones
//! behind a NAT share one), and of all. What finds no room is counted. It knows no line.

use crate::policy::quota::Source;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// Senders and hosts that are told apart in a minute; more count as one.
const TOLD_APART: usize = 1_000;

/// Lines a minute.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lines {
    /// Of one address and port.
    pub(super) sender: u64,
    /// Of one address.
    pub(super) host: u64,
    pub(super) all: u64,
}

/// The lines of this minute.
#[derive(Debug)]
pub(super) struct Budget {
    lines: Lines,
    senders: BTreeMap<Option<SocketAddr>, u64>,
    hosts: BTreeMap<Option<Source>, u64>,
    all: u64,
    untold: u64,
    /// Hosts of what was not told.
    silent: BTreeSet<Source>,
}

/// What this key has, or what all have in common that find no place.
fn of<K: Ord>(table: &mut BTreeMap<Option<K>, u64>, key: Option<K>) -> &mut u64 {
    let has_place = table.contains_key(&key) || table.len() < TOLD_APART;
    table.entry(key.filter(|_| has_place)).or_default()
}

impl Budget {
    pub(super) fn new(lines: Lines) -> Self {
        let (senders, hosts, silent) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        Self { lines, senders, hosts, all: 0, untold: 0, silent }
    }

    /// Whether another line of this sender may be written; then it counts.
    pub(super) fn has_room(&mut self, by: Option<SocketAddr>) -> bool {
        let host = by.map(|by| Source::of(by.ip()));
        let most = self.lines;
        let sender = of(&mut self.senders, by);
        let of_host = of(&mut self.hosts, host);
        if *sender < most.sender && *of_host < most.host && self.all < most.all {
            *sender += 1;
            *of_host += 1;
            self.all += 1;
            return true;
        }
        self.untold += 1;
        if self.silent.len() < TOLD_APART {
            self.silent.extend(host);
        }
        false
    }

    /// How many lines found no room, of which hosts; a new minute begins.
    pub(super) fn sum(&mut self) -> (u64, BTreeSet<Source>) {
        let Self { untold, silent, .. } = std::mem::replace(self, Self::new(self.lines));
        (untold, silent)
    }
}
