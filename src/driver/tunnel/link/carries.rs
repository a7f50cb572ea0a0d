//! What goes and comes by a bearer besides messages: media, each flow in its turn, and what both
//! ends tell each other of the way, which goes along with media where there are some. It reads no
//! packet.

use super::{Link, SILENT};
use crate::config::PublicKey;
use crate::driver::tunnel::bearer::Bearer;
use quinn::Connection;
use std::future::pending;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// The longest packet of media.
const LONGEST: usize = 65_535;
/// Datagrams sent at once at most; whoever else works in this thread gets his turn.
const TOGETHER: usize = 256;
/// Where there is no room for media, it is looked again after this.
const FULL: Duration = Duration::from_millis(5);

impl Link {
    /// What comes by QUIC; a bearer by TCP gives it itself.
    pub(super) async fn receive(&self, bearer: &Bearer) {
        let Bearer::Quic(connection) = bearer else { return pending().await };
        tokio::join!(
            self.accept(connection),
            self.receive_datagrams(connection),
            self.receive_long(connection)
        );
    }

    async fn receive_datagrams(&self, connection: &Connection) {
        while let Ok(datagram) = connection.read_datagram().await {
            self.media.deliver(datagram);
        }
    }

    /// Packets too long for a datagram come by streams of their own.
    async fn receive_long(&self, connection: &Connection) {
        while let Ok(mut stream) = connection.accept_uni().await {
            let media = self.media.clone();
            tokio::spawn(async move {
                let all = timeout(SILENT, stream.read_to_end(LONGEST)).await;
                if let Ok(Ok(packet)) = all {
                    media.deliver(packet.into());
                }
            });
        }
    }

    /// Tells the other end of the way, where that is due.
    pub(super) fn tell(&self, bearer: &Bearer) {
        if self.tells.swap(false, Relaxed) {
            let packets = self.tally().sums([bearer.figures()].iter()).packets;
            bearer.tell(self.media.probe(packets, bearer.is_narrow()));
        }
    }

    /// Sends what the relay gives, gathered and in turns, as long as there is no newer bearer.
    pub(super) async fn send(&self, bearer: &Bearer) {
        let mut newest = self.bearer.subscribe();
        let is_old = |now: &Option<(Bearer, PublicKey)>| {
            now.as_ref().is_some_and(|(now, _)| now.id() != bearer.id())
        };
        let turn = self.sends.lock().await;
        let mut together = Vec::with_capacity(TOGETHER);
        loop {
            tokio::select! {
                () = self.media.some() => {}
                _ = newest.wait_for(is_old) => break,
            }
            let gather = self.tunnel().gather;
            if !gather.is_zero() {
                sleep(gather).await;
            }
            self.media.take(TOGETHER, bearer.room(), &mut together);
            if together.is_empty() {
                sleep(FULL).await;
                continue;
            }
            for (port, packet) in together.drain(..) {
                bearer.send(port, packet, &self.media.counts);
            }
            self.tell(bearer);
        }
        drop(turn);
        pending().await
    }
}
