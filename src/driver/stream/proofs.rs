//! Connections by TLS whose proof is over: nobody finds them any more, and the engine is told, who
//! ends them. It judges no certificate.

use super::Streams;
use crate::driver::Arrival;
use crate::driver::tls::Ended;
use std::time::Duration;
use tokio::time::timeout;

/// How often it is looked whether files have changed, or a certificate has ended.
pub(crate) const WATCH: Duration = Duration::from_secs(5);

impl Streams {
    /// Reads files again when they change, and ends what rests on what is not believed any more,
    /// for as long as the runtime is there.
    pub async fn watch_proofs(self) {
        loop {
            // Sooner where another configuration is in force.
            let _ = timeout(WATCH, self.tls.followed()).await;
            let tls = self.tls.clone();
            let ended = tokio::task::spawn_blocking(move || tls.look_again()).await;
            for Ended { flow, why, at_once } in ended.unwrap_or_default() {
                if let Some(conn) = flow.conn {
                    self.table().part(conn);
                }
                self.inlet.tell(Arrival::Disproved { flow, why, at_once }).await;
            }
            if self.inlet.is_closed() {
                return;
            }
        }
    }
}
