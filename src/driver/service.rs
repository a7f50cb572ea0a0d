//! The service manager's ear (`sd_notify(3)`): started, reloading, stopping, alive, how it goes.
//! Nothing here waits: a manager that does not read must not hold up calls, which is why no crate
//! does it (theirs send with a blocking socket). It decides nothing.

use rustix::time::{ClockId, clock_gettime};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// Longest status that is told, in octets.
const STATUS: usize = 200;

/// Who supervises this process, if anybody.
#[derive(Clone, Debug, Default)]
pub struct Service {
    to: Option<Arc<Ear>>,
    watchdog: Option<Duration>,
}

#[derive(Debug)]
struct Ear {
    socket: UnixDatagram,
    address: SocketAddr,
    stopping: AtomicBool,
}

impl Service {
    /// Nobody: what a second gateway within a process has.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// As `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` say.
    #[must_use]
    pub fn of_environment() -> Self {
        let var = |name| std::env::var(name).ok();
        let to = var("NOTIFY_SOCKET").and_then(|path| Ear::new(&path).ok());
        let own = std::process::id().to_string();
        let meant = var("WATCHDOG_PID").is_none_or(|pid| pid == own);
        let microseconds = var("WATCHDOG_USEC").and_then(|n| n.parse().ok()).filter(|n| *n > 0);
        let watchdog = microseconds.filter(|_| meant && to.is_some()).map(Duration::from_micros);
        Self { to: to.map(Arc::new), watchdog }
    }

    /// True when somebody listens.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.to.is_some()
    }

    /// How often [`Service::alive`] must be said: half of what the manager waits.
    #[must_use]
    pub fn beat(&self) -> Option<Duration> {
        self.watchdog.map(|w| (w / 2).max(Duration::from_millis(1)))
    }

    /// Started, or the reload is over.
    pub fn ready(&self) {
        self.tell(false, "READY=1");
    }

    /// A new configuration is being read; [`Service::ready`] ends it.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let now = now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1_000);
        self.tell(false, &format!("RELOADING=1\nMONOTONIC_USEC={now}"));
    }

    /// No new calls from now on. After it no start and no reload is told any more.
    pub fn stopping(&self) {
        if let Some(ear) = &self.to
            && !ear.stopping.swap(true, Relaxed)
        {
            self.tell(true, "STOPPING=1");
        }
    }

    /// The event loop turns.
    pub fn alive(&self) {
        if self.watchdog.is_some() {
            self.tell(true, "WATCHDOG=1");
        }
    }

    /// One line for `systemctl status`.
    pub fn status(&self, text: &str) {
        let line: String = text.chars().filter(|c| !c.is_control()).take(STATUS).collect();
        self.tell(true, &format!("STATUS={line}"));
    }

    fn tell(&self, always: bool, text: &str) {
        if let Some(ear) = &self.to
            && (always || !ear.stopping.load(Relaxed))
        {
            // A manager that is busy misses a word; the next one comes.
            let _ = ear.socket.send_to_addr(text.as_bytes(), &ear.address);
        }
    }
}

impl Ear {
    fn new(path: &str) -> std::io::Result<Self> {
        let address = match path.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(path)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, address, stopping: AtomicBool::new(false) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_reach_the_manager_in_their_form() {
        let name = format!("portreeve-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        manager.set_nonblocking(true).unwrap();
        let heard = || {
            let mut chunk = [0; 4096];
            let n = manager.recv(&mut chunk).ok()?;
            Some(String::from_utf8_lossy(&chunk[..n]).into_owned())
        };
        let ear = Arc::new(Ear::new(&format!("@{name}")).unwrap());
        let watchdog = Some(Duration::from_secs(30));
        let service = Service { to: Some(ear), watchdog };
        assert_eq!(service.beat(), Some(Duration::from_secs(15)));
        service.ready();
        assert_eq!(heard().unwrap(), "READY=1");
        service.reloading();
        let told = heard().unwrap();
        let at = told.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        assert!(at.parse::<u64>().unwrap() > 0);
        service.status("2 calls\nREADY=1");
        assert_eq!(heard().unwrap(), "STATUS=2 callsREADY=1", "no second word slips in");
        service.alive();
        assert_eq!(heard().unwrap(), "WATCHDOG=1");
        service.stopping();
        service.stopping();
        service.ready();
        service.reloading();
        assert_eq!(heard().unwrap(), "STOPPING=1");
        assert_eq!(heard(), None);
        // Nobody reads: nothing waits.
        for _ in 0..2_000 {
            service.status("x");
        }
        drop(manager);
        service.alive();
        Service::none().ready();
    }
}
