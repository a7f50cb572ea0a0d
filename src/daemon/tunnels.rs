//! Tells the engine how the tunnels' ways are, for calls' records, and the audit log what became of
//! them. It judges none.

use super::event_loop::EventLoop;
use crate::engine::Input;
use crate::ground::Mono;
use std::time::Duration;

/// How often: as often as the two ends tell each other, for asking stops who sends by a tunnel.
const EACH: Duration = Duration::from_secs(1);

impl EventLoop {
    /// Before what a turn is about, so that a call that ends in it ends with what was known last.
    pub(super) fn look_at_tunnels(&mut self, now: Mono) {
        if self.tunnels_from.is_some_and(|from| from <= now) {
            self.tunnels_from = Some(now + EACH);
            let paths = self.streams.tunnels().paths();
            paths.into_iter().for_each(|path| self.step(Input::Tunnel(path)));
            self.hear_tunnels();
        }
    }

    /// What became of them goes to the audit log.
    pub(super) fn hear_tunnels(&mut self) {
        let news = self.streams.tunnels().news();
        if self.audit.is_some() {
            self.records.extend(news);
            self.hand_over();
        }
    }
}
