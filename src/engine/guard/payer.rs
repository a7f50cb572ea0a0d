//! Who pays for what an address asks and guesses. Inside, where a /64 may be all phones of a link,
//! that is the address, and its network only for what many of it do; elsewhere it is the network.
//! Bans are always of a network.

use crate::engine::world::World;
use crate::ground::{Flow, Side};
use crate::policy::quota::Source;

/// A network may do so many times what one address of it may.
pub(super) const PARTS: u8 = 8;

/// They.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Payers {
    /// Whose own it is.
    pub(super) own: Source,
    /// Its network, where that is another.
    pub(super) network: Option<Source>,
}

impl Payers {
    pub(super) fn of(w: &World, flow: &Flow) -> Self {
        let ip = flow.peer.ip();
        let (own, network) = (Source::host(ip), Source::of(ip));
        match w.side(flow.listener) {
            Side::Inside => Self { own, network: Some(network).filter(|net| *net != own) },
            Side::Outside => Self { own: network, network: None },
        }
    }

    /// Each, with how many addresses it may be.
    pub(super) fn all(self) -> impl Iterator<Item = (Source, u8)> {
        let network = self.network.map(|network| (network, PARTS));
        std::iter::once((self.own, 1)).chain(network)
    }
}
