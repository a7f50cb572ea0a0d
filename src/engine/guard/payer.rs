//! Who pays for what an address asks and guesses. Inside, where a /64 may be all phones of a link,
//! that is the address, and its network only for what many of it do; elsewhere it is the network.
//! Bans are always of a network. By a tunnel all phones of a site come from one address: there each
//! is told from the others by the Contact that its own gateway sealed for it.

use super::Standing;
use crate::engine::analysis::Incoming;
use crate::engine::world::World;
use crate::ground::{Flow, Side};
use crate::policy::quota::Source;
use crate::wire::sip::{Method, Uri};
use sha2::{Digest, Sha256};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// A network may do so many times what one address of it may.
pub(super) const PARTS: u8 = 8;

/// Who guesses, or proves himself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct By<'a> {
    pub(super) flow: &'a Flow,
    pub(super) standing: Standing,
    /// Where he stands.
    host: Source,
}

impl<'a> By<'a> {
    /// Who sent a request. A Contact of what is no REGISTER is of one call, and names nobody.
    pub(crate) fn of(w: &World, i: &'a Incoming, standing: Standing) -> Self {
        let contact = if i.is(&Method::Register) { i.contact() } else { None };
        let host = behind(w, &i.flow, contact.as_ref());
        Self { flow: &i.flow, standing, host }
    }

    /// Where he stands, and by which port of it.
    pub(super) fn place(&self) -> (Source, SocketAddr) {
        (self.host, self.flow.peer)
    }
}

/// Where a phone with this Contact stands. Behind a tunnel that is an address of its own in the
/// network of the tunnel's other end; nothing is ever sent there.
pub(crate) fn behind(w: &World, flow: &Flow, contact: Option<&Uri>) -> Source {
    let (source, far) = (w.net().source(flow), flow.peer.ip());
    let (IpAddr::V6(far), Some(contact)) = (far, contact) else { return source };
    if !w.net().lasts(flow.listener) {
        return source;
    }
    let digest = Sha256::digest(contact.to_string());
    let own = digest.iter().take(8).fold(0_u64, |sum, octet| sum << 8 | u64::from(*octet));
    let network = u128::from(far) & !u128::from(u64::MAX);
    Source::host(Ipv6Addr::from(network | u128::from(own)).into())
}

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
        Self::at(w, flow, w.net().source(flow))
    }

    /// The same of who stands there.
    pub(super) fn guessing(w: &World, by: &By<'_>) -> Self {
        Self::at(w, by.flow, by.host)
    }

    fn at(w: &World, flow: &Flow, own: Source) -> Self {
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
