//! The relay's threads: sockets and packets. Media never enters the async runtime: each thread has
//! its own epoll instance and its own sockets, and carries out what `relay::stream` decides.
//!
//! `Relay::queue` binds at once, in the caller, so that ports are open before an SDP names them;
//! then the sockets move to a thread for good. Events come back by `Relay::next_event`.
//!
//! A command is in force for every packet that comes after it; most wait for that packet, or for
//! the thread's next tick (100 ms), and wake nobody (`door`).

mod door;
mod events;
mod jobs;
mod port;
mod slot;
mod thread;
mod totals;

pub use totals::Totals;

use crate::config::{Config, Interface};
use crate::driver::clock::Clock;
use crate::driver::tunnel::Tunnels;
use crate::driver::zone::Zones;
use crate::ground::{Now, Side};
use crate::relay::cname::CnameGuard;
use crate::relay::{Command, Event, StreamId};
use door::{Door, is_guarded};
use events::EventQueue;
use slot::{Slot, bind_pair};
use std::io;
use std::num::NonZero;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use thread::Worker;
use totals::TotalsTable;

/// Timed packets that wait to be fetched; further ones are not kept.
const DELAYS: usize = 1024;

/// How the relay is set up.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Threads; 0: one a core.
    pub workers: usize,
    /// Hides inside addresses in RTCP that leaves the site; `None`: nothing to hide.
    pub cname: Option<CnameGuard>,
}

/// What every thread shares.
#[derive(Debug)]
struct Shared {
    /// The one clock of the relay.
    clock: Clock,
    events: EventQueue,
    cname: Option<CnameGuard>,
    /// Locked about once a tick of a thread, never for a packet.
    delays: Mutex<Vec<Duration>>,
}

impl Shared {
    fn new(cname: Option<CnameGuard>) -> Self {
        let delays = Mutex::new(Vec::with_capacity(DELAYS));
        Self { clock: Clock::start(), events: EventQueue::new(), cname, delays }
    }

    fn put_delays(&self, new: &mut Vec<Duration>) {
        if !new.is_empty() {
            let mut waiting = self.delays.lock().unwrap_or_else(PoisonError::into_inner);
            let room = DELAYS.saturating_sub(waiting.len());
            waiting.extend(new.drain(..).take(room));
        }
    }

    /// Read once a wake-up.
    fn now(&self) -> Now {
        self.clock.now()
    }
}

#[derive(Debug)]
struct Handle {
    door: Door,
    totals: Arc<TotalsTable>,
    thread: Option<JoinHandle<()>>,
}

impl Options {
    /// As configured; `key` renames participants whose CNAME names an inside address.
    #[must_use]
    pub fn new(config: &Config, key: [u8; 32]) -> Self {
        let inside = config.interfaces.iter().filter(|i| i.side == Side::Inside);
        let own = |i: &Interface| i.addresses.iter().map(|a| a.ip.into()).collect::<Vec<_>>();
        let networks = inside.flat_map(|i| i.networks.iter().copied().chain(own(i))).collect();
        let domains = config.site.inside_domains.clone();
        let cname = Some(CnameGuard::new(networks, domains, key));
        Self { workers: config.media.workers, cname }
    }
}

/// The running relay. Dropping it closes every stream and ends the threads.
#[derive(Debug)]
pub struct Relay {
    handles: Vec<Handle>,
    shared: Arc<Shared>,
    zones: Zones,
    tunnels: Tunnels,
}

impl Relay {
    /// Starts the threads.
    pub fn start(options: &Options) -> io::Result<Self> {
        let workers = match options.workers {
            0 => std::thread::available_parallelism().map_or(1, NonZero::get),
            n => n,
        };
        let shared = Arc::new(Shared::new(options.cname.clone()));
        let (zones, tunnels) = (Zones::default(), Tunnels::default());
        let mut relay = Self { handles: Vec::with_capacity(workers), shared, zones, tunnels };
        for n in 0..workers {
            let handle = relay.start_thread(n)?;
            relay.handles.push(handle);
        }
        Ok(relay)
    }

    /// Binds link-local addresses at these devices.
    #[must_use]
    pub fn at_devices(mut self, zones: Zones) -> Self {
        self.zones = zones;
        self
    }

