//! The thread that answers readers: metrics, health, commands. It shares no thread with the event
//! loop, so that neither a reader holds up calls nor a loop that stands still its readers.

use super::{Control, Metrics, loopback};
use crate::daemon::reload::Reloader;
use crate::daemon::{Ask, Observed, SessionTable};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::{Builder, Handle};
use tokio::sync::{mpsc, oneshot};

/// Measured values are put into their buckets this often, whether or not anybody scrapes.
const UPKEEP: Duration = Duration::from_secs(1);
/// What is under way when the desk closes may take this long.
const GOODBYE: Duration = Duration::from_secs(1);

/// The open desk; dropping it closes it.
#[derive(Debug)]
pub struct Desk {
    table: Arc<SessionTable>,
    metrics: Arc<Metrics>,
    runtime: Handle,
    close: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Desk {
    /// Starts the thread.
    ///
    /// # Errors
    /// The kernel gives no thread or no epoll instance.
    pub fn open(table: Arc<SessionTable>, metrics: Metrics) -> io::Result<Self> {
        let (close, closed) = oneshot::channel();
        let (tell, told) = std::sync::mpsc::channel();
        let run = move || {
            let runtime = match Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(e) => {
                    let _ = tell.send(Err(e));
                    return;
                }
            };
            let _ = tell.send(Ok(runtime.handle().clone()));
            let _ = runtime.block_on(closed);
            runtime.shutdown_timeout(GOODBYE);
        };
        let thread = std::thread::Builder::new().name("desk".to_owned()).spawn(run)?;
        let runtime = told.recv().map_err(io::Error::other)??;
        let metrics = Arc::new(metrics);
        runtime.spawn(keep_up(table.clone(), metrics.clone()));
        Ok(Self { table, metrics, runtime, close: Some(close), thread: Some(thread) })
    }

    /// Serves metrics and health at a loopback address; tells which, if the port was 0.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub fn serve(&self, at: SocketAddr) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind(at)?;
        listener.set_nonblocking(true)?;
        let at = listener.local_addr()?;
        let _here = self.runtime.enter();
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let app = loopback::serve(listener, self.table.clone(), self.metrics.clone());
        self.runtime.spawn(app);
        Ok(at)
    }

    /// Serves commands at a unix socket.
    ///
    /// # Errors
    /// As [`crate::driver::control_socket::bind`].
    pub fn control(
        &self,
        path: &str,
        asks: mpsc::Sender<Ask>,
        reloader: Arc<Reloader>,
    ) -> io::Result<Control> {
        let _here = self.runtime.enter();
        Control::start(path, self.table.clone(), asks, reloader)
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        drop(self.close.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Nobody may ever scrape: what was measured waits no longer than this for its bucket.
async fn keep_up(table: Arc<SessionTable>, metrics: Arc<Metrics>) {
    let observe = metrics.observer();
    loop {
        tokio::time::sleep(UPKEEP).await;
        for delay in table.take_delays() {
            observe(&Observed::RelayDelay(delay));
        }
        metrics.keep_up();
    }
}
