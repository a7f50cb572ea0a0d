//! A relay thread: one epoll instance, its own sockets, one buffer, one clock reading a wake-up.
//! On the packet path it takes no lock, allocates nothing and looks nothing up: the epoll data is
//! the slot. It knows of streams only through `slot`; commands and sweeps come between packets.

use super::door::{BELL, Bell, from_token};
use super::jobs::JobsEnd;
use super::port::Port;
use super::slot::{Slot, age};
use super::totals::TotalsTable;
use super::{DELAYS, Shared};
use crate::ground::{Mono, Now};
use crate::relay::quality::Codecs;
use crate::relay::{Event, Leg, Party};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What a thread is told; `at`: the stream's seat.
#[derive(Debug)]
pub(super) enum Job {
    Open { at: usize, slot: Box<Slot> },
    Update { at: usize, leg: Leg, party: Party },
    Rebind { at: usize, leg: Leg, place: SocketAddr, pair: Box<[Port; 2]> },
    SetIdle { at: usize, idle: Option<Duration> },
    Codecs { at: usize, leg: Leg, codecs: Codecs },
    KeepAlive { at: usize, leg: Leg, every: Option<Duration> },
    Measure { at: usize },
    Close { at: usize },
    Stop,
}

/// Commands and timers wait no longer than a tick (streams ask for nothing finer), and every stream
/// is swept once in `TICKS` ticks, a share of them at each: no sweep is long enough to delay a
/// packet.
const TICK: Duration = Duration::from_millis(100);
const TICKS: usize = 10;

/// Ready sockets taken from the kernel in one wake-up.
const BATCH: usize = 256;

/// The largest UDP payload fits, so nothing is ever truncated.
const BUFFER: usize = 65_536;

pub(super) struct Worker {
    bell: Arc<Bell>,
    jobs: JobsEnd,
    /// Commands just taken.
    taken: Vec<Job>,
    shared: Arc<Shared>,
    totals: Arc<TotalsTable>,
    /// By seat.
    slots: Vec<Option<Box<Slot>>>,
    /// Seats taken.
    open: usize,
    events: Vec<Event>,
    /// When which slot wants to be woken. What its slot no longer waits for is passed over.
    timers: BinaryHeap<Reverse<(Mono, usize)>>,
    next_tick: Mono,
    /// First slot of the next sweep.
    swept: usize,
    /// Packets served; one in [`SAMPLED`] is timed.
    served: u32,
    delays: Vec<Duration>,
}

/// One packet in so many is timed from the kernel's stamp until it was sent.
const SAMPLED: u32 = 256;

impl Worker {
    pub(super) fn new(
        bell: Arc<Bell>,
        jobs: JobsEnd,
        shared: Arc<Shared>,
        totals: Arc<TotalsTable>,
    ) -> Self {
        Self {
            bell,
            jobs,
            taken: Vec::new(),
            shared,
            totals,
            slots: Vec::new(),
            open: 0,
            events: Vec::with_capacity(64),
            timers: BinaryHeap::new(),
            next_tick: Mono::default(),
            swept: 0,
            served: 0,
            delays: Vec::with_capacity(DELAYS),
        }
    }

    /// Runs until it is told to stop, then closes what is open.
    pub(super) fn run(mut self) {
        let mut ready = Vec::with_capacity(BATCH);
        let mut buffer = vec![0; BUFFER];
        let mut now = self.shared.now();
        loop {
            ready.clear();
            let timeout = self.timeout(now.mono);
            match epoll::wait(&self.bell.epoll, spare_capacity(&mut ready), timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => break,
            }
            if self.open == 0 {
                self.bell.wake();
            }
            now = self.shared.now();
            // Commands first: a packet that a message called for finds what the command before that
            // message changed.
            if self.bell.take_waiting() && !self.obey(now.mono) {
                break;
            }
            for event in &ready {
                match event.data.u64() {
                    BELL => self.bell.heard(),
                    token => self.serve(token, &mut buffer, now),
                }
            }
            if now.mono >= self.next_tick {
                self.tick(now.mono);
            }
        }
        self.close_all(now.mono);
    }

    /// Until the next sweep; for ever while there is nothing to sweep.
    fn timeout(&self, now: Mono) -> Option<Timespec> {
        if self.open == 0 && self.bell.fall_asleep() {
            return None;
        }
        // Whole milliseconds, so that plain epoll_pwait serves (seccomp profiles know it).
        let ms = if self.open == 0 { 0 } else { self.next_tick.since(now).as_millis() + 1 };
        Timespec::try_from(Duration::from_millis(u64::try_from(ms).unwrap_or(1))).ok()
    }

