//! Tells the engine how the tunnels' ways are, for calls' records. It judges none.

use super::event_loop::EventLoop;
use super::session_table::EVERY;
use crate::engine::Input;
use crate::ground::Mono;

impl EventLoop {
    /// Before what a turn is about, so that a call that ends in it ends with what is known now.
    pub(super) fn look_at_tunnels(&mut self, now: Mono) {
        if self.tunnels_from.is_some_and(|from| from <= now) {
            self.tunnels_from = Some(now + EVERY);
            let paths: Vec<_> = self.streams.tunnels().paths().collect();
            paths.into_iter().for_each(|path| self.step(Input::Tunnel(path)));
        }
    }
}
