//! A call's media for an operator: ports, parties, the figures the relay last reported. It reads
//! the table and changes nothing.

use super::table::MediaTable;
use crate::audit::Finding;
use crate::engine::calls::quality::leg_quality;
use crate::engine::calls::{LegView, StreamView};
use crate::ground::CallNo;

impl MediaTable {
    /// Open streams of a call and what was found wrong with it.
    pub(in crate::engine::calls) fn view(&self, call: CallNo) -> (Vec<StreamView>, Vec<Finding>) {
        let Some(c) = self.calls.get(&call) else { return Default::default() };
        let stream = |s: &super::call::Stream| {
            let leg = |i: usize| {
                let figures = s.watch[i].figures.as_deref();
                let total = s.watch[i].so_far.as_deref().or(figures.map(|[_, total]| total));
                LegView {
                    port: s.ports[i],
                    party: s.parties[i].rtp,
                    packets: total.map(|t| t.received),
                    total: total.map(leg_quality),
                    window: figures.map(|[window, _]| leg_quality(window)),
                    phone_report: s.watch[i].phone.as_deref().cloned(),
                }
            };
            StreamView { media: s.kind.clone(), caller: leg(0), callee: leg(1) }
        };
        let streams = c.streams.iter().flatten().map(stream).collect();
        (streams, c.watch.findings())
    }
}
