//! May anything be sent to an address that a party named? One answer for media and for requests
//! within dialogs; ports, and what is ours, are judged where they are known. It reads the
//! configuration and sends nothing.

use super::Net;
use crate::config::{Interface, is_of_link};
use crate::ground::Side;
use crate::wire::addresses::unwrapped_address;
use std::net::IpAddr;

/// Why nothing is sent there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unfit {
    /// In words.
    pub(crate) why: &'static str,
    /// The key of the interface that would allow it; empty: none would.
    pub(crate) key: &'static str,
}

/// Who of the site is where, as whoever keeps the phones knows.
pub(crate) trait Neighbours {
    /// Whether a phone sends from an address.
    fn are_at(&self, ip: IpAddr) -> bool;

    /// Whether phones send from an address, none of them of a user who is at `source`, too.
    fn are_others_at(&self, ip: IpAddr, source: IpAddr) -> bool;
}

const fn unfit(why: &'static str, key: &'static str) -> Unfit {
    Unfit { why, key }
}

impl Net {
    /// Not to what is no host at all: whoever named it, and from wherever. Link-local addresses are
    /// hosts inside, where the interface lists them.
    pub(crate) fn judge_kind(i: &Interface, ip: IpAddr) -> Result<(), Unfit> {
        if ip.is_multicast() || is_broadcast(ip) {
            return Err(unfit("a multicast or broadcast address", ""));
        }
        if is_of_link(ip) {
            return match i.side {
                Side::Inside if lists(i, ip) => Ok(()),
                Side::Inside => Err(unfit("a link-local address", "networks")),
                Side::Outside => Err(unfit("a link-local address", "")),
            };
        }
        if i.side == Side::Outside && is_site_local(ip) && !lists(i, ip) {
            return Err(unfit("a site-local address", "networks"));
        }
        Ok(())
    }

    /// Not to loopback, where the interface does not say that it is meant.
    pub(crate) fn judge_loopback(i: &Interface, ip: IpAddr) -> Result<(), Unfit> {
        if ip.is_loopback() && !i.allow_loopback && !lists(i, ip) {
            return Err(unfit("a loopback address", "allow_loopback"));
        }
        Ok(())
    }

    /// To another party, whose signalling comes from `source` by this interface: inside
    /// its own or of a configured network, but no other phone's; outside any that is not the
    /// site's, nor a phone's.
    pub(crate) fn judge_owner(
        &self,
        i: &Interface,
        ip: IpAddr,
        source: IpAddr,
        phones: &dyn Neighbours,
    ) -> Result<(), Unfit> {
        if ip != source && !lists(i, ip) {
            self.judge_wrapped(i, unwrapped_address(ip), ip, phones)?;
        }
        match i.side {
            Side::Inside if ip != source && phones.are_others_at(ip, source) => {
                Err(unfit("the address of another phone", ""))
            }
            _ if lists(i, ip) => Ok(()),
            Side::Inside if ip == source => Ok(()),
            Side::Inside => {
                Err(unfit("neither the phone's source nor a listed network", "networks"))
            }
            Side::Outside
                if self.is_inside(ip)
                    || ip != source && !self.is_shown(ip) && phones.are_at(ip) =>
            {
                Err(unfit("an inside address", ""))
            }
            Side::Outside if i.networks.is_empty() || ip == source => Ok(()),
            Side::Outside => Err(unfit("not in this interface's networks", "networks")),
        }
    }

    /// A translator or a tunnel's end on the way sends to the IPv4 address that an IPv6 one wraps.
    fn judge_wrapped(
        &self,
        i: &Interface,
        within: IpAddr,
        ip: IpAddr,
        phones: &dyn Neighbours,
    ) -> Result<(), Unfit> {
        if within == ip {
            return Ok(());
        }
        Self::judge_kind(i, within)?;
        Self::judge_loopback(i, within)?;
        let hidden = self.is_inside(within) || !self.is_shown(within) && phones.are_at(within);
        if hidden || self.is_our_address(within) {
            return Err(unfit("an IPv6 address that wraps an inside one or ours", ""));
        }
        Ok(())
    }
}

fn lists(i: &Interface, ip: IpAddr) -> bool {
    i.networks.iter().any(|n| n.contains(&ip))
}

/// RFC 3879: of a site, whichever, and of no other use.
fn is_site_local(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(v6) if (v6.segments()[0] & 0xffc0) == 0xfec0)
}

/// Or the unspecified one: the kernel takes that for loopback.
fn is_broadcast(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_broadcast() || v4.octets()[0] == 0 || v4.octets()[0] >= 240,
        IpAddr::V6(v6) => v6.is_unspecified(),
    }
}
