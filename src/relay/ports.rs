//! The pool of port pairs: even RTP, odd RTCP; used ones rest before they are lent again.
use crate::ground::Mono;
use std::net::IpAddr;
use std::time::Duration;

/// How the pool stands (metric `media_ports`). In ports, not pairs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortCount {
    /// Lent.
    pub used: usize,
    /// Resting.
    pub quarantined: usize,
    /// Ready.
    pub free: usize,
}

/// Port pairs of one bind address.
#[derive(Debug)]
pub struct Pool {}

#[expect(unused_variables, reason = "skeleton")]
impl Pool {
    /// Pairs within `first..=last` (an odd first and an even last are left out); `seed` shuffles.
    #[must_use]
    pub fn new(bind: IpAddr, first: u16, last: u16, rest: Duration, seed: u64) -> Self {
        todo!()
    }
    /// Takes a pair: its even port. `None`: empty.
    pub fn take(&mut self, now: Mono) -> Option<u16> {
        todo!()
    }
    /// Gives a pair back; `used`: it carried packets and rests first.
    pub fn give(&mut self, now: Mono, port: u16, used: bool) {
        todo!()
    }
    /// Takes a pair out of service for good (another process holds it).
    pub fn exclude(&mut self, port: u16) {
        todo!()
    }
    /// Counts by state.
    #[must_use]
    pub fn count(&self, now: Mono) -> PortCount {
        todo!()
    }
}
