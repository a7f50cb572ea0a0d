//! The thread that answers readers: metrics, health, commands. It shares no thread with the event
//! loop, so that neither a reader holds up calls nor a loop that stands still its readers.

use super::guests::Room;
use super::{Control, Metrics, PageOptions, loopback, page};
use crate::daemon::reload::Reloader;
use crate::daemon::{Ask, Observed, SessionTable};
use crate::driver::interfaces::{Attached, Link, attached};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::{Builder, Handle};
use tokio::sync::{mpsc, oneshot};

/// Measured values are put into their buckets this often, whether or not anybody scrapes.
const UPKEEP: Duration = Duration::from_secs(1);
/// The machine's addresses are looked at this often.
const WATCH: Duration = Duration::from_secs(5);
/// What is under way when the desk closes may take this long.
const GOODBYE: Duration = Duration::from_secs(1);

/// The open desk; dropping it closes it.
#[derive(Debug)]
pub struct Desk {
    table: Arc<SessionTable>,
    metrics: Arc<Metrics>,
    room: Room,
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
        let room = loopback::room();
        Ok(Self { table, metrics, room, runtime, close: Some(close), thread: Some(thread) })
    }

    /// Serves metrics, health and the page at a loopback address; tells which, if the port was 0.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub fn serve(&self, at: SocketAddr, page: Option<PageOptions>) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind(at)?;
        listener.set_nonblocking(true)?;
        let at = listener.local_addr()?;
        let _here = self.runtime.enter();
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let (room, table) = (self.room.clone(), self.table.clone());
        let page = page.map(|options| page::router(options, table.clone(), at.port()));
        let app = loopback::serve(listener, room, table, self.metrics.clone(), page);
        self.runtime.spawn(app);
        Ok(at)
    }

    /// Watches whether this machine still has these addresses.
    pub fn watch(&self, addresses: Vec<IpAddr>) {
        self.runtime.spawn(watch(self.table.clone(), addresses));
    }

    /// Serves commands at a unix socket. `page`: the link that opens the page.
    ///
    /// # Errors
    /// As [`crate::driver::control_socket::bind`].
    pub fn control(
        &self,
        path: &str,
        asks: mpsc::Sender<Ask>,
        reloader: Arc<Reloader>,
        page: Option<String>,
    ) -> io::Result<Control> {
        let _here = self.runtime.enter();
        Control::start(path, self.table.clone(), self.room.clone(), asks, (reloader, page))
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

/// An address may go while its sockets stay: a lease ends, a cable is pulled, a device renamed.
async fn watch(table: Arc<SessionTable>, addresses: Vec<IpAddr>) {
    let mut known = Vec::new();
    loop {
        let lost = lost(&addresses, &attached());
        for ip in lost.iter().filter(|ip| !known.contains(*ip)) {
            tracing::warn!("{ip} is gone from this machine: nobody reaches the gateway there");
        }
        for ip in known.iter().filter(|ip| !lost.contains(*ip)) {
            tracing::info!("{ip} is there again");
        }
        table.set_lost_addresses(lost.clone());
        known = lost;
        tokio::time::sleep(WATCH).await;
    }
}

/// Which of `ours` no device has that is up. Loopback has more addresses than its device tells.
fn lost(ours: &[IpAddr], there: &[Attached]) -> Vec<IpAddr> {
    let has = |ip: &IpAddr| there.iter().any(|a| a.ip() == *ip && a.link != Link::Down);
    let mut lost: Vec<IpAddr> =
        ours.iter().filter(|ip| !ip.is_loopback() && !has(ip)).copied().collect();
    lost.sort_unstable();
    lost.dedup();
    lost
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_no_device_has_or_whose_device_is_down_is_lost() {
        let at = |ip: &str, link| Attached {
            device: "eth0".to_owned(),
            net: format!("{ip}/24").parse().unwrap(),
            link,
        };
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let ours = ["192.168.1.10", "10.0.0.1", "10.0.0.1", "127.0.0.2"].map(ip);
        let both = [at("192.168.1.10", Link::Network), at("10.0.0.1", Link::Peer)];
        assert_eq!(lost(&ours, &both), Vec::<IpAddr>::new());
        let down = [at("192.168.1.10", Link::Down), at("10.0.0.1", Link::Network)];
        assert_eq!(lost(&ours, &down), [ip("192.168.1.10")]);
        assert_eq!(lost(&ours, &[]), [ip("10.0.0.1"), ip("192.168.1.10")]);
    }
}
