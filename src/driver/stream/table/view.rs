//! How places and octets of connections stand, for whoever shows it. It changes nothing.

use super::Table;
use crate::engine::Stats;
use crate::engine::stats::Places;
use crate::policy::quota::{Resource, ShareView};

impl Table {
    /// Connections, and octets held for them: who holds most, too.
    pub(in crate::driver::stream) fn shares(&self) -> [ShareView; 2] {
        [self.places.all().view(Resource::Connections), self.octets.view(Resource::Buffers)]
    }

    /// The same for the metrics, with what was done for want of room.
    pub(in crate::driver::stream) fn count_into(&self, stats: &mut Stats) {
        let [places, octets] = [self.places.all(), &self.octets].map(Places::of);
        let all = [(Resource::Connections, places), (Resource::Buffers, octets)];
        for ((resource, places), counts) in all.into_iter().zip(self.counts) {
            stats.now.places[resource as usize] = places;
            stats.shares[resource as usize] = counts;
        }
    }
}
