//! skeleton
use super::{Actions, Event, Timing};

/// The machine.
#[derive(Debug)]
pub struct InviteServer {}

impl InviteServer {
    /// Begins; the actions of the first step.
    #[must_use]
    pub fn new(_timing: Timing) -> (Self, Actions) {
        todo!()
    }
    /// One event.
    pub fn handle(&mut self, _event: Event) -> Actions {
        todo!()
    }
}
