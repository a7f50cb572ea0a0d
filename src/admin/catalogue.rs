//! Every metric as data: name, type, unit, labels with their closed sets of values, help, buckets.
//! No address, user or Call-ID is ever a label. `docs/METRICS.md` is written from this table, and
//! `metrics` shows every series of it from the start.

mod housekeeping;
mod media;
mod signalling;
pub(in crate::admin) mod tunnels;

use crate::engine::stats;
use crate::ground::CallDirection;
use crate::policy::quota::Resource;

/// Tunnels that have labels; `status` tells of all.
pub const TUNNEL_LABELS: usize = 16;

/// Metric type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Type {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Observations by upper bounds.
    Histogram(&'static [f64]),
}

/// The values a label takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// These and no others.
    Closed(&'static [&'static str]),
    /// Names of rules, at most [`stats::RULE_LABELS`]; further ones count as `other`.
    Rules,
    /// Names of upstreams, at most [`stats::UPSTREAM_LABELS`].
    Upstreams,
    /// Names of tunnels, at most [`TUNNEL_LABELS`].
    Tunnels,
    /// Names of interfaces and upstreams, at most [`stats::UPSTREAM_LABELS`] of a kind.
    Names,
    /// One value that the build decides.
    Build,
}

impl Values {
    /// How many there may be.
    #[must_use]
    pub fn most(self) -> usize {
        match self {
            Self::Closed(all) => all.len(),
            Self::Rules => stats::RULE_LABELS,
            Self::Upstreams | Self::Names => stats::UPSTREAM_LABELS,
            Self::Tunnels => TUNNEL_LABELS,
            Self::Build => 1,
        }
    }
}

/// One metric family.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Full name; its unit is in it.
    pub name: &'static str,
    /// Counter, gauge or histogram.
    pub kind: Type,
    /// Labels and what they may be.
    pub labels: &'static [(&'static str, Values)],
    /// One sentence.
    pub help: &'static str,
}

impl Family {
    /// The most series this family can have.
    #[must_use]
    pub fn most_series(&self) -> usize {
        let sets: usize = self.labels.iter().map(|(_, v)| v.most()).product();
        match self.kind {
            Type::Counter | Type::Gauge => sets,
            Type::Histogram(bounds) => sets * (bounds.len() + 3),
        }
    }
}

/// The most series a scrape can have, whatever the configuration and the traffic.
pub const MOST_SERIES: usize = 1_140;

const fn counter(
    name: &'static str,
    labels: &'static [(&'static str, Values)],
    help: &'static str,
) -> Family {
    Family { name, kind: Type::Counter, labels, help }
}

const fn gauge(
    name: &'static str,
    labels: &'static [(&'static str, Values)],
    help: &'static str,
) -> Family {
    Family { name, kind: Type::Gauge, labels, help }
}

const fn histogram(
    name: &'static str,
    bounds: &'static [f64],
    labels: &'static [(&'static str, Values)],
    help: &'static str,
) -> Family {
    Family { name, kind: Type::Histogram(bounds), labels, help }
}

use Values::Closed;

const RESOURCE: (&str, Values) = ("resource", Closed(&Resource::NAMES));
const SIDE: (&str, Values) = ("side", Closed(&["inside", "outside"]));
const DIRECTION: (&str, Values) = ("direction", Closed(&CallDirection::NAMES));
/// All families.
pub fn all() -> impl Iterator<Item = &'static Family> {
    let tunnels = tunnels::FAMILIES.iter().chain(housekeeping::FAMILIES);
    signalling::FAMILIES.iter().chain(media::FAMILIES).chain(tunnels)
}

#[cfg(test)]
mod tests;
