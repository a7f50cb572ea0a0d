//! Who holds places, and how many there are for whom. Values; what is held, the quota knows.

use crate::config::is_of_link;
use crate::ground::Side;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// The part of a table that is reserve.
const RESERVE: usize = 10;
/// The part of a table that emergencies of nobody known may hold together.
const EMERGENCIES: usize = 4;
/// Addresses of one network that share a password may hold so many times what one of them may.
const NETWORK: usize = 3;

/// Who is counted as one: an address, or its network (an IPv4 address; a /64 of IPv6, for whoever
/// has one address of it has them all). The shares of a table are networks', and within a network
/// addresses give way by turns: a /64 may be one host, or all of a site's phones. Every link has
/// link-local ones of its own: such a source is of one link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source {
    first: IpAddr,
    /// It is this address alone, not its network.
    host: bool,
    /// The place of the interface that a link-local one is at.
    link: Option<usize>,
}

impl Source {
    /// The network of an address; mapped IPv4 is IPv4.
    #[must_use]
    pub fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            ip @ IpAddr::V4(_) => Self { first: ip, host: true, link: None },
            IpAddr::V6(ip) => {
                let net = u128::from(ip) & !u128::from(u64::MAX);
                Self { first: Ipv6Addr::from(net).into(), host: false, link: None }
            }
        }
    }

    /// One address alone, of either version.
    #[must_use]
    pub fn host(ip: IpAddr) -> Self {
        Self { first: ip.to_canonical(), host: true, link: None }
    }

    /// The same at an interface, by its place; only where that makes it another.
    #[must_use]
    pub fn on(self, link: Option<usize>) -> Self {
        Self { link: link.filter(|_| is_of_link(self.first)), ..self }
    }

    /// Who is counted as one where nothing is known of him: inside an address, for a /64 there may
    /// be all phones of a link; outside its network.
    #[must_use]
    pub fn at(side: Side, ip: IpAddr) -> Self {
        match side {
            Side::Inside => Self::host(ip),
            Side::Outside => Self::of(ip),
        }
    }

    /// The network that it stands in.
    #[must_use]
    pub fn whole(self) -> Self {
        Self::of(self.first).on(self.link)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, host, link } = self;
        let net = if *host { "" } else { "/64" };
        match link {
            Some(link) => write!(f, "{first}{net} at interface {}", link + 1),
            None => write!(f, "{first}{net}"),
        }
    }
}

/// Who holds a place, or asks for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Nobody who has proved himself: an address ([`Source::host`]) has a part of its network's
    /// share, a network is counted as one address of it.
    Unproved(Source),
    /// Nobody who has proved himself, in an emergency: gives way to other emergencies only. There
    /// an address ([`Source::host`]) has a share of its own.
    Emergency(Source),
    /// A proved user.
    User(String),
    /// One who proved himself by a password that all users have: what he holds counts for his
    /// address, too, for he may be any of them.
    Shared(String, Source),
    /// An upstream: exempt from shares, not from the total.
    Upstream,
    /// What comes by way of an upstream, named by whom or what it is for: a phone, a call.
    Brought(String),
}

/// What is right for [`Holder::Brought`] in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Brought {
    /// Each has a user's share, from half of the table on.
    Shares,
    /// None has a share; of a full table the oldest that waits gives way to who is known.
    Waits,
}

/// How many places there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// All of them, the reserve included.
    pub total: usize,
    /// What the unproved entries of one source may hold of a full table.
    pub per_source: usize,
    /// What a proved user may hold of a table that is half full.
    pub per_user: usize,
    /// What users of one password may hold of one address, of a table that is half full; those of
    /// one network three times as much.
    pub per_address: usize,
    /// What comes by way of an upstream.
    pub brought: Brought,
}

impl Shares {
    /// Each source and each user may hold so many percent of the table, at least one place.
    #[must_use]
    pub fn percent(total: usize, percent: usize) -> Self {
        let share = (total.saturating_mul(percent) / 100).max(1);
        let (per_source, per_user, per_address) = (share, share, share);
        Self { total, per_source, per_user, per_address, brought: Brought::Waits }
    }

    /// Places that only emergencies, established dialogs and (half of them) proved users reach.
    #[must_use]
    pub fn reserve(&self) -> usize {
        self.total / RESERVE
    }

    /// What users of one password may hold of one network.
    pub(super) fn per_network(&self) -> usize {
        self.per_address.saturating_mul(NETWORK)
    }

    /// Places of the reserve that are no emergency's of nobody known.
    #[must_use]
    pub fn last(&self) -> usize {
        self.reserve() / 4
    }

    /// Places that emergencies of nobody known hold at most.
    pub(super) fn emergencies(&self) -> usize {
        (self.total / EMERGENCIES).max(1)
    }

    /// Places within reach of a claim.
    pub(super) fn reach(&self, holder: &Holder, urgent: bool) -> usize {
        match holder {
            Holder::Emergency(_) => self.total - self.last(),
            _ if urgent => self.total,
            Holder::Unproved(_) => self.total - self.reserve(),
            Holder::User(_) | Holder::Shared(..) | Holder::Upstream | Holder::Brought(_) => {
                self.total - self.reserve() / 2
            }
        }
    }
}
