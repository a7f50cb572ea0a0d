//! As what upstreams see us: `received` in the Via of their answers to our own OPTIONS (RFC 3261
//! §18.2.1). Where that is not the address that others are told for us, several times in a row,
//! what they are told leads elsewhere: a router in between has another address by now, or
//! `advertise` never was right. Only the answer to a request of ours, from where it went, counts.
//! It changes nothing: it tells.

use super::Upstreams;
use super::probe::Asked;
use crate::engine::ids::ClientId;
use crate::engine::outbox::Outbox;
use crate::engine::output::Level;
use crate::engine::world::World;
use crate::wire::sip::{Message, Name, Via};
use std::net::IpAddr;

/// So many answers in a row.
const SEVERAL: u32 = 3;

/// What one upstream saw last.
#[derive(Debug, Default)]
pub(super) struct Sight {
    /// An address that is not what it is told.
    other: Option<IpAddr>,
    times: u32,
}

impl Sight {
    /// As what it sees us, where that is not what it is told.
    pub(super) fn other(&self) -> Option<IpAddr> {
        self.other.filter(|_| self.times >= SEVERAL)
    }

    /// It sees us as this, or as it is told (`None`). True: that is news.
    fn sees(&mut self, other: Option<IpAddr>) -> bool {
        let before = self.other();
        self.times = if self.other == other { self.times.saturating_add(1) } else { 1 };
        self.other = other;
        before != self.other() && (other.is_none() || self.times == SEVERAL)
    }
}

/// Of a network that is nobody else's business: what is seen there may be the far end's own router.
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let shared = a == 100 && b & 0xc0 == 64;
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || shared
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// The address in an answer's topmost Via that its sender saw.
fn received(response: &Message) -> Option<IpAddr> {
    let via = response.list(&Name::Via).next().and_then(Via::parse)?;
    let text = via.params.get("received")?.trim_matches(['[', ']']);
    text.parse().ok().map(|ip: IpAddr| ip.to_canonical())
}

impl Upstreams {
    /// An answer to a request of our own says as what its sender sees us.
    pub(crate) fn saw(
        &mut self,
        w: &World,
        out: &mut Outbox,
        client: ClientId,
        response: &Message,
    ) {
        let Some(Asked { id, hop, .. }) = self.asked.get(&client).copied() else { return };
        let Some(at) = self.get(w, id).map(|u| u.interface) else { return };
        let Some(i) = w.net().interface_at(at) else { return };
        let Some(own) = i.addresses.towards(hop.peer.ip()) else { return };
        let told = own.advertised();
        let Some(seen) = received(response).filter(|ip| !is_private(*ip) || is_private(told))
        else {
            return;
        };
        // Without `advertise` an upstream beyond a NAT may know how to reach us all the same; one
        // on this side of the router sees us as we are.
        let other = (told != own.ip && seen != told && seen != own.ip).then_some(seen);
        let Some(u) = self.all.get_mut(id.index()) else { return };
        if !u.sight.sees(other) {
            return;
        }
        let name = w.upstream_name(id).unwrap_or_default();
        match other {
            Some(seen) => out.notice(
                Level::Warn,
                format!(
                    "upstream {name} sees us as {seen}, while interface {} advertises {told}: calls \
                     and audio from there go to {told}; is `advertise` right?",
                    i.name
                ),
            ),
            None => {
                out.notice(Level::Info, format!("upstream {name} sees us as {told}, as advertised"));
            }
        }
    }
}