    fn serve(&mut self, token: u64, buffer: &mut [u8], now: Now) {
        let (index, port) = from_token(token);
        // A slot closed by a command of this batch has left a stale token; one opened in its place
        // has at most nothing to read.
        let Some(Some(slot)) = self.slots.get_mut(index) else { return };
        let stamp = slot.serve(port, buffer, self.shared.cname.as_ref(), now, &mut self.events);
        if let Some(at) = slot.sooner() {
            self.timers.push(Reverse((at, index)));
        }
        self.served = self.served.wrapping_add(1);
        if self.served.is_multiple_of(SAMPLED)
            && self.delays.len() < DELAYS
            && let Some(delay) = stamp.and_then(|s| age(s, self.shared.now()))
        {
            self.delays.push(delay);
        }
        if !self.events.is_empty() {
            self.shared.events.push_all(&mut self.events);
        }
    }

    fn tick(&mut self, now: Mono) {
        while let Some(Reverse((at, index))) = self.timers.peek().copied()
            && at <= now
        {
            self.timers.pop();
            if let Some(Some(slot)) = self.slots.get_mut(index) {
                slot.wake(at, now, &mut self.events);
                self.arm(index);
            }
        }
        self.sweep(now);
        self.shared.events.push_all(&mut self.events);
        self.shared.put_delays(&mut self.delays);
        self.next_tick = now + TICK;
    }

    /// A slot's timers may have changed.
    fn arm(&mut self, index: usize) {
        let slot = self.slots.get_mut(index).and_then(Option::as_mut);
        if let Some(at) = slot.and_then(|slot| slot.sooner()) {
            self.timers.push(Reverse((at, index)));
        }
    }

    /// A share of the streams.
    fn sweep(&mut self, now: Mono) {
        let end = (self.swept + self.slots.len().div_ceil(TICKS)).min(self.slots.len());
        for index in self.swept..end {
            if let Some(Some(slot)) = self.slots.get_mut(index) {
                slot.sweep(now, &self.totals);
                self.arm(index);
            }
        }
        self.swept = if end == self.slots.len() { 0 } else { end };
    }

    /// Carries out what was commanded. Returns false at the end.
    fn obey(&mut self, now: Mono) -> bool {
        let mut taken = std::mem::take(&mut self.taken);
        self.jobs.take(&mut taken);
        let mut goes_on = true;
        for job in taken.drain(..) {
            match job {
                Job::Open { at, slot } => self.open(at, slot),
                Job::Update { at, leg, party } => {
                    self.on(at, |slot| slot.update(leg, party, now));
                }
                Job::Rebind { at, leg, place, pair } => {
                    self.on(at, |slot| slot.rebind(leg, place, *pair, now));
                }
                Job::SetIdle { at, idle } => {
                    self.on(at, |slot| slot.set_idle(idle, now));
                }
                Job::Codecs { at, leg, codecs } => {
                    self.on(at, |slot| slot.set_codecs(leg, codecs));
                }
                Job::KeepAlive { at, leg, every } => {
                    self.on(at, |slot| slot.keep_alive(leg, every, now));
                }
                Job::Measure { at } => {
                    let told = self.on(at, |slot| slot.so_far(now));
                    self.events.extend(told);
                }
                Job::Close { at } => self.close(at, now),
                Job::Stop => goes_on = false,
            }
        }
        self.taken = taken;
        self.totals.streams.store(self.open as u64, Ordering::Relaxed);
        self.shared.events.push_all(&mut self.events);
        goes_on
    }

    /// Does something to a stream that is open. Its timers may have changed then.
    fn on<T>(&mut self, at: usize, what: impl FnOnce(&mut Slot) -> T) -> Option<T> {
        let done = what(self.slots.get_mut(at)?.as_deref_mut()?);
        self.arm(at);
        Some(done)
    }

    fn open(&mut self, at: usize, slot: Box<Slot>) {
        if self.slots.len() <= at {
            self.slots.resize_with(at + 1, || None);
        }
        if let Some(place) = self.slots.get_mut(at) {
            debug_assert!(place.is_none(), "who sat here was told to leave before");
            *place = Some(slot);
            self.open += 1;
        }
        self.arm(at);
    }

    fn close(&mut self, at: usize, now: Mono) {
        if let Some(slot) = self.slots.get_mut(at).and_then(Option::take) {
            slot.close(now, &self.totals, &mut self.events);
            self.open -= 1;
        }
    }

    fn close_all(&mut self, now: Mono) {
        for slot in std::mem::take(&mut self.slots).into_iter().flatten() {
            slot.close(now, &self.totals, &mut self.events);
        }
        self.open = 0;
        self.totals.streams.store(0, Ordering::Relaxed);
        self.shared.events.push_all(&mut self.events);
    }
}
