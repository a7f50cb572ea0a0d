//! How many lines a minute are written: of one sender, of one host with all its ports (phones
//! behind a NAT share one), and of all. What finds no room is counted. It knows no line.

use crate::policy::quota::Source;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// Hosts of untold lines that are told apart in a minute's sum.
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

impl Budget {
    pub(super) fn new(lines: Lines) -> Self {
        let (senders, hosts, silent) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        Self { lines, senders, hosts, all: 0, untold: 0, silent }
    }

    /// Whether another line of this sender may be written; then it counts.
    pub(super) fn has_room(&mut self, by: Option<SocketAddr>) -> bool {
        let host = by.map(|by| Source::of(by.ip()));
        let most = self.lines;
        // Only a line that is written takes a place: no flood takes those of others.
        let of_sender = self.senders.get(&by).copied().unwrap_or_default();
        let of_host = self.hosts.get(&host).copied().unwrap_or_default();
        if of_sender < most.sender && of_host < most.host && self.all < most.all {
            self.senders.insert(by, of_sender + 1);
            self.hosts.insert(host, of_host + 1);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_with_many_ports_takes_no_place_of_others() {
        let mut budget = Budget::new(Lines { sender: 10, host: 20, all: 600 });
        let at = |ip: [u8; 4], port| Some(SocketAddr::from((ip, port)));
        let told = |budget: &mut Budget, ip, port| usize::from(budget.has_room(at(ip, port)));
        let flood: usize = (0..5_000).map(|n| told(&mut budget, [192, 0, 2, 9], 1_024 + n)).sum();
        assert_eq!(flood, 20);
        for host in 10..30 {
            let own: usize = (0..15).map(|_| told(&mut budget, [192, 0, 2, host], 5060)).sum();
            assert_eq!(own, 10, "{host}");
        }
        let (untold, silent) = budget.sum();
        assert_eq!((untold, silent.len()), (4_980 + 20 * 5, 21));
    }
}