    /// The tunnels that it relays through.
    pub fn tunnels(&self) -> &Tunnels {
        &self.tunnels
    }

    /// Addresses of these tunnels' ends are theirs.
    #[must_use]
    pub fn through(mut self, tunnels: Tunnels) -> Self {
        self.tunnels = tunnels;
        self
    }

    /// Takes a command: it is in force for every packet that comes after the next
    /// [`Self::flush`]. `Err` is the [`Event::OpenFailed`] to hand to the engine at once: the
    /// stream does not exist then, or any more.
    ///
    /// A command for a stream that is not open changes nothing.
    #[expect(clippy::result_large_err, reason = "once a call, and it is the event itself")]
    pub fn queue(&self, command: Command) -> Result<(), Event> {
        let stream = command.stream();
        let door = &self.handle(stream).door;
        let known = (&self.zones, &self.tunnels);
        let passed = match command {
            Command::Open { stream, legs, idle } => {
                let slot = Slot::bind(stream, &legs, known, idle, self.shared.now().mono);
                let guarded = legs.map(|leg| is_guarded(&leg.party));
                slot.and_then(|slot| door.open(Box::new(slot), guarded))
            }
            Command::Rebind { stream, leg, at, dscp } => {
                let pair = bind_pair(at, dscp, known);
                let moved = pair.and_then(|pair| door.rebind(stream, leg, at, Box::new(pair)));
                moved.inspect_err(|_| drop(door.pass(Command::Close { stream })))
            }
            Command::Update { .. }
            | Command::SetIdle { .. }
            | Command::Codecs { .. }
            | Command::KeepAlive { .. }
            | Command::Measure { .. }
            | Command::Close { .. } => door.pass(command),
        };
        passed.map_err(|error| Event::OpenFailed { stream, error })
    }

    /// Ends a batch of commands, before anything is said to anybody that rests on them: the threads
    /// that must hear of one sooner than a packet comes are woken, each once.
    pub fn flush(&self) {
        for handle in &self.handles {
            handle.door.flush();
        }
    }

    /// One command by itself, and its thread does not wait for a packet to obey it.
    #[expect(clippy::result_large_err, reason = "as `queue`")]
    pub fn apply(&self, command: Command) -> Result<(), Event> {
        let stream = command.stream();
        self.queue(command)?;
        self.handle(stream).door.ring();
        Ok(())
    }

    /// The next event. Cancel-safe; one reader at a time.
    pub async fn next_event(&self) -> Event {
        self.shared.events.next().await
    }

    /// The next event, if one waits.
    #[must_use]
    pub fn try_next_event(&self) -> Option<Event> {
        self.shared.events.pop()
    }

    /// Sums since the start, at most about a second old.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut sum = Totals::default();
        for handle in &self.handles {
            handle.totals.add_to(&mut sum);
        }
        sum
    }

    /// How long sampled packets took from the kernel's receive stamp until they were sent.
    #[must_use]
    pub fn take_delays(&self) -> Vec<Duration> {
        let mut waiting = self.shared.delays.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.drain(..).collect()
    }

    /// News (never ends of streams, nor pins) dropped because nobody fetched events.
    #[must_use]
    pub fn lost_events(&self) -> u64 {
        self.shared.events.lost()
    }

    fn start_thread(&self, n: usize) -> io::Result<Handle> {
        let (door, jobs, bell) = Door::new()?;
        let totals = Arc::new(TotalsTable::default());
        let worker = Worker::new(bell, jobs, self.shared.clone(), totals.clone());
        let thread =
            std::thread::Builder::new().name(format!("relay-{n}")).spawn(move || worker.run())?;
        Ok(Handle { door, totals, thread: Some(thread) })
    }

    /// A stream's thread follows from its number, so no table is kept. Fibonacci hashing spreads
    /// numbers in a row evenly, and those with a step (audio, video, audio, …) as well.
    fn handle(&self, stream: StreamId) -> &Handle {
        let hash = stream.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let n = (hash as usize * self.handles.len()) >> 32;
        &self.handles[n]
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        for handle in &self.handles {
            handle.door.stop();
        }
        for handle in &mut self.handles {
            drop(handle.thread.take().map(JoinHandle::join));
        }
    }
}

#[cfg(test)]
mod tests;
