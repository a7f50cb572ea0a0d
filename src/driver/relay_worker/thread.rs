//! A relay thread: one epoll instance, its own sockets, one buffer, one clock reading a wake-up.
//! On the packet path it takes no lock, allocates nothing and looks nothing up: the epoll data is
//! the slot. It knows of streams only through `slot`; commands and sweeps come between packets.

use super::slot::{Slot, age};
use super::totals::TotalsTable;
use super::{DELAYS, Shared};
use crate::ground::{Mono, Now};
use crate::relay::quality::Codecs;
use crate::relay::{Event, Leg, Party, StreamId};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

/// What a thread is told.
pub(super) enum Job {
    Open(Box<Slot>),
    Update { stream: StreamId, leg: Leg, party: Party },
    SetIdle { stream: StreamId, idle: Option<Duration> },
    Codecs { stream: StreamId, leg: Leg, codecs: Codecs },
    KeepAlive { stream: StreamId, leg: Leg, every: Option<Duration> },
    Measure { stream: StreamId },
    Close { stream: StreamId },
    Stop,
}

/// Timers are looked at once a tick (streams ask for nothing finer), and every stream is swept once
/// in `TICKS` ticks, a share of them at each: no sweep is long enough
/// to delay a packet.
const TICK: Duration = Duration::from_millis(100);
const TICKS: usize = 10;

/// Ready sockets taken from the kernel in one wake-up.
const BATCH: usize = 256;

/// The largest UDP payload fits, so nothing is ever truncated.
const BUFFER: usize = 65_536;

/// Epoll data of the command eventfd.
const COMMANDS: u64 = u64::MAX;

pub(super) struct Worker {
    epoll: OwnedFd,
    wake: Arc<OwnedFd>,
    jobs: Receiver<Job>,
    shared: Arc<Shared>,
    totals: Arc<TotalsTable>,
    slots: Vec<Option<Box<Slot>>>,
    free: Vec<usize>,
    /// For commands only.
    by_id: HashMap<StreamId, usize>,
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
        wake: Arc<OwnedFd>,
        jobs: Receiver<Job>,
        shared: Arc<Shared>,
        totals: Arc<TotalsTable>,
    ) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &*wake, epoll::EventData::new_u64(COMMANDS), epoll::EventFlags::IN)?;
        Ok(Self {
            epoll,
            wake,
            jobs,
            shared,
            totals,
            slots: Vec::new(),
            free: Vec::new(),
            by_id: HashMap::new(),
            events: Vec::with_capacity(64),
            timers: BinaryHeap::new(),
            next_tick: Mono::default(),
            swept: 0,
            served: 0,
            delays: Vec::with_capacity(DELAYS),
        })
    }

    /// Runs until it is told to stop (or every handle is gone), then closes what is open.
    pub(super) fn run(mut self) {
        let mut ready = Vec::with_capacity(BATCH);
        let mut buffer = vec![0; BUFFER];
        let mut now = self.shared.now();
        loop {
            ready.clear();
            let timeout = self.timeout(now.mono);
            match epoll::wait(&self.epoll, spare_capacity(&mut ready), timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => break,
            }
            now = self.shared.now();
            // Commands first: a packet that a message called for finds what the command before that
            // message changed. A full batch may have left their announcement out.
            let full = ready.len() == ready.capacity();
            let told = full || ready.iter().any(|e| e.data.u64() == COMMANDS);
            if told && !self.obey(now.mono) {
                break;
            }
            for event in &ready {
                let token = event.data.u64();
                if token != COMMANDS {
                    self.serve(token, &mut buffer, now);
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
        if self.by_id.is_empty() {
            return None;
        }
        // Whole milliseconds, so that plain epoll_pwait serves (seccomp profiles know it).
        let ms = self.next_tick.since(now).as_millis() + 1;
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
        // Read first: a command sent after this is announced anew.
        let _ = rustix::io::read(&*self.wake, &mut [0_u8; 8]);
        loop {
            match self.jobs.try_recv() {
                Ok(Job::Open(slot)) => self.open(slot),
                Ok(Job::Update { stream, leg, party }) => {
                    self.on(stream, |slot| slot.update(leg, party, now));
                }
                Ok(Job::SetIdle { stream, idle }) => {
                    self.on(stream, |slot| slot.set_idle(idle, now));
                }
                Ok(Job::Codecs { stream, leg, codecs }) => {
                    self.on(stream, |slot| slot.set_codecs(leg, codecs));
                }
                Ok(Job::KeepAlive { stream, leg, every }) => {
                    self.on(stream, |slot| slot.keep_alive(leg, every, now));
                }
                Ok(Job::Measure { stream }) => {
                    let told = self.on(stream, |slot| slot.so_far(now));
                    self.events.extend(told);
                }
                Ok(Job::Close { stream }) => self.close(stream, now),
                Ok(Job::Stop) | Err(TryRecvError::Disconnected) => return false,
                Err(TryRecvError::Empty) => break,
            }
        }
        self.totals.streams.store(self.by_id.len() as u64, Ordering::Relaxed);
        self.shared.events.push_all(&mut self.events);
        true
    }

    /// Does something to a stream that is open. Its timers may have changed then.
    fn on<T>(&mut self, stream: StreamId, what: impl FnOnce(&mut Slot) -> T) -> Option<T> {
        let index = *self.by_id.get(&stream)?;
        let done = what(self.slots.get_mut(index)?.as_deref_mut()?);
        self.arm(index);
        Some(done)
    }

    fn open(&mut self, slot: Box<Slot>) {
        let stream = slot.id();
        let index = self.free.pop().unwrap_or(self.slots.len());
        if let Err(e) = self.watch(index, &slot) {
            let error = format!("cannot watch the stream's sockets: {e}");
            self.events.push(Event::OpenFailed { stream, error });
            self.free.extend((index < self.slots.len()).then_some(index));
            return;
        }
        match self.slots.get_mut(index) {
            Some(place) => *place = Some(slot),
            None => self.slots.push(Some(slot)),
        }
        let before = self.by_id.insert(stream, index);
        debug_assert!(before.is_none(), "a stream id is used once");
        self.arm(index);
    }

    /// A socket that fails leaves the others registered until they are closed, with the slot.
    fn watch(&self, index: usize, slot: &Slot) -> rustix::io::Result<()> {
        for (i, port) in slot.ports().iter().enumerate() {
            let data = epoll::EventData::new_u64(to_token(index, i));
            epoll::add(&self.epoll, port.readiness(), data, epoll::EventFlags::IN)?;
        }
        Ok(())
    }

    fn close(&mut self, stream: StreamId, now: Mono) {
        let Some(index) = self.by_id.remove(&stream) else { return };
        if let Some(slot) = self.slots.get_mut(index).and_then(Option::take) {
            slot.close(now, &self.totals, &mut self.events);
            self.free.push(index);
        }
    }

    fn close_all(&mut self, now: Mono) {
        for slot in std::mem::take(&mut self.slots).into_iter().flatten() {
            slot.close(now, &self.totals, &mut self.events);
        }
        self.by_id.clear();
        self.totals.streams.store(0, Ordering::Relaxed);
        self.shared.events.push_all(&mut self.events);
    }
}

fn to_token(slot: usize, port: usize) -> u64 {
    (slot << 2 | port) as u64
}

fn from_token(token: u64) -> (usize, usize) {
    let token = usize::try_from(token).unwrap_or(usize::MAX);
    (token >> 2, token & 3)
}
