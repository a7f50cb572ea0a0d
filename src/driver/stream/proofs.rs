//! Connections by TLS whose proof is over: nobody finds them any more, and the engine is told, who
//! ends them. Where many have to be proved anew, that is worked at where handshakes are, a few at a
//! time, so that neither signalling nor who connects waits for it. It judges no certificate.

use super::Streams;
use super::hands::Spent;
use super::turns::Whose;
use crate::driver::Arrival;
use crate::driver::tls::Ended;
use std::time::Duration;
use tokio::time::timeout;

/// Connections that are proved anew at a time.
const PORTION: usize = 8;
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
            let doubts = tokio::task::spawn_blocking(move || tls.look_again()).await;
            for portion in doubts.unwrap_or_default().chunks(PORTION) {
                let (tls, portion) = (self.tls.clone(), portion.to_vec());
                let proving = async move { Ok(tls.prove_again(&portion)) };
                let ended = self.hands.work(Whose::Known, &Spent::default(), proving).await;
                for Ended { flow, why, at_once } in ended.unwrap_or_default() {
                    if let Some(conn) = flow.conn {
                        self.table().part(conn);
                    }
                    self.inlet.tell(Arrival::Disproved { flow, why, at_once }).await;
                }
            }
            if self.inlet.is_closed() {
                return;
            }
        }
    }
}
