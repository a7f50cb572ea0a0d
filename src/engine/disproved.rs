//! Connections whose other end is believed no longer: nothing begins there (503 says why), and each
//! is closed when nothing goes on there, or at once; then nothing is heard from it any more. It
//! decides of nobody whether he is to be believed: the driver says so, which keeps what was shown.

use super::Engine;
use super::outbox::Outbox;
use super::output::Output;
use super::streams::Streams;
use super::transactions::Transactions;
use super::upstreams::Upstreams;
use super::world::World;
use crate::ground::Flow;

/// The parts that know of such a connection.
pub(super) struct Disproved<'a> {
    w: &'a World,
    out: &'a mut Outbox,
    upstreams: &'a mut Upstreams,
    streams: &'a mut Streams,
    transactions: &'a mut Transactions,
}

impl<'a> Disproved<'a> {
    pub(super) fn of(engine: &'a mut Engine) -> Self {
        let Engine { world: w, out, upstreams, streams, transactions, .. } = engine;
        Self { w, out, upstreams, streams, transactions }
    }

    /// Who is at the other end is believed no longer.
    pub(super) fn begin(mut self, flow: &Flow, why: &str, at_once: bool) {
        self.upstreams.disproved(self.w, self.out, flow, why);
        self.streams.retire(flow);
        if at_once {
            self.close(flow);
        }
    }

    /// Those on which nothing goes on any more are closed.
    pub(super) fn end(mut self) {
        for flow in self.streams.ending() {
            if !flow.conn.is_some_and(|conn| self.transactions.rides(conn)) {
                self.close(&flow);
            }
        }
    }

    /// Who was asked by it and has said nothing is asked by another.
    fn close(&mut self, flow: &Flow) {
        self.transactions.connection_broken(self.w, self.out, flow);
        if let Some(conn) = self.streams.end(flow) {
            self.out.emit(Output::CloseConnection(conn));
        }
    }
}
