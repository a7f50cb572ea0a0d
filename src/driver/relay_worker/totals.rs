//! What was relayed since the start, for metrics. Each relay thread owns one table and adds to it
//! about once a second and when a stream closes; readers add the tables up. Nothing is shared per
//! packet.

use crate::ground::Side;
use crate::relay::FlowCounters;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of the legs on each side since the start. A stream on both legs of one side counts
/// there twice, as it is received and sent twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// By [`Side::index`].
    pub sides: [FlowCounters; 2],
    /// Streams open now.
    pub streams: u64,
}

#[derive(Debug, Default)]
struct SideTable {
    packets: [AtomicU64; 2],
    bytes: [AtomicU64; 2],
    sent: [AtomicU64; 2],
    dropped: [AtomicU64; 5],
}

/// One thread's table.
#[derive(Debug, Default)]
pub(super) struct TotalsTable {
    sides: [SideTable; 2],
    pub(super) streams: AtomicU64,
}

impl TotalsTable {
    /// Adds what a leg counted between `before` and `now`.
    pub(super) fn add(&self, side: Side, before: &FlowCounters, now: &FlowCounters) {
        let table = &self.sides[side.index()];
        add(&table.packets, &before.packets, &now.packets);
        add(&table.bytes, &before.bytes, &now.bytes);
        add(&table.sent, &before.sent, &now.sent);
        add(&table.dropped, &before.dropped, &now.dropped);
    }

    /// Adds this table to `sum`.
    pub(super) fn add_to(&self, sum: &mut Totals) {
        for (table, sum) in self.sides.iter().zip(&mut sum.sides) {
            load(&table.packets, &mut sum.packets);
            load(&table.bytes, &mut sum.bytes);
            load(&table.sent, &mut sum.sent);
            load(&table.dropped, &mut sum.dropped);
        }
        sum.streams += self.streams.load(Ordering::Relaxed);
    }
}

fn add(table: &[AtomicU64], before: &[u64], now: &[u64]) {
    for ((cell, before), now) in table.iter().zip(before).zip(now) {
        if now > before {
            cell.fetch_add(now - before, Ordering::Relaxed);
        }
    }
}

fn load(table: &[AtomicU64], sum: &mut [u64]) {
    for (cell, sum) in table.iter().zip(sum) {
        *sum += cell.load(Ordering::Relaxed);
    }
}
