//! Who pays for what an address asks and guesses. Inside, where a /64 may be all phones of a link,
//! that is the address, and its network only for what many of it do; elsewhere it is the network.
//! Bans are always of a network.

use crate::engine::world::World;
use crate::ground::{Flow, Side};
use crate::policy::quota::Source;
use std::net::{IpAddr, SocketAddr};

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
        let own = w.net().source(flow);
        let network = own.whole();
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

/// Where who sends by a flow stands, and by which port of it.
pub(super) fn place(w: &World, flow: &Flow) -> (Source, SocketAddr) {
    (w.net().source(flow), flow.peer)
}

/// Its network.
pub(super) fn network(w: &World, flow: &Flow) -> Source {
    w.net().source(flow).whole()
}

/// What is remembered of an address, on whatever link: its network's, and its own.
pub(super) fn all_of(w: &World, ip: IpAddr) -> Vec<Source> {
    let links = std::iter::once(None).chain((0..w.net().interfaces().len()).map(Some));
    let all = links.flat_map(|link| [Source::of(ip), Source::host(ip)].map(|s| s.on(link)));
    all.collect()
}
