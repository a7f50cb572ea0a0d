//! What the kernel says of this process: the standard `process_` metrics. What it does not say is
//! left out.

use rustix::process::{Resource, getrlimit};
use std::fs;

/// The figures of one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Process {
    /// In hundredths of a second.
    pub(super) cpu_ticks: Option<u64>,
    pub(super) resident_bytes: Option<u64>,
    pub(super) open_fds: Option<u64>,
    pub(super) max_fds: Option<u64>,
    pub(super) threads: Option<u64>,
    pub(super) start_seconds: Option<u64>,
}

/// Clock ticks a second in /proc: fixed at 100 for user space on Linux.
pub(super) const TICKS: u64 = 100;
const PAGE: u64 = 4096;

impl Process {
    pub(super) fn now() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // The name is in brackets and may hold blanks; fields are counted behind it.
        let fields: Vec<&str> = stat
            .rsplit_once(')')
            .map(|(_, rest)| rest.split_whitespace().collect())
            .unwrap_or_default();
        let field = |n: usize| fields.get(n - 3).and_then(|v| v.parse::<u64>().ok());
        let boot = fs::read_to_string("/proc/stat").unwrap_or_default();
        let boot = boot
            .lines()
            .find_map(|l| l.strip_prefix("btime "))
            .and_then(|v| v.trim().parse::<u64>().ok());
        let cpu = field(14).zip(field(15)).map(|(user, system)| user + system);
        Self {
            cpu_ticks: cpu,
            resident_bytes: field(24).map(|pages| pages * PAGE),
            open_fds: fs::read_dir("/proc/self/fd").ok().map(|d| d.count() as u64),
            max_fds: getrlimit(Resource::Nofile).current,
            threads: field(20),
            start_seconds: boot.zip(field(22)).map(|(b, ticks)| b + ticks / TICKS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_is_known_here() {
        let p = Process::now();
        assert!(p.cpu_ticks.is_some_and(|n| n < 100_000_000));
        assert!(p.resident_bytes.is_some_and(|b| b > 1 << 20));
        assert!(p.open_fds.is_some_and(|n| n >= 3) && p.max_fds >= p.open_fds);
        assert!(p.threads.is_some_and(|n| n >= 1));
        assert!(p.start_seconds.is_some_and(|s| s > 1_700_000_000));
    }
}
