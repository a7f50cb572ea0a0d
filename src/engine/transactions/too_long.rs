//! Requests that are longer than their way carries: they do not go, and who asked for one is told
//! so. It knows no other reason.

use super::{Due, Event, Transactions};
use crate::engine::ids::ClientId;
use crate::engine::outbox::Outbox;
use crate::engine::world::World;
use crate::ground::Transport;
use crate::wire::limits;
use std::time::Duration;

/// The next step.
const SOON: Duration = Duration::from_millis(1);

/// Octets that a message may have there, ours among them.
fn longest(transport: Transport) -> usize {
    if transport.is_reliable() { limits::STREAM_MESSAGE } else { limits::DATAGRAM }
}

impl Transactions {
    /// A request is about to be sent; one that is too long is not, and is told of when the step
    /// that sent it is over.
    pub(super) fn measure(&mut self, w: &World, id: ClientId) {
        let Some(t) = self.clients.get_mut(&id) else { return };
        if t.bytes.len() > longest(t.flow.transport) {
            t.quiet = true;
            self.timers.set(Due::TooLong(id), w.now().mono + SOON);
        }
    }

    pub(super) fn too_long(&mut self, w: &World, out: &mut Outbox, id: ClientId) {
        self.unanswered(w, out, id, 513, "Message Too Large");
        self.client_event(w, out, id, Event::TransportError);
    }
}
